"""Supervised training learns, repeats itself bit for bit, resumes as if unbroken, and stops before harm is saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.errors import BadCheckpoint, BadConfig, BadDataset
from clip2scene_ros.frame import UNKNOWN, Frame, Scan
from clip2scene_ros.report.evaluation import read_report
from clip2scene_ros.settings import with_settings
from clip2scene_ros.student.checkpoint import load_checkpoint
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training import finetune as module
from clip2scene_training import options
from clip2scene_training.config import AugmentConfig, FinetuneConfig
from clip2scene_training.finetune import finetune
from clip2scene_training.options import parsed, seed_range
from clip2scene_training.running import STATE, Diverged, interrupted_at, one_cycle


class Street:
    """Frames of a floor with boxes and poles on it; a class is told by its shape alone."""

    def __init__(self, frames, seed=0):
        self.frames = [self.make(np.random.default_rng((seed, i))) for i in range(frames)]
        self.draws, self.interrupt_at = 0, None

    @staticmethod
    def make(rng):
        floor = np.c_[rng.uniform(-8, 8, (700, 2)), np.full(700, -1.7)]
        parts, labels = [floor], [np.zeros(700)]
        for kind, count, size in ((1, 250, (2.0, 2.0, 1.5)), (2, 80, (0.1, 0.1, 3.0))):
            for _ in range(3):
                at = np.append(rng.uniform(-7, 7, 2), -1.6)
                parts.append(at + rng.uniform(0, 1, (count, 3)) * size)
                labels.append(np.full(count, kind))
        points = np.concatenate(parts).astype(np.float32)
        scan = Scan(points, np.full(len(points), 0.5, np.float32))
        return Frame(scan, labels=np.concatenate(labels).astype(np.uint8))

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        self.draws += 1
        if self.draws == self.interrupt_at:
            raise KeyboardInterrupt
        return self.frames[index]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("classes") / "three.yaml"
    path.write_text("name: three\nclasses: [{name: floor}, {name: box}, {name: pole}]\n", encoding="utf-8")
    network = NetworkConfig(width=0.25, embedding_dim=8, voxel_size_m=0.3)
    return FinetuneConfig(class_set=str(path), network=network, steps=6, save_every=2, threads=1, notice="a test")


def scalars(out):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out.with_name(f"{out.stem}.training")))
    events.Reload()
    return {name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]}


def losses(out):
    return scalars(out)["loss"]


def equal_tensors(a, b):
    first, second = load_file(a), load_file(b)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_trained_student_labels_streets_it_never_saw(config, tmp_path):
    out = tmp_path / "student.safetensors"
    longer = replace(config, steps=60, save_every=60, learning_rate=0.01)
    report = finetune(Street(6), Street(2, seed=9), longer, out, command="the command")
    assert report["miou"] > 0.85
    assert set(report["iou"]) == {"floor", "box", "pole"}
    assert (report["frames"], report["command"]) == (2, "the command")
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu"))
    frame = Street(1, seed=9).frames[0]
    assert np.mean(segmenter.segment(frame.scan).class_id == frame.labels) > 0.9
    curve = losses(out)
    assert curve[59] < 0.5 * curve[0]


def test_the_card_says_what_was_learned_from_what(config, tmp_path):
    out = tmp_path / "student.safetensors"
    finetune(Street(1), Street(0), replace(config, steps=1), out, command="the command")
    _, card = load_checkpoint(out)
    assert card.text_model == "none: learned with labels"
    assert (card.notice, card.created_by, card.network) == ("a test", "the command", config.network)
    assert card.class_set.names == ("floor", "box", "pole")
    assert len(card.data_sha256) == 64
    assert card.licences["data"]
    assert card.versions["torch"] == torch.__version__


def test_the_notice_of_the_world_is_the_default():
    assert FinetuneConfig().notice == "synthetic world, learned with labels, not for the road"


def test_equal_seeds_give_equal_bits_and_others_do_not(config, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in ("a", "b", "c")]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        finetune(Street(3), Street(0), replace(config, seed=seed, steps=3), path)
    assert equal_tensors(paths[0], paths[1])
    assert not equal_tensors(paths[0], paths[2])


@pytest.mark.parametrize(
    "change", [{"weight_decay": 0.5}, {"learning_rate": 1e-3}, {"lovasz": 0.0}, {"balance": 0.0}, {"clip_norm": 1e-3}]
)
def test_every_setting_of_the_step_reaches_it(config, tmp_path, change):
    default, changed = tmp_path / "default.safetensors", tmp_path / "changed.safetensors"
    finetune(Street(1), Street(0), replace(config, steps=2), default)
    finetune(Street(1), Street(0), replace(config, steps=2, **change), changed)
    assert not equal_tensors(default, changed)


def test_a_batch_without_labels_teaches_nothing_and_stops_nothing(config, tmp_path):
    street = Street(2)
    street.frames[1] = replace(street.frames[1], labels=np.full(len(street.frames[1].scan), UNKNOWN, np.uint8))
    finetune(street, Street(0), replace(config, steps=2, batch_size=1), tmp_path / "student.safetensors")
    assert sorted(losses(tmp_path / "student.safetensors").values())[0] == 0.0


def test_an_interrupted_run_resumes_as_if_unbroken(config, tmp_path):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    finetune(Street(3), Street(0), config, whole)
    street = Street(3)
    street.interrupt_at = 3 + 2 * 5  # three draws of the survey, two a step: in the middle of step 5
    with pytest.raises(KeyboardInterrupt):
        finetune(street, Street(0), config, broken)
    load_checkpoint(broken)
    with safe_open(tmp_path / "broken.training" / "state.safetensors", framework="pt") as file:
        assert file.metadata()["step"] == "4"
    resumed = Street(3)
    finetune(resumed, Street(0), config, broken, resume=True)
    assert resumed.draws == 3 + 2 * 2
    assert equal_tensors(whole, broken)
    expected, found = losses(whole), losses(broken)
    assert all(found[step] == pytest.approx(expected[step], abs=1e-6) for step in range(6))
    assert equal_tensors(
        tmp_path / "whole.training" / "state.safetensors", tmp_path / "broken.training" / "state.safetensors"
    )


def test_a_balanced_run_with_looks_resumes_as_if_unbroken_with_any_number_of_workers(config, tmp_path, monkeypatch):
    config = replace(config, sampling="balanced", eval_every=3, eval_frames=1, save_every=5)
    expected = finetune(Street(3), Street(2, seed=9), config, tmp_path / "whole.safetensors")

    def interrupts_at_last(*rest, **named):
        calls.append(rest)
        if len(calls) == config.steps:
            raise KeyboardInterrupt
        return real(*rest, **named)

    calls, real, broken = [], module.supervised_loss, tmp_path / "broken.safetensors"
    monkeypatch.setattr(module, "supervised_loss", interrupts_at_last)
    with pytest.raises(KeyboardInterrupt):
        finetune(Street(3), Street(2, seed=9), config, broken)
    monkeypatch.undo()
    found = finetune(Street(3), Street(2, seed=9), replace(config, workers=1), broken, resume=True)
    assert equal_tensors(tmp_path / "whole.safetensors", broken)
    assert found["curve"] == expected["curve"]
    assert [(entry["step"], entry["samples"]) for entry in found["curve"]] == [(3, 6), (6, 12)]
    every = losses(tmp_path / "whole.safetensors")
    assert found["curve"][1]["loss"] == pytest.approx(np.mean([every[step] for step in (3, 4, 5)]))
    assert found["curve"][1]["miou"] == found["miou"]
    assert found["training"]["steps"] == 0  # one step was left, and the first is not timed
    uniform = tmp_path / "uniform.safetensors"
    finetune(Street(3), Street(0), replace(config, sampling="uniform"), uniform)
    assert not equal_tensors(uniform, broken)


def test_a_finished_run_makes_its_lost_checkpoint_again(config, tmp_path):
    out, kept = tmp_path / "student.safetensors", tmp_path / "kept.safetensors"
    finetune(Street(1), Street(0), replace(config, steps=2), out)
    out.rename(kept)
    finetune(Street(1), Street(0), replace(config, steps=2), out, resume=True)
    assert equal_tensors(out, kept)


def test_the_report_of_a_run_stands_beside_its_state(config, tmp_path):
    out, short = tmp_path / "student.safetensors", replace(config, steps=4, eval_every=2)
    report = finetune(Street(2), Street(4, seed=9), short, out, command="the command")
    written = read_report(tmp_path / "student.training" / "report.json")
    assert written == {key: report[key] for key in written}
    assert (written["command"], written["seeds"], len(written["data_sha256"])) == ("the command", [0], 64)
    assert written["notes"] == ["a test."]
    (line,) = written["curves"]["Validation"]["lines"].values()
    assert line == [[4, 100 * report["curve"][0]["miou"]], [8, 100 * report["miou"]]]
    (line,) = written["curves"]["Training"]["lines"].values()
    assert [y for _, y in line] == [point["loss"] for point in report["curve"]]
    page = (tmp_path / "student.training" / "report.html").read_text()
    assert page.count("<img ") == 3
    finetune(Street(1), Street(0), replace(config, steps=1), tmp_path / "unjudged.safetensors")
    assert read_report(tmp_path / "unjudged.training" / "report.json")["miou"] is None
    assert "miou" not in scalars(tmp_path / "unjudged.safetensors")


@pytest.mark.parametrize("state", [None, b"damaged"])
def test_ctrl_c_with_nothing_to_go_on_from_stays_ctrl_c(tmp_path, state):
    out = tmp_path / "student.safetensors"
    if state is not None:
        (tmp_path / "student.training").mkdir()
        (tmp_path / "student.training" / STATE).write_bytes(state)
    with pytest.raises(KeyboardInterrupt, match="no step is saved"), interrupted_at(out):
        raise KeyboardInterrupt


def test_a_run_from_the_start_hides_the_curve_of_the_one_that_it_replaces(config, tmp_path):
    out, alone = tmp_path / "student.safetensors", tmp_path / "alone.safetensors"
    finetune(Street(1), Street(0), replace(config, steps=3, seed=1), out)
    finetune(Street(1), Street(0), replace(config, steps=2), out)
    finetune(Street(1), Street(0), replace(config, steps=2), alone)
    assert losses(out) == losses(alone)


def test_tensorboard_has_the_curve_and_pictures_of_the_validation_scans(config, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "student.safetensors"
    report = finetune(Street(1), Street(5, seed=9), replace(config, steps=2, eval_every=1, eval_frames=2), out)
    events = EventAccumulator(str(tmp_path / "student.training"))
    events.Reload()
    assert [event.step for event in events.Scalars("miou")] == [1, 2]
    assert [event.value for event in events.Scalars("miou")] == pytest.approx([e["miou"] for e in report["curve"]])
    assert {tag: len(events.Images(tag)) for tag in events.Tags()["images"]} == {
        "validation/0": 2, "validation/1": 2, "validation/2": 1
    }  # fmt: skip
    assert (events.Images("validation/0")[0].width, events.Images("validation/0")[0].height) == (1440, 480)
    assert report["frames"] == 5


def test_a_run_with_other_settings_is_not_resumed(config, tmp_path):
    out = tmp_path / "student.safetensors"
    finetune(Street(1), Street(0), replace(config, steps=2), out)
    other = replace(config, augment=AugmentConfig(flip=False))
    with pytest.raises(
        BadCheckpoint, match=rf"settings \(steps was 2, is {config.steps}, augment.flip was True, is False\)"
    ):
        finetune(Street(1), Street(0), other, out, resume=True)
    with pytest.raises(BadCheckpoint, match=r"data was \w{8}, is \w{8}\)"):
        finetune(Street(2), Street(0), replace(config, steps=2), out, resume=True)
    (tmp_path / "student.training" / "state.safetensors").write_bytes(b"no state")
    with pytest.raises(BadCheckpoint, match="saved training state"):
        finetune(Street(1), Street(0), replace(config, steps=2), out, resume=True)


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_checkpoint(config, tmp_path, monkeypatch):
    out = tmp_path / "student.safetensors"
    calls = []

    def breaks_at_third(logits, *rest, **named):
        calls.append(out.read_bytes() if out.exists() else b"")
        return real(logits, *rest, **named) * (float("nan") if len(calls) == 4 else 1.0)

    real = module.supervised_loss
    monkeypatch.setattr(module, "supervised_loss", breaks_at_third)
    with pytest.raises(Diverged, match="step 3"):
        finetune(Street(2), Street(0), config, out)
    assert out.read_bytes() == calls[2] != b""
    load_checkpoint(out)


def test_frames_without_labels_are_refused_before_anything_is_written(config, tmp_path):
    street = Street(2)
    street.frames[1] = replace(street.frames[1], labels=None)
    with pytest.raises(BadDataset, match="training data, but frame 1 has none"):
        finetune(street, Street(0), config, tmp_path / "student.safetensors")
    with pytest.raises(BadDataset, match="validation data, but frame 1 has none"):
        finetune(Street(1), street, config, tmp_path / "student.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_learning_rate_rises_then_falls():
    rates = [one_cycle(step / 100, 0.1) for step in range(100)]
    assert max(rates) == rates[10] == 1.0
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01
    assert one_cycle(0.0, 0.0) == 1.0


def test_settings_of_the_command_line_get_their_types():
    given = {"steps": "7", "learning_rate": "1e-3", "augment.flip": "false", "network.preset": "14a"}
    assert parsed(given) == {"steps": 7, "learning_rate": 1e-3, "augment.flip": False, "network.preset": "14a"}
    assert parsed({"steps": "seven"}) == {"steps": "seven"}


def test_a_setting_without_an_upper_end_takes_any_number_from_its_lower_on():
    assert with_settings(FinetuneConfig(), {"eval_every": 10**9}).eval_every == 10**9
    with pytest.raises(BadConfig, match="`eval_every` expects a value of at least 0, but got -1"):
        with_settings(FinetuneConfig(), {"eval_every": -1})


@pytest.mark.parametrize("text", ["5", "5:5", "9:5", "a:b", "-1:5", ""])
def test_seeds_that_are_no_range_are_refused(text):
    with pytest.raises(BadConfig, match="A:B"):
        seed_range(text)


def test_augmentation_is_on_by_default():
    assert FinetuneConfig().augment == AugmentConfig()
    assert AugmentConfig().turn == "any"
    assert AugmentConfig().flip


def test_the_command_trains_on_the_asked_streets_with_the_asked_settings(config, tmp_path, monkeypatch, capsys):
    asked = []

    def streets(split, seeds, cache, class_set):
        asked.append((split, seeds, cache, class_set))
        return Street(2, seed=len(asked))

    monkeypatch.setattr(options, "streets", streets)
    out = tmp_path / "student.safetensors"
    arguments = ["--out", str(out), "--world-seeds", "3:5", "--cache", "c", "--steps", "2"]
    settings = ["--class-set", config.class_set, "--network.width", "0.25", "--augment.turn", "none"]
    assert options.main([*arguments, *settings]) == 0
    assert asked == [("train", "3:5", Path("c"), config.class_set), ("val", None, Path("c"), config.class_set)]
    _, card = load_checkpoint(out)
    assert card.network.width == 0.25
    assert card.created_by.startswith("clip2scene finetune --out")
    printed = capsys.readouterr().out
    assert "mIoU" in printed
    assert Path(printed.splitlines()[-1]).is_file()
    with pytest.raises(BadConfig, match="steps"):
        options.main([*arguments, "--steps", "none"])
    monkeypatch.undo()
    wrongs = ((["--split", "all"], "train, val, test, ood"), (["--world-seeds", "5"], "A:B"), (settings, "of `world`"))
    for wrong, word in wrongs:
        with pytest.raises(BadConfig, match=word):
            options.main([*arguments, *wrong, "--overwrite"])


def test_the_command_finds_out_before_the_long_work_that_it_cannot_write(tmp_path, monkeypatch):
    monkeypatch.setattr(options, "streets", lambda *_: pytest.fail("began"))
    (tmp_path / "old.safetensors").write_bytes(b"an earlier run")
    with pytest.raises(BadConfig, match=r"old\.safetensors exists.*--resume.*--overwrite"):
        options.main(["--out", str(tmp_path / "old.safetensors")])
    with pytest.raises(BadConfig, match=r"old\.safetensors exists.*state\.safetensors, does not.*--overwrite"):
        options.main(["--out", str(tmp_path / "old.safetensors"), "--resume"])
    with pytest.raises(BadConfig, match="is a folder"):
        options.main(["--out", str(tmp_path)])
    with pytest.raises(BadConfig, match=r"min_range_m.*50\.0 and 10\.0"):
        options.main(["--out", str(tmp_path / "new.safetensors"), "--min-range-m", "50", "--max-range-m", "10"])
    with pytest.raises(BadConfig, match="cpu, cuda or cuda:N, but got 'gpu'"):
        options.main(["--out", str(tmp_path / "new.safetensors"), "--device", "gpu"])
    with pytest.raises(NotADirectoryError):
        options.main(["--out", str(tmp_path / "old.safetensors" / "student.safetensors")])
    assert (tmp_path / "old.safetensors").read_bytes() == b"an earlier run"
