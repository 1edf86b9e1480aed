"""One door for every row of a table: class ids of judged frames in, confusion matrices by sight and distance out.

Baselines, rivals and students are counted alike, on the same points, so that any two rows can be compared scene by
scene. What a camera sees has one definition, the labeler's: a point that is not hidden behind nearer ones in at least
one image, its own motion within the sweep undone (`seen_by_a_camera`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from clip2scene_ros import metrics
from clip2scene_ros.errors import BadReport
from clip2scene_ros.frame import Array, Frame
from clip2scene_ros.geometry import project, visible
from clip2scene_ros.significance import RESAMPLES, Comparison, compare
from clip2scene_ros.teacher.motion import points_at_stamp

ALL = "all"
SIGHTS = ("seen", "unseen")
"""On points that a camera sees, on points that none sees."""
BANDS = (*metrics.BANDS_M, "nowhere")
"""By distance; points that are NaN are in no band of `metrics`, but count in all."""


class SceneFrames(Protocol):
    """Frames of drives with ground truth: those of one scene are neighbours, in order of time; `WorldDataset`."""

    @property
    def scenes(self) -> list[str]:
        """Name of each frame's scene."""

    def __getitem__(self, index: int) -> Frame:
        """Return one frame."""


@dataclass(frozen=True, eq=False)
class JudgedFrame:
    """A frame with ground truth that rows are judged by.

    Attributes:
        scene: its scene's name.
        frame: as it came.
        before, after: the frames next to it in its scene, where there are any.
        points: (N, 3) where they were at the scan's stamp [m].
        seen: (N,) bool, seen by a camera.
    """

    scene: str
    frame: Frame
    before: Frame | None
    after: Frame | None
    points: Array
    seen: Array


def judged_frames(data: SceneFrames, places: Collection[int] | None = None) -> Iterator[JudgedFrame]:
    """Yield the frames of a data set that rows are judged by.

    Args:
        data: frames with views; calibration and pose are read of them, never images.
        places: which of each scene's frames, counted from 0; None takes all of them.
    """
    for scene, group in groupby(enumerate(data.scenes), key=lambda each: each[1]):
        numbers = [number for number, _ in group]
        for place in range(len(numbers)) if places is None else sorted(places):
            frame = data[numbers[place]]
            before = data[numbers[place - 1]] if place else None
            after = data[numbers[place + 1]] if place + 1 < len(numbers) else None
            points = points_at_stamp(frame, [near for near in (before, after) if near is not None])
            yield JudgedFrame(scene, frame, before, after, points, seen_by_a_camera(frame, points))


def seen_by_a_camera(frame: Frame, points: Array) -> Array:
    """Return (N,) bool: inside at least one image and not hidden behind nearer points there.

    It is what the labeler asks by default (`LabelerConfig.visibility`), of every view.

    Args:
        frame: its views are read.
        points: (N, 3) at the scan's stamp (`points_at_stamp`) [m].
    """
    seen = np.zeros(len(points), bool)
    for view in frame.views:
        uv, depth, inside = project(points, view)
        seen |= visible(uv, depth, inside, view.camera)
    return seen


@dataclass
class Row:
    """What a method says of the judged frames, counted.

    Attributes:
        classes: names of the C classes.
        scenes: scene -> (2, 4, C, C + 1) int64, `metrics.confusion` by `SIGHTS` and `BANDS`; all else is a sum of it.
    """

    classes: tuple[str, ...]
    scenes: dict[str, Array] = field(default_factory=dict)

    def add(self, judged: JudgedFrame, class_id: Array) -> None:
        """Count one frame.

        Args:
            judged: the frame.
            class_id: (N,) integers in the scan's order, 255 unknown: wrong for its class, right for none.

        Raises:
            ValueError: a frame without ground truth, another number of points, or ids that are none.
        """
        truth, count = judged.frame.labels, len(self.classes)
        if truth is None:
            raise ValueError("Expected a frame with ground truth, but got none.")
        if np.shape(class_id) != truth.shape:
            raise ValueError(f"Expected class ids of shape {truth.shape}, one a point, but got {np.shape(class_id)}.")
        total = self.scenes.setdefault(judged.scene, np.zeros((len(SIGHTS), len(BANDS), count, count + 1), np.int64))
        bands = list(metrics.distance_bands(judged.frame).values())
        bands.append(~np.any(bands, axis=0))
        for s, sight in enumerate((judged.seen, ~judged.seen)):
            for b, band in enumerate(bands):
                mine = sight & band
                total[s, b] += metrics.confusion(truth[mine], class_id[mine], count)

    def matrices(self, sight: str = ALL, band: str = ALL) -> Array:
        """Return (S, C, C + 1), a matrix for each scene in the order of their names.

        Args:
            sight: one of `SIGHTS`, or `all`.
            band: one of `BANDS`, or `all`.
        """
        whole = np.stack([self.scenes[scene] for scene in sorted(self.scenes)])
        return _part(_part(whole, 1, SIGHTS, sight), 1, BANDS, band)

    def matrix(self, sight: str = ALL, band: str = ALL) -> Array:
        """Return (C, C + 1) of all scenes."""
        total: Array = self.matrices(sight, band).sum(axis=0)
        return total

    def miou(self, sight: str = ALL, band: str = ALL) -> float:
        """Return the mean IoU over the classes that occur there, as `significance.compare` has it; NaN without any."""
        return metrics.mean_iou(self.matrix(sight, band), min_points=1)

    def numbers(self) -> dict[str, Any]:
        """Return what a table shows, shares of 1; NaN becomes None."""
        places = (ALL, *SIGHTS)
        return {
            "miou": {sight: _share(self.miou(sight)) for sight in places},
            "labelled": {sight: _share(_labelled(self.matrix(sight))) for sight in places},
            "accuracy": {sight: _share(metrics.accuracy(self.matrix(sight))) for sight in places},
            "miou_by_distance": {s: {b: _share(self.miou(s, b)) for b in metrics.BANDS_M} for s in places},
            "iou": {s: self._by_class(metrics.iou(self.matrix(s))) for s in places},
            "recall_by_distance": {b: self._by_class(recall(self.matrix(ALL, b))) for b in metrics.BANDS_M},
        }

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON can hold it; `row_from_json` reads it."""
        return {"classes": list(self.classes), "scenes": {name: m.tolist() for name, m in self.scenes.items()}}

    def _by_class(self, values: Array) -> dict[str, float | None]:
        return {name: _share(float(value)) for name, value in zip(self.classes, values, strict=True)}


def row_from_json(content: Mapping[str, Any]) -> Row:
    """Return the row that `Row.to_json` wrote.

    Raises:
        BadReport: it is none.
    """
    try:
        classes = tuple(str(name) for name in content["classes"])
        scenes = {str(name): np.array(matrix, dtype=np.int64) for name, matrix in content["scenes"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadReport("row", f"Expected the row of a table, `classes` and `scenes`, but got {error!r}.") from error
    shape = (len(SIGHTS), len(BANDS), len(classes), len(classes) + 1)
    for name, matrix in scenes.items():
        if matrix.shape != shape or (matrix < 0).any():
            raise BadReport("row", f"Expected counts of shape {shape} in scene {name}, but got {matrix.shape}.")
    return Row(classes, scenes)


def compare_rows(
    first: Row | Sequence[Row], second: Row | Sequence[Row], sight: str = ALL, *, resamples: int = RESAMPLES
) -> Comparison:
    """Compare the mIoU of two rows by a paired bootstrap over scenes.

    Args:
        first: a row, or one for each training seed.
        second: the same of the other method.
        sight: one of `SIGHTS`, or `all`.
        resamples: how often the scenes are drawn.

    Raises:
        BadReport: other scenes, classes or ground truth, or fewer than six scenes.
    """
    runs = [[run] if isinstance(run, Row) else list(run) for run in (first, second)]
    model = runs[0][0]
    for row in (*runs[0], *runs[1]):
        if row.classes != model.classes or set(row.scenes) != set(model.scenes):
            raise BadReport("scenes", "The rows' scenes or classes differ: they cannot be compared.")
    matrices = [np.stack([row.matrices(sight) for row in run]) for run in runs]
    return compare(matrices[0], matrices[1], resamples=resamples)


def recall(matrix: Array) -> Array:
    """Return (C,) float64 share of each class's points that are found, NaN where it does not occur."""
    count = matrix.sum(axis=1)
    found: Array = np.divide(np.diagonal(matrix), count, out=np.full(len(count), np.nan), where=count > 0)
    return found


def _part(values: Array, axis: int, names: tuple[str, ...], name: str) -> Array:
    """Return the slice of a name along an axis, or the sum over it for `all`."""
    part: Array = values.sum(axis=axis) if name == ALL else values.take(names.index(name), axis=axis)
    return part


def _labelled(matrix: Array) -> float:
    total = int(matrix.sum())
    return float(matrix[:, :-1].sum() / total) if total else float("nan")


def _share(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)
