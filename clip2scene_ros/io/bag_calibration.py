"""What a bag says of its rig: transforms, camera models and the vehicle's way. Nothing is ever assumed in silence."""

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

Rig = Mapping[str, tuple[CameraModel, Array]]

_log = logging.getLogger(__name__)


class RigCalibration:
    """Collects /tf_static, camera_info and odometry of a bag, then places cameras against scans.

    Args:
        given: camera name -> model and camera_from_lidar that count instead of the bag's camera_info and transforms.

    Attributes:
        cameras: image topic -> camera model and name of its optical frame.
    """

    def __init__(self, given: Rig | None = None) -> None:
        self.cameras: dict[str, tuple[CameraModel, str]] = {}
        self._given, self._placed = given, dict[str, Array]()
        self._tree = TransformTree()
        self._stamps: list[int] = []
        self._poses: list[Array] = []
        self._base = ""
        self._way: Trajectory | None = None
        self._warned: set[str] = set()

    def add_transforms(self, message: Message) -> None:
        """Take in a tf2_msgs/TFMessage; a transform that is none (NaN, zero quaternion) is left out with a warning."""
        for stamped in message.transforms:
            parent, child = frame_name(stamped.header.frame_id), frame_name(stamped.child_frame_id)
            move, turn = stamped.transform.translation, stamped.transform.rotation
            try:
                self._tree.add_quaternion(parent, child, (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w))
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

    def warn_once(self, text: str) -> None:
        """Log a warning that was not logged before."""
        if text not in self._warned:
            self._warned.add(text)
            _log.warning(text)

    def static(self, target: str, source: str) -> Array | None:
        """Return the (4, 4) static transform target_from_source, or None where no chain connects the two."""
        return self._tree.lookup(target, source) if self._tree.joins(target, source) else None

    def world_from_lidar(self, scan: Scan) -> Array | None:
        """Return the (4, 4) pose of the scan, or None when odometry or the transform from its base is missing."""
        world_from_base = self._world_from_base(scan.stamp_ns)
        base_from_lidar = self.static(self._base, scan.frame_id)
        if world_from_base is None or base_from_lidar is None:
            return None
        world_from_lidar: Array = world_from_base @ base_from_lidar
        return world_from_lidar

    def camera_from_lidar(self, image_topic: str, image_stamp_ns: int, scan: Scan) -> Array | None:
        """Return (4, 4) camera_from_lidar with the ego motion from scan to image, or None (logged) when unknown."""
        if image_topic not in self.cameras:
            if self._given is None:
                self.warn_once(f"Camera {image_topic} is left out: the bag has no usable camera_info for it.")
            return None
        optical = self.cameras[image_topic][1]
        camera_from_lidar = self._placed.get(image_topic)
        if camera_from_lidar is None:
            camera_from_lidar = self.static(optical, scan.frame_id)
        if camera_from_lidar is None:
            self.warn_once(f"Camera {image_topic} is left out: /tf_static does not join {scan.frame_id} and {optical}.")
            return None
        if image_stamp_ns == scan.stamp_ns:
            return camera_from_lidar
        return self._with_motion(camera_from_lidar, image_topic, image_stamp_ns, scan)

    def _with_motion(self, standing: Array, image_topic: str, image_stamp_ns: int, scan: Scan) -> Array | None:
        base_from_lidar = self.static(self._base, scan.frame_id)
        if base_from_lidar is None:
            self.warn_once("No odometry joined to the sensors: images are placed as if the vehicle stood still.")
            return standing
        world_from_now, world_from_then = self._world_from_base(scan.stamp_ns), self._world_from_base(image_stamp_ns)
        if world_from_now is None or world_from_then is None:
            self.warn_once(f"Images of {image_topic} are left out where the odometry does not reach their stamp.")
            return None
        placed: Array = standing @ invert(base_from_lidar) @ invert(world_from_then) @ world_from_now @ base_from_lidar
        return placed

    def _world_from_base(self, stamp_ns: int) -> Array | None:
        if not self._stamps:
            return None
        if self._way is None:
            self._way = Trajectory(np.array(self._stamps, dtype=np.int64), np.stack(self._poses))
        try:
            return self._way.at(stamp_ns)
        except ValueError:  # outside of what was recorded
            return None
