"""ROS parameters are the dataclasses' settings, and what may not be is refused by name, value and range."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import until
from rcl_interfaces.msg import ParameterType
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from clip2scene_ros.config import SegmentNodeConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.nodes.parameters import declare, on_change, unknown_overrides
from clip2scene_ros.nodes.process import ros_arguments
from clip2scene_ros.settings import settings_of, with_settings

KINDS = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
}
SETTINGS = list(settings_of(SegmentNodeConfig()))


@pytest.fixture
def node_with(context: Context):
    nodes: list[Node] = []

    def make(*arguments: str) -> Node:
        nodes.append(Node("settings", context=context, cli_args=["--ros-args", *arguments]))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def test_every_setting_is_declared_typed_described_and_ranged(node_with):
    node = node_with()
    assert declare(node, SegmentNodeConfig()) == SegmentNodeConfig()
    for name, value, f in SETTINGS:
        described = node.describe_parameter(name)
        assert described.type == KINDS[type(value)], name
        assert described.description == f.metadata["why"]
        assert described.read_only is not f.metadata["runtime"]
        ranges = [(r.from_value, r.to_value) for r in (*described.integer_range, *described.floating_point_range)]
        expected = [] if f.metadata["low"] is None else [(f.metadata["low"], f.metadata["high"])]
        assert ranges == expected, name


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("points.depth:=0", ["points.depth", "0", "1 .. 1000"]),
        ("points.depth:=2.5", ["points.depth", "2.5", "int"]),
        ("segmenter.max_range_m:=1e9", ["segmenter.max_range_m", "1000000000", "1 .. 1000"]),
        ("segmenter.max_range_m:=far", ["segmenter.max_range_m", "far", "float"]),
        ("labels.reliability:=perhaps", ["labels.reliability", "perhaps", "best_effort, reliable"]),
        ("autostart:=1", ["autostart", "1", "bool"]),
        ("segmenter.checkpoint:=3", ["segmenter.checkpoint", "3", "str"]),
    ],
)
def test_a_bad_value_is_refused_with_name_value_and_what_is_allowed(node_with, given: str, parts: list[str]):
    with pytest.raises(BadConfig) as refused:
        declare(node_with("-p", given), SegmentNodeConfig())
    for part in parts:
        assert part in str(refused.value)


def test_a_parameter_file_is_read(node_with, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    points: {depth: 7, reliability: reliable}\n    autostart: false\n")
    settings = declare(node_with("--params-file", str(file)), SegmentNodeConfig())
    assert (settings.points.depth, settings.points.reliability, settings.autostart) == (7, "reliable", False)
    assert settings.segmenter == SegmentNodeConfig().segmenter


@pytest.mark.parametrize("path", ["/home/o'brien/a b.safetensors", "", "1.0", "true", "{x: [", "'", "a\\b #c"])
def test_text_handed_to_a_node_process_arrives_as_it_is(node_with, path: str):
    given = {"segmenter.checkpoint": path, "segmenter.threads": 3, "points.depth": 7, "autostart": False}
    flag, *arguments = ros_arguments(given, {})
    assert flag == "--ros-args"
    assert declare(node_with(*arguments), SegmentNodeConfig()) == with_settings(SegmentNodeConfig(), given)


def test_names_that_do_not_exist_are_found_but_not_those_of_ros(node_with):
    node = node_with("-p", "segmenter.max_rang_m:=3.0", "-p", "use_sim_time:=true", "-p", "points.depth:=3")
    assert unknown_overrides(node, SegmentNodeConfig()) == ["segmenter.max_rang_m"]


@pytest.fixture
def changing(node_with):
    node = node_with()
    state = {"settings": declare(node, SegmentNodeConfig())}
    node.add_on_set_parameters_callback(
        on_change(lambda: state["settings"], lambda new, names: state.__setitem__("settings", new))
    )
    return node, state


def test_a_run_time_parameter_takes_effect(changing):
    node, state = changing
    (result,) = node.set_parameters([Parameter("segmenter.min_probability", value=0.25)])
    assert result.successful
    assert state["settings"].segmenter.min_probability == 0.25


@pytest.mark.parametrize("value", [1.5, -0.1, float("nan")])
def test_a_run_time_parameter_out_of_range_changes_nothing(changing, value: float):
    node, state = changing
    (result,) = node.set_parameters([Parameter("segmenter.min_probability", value=value)])
    assert not result.successful
    assert "min_probability" in result.reason
    assert state["settings"] == SegmentNodeConfig()


@pytest.mark.parametrize("name", [name for name, _, f in SETTINGS if not f.metadata["runtime"]])
def test_all_others_are_refused_at_run_time(changing, name: str):
    node, state = changing
    (result,) = node.set_parameters([Parameter(name, value=node.get_parameter(name).value)])
    assert not result.successful
    assert "read-only" in result.reason
    assert state["settings"] == SegmentNodeConfig()


def test_ros_parameters_of_others_pass(changing):
    node, _ = changing
    (result,) = node.set_parameters([Parameter("use_sim_time", value=True)])
    assert result.successful
    until(lambda: node.get_parameter("use_sim_time").value, "use_sim_time is set")
