"""collect_node in a process of its own, a vehicle in another: shards that are whole, and every set accounted for."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from collect_peer import CAMERAS, NODE, PERIOD_NS, Vehicle, write_rig, write_seen
from conftest import until
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.node import Node
from small_street import START_NS
from std_srvs.srv import Trigger

from clip2scene_ros import cli
from clip2scene_ros.collect.config import CollectNodeConfig
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.nodes.process import RunningNode, ros_arguments
from clip2scene_ros.nodes.tables import parameter_table, parameter_yaml
from clip2scene_ros.settings import settings_of, with_settings
from clip2scene_ros.share import share_file

SCANS = 60
READY_S = 90.0


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a calibration file and label images."""
    folder = tmp_path_factory.mktemp("ground")
    write_rig(folder / "rig.yaml")
    write_seen(folder / "seen", SCANS)
    return folder


@pytest.fixture
def start(ground: Path, tmp_path: Path) -> Iterator[Callable[..., RunningNode]]:
    """Return a function that starts the node; keywords are parameters, dots written as two underscores."""
    running: list[RunningNode] = []

    def run(**parameters: object) -> RunningNode:
        given: dict[str, object] = {
            "folder": str(tmp_path / "shards"),
            "cameras": ", ".join(CAMERAS),
            "calibration.file": str(ground / "rig.yaml"),
            "teacher": str(ground / "seen"),
            "choice.min_interval_s": 0.0,
            "choice.min_motion_m": 0.0,
            "shards.min_free_gb": 0.0,
            "buffer.queue_size": SCANS,
            "diagnostics.period_s": 0.1,
            "points.reliability": "reliable",
            "images.reliability": "reliable",
            "points.depth": 50,
            "images.depth": 50,
            "worker.nice": 0,
        }
        given |= {name.replace("__", "."): value for name, value in parameters.items()}
        command = [sys.executable, "-m", "clip2scene_ros.nodes.collect", *ros_arguments(given, {})]
        log = tmp_path / f"node{len(running)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        running.append(RunningNode(process, log))
        return running[-1]

    yield run
    for node in running:
        node.stop()


@pytest.fixture
def vehicle(context: Context, spin: Callable[[Node], None]) -> Vehicle:
    vehicle = Vehicle(context)
    spin(vehicle.node)
    return vehicle


def active(node: RunningNode, vehicle: Vehicle) -> None:
    """Wait until the node hears everything."""

    def ready() -> bool:
        node.check()
        return vehicle.heard() and vehicle.report.get("state") == "active"

    until(ready, "the node is active", READY_S)


def settled(vehicle: Vehicle, kept: int) -> None:
    until(lambda: vehicle.counts("kept") == [kept], f"{kept} frames are kept: {vehicle.report}", READY_S)


def balanced(report: dict[str, str]) -> bool:
    kept, dropped, waiting, remembered, at_worker, received = (
        int(report[name]) for name in ("kept", "dropped", "waiting", "remembered", "at_worker", "received")
    )
    return received == kept + dropped + waiting + remembered + at_worker


def inspected(folder: Path) -> bool:
    """Return whether `clip2scene inspect` finds nothing damaged and nothing unfinished."""
    return cli.main(["inspect", str(folder)]) == 0 and not list(folder.rglob("*.partial"))


def test_a_camera_dies_and_frames_go_on_without_it_until_sigint_finishes_the_shard(
    start: Callable[..., RunningNode], vehicle: Vehicle, tmp_path: Path
) -> None:
    node = start(vehicle="car-7", sync__wait_ms=300.0)
    active(node, vehicle)
    for i in range(5):
        vehicle.send(i)
    settled(vehicle, 5)
    for i in range(5, 10):
        vehicle.send(i, CAMERAS[:1])
    settled(vehicle, 10)
    until(lambda: vehicle.report.get("cam_left.silent") == "true", "the dead camera is named")
    until(lambda: "cam_left" in vehicle.levels[-1][1], "the message names it, too")
    assert vehicle.levels[-1][0] == 1
    assert vehicle.counts("scans", "sets_full", "sets_partial") == [10, 5, 5]
    assert balanced(vehicle.report)
    assert node.stop(signal.SIGINT) == 0
    log = node.log_file.read_text()
    assert "Traceback" not in log
    assert "10 frames kept of 10 sets" in log
    shards = tmp_path / "shards"
    assert inspected(shards)
    records = list(ShardReader(shards))
    assert [len(record.frame.views) for record in records] == [2] * 5 + [1] * 5
    assert [record.frame.scan.stamp_ns for record in records] == [START_NS + i * PERIOD_NS for i in range(10)]
    assert all(record.labels is not None and (record.labels.class_id != 255).any() for record in records)
    assert records[0].provenance.vehicle == "car-7"
    from clip2scene_training.datasets.shards import ShardDataset, ShardLabels

    assert len(ShardLabels(ShardDataset(shards, with_images=True))) == 10


def test_keep_saves_the_seconds_around_it_and_a_dead_worker_costs_its_own_frame(
    start: Callable[..., RunningNode], vehicle: Vehicle, tmp_path: Path
) -> None:
    node = start(choice__min_motion_m=100.0, buffer__before_s=0.5, buffer__after_s=0.3)
    active(node, vehicle)
    assert vehicle.keep.wait_for_service(20.0)

    def keep() -> Any:
        answer = vehicle.keep.call_async(Trigger.Request())
        until(answer.done, "an answer")
        return answer.result()

    for i in range(40):  # before the answer of the service: all of it is heard before the first scan
        vehicle.odometry(i, 0.1 * i if i < 30 else 100.0 * i)
    refused = keep()
    assert (refused.success, "nothing to keep" in refused.message) == (False, True)
    for i in range(20):
        vehicle.send(i)
        judged = [i + 1, 1, 0, 0]
        until(lambda j=judged: vehicle.counts("received", "kept", "at_worker", "waiting") == j, f"scan {i} is judged")
    assert vehicle.counts("remembered") == [6]
    answer = keep()
    assert (answer.success, "6 frames of before" in answer.message) == (True, True)
    for i in range(20, 26):
        vehicle.send(i)
    settled(vehicle, 1 + 6 + 3)
    children = subprocess.run(
        ["ps", "-ww", "--ppid", str(node.process.pid), "-o", "pid=,args="], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    (worker,) = (int(line.split()[0]) for line in children if "spawn_main" in line)
    os.kill(worker, signal.SIGSTOP)
    vehicle.send(30)
    until(lambda: vehicle.counts("at_worker") == [1], "the worker has a frame")
    os.kill(worker, signal.SIGKILL)
    until(lambda: vehicle.counts("dropped.worker_died") == [1], "the frame of the dead worker is counted", READY_S)
    vehicle.send(31)
    settled(vehicle, 11)
    assert vehicle.counts("worker_deaths") == [1]
    assert balanced(vehicle.report)
    assert node.stop(signal.SIGTERM) == 0
    assert inspected(tmp_path / "shards")
    stamps = [(r.frame.scan.stamp_ns - START_NS) // PERIOD_NS for r in ShardReader(tmp_path / "shards")]
    assert stamps == [0, *range(14, 23), 31]


def test_a_full_folder_pauses_it_and_room_resumes_it_with_nothing_lost(
    start: Callable[..., RunningNode], vehicle: Vehicle, tmp_path: Path
) -> None:
    node = start(shards__quota_gb=0.00005, shards__max_shard_frames=1)
    active(node, vehicle)
    for i in range(4):
        vehicle.send(i)
    until(lambda: vehicle.report.get("paused", "no") != "no", f"it pauses: {vehicle.report}", READY_S)
    until(lambda: vehicle.levels[-1][0] == 2, "diagnostics turn to ERROR")
    assert "quota_gb" in vehicle.levels[-1][1]
    (kept,) = vehicle.counts("kept")
    assert 0 < kept < 4
    moved = tmp_path / "moved"
    moved.mkdir()
    while vehicle.counts("kept") != [4]:
        for shard in (tmp_path / "shards").glob("*.tar"):
            shard.rename(moved / shard.name)
        before = vehicle.counts("kept")
        until(lambda before=before: vehicle.counts("kept") != before, "it goes on", READY_S)
    until(lambda: vehicle.report.get("paused") == "no", "it says so")
    assert node.stop() == 0
    for shard in (tmp_path / "shards").glob("*.tar"):
        shard.rename(moved / shard.name)
    assert len(ShardReader(moved)) == 4
    assert inspected(moved)


@pytest.mark.parametrize("policy", ["approximate_time", "exact_time"])
def test_a_policy_of_message_filters_keeps_complete_sets_alone_and_counts_the_rest(
    start: Callable[..., RunningNode], vehicle: Vehicle, tmp_path: Path, policy: str
) -> None:
    pytest.importorskip("message_filters", reason="message_filters absent: it comes with ROS, not from PyPI")
    node = start(sync__policy=policy)
    active(node, vehicle)
    for i in (0, 1):
        vehicle.send(i)
    settled(vehicle, 2)
    for i in range(2, 14):  # more than their queue holds
        vehicle.send(i, CAMERAS[:1])
    until(lambda: vehicle.counts("scans") == [14], "all have come")
    until(lambda: vehicle.counts("cam_front.received", "cam_left.received") == [14, 2], "all have come")
    until(lambda: vehicle.report["cam_left.silent"] == "true", "the dead camera is named")
    assert vehicle.counts("sets_full", "sets_partial", "scans_waiting", "scans_dropped.unmatched") == [2, 0, 10, 2]
    vehicle.send(20)
    settled(vehicle, 3)
    assert balanced(vehicle.report)
    assert node.stop() == 0
    assert [len(record.frame.views) for record in ShardReader(tmp_path / "shards")] == [2, 2, 2]


def test_each_time_it_is_deactivated_the_shards_are_finished(
    start: Callable[..., RunningNode], vehicle: Vehicle, tmp_path: Path
) -> None:
    node = start()
    active(node, vehicle)
    change = vehicle.node.create_client(ChangeState, f"{NODE}/change_state")
    assert change.wait_for_service(20.0)

    def ask(transition: int) -> bool:
        answer = change.call_async(ChangeState.Request(transition=Transition(id=transition)))
        until(answer.done, "an answer")
        return bool(answer.result().success)

    for cycle in range(3):
        vehicle.send(cycle)
        settled(vehicle, 1)
        assert ask(Transition.TRANSITION_DEACTIVATE)
        until(lambda: vehicle.report.get("state") == "inactive", "it is inactive")
        assert len(list((tmp_path / "shards").glob("*.tar"))) == cycle + 1
        assert not list((tmp_path / "shards").glob("*.partial"))
        assert ask(Transition.TRANSITION_ACTIVATE)
        active(node, vehicle)
    assert ask(Transition.TRANSITION_DEACTIVATE)
    assert ask(Transition.TRANSITION_CLEANUP)
    assert node.stop() == 0
    assert inspected(tmp_path / "shards")


def absent(module: str) -> Any:
    """Skip where ROS brings a module that pip has not."""
    return pytest.mark.skipif(importlib.util.find_spec(module) is not None, reason=f"{module} is installed")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"cameras": ""}, "cameras"),
        pytest.param({"calibration__source": "tf"}, "ros-$ROS_DISTRO-tf2-msgs", marks=absent("tf2_msgs")),
        pytest.param({"sync__policy": "exact_time"}, "message-filters", marks=absent("message_filters")),
        ({"sync__policy": "exact_time", "sync__offsets_ms": "cam_front: 5"}, "no offsets_ms"),
        ({"calibration__file": "/no/such.yaml"}, "such.yaml"),
        ({"teacher": "/no/such/folder"}, "/no/such/folder"),
        ({"choice__min_novelty": 3.0}, "min_novelty"),
    ],
)
def test_a_node_that_cannot_start_says_why(
    start: Callable[..., RunningNode], parameters: dict[str, object], said: str
) -> None:
    node = start(**parameters)
    assert node.process.wait(READY_S) == 1
    assert said in node.log_file.read_text()


def test_yaml_and_documentation_say_what_the_settings_say() -> None:
    assert share_file("config/collect.yaml").read_text() == parameter_yaml(CollectNodeConfig())
    tree = yaml.safe_load(share_file("config/collect.yaml").read_text())["/**"]["ros__parameters"]

    def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in tree.items():
            out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return out

    assert with_settings(CollectNodeConfig(), flat(tree)) == CollectNodeConfig()
    assert list(flat(tree)) == [name for name, _, _ in settings_of(CollectNodeConfig())]
    document = (share_file("package.xml").parent / "docs" / "collect.md").read_text(encoding="utf-8")
    _, _, after = document.partition("<!-- parameters -->\n")
    assert after.partition("<!-- /parameters -->")[0] == parameter_table(CollectNodeConfig())
