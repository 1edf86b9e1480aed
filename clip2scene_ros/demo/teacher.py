"""The demo's teacher: the shipped CLIP labels some scans of the drive, and student and teacher are scored alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import ClipConfig, LabelerConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.evaluation import SEEN_POINTS, Evaluation, Labelled, evaluate
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Segmentation
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.label.labelling import segmentation_of
from clip2scene_ros.metrics import distance_bands, mean_iou
from clip2scene_ros.render import save_png
from clip2scene_ros.render_sides import sides_picture
from clip2scene_ros.teacher.labeler import Labeler, LabelledFrame
from clip2scene_ros.teacher.teachers import TINY, ClipTeacher
from clip2scene_ros.truth import truth_frames

EVERY = 8
"""Of so many scans with images one is labelled: every 0.8 s, near enough to know the vehicle's way between them."""
LABELLED, UNLABELLED = "labelled by the teacher", "not labelled by the teacher"


@dataclass(eq=False)
class Lesson:
    """Scans that a teacher has labelled, and what a student said of them.

    Attributes:
        class_set: of both.
        notice: the teacher's, and whose it is.
        kept: stamp [ns] -> the frame, with ground truth, and its labels.
        evaluation: the labels against the ground truth, of points that have one.
        example: the scan with most classes, with the student's answer and the teacher's; None before any was watched.
    """

    class_set: ClassSet
    notice: str
    kept: dict[int, LabelledFrame]
    evaluation: Evaluation
    example: tuple[Frame, Segmentation, Segmentation] | None = None
    _most: int = field(default=-1, repr=False)

    def groups(self, frame: Frame) -> Mapping[str, Array]:
        """Return a scan's points by distance and, of scans that the teacher has labelled, by whether it did."""
        bands = distance_bands(frame)
        if (each := self.kept.get(frame.scan.stamp_ns)) is None:
            return bands
        known = each.labels.class_id != UNKNOWN
        return {**bands, LABELLED: known, UNLABELLED: ~known}

    def watch(self, labelled: Iterator[Labelled]) -> Iterator[Labelled]:
        """Pass a student's answers on, and keep the one of the scan that shows most."""
        for frame, said in labelled:
            each = self.kept.get(frame.scan.stamp_ns)
            if each is not None and frame.labels is not None:
                shown = int((np.bincount(frame.labels, minlength=256)[:UNKNOWN] >= SEEN_POINTS).sum())
                if shown > self._most:
                    own = segmentation_of(each.labels, len(self.class_set))
                    self._most, self.example = shown, (each.frame, said, own)
            yield frame, said

    def table(self, student: Evaluation) -> dict[str, Any]:
        """Return a report's table of labels and student on the same points."""
        rows = []
        for name, mine in ((LABELLED, self.evaluation.matrix), (UNLABELLED, None)):
            theirs = student.groups.get(name, np.zeros((1, 2), np.int64))
            rows.append([name, int(theirs.sum()), _percent(mine), _percent(theirs)])
        return {"columns": ["points", "how many", "labels, mIoU [%]", "student, mIoU [%]"], "rows": rows}

    def verdict(self, student: Evaluation) -> str:
        """Return two lines: mIoU of the teacher's labels and of the student on the same points, and elsewhere."""
        (_, points, worth, mine), (_, others, _, there) = self.table(student)["rows"]
        return (
            f"mIoU on the {points:,} points that the teacher labels in {len(self.kept)} scans: its labels "
            f"{_text(worth)}, the student {_text(mine)}\n"
            f"mIoU on the {others:,} points there that it does not label: the student {_text(there)}"
        )

    def draw(self, path: Path, footer: str) -> None:
        """Draw the scan with most classes of those that the teacher has labelled: teacher, student and truth."""
        if self.example is not None and (labels := self.example[0].labels) is not None:
            frame, student, teacher = self.example
            sides = {"teacher": teacher.class_id, "student": student.class_id, "ground truth": labels}
            save_png(path, sides_picture(frame, sides, self.class_set, "clip2scene demo", footer))


def try_to_teach(drive: Path, class_set: ClassSet) -> tuple[Lesson | None, str]:
    """Return what `teach` does, or None and why CLIP says nothing of the drive."""
    try:
        return teach(drive, class_set), ""
    except BadTeacher as error:
        return None, f"none: {error}"


def teach(drive: Path, class_set: ClassSet, every: int = EVERY) -> Lesson:
    """Have the shipped CLIP label one of `every` scans with images, by the labeler's defaults.

    Raises:
        BadTeacher: open_clip is not there.
        BadBag: the drive cannot be read, or has no ground truth.
    """
    teacher = ClipTeacher.load(class_set, ClipConfig(checkpoint=TINY))
    with BagReader(drive) as bag:
        frames = (frame for frame in truth_frames(bag, class_set) if frame.views)
        found = list(Labeler(teacher, LabelerConfig()).label(islice(frames, 0, None, every)))
    # a point without a label is nobody's mistake here: it is counted among the others
    asked = (
        (_with_truth_where(each.frame, each.labels.class_id != UNKNOWN), segmentation_of(each.labels, len(class_set)))
        for each in found
    )
    notice = f"Teacher: CLIP {teacher.model}{f', {teacher.notice}' if teacher.notice else ''}"
    kept = {each.frame.scan.stamp_ns: each for each in found}
    return Lesson(class_set, notice, kept, evaluate(asked, class_set))


def _with_truth_where(frame: Frame, known: Array) -> Frame:
    labels = None if frame.labels is None else np.where(known, frame.labels, np.uint8(UNKNOWN))
    return Frame(frame.scan, frame.views, frame.world_from_lidar, labels, frame.instances)


def _percent(matrix: Array | None) -> float | None:
    return None if matrix is None or not matrix.any() else 100 * mean_iou(matrix)


def _text(percent: float | None) -> str:
    return "-" if percent is None else f"{percent:.1f}"
