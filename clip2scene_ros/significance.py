"""Is one method better than another, or did it have the luck of the scenes? A paired bootstrap over scenes.

Scenes are drawn again with replacement, the same ones for both methods, and the difference of the data set's mIoU is
taken each time; the middle 95 % of these differences are the interval, widened a little for few scenes (`tail`).
Frames of one scene resemble each other, so that scenes, never frames or points, are drawn.

A class that no drawn scene has is left out for both methods alike: `metrics.mean_iou` with `min_points=1`. A class
that is predicted without occurring so costs only the classes that it is mistaken for.

Several training seeds of a method: the mean over the seeds of each one's mIoU. The interval tells what other scenes
would do to these very students, not what other seeds would do.

`compare_sums` does the same for any figure that is made of sums over scenes, such as a share of points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadReport
from clip2scene_ros.frame import Array
from clip2scene_ros.metrics import iou_of, tallies

MIN_SCENES = 6
"""Among five scenes one method wins them all by chance in 6 % of cases: no 95 % can be told."""

RESAMPLES = 10_000
CONFIDENCE = 0.95

Report = Mapping[str, Any]
Value = Callable[[Array], Array]
"""Gives the (R,) figures of (R, P) sums, NaN where there is none."""


@dataclass(frozen=True)
class Comparison:
    """The difference of two methods' mIoU, or of another figure, first minus second; of shares 1 is 100 points.

    Attributes:
        difference: on the scenes as they are.
        low, high: ends of the 95 % interval.
        scenes: how many.
    """

    difference: float
    low: float
    high: float
    scenes: int

    @property
    def differs(self) -> bool:
        """Return whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0

    def verdict(self, first: str = "A", second: str = "B") -> str:
        """Return the finding in words, in mIoU points: who is better by how much, or that there is no difference."""
        sign = -1 if self.differs and self.high < 0 else 1
        low, high = sorted((sign * self.low, sign * self.high))
        numbers = f"{100 * sign * self.difference:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        if not self.differs:
            return f"no difference ({numbers})"
        return f"{first if sign > 0 else second} is better by {numbers}"


def compare(first: Array, second: Array, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two methods by their confusion matrices of the same scenes.

    Args:
        first: (S, C, C + 1) integers, a matrix for each scene; or (K, S, C, C + 1) with K training seeds.
        second: the same of the other method; its K may be another.
        resamples: how often the scenes are drawn.
        seed: of the draws.

    Raises:
        BadReport: the scenes are fewer than six, have no ground truth, or it is not the same for both methods.
    """
    first, second = _with_seeds(first), _with_seeds(second)
    _validate(first, second)
    parts = [tallies(each).reshape(*each.shape[:2], -1) for each in (first, second)]
    return _compare(parts[0], parts[1], mean_iou_of, resamples, seed)


def compare_sums(first: Array, second: Array, value: Value, *, resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """Compare two methods by a figure that is made of sums over scenes.

    Args:
        first: (S, P) numbers of each scene that may be added up, such as points that are right and all points.
        second: the same of the other method.
        value: makes the figure of the sums.
        resamples: how often the scenes are drawn.
        seed: of the draws.

    Raises:
        BadReport: the scenes are fewer than six, not as many of both, or without a figure.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 2 or first.shape != second.shape:
        raise BadReport("shape", f"Expected sums of one shape (S, P), but got {first.shape} and {second.shape}.")
    _check_count(len(first))
    if np.isnan([value(each.sum(axis=0)[None])[0] for each in (first, second)]).any():
        raise BadReport("empty", "Expected scenes of which there is a figure for both methods.")
    return _compare(first[None], second[None], value, resamples, seed)


def mean_iou_of(sums: Array) -> Array:
    """Return (...) mIoU over the classes that occur, NaN where none does.

    Args:
        sums: (..., 3 C) sums of `metrics.tallies`, laid out in a row.
    """
    parts = sums.reshape(*sums.shape[:-1], 3, -1)
    occurs = parts[..., 1, :] > 0
    total = np.where(occurs, iou_of(parts), 0.0).sum(axis=-1)
    number = occurs.sum(axis=-1)
    means: Array = np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return means


def compare_reports(
    first: Report | Sequence[Report],
    second: Report | Sequence[Report],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare two methods by their reports alone, as `report.read_report` returns them.

    Args:
        first: the report of a method, or one for each training seed.
        second: the same of the other method.
        resamples: how often the scenes are drawn.
        seed: of the draws.

    Raises:
        BadReport: the reports' classes, scenes or ground truth differ; or see `compare`.
    """
    runs = [[run] if isinstance(run, Mapping) else list(run) for run in (first, second)]
    if not all(runs):
        raise BadReport("empty", "Expected at least one report of each method, but got none.")
    model = runs[0][0]
    for report in (*runs[0], *runs[1]):
        _validate_alike(model, report)
    scenes, width = sorted(model["scenes"]), len(model["confusion"]["classes"])
    matrices = [
        np.array([[report["scenes"][scene] for scene in scenes] for report in run], dtype=np.int64) for run in runs
    ]
    shaped = [m.reshape(len(m), len(scenes), width, width + 1) for m in matrices]
    return compare(shaped[0], shaped[1], resamples=resamples, seed=seed)


def tail(scenes: int) -> float:
    """Return the share of the drawn differences below a 95 % interval, and above it: 0.025 for very many scenes.

    Draws from few scenes vary less than new scenes would, so that plain percentiles give intervals that are too short.
    Expanded percentiles (Hesterberg 2015, What teachers should know about the bootstrap, section 5.1) make them as
    long as Student's t interval would be.
    """
    normal, freedom = NormalDist(), scenes - 1
    z = normal.inv_cdf((1 + CONFIDENCE) / 2)
    # Student's t from z: Cornish-Fisher, Abramowitz and Stegun 26.7.5
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    return normal.cdf(-t * math.sqrt(scenes / freedom))


def _compare(first: Array, second: Array, value: Value, resamples: int, seed: int) -> Comparison:
    """Draw scenes of two methods, (K, S, P) sums each, K being 1 or the number of its training seeds."""
    count = first.shape[1]
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
    differences = _mean(first, drawn, value) - _mean(second, drawn, value)
    as_they_are = np.ones((1, count))
    difference = float((_mean(first, as_they_are, value) - _mean(second, as_they_are, value))[0])
    low, high = np.quantile(differences[~np.isnan(differences)], (tail(count), 1 - tail(count)))
    return Comparison(difference, float(low), float(high), count)


def _mean(parts: Array, drawn: Array, value: Value) -> Array:
    """Return (R,) figure of each draw, a mean over the seeds; NaN where the drawn scenes have none.

    Args:
        parts: (K, S, P).
        drawn: (R, S) how often each scene is in the draw.
        value: makes the figure of the sums.
    """
    sums = drawn.astype(np.float64) @ parts.astype(np.float64)  # exact below 2^53 points
    means: Array = np.stack([value(each) for each in sums]).mean(axis=0)
    return means


def _with_seeds(matrices: Array) -> Array:
    matrices = np.asarray(matrices)
    return matrices[None] if matrices.ndim == 3 else matrices


def _validate(first: Array, second: Array) -> None:
    for matrices in (first, second):
        if matrices.ndim != 4 or matrices.shape[3] != matrices.shape[2] + 1 or not len(matrices):
            raise BadReport(
                "shape", f"Expected matrices of shape (S, C, C + 1) or (K, S, C, C + 1), but got {matrices.shape}."
            )
    if first.shape[1:] != second.shape[1:]:
        raise BadReport(
            "scenes", f"Expected the same scenes and classes, but got {first.shape[1:]} and {second.shape[1:]}."
        )
    _check_count(first.shape[1])
    truth = np.concatenate([first, second]).sum(axis=-1)
    if (truth != truth[:1]).any():
        scene = int(np.flatnonzero((truth != truth[:1]).any(axis=(0, 2)))[0])
        raise BadReport("ground_truth", f"The ground truth of scene number {scene} is not the same in all reports.")
    if not truth.any():
        raise BadReport("ground_truth", "No scene has a point with ground truth.")


def _check_count(scenes: int) -> None:
    if scenes < MIN_SCENES:
        raise BadReport("few_scenes", f"Expected at least {MIN_SCENES} scenes to compare by, but got {scenes}.")


def _validate_alike(model: Report, report: Report) -> None:
    if report["confusion"]["classes"] != model["confusion"]["classes"]:
        raise BadReport("classes", "The reports' classes differ: they cannot be compared.")
    strange = sorted(set(report["scenes"]) ^ set(model["scenes"]))
    if strange:
        raise BadReport(
            "scenes", f"Expected reports of the same scenes, but {len(strange)} are in one only, {strange[0]!r} first."
        )
