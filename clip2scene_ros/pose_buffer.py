"""The vehicle's latest poses, as Odometry or TF sends them, and where it was between two of them."""

from __future__ import annotations

from bisect import bisect_left, insort

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import NS_PER_S, Array
from clip2scene_ros.geometry import Trajectory, check_rigid

JUMP_NS = NS_PER_S
"""A pose so far before the newest is of a bag that begins anew; one that is late by less finds its place."""
KEEP_S = 20.0
"""Longer than a scan waits for its views and for the choice."""


class PoseBuffer:
    """Poses of one frame in another, the latest few seconds of them.

    Args:
        keep_s: how far back poses are held; None holds all of a bag.
        tolerance_s, max_gap_s: as of `Trajectory`, which interpolates.
    """

    def __init__(self, keep_s: float | None = KEEP_S, *, tolerance_s: float = 0.1, max_gap_s: float = 1.0) -> None:
        self._keep_ns = None if keep_s is None else int(keep_s * NS_PER_S)
        self._limits = {"tolerance_s": tolerance_s, "max_gap_s": max_gap_s}
        self._stamps: list[int] = []
        self._poses: dict[int, Array] = {}

    def __len__(self) -> int:
        """Return the number of poses held."""
        return len(self._stamps)

    def add(self, stamp_ns: int, world_from_body: Array) -> None:
        """Take in a pose; a repeated stamp says nothing new, a jump back (a bag begins anew) forgets what was.

        Raises:
            BadCalibration: what `check_rigid` finds; the poses are as they were.
        """
        pose = check_rigid(world_from_body, f"pose at {stamp_ns} ns")
        if stamp_ns in self._poses:
            return
        if self._keep_ns is not None and self._stamps and stamp_ns < self._stamps[-1] - JUMP_NS:
            self._stamps.clear()
            self._poses.clear()
        insort(self._stamps, stamp_ns)
        self._poses[stamp_ns] = pose
        while self._keep_ns is not None and self._stamps[0] < self._stamps[-1] - self._keep_ns:
            del self._poses[self._stamps.pop(0)]

    def at(self, stamp_ns: int) -> Array:
        """Return world_from_body (4, 4) at a time, interpolated.

        Raises:
            BadCalibration: no_poses, extrapolation, gap: where it was is not known, and never guessed.
        """
        if not self._stamps:
            raise BadCalibration(
                "no_poses", "No pose of the vehicle has come yet: is the odometry topic the right one?"
            )
        i = bisect_left(self._stamps, stamp_ns)
        near = self._stamps[max(0, i - 2) : i + 2]
        return Trajectory(near, [self._poses[stamp] for stamp in near], **self._limits).at(stamp_ns)
