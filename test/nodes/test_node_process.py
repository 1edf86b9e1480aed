"""The real node in its own process with a real, tiny student: what `segment_node` does for whoever starts it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import NOTICE, Listener, cloud, tiny, until
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.parameter import Parameter

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.io.pointcloud import parse, unpack_labels
from clip2scene_ros.nodes.process import RunningNode, start_node
from clip2scene_ros.student.segmenter import Segmenter, SegmenterConfig

SECOND = 10**9


@pytest.fixture(scope="module")
def node(tiny_checkpoint: Path) -> Iterator[RunningNode]:
    """Return one node for the tests that leave it as it was."""
    with start_node({**tiny(tiny_checkpoint), "diagnostics.period_s": 0.2}) as running:
        yield running
        running.check()


@pytest.fixture
def listener(node: RunningNode, listen: Callable[..., Listener]) -> Listener:
    """Return a listener that the shared node answers."""
    listener = listen()
    listener.meet()
    return listener


def test_every_scan_is_labelled_with_equal_stamp_in_order(listener: Listener, tiny_checkpoint: Path):
    sent = [cloud((100 + k) * SECOND + k, points=1000, seed=k) for k in range(20)]
    for k, message in enumerate(sent):
        listener.send(message)
        until(lambda k=k: len(listener.labels) == k + 1, f"labels of scan {k}")
    assert [m.header for m in listener.labels] == [m.header for m in sent]
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(tiny_checkpoint)))
    for message, labels in zip(sent[:3], listener.labels, strict=False):
        points, got = unpack_labels(labels)
        scan = parse(message)
        np.testing.assert_array_equal(points, scan.points)
        expected = segmenter.segment(scan)
        assert (got.class_id == expected.class_id).mean() > 0.999
        np.testing.assert_allclose(got.probability, expected.probability, atol=1e-4)


def test_the_class_set_reaches_who_comes_late(listener: Listener):
    until(lambda: listener.class_sets, "the class set")
    assert [c["name"] for c in json.loads(listener.class_sets[0])["classes"]] == list(load_class_set("world").names)


def test_log_and_diagnostics_give_the_notice(node: RunningNode, listener: Listener):
    until(lambda: NOTICE in listener.report.get("loaded", ""), "the notice on /diagnostics")
    assert NOTICE in node.log_file.read_text()


def test_bad_clouds_do_not_stop_it(listener: Listener):
    bad = cloud(SECOND)
    bad.point_step = 0
    listener.send(bad)
    until(lambda: any(key.startswith("dropped.bad_cloud.") for key in listener.report), "the bad cloud is counted")
    listener.send(cloud(2 * SECOND))
    until(lambda: listener.stamps() == [2 * SECOND], "the next good cloud is labelled")


def test_parameters_over_services(listener: Listener, node: RunningNode):
    setter = listener.node.create_client(SetParameters, "/clip2scene_segment/set_parameters")
    getter = listener.node.create_client(GetParameters, "/clip2scene_segment/get_parameters")
    assert setter.wait_for_service(20.0)
    assert getter.wait_for_service(20.0)

    def change(name: str, value: object) -> tuple[bool, str]:
        future = setter.call_async(SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()]))
        until(future.done, "an answer")
        (result,) = future.result().results
        return result.successful, result.reason

    assert change("segmenter.min_probability", 1.0) == (True, "")
    listener.send(cloud(50 * SECOND))
    until(lambda: listener.labels, "labels")
    assert (unpack_labels(listener.labels[-1])[1].class_id == 255).mean() > 0.99
    assert change("segmenter.min_probability", 0.0) == (True, "")
    refused, reason = change("segmenter.min_probability", 3.0)
    assert not refused
    assert "min_probability" in reason
    refused, reason = change("points.depth", 5)
    assert not refused
    assert "read-only" in reason
    future = getter.call_async(GetParameters.Request(names=["points.depth", "segmenter.threads"]))
    until(future.done, "an answer")
    assert [v.integer_value for v in future.result().values] == [2, 1]


def test_namespace_remap_and_parameter_file(listen: Callable[..., Listener], tiny_checkpoint: Path, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"/**:\n  ros__parameters:\n    segmenter: {{checkpoint: '{tiny_checkpoint}', threads: 1}}\n"
        "    diagnostics: {period_s: 0.2}\n    points: {reliability: reliable}\n"
    )
    command = [sys.executable, "-m", "clip2scene_ros.nodes.segment", "--ros-args", "--params-file", str(file)]
    command += ["-r", "__ns:=/car", "-r", "__node:=eyes", "-r", "points:=/lidar/top", "-r", "~/labels:=/seen"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    running = RunningNode(process, tmp_path / "log")
    try:
        listener = listen("/car/eyes", "/lidar/top")
        listener.node.destroy_subscription(listener.subscription)
        listener._labels_topic = "/seen"
        listener.subscribe()
        listener.meet()
        until(lambda: listener.class_sets, "the class set under the new name")
    finally:
        assert running.stop() == 0, running.log_tail()


def test_lifecycle_by_services_without_autostart(listen: Callable[..., Listener], tiny_checkpoint: Path):
    with start_node({**tiny(tiny_checkpoint), "autostart": False}, namespace="manual") as running:
        listener = listen("/manual/clip2scene_segment", "/manual/points")
        change = listener.node.create_client(ChangeState, "/manual/clip2scene_segment/change_state")
        state = listener.node.create_client(GetState, "/manual/clip2scene_segment/get_state")
        assert change.wait_for_service(20.0)
        assert state.wait_for_service(20.0)

        def now() -> str:
            future = state.call_async(GetState.Request())
            until(future.done, "the state")
            return future.result().current_state.label

        def go(transition: int) -> bool:
            future = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
            until(future.done, f"transition {transition}")
            return future.result().success

        assert now() == "unconfigured"
        assert not go(Transition.TRANSITION_ACTIVATE)
        assert go(Transition.TRANSITION_CONFIGURE)
        assert now() == "inactive"
        assert go(Transition.TRANSITION_ACTIVATE)
        assert now() == "active"
        listener.meet()
        assert go(Transition.TRANSITION_DEACTIVATE)
        assert go(Transition.TRANSITION_CLEANUP)
        assert now() == "unconfigured"
        assert go(Transition.TRANSITION_CONFIGURE)
        assert go(Transition.TRANSITION_ACTIVATE)
        listener.meet()
        assert go(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        assert now() == "finalized"
        running.check()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clip2scene_ros.nodes.segment", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "segmenter.checkpoint:=/nowhere/at/all.safetensors"], "/nowhere/at/all.safetensors"),
        (["-p", "points.depth:=0"], "points.depth"),
        (["-p", "segmenter.precision:=int3"], "int3"),
    ],
)
def test_what_cannot_start_ends_with_exit_code_one_and_a_reason(arguments: list[str], said: str):
    done = run("--ros-args", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--topic", "/points"],
        ["--ros-args", "--params-file", "/nowhere/at/all.yaml"],
        ["--ros-args", "-p", "points.depth"],
        ["--ros-args", "-r", "__ns:=/a-b"],
    ],
)
def test_wrong_usage_ends_with_exit_code_two_and_one_line(arguments: list[str]):
    refused = run(*arguments)
    assert refused.returncode == 2
    assert arguments[-1] in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr


def test_help_says_how_parameters_are_given():
    assert "--ros-args" in run("--help").stdout


DRIVER = """
import time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField
from clip2scene_ros.nodes.transport import use_profile

use_profile()
rclpy.init()
node = rclpy.create_node("driver")
qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(PointCloud2, "/NAMESPACE/points", qos)
message = PointCloud2(height=1, width=120_000, point_step=16, row_step=16 * 120_000, data=bytes(16 * 120_000))
message.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
while not publisher.get_subscription_count():
    time.sleep(0.01)
for k in range(1, 61):
    message.header.stamp.sec = k
    publisher.publish(message)
    time.sleep(0.05)
time.sleep(1.0)
"""
"""A LiDAR driver in a process of its own: 60 best-effort clouds of 1.92 MB at 20 Hz."""


@pytest.mark.parametrize("profile", [True, False], ids=["with the profile", "without the profile"])
def test_large_best_effort_clouds_need_the_profile_at_the_driver(
    profile: bool, listen: Callable[..., Listener], tiny_checkpoint: Path
):
    ns = f"driver{int(profile)}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("FASTDDS_", "FASTRTPS_"))}
    if not profile:
        environment["FASTDDS_BUILTIN_TRANSPORTS"] = "DEFAULT"
    parameters = {
        "segmenter.checkpoint": str(tiny_checkpoint),
        # Room for all of them: a starved machine must not look like a lossy middleware.
        "points.depth": 60 if profile else 2,
        "diagnostics.period_s": 0.1,
        "diagnostics.silence_s": 0.5,
    }
    with start_node(parameters, namespace=ns) as node:
        listener = listen(f"/{ns}/clip2scene_segment", f"/{ns}/other", labels=False)
        until(lambda: listener.report.get("state") == "active", "the node is active")
        script = DRIVER.replace("NAMESPACE", ns)
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60)
        counts = lambda: (int(listener.report["received"]), int(listener.report["lost_before_arrival"]))  # noqa: E731
        if profile:
            # Those sent before the node knew of the driver are nobody's loss; of the others none is missing.
            until(lambda: counts()[0] >= 40, "the clouds have arrived")
            assert counts()[1] == 0
            assert "never arrived" not in node.log_file.read_text()
        else:
            # Many are lost; where all are, only the silence can be told. Either way the log names topic and cure.
            until(lambda: re.search(rf"`/{ns}/points` (never arrived|has 1 publ)", node.log_file.read_text()), "advice")
            assert counts()[0] < 60
            assert sum(counts()) <= 60
            assert "config/fastdds.xml" in node.log_file.read_text()
