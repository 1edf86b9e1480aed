"""Teachers: CLIP behind the door that every teacher has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import ClipConfig, TextConfig
from clip2scene_ros.errors import BadCheckpoint, BadConfig
from clip2scene_ros.frame import CameraModel, Frame, Scan, View
from clip2scene_ros.teacher import teachers
from clip2scene_ros.teacher.classify import classify
from clip2scene_ros.teacher.clip import Clip, save_clip
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.teachers import ClipTeacher, known_templates
from clip2scene_ros.teacher.templates import TEMPLATES
from clip2scene_ros.teacher.text import class_vectors, encode_words, words_of

CLASSES = load_class_set("road, street; car, van; person")
NO_CACHE = TextConfig(cache="")


def frame(*sizes: tuple[int, int]) -> Frame:
    rng = np.random.default_rng(0)
    views = tuple(
        View(f"cam_{i}", rng.integers(0, 256, (h, w, 3), np.uint8), CameraModel(w, h, np.eye(3)), np.eye(4))
        for i, (h, w) in enumerate(sizes)
    )
    return Frame(Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32)), views)


def test_clip_as_a_teacher_is_features_then_words_then_classes(clip: Clip) -> None:
    scene = frame((48, 80), (48, 80), (64, 48))
    seen = ClipTeacher(clip, CLASSES, None, NO_CACHE).see(scene)
    rows = encode_words(clip, words_of(CLASSES), NO_CACHE)
    vectors = class_vectors(rows, CLASSES, NO_CACHE, known_templates(clip))
    dense = DenseClip(clip)
    assert len(seen) == 3
    for each, features, view in zip(seen, dense.look([v.image for v in scene.views]), scene.views, strict=True):
        assert each is not None
        assert each.size == view.image.shape[:2]
        assert each.classes == 3
        pixels = torch.tensor([[0.0, 0.0], [20.0, 30.0], [47.0, 40.0]])
        torch.testing.assert_close(each.at(pixels), classify(features, vectors, dense.config).at(pixels))


def test_a_frame_without_views_is_not_looked_at(clip: Clip) -> None:
    assert ClipTeacher(clip, CLASSES, None, NO_CACHE).see(frame()) == []


def test_settings_that_are_given_replace_those_of_the_models_card_and_no_others(clip: Clip, tmp_path: Path) -> None:
    card = replace(clip.card, dense=replace(clip.card.dense, read_out="full", affinity="qk"), notice="a toy")
    save_clip(tmp_path / "toy.safetensors", clip.model, card)
    config = ClipConfig(checkpoint=str(tmp_path / "toy.safetensors"), device="cpu")
    own = ClipTeacher.load(CLASSES, config, text=NO_CACHE)
    assert own.describe() == "CLIP small, 3 classes of words, full qk windows"
    assert own.notice == "a toy"
    told = ClipTeacher.load(CLASSES, config, {"affinity": "kk", "mode": "whole"}, NO_CACHE)
    assert told.describe() == "CLIP small, 3 classes of words, full kk whole"
    for wrong in ({"affinity": "none"}, {"overlap": 3.0}, {"sharpness": 1}):
        with pytest.raises(BadConfig):
            ClipTeacher.load(CLASSES, config, wrong, NO_CACHE)


def test_the_shipped_clip_is_called_tiny(clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teachers, "TINY_CLIP", tmp_path / "shipped.safetensors")
    with pytest.raises(BadCheckpoint, match=r"shipped\.safetensors"):
        ClipTeacher.load(CLASSES, ClipConfig(checkpoint="tiny"), text=NO_CACHE)
    save_clip(tmp_path / "shipped.safetensors", clip.model, clip.card)
    assert (
        "CLIP small" in ClipTeacher.load(CLASSES, ClipConfig(checkpoint="tiny", device="cpu"), text=NO_CACHE).describe()
    )


def test_only_sentences_of_learned_words_are_asked(clip: Clip) -> None:
    known = known_templates(clip)
    assert known is not None
    for i, template in enumerate(TEMPLATES):
        words = set(template.replace("{}", "").replace(".", "").replace(",", "").lower().split())
        assert (i in known) == (words <= {"a", "photo", "of", "the", "car", "van", "road", "street", "sky", "person"})
    assert known_templates(replace(clip, tokenize=lambda sentences: torch.zeros(len(sentences), 77))) is None
