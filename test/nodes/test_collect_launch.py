"""collect.launch.py: its arguments as documented, and the real `ros2 launch` where it is installed."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from collect_peer import Vehicle, write_rig, write_seen
from conftest import until
from rclpy.context import Context
from rclpy.node import Node

from clip2scene_ros.collect.config import CollectNodeConfig
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.settings import settings_of

PROJECT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = PROJECT / "launch" / "collect.launch.py"
EXECUTABLE = Path("lib", "clip2scene_ros", "collect_node")


def constant(name: str) -> Any:
    """Return the value of a constant of the launch file, which may not be importable here."""
    for statement in ast.parse(LAUNCH_FILE.read_text()).body:
        if isinstance(statement, ast.Assign) and [t.id for t in statement.targets if isinstance(t, ast.Name)] == [name]:
            return ast.literal_eval(statement.value)
    raise AssertionError(f"{name} is not in {LAUNCH_FILE}")


def test_the_launch_file_compiles() -> None:
    compile(LAUNCH_FILE.read_text(), str(LAUNCH_FILE), "exec")


def test_the_arguments_are_the_documented_ones() -> None:
    documented = re.findall(r"^\| `(\w+):=` \| (?:`([^`]*)` )?\|", (PROJECT / "docs" / "collect.md").read_text(), re.M)
    assert documented == [(name, default) for name, (default, _) in constant("ARGUMENTS").items()]


def test_arguments_that_override_are_parameters_of_the_node() -> None:
    assert set(constant("OVERRIDES").values()) <= {name for name, _, _ in settings_of(CollectNodeConfig())}
    assert set(constant("OVERRIDES")) <= set(constant("ARGUMENTS"))


def test_the_bag_waits_for_words_that_the_node_says() -> None:
    assert constant("READY") in (PROJECT / "clip2scene_ros" / "nodes" / "collect.py").read_text()


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


def test_launch_collects_what_it_was_told_to(
    prefix: Path, context: Context, spin: Callable[[Node], None], tmp_path: Path
) -> None:
    config = tmp_path / "mine.yaml"
    teacher = write_seen(tmp_path / "seen", 3)
    config.write_text(
        f"/**:\n  ros__parameters:\n    teacher: '{teacher}'\n    choice: {{min_interval_s: 0.0}}\n"
        "    shards: {min_free_gb: 0.0}\n    diagnostics: {period_s: 0.1}\n"
    )
    arguments = {
        "cameras": "cam_front,cam_left",
        "calibration": str(write_rig(tmp_path / "rig.yaml")),
        "folder": str(tmp_path / "shards"),
        "config": str(config),
        "topic": "/points",
    }
    environment = {
        **os.environ,
        "AMENT_PREFIX_PATH": os.pathsep.join(filter(None, [str(prefix), os.environ.get("AMENT_PREFIX_PATH")])),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    command = [str(shutil.which("ros2")), "launch", "clip2scene_ros", "collect.launch.py"]
    command += [f"{name}:={value}" for name, value in arguments.items()]
    vehicle = Vehicle(context)
    spin(vehicle.node)
    process = subprocess.Popen(command, env=environment, cwd="/")
    try:
        until(lambda: vehicle.heard() and vehicle.report.get("state") == "active", "the node is active", 90.0)
        for i in range(3):
            vehicle.send(i)
        until(lambda: vehicle.counts("kept") == [3], "three frames are kept", 60.0)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert len(ShardReader(tmp_path / "shards")) == 3
