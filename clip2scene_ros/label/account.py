"""What is counted while a drive is labelled: all that the page needs, in little memory however long the drive is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import Generic, TypeVar

import numpy as np
import torch

from clip2scene_ros.alignment import turned_scores
from clip2scene_ros.alignment_fit import ANGLES_DEG, CameraFit
from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import UNKNOWN, Array, Frame
from clip2scene_ros.geometry import compose, invert, project, transform, visible
from clip2scene_ros.metrics import confusion
from clip2scene_ros.teacher.ground import LYING_M, STANDING_M, heights
from clip2scene_ros.teacher.labeler import Evidence, LabelledFrame
from clip2scene_ros.teacher.teachers import PixelClasses
from clip2scene_ros.teacher.voxels import keys

Item = TypeVar("Item")
GRID_PX = 8
"""Pixels are counted on a grid of this: finer than any patch of CLIP."""
CLOSE = 0.5
"""A pixel is undecided when the runner-up is at least this times as probable as the winner."""
CUBE_M = 0.2
"""Points of two sweeps in one cube of this edge are taken to be of one surface."""


class Evenly(Generic[Item]):
    """Keeps a few items of a stream, spread over all of it, without knowing its length."""

    def __init__(self, wanted: int) -> None:
        """Keep `wanted` in the end, and less than twice as many on the way."""
        self._wanted, self._stride, self._count = wanted, 1, 0
        self._kept: list[Item] = []

    def add(self, item: Item) -> None:
        """Take the next item."""
        if self._count % self._stride == 0:
            self._kept.append(item)
            if len(self._kept) == 2 * self._wanted:
                self._kept, self._stride = self._kept[::2], 2 * self._stride
        self._count += 1

    @property
    def items(self) -> list[Item]:
        """Return up to `wanted` items, evenly chosen of those kept."""
        if len(self._kept) <= self._wanted:
            return list(self._kept)
        places = np.linspace(0, len(self._kept) - 1, self._wanted).round().astype(int)
        return [self._kept[i] for i in places]


@dataclass(frozen=True, eq=False)
class Example:
    """A labelled frame that is shown.

    Attributes:
        labelled: the frame.
        points: (N, 3) float32 its points where they were at the scan's stamp [m].
        truth: (N,) uint8 ground truth in terms of the class set, or None.
    """

    labelled: LabelledFrame
    points: Array
    truth: Array | None = None


@dataclass
class Pixels:
    """What the teacher says of the images, on a grid of pixels; C classes.

    Attributes:
        winners: (C + 1,) int64 pixels won by each class, the last by absorbers.
        undecided: (C, C) int64 pixels of a winner whose close runner-up is another class.
        confidence: sum of the winners' probabilities.
        neighbours, differing: pairs beside each other in a row, and those of them with different winners.
    """

    winners: Array
    undecided: Array
    confidence: float = 0.0
    neighbours: int = 0
    differing: int = 0

    @staticmethod
    def of(classes: int) -> Pixels:
        """Return a count of nothing."""
        return Pixels(np.zeros(classes + 1, np.int64), np.zeros((classes, classes), np.int64))

    @property
    def total(self) -> int:
        """Return the number of pixels."""
        return int(self.winners.sum())

    @torch.inference_mode()
    def add(self, seen: PixelClasses) -> None:
        """Count an image."""
        count, (height, width) = len(self.winners) - 1, seen.size
        if min(height, width) <= GRID_PX // 2:
            return
        rows, columns = (torch.arange(GRID_PX // 2, size, GRID_PX, dtype=torch.float32) for size in (height, width))
        grid = torch.stack([columns.expand(len(rows), -1), rows[:, None].expand(-1, len(columns))], dim=-1)
        chances = seen.at(grid).float().cpu()
        values, places = chances.topk(min(2, chances.shape[-1]), dim=-1)
        first = places[..., 0].clamp(max=count).numpy()
        self.winners += np.bincount(first.ravel(), minlength=count + 1)
        self.confidence += float(values[..., 0].sum())
        self.neighbours += first[:, 1:].size
        self.differing += int((first[:, 1:] != first[:, :-1]).sum())
        if values.shape[-1] > 1:
            second = places[..., 1].clamp(max=count).numpy()
            close = (values[..., 1] >= CLOSE * values[..., 0]).numpy() & (first < count) & (second < count)
            np.add.at(self.undecided, (first[close], second[close]), 1)


@dataclass
class Account:
    """All that was counted; C classes.

    Attributes:
        class_set: of the labels.
        frames: labelled scans.
        images, looking_s: images that the teacher was asked about, and the seconds that took.
        evidence: the frames' own, summed up; where sweeps do not vote, their agreement is that of labels.
        points: (256,) int64 points by label.
        confidence: (C,) float64 sum of confidence by label.
        pixels: of the images.
        ground: (2, C) int64 labelled points that stand on, and that lie on, the ground, by label.
        fits: camera -> alignment.
        matrix: (C, C + 1) int64 truth against labels of visible points; None where the bag has no ground truth.
        examples: frames to show, of those with most views.
        left_out: what could not be used, in words -> how often.
    """

    class_set: ClassSet
    shown: int = 3
    frames: int = 0
    images: int = 0
    looking_s: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)
    points: Array = field(default_factory=lambda: np.zeros(256, np.int64))
    fits: dict[str, CameraFit] = field(default_factory=dict)
    matrix: Array | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Make the counts that depend on the number of classes."""
        count = len(self.class_set)
        self.confidence, self.pixels = np.zeros(count), Pixels.of(count)
        self.ground = np.zeros((2, count), np.int64)
        self.examples: Evenly[Example] = Evenly(self.shown)
        self._before: Example | None = None
        self._most_views = 0

    def add(self, labelled: LabelledFrame, points: Array, truth: Array | None, *, align: bool) -> None:
        """Count a frame.

        Args:
            labelled: the frame.
            points: (N, 3) float32 its points at the scan's stamp [m].
            truth: (N,) uint8 in terms of the class set, or None.
            align: also score the calibration, which takes longer than all else.
        """
        class_id, confidence = labelled.labels.class_id, labelled.labels.confidence
        known, count = class_id != UNKNOWN, len(self.class_set)
        self.frames += 1
        self.evidence = _sum(self.evidence, labelled.evidence)
        self.points += np.bincount(class_id, minlength=256)
        self.confidence += np.bincount(class_id[known], confidence[known], count)
        for seen in labelled.seen:
            if seen is not None:
                self.pixels.add(seen)
        height = heights(points)
        for row, chosen in enumerate((height > STANDING_M, height <= LYING_M)):
            self.ground[row] += np.bincount(class_id[known & chosen], minlength=count)
        if truth is not None:
            shown = _visible(labelled.frame, points)
            found = confusion(truth[shown], class_id[shown], count)
            self.matrix = found if self.matrix is None else self.matrix + found
        if align:
            self._align(labelled.frame, points)
        example = Example(labelled, points, truth)
        if not labelled.evidence.sweeps_compared:
            self._compare_sweeps(example)
        self._show(example)

    def _show(self, example: Example) -> None:
        """Keep a frame to be shown if none had more views."""
        views = len(example.labelled.frame.views)
        if views > self._most_views:
            self.examples, self._most_views = Evenly(self.shown), views
        if views == self._most_views:
            self.examples.add(example)

    def _compare_sweeps(self, now: Example) -> None:
        """Compare a frame with the last one of which all images were others: the same images say the same."""
        if self._before is None:
            self._before = now
        elif not _images(self._before) & _images(now):
            compared, agree = agreement(self._before, now)
            self.evidence = _sum(self.evidence, Evidence(sweeps_compared=compared, sweeps_agree=agree))
            self._before = now

    def _align(self, frame: Frame, points: Array) -> None:
        found = turned_scores(replace(frame.scan, points=points), frame.views, np.radians(ANGLES_DEG))
        for view, scores in zip(frame.views, found, strict=True):
            self.fits.setdefault(view.name, CameraFit()).add(scores)

    @property
    def ground_told(self) -> float:
        """Return what a point's label tells of whether it lies on the ground: mutual information over entropy.

        0: nothing, 1: all. NaN where there are not both kinds of points.
        """
        joint = self.ground / max(1, self.ground.sum())
        ground, label = joint.sum(axis=1), joint.sum(axis=0)
        whole = _entropy(ground)
        return (whole + _entropy(label) - _entropy(joint)) / whole if whole > 0 else float("nan")


def agreement(before: Example, now: Example) -> tuple[int, int]:
    """Return how many labelled points of a scan meet some of an earlier one in a small cube, and have their label."""
    then, here = before.labelled.frame.world_from_lidar, now.labelled.frame.world_from_lidar
    if then is None or here is None:
        return 0, 0
    ids = [each.labelled.labels.class_id for each in (before, now)]
    places = [keys(transform(compose(invert(here), then), before.points), CUBE_M), keys(now.points, CUBE_M)]
    known = [(id_ != UNKNOWN) & (place >= 0) for id_, place in zip(ids, places, strict=True)]
    cubes, first = np.unique(places[0][known[0]], return_index=True)
    if not len(cubes):
        return 0, 0
    wanted = places[1][known[1]]
    at = np.minimum(np.searchsorted(cubes, wanted), len(cubes) - 1)
    met = cubes[at] == wanted
    theirs, mine = ids[0][known[0]][first][at[met]], ids[1][known[1]][met]
    return int(met.sum()), int((theirs == mine).sum())


def share(part: float, whole: float) -> float | None:
    """Return a share, None of nothing."""
    return float(part) / float(whole) if whole else None


def _images(example: Example) -> set[tuple[str, int]]:
    return {(view.name, view.stamp_ns) for view in example.labelled.frame.views}


def _entropy(chances: Array) -> float:
    some = chances[chances > 0]
    return float(-(some * np.log(some)).sum())


def _sum(a: Evidence, b: Evidence) -> Evidence:
    return Evidence(**{f.name: getattr(a, f.name) + getattr(b, f.name) for f in fields(Evidence)})


def _visible(frame: Frame, points: Array) -> Array:
    """Return (N,) bool: seen by a camera."""
    found = np.zeros(len(points), dtype=bool)
    for view in frame.views:
        uv, depth, inside = project(points, view)
        found |= visible(uv, depth, inside, view.camera)
    return found
