"""From counts to verdicts: five measures of two students, each with the interval of their difference.

Scans of a drive resemble their neighbours, so that they are drawn in blocks of successive ones: the intervals tell what
more of this drive would show, not what other streets would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.compare.account import BINS, Account
from clip2scene_ros.compare.arguments import MEASURES
from clip2scene_ros.frame import NS_PER_S, Array
from clip2scene_ros.metrics import iou_of
from clip2scene_ros.significance import MIN_SCENES, Comparison, Value, compare_sums, mean_iou_of

BLOCK_S = 2.0
"""Differences of two students on one street live about as long (docs/compare.md); a short drive has shorter blocks."""
AGAINST = {"calibration": "ground truth", "calibration with teacher": "the teacher"}
"""Rows of the account -> what confidence is held against, the better first."""


@dataclass(frozen=True)
class Measure:
    """One measure of A and B.

    Attributes:
        title: what it is, with its unit.
        a, b: the values, None where it is unknown; shares from 0 to 1, latencies in ms.
        found: B minus A, of latencies in natural logarithms; None where no interval can be told.
        higher_is_better: or lower.
        why: why there is no value, or no interval.
    """

    title: str
    a: float | None = None
    b: float | None = None
    found: Comparison | None = None
    higher_is_better: bool = True
    why: str = ""

    @property
    def better(self) -> str:
        """Return `A` or `B`, or nothing where no difference shows."""
        if self.found is None or not self.found.differs:
            return ""
        return "B" if (self.found.low > 0) == self.higher_is_better else "A"

    @property
    def verdict(self) -> str:
        """Return who is better, in words."""
        if self.found is None:
            return "cannot be told"
        return f"{self.better} is better" if self.better else "no difference"


@dataclass(frozen=True)
class Findings:
    """All that is concluded from the counts.

    Attributes:
        measures: by their names in `compare.arguments.MEASURES`.
        classes: IoU of each class, where there is ground truth.
        gate: name of the measure that decides; empty where nothing can.
    """

    measures: dict[str, Measure]
    classes: list[Measure]
    gate: str

    @property
    def judged(self) -> bool:
        """Return whether the deciding measure has an interval."""
        return bool(self.gate) and self.measures[self.gate].found is not None

    @property
    def worse(self) -> bool:
        """Return whether B is worse than A by the deciding measure."""
        return self.judged and self.measures[self.gate].better == "A"


def findings(account: Account, missing: dict[str, str], gate: str = "") -> Findings:
    """Conclude from what was counted.

    Args:
        account: what was counted.
        missing: why there is no ground truth (`miou`), or no teacher (`agreement`).
        gate: the measure that shall decide; empty takes the first that has an interval of mIoU, agreement, stability.
    """
    found = measures(account, missing)
    gate = gate or next((name for name in MEASURES[:3] if found[name].found), "")
    return Findings(found, per_class(account), gate)


def measures(account: Account, missing: dict[str, str]) -> dict[str, Measure]:
    """Return all measures by name; `missing` as that of `findings`."""
    latency = measure("latency of a scan, median", account, "latency", share_of, higher_is_better=False)
    p50 = [float(np.median(ms)) if ms else None for ms in account.latency_ms]
    against = calibrated_against(account)
    return {
        "miou": measure("mIoU of the classes that occur", account, "miou", mean_iou_of, missing.get("miou", "")),
        "agreement": measure(
            "agreement with the teacher",
            account,
            "agreement",
            share_of,
            missing.get("agreement", "no scan has an image that can be placed and that the teacher labels"),
        ),
        "stability": measure("stability from scan to scan", account, "stability", share_of, unstable(account)),
        "calibration": measure(
            f"calibration error (ECE) against {AGAINST[against]}" if against else "calibration error (ECE)",
            account,
            against,
            calibration_error,
            "there is neither ground truth nor a teacher",
            higher_is_better=False,
        ),
        "latency": Measure(latency.title, p50[0], p50[1], latency.found, higher_is_better=False, why=latency.why),
    }


def calibrated_against(account: Account) -> str:
    """Return the key in `AGAINST` of what the confidence is held against; empty for nothing."""
    return next((rows for rows in AGAINST if account.rows.get(rows)), "")


def unstable(account: Account) -> str:
    """Return why nothing can be said of stability; nothing where it can."""
    if account.scans < 2:
        return f"there is no second scan to compare with ({account.scans} labelled)"
    if account.no_pose == account.scans:
        return (
            "no scan has a pose: expected nav_msgs/Odometry whose child frame /tf_static joins to the LiDAR's, or "
            "/tf from odom, map or world, so that scans can be brought together"
        )
    return "no two successive scans have points of the same place"


def measure(
    title: str, account: Account, rows: str, value: Value, why: str = "", *, higher_is_better: bool = True
) -> Measure:
    """Return a measure of the rows of that name.

    Args:
        title: of the measure.
        account: has the rows.
        rows: their name.
        value: makes the figure of sums of them.
        why: there are none.
        higher_is_better: or lower.
    """
    found = account.rows.get(rows)
    if not found:
        return Measure(title, higher_is_better=higher_is_better, why=why)
    return compared(title, np.stack(found, axis=1), value, duration_s(account), higher_is_better)


def compared(title: str, rows: Array, value: Value, seconds: float, higher_is_better: bool = True) -> Measure:
    """Return a measure of rows (2, scans, P) of so many seconds."""
    a, b = (_plain(value(each.sum(axis=0, dtype=np.float64)[None])[0]) for each in rows)
    if a is None or b is None:
        why = "it does not occur" if a is None and b is None else "one of the two never answers"
        return Measure(title, a, b, None, higher_is_better, why)
    count = blocks_of(rows.shape[1], seconds)
    if count < MIN_SCENES:
        why = f"an interval takes at least {MIN_SCENES} scans that tell something of it, but there are {rows.shape[1]}"
        return Measure(title, a, b, None, higher_is_better, why)
    first, second = (in_blocks(each, count) for each in rows)
    return Measure(title, a, b, compare_sums(second, first, value), higher_is_better)


def per_class(account: Account) -> list[Measure]:
    """Return the IoU of each class, where there is ground truth; scans without the class tell nothing of it."""
    found = account.rows.get("miou")
    if not found:
        return []
    parts = np.stack(found, axis=1)
    parts = np.moveaxis(parts.reshape(2, parts.shape[1], 3, -1), -1, 0)
    told = [each[:, each.any(axis=(0, 2))] for each in parts]
    seconds = duration_s(account)
    return [compared(name, rows, iou_of_one, seconds) for name, rows in zip(account.class_set.names, told, strict=True)]


def duration_s(account: Account) -> float:
    """Return the time from the first to the last scan [s]."""
    return abs(account.last_ns - account.first_ns) / NS_PER_S


def blocks_of(scans: int, seconds: float) -> int:
    """Return into how many blocks the scans of a drive are cut: one in `BLOCK_S`, but six at least if there are six."""
    return min(scans, max(MIN_SCENES, round(seconds / BLOCK_S)))


def in_blocks(rows: Array, count: int) -> Array:
    """Return (count, P) float64 sums over blocks of successive rows (scans, P), alike in length but for one row."""
    parts: Sequence[Array] = np.array_split(rows.astype(np.float64), count)
    return np.stack([part.sum(axis=0) for part in parts])


def share_of(sums: Array) -> Array:
    """Return (R,) quotients of (R, 2) sums, NaN where the second is 0."""
    return _quotient(sums[:, 0], sums[:, 1])


def iou_of_one(sums: Array) -> Array:
    """Return (R,) IoU of (R, 3) tallies of one class, NaN where the class does not occur."""
    found: Array = np.where(sums[:, 1] > 0, iou_of(sums[:, :, None])[:, 0], np.nan)
    return found


def calibration_error(sums: Array) -> Array:
    """Return (R,) expected calibration error of (R, 3 BINS) sums of `calibration_sums`, NaN of no points.

    The mean distance, over points, between the probability of a bin and the share of its points that are right (Guo et
    al. 2017, equation 5).
    """
    points, probability, right = np.moveaxis(sums.reshape(-1, 3, BINS), 1, 0)
    return _quotient(np.abs(right - probability).sum(axis=1), points.sum(axis=1))


def _quotient(part: Array, whole: Array) -> Array:
    found: Array = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return found


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
