"""What the teacher's labels are worth, and what the student makes of the same points; for validation data alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from clip2scene_ros.evaluation import Evaluation, Labelled, evaluate
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Scan
from clip2scene_ros.label.labelling import segmentation_of
from clip2scene_ros.metrics import distance_bands, mean_iou
from clip2scene_training.batching import FrameDataset
from clip2scene_training.pseudo_labels import PseudoLabelled

LABELLED, UNLABELLED = "labelled by the teacher", "not labelled by the teacher"
"""Points that a camera of the teacher sees, and the others."""


class LabelQuality:
    """Labels of frames whose truth is known.

    Attributes:
        evaluation: the labels against the truth; an unlabelled point is unknown.
    """

    def __init__(self, labels: PseudoLabelled, truth: FrameDataset) -> None:
        """Look at all frames; `truth` has the same as `labels`, with ground truth."""
        self._known: dict[int, Array] = {}
        self.evaluation: Evaluation = evaluate(self._labelled(labels, truth), labels.class_set, groups=self.groups)

    def groups(self, frame: Frame) -> Mapping[str, Array]:
        """Return a frame's points by distance, and by whether the teacher has labelled them."""
        known = self._known[_checksum(frame.scan)]
        return {**distance_bands(frame), LABELLED: known, UNLABELLED: ~known}

    @property
    def miou(self) -> float:
        """Return the labels' mIoU on the points that have one; NaN where none has."""
        return mean_iou(self.evaluation.groups[LABELLED]) if self.evaluation.groups else float("nan")

    def table(self, groups: Mapping[str, Any]) -> dict[str, Any]:
        """Return a report's table of labels and student on the same points.

        Args:
            groups: of the student's report.
        """
        rows: list[Sequence[Any]] = []
        for name in (LABELLED, UNLABELLED):
            matrix = self.evaluation.groups[name]
            mine = None if name == UNLABELLED or not matrix.any() else 100 * mean_iou(matrix)
            other = groups[name]["miou"]
            rows.append([name, int(matrix.sum()), mine, None if other is None else 100 * other])
        return {"columns": ["points", "how many", "labels, mIoU [%]", "student, mIoU [%]"], "rows": rows}

    def _labelled(self, labels: PseudoLabelled, truth: FrameDataset) -> Iterator[Labelled]:
        for number in range(len(labels)):
            frame, found = truth[number], labels.labelled(number).labels
            self._known[_checksum(frame.scan)] = found.class_id != UNKNOWN
            yield frame, segmentation_of(found, len(labels.class_set))


def _checksum(scan: Scan) -> int:
    return zlib.crc32(np.ascontiguousarray(scan.points).tobytes())
