"""`clip2scene compare` on a drive of the synthetic world: is the right one of two students called the better one?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import clip2scene
from comparisons import Tags, report_of, without

from clip2scene_ros import terminal
from clip2scene_ros.compare import pictures as compare_pictures
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.report.evaluation import sha256_of
from clip2scene_ros.settings import with_settings
from clip2scene_ros.student.checkpoint import load_checkpoint, save_checkpoint
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.teacher.openclip import open_clip

TRUTH = "/ground_truth/points"


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.7 s of the synthetic world, 14 coarse scans, two images of each camera, odometry, ground truth."""
    pytest.importorskip("trimesh")
    from clip2scene_training.world.bag import write_bag
    from clip2scene_training.world.config import WorldConfig

    path = tmp_path_factory.mktemp("drive") / "drive.mcap"
    write_bag(path, 100003, 0.7, config=with_settings(WorldConfig(), {"lidar.columns": 400}))
    return path


@pytest.fixture(scope="module")
def worse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped student with noise on its weights."""
    state, card = load_checkpoint(DEMO_CHECKPOINT)
    generator = torch.Generator().manual_seed(0)
    for name, weight in state.items():
        if weight.ndim >= 2:
            state[name] = weight + 0.5 * weight.std() * torch.randn(weight.shape, generator=generator)
    path = tmp_path_factory.mktemp("worse") / "worse.safetensors"
    save_checkpoint(path, state, card)
    return path


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_pictures, "SHOT_PX", 64)
    monkeypatch.setattr(compare_pictures, "BIRD_PX", 64)


@pytest.fixture(scope="module")
def clip() -> None:
    try:
        open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, drive: Path, worse: Path, clip: None) -> tuple[Any, Path]:
    """Return what the command said of the shipped student against the worse one, and its folder."""
    folder = tmp_path_factory.mktemp("judged") / "out"
    return clip2scene("compare", DEMO_CHECKPOINT, worse, drive, "--out", folder), folder


# ---- the right one is better


def test_noise_on_the_weights_is_found_to_be_worse(judged: tuple[Any, Path], drive: Path, worse: Path) -> None:
    run, folder = judged
    assert run.returncode == terminal.WORSE, run.stderr
    assert "B is worse than A by mIoU" in run.stdout
    assert "not for the road" in run.stderr
    report = report_of(folder)
    assert report["gate"] == {"measure": "miou", "judged": True, "worse": True}
    for name in ("miou", "agreement"):
        assert report["measures"][name]["better"] == "A", report["measures"][name]
    assert report["measures"]["calibration"]["title"].endswith("against ground truth")
    assert report["measures"]["miou"]["high"] < -0.05
    assert report["measures"]["stability"]["a"] > 0.85
    assert 0.3 < report["between"]["same"] < 0.95
    assert report["scans"] == 14
    assert report["stability"]["of_one_thing"] > 0.9 * report["stability"]["pairs"] > 30_000
    assert report["checkpoints"]["B"]["sha256"] == sha256_of(worse)
    assert report["data_sha256"] == sha256_of(drive)
    assert report["classes"]["car"]["iou"]["a"] > report["classes"]["car"]["iou"]["b"]
    assert any("tiny_clip" in note and "It is right on" in note for note in report["notes"])
    assert any("too short for any other" in note for note in report["notes"])


def test_values_are_those_of_evaluate(judged: tuple[Any, Path], drive: Path, tmp_path: Path) -> None:
    assert clip2scene("evaluate", drive, "--out", tmp_path / "one").returncode == 0
    alone, both = report_of(tmp_path / "one"), report_of(judged[1])
    for name, value in alone["iou"].items():
        mine = both["classes"][name]
        if mine["true_points"]:
            assert mine["iou"]["a"] == value
    occurring = [alone["iou"][name] for name, each in both["classes"].items() if each["true_points"]]
    assert both["measures"]["miou"]["a"] == pytest.approx(np.mean(occurring), abs=2e-6)


def test_the_other_way_round_it_passes(judged: tuple[Any, Path], drive: Path, worse: Path, tmp_path: Path) -> None:
    run = clip2scene("compare", worse, DEMO_CHECKPOINT, drive, "--teacher", "none", "--out", tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert "B is better than A by mIoU" in run.stdout
    here, there = report_of(tmp_path / "out")["measures"], report_of(judged[1])["measures"]
    for name in ("miou", "stability", "calibration"):
        mine = [here[name][key] for key in ("a", "b", "difference", "low", "high")]
        other = [there[name][key] for key in ("b", "a", "difference", "high", "low")]
        assert mine == pytest.approx([*other[:2], *(-each for each in other[2:])], abs=2e-6)
    assert here["agreement"]["why"] == "no teacher was asked for"


def test_a_checkpoint_against_itself_is_an_exact_tie(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    run = clip2scene("compare", "", DEMO_CHECKPOINT, drive, "--out", tmp_path / "out", "--teacher", "none")
    assert run.returncode == 0, run.stderr
    assert "No difference between A and B by mIoU" in run.stdout
    report = report_of(tmp_path / "out")
    for name in ("miou", "stability", "calibration"):
        each = report["measures"][name]
        assert each["a"] == each["b"] is not None
        assert (each["difference"], each["low"], each["high"], each["better"]) == (0, 0, 0, "")
    for each in report["classes"].values():
        assert each["iou"]["difference"] in (0, None)
        assert each["points"][0] == each["points"][1]
    assert report["measures"]["latency"]["low"] < report["measures"]["latency"]["ratio"]
    assert report["calibration"]["A"] == report["calibration"]["B"] != []
    assert report["between"]["same"] == 1.0
    assert any("the same weights" in note for note in report["notes"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "A and B give every point of every scan the same class." in page
    assert "<img" not in page


# ---- gates


def test_a_gate_by_stability_fails_a_student_that_flickers(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ground truth and teacher it decides by itself."""
    segment, asked = Segmenter.segment, []

    def flickering(self: Segmenter, scan: Any) -> Any:
        asked.append(self)
        said = segment(self, scan)
        if len(asked) > 1 and self is asked[1]:  # the first two are A and B
            rng = np.random.default_rng(scan.stamp_ns)
            said.class_id[rng.random(len(scan)) < 0.1] = 0
        return said

    monkeypatch.setattr(Segmenter, "segment", flickering)
    short(monkeypatch)
    words = ("compare", DEMO_CHECKPOINT, DEMO_CHECKPOINT, drive, "--teacher", "none")
    assert clip2scene(*words, "--out", tmp_path / "a", "--gate", "stability").returncode == terminal.WORSE
    report = report_of(tmp_path / "a")
    assert report["gate"] == {"measure": "stability", "judged": True, "worse": True}
    assert -0.25 < report["measures"]["stability"]["difference"] < -0.1  # either of two points may have flickered

    asked.clear()
    blind = without(drive, tmp_path / "blind.mcap", TRUTH)
    run = clip2scene(*words[:3], blind, *words[4:], "--out", tmp_path / "b")
    assert run.returncode == terminal.WORSE, run.stderr
    report = report_of(tmp_path / "b")
    assert report["gate"]["measure"] == "stability"
    for words in (
        "Stability without ground truth",
        "knows nothing of right and wrong",
        "No ground truth",
        "No teacher",
    ):
        assert any(words in note for note in report["notes"])
    assert "with teacher" not in (tmp_path / "b" / "report.html").read_text()


def short(monkeypatch: pytest.MonkeyPatch, scans: int = 7) -> None:
    """Let bags end after a few scans."""
    frames = BagReader.frames

    def first(self: BagReader, *args: Any, **how: Any) -> Any:
        return (frame for frame, _ in zip(frames(self, *args, **how), range(scans), strict=False))

    monkeypatch.setattr(BagReader, "frames", first)


# ---- what a bag may lack


def test_without_ground_truth_the_teacher_decides(drive: Path, worse: Path, clip: None, tmp_path: Path) -> None:
    bag = without(drive, tmp_path / "blind.mcap", TRUTH)
    run = clip2scene("compare", DEMO_CHECKPOINT, worse, bag, "--out", tmp_path / "out")
    assert run.returncode == terminal.WORSE, run.stderr
    assert "B is worse than A by agreement with the teacher" in run.stdout
    report = report_of(tmp_path / "out")
    assert report["measures"]["miou"]["a"] is None
    assert report["measures"]["calibration"]["title"].endswith("against the teacher")
    assert any("No ground truth" in note for note in report["notes"])
    assert any("Stability without ground truth" in note for note in report["notes"])
    assert "It is right on" not in " ".join(report["notes"])


# ---- page


def test_the_page_has_every_part_and_asks_nothing_of_the_network(judged: tuple[Any, Path]) -> None:
    page, report = (judged[1] / "report.html").read_text(), report_of(judged[1])
    for part in (
        "Which is better?", "Where they differ most", "Classes</h2>", "What A calls so", "Calibration</h2>", "Made by",
        "A is better", "decides", "only A is right", "ground truth, cam", "where they differ", "as sure as right",
        "agreement with the teacher [%]", "stability from scan to scan [%]", "latency of a scan, median [ms]",
    ):  # fmt: skip
        assert part in page, part
    assert report["conclusion"] in page
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert "script" not in tags.met
    assert tags.met.count("img") in (4 + 7, 7 + 7, 4 + 4 + 7, 7 + 7 + 7, 4 + 7 + 7)
