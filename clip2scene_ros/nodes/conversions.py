"""Message classes at the edge: a cloud's layout into a ROS message."""

from __future__ import annotations

import array

from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from clip2scene_ros.io.pointcloud import CloudLayout


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
