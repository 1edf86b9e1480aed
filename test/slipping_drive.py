"""A drive past balls before a wall, with one camera that is turned on its mount for a while, as sets and as a bag."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from test_alignment import CAMERA, CAMERA_FROM_LIDAR, on_ball, scan_of_balls

from clip2scene_ros.alignment import turned
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.geometry import unproject
from clip2scene_ros.io.bag_messages import odometry_message
from clip2scene_ros.io.bags import (
    BagWriter,
    camera_info_message,
    cloud_message,
    compressed_image_message,
    tf_static_message,
)
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image

SCAN = scan_of_balls()
CAMERAS = ("cam_front", "cam_left")
SLIPS = "cam_left"
START_NS = 1_700_000_000_000_000_000
STEP_NS = 1_200_000_000
STEP_M = 5.0
TURN = ("pitch", 1.2)


@cache
def picture(slipped: bool) -> bytes:
    """Return the JPEG of a camera as calibrated, or turned."""
    columns, rows = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    rays = unproject(np.stack([columns.ravel(), rows.ravel()], axis=1), CAMERA)
    really = turned(TURN[0], np.radians(TURN[1] * slipped)) @ CAMERA_FROM_LIDAR
    x, y, z = (rays @ really[:3, :3]).T  # into the LiDAR's frame
    balls = on_ball(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))))
    gray = np.where(balls, 40, 200).astype(np.uint8).reshape(CAMERA.height, CAMERA.width)
    return encode_jpeg(np.repeat(gray[:, :, None], 3, axis=2), 95)


def pose(seconds: float) -> np.ndarray:
    """Return where the vehicle is so long after the start."""
    world_from_base = np.eye(4)
    world_from_base[0, 3] = STEP_M * seconds * 1e9 / STEP_NS
    return world_from_base


def write_slipping(path: Path, scans: int, slipped: Collection[int]) -> Path:
    """Write a bag in which one of two cameras is turned during the scans of these numbers."""
    with BagWriter(path) as bag:
        mounts = [("base_link", "lidar", np.eye(4))]
        mounts += [("base_link", name, np.linalg.inv(CAMERA_FROM_LIDAR)) for name in CAMERAS]
        bag.write("/tf_static", tf_static_message(mounts, START_NS), START_NS, latched=True)
        for name in CAMERAS:
            bag.write(f"/{name}/camera_info", camera_info_message(CAMERA, START_NS, name), START_NS)
        for i in range(scans):
            at = START_NS + i * STEP_NS
            for k in range(4):
                then = at + (k - 2) * STEP_NS // 4
                bag.write("/odom", odometry_message(pose((then - START_NS) / 1e9), then), then)
            for name in CAMERAS:
                jpeg = picture(slipped=name == SLIPS and i in slipped)
                bag.write(f"/{name}/image/compressed", compressed_image_message(jpeg, at, name), at)
            bag.write("/points", cloud_message(pack_points(replace(SCAN, stamp_ns=at)), at, "lidar"), at)
    return path


def write_seen(folder: Path, scans: int) -> Path:
    """Write label images for that many scans of both cameras."""
    world = load_class_set("world")
    write_classes(folder, world)
    ids = np.full((CAMERA.height, CAMERA.width), world.index("car"), np.uint8)
    for i in range(scans):
        for name in CAMERAS:
            write_teacher_image(folder, name, START_NS + i * STEP_NS, ids)
    return folder
