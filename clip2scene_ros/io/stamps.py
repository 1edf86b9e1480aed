"""Header stamps as integer nanoseconds, of messages of any ROS library and of serialised ones."""

from __future__ import annotations

import struct
from typing import Any

from clip2scene_ros.errors import BadCloud
from clip2scene_ros.frame import NS_PER_S

HEAD_BYTES = 12
"""Four bytes of encapsulation, then the stamp, which every message with a header begins with."""


def stamp_of(message: Any) -> int:  # noqa: ANN401 - rclpy or rosbags message
    """Return the header stamp of any message with a header [ns]."""
    stamp = message.header.stamp
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def cdr_stamp_ns(data: bytes) -> int:
    """Return the header stamp of a serialised (CDR) message that begins with a header [ns]; nothing else is decoded.

    Raises:
        BadCloud: truncated: fewer bytes than a stamp has.
    """
    if len(data) < HEAD_BYTES:
        raise BadCloud("truncated", f"Expected a serialised message with a stamp, but got {len(data)} bytes.")
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * NS_PER_S + int(nanoseconds)


def cdr_frame_id(data: bytes) -> str:
    """Return the frame of a serialised (CDR) message that begins with a header; nothing else is decoded.

    Raises:
        BadCloud: truncated: fewer bytes than the header says it has.
    """
    head = HEAD_BYTES + struct.calcsize("<I")
    size = struct.unpack_from("<I" if data[1] & 1 else ">I", data, HEAD_BYTES)[0] if len(data) >= head else 0
    if len(data) < head + size or not size:  # a string's size counts the zero at its end
        raise BadCloud("truncated", f"Expected a serialised message with a frame, but got {len(data)} bytes.")
    return data[head : head + size - 1].decode("utf-8", "replace")
