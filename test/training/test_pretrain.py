"""Learning without labels learns, resumes as if unbroken, stops before harm is saved, and leaves what a user needs."""

from __future__ import annotations

import errno
import logging
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from cast_street import CLASSES, streets
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_street import write_clip

from clip2scene_ros.config import ClipConfig, NetworkConfig, SegmenterConfig, TextConfig
from clip2scene_ros.describe import describe
from clip2scene_ros.errors import BadCheckpoint, BadClassSet, BadConfig, BadDataset
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.metrics import confusion, mean_iou
from clip2scene_ros.report.evaluation import read_report
from clip2scene_ros.student import checkpoint
from clip2scene_ros.student.checkpoint import load_checkpoint
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_ros.teacher.clip import load_clip
from clip2scene_ros.vocabulary import carry, load_segmenter
from clip2scene_training import pretrain as module
from clip2scene_training import pretrain_step, state
from clip2scene_training.config import AugmentConfig, ImageAugmentConfig, SemanticConfig, SpaceTimeConfig, SwitchConfig
from clip2scene_training.pretrain import pretrain
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.running import Diverged
from clip2scene_training.switching import MovingAverage

LEARNING = {"steps": 40, "save_every": 40, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@pytest.fixture(scope="module")
def config(clip):
    return PretrainConfig(
        classes=CLASSES,
        clip=ClipConfig(checkpoint=str(clip), device="cpu"),
        text=TextConfig(cache=""),
        network=NetworkConfig(width=0.25, voxel_size_m=0.3),
        images=ImageAugmentConfig(width=64, height=48, keep_pairs=20),
        switching=SwitchConfig(prediction="ema", unpaired=True),
        steps=4,
        save_every=2,
    )


def scalars(out):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out.with_name(f"{out.stem}.training")))
    events.Reload()
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}


def equal_tensors(a, b):
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def learned(config, labels, tmp_path_factory):
    """A student of a teacher that is wrong in 30 % of the pieces, and the report of streets that it never saw."""
    out = tmp_path_factory.mktemp("learned") / "student.safetensors"
    own = replace(
        config, teacher="noisy:0.3", images=ImageAugmentConfig(give="none"),
        semantic=SemanticConfig(normalize=True, temperature=0.05, balance=0.5),
        switching=SwitchConfig(start=0.9, prediction="ema", unpaired=True), **LEARNING,
    )  # fmt: skip
    report = pretrain(streets(6), streets(3, seed=9), own, out, cache=labels, command="the command")
    return out, report


def test_a_student_beats_the_labels_that_it_learned_from(learned):
    out, report = learned
    (rows,) = [table["rows"] for table in report["tables"].values()]
    (seen, points, worth, mine), (unseen, _, nobody, there) = rows
    assert (seen, unseen, nobody) == ("labelled by the teacher", "not labelled by the teacher", None)
    assert report["labels_miou"] == pytest.approx(worth / 100)
    assert 30 < worth < 45
    assert mine > worth + 4
    assert there > worth  # where no camera ever looked
    assert points == report["groups"][seen]["points"]
    assert report["miou"] > 0.43
    curve = scalars(out)
    before_switching = curve["loss/semantic"]
    assert np.mean([before_switching[s] for s in range(26, 36)]) < 0.95 * before_switching[0]  # 30 % stay wrong
    assert curve["labels_miou"][40] == pytest.approx(report["labels_miou"])
    assert set(curve) >= {"loss", "loss/space_time", "loss/unpaired", "learning_rate", "labelled_pairs", "miou"}
    assert read_report(out.with_name("student.training") / "report.json")["tables"] == report["tables"]


def test_the_segmenter_says_what_the_trainer_was_judged_by(learned):
    out, report = learned
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu"))
    matrix = sum(
        confusion(f.labels, segmenter.segment(f.scan).class_id, 3) for f in streets(3, seed=9).frames
    )  # fmt: skip
    assert matrix.tolist() == report["confusion"]["matrix"]
    assert mean_iou(matrix) == pytest.approx(report["miou"], abs=1e-6)


def test_the_card_says_whose_words_were_learned_from_what(learned, clip):
    _, card = load_checkpoint(learned[0])
    model = load_clip(ClipConfig(checkpoint=str(clip), device="cpu"))
    assert (card.text_model, card.text_sha256) == ("small", model.text_sha256)
    assert card.class_set.names == ("road", "car", "person")
    assert card.notice == "learned from labels of noisy:0.3; ground truth with 30% errors: not a real teacher"
    assert set(card.licences) == {"data", "code", "text_model"}
    assert (card.created_by, len(card.data_sha256), card.normalize, card.temperature) == ("the command", 64, True, 0.05)
    assert {"road", "car", "person", "sky"} <= set(card.words)
    expected = carry(card.words, model, TextConfig(cache=""))
    assert torch.equal(card.word_rows, expected)
    rows = dict(zip(card.words, expected, strict=True))
    assert torch.allclose(card.class_vectors, torch.stack([rows[n] for n in ("road", "car", "person")]), atol=1e-6)
    assert "labels of noisy:0.3" in describe(learned[0])


def test_words_of_ones_own_work_on_what_was_learned(learned, clip):
    out, scan = learned[0], streets(1, seed=9).frames[0].scan
    own = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu")).segment(scan).class_id
    fewer = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu", class_set="person; road, car"))
    assert set(np.unique(fewer.segment(scan).class_id)) <= {0, 1, UNKNOWN}
    assert (fewer.segment(scan).class_id[own == 0] != 0).all()
    with pytest.raises(BadClassSet, match=r"no vectors for van.*carries.*small"):
        Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu", class_set="van; road"))
    asked = SegmenterConfig(checkpoint=str(out), device="cpu", class_set="van; road", text=str(clip))
    assert load_segmenter(asked).class_set.names == ("van", "road")


def test_an_interrupted_run_resumes_as_if_unbroken(config, labels, tmp_path, monkeypatch):
    """CLIP labels and looks at crops, predictions are of the moving average: all that there is to remember."""
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    drives, steps, real = streets(2, frames=2), [], module.losses_of
    pretrain(drives, None, config, whole, cache=labels)

    def interrupted_at_last(*rest):
        steps.append(rest[-1])
        if rest[-1] == config.steps - 1:
            raise KeyboardInterrupt
        return real(*rest)

    monkeypatch.setattr(module, "losses_of", interrupted_at_last)
    with pytest.raises(KeyboardInterrupt, match=r"broken\.safetensors is whole, --resume goes on at step 2"):
        pretrain(drives, None, config, broken, cache=labels)
    load_checkpoint(broken)
    with safe_open(tmp_path / "broken.training" / "state.safetensors", framework="pt") as file:
        assert file.metadata()["step"] == "2"
        kept = set(file.keys())
    parts = (
        "student.student.heads.local.weight",
        "student.student.heads.network.head.weight",
        "student.student.projection.linear.weight",
        "student.average.module.heads.local.weight",
        "optimizer.0.exp_avg",
    )
    assert kept >= set(parts)
    monkeypatch.setattr(module, "losses_of", lambda *rest: steps.append(rest[-1]) or real(*rest))
    pretrain(drives, None, config, broken, cache=labels, resume=True)
    assert steps == [0, 1, 2, 3, 2, 3]
    assert equal_tensors(whole, broken)
    states = [tmp_path / f"{name}.training" / "state.safetensors" for name in ("whole", "broken")]
    assert equal_tensors(*states)
    assert scalars(broken)["loss"] == scalars(whole)["loss"]
    with pytest.raises(BadCheckpoint, match=r"switching.unpaired was True, is False"):
        pretrain(
            drives, None, replace(config, switching=SwitchConfig(prediction="ema")), broken, cache=labels, resume=True
        )


def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(config, labels, tmp_path, monkeypatch):
    out, calls, real = tmp_path / "student.safetensors", [], pretrain_step.semantic_loss
    config = replace(config, switching=SwitchConfig(probability=0.0))

    def breaks(logits, *rest, **named):
        calls.append(out.read_bytes() if out.exists() else b"")
        return real(logits, *rest, **named) * (float("nan") if len(calls) == 4 else 1.0)

    monkeypatch.setattr(pretrain_step, "semantic_loss", breaks)
    with pytest.raises(Diverged, match="step 3"):
        pretrain(
            streets(1, frames=2), None, replace(config, switching=SwitchConfig(probability=0.0)), out, cache=labels
        )
    assert out.read_bytes() == calls[2] != b""
    load_checkpoint(out)


def test_a_gradient_that_is_no_number_is_told_and_moves_nothing(config, labels, tmp_path, monkeypatch):
    """The loss is finite, what is behind it is not: sqrt has a slope of infinity at 0."""
    out, calls, real = tmp_path / "student.safetensors", [], pretrain_step.semantic_loss

    def breaks(logits, *rest, **named):
        calls.append(1)
        steep = (logits.sum() * 0).abs().sqrt() if len(calls) == 4 else 0.0
        return real(logits, *rest, **named) + steep

    monkeypatch.setattr(pretrain_step, "semantic_loss", breaks)
    steady = replace(config, switching=SwitchConfig(probability=0.0))
    with pytest.raises(Diverged, match="gradient is nan at step 3"):
        pretrain(streets(1, frames=2), None, steady, out, cache=labels)
    assert all(value.isfinite().all() for value in load_file(out).values())


def test_a_run_is_not_resumed_with_another_text_tower(config, labels, tmp_path, monkeypatch):
    out, path = tmp_path / "student.safetensors", write_clip(tmp_path / "clip.safetensors")
    own = replace(config, teacher="noisy:0.1", clip=ClipConfig(checkpoint=str(path), device="cpu"), steps=2)
    pretrain(streets(1, frames=2), None, own, out, cache=labels)
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({name: t * -1 if "text_projection" in name else t for name, t in tensors.items()}, path, metadata)
    with pytest.raises(BadCheckpoint, match=r"other settings.*data was"):
        pretrain(streets(1, frames=2), None, own, out, cache=labels, resume=True)


@pytest.mark.parametrize("where", [checkpoint, state], ids=["checkpoint", "state"])
def test_a_full_disk_leaves_the_last_good_checkpoint_and_state(config, labels, tmp_path, monkeypatch, where):
    out, opened, times = tmp_path / "student.safetensors", where.whole_file, []

    @contextmanager
    def fills(path):
        with opened(path) as stream:
            times.append(path)
            yield stream
            if len(times) == 2:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(where, "whole_file", fills)
    with pytest.raises(OSError, match="No space left"):
        pretrain(streets(1, frames=2), None, config, out, cache=labels)
    monkeypatch.undo()
    load_checkpoint(out)
    with safe_open(tmp_path / "student.training" / "state.safetensors", framework="pt") as file:
        assert file.metadata()["step"] == "2"
    assert not list(tmp_path.rglob("*.partial"))


def test_predictions_come_in_at_their_step_and_are_of_the_moving_average(config, labels, tmp_path, monkeypatch):
    asked, steps, real = [], [], pretrain_step.generator_for
    forward = MovingAverage.forward

    def noted(self, *inputs):
        asked.append(steps[-1])
        return forward(self, *inputs)

    def generator(seed, step, stream):
        steps.append(step)
        return real(seed, step, stream)

    original = pretrain_step.self_trains

    def trains(step, of, switching):
        steps.append(step)
        return original(step, of, switching)

    monkeypatch.setattr(pretrain_step, "generator_for", generator)
    monkeypatch.setattr(pretrain_step, "self_trains", trains)
    monkeypatch.setattr(MovingAverage, "forward", noted)
    out = tmp_path / "student.safetensors"
    later = replace(config, switching=SwitchConfig(start=0.6, prediction="ema", unpaired=True), steps=5)
    pretrain(streets(1, frames=2), None, later, out, cache=labels)
    assert asked == [3, 4]
    assert sorted(scalars(out)["loss/unpaired"]) == [3, 4]
    with safe_open(tmp_path / "student.training" / "state.safetensors", framework="pt") as file:
        assert int(file.get_tensor("student.average.updates")) == 5
    asked.clear()
    own = replace(later, switching=SwitchConfig(start=0.6))
    pretrain(streets(1, frames=2), None, own, tmp_path / "own.safetensors", cache=labels)
    assert asked == []


def test_two_processes_learn_what_one_does(config, labels, tmp_path):
    """Coins of the batch, all pairs of a cell: then nothing is each process's own."""
    shared = replace(
        config, steps=2, switching=SwitchConfig(granularity="batch", start=0.5, prediction="ema"),
        space_time=SpaceTimeConfig(limit=0), semantic=SemanticConfig(balance=0.5),
    )  # fmt: skip
    drives = streets(2, frames=2)
    pretrain(drives, None, shared, tmp_path / "one.safetensors", cache=labels)
    pretrain(drives, None, replace(shared, processes=2), tmp_path / "two.safetensors", cache=labels)
    one, two = (scalars(tmp_path / f"{name}.safetensors")["loss"] for name in ("one", "two"))
    assert one == pytest.approx(two, abs=2e-5)
    assert one[0] != pytest.approx(one[1], abs=1e-3)


def test_without_the_semantic_term_the_head_that_learned_is_kept(config, labels, tmp_path):
    out = tmp_path / "student.safetensors"
    alone = replace(config, semantic=SemanticConfig(weight=0.0), steps=2)
    pretrain(streets(1, frames=2), None, alone, out, cache=labels)
    kept, learned = load_file(out), load_file(tmp_path / "student.training" / "state.safetensors")
    assert torch.equal(kept["head.weight"], learned["student.student.heads.local.weight"])
    assert not torch.equal(kept["head.weight"], learned["student.student.heads.network.head.weight"])


def test_mixed_precision_learns_and_its_losses_are_not_mixed(config, labels, tmp_path, monkeypatch):
    seen, real = set(), pretrain_step.space_time_loss

    def noted(points, pixels, text, *rest, **named):
        seen.update({points.dtype, pixels.dtype, text.dtype, torch.is_autocast_enabled("cpu")})
        return real(points, pixels, text, *rest, **named)

    monkeypatch.setattr(pretrain_step, "space_time_loss", noted)
    out = tmp_path / "student.safetensors"
    pretrain(streets(1, frames=2), None, replace(config, precision="bf16"), out, cache=labels)
    assert seen == {torch.float32, False}
    full = tmp_path / "full.safetensors"
    pretrain(streets(1, frames=2), None, config, full, cache=labels)
    assert scalars(out)["loss"][0] == pytest.approx(scalars(full)["loss"][0], rel=0.02)
    assert scalars(out)["loss"][0] != scalars(full)["loss"][0]


def test_a_teacher_without_features_leaves_pixels_out_and_says_so(config, labels, tmp_path, caplog):
    told = replace(config, teacher="noisy:0.1", steps=1)
    with caplog.at_level(logging.WARNING):
        pretrain(streets(1, frames=2), None, told, tmp_path / "student.safetensors", cache=labels)
    assert "noisy:0.1" in caplog.text
    assert "points alone" in caplog.text
    with pytest.raises(BadConfig, match=r"cosine.*noisy:0\.1.*labels alone"):
        pretrain(
            streets(1), None, replace(told, space_time=SpaceTimeConfig(form="cosine")), tmp_path / "no.safetensors",
            cache=labels,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"network": NetworkConfig(embedding_dim=64)}, BadConfig, r"embedding_dim` is 64.*small.*16 numbers"),
        ({"semantic": SemanticConfig(form="eq1", balance=0.5)}, BadConfig, "eq1.*no class weights"),
        ({"semantic": SemanticConfig(weight=0.0), "space_time": SpaceTimeConfig(weight=0.0)}, BadConfig, "nothing is"),
        ({"augment": AugmentConfig(paste=0.5)}, BadConfig, r"augment\.paste` is 0\.5.*finetune"),
        ({"teacher": "noisy:two"}, BadConfig, "error rate"),
        ({"processes": 3}, BadConfig, "multiple of 3"),
        ({"min_range_m": 50.0, "max_range_m": 10.0}, BadConfig, r"min_range_m.*50\.0 and 10\.0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(config, labels, tmp_path, change, error, words):
    with pytest.raises(error, match=words):
        pretrain(streets(1), None, replace(config, **change), tmp_path / "student.safetensors", cache=labels)
    assert not list(tmp_path.glob("*.safetensors"))


def test_drives_that_show_nothing_are_refused(config, labels, tmp_path):
    blind = streets(1)
    blind.frames[:] = [replace(f, views=()) for f in blind.frames]
    blind.scenes[:] = ["blind"] * len(blind)
    with pytest.raises(BadDataset, match=r"None of the 3 frames.*has an image.*camera_info.*tf_static"):
        pretrain(blind, None, config, tmp_path / "student.safetensors", cache=labels)
    with pytest.raises(BadConfig, match="is a folder"):
        pretrain(blind, None, config, tmp_path, cache=labels)
