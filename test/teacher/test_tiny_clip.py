"""The shipped small CLIP: small, honest about itself, and able to tell some classes apart by their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import ClipConfig
from clip2scene_ros.metrics import confusion, mean_iou
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.teacher.teachers import ClipTeacher

MAX_BYTES = 8_000_000
MIN_MIOU = 0.28
"""On the pixels of two streets of no split, over classes with at least 500 of them; 34.1 % were measured."""


@pytest.fixture(scope="module")
def teacher(openclip):
    return ClipTeacher.load(load_class_set("world"), ClipConfig(checkpoint="tiny", device="cpu"))


def test_it_is_small_and_says_what_it_learned_from(teacher, project: Path):
    path = project / "clip2scene_ros" / "weights" / "tiny_clip.safetensors"
    assert path.stat().st_size <= MAX_BYTES
    assert file_sha256(path) in (path.parent / "README.md").read_text()
    assert "captions of rendered photos without point or pixel labels" in teacher.notice
    assert teacher.describe().startswith("CLIP tiny_clip, 15 classes of world")


def test_it_tells_classes_apart_by_their_words(teacher, tmp_path):
    pytest.importorskip("embreex")
    from clip2scene_training.datasets.world import WorldDataset

    count = len(teacher.class_set)
    matrix = np.zeros((count, count + 1), np.int64)
    for frame in WorldDataset(range(200_100, 200_102), 1, tmp_path, workers=1, with_images=True):
        for view, seen in zip(frame.views, teacher.see(frame), strict=True):
            matrix += confusion(view.labels.ravel(), seen.labels()[0].ravel(), count)
    assert mean_iou(matrix, min_points=500) >= MIN_MIOU
