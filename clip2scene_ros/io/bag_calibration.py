"""What a bag says of its rig: transforms, camera models and the vehicle's way. Nothing is ever assumed in silence.

The way is that of the odometry; without one it is that of /tf, from `odom`, `map` or `world` to the sensors.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import Array, CameraModel, Scan
from clip2scene_ros.geometry import Trajectory, invert, pose_from_quaternion
from clip2scene_ros.io.bag_messages import Message
from clip2scene_ros.io.calibration import camera_from_info
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.transform_tree import TransformTree, frame_name

TF_STATIC = "/tf_static"
TF = "/tf"
FIXED_FRAMES = ("odom", "map", "world")
"""Frames of /tf that stand still, the first that there is; odometry counts instead where there is some."""

Rig = Mapping[str, tuple[CameraModel, Array]]

_log = logging.getLogger(__name__)


class RigCalibration:
    """Collects transforms, camera_info and odometry of a bag, then places cameras against scans.

    Args:
        given: camera name -> model and camera_from_lidar that count instead of the bag's camera_info and transforms.

    Attributes:
        cameras: image topic -> camera model and name of its optical frame.
    """

    def __init__(self, given: Rig | None = None) -> None:
        self.cameras: dict[str, tuple[CameraModel, str]] = {}
        self._given, self._placed = given, dict[str, Array]()
        self._tree = TransformTree(keep_s=None)
        self._stamps: list[int] = []
        self._poses: list[Array] = []
        self._base = ""
        self._way: Trajectory | None = None
        self._warned: set[str] = set()

    def add_transforms(self, message: Message, *, static: bool) -> None:
        """Take in what /tf_static or /tf says; a transform that is none (NaN, zero quaternion) is left out, logged."""
        for stamped in message.transforms:
            parent, child = frame_name(stamped.header.frame_id), frame_name(stamped.child_frame_id)
            try:
                self._tree.add_stamped(stamped, None if static else stamp_of(stamped))
            except BadCalibration as error:
                self.warn_once(f"Transform {parent} -> {child} is left out: {error}")

    def add_camera(self, image_topic: str, message: Message) -> None:
        """Take in the camera_info of an image topic; what cannot be a camera is left out with a warning."""
        try:
            self.cameras[image_topic] = (camera_from_info(message), frame_name(message.header.frame_id))
        except BadCalibration as error:
            self.warn_once(f"Camera {image_topic} is left out, its camera_info cannot be right: {error}")

    @property
    def is_given(self) -> bool:
        """Return whether cameras are what was given, not what the bag says."""
        return self._given is not None

    def take_given(self, image_topic: str, name: str) -> None:
        """Take a camera from what was given instead of from the bag, if anything was."""
        if self._given is None:
            return
        if name not in self._given:
            self.warn_once(
                f"Camera {name} is left out: the calibration has no such camera, only {', '.join(self._given)}."
            )
            return
        camera, self._placed[image_topic] = self._given[name]
        self.cameras[image_topic] = (camera, "")

    def add_odometry(self, message: Message) -> None:
        """Take in a nav_msgs/Odometry; one that is no pose is left out with a warning."""
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        try:
            pose = pose_from_quaternion((at.x, at.y, at.z), (turn.x, turn.y, turn.z, turn.w))
        except BadCalibration as error:
            self.warn_once(f"An odometry message is left out: {error}")
            return
        stamp_ns = stamp_of(message)
        if not self._stamps or stamp_ns > self._stamps[-1]:  # a repeated or late stamp says nothing new
            self._stamps.append(stamp_ns)
            self._poses.append(pose)
            self._base = frame_name(message.child_frame_id)

    def world_from_lidar(self, scan: Scan) -> Array | None:
        """Return the (4, 4) pose of the scan, or None where the way or the transforms to it are missing."""
        return self._world_from(scan.frame_id, scan.stamp_ns)

    def camera_from_lidar(self, image_topic: str, image_stamp_ns: int, scan: Scan) -> Array | None:
        """Return (4, 4) camera_from_lidar with the ego motion from scan to image, or None (logged) when unknown."""
        if image_topic not in self.cameras:
            if self._given is None:
                self.warn_once(f"Camera {image_topic} is left out: the bag has no usable camera_info for it.")
            return None
        optical = self.cameras[image_topic][1]
        standing = self._placed.get(image_topic)
        if standing is None:
            standing = self._lookup(optical, scan.frame_id, scan.stamp_ns)
        if standing is None:
            self.warn_once(f"Camera {image_topic} is left out: /tf_static does not join {scan.frame_id} and {optical}.")
            return None
        if image_stamp_ns == scan.stamp_ns:
            return standing
        return self._with_motion(standing, image_topic, image_stamp_ns, scan)

    def _with_motion(self, standing: Array, image_topic: str, image_stamp_ns: int, scan: Scan) -> Array | None:
        if not self._joined_to_way(scan.frame_id):
            self.warn_once(
                "No odometry and no moving transform is joined to the sensors: images are placed as if the vehicle "
                "stood still."
            )
            return standing
        now, then = (self._world_from(scan.frame_id, at) for at in (scan.stamp_ns, image_stamp_ns))
        if now is None or then is None:
            self.warn_once(f"Images of {image_topic} are left out where the vehicle's way does not reach their stamp.")
            return None
        placed: Array = standing @ invert(then) @ now
        return placed

    @property
    def _fixed(self) -> str:
        return next((frame for frame in FIXED_FRAMES if frame in self._tree.frames), "")

    def _joined_to_way(self, lidar: str) -> bool:
        frame = self._base if self._stamps else self._fixed
        return bool(frame) and (frame_name(lidar) == frame or self._tree.joins(frame, lidar))

    def _world_from(self, lidar: str, stamp_ns: int) -> Array | None:
        """Return (4, 4) world_from_lidar at a time, or None where it is not known."""
        if not self._stamps:
            return self._lookup(self._fixed, lidar, stamp_ns) if self._fixed else None
        world_from_base, base_from_lidar = self._world_from_base(stamp_ns), self._lookup(self._base, lidar, stamp_ns)
        if world_from_base is None or base_from_lidar is None:
            return None
        world_from_lidar: Array = world_from_base @ base_from_lidar
        return world_from_lidar

    def _world_from_base(self, stamp_ns: int) -> Array | None:
        if self._way is None:
            self._way = Trajectory(np.array(self._stamps, dtype=np.int64), np.stack(self._poses))
        try:
            return self._way.at(stamp_ns)
        except ValueError:  # outside of what was recorded
            return None

    def _lookup(self, target: str, source: str, stamp_ns: int) -> Array | None:
        """Return the (4, 4) transform target_from_source at a time, or None where nothing joins the two then."""
        try:
            return self._tree.lookup(target, source, stamp_ns)
        except BadCalibration:
            return None

    def warn_once(self, text: str) -> None:
        """Log a warning that was not logged before."""
        if text not in self._warned:
            self._warned.add(text)
            _log.warning(text)
