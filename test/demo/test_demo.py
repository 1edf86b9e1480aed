"""The demo: its folder, its clock, and one short run of the whole path, the live node and DDS included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_street import START_NS, scan_and_labels, write_student

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.demo.clock import StageClock
from clip2scene_ros.demo.folder import DemoFolder
from clip2scene_ros.demo.teacher import Lesson
from clip2scene_ros.errors import BadConfig, BadTeacher
from clip2scene_ros.evaluation import Evaluation, evaluate
from clip2scene_ros.frame import Frame, PseudoLabels, Segmentation
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.label.labelling import segmentation_of
from clip2scene_ros.metrics import confusion, mean_iou
from clip2scene_ros.offline import LABELS
from clip2scene_ros.render_sides import BIRD_PX, sides_picture
from clip2scene_ros.report.evaluation import sha256_of
from clip2scene_ros.teacher.labeler import Evidence, LabelledFrame
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.viewer import NullViewer, color_points, colorings, legend_html, open_viewer

WORLD = {"seed": 7, "seconds": 8.0, "version": "world-1"}


def write_text(path: Path) -> None:
    path.write_text("a drive")


def test_the_drive_is_written_once_and_kept(tmp_path: Path) -> None:
    assert not DemoFolder(tmp_path / "out").keep_or_write_drive(WORLD, write_text)
    folder = DemoFolder(tmp_path / "out")
    assert folder.keep_or_write_drive(dict(WORLD), lambda path: pytest.fail(f"{path} is written again"))
    assert folder.drive.read_text() == "a drive"


@pytest.mark.parametrize("change", ["seed", "bytes", "card", "gone"])
def test_another_drive_or_a_changed_one_is_written_anew(tmp_path: Path, change: str) -> None:
    DemoFolder(tmp_path).keep_or_write_drive(WORLD, write_text)
    folder = DemoFolder(tmp_path)
    if change == "bytes":
        folder.drive.write_text("b drive")
    elif change == "card":
        (tmp_path / "drive.json").write_text("[1, 2")
    elif change == "gone":
        folder.drive.unlink()
    wanted = {**WORLD, "seed": 8} if change == "seed" else WORLD
    assert not folder.keep_or_write_drive(wanted, write_text)
    assert folder.drive.read_text() == "a drive"
    assert folder.keep_or_write_drive(wanted, write_text)


def test_a_drive_whose_writing_failed_is_not_kept(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half a dri")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DemoFolder(tmp_path).keep_or_write_drive(WORLD, fail)
    assert not DemoFolder(tmp_path).keep_or_write_drive(WORLD, write_text)


def test_old_results_go_and_the_drive_stays(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    folder.keep_or_write_drive(WORLD, write_text)
    for name in ("labelled.mcap", "report.json", "report.html", "demo.png", "notes.txt"):
        (tmp_path / name).write_text("old")
    folder.clear_results()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drive.json", "drive.mcap", "notes.txt"]


def test_a_folder_with_files_of_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labelled.mcap").write_text("precious")
    with pytest.raises(BadConfig, match=r"labelled\.mcap was not made by the demo"):
        DemoFolder(tmp_path)
    with pytest.raises(BadConfig, match="is a file"):
        DemoFolder(tmp_path / "labelled.mcap")
    assert (tmp_path / "labelled.mcap").read_text() == "precious"


def test_each_stage_is_told_with_its_seconds() -> None:
    lines: list[str] = []
    clock = StageClock(lines.append)
    with clock.stage("drive") as note:
        note("written")
    assert list(clock.seconds) == ["drive"]
    assert lines[0].split() == ["drive", f"{clock.seconds['drive']:.1f}", "s", "written"]


def run_demo(folder: Path, student: Path) -> str:
    words = ["demo", "--out", str(folder), "--seconds", "0.3", "--seed", "3", "--checkpoint", str(student)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VIEWER": "0"}
    run = subprocess.run(
        [sys.executable, "-m", "clip2scene_ros.cli", *words],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_demo_from_the_world_to_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed (extra `ros`)")
    pytest.importorskip("embreex", reason="embreex is not installed (extra `train`)")
    student = write_student(tmp_path / "random.safetensors")
    out = tmp_path / "demo_out"
    said = run_demo(out, student)
    for words in ("6 of 6 clouds labelled by the node", "mIoU", "random weights, for tests only", "labelled.mcap"):
        assert words in said
    first = json.loads((out / "report.json").read_text())
    assert first["frames"] == 6
    assert first["world"]["seed"] == 3
    assert first["data_sha256"] == sha256_of(out / "drive.mcap")
    assert first["weights_sha256"] == sha256_of(student)
    assert 0 < first["latency_ms"]["p50"] <= first["latency_ms"]["max"]
    with BagReader(out / "labelled.mcap") as bag:
        assert bag.topics[LABELS][1] == 6
    assert "data:image/" in (out / "report.html").read_text()
    picture = np.asarray(Image.open(out / "demo.png"))
    assert picture.shape[1] >= 1000
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    check_teacher(said, first)

    card = json.loads((out / "drive.json").read_text())
    assert DemoFolder(out).keep_or_write_drive(card["world"], lambda path: pytest.fail("the drive is written again"))


def check_teacher(said: str, report: dict[str, Any]) -> None:
    """The teacher has labelled one of six scans, and what it is worth stands beside the student on the same points."""
    try:
        open_clip()
    except BadTeacher:
        assert "none: open_clip" in said
        return
    assert "1 scans labelled by CLIP from their images" in said
    (rows,) = [table["rows"] for table in report["tables"].values()]
    (name, points, worth, mine), (_, others, nobody, _) = rows
    assert (name, nobody) == ("labelled by the teacher", None)
    assert (
        f"on the {points:,} points that the teacher labels in 1 scans: its labels {worth:.1f}, the student {mine:.1f}"
        in said
    )
    assert report["groups"]["labelled by the teacher"]["points"] == points
    assert report["groups"]["not labelled by the teacher"]["points"] == others > 0
    assert any("CLIP tiny" in note and "captions" in note for note in report["notes"])


def lesson(*, said: int) -> tuple[Lesson, Evaluation]:
    """Three scans, of which the first and the last are labelled: half of their points, all but ten of these rightly.

    The student says `said` everywhere.
    """
    world, kept, frames = load_class_set("world"), {}, []
    for i in range(3):
        scan, labels = scan_and_labels(i)
        frames.append(Frame(scan, labels=labels))
        own = np.where(np.arange(len(scan)) < 300, labels, 255).astype(np.uint8)
        own[:10] = said
        if i != 1:
            pseudo = PseudoLabels(own, np.ones(len(scan), np.float32))
            kept[scan.stamp_ns] = LabelledFrame(frames[-1], pseudo, (), Evidence())
    asked = (
        (replace(each.frame, labels=np.where(each.labels.class_id == 255, 255, each.frame.labels).astype(np.uint8)),
         segmentation_of(each.labels, len(world)))
        for each in kept.values()
    )  # fmt: skip
    made = Lesson(world, "Teacher: nobody", kept, evaluate(asked, world))
    same = ((f, Segmentation(np.full(600, said, np.uint8), np.ones(600, np.float32), np.zeros(600, np.float32)))
            for f in frames)  # fmt: skip
    return made, evaluate(made.watch(same), world, groups=made.groups)


def test_teacher_and_student_are_scored_on_the_same_points() -> None:
    world = load_class_set("world")
    made, student = lesson(said=world.index("car"))
    (_, points, worth, mine), (_, others, nobody, there) = made.table(student)["rows"]
    assert (points, others, nobody) == (600, 600, None)
    frames = [each for each in made.kept.values()]
    truth = np.concatenate([each.frame.labels[:300] for each in frames])
    labels = np.concatenate([each.labels.class_id[:300] for each in frames])
    assert worth == pytest.approx(100 * mean_iou(confusion(truth, labels, len(world))))
    car = np.full(600, world.index("car"))
    assert mine == pytest.approx(100 * mean_iou(confusion(truth, car, len(world))))
    rest = np.concatenate([each.frame.labels[300:] for each in frames])
    assert there == pytest.approx(100 * mean_iou(confusion(rest, car, len(world))))
    assert made.example is not None
    assert made.example[0] is frames[-1].frame  # three classes; the first scan has one


def test_all_sides_of_the_picture_show_the_same_scan() -> None:
    made, _ = lesson(said=0)
    assert made.example is not None
    frame, student, teacher = made.example
    assert frame.labels is not None
    sides = {"teacher": teacher.class_id, "student": student.class_id, "ground truth": frame.labels}
    world = load_class_set("world")
    picture = sides_picture(frame, sides, world, "A title", "A footer")
    assert picture.shape[1] == 1920
    alike = sides_picture(frame, dict.fromkeys(sides, frame.labels), world)
    birds = [alike[-BIRD_PX - 34 : -34, x : x + BIRD_PX] for x in (24, 24 + BIRD_PX + 12, 24 + 2 * (BIRD_PX + 12))]
    below = [bird[60:] for bird in birds]  # without the plates that name them
    assert (below[0] == below[1]).all()
    assert (below[1] == below[2]).all()
    assert len(np.unique(below[0].reshape(-1, 3), axis=0)) > 5


# ---- viewer


def labelled() -> tuple[Frame, Segmentation]:
    scan, labels = scan_and_labels(2)
    predicted = labels.copy()
    predicted[:10] = 0
    return Frame(scan, labels=labels), Segmentation(
        predicted, np.ones(len(scan), np.float32), np.linspace(0, 1, len(scan), dtype=np.float32)
    )


def test_each_colouring_shows_what_its_name_says() -> None:
    world, (frame, segmentation) = load_class_set("world"), labelled()
    assert frame.scan.stamp_ns > START_NS
    assert colorings((frame, segmentation)) == ["class", "ground truth", "right and wrong", "entropy"]
    assert colorings((Frame(frame.scan), segmentation)) == ["class", "entropy"]
    colors = {name: color_points(frame, segmentation, world, name) for name in colorings((frame, segmentation))}
    assert (colors["class"][:10] == world.palette[0]).all()
    np.testing.assert_array_equal(colors["ground truth"], world.palette[frame.labels])
    wrong = (colors["right and wrong"] == colors["right and wrong"][0]).all(axis=1)
    assert wrong.sum() == 10
    assert colors["entropy"][0, 2] > colors["entropy"][-1, 2]
    assert all(value.shape == (600, 3) and value.dtype == np.uint8 for value in colors.values())


def test_class_names_cannot_bring_code_into_the_page() -> None:
    from clip2scene_ros.classes import ClassSet

    hostile = ClassSet.from_json('{"name": "x", "classes": [{"name": "<script>alert(1)</script>"}]}')
    assert "<script" not in legend_html(hostile)


def test_no_viewer_is_opened_unasked() -> None:
    viewer = open_viewer(False)
    assert isinstance(viewer, NullViewer)

    def untouched() -> object:
        pytest.fail("the frames are read")
        yield

    viewer.show(untouched(), load_class_set("world"), "title")  # type: ignore[arg-type]
    viewer.wait()
