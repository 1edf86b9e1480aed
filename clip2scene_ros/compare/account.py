"""What is counted while two students label the same drive: a few numbers a scan, and the scans worth a picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.compare.pairs import meeting, same_thing
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Segmentation
from clip2scene_ros.metrics import confusion, tallies

BINS = 15
"""Of equal width, as the expected calibration error is usually given: Guo et al., ICML 2017."""
SHOWN = 3


@dataclass(frozen=True, eq=False)
class Look:
    """A scan and what is said of it.

    Attributes:
        frame: its labels, if any, in terms of the class set.
        points: (N, 3) float32 its points where they were at the scan's stamp [m].
        said: by A and by B.
        teacher: (N,) uint8 by the teacher, 255 where no camera sees the point; None without a teacher.
    """

    frame: Frame
    points: Array
    said: tuple[Segmentation, Segmentation]
    teacher: Array | None = None

    @property
    def differ(self) -> Array:
        """Return (N,) bool: A and B say different things."""
        a, b = self.said
        different: Array = a.class_id != b.class_id
        return different


@dataclass
class Examples:
    """Keeps the scans on which A and B differ most, no two close together; those with images come first.

    Attributes:
        apart: so many scans, at least, are between two that are kept.
        kept: (has images, differing points), the scan's number, the scan.
    """

    apart: int = 1
    kept: list[tuple[tuple[bool, int], int, Look]] = field(default_factory=list)

    def add(self, number: int, look: Look) -> None:
        """Take the next scan."""
        mine = (bool(look.frame.views), int(look.differ.sum()))
        rivals = [each for each in self.kept if number - each[1] < self.apart]
        if not mine[1] or any(each[0] >= mine for each in rivals):
            return
        self.kept = [each for each in self.kept if each not in rivals] + [(mine, number, look)]
        self.kept = sorted(self.kept, key=lambda each: (each[0], -each[1]), reverse=True)[:SHOWN]

    @property
    def looks(self) -> list[Look]:
        """Return the scans, the one with most differences first."""
        return [look for _, _, look in self.kept]


@dataclass
class Account:
    """All that was counted; C classes, index 0 is A and 1 is B.

    Attributes:
        class_set: of both students' labels.
        scans: how many were labelled.
        first_ns, last_ns: stamps of the first and last one [ns].
        rows: measure -> for each scan that tells something of it (2, P) numbers that may be added up.
        truth, teacher: (2, C, C + 1) int64 confusion with ground truth, and with the teacher.
        teacher_truth: (C, C + 1) int64 the teacher's own, on the points that it labels.
        between: (C + 1, C + 1) int64 points by what A and what B calls them, unknown the last; none unknown to both.
        points: (2, 256) int64 points by label.
        pairs, one_thing: pairs of points that met; those of them that are truly of one thing, where that is known.
        latency_ms: of each scan, A's and B's.
        no_pose: scans without a pose.
        left_out: what could not be used, in words -> how often.
    """

    class_set: ClassSet
    scans: int = 0
    first_ns: int = 0
    last_ns: int = 0
    rows: dict[str, list[Array]] = field(default_factory=lambda: defaultdict(list))
    pairs: int = 0
    one_thing: int = 0
    latency_ms: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    no_pose: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    examples: Examples = field(default_factory=Examples)

    def __post_init__(self) -> None:
        """Make the counts that depend on the number of classes."""
        count = len(self.class_set)
        self.truth, self.teacher = (np.zeros((2, count, count + 1), np.int64) for _ in range(2))
        self.teacher_truth = np.zeros((count, count + 1), np.int64)
        self.between = np.zeros((count + 1, count + 1), np.int64)
        self.points = np.zeros((2, 256), np.int64)
        self._before: Look | None = None

    def add(self, look: Look) -> None:
        """Count a scan."""
        stamp_ns = look.frame.scan.stamp_ns
        self.first_ns = self.first_ns if self.scans else stamp_ns
        self.last_ns = stamp_ns
        self._count_labels(look)
        self._compare_with_truth(look)
        self._compare_with_teacher(look)
        self._compare_with_last(look)
        self._time(look)
        self.examples.add(self.scans, look)
        self.scans += 1

    def _note(self, measure: str, rows: list[Array]) -> None:
        row = np.stack(rows)
        if row.any():
            self.rows[measure].append(row)

    def _count_labels(self, look: Look) -> None:
        a, b = (said.class_id for said in look.said)
        self.points += np.stack([np.bincount(ids, minlength=256) for ids in (a, b)])
        count = len(self.class_set)
        column_a, column_b = (np.where(ids == UNKNOWN, count, ids).astype(np.int64) for ids in (a, b))
        cells = np.bincount(column_a * (count + 1) + column_b, minlength=(count + 1) ** 2).reshape(count + 1, count + 1)
        cells[-1, -1] = 0
        self.between += cells

    def _compare_with_truth(self, look: Look) -> None:
        truth, count = look.frame.labels, len(self.class_set)
        if truth is None:
            return
        matrices = np.stack([confusion(truth, said.class_id, count) for said in look.said])
        self.truth += matrices
        self._note("miou", list(tallies(matrices).reshape(2, -1)))
        self._calibrate(look, truth, "calibration")

    def _compare_with_teacher(self, look: Look) -> None:
        teacher, count = look.teacher, len(self.class_set)
        if teacher is None:
            return
        matrices = np.stack([confusion(teacher, said.class_id, count) for said in look.said])
        self.teacher += matrices
        self._note("agreement", [np.array([np.trace(each[:, :-1]), each.sum()]) for each in matrices])
        self._calibrate(look, teacher, "calibration with teacher")
        if look.frame.labels is not None:
            seen = teacher != UNKNOWN
            self.teacher_truth += confusion(look.frame.labels[seen], teacher[seen], count)

    def _calibrate(self, look: Look, right: Array, name: str) -> None:
        rows = []
        for said in look.said:
            answered = (said.class_id != UNKNOWN) & (right != UNKNOWN)
            rows.append(calibration_sums(said.probability[answered], (said.class_id == right)[answered]))
        self._note(name, rows)

    def _compare_with_last(self, look: Look) -> None:
        before, self._before = self._before, look
        self.no_pose += look.frame.world_from_lidar is None
        if before is None:
            return
        here, there = meeting(before.frame, before.points, look.frame, look.points)
        self.pairs += len(here)
        same = same_thing(before.frame, look.frame, there, here)
        if same is not None:
            here, there = here[same], there[same]
            self.one_thing += len(here)
        rows = []
        for then, now in zip(before.said, look.said, strict=True):
            kept = (then.class_id[there] == now.class_id[here]) & (now.class_id[here] != UNKNOWN)
            rows.append(np.array([kept.sum(), len(kept)]))
        self._note("stability", rows)

    def _time(self, look: Look) -> None:
        ms = [said.processing_ms["total"] for said in look.said]
        for mine, each in zip(self.latency_ms, ms, strict=True):
            mine.append(each)
        self._note("latency", [np.array([np.log(each), 1.0]) for each in ms])


def calibration_sums(probability: Array, right: Array) -> Array:
    """Return (3 * BINS,) float64: of each bin of probability the points, the sum of probabilities, the right points.

    Args:
        probability: (N,) in [0, 1].
        right: (N,) bool.
    """
    which = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    parts = (None, probability.astype(np.float64), right.astype(np.float64))
    return np.concatenate([np.bincount(which, weights, BINS) for weights in parts]).astype(np.float64)
