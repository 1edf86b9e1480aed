"""`clip2scene compare` on a small street: gates, what a bag may lack, other classes, and all that can go wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import clip2scene, one_line_error
from comparisons import report_of, without
from small_street import START_NS, STEP_NS, write_street, write_student

from clip2scene_ros import arguments, terminal
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.compare import command as compare_command
from clip2scene_ros.compare import pictures as compare_pictures
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image


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


# ---- gates


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


@pytest.mark.parametrize(
    ("gate", "why"), [("miou", "no ground truth on /ground"), ("agreement", "no teacher was asked for")]
)
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


def test_without_images_and_poses_the_rest_is_told(street: Path, student: Path, tmp_path: Path) -> None:
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


def test_where_the_default_teacher_cannot_be_had_the_way_out_is_told(
    street: Path, student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise BadTeacher("missing", "There is no open_clip: pip install '.[clip]'.")

    monkeypatch.setattr(compare_command.ClipTeacher, "load", absent)
    words = ("compare", student, student, street, "--out", tmp_path / "out")
    one_line_error(clip2scene(*words), "no open_clip", "--teacher none")
    assert "--teacher none" not in clip2scene(*words, "--teacher", "tiny").stderr


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


def test_names_from_outside_cannot_break_the_page(street: Path, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>"
    path = write_student(tmp_path / "s.safetensors", load_class_set(f"{nasty}; road"))
    run = clip2scene("compare", path, path, street, "--out", tmp_path / "out", "--teacher", "none")
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "out" / "report.html").read_text()
    assert nasty not in page
    assert "&lt;script&gt;" in page
