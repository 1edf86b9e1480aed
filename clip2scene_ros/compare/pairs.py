"""Points of successive scans that are of one place: where a student should say the same twice.

What moves is the trouble. Where a person steps onto the road, the place's class rightly changes, and a student that
sees the person is called unsteady. With ground truth only pairs of one and the same thing count (a moving car's side
that slid along itself may, and should keep its class). Without, all pairs count, on both students alike: then who takes
moving things for what is behind them looks the steadier one.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from clip2scene_ros.frame import NS_PER_S, UNKNOWN, Array, Frame
from clip2scene_ros.geometry import compose, invert, transform
from clip2scene_ros.teacher.motion import MAX_GAP_S
from clip2scene_ros.teacher.voxels import BITS, keys

WITHIN_M = 0.10
"""Half a voxel of the shipped student. It grows not with distance: far away, where beams are apart, few points meet."""

COLUMNS = [(x << (2 * BITS)) + (y << BITS) for x, y in product((-1, 0, 1), repeat=2)]
"""From a cube's key to those of the nine columns around it: three cubes on top of each other are a range of keys."""


def meeting(before: Frame, before_points: Array, now: Frame, now_points: Array) -> tuple[Array, Array]:
    """Return which points of a scan have one of an earlier scan within `WITHIN_M`, and which is the nearest.

    Args:
        before: the earlier scan, with its pose.
        before_points: (M, 3) float32 its points, each where it was at the scan's stamp [m].
        now: the scan, with its pose.
        now_points: (N, 3) float32.

    Returns:
        (K,) positions in `now`, ascending, and (K,) in `before`; none where a pose is unknown or the scans are more
        than a second apart.
    """
    if before.world_from_lidar is None or now.world_from_lidar is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    if abs(now.scan.stamp_ns - before.scan.stamp_ns) > MAX_GAP_S * NS_PER_S:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    now_from_before = compose(invert(now.world_from_lidar), before.world_from_lidar)
    with np.errstate(invalid="ignore"):  # points without a return stay NaN
        return nearest(now_points, transform(now_from_before, before_points), WITHIN_M)


def same_thing(before: Frame, now: Frame, there: Array, here: Array) -> Array | None:
    """Return (K,) bool, whether both points of a pair are truly of one thing; None without ground truth.

    One thing is one instance where there are such, else one class. What has no ground truth is of no known thing.
    """
    if before.labels is None or now.labels is None:
        return None
    same: Array = (before.labels[there] == now.labels[here]) & (now.labels[here] != UNKNOWN)
    if before.instances is not None and now.instances is not None:
        same = same & (before.instances[there] == now.instances[here])
    return same


def nearest(points: Array, others: Array, within_m: float) -> tuple[Array, Array]:
    """Return the positions of points that have one of `others` within a distance, and of the nearest of these.

    Args:
        points: (N, 3) float32 [m]; what is not finite has no neighbour.
        others: (M, 3) float32 [m].
        within_m: the distance.

    Returns:
        (K,) positions in `points`, ascending, (K,) in `others`; of equally near ones the first.
    """
    here, there = keys(points, within_m), keys(others, within_m)
    mine, theirs = np.flatnonzero(here >= 0), np.flatnonzero(there >= 0)
    theirs = theirs[np.argsort(there[theirs], kind="stable")]
    cubes = there[theirs]
    found = [_candidates(here[mine] + column, cubes) for column in COLUMNS]
    asked, met = (np.concatenate(each) for each in zip(*found, strict=True))
    asked, met = mine[asked], theirs[met]
    squared = ((points[asked].astype(np.float64) - others[met]) ** 2).sum(axis=1)
    near = np.flatnonzero(squared <= within_m**2)
    near = near[np.lexsort((met[near], squared[near], asked[near]))]
    positions, first = np.unique(asked[near], return_index=True)
    return positions, met[near][first]


def _candidates(middle: Array, cubes: Array) -> tuple[Array, Array]:
    """Return the pairs of a wanted column and a cube in it: positions in (N,) middle keys, in (M,) sorted keys."""
    low, high = np.searchsorted(cubes, middle - 1, "left"), np.searchsorted(cubes, middle + 1, "right")
    count = high - low
    asked = np.repeat(np.arange(len(middle)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return asked, np.repeat(low, count) + within
