"""The sensor moves while it turns: where a scan's points are, seen from where it was at the scan's stamp."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import NS_PER_S, Array, Frame
from clip2scene_ros.geometry import Trajectory, compose, invert, transform

STEPS = 64
"""Poses computed in a sweep: 1.6 ms of 100 ms, at 30 m/s a point is at most 2.3 cm off."""
MAX_GAP_S = 1.0
"""A vehicle's way between two poses that are farther apart is not known."""


def points_at_stamp(frame: Frame, neighbours: Iterable[Frame]) -> Array:
    """Return (N, 3) float32 points of a raw scan in the LiDAR's frame at the scan's stamp.

    The sensor's way is interpolated between the poses of this frame and its neighbours. Where these are unknown, or
    more than a second away, or the points have no time, the scan's own array is returned.

    Args:
        frame: the scan, each point where the sensor was at its own time, and the pose at its stamp.
        neighbours: frames before and after it.
    """
    scan = frame.scan
    if scan.time_ns is None or not len(scan):
        return scan.points
    close = [near for near in neighbours if abs(near.scan.stamp_ns - scan.stamp_ns) <= MAX_GAP_S * NS_PER_S]
    known = {f.scan.stamp_ns: f.world_from_lidar for f in (*close, frame) if f.world_from_lidar is not None}
    if scan.stamp_ns not in known or len(known) < 2:
        return scan.points
    try:
        way = Trajectory(list(known), list(known.values()), max_gap_s=MAX_GAP_S)
        return _moved(scan.points, scan.time_ns, scan.stamp_ns, way)
    except BadCalibration:  # a pose that is none, or times far outside of the poses
        return scan.points


def _moved(points: Array, time_ns: Array, stamp_ns: int, way: Trajectory) -> Array:
    first, last = int(time_ns.min()), int(time_ns.max())
    step_ns = max(1, -(-(last - first + 1) // STEPS))
    step = (time_ns - first) // step_ns
    here = invert(way.at(stamp_ns))
    moved = np.empty_like(points)
    with np.errstate(invalid="ignore"):  # points without a return stay NaN
        for k in np.unique(step):
            mine = np.flatnonzero(step == k)
            then = way.at(stamp_ns + first + int(k) * step_ns + step_ns // 2)
            moved[mine] = transform(compose(here, then), points[mine])
    return moved
