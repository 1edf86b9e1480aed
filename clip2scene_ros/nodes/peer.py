"""A process that talks to the live node: sends clouds, receives their labels, keeps the time of both.

Replay and benches use it. Messages stay serialised (CDR) on both ways, so a bag's bytes go to the node and the
node's bytes into a bag, and the peer costs next to nothing beside what it measures.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header, String

from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.frame import Scan
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.nodes.conversions import cloud_message
from clip2scene_ros.nodes.outputs import latched
from clip2scene_ros.nodes.segment import NODE_NAME
from clip2scene_ros.nodes.transport import use_profile

DEPTH = 10
POLL_S = 0.02
RESEND_S = 1.0


class Peer:
    """Publishes `points` and subscribes to the node's labels, in a context of its own: a context manager.

    Args:
        namespace: the node's namespace; its topics are `NAMESPACE/points` and so on.
        on_labels: called in the peer's thread with each label cloud, serialised, and its stamp [ns].
        check: called while waiting; raises when waiting has become useless (the node has died).
        name: of the peer's own node.
        arguments: of the command line; where they are given the node has a namespace, remaps and parameters from them.

    Attributes:
        sent_ns: monotonic time at which each stamp was sent first [ns].
        labels: `(stamp, monotonic time)` of each label cloud, in order of arrival [ns].
    """

    def __init__(
        self,
        namespace: str = "",
        on_labels: Callable[[bytes, int], None] = lambda data, stamp_ns: None,
        check: Callable[[], None] = lambda: None,
        name: str = f"{NODE_NAME}_peer",
        arguments: Sequence[str] = (),
    ) -> None:
        self.sent_ns: dict[int, int] = {}
        self.labels: list[tuple[int, int]] = []
        self.node: Node
        self._namespace = namespace.strip("/")
        self._on_labels, self.check = on_labels, check
        self._name, self._arguments = name, list(arguments)
        self._labelled: set[int] = set()
        self._class_set = ""
        self._changed = threading.Condition()

    def __enter__(self) -> Peer:
        """Join the network."""
        use_profile()
        self._context = Context()
        rclpy.init(args=self._arguments, context=self._context)
        self.node = Node(self._name, namespace=self._namespace, context=self._context)
        qos = QoSProfile(depth=DEPTH)  # reliable: what this process sends and receives is not to be lost here
        self._publisher = self.node.create_publisher(PointCloud2, "points", qos)
        self._subscription = self.node.create_subscription(
            PointCloud2, f"{NODE_NAME}/labels", self._receive, qos, raw=True
        )
        self.node.create_subscription(String, f"{NODE_NAME}/class_set", self._keep_class_set, latched())
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="peer", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the network."""
        self._context.try_shutdown()
        self._thread.join(timeout=2.0)
        self.node.destroy_node()

    @property
    def topic(self) -> str:
        """Return the full name of the topic that the clouds go to."""
        return self._publisher.topic_name

    def is_heard(self) -> bool:
        """Return whether anybody subscribes to the clouds."""
        return self._publisher.get_subscription_count() > 0

    def send(self, data: bytes) -> int:
        """Publish a serialised cloud; return its stamp [ns]."""
        stamp_ns = cdr_stamp_ns(data)
        with self._changed:
            self.sent_ns.setdefault(stamp_ns, time.monotonic_ns())
        self._publisher.publish(data)
        return stamp_ns

    def greet(self, timeout_s: float) -> None:
        """Send clouds of one point until the node labels one, so that all that follows arrives.

        Discovery has four ends, and no process sees them all: the node may get clouds before we would get its labels.
        The greetings are stamped with the first nanoseconds of 1970, which no sensor uses.

        Raises:
            NodeFailed: no labels within `timeout_s`.
        """
        if not self.wait(self.is_heard, timeout_s):
            raise NodeFailed("no_node", f"No node subscribes to {self._publisher.topic_name} after {timeout_s:.0f} s.")
        end_s = time.monotonic() + timeout_s
        for greeting in itertools.count(1):
            self._publisher.publish(_one_point(greeting))
            if self.wait(lambda: bool(self.labels), RESEND_S):
                self.wait_for_labels(greeting, RESEND_S)  # or it would come among the first scans
                break
            if time.monotonic() > end_s:
                raise NodeFailed("no_labels", f"The node labelled no cloud within {timeout_s:.0f} s; see its log.")
        with self._changed:
            self.labels.clear()

    def wait_for_labels(self, stamp_ns: int, timeout_s: float) -> bool:
        """Wait for the labels of one stamp; return whether they came in time."""
        return self.wait(lambda: self.is_labelled(stamp_ns), timeout_s)

    def is_labelled(self, stamp_ns: int) -> bool:
        """Return whether labels of this stamp have come."""
        return stamp_ns in self._labelled

    def class_set(self, timeout_s: float) -> str:
        """Wait for the JSON of the node's class set and return it.

        Raises:
            NodeFailed: it did not come within `timeout_s`.
        """
        if not self.wait(lambda: bool(self._class_set), timeout_s):
            raise NodeFailed("no_class_set", f"The node has not said its class set within {timeout_s:.0f} s.")
        return self._class_set

    def latencies_ms(self) -> list[float]:
        """Return the time from sending to receiving of each labelled cloud [ms], in order of arrival."""
        with self._changed:
            return [(at - self.sent_ns[stamp]) / 1e6 for stamp, at in self.labels if stamp in self.sent_ns]

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition holds; return whether it did in time. What `check` raises ends the wait."""
        end_s = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                self.check()
                if time.monotonic() >= end_s:
                    return False
                self._changed.wait(POLL_S)
        return True

    def _receive(self, data: bytes) -> None:
        now_ns, stamp_ns = time.monotonic_ns(), cdr_stamp_ns(data)
        self._on_labels(data, stamp_ns)
        with self._changed:
            self.labels.append((stamp_ns, now_ns))
            self._labelled.add(stamp_ns)
            self._changed.notify_all()

    def _keep_class_set(self, message: String) -> None:
        with self._changed:
            self._class_set = message.data
            self._changed.notify_all()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


def _one_point(stamp_ns: int) -> bytes:
    scan = Scan(points=np.ones((1, 3), dtype=np.float32), intensity=np.zeros(1, dtype=np.float32))
    header = Header(stamp=Time(nanosec=stamp_ns), frame_id="greeting")
    return bytes(serialize_message(cloud_message(pack_points(scan), header)))
