"""The synchroniser as a filter: threads, callbacks that raise, real subscriptions, message_filters."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, PointCloud2

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.nodes.sync_filter import ScanSynchronizer, synchronize
from clip2scene_ros.nodes.sync_inputs import InputWatch, SimpleFilter, Subscriber

MS = 1_000_000
CAMERAS = ("front", "left")


def until(holds: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.005)


def message(stamp_ns: int) -> SimpleNamespace:
    sec, nanosec = divmod(stamp_ns, 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec)))


class Rig:
    """A LiDAR and two cameras as filters, with the synchroniser behind them and a clock of its own."""

    def __init__(self, **settings: object) -> None:
        self.lidar, self.front, self.left = SimpleFilter(), SimpleFilter(), SimpleFilter()
        self.now_ns = 0
        self.sets: list[object] = []
        self.filter = ScanSynchronizer(
            [self.lidar, self.front, self.left],
            CAMERAS,
            SyncConfig(**settings),
            on_set=self.sets.append,
            now_ns=lambda: self.now_ns,
        )

    def full(self, stamp_ns: int) -> None:
        """Send a scan and a view of each camera that settle it at once."""
        self.front.signalMessage(message(stamp_ns))
        self.left.signalMessage(message(stamp_ns))
        self.lidar.signalMessage(message(stamp_ns))


def test_callbacks_get_the_scan_and_the_views_in_order_none_where_one_is_missing_and_their_own_arguments():
    rig, got = Rig(wait_ms=100.0), []
    rig.filter.registerCallback(lambda *args: got.append(args), "mine")
    scan, view = message(1000 * MS), message(1010 * MS)
    rig.lidar.signalMessage(scan)
    rig.left.signalMessage(view)
    assert got == []
    rig.now_ns = 100 * MS
    rig.filter.tick()
    assert got == [(scan, None, view, "mine")]
    assert rig.sets[0].missing == {"front": "timeout"}
    assert rig.filter.account().partial == 1


def test_a_connection_ends_and_flush_hands_over_what_waits():
    rig, got = Rig(), []
    first = rig.filter.registerCallback(lambda *args: got.append("first"))
    rig.filter.registerCallback(lambda *args: got.append("second"))
    rig.filter.unregisterCallback(first)
    rig.filter.registerCallback(lambda *args: got.append("third"))
    rig.lidar.signalMessage(message(1000 * MS))
    rig.filter.flush()
    assert got == ["second", "third"]


def test_guarantee_6_what_a_callback_raises_is_counted_and_neither_other_callbacks_nor_later_sets_suffer():
    rig, got = Rig(), []

    def raises(*args: object) -> None:
        raise RuntimeError("on purpose")

    rig.filter.registerCallback(raises)
    rig.filter.registerCallback(lambda *args: got.append(args))
    for i in range(1, 6):
        rig.full(i * 100 * MS)
    assert len(got) == 5
    assert rig.filter.callback_errors == 5
    assert rig.filter.account().full == 5


def test_guarantee_6_no_lock_is_held_in_a_callback():
    rig, others = Rig(), []

    def callback(*args: object) -> None:
        """Another thread uses the filter while this one is in the callback."""
        thread = threading.Thread(target=lambda: others.append((rig.filter.account(), rig.full(5000 * MS))))
        thread.start()
        thread.join(5.0)
        assert not thread.is_alive()

    connection = rig.filter.registerCallback(callback)
    rig.full(1000 * MS)
    rig.filter.unregisterCallback(connection)
    assert len(others) >= 1
    assert [ready.stamp_ns for ready in rig.sets] == [1000 * MS, 5000 * MS]


def test_a_callback_may_feed_the_filter_and_sets_still_come_in_order_one_at_a_time():
    rig, depth, deepest = Rig(), 0, 0

    def callback(scan: SimpleNamespace, *views: object) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        if scan.header.stamp.sec < 20:
            rig.full((scan.header.stamp.sec + 1) * 10**9)
        depth -= 1

    rig.filter.registerCallback(callback)
    rig.full(10**9)
    assert [ready.stamp_ns for ready in rig.sets] == [i * 10**9 for i in range(1, 21)]
    assert deepest == 1


def test_sets_of_messages_from_many_threads_come_once_in_order_and_one_at_a_time():
    rig, inside, most = Rig(queue_size=1000, view_queue_size=1000), 0, 0

    def callback(*args: object) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        inside -= 1

    rig.filter.registerCallback(callback)
    stamps = [i * 10 * MS for i in range(1, 301)]
    threads = [
        threading.Thread(target=lambda f=f: [f.signalMessage(message(stamp)) for stamp in stamps])
        for f in (rig.lidar, rig.front, rig.left)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    rig.filter.flush()
    assert [ready.stamp_ns for ready in rig.sets] == stamps
    assert most == 1


def test_while_a_callback_is_slow_the_newest_sets_wait_and_the_oldest_are_counted():
    rig, entered, go_on, got = Rig(queue_size=2), threading.Event(), threading.Event(), []

    def callback(scan: SimpleNamespace, *views: object) -> None:
        got.append(scan.header.stamp.nanosec // (100 * MS))
        entered.set()
        go_on.wait(10.0)

    rig.filter.registerCallback(callback)
    slow = threading.Thread(target=rig.full, args=(100 * MS,))
    slow.start()
    assert entered.wait(10.0)
    for i in range(2, 7):
        rig.full(i * 100 * MS)
    go_on.set()
    slow.join(10.0)
    assert got == [1, 5, 6]
    assert rig.filter.account().dropped == {"not_taken": 3}


def test_several_lidars_are_told_apart_by_their_topics():
    top, rear, front, got = SimpleFilter(), SimpleFilter(), SimpleFilter(), []
    top.topic = "points"
    both = ScanSynchronizer([top, rear, front], ["front"], SyncConfig(), on_set=got.append)
    for f in (front, top, rear):
        f.signalMessage(message(1000 * MS))
    both.flush()
    assert sorted(ready.source for ready in got) == ["lidar_1", "points"]
    assert all(set(ready.views) == {"front"} for ready in got)


def test_messages_without_a_header_are_counted_and_inputs_that_do_not_fit_refused():
    rig = Rig()
    rig.lidar.signalMessage(SimpleNamespace(data="no header"))
    assert (rig.filter.headerless, rig.filter.account().received) == (1, 0)
    with pytest.raises(BadConfig, match="Expected filters of a LiDAR and of front, left, but got 2 filters"):
        ScanSynchronizer([rig.lidar, rig.front], CAMERAS, SyncConfig())


@pytest.mark.parametrize("policy", ["approximate_time", "exact_time"])
def test_a_policy_of_message_filters_says_how_to_get_it_where_it_is_not(policy: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "message_filters", None)
    with pytest.raises(BadConfig, match=r"ros-\$ROS_DISTRO-message-filters.*policy: scan_keyed") as raised:
        synchronize([SimpleFilter()] * 3, CAMERAS, SyncConfig(policy=policy))
    assert policy in str(raised.value)
    assert raised.value.reason == "no_message_filters"
    assert isinstance(synchronize([SimpleFilter()] * 3, CAMERAS, SyncConfig()), ScanSynchronizer)


@pytest.mark.parametrize("policy", ["approximate_time", "exact_time"])
def test_a_policy_of_message_filters_is_theirs_fed_by_our_subscriptions_too(policy: str):
    theirs = pytest.importorskip("message_filters", reason="message_filters absent: it comes with ROS, not from PyPI")
    fs, got = [SimpleFilter() for _ in range(3)], []
    both = synchronize(fs, CAMERAS, SyncConfig(policy=policy, queue_size=7, slop_ms=30.0))
    assert type(both) is (theirs.TimeSynchronizer if policy == "exact_time" else theirs.ApproximateTimeSynchronizer)
    both.registerCallback(lambda *args: got.append(args))
    messages = [PointCloud2(), CompressedImage(), CompressedImage()]
    for f, sent in zip(fs, messages, strict=True):
        sent.header.stamp.sec = 5
        f.signalMessage(sent)
    assert got == [tuple(messages)]
    assert both.queue_size == 7
    for refused in (SyncConfig(policy=policy, offsets_ms="front: 3"), SyncConfig(policy=policy, slops_ms="left: 3")):
        with pytest.raises(BadConfig, match="expects one LiDAR, no offsets_ms and no slops_ms"):
            synchronize(fs, CAMERAS, refused)
    with pytest.raises(BadConfig, match="but got 2 LiDARs"):
        synchronize(fs, ["front"], SyncConfig(policy=policy))


def test_filters_of_message_filters_come_before_and_after():
    theirs = pytest.importorskip("message_filters", reason="message_filters absent: it comes with ROS, not from PyPI")
    lidar, got = SimpleFilter(), []
    cache = theirs.Cache(lidar, 10)
    ours = ScanSynchronizer([cache], [], SyncConfig())
    after = theirs.Cache(ours, 10)
    after.registerCallback(got.append)
    for sec in (1, 2, 3):
        sent = PointCloud2()
        sent.header.stamp.sec = sec
        lidar.signalMessage(sent)
    assert [sent.header.stamp.sec for sent in got] == [1, 2, 3]
    assert after.getLast() is got[-1] is cache.getLast()


class Talk:
    """A node that publishes a LiDAR and one camera, and another that synchronises them, both spinning."""

    def __init__(self, context: Context, spin: Callable[[Node], None], subscriber: Callable[..., object]) -> None:
        self.driver, self.node = Node("driver", context=context), Node("listener", context=context)
        self.scans = self.driver.create_publisher(PointCloud2, "points", 10)
        self.views = self.driver.create_publisher(CompressedImage, "front/image", 10)
        inputs = [
            subscriber(self.node, PointCloud2, "points", qos_profile=5),
            subscriber(self.node, CompressedImage, "front/image", qos_profile=20),
        ]
        self.filter = synchronize(inputs, ["front"], SyncConfig(wait_ms=60.0, queue_size=3), self.node)
        self.inputs, self.got = inputs, []
        self.filter.registerCallback(lambda scan, view: self.got.append((scan.header.stamp.sec, view)))
        for node in (self.driver, self.node):
            spin(node)
        for publisher in (self.scans, self.views):
            until(publisher.get_subscription_count, "the synchroniser subscribes")

    def scan(self, sec: int) -> None:
        sent = PointCloud2()
        sent.header.stamp.sec = sec
        self.scans.publish(sent)

    def view(self, sec: int) -> None:
        sent = CompressedImage(format=f"{sec}")
        sent.header.stamp.sec = sec
        self.views.publish(sent)


@pytest.mark.parametrize("kind", ["ours", "message_filters"])
def test_real_messages_make_a_full_set_and_after_the_time_out_a_partial_one(context, spin, kind: str):
    subscriber = Subscriber
    if kind == "message_filters":
        reason = "message_filters absent: it comes with ROS, not from PyPI"
        subscriber = pytest.importorskip("message_filters", reason=reason).Subscriber
    talk = Talk(context, spin, subscriber)
    talk.view(7)
    until(lambda: talk.filter.account().cameras["front"].received == 1, "the view arrives")
    talk.scan(7)
    until(lambda: talk.got, "a full set comes")
    assert talk.got[0][1].format == "7"
    talk.scan(8)
    until(lambda: len(talk.got) == 2, "a partial set comes without any further message")
    assert talk.got[1] == (8, None)
    assert [f.sub.qos_profile.depth for f in talk.inputs] == [5, 20]  # guarantee 8: not the queue_size of 3
    talk.filter.close()
    assert list(talk.node.timers) == []


class Ear:
    """A node whose log is a list."""

    def __init__(self, node: Node) -> None:
        self._node, self.lines = node, []

    def __getattr__(self, name: str) -> object:
        return getattr(self._node, name)

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(warning=self.lines.append)


def test_guarantee_8_who_does_not_fit_and_which_topic_is_silent_is_logged_once_with_its_name(context: Context):
    node = Node("listener", context=context, namespace="car")
    best_effort = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    inputs = [Subscriber(node, PointCloud2, "points", 5), Subscriber(node, CompressedImage, "front/image", 5)]
    node.create_publisher(PointCloud2, "points", best_effort)
    until(lambda: node.count_publishers("/car/points"), "the graph knows the publisher")
    ear = Ear(node)
    watch = InputWatch(ear, [*inputs, SimpleFilter()], silence_s=2.0, now_ns=0)
    for now_s in (1, 2, 3, 4):
        watch.check(now_s * 10**9)
    assert len(ear.lines) == 3
    assert "`listener` on `/car/points` offers less than is asked for here (best effort publisher" in ear.lines[0]
    assert ear.lines[1].startswith("No message on `/car/points` for 3.0 s: 1 publish it")
    assert ear.lines[2] == "No message on `/car/front/image` for 3.0 s: nothing publishes it."
    watch.heard(1, 5 * 10**9)
    for now_s in (6, 8):
        watch.check(now_s * 10**9)
    assert ear.lines[3:] == ["No message on `/car/front/image` for 3.0 s: nothing publishes it."]
    node.destroy_node()
