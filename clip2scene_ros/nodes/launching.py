"""What the launch files have in common: arguments, the clock, a bag that waits for the node.

launch and launch_ros come with a ROS 2 installation, not from PyPI: launch files alone import this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessIO
from launch.events.process import ProcessIO
from launch_ros.actions import Node

TRUTH = ("true", "false", "True", "False")

Given = dict[str, str]
"""Argument -> what it was given, or its default."""


def description(
    arguments: Mapping[str, tuple[str, str]],
    choices: Mapping[str, Sequence[str]],
    started: Callable[[LaunchContext, Given], list[LaunchDescriptionEntity]],
) -> LaunchDescription:
    """Return a launch file's arguments and what they start.

    Args:
        arguments: name -> default and text.
        choices: what some of them may be.
        started: returns what is started by the arguments given.
    """

    def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        return started(context, {name: context.launch_configurations[name] for name in arguments})

    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices.get(name))
        for name, (default, text) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def is_simulated(given: Given) -> bool:
    """Return whether time comes from /clock: as `use_sim_time` says, and where it is empty, with a bag."""
    return (given["use_sim_time"] or str(bool(given["bagfile"]))).lower() == "true"


def overridden(given: Given, parameters: Mapping[str, str]) -> Given:
    """Return parameter -> value of the arguments that are not empty; `parameters` names that of each."""
    return {parameter: given[name] for name, parameter in parameters.items() if given[name]}


def bag_when_ready(node: Node, bagfile: str, ready: str) -> RegisterEventHandler:
    """Return a handler that plays the bag, once, when the node has said `ready`."""
    player = ExecuteProcess(cmd=["ros2", "bag", "play", "--clock", "100", bagfile], output="screen")
    waiting = [player]

    def heard(event: ProcessIO) -> list[LaunchDescriptionEntity] | None:
        return [waiting.pop()] if waiting and ready in event.text.decode(errors="replace") else None

    return RegisterEventHandler(OnProcessIO(target_action=node, on_stdout=heard, on_stderr=heard))
