"""Plays a bag into the live node and writes the report on what it answered; the exit code tells whether all held.

ros2 launch clip2scene_ros evaluate.launch.py bagfile:=drive.mcap
ros2 launch clip2scene_ros evaluate.launch.py bagfile:=drive.mcap checkpoint:=student.safetensors rate:=3 out:=overload

Where an argument is left empty, config/segment.yaml (or the file given as `config`) decides.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node

from clip2scene_ros.nodes.launching import TRUTH, Given, description, overridden
from clip2scene_ros.share import share_file

ARGUMENTS = {
    "bagfile": ("", "bag to play: a rosbag2 folder, .mcap or .db3"),
    "topic": ("", "its PointCloud2 topic; not needed where there is only one"),
    "rate": ("1.0", "times the recorded pace; 0 sends a cloud when the last one's labels have come"),
    "out": ("evaluation", "folder of report.json, report.html, evaluation.png and labels.mcap"),
    "overwrite": ("false", "replace the report of an earlier run"),
    "config": ("", "file of node parameters; empty takes config/segment.yaml of the package"),
    "checkpoint": ("", "student weights (.safetensors)"),
    "class_set": ("", "name in config/classes or a path"),
    "device": ("", "auto, cpu, cuda or cuda:1"),
    "namespace": ("evaluate", "namespace of both nodes, so that no LiDAR that runs is heard"),
}
CHOICES = {"overwrite": TRUTH}
OVERRIDES = {"checkpoint": "segmenter.checkpoint", "class_set": "segmenter.class_set", "device": "segmenter.device"}
REPORT_S = "60"
"""After Ctrl-C the evaluation writes the report of what there was; `ros2 launch` would end it after five seconds."""


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and what they start."""
    return description(ARGUMENTS, CHOICES, started)


def started(context: LaunchContext, given: Given) -> list[LaunchDescriptionEntity]:
    """Return the live node and the one that evaluates it; when either ends, both do."""
    return [segment_node(given), evaluate_node(given)]


def segment_node(given: Given) -> Node:
    """Return the live node."""
    return Node(
        package="clip2scene_ros",
        executable="segment_node",
        name="clip2scene_segment",
        namespace=given["namespace"],
        parameters=[given["config"] or str(share_file("config/segment.yaml")), overridden(given, OVERRIDES)],
        output="screen",
        on_exit=Shutdown(reason="segment_node has ended"),
    )


def evaluate_node(given: Given) -> Node:
    """Return the node that plays the bag."""
    texts = {name: given[name] for name in ("bagfile", "topic", "out")}
    return Node(
        package="clip2scene_ros",
        executable="evaluate_node",
        name="clip2scene_evaluate",
        namespace=given["namespace"],
        parameters=[{**texts, "rate": float(given["rate"]), "overwrite": given["overwrite"].lower() == "true"}],
        output="screen",
        sigterm_timeout=REPORT_S,
        sigkill_timeout=REPORT_S,
        on_exit=verdict,
    )


def verdict(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """End the launch; where the evaluation failed, by an exception: only that makes `ros2 launch` return 1."""
    if event.returncode:
        raise RuntimeError(f"the evaluation did not hold: evaluate_node ended with exit code {event.returncode}")
    return [Shutdown(reason="evaluated")]
