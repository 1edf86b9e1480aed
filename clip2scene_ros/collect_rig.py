"""Where LiDARs and cameras are while frames are collected: by calibration files and odometry, or by what a bag says."""

from __future__ import annotations

import logging
from bisect import bisect_left, insort
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.collect_sets import Placed, RawSet
from clip2scene_ros.errors import BadCalibration, BadConfig
from clip2scene_ros.frame import NS_PER_S, Array, Scan
from clip2scene_ros.geometry import Trajectory, invert, pose_from_quaternion
from clip2scene_ros.io.bag_calibration import RigCalibration
from clip2scene_ros.io.bag_frames import CLOUD
from clip2scene_ros.io.bag_messages import typestore
from clip2scene_ros.io.calibration import load_base_from_lidar, load_calibration
from clip2scene_ros.io.stamps import stamp_of

NEAR_NS = NS_PER_S // 10
"""Poses so long before and after a scan tell how the sensor moved while it turned."""
HISTORY = 4096
"""Poses remembered: 20 s of odometry at 200 Hz."""
JUMP_NS = NS_PER_S
"""Odometry that goes back by so much is of another drive."""

_log = logging.getLogger(__name__)


class Way:
    """The vehicle's way by odometry.

    Args:
        history: poses that are remembered; None for all.
    """

    def __init__(self, history: int | None) -> None:
        self._history = history
        self._stamps: list[int] = []
        self._poses: dict[int, Array] = {}
        self.heard = False

    def add(self, message: Any) -> None:  # noqa: ANN401 - rclpy's or rosbags' nav_msgs/Odometry
        """Take in a pose.

        Raises:
            BadCalibration: it is none (NaN, zero quaternion).
        """
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        pose = pose_from_quaternion((at.x, at.y, at.z), (turn.x, turn.y, turn.z, turn.w))
        stamp_ns = stamp_of(message)
        self.heard = True
        if self._history is not None and self._stamps and stamp_ns < self._stamps[-1] - JUMP_NS:
            self._stamps.clear()
            self._poses.clear()
        if stamp_ns not in self._poses:
            insort(self._stamps, stamp_ns)
        self._poses[stamp_ns] = pose
        while self._history is not None and len(self._stamps) > self._history:
            del self._poses[self._stamps.pop(0)]

    def at(self, stamp_ns: int) -> Array | None:
        """Return (4, 4) world_from_base at a time [ns], interpolated, or None where the odometry does not reach it."""
        i = bisect_left(self._stamps, stamp_ns)
        near = self._stamps[max(0, i - 2) : i + 2]
        if not near:
            return None
        try:
            return Trajectory(near, [self._poses[stamp] for stamp in near]).at(stamp_ns)
        except BadCalibration:
            return None


class FileRig:
    """Cameras by calibration files, the vehicle's way by odometry where there is some.

    Args:
        files: LiDAR -> its calibration file.
        cameras: names that each file must have.
        history: poses of the odometry that are remembered; None for all of a bag.

    Raises:
        BadCalibration: a file is missing or wrong, or lacks a camera.
    """

    def __init__(
        self, files: Mapping[str, str | Path], cameras: tuple[str, ...], history: int | None = HISTORY
    ) -> None:
        self._cameras = {source: load_calibration(path) for source, path in files.items()}
        self._base_from_lidar = {source: load_base_from_lidar(path) for source, path in files.items()}
        for source, found in self._cameras.items():
            missing = [name for name in cameras if name not in found]
            if missing:
                raise BadCalibration(
                    "missing_camera",
                    f"{files[source]}: expected cameras {', '.join(cameras)}, but {missing[0]} is not among "
                    f"{', '.join(found)}.",
                )
        self._way, self._warned = Way(history), set[str]()

    def add_odometry(self, message: Any) -> None:  # noqa: ANN401
        """Take in a nav_msgs/Odometry; one that is no pose is left out with a warning."""
        try:
            self._way.add(message)
        except BadCalibration as error:
            self._warn_once(f"An odometry message is left out: {error}")

    def pose(self, raw: RawSet) -> Array | None:
        """Return (4, 4) world_from_lidar at the scan's stamp, or None."""
        return self._pose(raw.source, raw.stamp_ns)

    def place(self, raw: RawSet) -> Placed:
        """Return where LiDAR and cameras were; cameras are left out where there is odometry that does not reach."""
        placed = Placed(self.pose(raw), _around(raw.stamp_ns, lambda stamp_ns: self._pose(raw.source, stamp_ns)))
        for name, image in raw.images.items():
            model, standing = self._cameras[raw.source][name]
            moved = self._moved(raw, image.stamp_ns)
            if moved is None:
                placed.left_out[name] = "no_pose"
            else:
                placed.cameras[name] = (model, standing @ moved)
        return placed

    def _pose(self, source: str, stamp_ns: int) -> Array | None:
        base_from_lidar, world_from_base = self._base_from_lidar[source], self._way.at(stamp_ns)
        return None if base_from_lidar is None or world_from_base is None else world_from_base @ base_from_lidar

    def _moved(self, raw: RawSet, image_ns: int) -> Array | None:
        """Return (4, 4) lidar_then_from_lidar_now, from the scan's stamp to the image's, or None when unknown."""
        if image_ns == raw.stamp_ns:
            return np.eye(4)
        if not self._way.heard or self._base_from_lidar[raw.source] is None:
            why = "no odometry" if not self._way.heard else "no `base_from_lidar` in the calibration file"
            self._warn_once(f"There is {why}: images are placed as if the vehicle stood still.")
            return np.eye(4)
        now, then = self._pose(raw.source, raw.stamp_ns), self._pose(raw.source, image_ns)
        return None if now is None or then is None else invert(then) @ now

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            _log.warning(text)


class BagRig:
    """What a bag says of its rig: /tf_static, camera_info and odometry.

    Args:
        calibration: what was read of it.
        topics: camera -> image topic.
    """

    def __init__(self, calibration: RigCalibration, topics: Mapping[str, str]) -> None:
        self._calibration, self._topics = calibration, topics

    def pose(self, raw: RawSet) -> Array | None:
        """Return (4, 4) world_from_lidar at the scan's stamp, or None."""
        return self._calibration.world_from_lidar(_bare(raw))

    def place(self, raw: RawSet) -> Placed:
        """Return where LiDAR and cameras were."""
        scan = _bare(raw)
        around = _around(raw.stamp_ns, lambda at: self._calibration.world_from_lidar(_empty(at, scan.frame_id)))
        placed = Placed(self._calibration.world_from_lidar(scan), around)
        for name, image in raw.images.items():
            topic = self._topics[name]
            camera_from_lidar = self._calibration.camera_from_lidar(topic, image.stamp_ns, scan)
            if camera_from_lidar is None:
                placed.left_out[name] = "not_placed"
            else:
                placed.cameras[name] = (self._calibration.cameras[topic][0], camera_from_lidar)
        return placed


def files_of(text: str, lidars: tuple[str, ...], where: str = "calibration.file") -> dict[str, Path]:
    """Return LiDAR -> calibration file of a setting: one path for one LiDAR, else `top/points: a.yaml, ...`.

    Raises:
        BadConfig: it names another LiDAR, none for one, or nothing.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = {lidar.strip(): path.strip() for lidar, colon, path in (part.partition(": ") for part in parts) if colon}
    if len(lidars) == 1 and len(parts) == 1 and not pairs:
        return {lidars[0]: Path(parts[0]).expanduser()}
    if set(pairs) != set(lidars) or len(parts) != len(pairs):
        expected = "a path" if len(lidars) == 1 else ", ".join(f"{lidar}: PATH" for lidar in lidars)
        raise BadConfig("calibration", f"Setting `{where}` expects {expected}, but got {text[:200]!r}.")
    return {lidar: Path(path).expanduser() for lidar, path in pairs.items()}


def _around(stamp_ns: int, pose: Any) -> dict[int, Array]:  # noqa: ANN401 - a function
    found = {at: pose(at) for at in (stamp_ns - NEAR_NS, stamp_ns + NEAR_NS)}
    return {at: each for at, each in found.items() if each is not None}


def _bare(raw: RawSet) -> Scan:
    """Return the scan without its points: stamp and frame."""
    message: Any = typestore().deserialize_cdr(raw.scan, CLOUD)
    return _empty(raw.stamp_ns, message.header.frame_id)


def _empty(stamp_ns: int, frame_id: str = "") -> Scan:
    return Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), stamp_ns, frame_id)
