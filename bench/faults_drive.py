"""A vehicle for bench/faults.py: scans and images ten times a second, well or not so well.

As a program it drives until its input ends: a driver in a process of its own, whose packets can get lost.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header

from clip2scene_ros.frame import CameraModel, Scan
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.nodes.conversions import byte_array, cloud_message

CAMERAS = ("cam_front", "cam_left")
CAMERA = CameraModel(160, 90, np.array([[80.0, 0, 80], [0, 80, 45], [0, 0, 1]]))
CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
PERIOD_S = 0.1
PERIOD_NS = 100_000_000
START_NS = 1_700_000_000 * 10**9
POINTS = 600


def picture(width: int, height: int) -> bytes:
    """Return a JPEG of some kB."""
    return encode_jpeg(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


NEAR = ((8.02, 0.02, 0.02), (8.04, 0.04, 0.04))
"""Two centimetres ahead: a voxel, which costs a student next to nothing."""


def cloud_of(points: np.ndarray, intensity: np.ndarray) -> PointCloud2:
    """Return a message with these (N, 3) points [m]."""
    return cloud_message(pack_points(Scan(points, intensity)), Header(frame_id="lidar"))


class Drive:
    """Publishes in a thread of its own until it is stopped; attributes may be changed while it does.

    Attributes:
        stamp_ns: of the next scan and its images.
        alive: cameras that send.
        pictures: camera -> what it sends.
        copies: how often each scan is sent.
        stamped: whether scans have a stamp; else zero.
        scans: whether scans are sent.
        sent: scans sent.
    """

    def __init__(self, node: Node, *, reliable: bool = True) -> None:
        kind = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=10, reliability=kind)
        self._points = node.create_publisher(PointCloud2, "points", qos)
        self._images = {c: node.create_publisher(CompressedImage, f"{c}/image/compressed", qos) for c in CAMERAS}
        self.stamp_ns, self.sent, self.copies = START_NS, 0, 1
        self.alive, self.stamped, self.scans = set(CAMERAS), True, True
        self.pictures = dict.fromkeys(CAMERAS, picture(CAMERA.width, CAMERA.height))
        points = np.random.default_rng(0).uniform(*NEAR, (POINTS, 3)).astype(np.float32)
        self._cloud = cloud_of(points, np.full(POINTS, 0.5, np.float32))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drive", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()
        self._thread.join()

    def jump(self, seconds: float) -> None:
        """Set the vehicle's clock."""
        self.stamp_ns += round(seconds * 1e9)

    def _run(self) -> None:
        due_s = time.monotonic()
        with contextlib.suppress(Exception):  # the context ended: so does the drive
            while not self._stopped.is_set():
                self._send()
                due_s += PERIOD_S
                self._stopped.wait(max(0.0, due_s - time.monotonic()))

    def _send(self) -> None:
        stamp_ns, self.stamp_ns = self.stamp_ns, self.stamp_ns + PERIOD_NS
        seconds, nanoseconds = divmod(stamp_ns, 10**9)
        stamp = Time(sec=seconds, nanosec=nanoseconds)
        for camera in sorted(self.alive):
            data = byte_array(self.pictures[camera])
            header = Header(stamp=stamp, frame_id=camera)
            self._images[camera].publish(CompressedImage(header=header, format="jpeg", data=data))
        self._cloud.header.stamp = stamp if self.stamped else Time()
        for _ in range(self.copies if self.scans else 0):
            self._points.publish(self._cloud)
            self.sent += 1


def main() -> None:
    """Drive, best effort, in the namespace given, until the input ends."""
    import rclpy

    context = Context()
    rclpy.init(context=context)
    node = Node("driver", namespace=sys.argv[1], context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    drive = Drive(node, reliable=False)
    sys.stdin.read()
    drive.stop()
    context.try_shutdown()
    thread.join()
    node.destroy_node()


if __name__ == "__main__":
    main()
