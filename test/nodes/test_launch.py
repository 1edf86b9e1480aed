"""The launch files: their arguments as documented, and the real `ros2 launch` where it is installed.

launch and launch_ros have no wheels: they come with a ROS 2 installation, or from source beside this package.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import Listener, cloud, until
from small_street import write_street

PROJECT = Path(__file__).resolve().parents[2]
SEGMENT, EVALUATE = "segment.launch.py", "evaluate.launch.py"
EXECUTABLE = Path("lib", "clip2scene_ros", "segment_node")


def constant(name: str, file: str = SEGMENT) -> Any:
    """Return the value of a constant of a launch file, which may not be importable here."""
    for statement in ast.parse((PROJECT / "launch" / file).read_text()).body:
        if isinstance(statement, ast.Assign) and [t.id for t in statement.targets if isinstance(t, ast.Name)] == [name]:
            return ast.literal_eval(statement.value)
    raise AssertionError(f"{name} is not in {file}")


@pytest.mark.parametrize("file", [SEGMENT, EVALUATE])
def test_the_launch_file_compiles(file: str) -> None:
    compile((PROJECT / "launch" / file).read_text(), file, "exec")


@pytest.mark.parametrize(("file", "page"), [(SEGMENT, "install.md"), (EVALUATE, "replay.md")])
def test_the_arguments_are_the_documented_ones(file: str, page: str) -> None:
    documented = re.findall(r"^\| `(\w+):=` \| (?:`([^`]*)` )?\|", (PROJECT / "docs" / page).read_text(), re.M)
    assert documented == [(name, default) for name, (default, _) in constant("ARGUMENTS", file).items()]


@pytest.mark.parametrize("file", [SEGMENT, EVALUATE])
def test_arguments_that_override_are_parameters_of_the_node(file: str) -> None:
    from clip2scene_ros.config import SegmentNodeConfig
    from clip2scene_ros.settings import settings_of

    assert set(constant("OVERRIDES", file).values()) <= {name for name, _, _ in settings_of(SegmentNodeConfig())}
    assert set(constant("OVERRIDES", file)) <= set(constant("ARGUMENTS", file))


def test_the_evaluation_has_the_defaults_and_words_of_its_parameters() -> None:
    from clip2scene_ros.config import EvaluateNodeConfig
    from clip2scene_ros.nodes.tables import parameter_table
    from clip2scene_ros.settings import settings_of

    given = constant("ARGUMENTS", EVALUATE)
    for name, value, field in settings_of(EvaluateNodeConfig()):
        assert given[name] == (str(value).lower(), field.metadata["why"])
    _, _, after = (PROJECT / "docs" / "replay.md").read_text().partition("<!-- parameters -->\n")
    assert after.partition("<!-- /parameters -->")[0] == parameter_table(EvaluateNodeConfig())


def test_the_bag_waits_for_words_that_the_node_says() -> None:
    assert constant("READY") in (PROJECT / "clip2scene_ros" / "nodes" / "segment.py").read_text()


@pytest.fixture
def prefix() -> Path:
    """Return where our package is installed for `ros2 launch`, or skip."""
    if importlib.util.find_spec("launch_ros") is None or shutil.which("ros2") is None:
        pytest.skip("launch_ros absent: it has no wheel")
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    found = [Path(p) for p in prefixes if p and (Path(p) / EXECUTABLE).is_file()]
    if not found:
        pytest.skip("clip2scene_ros is installed editable: ros2 launch finds no executables")
    return found[0]


class Launched:
    """A running `ros2 launch clip2scene_ros FILE`."""

    def __init__(self, prefix: Path, log: Path, file: str, arguments: list[str], path: str) -> None:
        self.log = log
        environment = {
            **os.environ,
            "AMENT_PREFIX_PATH": os.pathsep.join(filter(None, [str(prefix), os.environ.get("AMENT_PREFIX_PATH")])),
            "PATH": os.pathsep.join([path, str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONUNBUFFERED": "1",
        }
        ros2 = shutil.which("ros2")
        command = [str(ros2), "launch", "clip2scene_ros", file, *arguments]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, env=environment, cwd="/", stdout=out, stderr=out)

    def said(self, words: str) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"ros2 launch ended with {self.process.returncode}:\n{self.log.read_text()}")
        return words in self.log.read_text()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=15)


@pytest.fixture
def launch(prefix: Path, tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    running: list[Launched] = []

    def start(path: str = "", file: str = SEGMENT, **arguments: str) -> Launched:
        given = [f"{name}:={value}" for name, value in arguments.items()]
        running.append(Launched(prefix, tmp_path / f"launch{len(running)}.log", file, given, path))
        return running[-1]

    yield start
    for launched in running:
        if launched.process.poll() is None:
            launched.interrupt()


@pytest.fixture
def parameters(context: Any, spin: Callable[..., None]) -> Callable[..., list[Any]]:
    """Return a function that asks a node for its parameters."""
    from rclpy.node import Node
    from rclpy.parameter import parameter_value_to_python
    from rclpy.parameter_client import AsyncParameterClient

    asking = Node("asking", context=context)
    spin(asking)

    def ask(node: str, names: list[str]) -> list[Any]:
        client = AsyncParameterClient(asking, node)
        until(client.services_are_ready, f"{node} answers for its parameters")
        answer = client.get_parameters(names)
        until(answer.done, "the parameters arrive")
        return [parameter_value_to_python(value) for value in answer.result().values]

    return ask


def test_launch_passes_parameters_remaps_and_namespace(
    launch: Callable[..., Launched],
    parameters: Callable[..., list[Any]],
    listen: Callable[..., Listener],
    tiny_checkpoint: Path,
    tmp_path: Path,
) -> None:
    from clip2scene_ros.io.pointcloud import unpack_labels

    config = tmp_path / "mine.yaml"
    settings = {"segmenter": {"max_range_m": 20.0, "checkpoint": "overridden.safetensors"}}
    config.write_text(yaml.safe_dump({"/**": {"ros__parameters": settings}}))
    launched = launch(topic="/lidar/points", namespace="car", checkpoint=str(tiny_checkpoint), config=str(config))
    until(lambda: launched.said(constant("READY")), "the node is ready")

    names = ["segmenter.max_range_m", "segmenter.checkpoint", "segmenter.device", "use_sim_time"]
    assert parameters("/car/clip2scene_segment", names) == [20.0, str(tiny_checkpoint), "auto", False]
    listener = listen("/car/clip2scene_segment", "/lidar/points")
    listener.meet()
    listener.send(cloud(7 * 10**9))
    until(lambda: 7 * 10**9 in listener.stamps(), "the cloud is labelled")
    points, labels = unpack_labels(listener.labels[-1])
    too_far = np.linalg.norm(points, axis=1) > 20.0
    assert 0 < too_far.sum() < len(points)
    assert (labels.class_id[too_far] == 255).all()
    assert (labels.class_id[~too_far] != 255).any()
    assert launched.interrupt() == 0
    assert "process has finished cleanly" in launched.log.read_text()


def test_launch_without_arguments_takes_the_installed_configuration(
    launch: Callable[..., Launched], parameters: Callable[..., list[Any]], tiny_checkpoint: Path
) -> None:
    launched = launch(checkpoint=str(tiny_checkpoint))
    until(lambda: launched.said("Labelling `/points`"), "the node is ready")
    written = yaml.safe_load((PROJECT / "config" / "segment.yaml").read_text())["/**"]["ros__parameters"]
    names = ["segmenter.max_range_m", "cloud.max_points", "labels.reliability", "use_sim_time"]
    expected = [written["segmenter"]["max_range_m"], written["cloud"]["max_points"], written["labels"]["reliability"]]
    assert parameters("/clip2scene_segment", names) == [*expected, False]


def test_a_bag_plays_once_after_the_node_is_ready_and_brings_its_clock(
    launch: Callable[..., Launched], parameters: Callable[..., list[Any]], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """The bag player has no wheel either: a stand-in says what it was started with."""
    player = tmp_path / "bin" / "ros2"
    player.parent.mkdir()
    player.write_text('#!/bin/sh\necho "PLAYER: $* with $FASTDDS_DEFAULT_PROFILES_FILE"\n')
    player.chmod(0o755)
    launched = launch(str(player.parent), bagfile="/bags/drive.mcap", checkpoint=str(tiny_checkpoint))
    until(lambda: launched.said("PLAYER: bag play --clock 100 /bags/drive.mcap with /"), "the bag plays")
    said = launched.log.read_text()
    assert said.index(constant("READY")) < said.index("PLAYER")
    assert re.search(r"with \S*fastdds\.xml", said)
    assert parameters("/clip2scene_segment", ["use_sim_time"]) == [True]
    assert launched.interrupt() == 0
    assert launched.log.read_text().count("PLAYER") == 1


def test_rviz_opens_in_the_frame_and_on_the_topics_that_were_asked_for(
    launch: Callable[..., Launched], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for RViz writes down what it was started with."""
    written, stand_in = tmp_path / "rviz.txt", tmp_path / "lib" / "rviz2" / "rviz2"
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(f'#!/bin/sh\necho "$*" > {written}.tmp && mv {written}.tmp {written}\n')
    stand_in.chmod(0o755)
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    launched = launch(checkpoint=str(tiny_checkpoint), rviz="true", frame="velodyne", topic="/up", namespace="car")
    until(lambda: launched.said("") and written.exists(), "RViz starts")
    said = written.read_text()
    assert "segment.rviz --fixed-frame velodyne" in said
    assert "-r /points:=/up" in said
    assert "-r /clip2scene_segment/labels_rgb:=/car/clip2scene_segment/labels_rgb" in said


@pytest.mark.parametrize("argument", ["rviz", "use_sim_time"])
def test_what_is_neither_true_nor_false_is_refused(launch: Callable[..., Launched], argument: str) -> None:
    launched = launch(**{argument: "velodyne"})
    assert launched.process.wait(timeout=60) != 0
    said = launched.log.read_text()
    assert f'"{argument}"' in said
    assert "velodyne" in said
    assert "true" in said


def test_a_node_that_cannot_start_is_reported_with_its_reason(launch: Callable[..., Launched], tmp_path: Path) -> None:
    launched = launch(checkpoint=str(tmp_path / "no_such.safetensors"))
    launched.process.wait(timeout=60)
    said = launched.log.read_text()
    assert "no_such.safetensors" in said
    assert "process has died" in said


def test_two_vehicles_of_two_launches_do_not_mix(
    launch: Callable[..., Launched], listen: Callable[..., Listener], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    near = tmp_path / "near.yaml"
    near.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"segmenter": {"max_range_m": 10.0}}}}))
    launch(namespace="red", topic="/red/roof", checkpoint=str(tiny_checkpoint), config=str(near))
    launch(namespace="blue", topic="/blue/roof", checkpoint=str(tiny_checkpoint))
    red, blue = (listen(f"/{name}/clip2scene_segment", f"/{name}/roof") for name in ("red", "blue"))
    red.meet()
    blue.meet()
    for second in range(10, 16):  # the same stamps, other points
        for listener, seed in ((red, second), (blue, 100 + second)):
            before = len(listener.labels)
            listener.send(cloud(second * 10**9, seed=seed))
            until(lambda heard=listener, n=before: len(heard.labels) > n, f"labels at {second} s")
    from clip2scene_ros.io.pointcloud import parse, unpack_labels

    for listener, first_seed, range_m in ((red, 0, 10.0), (blue, 100, 80.0)):
        assert listener.stamps() == [second * 10**9 for second in range(10, 16)]
        for second, message in zip(range(10, 16), listener.labels, strict=True):
            points, labels = unpack_labels(message)
            np.testing.assert_array_equal(points, parse(cloud(0, seed=first_seed + second)).points)
            far = np.linalg.norm(points, axis=1) > range_m
            assert (labels.class_id[far] == 255).all()
            assert far.any() == (range_m < 50)


def test_a_bag_is_evaluated_through_the_live_node(
    launch: Callable[..., Launched], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    bag, out = write_street(tmp_path / "street.mcap"), tmp_path / "report"
    arguments = {"bagfile": str(bag), "checkpoint": str(tiny_checkpoint), "out": str(out), "rate": "0"}
    launched = launch(file=EVALUATE, **arguments)
    assert launched.process.wait(timeout=200) == 0, launched.log.read_text()
    report = json.loads((out / "report.json").read_text())
    assert report["frames"] == 6
    assert [row[2] for row in report["tables"]["What must hold"]["rows"]] == ["yes"] * 5


def test_an_evaluation_that_cannot_be_made_fails_the_launch(
    launch: Callable[..., Launched], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    for arguments, said in (
        ({"bagfile": "/no_such.mcap", "checkpoint": str(tiny_checkpoint)}, "/no_such.mcap"),
        ({"bagfile": str(write_street(tmp_path / "a.mcap")), "checkpoint": "/no_such.safetensors"}, "/no_such.safe"),
    ):
        launched = launch(file=EVALUATE, out=str(tmp_path / "report"), **arguments)
        assert launched.process.wait(timeout=200) == 1, launched.log.read_text()
        assert said in launched.log.read_text()
    assert not (tmp_path / "report").exists()


def test_ctrl_c_leaves_the_report_of_what_there_was(
    launch: Callable[..., Launched], listen: Callable[..., Listener], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    bag, out = write_street(tmp_path / "street.mcap", clouds=400), tmp_path / "report"
    listener = listen("/evaluate/clip2scene_segment", "/nobody/points")
    launched = launch(file=EVALUATE, bagfile=str(bag), checkpoint=str(tiny_checkpoint), out=str(out))
    until(lambda: launched.said("") and len(listener.stamps()) >= 3, "some scans are labelled", 100.0)
    launched.process.send_signal(signal.SIGINT)
    assert launched.process.wait(timeout=150) == 1
    report = json.loads((out / "report.json").read_text())
    assert 0 < report["frames"] < 400
    assert [note for note in report["notes"] if note.startswith("PARTIAL")]
