"""Where LiDARs and cameras are while frames are collected: by calibration files and odometry, or by what a bag says."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.collect.sets import Placed, RawSet
from clip2scene_ros.errors import BadCalibration, BadConfig
from clip2scene_ros.frame import NS_PER_S, Array, Scan
from clip2scene_ros.geometry import invert, pose_from_quaternion
from clip2scene_ros.io.bag_calibration import RigCalibration
from clip2scene_ros.io.bag_frames import CLOUD
from clip2scene_ros.io.bag_messages import typestore
from clip2scene_ros.io.calibration import load_base_from_lidar, load_calibration
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.pose_buffer import KEEP_S, PoseBuffer
from clip2scene_ros.transform_tree import frame_name

NEAR_NS = NS_PER_S // 10
"""Poses so long before and after a scan tell how the sensor moved while it turned."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RigCondition:
    """What a live rig says of itself.

    Attributes:
        motion: where the vehicle's way comes from.
        problems: what keeps images from being placed at the moment.
        refused: reason -> messages that cannot be right.
    """

    motion: str
    problems: tuple[str, ...] = ()
    refused: Counter[str] = field(default_factory=Counter)


class Way:
    """The vehicle's way by odometry.

    Args:
        keep_s: how far back poses are remembered; None for all.
    """

    def __init__(self, keep_s: float | None) -> None:
        self._poses = PoseBuffer(keep_s)
        self.heard, self.base = False, ""

    def add(self, message: Any) -> None:  # noqa: ANN401 - rclpy's or rosbags' nav_msgs/Odometry
        """Take in a pose.

        Raises:
            BadCalibration: it is none (NaN, zero quaternion).
        """
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        pose = pose_from_quaternion((at.x, at.y, at.z), (turn.x, turn.y, turn.z, turn.w))
        self._poses.add(stamp_of(message), pose)
        self.heard, self.base = True, frame_name(message.child_frame_id)

    def at(self, stamp_ns: int) -> Array:
        """Return (4, 4) world_from_base at a time [ns], interpolated.

        Raises:
            BadCalibration: the odometry does not reach it.
        """
        return self._poses.at(stamp_ns)


class FileRig:
    """Cameras by calibration files, the vehicle's way by odometry where there is some.

    Args:
        files: LiDAR -> its calibration file.
        cameras: names that each file must have.
        keep_s: how far back the odometry is remembered; None for all of a bag.

    Raises:
        BadCalibration: a file is missing or wrong, or lacks a camera.
    """

    def __init__(
        self, files: Mapping[str, str | Path], cameras: tuple[str, ...], keep_s: float | None = KEEP_S
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
        self._way, self._warned, self._refused = Way(keep_s), set[str](), Counter[str]()

    def add_odometry(self, message: Any) -> None:  # noqa: ANN401
        """Take in a nav_msgs/Odometry; one that is no pose is left out with a warning."""
        try:
            self._way.add(message)
        except BadCalibration as error:
            self._refused[f"odometry.{error.reason}"] += 1
            self._warn_once(f"An odometry message is left out: {error}")

    def condition(self) -> RigCondition:
        """Return what is known of the vehicle's way, and what was refused."""
        motion = "odometry" if self._way.heard else "none: images are placed as if the vehicle stood still"
        return RigCondition(motion, refused=Counter(self._refused))

    def pose(self, raw: RawSet) -> Array | None:
        """Return (4, 4) world_from_lidar at the scan's stamp, or None."""
        return self._pose(raw.source, raw.stamp_ns)

    def place(self, raw: RawSet) -> Placed:
        """Return where LiDAR and cameras were; cameras are left out where there is odometry that does not reach."""
        placed = Placed(self.pose(raw), around(raw.stamp_ns, lambda stamp_ns: self._pose(raw.source, stamp_ns)))
        for name, image in raw.images.items():
            model, standing = self._cameras[raw.source][name]
            moved = self._moved(raw, image.stamp_ns)
            if moved is None:
                placed.left_out[name] = "no_pose"
            else:
                placed.cameras[name] = (model, standing @ moved)
        return placed

    def _pose(self, source: str, stamp_ns: int) -> Array | None:
        base_from_lidar = self._base_from_lidar[source]
        try:
            return None if base_from_lidar is None else self._way.at(stamp_ns) @ base_from_lidar
        except BadCalibration:
            return None

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
        near = around(raw.stamp_ns, lambda at: self._calibration.world_from_lidar(_empty(at, scan.frame_id)))
        placed = Placed(self._calibration.world_from_lidar(scan), near)
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


def around(stamp_ns: int, pose: Callable[[int], Array | None]) -> dict[int, Array]:
    """Return stamp [ns] -> what `pose` says shortly before and after a stamp, where it says something."""
    found = {at: pose(at) for at in (stamp_ns - NEAR_NS, stamp_ns + NEAR_NS)}
    return {at: each for at, each in found.items() if each is not None}


def _bare(raw: RawSet) -> Scan:
    """Return the scan without its points: stamp and frame."""
    message: Any = typestore().deserialize_cdr(raw.scan, CLOUD)
    return _empty(raw.stamp_ns, message.header.frame_id)


def _empty(stamp_ns: int, frame_id: str = "") -> Scan:
    return Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), stamp_ns, frame_id)
