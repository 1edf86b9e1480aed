"""What `clip2scene demo` does; `cli` hands in what lies on other floors: the world, and the live node."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from clip2scene_ros import vocabulary
from clip2scene_ros.classes import ClassSet
from clip2scene_ros.demo.clock import StageClock
from clip2scene_ros.demo.folder import DemoFolder, labelled_frames
from clip2scene_ros.demo.teacher import Lesson, try_to_teach
from clip2scene_ros.evaluation import Evaluation, evaluate
from clip2scene_ros.metrics import distance_bands
from clip2scene_ros.render import save_png, summary_picture
from clip2scene_ros.report.evaluation import build_report, headline, sha256_of, table, weights_sha256, write_report
from clip2scene_ros.report.page import write_page
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.terminal import complain, say
from clip2scene_ros.viewer import Viewer, open_viewer

STUDENT = DEMO_CHECKPOINT.with_name("student.safetensors")
"""The demo's student, which learned without labels; `--checkpoint` takes any other."""


class Played(Protocol):
    """What became of the clouds that were sent to the live node: `nodes.replay.Replay`.

    Attributes:
        sent: clouds sent.
        labelled: clouds whose labels came back.
        latency_ms: from sending a cloud to receiving its labels [ms], in order.
    """

    sent: int
    labelled: int
    latency_ms: list[float]


WriteDrive = Callable[[Path], None]
Play = Callable[[Path, Path], Played]


def demo_command(args: argparse.Namespace, world: dict[str, Any], write_drive: WriteDrive, play: Play) -> None:
    """Write a drive, play it into the live node, have CLIP label some of it, score and picture all labels.

    Args:
        args: as `arguments.parse` made them; their `segmenter` becomes the one that is shown.
        world: what, beside seed and length, decides how a drive looks.
        write_drive: writes the drive that `args` ask for at a path where no file is.
        play: plays the first bag into a live node with the settings of `args`, and records its labels in the second.
    """
    # All that can be wrong is found here, before the long work: extras, folder, checkpoint.
    made_by = {**world, "seed": args.seed, "seconds": args.seconds}
    folder, clock, viewer = DemoFolder(args.out), StageClock(say), open_viewer(args.viewer)
    student = _student(args)
    class_set, notice = student.class_set, student.card.notice

    with clock.stage("drive") as note:
        kept = folder.keep_or_write_drive(made_by, write_drive)
        note(f"{args.seconds:g} s of the synthetic world, {'kept from before' if kept else 'written'}")
    with clock.stage("live") as note:
        folder.clear_results()
        played = play(folder.drive, folder.labelled)
        note(f"{played.labelled} of {played.sent} clouds labelled by the node, over DDS")
    with clock.stage("teacher") as note:
        lesson, why_not = try_to_teach(folder.drive, class_set)
        note(why_not if lesson is None else f"{len(lesson.kept)} scans labelled by CLIP from their images")
    with clock.stage("score") as note:
        result, report = score(folder, student, played.latency_ms, made_by, args, lesson)
        write_report(folder.report, report)
        note(f"{result.frames} scans against their ground truth")
    with clock.stage("picture") as note:
        _draw(folder, result, report, lesson, notice)
        note("the scan with most classes")
    clock.total()
    _tell(folder, report, "" if lesson is None else lesson.verdict(result), notice)
    _show(viewer, folder, class_set, notice)


def score(
    folder: DemoFolder,
    student: Segmenter,
    latency_ms: list[float],
    made_by: dict[str, Any],
    args: argparse.Namespace,
    lesson: Lesson | None,
) -> tuple[Evaluation, dict[str, Any]]:
    """Compare the recorded labels with the drive's ground truth; return the evaluation and its report.

    Args:
        folder: holds the drive and the labelled bag.
        student: whose labels they are.
        latency_ms: measured while the labels were recorded [ms].
        made_by: what made the drive, for the report.
        args: name the weights and the command line.
        lesson: what a teacher has labelled of the drive; then the student is also scored on the same points.
    """
    class_set, notice = student.class_set, student.card.notice
    with labelled_frames(folder, class_set, images=lesson is None) as labelled:
        watched = labelled if lesson is None else lesson.watch(labelled)
        result = evaluate(watched, class_set, groups=distance_bands if lesson is None else lesson.groups)
    result.latency_ms = latency_ms
    report = build_report(
        result,
        data_sha256=sha256_of(folder.drive),
        weights_sha256=weights_sha256(args.segmenter),
        world=made_by,
        command=args.command_line,
        tables=None if lesson is None else {"The teacher's labels and the student": lesson.table(result)},
        notes=[f"{notice}.", *([] if lesson is None else [f"{lesson.notice}."])],
    )
    return result, report


def _student(args: argparse.Namespace) -> Segmenter:
    """Load the student that is asked for, the demo's own where none is, and say what it is."""
    args.segmenter = replace(args.segmenter, checkpoint=args.segmenter.checkpoint or str(STUDENT))
    student = vocabulary.load_segmenter(args.segmenter)
    complain(student.describe())
    return student


def _draw(folder: DemoFolder, result: Evaluation, report: dict[str, Any], lesson: Lesson | None, notice: str) -> None:
    """Draw the scan that shows most, and write the page around the picture."""
    if lesson is not None:
        footer = f"{headline(report)}; {lesson.verdict(result)}\nStudent: {notice}.\n{lesson.notice}."
        lesson.draw(folder.picture, footer)
    elif result.example is not None:
        frame, segmentation = result.example
        footer = f"{headline(report)}; {notice}."
        save_png(folder.picture, summary_picture(frame, segmentation, result.class_set, "clip2scene demo", footer))
    write_page(folder.page, report, {"The scan with most classes": folder.picture})


def _tell(folder: DemoFolder, report: dict[str, Any], verdict: str, notice: str) -> None:
    """Say the figures, and where everything is."""
    say(f"\n{table(report)}\n  from sending a cloud to receiving its labels, between two processes\n")
    say(f"{verdict}\n" if verdict else "")
    say(f"picture:      {folder.picture}\nlabelled bag: {folder.labelled}\nreport:       {folder.page}\n\n{notice}.")


def _show(viewer: Viewer, folder: DemoFolder, class_set: ClassSet, notice: str) -> None:
    """Show the labelled scans in the browser, where that was asked for, until Ctrl-C."""
    with labelled_frames(folder, class_set) as labelled:
        viewer.show(labelled, class_set, notice)
    say(f"viewer:       {viewer.url} until Ctrl-C" if viewer.url else "")
    viewer.wait()
