"""`clip2scene compare` as its user meets it: two checkpoints and a bag in; a verdict, a page and an exit code out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import clip2scene
from small_street import START_NS, STEP_NS, write_street, write_student

from clip2scene_ros import arguments, compare_pictures, terminal
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import with_settings
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.io.bags import BagReader, BagWriter
from clip2scene_ros.report import sha256_of
from clip2scene_ros.student.checkpoint import load_checkpoint, save_checkpoint
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image
from clip2scene_ros.teacher.openclip import open_clip

WORLD = load_class_set("world")
TRUTH = "/ground_truth/points"
VOID_TAGS = {"meta", "img", "line", "polyline"}


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


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve scans without odometry."""
    return write_street(tmp_path_factory.mktemp("street") / "drive.mcap", clouds=12, points=300)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student") / "random.safetensors")


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


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def one_line_error(run: subprocess.CompletedProcess[str], *words: str) -> None:
    assert run.returncode == 1, run.stderr
    last = run.stderr.splitlines()[-1]
    assert "error: " in last
    for word in words:
        assert word in last
    assert "Traceback" not in run.stderr


def without(source: Path, target: Path, *topics: str) -> Path:
    with BagReader(source) as bag, BagWriter(target) as out:
        for topic, kind, stamp_ns, data in bag.raw():
            if topic not in topics:
                out.write_raw(topic, kind, data, stamp_ns, latched=topic in bag.latched, types=bag.types)
    return target


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
    assert here["agreement"]["why"] == "none was asked for"


def test_the_same_run_gives_the_same_report_and_page_but_for_latency(
    street: Path, student: Path, tmp_path: Path
) -> None:
    reports, pages = [], []
    for name in ("one", "two"):
        out = ("--out", tmp_path / name, "--teacher", "none")
        assert clip2scene("compare", student, DEMO_CHECKPOINT, street, *out).returncode in (0, terminal.WORSE)
        reports.append(report_of(tmp_path / name))
        pages.append(
            (tmp_path / name / "report.html").read_text().split("Where they differ most")[1].split("Made by")[0]
        )
        assert reports[-1].pop("latency_ms")["A"]["p50"] > 0
        assert reports[-1]["measures"].pop("latency")["ratio"] > 0
        assert str(tmp_path / name) in reports[-1].pop("command")
    assert reports[0] == reports[1]
    assert pages[0] == pages[1]
    assert pages[0].count("<img") > 3


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


def test_a_gate_by_latency_fails_a_student_that_is_made_slower(
    street: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, asked = Segmenter.segment, []

    def slower(self: Segmenter, scan: Any) -> Any:
        asked.append(self)
        said = segment(self, scan)
        said.processing_ms["total"] = 11.0 if len(asked) > 1 and self is asked[1] else 10.0  # the first two: A and B
        return said

    monkeypatch.setattr(Segmenter, "segment", slower)
    words = ("compare", student, student, street, "--out", tmp_path / "out", "--teacher", "none", "--gate", "latency")
    run = clip2scene(*words)
    assert run.returncode == terminal.WORSE, run.stderr
    assert report_of(tmp_path / "out")["measures"]["latency"]["ratio"] == pytest.approx(1.1)
    a, b = asked[:2]
    assert asked[2:] == [a, b, b, a] * 6  # in turns, so that nobody is always first


@pytest.mark.parametrize(("gate", "why"), [("miou", "no ground truth on /ground"), ("agreement", "none was asked for")])
def test_a_gate_that_the_bag_cannot_judge_is_an_error_before_the_work(
    gate: str, why: str, student: Path, tmp_path: Path
) -> None:
    bag = write_street(tmp_path / "blind.mcap", truth=False)
    words = ("compare", student, student, bag, "--out", tmp_path / "out", "--teacher", "none", "--gate", gate)
    one_line_error(clip2scene(*words), f"--gate {gate} cannot decide", why)
    assert not (tmp_path / "out").exists()


def test_a_gate_that_turns_out_not_to_be_judgeable_fails_and_leaves_the_report(
    street: Path, student: Path, tmp_path: Path
) -> None:
    words = ("compare", student, student, street, "--out", tmp_path / "out", "--teacher", "none")
    one_line_error(clip2scene(*words, "--gate", "stability"), "cannot be told", "no scan has a pose", "Odometry")
    assert report_of(tmp_path / "out")["measures"]["stability"]["a"] is None
    few = write_street(tmp_path / "few.mcap", clouds=4)
    run = clip2scene("compare", student, student, few, "--out", tmp_path / "few", "--teacher", "none")
    one_line_error(run, "at least 6 scans", "there are 4")
    assert report_of(tmp_path / "few")["measures"]["miou"]["a"] is not None


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


def test_without_images_and_poses_the_rest_is_told(street: Path, student: Path, worse: Path, tmp_path: Path) -> None:
    bag = without(street, tmp_path / "dark.mcap", "/cam_front/image/compressed")
    run = clip2scene("compare", student, DEMO_CHECKPOINT, bag, "--out", tmp_path / "out", "--teacher", "tiny")
    assert run.returncode == 0, run.stderr
    assert "No teacher: the bag has no images." in run.stdout
    assert "stability from scan to scan: no scan has a pose" in run.stdout
    report = report_of(tmp_path / "out")
    assert report["measures"]["miou"]["better"] in ("", "B")
    assert (tmp_path / "out" / "report.html").read_text().count("<img") % 4 == 0


def test_label_images_of_another_segmenter_are_a_teacher(street: Path, student: Path, tmp_path: Path) -> None:
    ids = np.full((90, 160), 1, np.uint8)
    write_classes(tmp_path / "t", load_class_set("sky; road, street"))
    for i in range(0, 12, 3):
        write_teacher_image(tmp_path / "t", "cam_front", START_NS + i * STEP_NS, ids)
    words = ("compare", student, student, street, "--out", tmp_path / "out", "--teacher", tmp_path / "t")
    assert clip2scene(*words).returncode == 0
    taught = report_of(tmp_path / "out")["classes"]
    assert taught["driveable surface"]["iou_with_teacher"] is not None  # whose words hold `road`
    write_classes(tmp_path / "t", load_class_set("sky; unicorn"))
    one_line_error(clip2scene(*words, "--overwrite"), "None of the teacher's classes (sky, unicorn)", "--teacher")


# ---- class sets


def test_other_classes_are_refused_with_both_sides_named_and_scored_in_common_words(
    street: Path, student: Path, tmp_path: Path
) -> None:
    words = load_class_set("driveable surface, road; car, van; manmade, wall")
    other = write_student(tmp_path / "other.safetensors", words)
    run = clip2scene("compare", student, other, street, "--out", tmp_path / "out", "--teacher", "none")
    one_line_error(
        run, str(student), str(other), "the 15 of `world`", "the 3 of `words`", "only A has barrier", "--classes"
    )
    assert not (tmp_path / "out").exists()
    asked = ("--classes", "road; car; wall")
    run = clip2scene("compare", student, other, street, "--out", tmp_path / "out", "--teacher", "none", *asked)
    assert run.returncode in (0, terminal.WORSE), run.stderr
    assert list(report_of(tmp_path / "out")["classes"]) == ["road", "car", "wall"]
    lacking = ("--classes", "driveable surface; bus", "--overwrite")
    run = clip2scene("compare", student, other, street, "--out", tmp_path / "out", "--teacher", "none", *lacking)
    one_line_error(run, f"B ({other})", "no vectors for bus")


# ---- what goes wrong


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "required: A, B, BAG, --out"),
        (("a", "b", "--out", "x"), "required: BAG"),
        (("a", "b", "bag"), "--out"),
        (("a", "b", "bag", "--out", "x", "--gate", "beauty"), "beauty"),
        (("a", "b", "bag", "--out", "x", "--checkpoint", "c"), "unrecognized arguments: --checkpoint c"),
        (("a", "b", "bag", "--out", "x", "--max-range-m", "-4"), "`max_range_m` expects a value in"),
    ],
)
def test_wrong_usage_exits_with_2(words: tuple[str, ...], complaint: str) -> None:
    run = clip2scene("compare", *words)
    assert run.returncode == terminal.BAD_USAGE
    assert complaint in run.stderr


def test_the_settings_of_the_segmenter_are_those_of_both() -> None:
    args = arguments.parse(["compare", "a", "b", "bag", "--out", "x", "--max-range-m", "30"])
    assert (args.a, args.b, args.segmenter.max_range_m, args.segmenter.checkpoint) == ("a", "b", 30.0, "")


def test_broken_files_are_named_with_their_side(street: Path, student: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(student.read_bytes()[:5000])
    out = ("--out", tmp_path / "out", "--teacher", "none")
    one_line_error(clip2scene("compare", student, broken, street, *out), "error: B: ", "broken.safetensors")
    one_line_error(clip2scene("compare", tmp_path / "gone.safetensors", student, street, *out), "error: A: ", "gone")
    one_line_error(clip2scene("compare", student, student, tmp_path / "gone.mcap", *out), "No bag at")
    one_line_error(clip2scene("compare", student, student, street, *out[:2], "--teacher", "nobody"), "no such folder")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("precious")
    one_line_error(clip2scene("compare", student, student, street, *out), "report.html exists", "--overwrite")
    assert (tmp_path / "out" / "report.html").read_text() == "precious"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_when_stopped_it_tells_what_was_compared(
    sent: signal.Signals, code: int, street: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment, asked = Segmenter.segment, []

    def stopping(self: Segmenter, scan: Any) -> Any:
        asked.append(scan)
        if len(asked) == 2 + 2 * 7:  # B labels the seventh scan
            os.kill(os.getpid(), sent)
        return segment(self, scan)

    monkeypatch.setattr(Segmenter, "segment", stopping)
    run = clip2scene("compare", student, student, street, "--out", tmp_path / "out", "--teacher", "none")
    assert run.returncode == code
    assert "interrupted" in run.stderr
    report = report_of(tmp_path / "out")
    assert report["scans"] == 7
    assert "7 of 12 scans were compared." in report["notes"]
    assert (tmp_path / "out" / "report.html").read_text().endswith("</html>\n")


def test_a_cloud_that_cannot_be_read_is_counted(student: Path, tmp_path: Path) -> None:
    bag = write_street(tmp_path / "drive.mcap", clouds=8, broken=2)
    run = clip2scene("compare", student, student, bag, "--out", tmp_path / "out", "--teacher", "none")
    assert run.returncode == 0, run.stderr
    report = report_of(tmp_path / "out")
    assert report["scans"] == 7
    assert sum(report["left_out"].values()) == 1
    assert any("clouds that could not be read" in note for note in report["notes"])


# ---- page


class Tags(HTMLParser):
    """Notes tags that are open, and all that were met."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.met.append(tag)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.met.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


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


def test_names_from_outside_cannot_break_the_page(street: Path, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    path = write_student(tmp_path / "s.safetensors", load_class_set(f"{nasty}; road"))
    run = clip2scene("compare", path, path, street, "--out", tmp_path / "out", "--teacher", "none")
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "out" / "report.html").read_text()
    assert nasty not in page
    assert "&lt;script&gt;" in page
