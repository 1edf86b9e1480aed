"""Builds the ROS 2 messages that go into bags, without ROS: plain values in, `rosbags` messages out.

The definitions of these message types are the same from Humble to Kilted.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from clip2scene_ros.frame import NS_PER_S, Array, CameraModel
from clip2scene_ros.geometry import quaternion_from_matrix

if TYPE_CHECKING:
    from clip2scene_ros.io.pointcloud import CloudLayout

ZERO_COVARIANCE = np.zeros(36)

Message = Any
"""A `rosbags` message: a dataclass made from the .msg definition, `__msgtype__` names its type."""


@cache
def typestore() -> Typestore:
    """Return the message definitions used for writing, and for bags that carry none."""
    return get_typestore(Stores.ROS2_KILTED)


def message_class(msgtype: str) -> Any:  # noqa: ANN401 - made at run time from the .msg definition
    """Return the class of messages of type `msgtype` (`std_msgs/msg/String`)."""
    return typestore().types[msgtype]


def header(stamp_ns: int, frame_id: str) -> Message:
    """Return a std_msgs/Header."""
    time = message_class("builtin_interfaces/msg/Time")(*divmod(int(stamp_ns), NS_PER_S))
    return message_class("std_msgs/msg/Header")(stamp=time, frame_id=frame_id)


def cloud_message(layout: CloudLayout, stamp_ns: int, frame_id: str) -> Message:
    """Return a little-endian sensor_msgs/PointCloud2 of one row, with the fields and bytes of `layout`."""
    field_class = message_class("sensor_msgs/msg/PointField")
    return message_class("sensor_msgs/msg/PointCloud2")(
        header=header(stamp_ns, frame_id),
        height=1,
        width=layout.width,
        fields=[field_class(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in layout.fields],
        is_bigendian=False,
        point_step=layout.point_step,
        row_step=layout.point_step * layout.width,
        data=np.frombuffer(layout.data, dtype=np.uint8),
        is_dense=False,  # NaN points are kept, and who reads must expect them
    )


def compressed_image_message(jpeg: bytes, stamp_ns: int, frame_id: str) -> Message:
    """Return a sensor_msgs/CompressedImage of JPEG bytes."""
    return message_class("sensor_msgs/msg/CompressedImage")(
        header=header(stamp_ns, frame_id), format="jpeg", data=np.frombuffer(jpeg, dtype=np.uint8)
    )


def camera_info_message(camera: CameraModel, stamp_ns: int, frame_id: str) -> Message:
    """Return a sensor_msgs/CameraInfo; a pinhole camera is written as `plumb_bob` with zeros, as drivers do."""
    pinhole = camera.distortion_model == "none"
    matrix = np.asarray(camera.matrix, dtype=np.float64)
    roi = message_class("sensor_msgs/msg/RegionOfInterest")(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return message_class("sensor_msgs/msg/CameraInfo")(
        header=header(stamp_ns, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob" if pinhole else camera.distortion_model,
        d=np.zeros(5) if pinhole else np.asarray(camera.distortion, dtype=np.float64),
        k=matrix.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([matrix, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def odometry_message(
    world_from_base: Array, stamp_ns: int, frame_id: str = "odom", child_frame_id: str = "base_link"
) -> Message:
    """Return a nav_msgs/Odometry of a (4, 4) pose; the twist is left zero."""
    zero = message_class("geometry_msgs/msg/Vector3")(x=0.0, y=0.0, z=0.0)
    twist = message_class("geometry_msgs/msg/Twist")(linear=zero, angular=zero)
    return message_class("nav_msgs/msg/Odometry")(
        header=header(stamp_ns, frame_id),
        child_frame_id=child_frame_id,
        pose=message_class("geometry_msgs/msg/PoseWithCovariance")(
            pose=message_class("geometry_msgs/msg/Pose")(
                position=_xyz("geometry_msgs/msg/Point", world_from_base), orientation=_quaternion(world_from_base)
            ),
            covariance=ZERO_COVARIANCE,
        ),
        twist=message_class("geometry_msgs/msg/TwistWithCovariance")(twist=twist, covariance=ZERO_COVARIANCE),
    )


def tf_static_message(transforms: Iterable[tuple[str, str, Array]], stamp_ns: int) -> Message:
    """Return a tf2_msgs/TFMessage of `(parent, child, parent_from_child)`, the last a (4, 4) matrix."""
    stamped = message_class("geometry_msgs/msg/TransformStamped")
    transform = message_class("geometry_msgs/msg/Transform")
    return message_class("tf2_msgs/msg/TFMessage")(
        transforms=[
            stamped(
                header=header(stamp_ns, parent),
                child_frame_id=child,
                transform=transform(
                    translation=_xyz("geometry_msgs/msg/Vector3", parent_from_child),
                    rotation=_quaternion(parent_from_child),
                ),
            )
            for parent, child, parent_from_child in transforms
        ]
    )


def string_message(text: str) -> Message:
    """Return a std_msgs/String."""
    return message_class("std_msgs/msg/String")(data=text)


def _xyz(msgtype: str, matrix: Array) -> Message:
    x, y, z = (float(v) for v in matrix[:3, 3])
    return message_class(msgtype)(x=x, y=y, z=z)


def _quaternion(matrix: Array) -> Message:
    x, y, z, w = (float(v) for v in quaternion_from_matrix(matrix))
    return message_class("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w)
