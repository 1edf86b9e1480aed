"""The live node in this process with a student that the test controls: every scan is labelled or counted."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from conftest import Listener, cloud, stays, until
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float64

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.errors import BadCheckpoint
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.io.pointcloud import parse, unpack_labels
from clip2scene_ros.nodes.segment import SegmentNode

SECOND = 10**9
PREFIX = "/clip2scene_segment"
SUCCESS = TransitionCallbackReturn.SUCCESS


class FakeStudent:
    """Labels point i with class i mod 7; waits while `hold` is set; fails while `error` is set."""

    def __init__(self) -> None:
        self.class_set = load_class_set("world")
        self.config = SegmenterConfig()
        self.scans: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def segment(self, scan: Scan) -> Segmentation:
        started = time.monotonic()
        self.scans.append(scan.stamp_ns)
        assert self.go_on.wait(20.0)
        if self.error:
            raise self.error
        n = len(scan)
        ms = (time.monotonic() - started) * 1e3
        return Segmentation(
            class_id=(np.arange(n) % 7).astype(np.uint8),
            probability=np.linspace(0, 1, n, dtype=np.float32),
            entropy=np.linspace(1, 0, n, dtype=np.float32),
            processing_ms={"preprocess": 0.0, "inference": ms, "postprocess": 0.0, "total": ms},
        )

    def describe(self) -> str:
        return "a fake, not for the road"


@pytest.fixture
def student() -> FakeStudent:
    return FakeStudent()


@pytest.fixture
def start(context: Context, spin: Callable[[Node], None], student: FakeStudent) -> Iterator[Callable[..., SegmentNode]]:
    """Return a function that starts a spinning node; arguments are ROS arguments."""
    nodes: list[SegmentNode] = []

    def make(*arguments: str, load: Callable[[SegmenterConfig], FakeStudent] | None = None) -> SegmentNode:
        node = SegmentNode(
            load or (lambda config: student),
            context=context,
            cli_args=["--ros-args", "-p", "diagnostics.period_s:=0.1", *arguments],
        )
        nodes.append(node)
        spin(node)
        return node

    yield make
    student.go_on.set()
    for node in nodes:
        node.close()


@pytest.fixture
def pair(start, listen) -> tuple[SegmentNode, Listener]:
    """Return a running node and a listener that have found each other."""
    node, listener = start(), listen()
    listener.meet()
    return node, listener


def dropped(listener: Listener, reason: str) -> int:
    return int(listener.report.get(f"dropped.{reason}", 0))


def test_every_point_comes_back_in_order_under_the_same_header(pair, student: FakeStudent):
    _, listener = pair
    for k in range(5):
        sent = cloud(SECOND + k, points=1000 + k, frame_id=f"lidar_{k}", seed=k)
        listener.send(sent)
        until(lambda k=k: len(listener.labels) == k + 1, f"labels of scan {k}")
        got = listener.labels[-1]
        assert got.header == sent.header
        points, labels = unpack_labels(got)
        np.testing.assert_array_equal(points, parse(sent).points)
        expected = student.segment(parse(sent))
        np.testing.assert_array_equal(labels.class_id, expected.class_id)
        np.testing.assert_array_equal(labels.probability, expected.probability)
        np.testing.assert_array_equal(labels.entropy, expected.entropy)


def test_the_newest_scan_wins_and_the_others_are_counted(pair, student: FakeStudent):
    node, listener = pair
    student.scans.clear()
    student.go_on.clear()
    listener.send(cloud(SECOND))
    until(lambda: student.scans == [SECOND], "the first scan is being labelled")
    before = node._ledger.account(0).received
    for k in range(1, 7):
        listener.send(cloud(SECOND + k))
        until(lambda k=k: node._ledger.account(0).received == before + k, f"scan {k} has arrived")
    student.go_on.set()
    until(lambda: len(listener.labels) == 2, "two scans are labelled")
    until(lambda: dropped(listener, "superseded") == 5, "five scans are counted as superseded")
    assert listener.stamps() == [SECOND, SECOND + 6]
    until(lambda: listener.report["pending"] == "0", "both are counted as labelled")


def bad_clouds(listener: Listener) -> int:
    return sum(int(n) for reason, n in listener.report.items() if reason.startswith("dropped.bad_cloud."))


def spoil(message: PointCloud2, **changes: object) -> PointCloud2:
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_each_bad_cloud_is_counted_by_reason_and_the_next_good_one_is_labelled(pair):
    _, listener = pair
    stamps = iter(range(SECOND, 2 * SECOND))
    empty_fields = spoil(cloud(0), fields=[])
    bad = [
        lambda: spoil(cloud(next(stamps)), point_step=0),
        lambda: spoil(cloud(next(stamps)), width=2**32 - 1, height=2**32 - 1),
        lambda: spoil(cloud(next(stamps)), row_step=2**32 - 1),
        lambda: spoil(cloud(next(stamps)), fields=empty_fields.fields),
        lambda: spoil(cloud(next(stamps)), data=b"\0" * 7),
        lambda: spoil(cloud(next(stamps)), width=501),
    ]
    for k, make in enumerate(bad, start=1):
        listener.send(make())
        good = cloud(next(stamps))
        until(lambda k=k: bad_clouds(listener) == k, f"bad cloud {k} is counted by reason")
        listener.send(good)
        until(lambda k=k: len(listener.labels) == k, f"the good cloud after bad cloud {k}")
        assert listener.labels[-1].header == good.header
    assert listener.report["last_error"].startswith("Bad cloud on `/points`")
    assert any(level == 2 and "Bad cloud" in text for level, text in listener.levels)


def test_a_failing_student_is_counted_and_asked_again(pair, student: FakeStudent):
    _, listener = pair
    student.error = RuntimeError("out of everything")
    listener.send(cloud(SECOND))
    until(lambda: dropped(listener, "internal_error") == 1, "the failure is counted")
    assert "out of everything" in listener.report["last_error"]
    student.error = None
    listener.send(cloud(2 * SECOND))
    until(lambda: listener.stamps() == [2 * SECOND], "the next scan is labelled")


def test_no_scan_is_labelled_twice_or_out_of_order(pair):
    node, listener = pair
    for stamp in (10, 20, 20, 15, 30):
        received = node._ledger.account(0).received
        listener.send(cloud(SECOND + stamp))
        until(lambda r=received: node._ledger.account(0).received > r, "the scan has arrived")
        until(lambda: node._ledger.account(0).pending == 0, "the scan is dealt with")
    until(lambda: dropped(listener, "duplicate_stamp") == 1 and dropped(listener, "out_of_order") == 1, "both counted")
    until(lambda: len(listener.labels) == 3, "three scans are labelled")
    assert listener.stamps() == [SECOND + 10, SECOND + 20, SECOND + 30]


def test_nothing_is_computed_while_nobody_listens(start, listen, student: FakeStudent):
    start()
    listener = listen(labels=False)
    until(lambda: listener.publisher.get_subscription_count(), "the node subscribes")

    def counted() -> bool:
        listener.send(cloud(SECOND))
        return dropped(listener, "no_subscriber") >= 5

    until(counted, "scans are counted as no_subscriber")
    assert student.scans == []
    assert listener.report["labelled"] == "0"
    listener.subscribe()
    listener.meet()
    assert student.scans


def test_colours_are_made_for_their_subscriber_alone(start, listen, student: FakeStudent):
    start()
    listener = listen(labels=False)
    coloured: list[PointCloud2] = []
    listener.node.create_subscription(PointCloud2, f"{PREFIX}/labels_rgb", coloured.append, 10)
    stamps = iter(range(SECOND, 2 * SECOND))

    def answered() -> bool:
        listener.send(cloud(next(stamps), points=50))
        return not stays(lambda: not coloured, 0.2)

    until(answered, "a coloured cloud")
    rgb = next(f for f in coloured[0].fields if f.name == "rgb")
    raw = np.frombuffer(coloured[0].data, np.uint8).reshape(50, coloured[0].point_step)
    bgr = raw[:, rgb.offset : rgb.offset + 3]
    np.testing.assert_array_equal(bgr[:, ::-1], student.class_set.palette[np.arange(50) % 7])


def test_times_are_published_and_never_negative(pair):
    node, listener = pair
    names = ["cyclic_ms", "pipeline_latency_ms", "processing_time/overhead_ms"]
    names += [f"processing_time/{stage}_ms" for stage in ("preprocess", "inference", "postprocess", "total")]
    values: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        listener.node.create_subscription(
            Float64, f"{PREFIX}/debug/{name}", lambda m, name=name: values[name].append(m.data), 10
        )
    stamps = iter(range(SECOND, 2 * SECOND))

    def all_there() -> bool:
        listener.send(cloud(next(stamps)))
        return not stays(lambda: not all(values.values()), 0.1)

    until(all_there, "a value on every debug topic")
    assert all(v >= 0 for series in values.values() for v in series)
    assert max(values["pipeline_latency_ms"]) > 0
    overhead = node._ledger.account(time.monotonic_ns()).overhead_ms
    assert 0 < overhead["p50"] < 200


def test_a_late_subscriber_gets_the_class_set_once(start, listen, student: FakeStudent):
    node = start()
    until(lambda: node.state == "active", "the node is active")
    late = listen()
    until(lambda: late.class_sets, "the class set")
    assert late.class_sets == [student.class_set.to_json()]
    late.meet()
    assert len(late.class_sets) == 1


def test_fifty_activations_leave_nothing_behind(pair, context: Context):
    node, listener = pair

    def footprint() -> tuple[int, int, int]:
        gc.collect()
        return threading.active_count(), len(list(node.subscriptions)), len(os.listdir("/proc/self/fd"))

    def cycle() -> None:
        done = threading.Event()
        results: list[TransitionCallbackReturn] = []

        def switch() -> None:  # in the executor's thread, as a lifecycle service would
            timer.cancel()
            results.extend([node.trigger_deactivate(), node.trigger_activate()])
            done.set()

        timer = node.create_timer(0.0, switch)
        assert done.wait(20.0)
        node.destroy_timer(timer)
        assert results == [SUCCESS, SUCCESS]

    cycle()
    before = footprint()
    for _ in range(50):
        cycle()
    assert footprint() == before
    listener.meet()


def test_after_cleanup_it_can_be_configured_again(pair, student: FakeStudent):
    node, listener = pair
    done = threading.Event()
    states: list[str] = []

    def through_all_states() -> None:
        timer.cancel()
        for trigger in (node.trigger_deactivate, node.trigger_cleanup, node.trigger_configure, node.trigger_activate):
            assert trigger() == SUCCESS
            states.append(node.state)
        done.set()

    timer = node.create_timer(0.0, through_all_states)
    assert done.wait(20.0)
    assert states == ["inactive", "unconfigured", "inactive", "active"]
    listener.meet()


def test_a_scan_at_hand_is_finished_and_the_waiting_one_counted_on_deactivation(pair, student: FakeStudent):
    node, listener = pair
    student.scans.clear()
    student.go_on.clear()
    listener.send(cloud(SECOND))
    until(lambda: student.scans == [SECOND], "the first scan is being labelled")
    received = node._ledger.account(0).received
    listener.send(cloud(2 * SECOND))
    until(lambda: node._ledger.account(0).received == received + 1, "the second scan waits")
    timer = node.create_timer(0.0, lambda: (timer.cancel(), node.trigger_deactivate()))
    until(lambda: node.state == "inactive", "the node lets go of its pipeline")
    student.go_on.set()
    until(lambda: dropped(listener, "deactivated") == 1, "the waiting scan is counted")
    until(lambda: listener.stamps() == [SECOND], "the scan at hand is labelled")


def test_a_failed_configuration_is_told_and_ends_the_node(start, listen):
    def missing(config: SegmenterConfig) -> FakeStudent:
        raise BadCheckpoint("missing", "No checkpoint at nowhere.safetensors.")

    node, listener = start(load=missing), listen()
    until(node.finished.done, "the node gives up")
    assert "nowhere.safetensors" in node.finished.result()
    until(lambda: any(level == 2 and "nowhere" in text for level, text in listener.levels), "ERROR on /diagnostics")
    assert node.state == "unconfigured"


def test_without_autostart_it_waits(start, listen, student: FakeStudent):
    node, listener = start("-p", "autostart:=false"), listen()
    until(lambda: listener.report.get("state") == "unconfigured", "a report while unconfigured")
    assert stays(lambda: node.state == "unconfigured", 0.3)
    assert listener.publisher.get_subscription_count() == 0


def test_what_is_loaded_stands_in_diagnostics(pair):
    _, listener = pair
    until(lambda: listener.report.get("loaded") == "a fake, not for the road", "the notice")


def test_a_run_time_parameter_reaches_the_student(pair, student: FakeStudent):
    node, _ = pair
    node.set_parameters([Parameter("segmenter.min_probability", value=0.5)])
    assert student.config == replace(SegmenterConfig(), min_probability=0.5)


def test_simulated_time_stamps_the_reports_and_not_the_latency(start, listen):
    node, listener = start("-p", "use_sim_time:=true"), listen()
    stamps: list[int] = []
    listener.meet()  # no /clock yet: simulated time stands at zero
    clock = listener.node.create_publisher(Clock, "/clock", 10)
    from diagnostic_msgs.msg import DiagnosticArray

    listener.node.create_subscription(DiagnosticArray, "/diagnostics", lambda m: stamps.append(m.header.stamp.sec), 10)

    def simulated() -> bool:
        clock.publish(Clock(clock=cloud(5000 * SECOND).header.stamp))
        return 5000 in stamps

    until(simulated, "a report stamped with simulated time")
    for k in range(3):  # stamps far from any clock, and time itself jumping back
        listener.send(cloud((1000 - 100 * k) * SECOND))
        until(lambda k=k: len(listener.labels) == k + 1, f"scan {k}")
    latency = node._ledger.account(time.monotonic_ns()).pipeline_ms
    assert 0 < latency["p50"] <= latency["max"] < 10_000


def test_a_mismatch_of_qos_is_logged_with_topic_and_cure(start, listen, capfd):
    start("-p", "points.reliability:=reliable")
    listen(reliable=False)
    seen = ""

    def logged() -> bool:
        nonlocal seen
        seen += "".join(capfd.readouterr())
        return "points.reliability: best_effort" in seen

    until(logged, "the mismatch is logged")
    assert "`/points`" in seen


def test_peers_that_fit_are_not_complained_of(capfd, pair):
    _, listener = pair
    before = len(listener.reports)
    until(lambda: len(listener.reports) >= before + 3, "three more looks at the peers")
    said = "".join(capfd.readouterr())
    assert "asks for more" not in said
    assert "offers less" not in said


def test_a_subscriber_that_asks_for_too_much_is_logged(start, listen, capfd):
    start("-p", "labels.reliability:=best_effort")
    listener = listen(labels=False)
    reliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    listener.node.create_subscription(PointCloud2, f"{PREFIX}/labels", lambda m: None, reliable)
    seen = ""

    def logged() -> bool:
        nonlocal seen
        seen += "".join(capfd.readouterr())
        return "labels.reliability: reliable" in seen

    until(logged, "the mismatch is logged")
    assert f"`{PREFIX}/labels`" in seen
