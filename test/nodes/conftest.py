"""ROS for tests: contexts that end, nodes in threads. Every wait is a condition with a deadline."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy absent: install the `ros` extra")

os.environ["RCUTILS_COLORIZED_OUTPUT"] = "0"

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header, String

from clip2scene_ros.frame import Scan
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.nodes.conversions import cloud_message
from clip2scene_ros.nodes.transport import use_profile

use_profile()
DEADLINE_S = 60.0
GREETING = "greeting"
"""Frame of the clouds with which a listener finds out that the node hears it."""
NOTICE = "random weights, for tests, not for the road"


def until(condition: Callable[[], object], what: str, timeout_s: float = DEADLINE_S) -> None:
    """Wait for a condition; fail naming it when it does not come true."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.005)


def stays(condition: Callable[[], object], seconds: float) -> bool:
    """Watch that a condition keeps true for a while: for what must not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not condition():
            return False
        time.sleep(0.01)
    return True


def tiny(checkpoint: Path) -> dict[str, object]:
    """Return parameters for the tiny student on one thread: tests share the cores with others."""
    return {"segmenter.checkpoint": str(checkpoint), "segmenter.threads": 1}


def cloud(stamp: int, points: int = 500, frame_id: str = "lidar", seed: int = 0) -> PointCloud2:
    """Make a cloud of random points within 30 m; the same seed gives the same points."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-30, 30, (points, 3)).astype(np.float32)
    scan = Scan(points=xyz, intensity=rng.uniform(0, 1, points).astype(np.float32), stamp_ns=stamp)
    return with_stamp(cloud_message(pack_points(scan), Header(frame_id=frame_id)), stamp)


def with_stamp(message: PointCloud2, stamp: int) -> PointCloud2:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
    return message


class Listener:
    """A node that sends clouds and hears everything that the segmentation node says.

    Written with plain rclpy, not with `nodes.peer`, so that the two check each other.
    """

    def __init__(self, context: Context, prefix: str, points: str, reliable: bool, labels: bool) -> None:
        self.node = Node("listener", context=context)
        self.labels: list[PointCloud2] = []
        self.greetings_answered = 0
        self.class_sets: list[str] = []
        self.reports: list[dict[str, str]] = []
        self.levels: list[tuple[int, str]] = []
        kind = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        self.publisher = self.node.create_publisher(PointCloud2, points, QoSProfile(depth=10, reliability=kind))
        self.subscription = None
        self._labels_topic = f"{prefix}/labels"
        if labels:
            self.subscribe()
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(String, f"{prefix}/class_set", lambda m: self.class_sets.append(m.data), latched)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._report, 10)

    def subscribe(self) -> None:
        self.subscription = self.node.create_subscription(
            PointCloud2, self._labels_topic, self._hear, QoSProfile(depth=20)
        )

    def _hear(self, labels: PointCloud2) -> None:
        if labels.header.frame_id == GREETING:
            self.greetings_answered += 1
        else:
            self.labels.append(labels)

    def _report(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        self.levels.append((status.level[0], status.message))
        self.reports.append({v.key: v.value for v in status.values})

    @property
    def report(self) -> dict[str, str]:
        """Return the newest row of /diagnostics, empty before the first."""
        return self.reports[-1] if self.reports else {}

    def stamps(self) -> list[int]:
        return [stamp_of(m) for m in self.labels]

    def send(self, message: PointCloud2) -> None:
        self.publisher.publish(message)

    def meet(self) -> None:
        """Send one-point clouds until one is labelled: now all four ends know each other.

        Their labels are kept apart: on a slow machine those of several may still be under way.
        """
        until(lambda: self.publisher.get_subscription_count(), "the node subscribes to points")
        greetings, before = iter(range(1, 10**6)), self.greetings_answered

        def answered() -> bool:
            self.send(cloud(next(greetings), points=1, frame_id=GREETING))
            end = time.monotonic() + 0.3
            while time.monotonic() < end and self.greetings_answered == before:
                time.sleep(0.005)
            return self.greetings_answered > before

        until(answered, "a greeting is labelled")


@pytest.fixture
def context() -> Iterator[Context]:
    """Return a ROS context that ends with the test, even one that failed."""
    context = Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


@pytest.fixture
def spin(context: Context) -> Iterator[Callable[[Node], None]]:
    """Return a function that spins a node in a thread until the test ends."""
    executors: list[tuple[SingleThreadedExecutor, threading.Thread, Node]] = []

    def start(node: Node) -> None:
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)

        def run() -> None:
            with contextlib.suppress(ExternalShutdownException):
                executor.spin()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        executors.append((executor, thread, node))

    yield start
    context.try_shutdown()
    for _, thread, node in executors:
        thread.join(5.0)
        node.destroy_node()


@pytest.fixture
def listen(context: Context, spin: Callable[[Node], None]) -> Callable[..., Listener]:
    """Return a function that makes a spinning Listener."""

    def make(
        prefix: str = "/clip2scene_segment", points: str = "/points", *, reliable: bool = True, labels: bool = True
    ) -> Listener:
        listener = Listener(context, prefix, points, reliable, labels)
        spin(listener.node)
        return listener

    return make


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of a tiny student with random weights and the world's classes."""
    import torch

    from clip2scene_ros.classes import load_class_set
    from clip2scene_ros.config import NetworkConfig
    from clip2scene_ros.student.checkpoint import CheckpointCard, current_versions, save_checkpoint
    from clip2scene_ros.student.networks import build_network

    torch.manual_seed(0)
    network_config, class_set = NetworkConfig(preset="tiny"), load_class_set("world")
    card = CheckpointCard(
        network=network_config,
        class_set=class_set,
        class_vectors=torch.randn(len(class_set), network_config.embedding_dim),
        temperature=0.1,
        notice=NOTICE,
        versions=current_versions(),
    )
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, build_network(network_config).state_dict(), card)
    return path
