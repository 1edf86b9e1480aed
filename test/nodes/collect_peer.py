"""A vehicle for collect_node: one LiDAR, JPEG cameras, odometry, and what the node says of itself."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_street import BASE_FROM_CAMERA, BASE_FROM_LIDAR, CAMERA, START_NS, scan_and_labels

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.nodes.conversions import byte_array, cloud_message
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image

WORLD = load_class_set("world")
PERIOD_NS = 100_000_000
CAMERAS = ("cam_front", "cam_left")
NODE = "/clip2scene_collect"


def write_rig(path: Path) -> Path:
    """Write a calibration in which both cameras look ahead."""
    placed = np.linalg.inv(BASE_FROM_CAMERA) @ BASE_FROM_LIDAR
    save_calibration(path, dict.fromkeys(CAMERAS, (CAMERA, placed)))
    content = yaml.safe_load(path.read_text())
    content["lidar"]["base_from_lidar"] = BASE_FROM_LIDAR.tolist()
    path.write_text(yaml.safe_dump(content))
    return path


def write_seen(folder: Path, scans: int, late_ns: int = 0) -> Path:
    """Write label images for that many scans of both cameras, taken so long after: a teacher that costs nothing."""
    ids = np.full((90, 160), WORLD.index("car"), np.uint8)
    write_classes(folder, WORLD)
    for i in range(scans):
        for camera in CAMERAS:
            write_teacher_image(folder, camera, START_NS + i * PERIOD_NS + late_ns, ids)
    return folder


class Vehicle:
    """Publishes scans with their images, hears diagnostics, calls `~/keep`."""

    def __init__(self, context: Context) -> None:
        self.node = Node("vehicle", context=context)
        qos = QoSProfile(depth=50)
        self._points = self.node.create_publisher(PointCloud2, "/points", qos)
        self._images = {c: self.node.create_publisher(CompressedImage, f"/{c}/image/compressed", qos) for c in CAMERAS}
        self._odometry = self.node.create_publisher(Odometry, "/odom", qos)
        self.keep = self.node.create_client(Trigger, f"{NODE}/keep")
        self.report: dict[str, str] = {}
        self.levels: list[tuple[int, str]] = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._report, 10)
        self._jpeg = byte_array(encode_jpeg(np.full((90, 160, 3), 120, np.uint8)))

    def _report(self, message: DiagnosticArray) -> None:
        (status,) = message.status
        self.levels.append((status.level[0], status.message))
        self.report = {v.key: v.value for v in status.values}

    def heard(self) -> bool:
        """Return whether the node subscribes to everything."""
        return all(p.get_subscription_count() for p in (self._points, *self._images.values()))

    def counts(self, *names: str) -> list[int]:
        """Return values of the newest report."""
        return [int(self.report.get(name, 0)) for name in names]

    def odometry(self, i: float, x_m: float) -> None:
        """Say where the vehicle is at scan i."""
        pose = Pose(position=Point(x=x_m), orientation=Quaternion(w=1.0))
        header = Header(stamp=stamp_of_scan(i), frame_id="odom")
        self._odometry.publish(Odometry(header=header, pose=PoseWithCovariance(pose=pose)))

    def send(self, i: int, cameras: tuple[str, ...] = CAMERAS, late_ns: int = 0) -> None:
        """Send scan i and its images, taken so long after it."""
        stamp = stamp_of_scan(i)
        for camera in cameras:
            header = Header(stamp=stamp_of_scan(i, late_ns), frame_id=camera)
            self._images[camera].publish(CompressedImage(header=header, format="jpeg", data=self._jpeg))
        scan, _ = scan_and_labels(i)
        self._points.publish(cloud_message(pack_points(scan), Header(stamp=stamp, frame_id="lidar_top")))


def stamp_of_scan(i: float, late_ns: int = 0) -> Time:
    """Return the stamp of scan i, or so long after it."""
    seconds, nanoseconds = divmod(START_NS + round(i * PERIOD_NS) + late_ns, 10**9)
    return Time(sec=seconds, nanosec=nanoseconds)
