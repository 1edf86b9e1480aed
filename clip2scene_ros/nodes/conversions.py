"""Message classes at the edge: layouts of the core into ROS messages, and replayed bag messages into live ones."""

from __future__ import annotations

import array
from typing import Any, Protocol

from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

NS_PER_S = 1_000_000_000


class Layout(Protocol):
    """What `io.pointcloud.pack` returns: fields, bytes a point, all bytes, number of points."""

    @property
    def fields(self) -> tuple[Any, ...]: ...  # noqa: D102
    @property
    def point_step(self) -> int: ...  # noqa: D102
    @property
    def data(self) -> bytes | memoryview: ...  # noqa: D102
    @property
    def width(self) -> int: ...  # noqa: D102


def byte_array(data: bytes | memoryview) -> array.array[int]:
    """Return `data` as the `array.array` that rclpy takes with one memcpy; a numpy array would go byte by byte."""
    out = array.array("B")
    out.frombytes(memoryview(data).cast("B"))
    return out


def cloud_message(layout: Layout, header: Header) -> PointCloud2:
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


def live_cloud(recorded: Any) -> PointCloud2:  # noqa: ANN401 - anything with PointCloud2's attributes
    """Return a recorded cloud (of `rosbags`, say) as a message that rclpy can publish."""
    message = PointCloud2(height=int(recorded.height), width=int(recorded.width))
    message.header.stamp.sec = int(recorded.header.stamp.sec)
    message.header.stamp.nanosec = int(recorded.header.stamp.nanosec)
    message.header.frame_id = str(recorded.header.frame_id)
    message.fields = [
        PointField(name=str(f.name), offset=int(f.offset), datatype=int(f.datatype), count=int(f.count))
        for f in recorded.fields
    ]
    message.is_bigendian = bool(recorded.is_bigendian)
    message.point_step, message.row_step = int(recorded.point_step), int(recorded.row_step)
    message.data = byte_array(memoryview(recorded.data))
    message.is_dense = bool(recorded.is_dense)
    return message


def stamp_ns(header: Any) -> int:  # noqa: ANN401 - rclpy's or rosbags' Header
    """Return the stamp of a header [ns]."""
    return int(header.stamp.sec) * NS_PER_S + int(header.stamp.nanosec)
