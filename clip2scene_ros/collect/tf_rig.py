"""Where LiDARs and cameras are, as a running vehicle tells it: CameraInfo, TF, and odometry where there is some.

Nothing is assumed: an image whose camera, mount or motion is not known yet is left out with its reason, and is taken
as soon as the missing message has come.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from clip2scene_ros.collect.rig import RigCondition, Way, around
from clip2scene_ros.collect.sets import Placed, RawImage, RawSet
from clip2scene_ros.errors import BadCalibration, BadCloud
from clip2scene_ros.frame import Array, CameraModel
from clip2scene_ros.geometry import invert
from clip2scene_ros.io.bag_messages import typestore
from clip2scene_ros.io.calibration import camera_from_info
from clip2scene_ros.io.stamps import HEAD_BYTES, cdr_frame_id, stamp_of
from clip2scene_ros.pose_buffer import KEEP_S
from clip2scene_ros.transform_tree import TransformTree, frame_name

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
WARNINGS = 100
"""Different warnings that are logged: names of frames come from the network."""

_log = logging.getLogger(__name__)


class TfRig:
    """Cameras by CameraInfo, mounts by TF, the vehicle's way by odometry, or by TF where there is no odometry.

    Args:
        cameras: their names.
        fixed_frame: of the world, in TF.
        keep_s: how far back poses are remembered.
    """

    def __init__(self, cameras: tuple[str, ...], fixed_frame: str = "odom", keep_s: float = KEEP_S) -> None:
        self._cameras, self._fixed = cameras, frame_name(fixed_frame)
        self._tree, self._way = TransformTree(keep_s), Way(keep_s)
        self._infos: dict[str, bytes] = {}
        self._models: dict[str, tuple[CameraModel, str]] = {}
        self._bad: dict[str, BadCalibration] = {}
        self._lidars: dict[str, tuple[str, int]] = {}
        self._warned, self._refused = set[str](), Counter[str]()

    def add_camera_info(self, camera: str, data: bytes) -> None:
        """Take in a serialised sensor_msgs/CameraInfo; the newest counts, one that cannot be right takes it away."""
        if data[HEAD_BYTES:] != self._infos.get(camera):  # all but the stamp
            self._infos[camera] = data[HEAD_BYTES:]
            self._models.pop(camera, None)
            self._bad.pop(camera, None)
            try:
                info: Any = _decode(data)
                self._models[camera] = (
                    camera_from_info(info, f"{camera}/camera_info"),
                    frame_name(info.header.frame_id),
                )
            except BadCalibration as error:
                self._bad[camera] = error
        if camera in self._bad:
            self._refuse(f"{camera}.camera_info", self._bad[camera])

    def add_transforms(self, message: Any, *, static: bool) -> None:  # noqa: ANN401 - tf2_msgs/TFMessage
        """Take in what /tf_static or /tf says; a transform that is none (NaN, no rotation) is left out."""
        for stamped in message.transforms:
            try:
                self._tree.add_stamped(stamped, None if static else stamp_of(stamped))
            except BadCalibration as error:
                self._refuse("transform", error)

    def add_odometry(self, message: Any) -> None:  # noqa: ANN401
        """Take in a nav_msgs/Odometry; one that is no pose is left out."""
        try:
            self._way.add(message)
        except BadCalibration as error:
            self._refuse("odometry", error)

    def condition(self) -> RigCondition:
        """Return what is missing at the moment, as of the newest scans."""
        problems = []
        for camera in self._cameras:
            if camera in self._bad:
                problems.append(f"{camera} cannot be placed: {self._bad[camera]}")
            elif camera not in self._models:
                problems.append(f"{camera} cannot be placed: no {camera}/camera_info has come")
        for frame, stamp_ns in self._lidars.values():
            for _, optical in self._models.values():
                problems += self._problem(partial(self._tree.lookup, optical, frame, stamp_ns))
            problems += self._problem(partial(self._world_from, frame, stamp_ns))
        motion = "odometry" if self._way.heard else f"tf from {self._fixed}"
        return RigCondition(motion, tuple(dict.fromkeys(problems)), Counter(self._refused))

    def pose(self, raw: RawSet) -> Array | None:
        """Return (4, 4) world_from_lidar at the scan's stamp, or None."""
        frame = _frame_of(raw)
        if frame:
            self._lidars[raw.source] = (frame, raw.stamp_ns)
        return self._pose(frame, raw.stamp_ns)

    def place(self, raw: RawSet) -> Placed:
        """Return where LiDAR and cameras were; cameras of which that is not known are left out."""
        lidar = _frame_of(raw)
        placed = Placed(self._pose(lidar, raw.stamp_ns), around(raw.stamp_ns, lambda at: self._pose(lidar, at)))
        for name, image in raw.images.items():
            if name not in self._models:
                placed.left_out[name] = "bad_camera_info" if name in self._bad else "no_camera_info"
                continue
            model, optical = self._models[name]
            try:
                placed.cameras[name] = (model, self._camera_from_lidar(optical, lidar, image, raw.stamp_ns))
            except BadCalibration as error:
                placed.left_out[name] = "no_transform" if error.reason == "no_transform" else "no_pose"
        return placed

    def _camera_from_lidar(self, optical: str, lidar: str, image: RawImage, scan_ns: int) -> Array:
        """Return (4, 4) camera_from_lidar, from the scan's stamp to the image's.

        Raises:
            BadCalibration: no_transform; of a way that does not reach so far: what `PoseBuffer.at` finds.
        """
        standing = self._tree.lookup(optical, lidar, scan_ns)
        if image.stamp_ns == scan_ns:
            return standing
        try:
            then, now = self._world_from(optical, image.stamp_ns), self._world_from(lidar, scan_ns)
        except BadCalibration as error:  # the mount is known: it is the way that is not
            raise BadCalibration("no_pose", str(error)) from error
        placed: Array = invert(then) @ now
        return placed

    def _world_from(self, frame: str, stamp_ns: int) -> Array:
        """Return (4, 4) world_from_frame at a time [ns].

        Raises:
            BadCalibration: it is not known.
        """
        if not self._way.heard:
            return self._tree.lookup(self._fixed, frame, stamp_ns)
        world_from_base: Array = self._way.at(stamp_ns) @ self._tree.lookup(self._way.base, frame, stamp_ns)
        return world_from_base

    def _pose(self, frame: str, stamp_ns: int) -> Array | None:
        try:
            return self._world_from(frame, stamp_ns)
        except BadCalibration:
            return None

    def _problem(self, ask: Callable[[], object]) -> list[str]:
        try:
            ask()
        except BadCalibration as error:
            return [str(error)]
        return []

    def _refuse(self, what: str, error: BadCalibration) -> None:
        self._refused[f"{what}.{error.reason}"] += 1
        text = f"A message is left out: {error}"
        if text not in self._warned and len(self._warned) < WARNINGS:
            self._warned.add(text)
            _log.warning(text)


def _frame_of(raw: RawSet) -> str:
    """Return the LiDAR's frame, empty where the message is too short for one."""
    try:
        return frame_name(cdr_frame_id(raw.scan))
    except BadCloud:
        return ""


def _decode(data: bytes) -> Any:  # noqa: ANN401
    try:
        return typestore().deserialize_cdr(data, CAMERA_INFO)
    except Exception as error:  # generated decoders raise whatever slicing short bytes raises
        raise BadCalibration("message", f"{len(data)} bytes do not fit {CAMERA_INFO}: {str(error)[:100]}.") from error
