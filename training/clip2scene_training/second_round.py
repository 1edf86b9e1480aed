"""A second round: a student's own predictions are the labels of the next one, also where no camera sees.

No image is looked at again. What the first student says of each point goes through the labeler's rules - the ground is
flat, a thing is of one class - and each class keeps its surest points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import LabelerConfig, SegmenterConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import Array, Frame, Scan
from clip2scene_ros.student.checkpoint import file_sha256, load_checkpoint, load_weights
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.teacher.labeler import Evidence, Labeler, LabelledFrame
from clip2scene_ros.teacher.teachers import PixelClasses
from clip2scene_training.readout import embedded
from clip2scene_training.semantic import text_logits


class StudentTeacher:
    """A student that teaches: it looks at points, never at images.

    Args:
        path: its checkpoint.

    Attributes:
        digest: of the file.

    Raises:
        BadCheckpoint: missing, damaged, or not fitting its own network.
        BadTeacher: `probe`: its scores are no logits, so nothing says how sure it is.
    """

    def __init__(self, path: Path) -> None:
        weights, self._card = load_checkpoint(path)
        if not self._card.words:
            raise BadTeacher(
                "probe", f"{path} learned no words ({self._card.text_model}), so nothing tells how sure it is of a "
                "point: expected a student that learned by words, as that of preset `best`."
            )  # fmt: skip
        self._network, self._name = build_network(self._card.network), path.name
        load_weights(self._network, weights)
        self._network.eval()
        self.digest = file_sha256(path)

    @property
    def class_set(self) -> ClassSet:
        """Return the classes it tells apart."""
        return self._card.class_set

    @property
    def notice(self) -> str:
        """Return what must be shown with everything that comes of it."""
        return self._card.notice

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return nothing for each view."""
        return [None] * len(frame.views)

    def describe(self) -> str:
        """Return one line for logs and reports."""
        return f"student {self._name}"

    def chances(self, scan: Scan) -> Array:
        """Return (N, C) float32 probabilities of the classes; zeros for points out of the segmenter's range."""
        card, ranges = self._card, SegmenterConfig()
        features, kept = embedded(self._network, scan, card.network, (ranges.min_range_m, ranges.max_range_m))
        found = np.zeros((len(scan), len(card.class_set)), np.float32)
        found[kept] = text_logits(features, card.class_vectors, card.normalize, card.temperature).softmax(1).numpy()
        return found


class StudentLabeler(Labeler):
    """Labels points by what a student says of them.

    Args:
        teacher: the student.
        config: of the rules and the selection; what concerns images is not read.
    """

    def __init__(self, teacher: StudentTeacher, config: LabelerConfig) -> None:
        super().__init__(teacher, config)
        self._student = teacher

    def label(self, frames: Iterable[Frame]) -> Iterator[LabelledFrame]:
        """Yield each frame with its labels, in order; nothing is read ahead."""
        for frame in frames:
            points = frame.scan.points
            labels = self.decide(self._student.chances(frame.scan), points, np.zeros(len(points), bool))
            yield LabelledFrame(frame, labels, (), Evidence(points=len(points)))
