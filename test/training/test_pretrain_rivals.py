"""Rivals learn in the same trainer: each leaves a checkpoint that the segmenter loads, of the head that learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cast_street import CLASSES, streets
from safetensors.torch import load_file
from small_street import write_clip

from clip2scene_ros.config import ClipConfig, NetworkConfig, SegmenterConfig, TextConfig
from clip2scene_ros.errors import BadClassSet, BadConfig
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.settings import settings_of
from clip2scene_ros.student.checkpoint import load_checkpoint
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training import pretrain as module
from clip2scene_training import pretrain_step
from clip2scene_training.config import RIVALS, ImageAugmentConfig, SwitchConfig
from clip2scene_training.pretrain import pretrain
from clip2scene_training.pretrain_config import PRESETS, PretrainConfig
from clip2scene_training.readout import PROBED, LinearProbe

STEPS = 6
TWO = "road; person"
"""Of the three words those that the small CLIP, which never learned, finds in the streets: a probe needs all."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


def small(preset: str, clip) -> PretrainConfig:
    return replace(
        PRESETS[preset], classes=CLASSES, clip=ClipConfig(checkpoint=str(clip), device="cpu"),
        text=TextConfig(cache=""), network=NetworkConfig(width=0.25, voxel_size_m=0.3),
        images=ImageAugmentConfig(give="whole" if preset == "slidr" else "none"), steps=STEPS, batch_size=2,
        save_every=STEPS, learning_rate=0.01,
    )  # fmt: skip


@pytest.fixture
def noted(monkeypatch):
    """What each step counted wrong."""
    history, real = [], module.losses_of

    def losses_of(*rest):
        found = real(*rest)
        history.append({name: value.item() for name, value in found.items()})
        return found

    monkeypatch.setattr(module, "losses_of", losses_of)
    return history


@pytest.mark.parametrize(("name", "term"), [("ppkt", "contrast"), ("slidr", "contrast"), ("openscene", "feature"),
                                            ("kl", "distill")])  # fmt: skip
def test_a_rival_learns_by_its_own_term_and_its_student_is_the_segmenters(clip, labels, tmp_path, noted, name, term):
    out, drives = tmp_path / f"{name}.safetensors", streets(2, frames=2)
    pretrain(drives, None, replace(small(name, clip), classes=TWO), out, cache=labels)
    assert [set(each) for each in noted] == [{term}] * STEPS
    assert noted[-1][term] < 0.99 * noted[0][term]
    _, card = load_checkpoint(out)
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu"))
    said = segmenter.segment(drives.frames[0].scan).class_id
    assert set(np.unique(said)) <= {0, 1, UNKNOWN}
    learned = load_file(tmp_path / f"{name}.training" / "state.safetensors")
    assert torch.equal(load_file(out)["head.weight"], learned["student.student.heads.network.head.weight"])
    if term != "contrast":
        assert card.text_model == "small"
        assert card.normalize == (name == "openscene")
        return
    assert (card.text_model, card.words, card.normalize) == (PROBED, (), False)
    with pytest.raises(BadClassSet):
        Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu", class_set="van; road"))


def test_classes_are_read_out_of_contrasted_features_as_the_probe_has_it(clip, labels, tmp_path, monkeypatch):
    """The probe is shown what the segmenter would embed: the same features in evaluation mode, all pseudo-labels."""
    shown, real = [], LinearProbe.add

    def add(self, features, given):
        shown.append((features, given))
        real(self, features, given)

    monkeypatch.setattr(LinearProbe, "add", add)
    out, drives = tmp_path / "ppkt.safetensors", streets(2, frames=2)
    pretrain(drives, None, replace(small("ppkt", clip), classes=TWO, steps=2), out, cache=labels)
    assert len(shown) == 4
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu"))
    _, card = load_checkpoint(out)
    for frame, (features, given) in zip(drives.frames, shown, strict=True):
        said = segmenter.segment(frame.scan).class_id
        assert len(given) == (said != UNKNOWN).sum()
        assert ((features @ card.class_vectors.T).argmax(1).numpy() == said[said != UNKNOWN]).mean() > 0.99


def test_a_student_of_features_that_is_interrupted_claims_no_words(clip, labels, tmp_path, monkeypatch):
    """Also beside the spatial-temporal term, which teaches words to the head that is not kept."""
    out, real = tmp_path / "ppkt.safetensors", module.losses_of
    config = replace(small("ppkt", clip), classes=TWO, steps=4, save_every=2)
    config = replace(config, space_time=replace(config.space_time, weight=1.0))

    def interrupted(*rest):
        if rest[-1] == 3:
            raise KeyboardInterrupt
        return real(*rest)

    monkeypatch.setattr(module, "losses_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pretrain(streets(2, frames=2), None, config, out, cache=labels)
    _, card = load_checkpoint(out)
    assert (card.text_model, card.words) == (PROBED, ())


def test_presets_of_rivals_have_their_losses_and_no_other_setting_of_their_own():
    for name, losses in RIVALS.items():
        assert PRESETS[name].losses == losses
        own = {n: v for n, v, _ in settings_of(PRESETS[name])}
        default = {n: v for n, v, _ in settings_of(PretrainConfig())}
        changed = {n.split(".")[0] for n in own if own[n] != default[n]}
        assert changed <= {"semantic", "space_time", "switching", "contrast", "distill", "feature"}


def test_a_term_of_a_rival_stands_beside_the_papers(clip, labels, tmp_path, noted):
    config = replace(small("paper", clip), steps=1, feature=replace(PRESETS["openscene"].feature, weight=0.5))
    pretrain(streets(1, frames=2), None, config, tmp_path / "both.safetensors", cache=labels)
    assert set(noted[0]) == {"semantic", "space_time", "feature"}
    assert 0 < noted[0]["feature"] <= 1.0  # half of 1 - cosine


def test_the_surest_predictions_alone_are_labels_where_that_is_asked(clip, labels, tmp_path, monkeypatch):
    asked, real = [], pretrain_step.self_labels

    def self_labels(scores, config, superpoint):
        found = real(scores, config, superpoint)
        asked.append((config.accept, superpoint is not None, len(scores), float((found != UNKNOWN).float().mean())))
        return found

    monkeypatch.setattr(pretrain_step, "self_labels", self_labels)
    switching = SwitchConfig(start=0.5, accept=0.5, superpoints=True, unpaired=True, prediction="ema")
    config = replace(small("paper", clip), switching=switching, steps=4)
    pretrain(streets(1, frames=3), None, config, tmp_path / "sure.safetensors", cache=labels)
    assert [each[:2] for each in asked] == [(0.5, True)] * 2
    assert all(0.45 < share < 0.7 for *_, share in asked)  # equals in surety, of one voxel, stay together


@pytest.mark.parametrize(
    ("preset", "change", "words"),
    [
        ("slidr", {"images": ImageAugmentConfig(give="none")}, r"superpixels.*images\.give.*'none'"),
        ("kl", {"teacher": "noisy:0.1"}, r"distill\.weight.*noisy:0\.1.*labels alone"),
        ("openscene", {"teacher": "noisy:0.1"}, r"feature\.weight"),
        ("ppkt", {"contrast": PRESETS["kl"].contrast}, "nothing is learned"),
    ],
)
def test_what_a_rival_cannot_do_without_is_named(clip, labels, tmp_path, preset, change, words):
    with pytest.raises(BadConfig, match=words):
        pretrain(streets(1), None, replace(small(preset, clip), **change), tmp_path / "no.safetensors", cache=labels)
