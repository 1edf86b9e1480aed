"""Message classes at the edge: a cloud's layout into a ROS message."""

from __future__ import annotations

import array
import importlib

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from clip2scene_ros.frame import Array, Segmentation
from clip2scene_ros.io.pointcloud import CloudLayout, unpack_labels


def byte_array(data: bytes | memoryview) -> array.array[int]:
    """Return `data` as the `array.array` that rclpy takes with one memcpy; a numpy array would go byte by byte."""
    out = array.array("B")
    out.frombytes(memoryview(data).cast("B"))
    return out


def cloud_message(layout: CloudLayout, header: Header) -> PointCloud2:
    """Return a cloud of one row with the given header, as it is: same stamp, same frame."""
    message = PointCloud2(header=header, height=1, width=layout.width)
    message.fields = [
        PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in layout.fields
    ]
    message.point_step = layout.point_step
    message.row_step = layout.point_step * layout.width
    message.data = byte_array(layout.data)
    message.is_dense = False  # points that were not finite came in, so they go out
    return message


def read_labels(data: bytes) -> tuple[Array, Segmentation]:
    """Return points (N, 3) float32 and labels of a serialised label cloud, as any ROS program would read them.

    With sensor_msgs_py where ROS is installed (it is not on PyPI), so that a user's reader is what is tested; else
    with our own.

    Raises:
        BadCloud: from our own reader: no label cloud.
    """
    message = deserialize_message(data, PointCloud2)
    try:
        reader = importlib.import_module("sensor_msgs_py.point_cloud2")
    except ImportError:
        return unpack_labels(message)
    values = reader.read_points(message)
    class_id, probability, entropy = (np.ascontiguousarray(values[n]) for n in ("class_id", "probability", "entropy"))
    return np.stack([values[axis] for axis in "xyz"], axis=-1), Segmentation(class_id, probability, entropy)
