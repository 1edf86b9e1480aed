"""message_filters' own synchronisers as a collector uses them: complete sets, and an account that adds up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import Header

from clip2scene_ros.config import SyncConfig

pytest.importorskip("message_filters", reason="message_filters absent: it comes with ROS, not from PyPI")

from clip2scene_ros.nodes.sync_filter import MessageSet
from clip2scene_ros.nodes.sync_inputs import SimpleFilter
from clip2scene_ros.nodes.sync_theirs import TheirSynchronizer

MS = 1_000_000
CAMERAS = ("front", "left")


def stamped(kind: type[PointCloud2 | CompressedImage], stamp_ns: int) -> PointCloud2 | CompressedImage:
    return kind(header=Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)))


class Rig:
    """A LiDAR and two cameras with their synchroniser behind them."""

    def __init__(self, node: Node, policy: str, on_set: Callable[[MessageSet], None] | None = None) -> None:
        self.inputs = [SimpleFilter() for _ in range(3)]
        self.sets: list[MessageSet] = []
        config = SyncConfig(policy=policy, queue_size=3, slop_ms=30.0)
        self.sync = TheirSynchronizer(
            self.inputs, CAMERAS, config, node=node, on_set=on_set or self.sets.append, silence_s=0.0
        )

    def send(self, stamp_ns: int, late_ns: int = 0, cameras: int = 2) -> None:
        self.inputs[0].signalMessage(stamped(PointCloud2, stamp_ns))
        for each in self.inputs[1 : 1 + cameras]:
            each.signalMessage(stamped(CompressedImage, stamp_ns + late_ns))


@pytest.fixture
def node(context: Context) -> Node:
    return Node("theirs", context=context)


@pytest.mark.parametrize(("policy", "late_ns"), [("exact_time", 0), ("approximate_time", 20 * MS)])
def test_only_complete_sets_come_and_everything_is_accounted_for(node: Node, policy: str, late_ns: int) -> None:
    rig = Rig(node, policy)
    for i in range(1, 4):
        rig.send(i * 1000 * MS, late_ns)
    for i in range(4, 10):
        rig.send(i * 1000 * MS, late_ns, cameras=1)
    rig.send(0, 0)
    assert [ready.stamp_ns for ready in rig.sets] == [i * 1000 * MS for i in range(1, 4)]
    assert all(view.dt_ns == late_ns for ready in rig.sets for view in ready.views.values())
    account = rig.sync.account()
    assert (account.received, account.full, account.waiting) == (10, 3, 3)
    assert account.dropped == {"zero_stamp": 1, "unmatched": 3}
    assert account.received == account.full + account.waiting + sum(account.dropped.values())
    left = account.cameras["left"]
    assert (left.received, left.matched, left.held, left.dropped) == (4, 3, 0, {"zero_stamp": 1})
    assert left.max_dt_ns == late_ns
    rig.sync.close()


@pytest.mark.parametrize("policy", ["exact_time", "approximate_time"])
def test_neither_a_callback_that_raises_nor_a_stamp_below_zero_blocks_what_follows(node: Node, policy: str) -> None:
    calls: list[int] = []

    def fail(ready: MessageSet) -> None:
        calls.append(ready.stamp_ns)
        raise ValueError("on purpose")

    rig = Rig(node, policy, fail)
    rig.send(-5 * 10**9)
    for i in (1, 2):
        rig.send(i * 1000 * MS)
    assert calls == [1000 * MS, 2000 * MS]
    rig.sync.close()
