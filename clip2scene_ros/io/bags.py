"""Bags in and out, on `rosbags`, without ROS."""

from __future__ import annotations

from clip2scene_ros.io.bag_frames import BagTopics, points_topic
from clip2scene_ros.io.bag_messages import (
    camera_info_message,
    cloud_message,
    compressed_image_message,
    odometry_message,
    string_message,
    tf_static_message,
)
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.bag_writer import BagWriter
from clip2scene_ros.io.stamps import stamp_of

__all__ = [
    "BagReader",
    "BagTopics",
    "BagWriter",
    "camera_info_message",
    "cloud_message",
    "compressed_image_message",
    "odometry_message",
    "points_topic",
    "stamp_of",
    "string_message",
    "tf_static_message",
]
