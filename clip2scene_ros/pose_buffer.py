"""The vehicle's latest poses, as Odometry or TF sends them, and where it was between two of them."""

from __future__ import annotations

from collections import deque

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import NS_PER_S, Array
from clip2scene_ros.geometry import Trajectory, check_rigid


class PoseBuffer:
    """Poses of one frame in another, the latest few seconds of them.

    Args:
        keep_s: how far back poses are held: longer than a scan waits for its views.
        tolerance_s, max_gap_s: as of `Trajectory`, which interpolates.
    """

    def __init__(self, keep_s: float = 5.0, *, tolerance_s: float = 0.1, max_gap_s: float = 1.0) -> None:
        self._keep_ns = int(keep_s * NS_PER_S)
        self._limits = {"tolerance_s": tolerance_s, "max_gap_s": max_gap_s}
        self._poses: deque[tuple[int, Array]] = deque()
        self._way: Trajectory | None = None

    def __len__(self) -> int:
        """Return the number of poses held."""
        return len(self._poses)

    def add(self, stamp_ns: int, world_from_body: Array) -> None:
        """Take in a pose; a repeated stamp says nothing new, a jump back (a bag begins anew) forgets what was.

        Raises:
            BadCalibration: what `check_rigid` finds; the poses are as they were.
        """
        pose = check_rigid(world_from_body, f"pose at {stamp_ns} ns")
        if self._poses and stamp_ns == self._poses[-1][0]:
            return
        if self._poses and stamp_ns < self._poses[-1][0]:
            self._poses.clear()
        self._poses.append((stamp_ns, pose))
        while self._poses[0][0] < stamp_ns - self._keep_ns:
            self._poses.popleft()
        self._way = None

    def at(self, stamp_ns: int) -> Array:
        """Return world_from_body (4, 4) at a time, interpolated.

        Raises:
            BadCalibration: no_poses, extrapolation, gap: where it was is not known, and never guessed.
        """
        if not self._poses:
            raise BadCalibration(
                "no_poses", "No pose of the vehicle has come yet: is the odometry topic the right one?"
            )
        if self._way is None:
            self._way = Trajectory([at for at, _ in self._poses], [pose for _, pose in self._poses], **self._limits)
        return self._way.at(stamp_ns)
