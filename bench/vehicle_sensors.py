"""The sensors of a vehicle, in a process of their own: one LiDAR and some cameras, by one clock.

Messages are made before and lie in a folder: `points_0.cdr`, `points_1.cdr` ... in turn, and one `CAMERA.cdr` for each
camera. Only their stamps are new. A stamp tells when the message was sent, by the clock that all processes share, so
that whoever hears it knows how old it is.

    python bench/vehicle_sensors.py FOLDER --seconds 60 --camera-dies 30 --returns 36

Writes a line when it begins, and one of JSON at the end: messages sent by topic. Ctrl-C ends it early.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rclpy
from PIL import Image
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header

from clip2scene_ros.frame import Scan
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.io.stamps import HEAD_BYTES
from clip2scene_ros.latency import percentiles
from clip2scene_ros.nodes.conversions import byte_array, cloud_message
from clip2scene_ros.nodes.transport import use_profile

EPOCH_NS = 1_700_000_000 * 10**9
"""Stamps are this plus the monotonic clock, which has no jumps and is the same in all processes."""
LIDAR_HZ, IMAGE_HZ = 10.0, 12.0
WIDTH, HEIGHT = 1600, 900
RENDERED = (800, 450)
"""The world renders these and they are scaled up; the full size would take minutes."""
JPEG_QUALITY = 75
HEARD_S = 180.0
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
"""For who counts what arrives: nothing is lost, however busy the machine."""
SETTLE_S = 1.0
"""From knowing a subscriber until sending: the subscriber has to know us, too."""


def photograph(folder: Path, cameras: int) -> dict[str, bytes]:
    """Write the calibration of the world's cameras, scaled up, into a folder; return a JPEG of each."""
    from clip2scene_training.world.config import WorldConfig
    from clip2scene_training.world.drive import Drive

    drive = Drive(0, WorldConfig(image_width=RENDERED[0], image_height=RENDERED[1]))
    scale = np.diag([WIDTH / RENDERED[0], HEIGHT / RENDERED[1], 1.0])
    jpegs, placed = {}, {}
    for i in range(cameras):
        stamp = int(drive.image_stamps_ns(i)[0])
        view = drive.view(i, stamp, stamp)
        camera = replace(view.camera, width=WIDTH, height=HEIGHT, matrix=scale @ view.camera.matrix)
        picture = Image.fromarray(view.image).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        placed[view.name] = (camera, view.camera_from_lidar)
        jpegs[view.name] = encode_jpeg(np.asarray(picture), JPEG_QUALITY)
    save_calibration(folder / "rig.yaml", placed)
    return jpegs


def write_messages(folder: Path, scans: list[Scan], images: dict[str, bytes]) -> dict[str, int]:
    """Write what the sensors will send; return the bytes of each file."""
    header = Header(frame_id="lidar_top")
    messages = {f"points_{i}": cloud_message(pack_points(scan), header) for i, scan in enumerate(scans)}
    for name, jpeg in images.items():
        messages[name] = CompressedImage(header=Header(frame_id=name), format="jpeg", data=byte_array(jpeg))
    sizes = {}
    for name, message in messages.items():
        sizes[name] = (folder / f"{name}.cdr").write_bytes(serialize_message(message))
    return sizes


def age_ms(stamp_ns: int) -> float:
    """Return how long ago a message with this stamp was sent [ms]."""
    return (EPOCH_NS + time.monotonic_ns() - stamp_ns) / 1e6


def stamp_now(message: bytearray) -> int:
    """Write the stamp of now into a serialised message with a header; return it [ns]."""
    stamp_ns = EPOCH_NS + time.monotonic_ns()
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    message[4:HEAD_BYTES] = seconds.to_bytes(4, "little") + nanoseconds.to_bytes(4, "little")
    return stamp_ns


@dataclass
class Stream:
    """What one sensor sends.

    Attributes:
        topic: name.
        publisher: of it.
        messages: serialised, sent in turn.
        period_s: between two.
        phase_s: of the first.
        dead_s: from when until when it is silent.
    """

    topic: str
    publisher: Publisher
    messages: list[bytearray]
    period_s: float
    phase_s: float
    dead_s: tuple[float, float] = (0.0, 0.0)

    def send(self, number: int, at_s: float) -> bool:
        """Send message `number` with the stamp of now; return whether the sensor lives."""
        if self.dead_s[0] <= at_s < self.dead_s[1]:
            return False
        message = self.messages[number % len(self.messages)]
        stamp_now(message)
        self.publisher.publish(bytes(message))
        return True


def make_streams(node: Node, folder: Path, dead_s: tuple[float, float], qos: QoSProfile) -> list[Stream]:
    """Return the LiDAR and the cameras, staggered over a period; the last camera dies."""
    clouds = [bytearray(path.read_bytes()) for path in sorted(folder.glob("points_*.cdr"))]
    cameras = sorted(path for path in folder.glob("*.cdr") if not path.name.startswith("points_"))
    streams = []
    if clouds:
        streams.append(Stream("points", node.create_publisher(PointCloud2, "points", qos), clouds, 1 / LIDAR_HZ, 0.0))
    for i, path in enumerate(cameras):
        topic = f"{path.stem}/image/compressed"
        publisher, phase_s = node.create_publisher(CompressedImage, topic, qos), i / len(cameras) / IMAGE_HZ
        streams.append(Stream(topic, publisher, [bytearray(path.read_bytes())], 1 / IMAGE_HZ, phase_s))
    if cameras:
        streams[-1].dead_s = dead_s
    return streams


def drive(streams: list[Stream], seconds: float, stopped: Callable[[], bool]) -> tuple[Counter[str], list[float]]:
    """Send until the time is over; return messages by topic, and by how much they were late [ms]."""
    sent: Counter[str] = Counter()
    late_ms: list[float] = []
    began_s = time.monotonic()
    due = [(stream.phase_s, i, 0) for i, stream in enumerate(streams)]
    heapq.heapify(due)
    while not stopped():
        at_s, i, number = heapq.heappop(due)
        if at_s >= seconds:
            break
        time.sleep(max(0.0, began_s + at_s - time.monotonic()))
        if streams[i].send(number, at_s):
            sent[streams[i].topic] += 1
            late_ms.append(1000 * (time.monotonic() - began_s - at_s))
        heapq.heappush(due, (streams[i].phase_s + (number + 1) * streams[i].period_s, i, number + 1))
    return sent, late_ms


def wait_until_heard(streams: list[Stream], topics: str, stopped: Callable[[], bool]) -> bool:
    """Wait until somebody subscribes to the topics that begin so; return whether that came true."""
    end_s = time.monotonic() + HEARD_S
    while not all(s.publisher.get_subscription_count() for s in streams if s.topic.startswith(topics)):
        if stopped() or time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    time.sleep(SETTLE_S)
    return True


def main() -> int:
    """Send."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--namespace", default="")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--camera-dies", type=float, default=0.0, help="when the last camera falls silent [s]")
    parser.add_argument("--returns", type=float, default=0.0, help="when it is back [s]")
    parser.add_argument("--reliable", action="store_true", help="send until received, where subscribers ask for it")
    parser.add_argument(
        "--heard",
        default="",
        help="wait for subscribers of topics that begin so, of all without it",
    )
    args = parser.parse_args()
    asked: list[int] = []
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    use_profile()
    rclpy.init(args=[], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    signal.signal(signal.SIGINT, lambda number, frame: asked.append(number))
    node = Node("sensors", namespace=args.namespace)
    dead_s = (args.camera_dies, args.returns)
    streams = make_streams(node, args.folder, dead_s, RELIABLE if args.reliable else BEST_EFFORT)
    if not wait_until_heard(streams, args.heard, lambda: bool(asked)):
        print(f"nobody subscribes to all topics within {HEARD_S:.0f} s", file=sys.stderr)
        return 1
    print("began", flush=True)
    sent, late_ms = drive(streams, args.seconds, lambda: bool(asked))
    print(json.dumps({"sent": sent, "late_ms": percentiles(late_ms)}), flush=True)
    node.destroy_node()
    rclpy.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
