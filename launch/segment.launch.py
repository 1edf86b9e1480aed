"""Labels a LiDAR topic live.

ros2 launch clip2scene_ros segment.launch.py topic:=/lidar/points rviz:=true frame:=velodyne
ros2 launch clip2scene_ros segment.launch.py bagfile:=drive.mcap rviz:=true

Where an argument is left empty, config/segment.yaml (or the file given as `config`) decides.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch_ros.actions import Node

from clip2scene_ros.nodes.launching import TRUTH, Given, bag_when_ready, description, is_simulated, overridden
from clip2scene_ros.nodes.transport import use_profile
from clip2scene_ros.share import share_file

ARGUMENTS = {
    "topic": ("/points", "PointCloud2 topic to label"),
    "bagfile": ("", "bag to play once the node is ready: a rosbag2 folder or an .mcap file"),
    "rviz": ("false", "true opens RViz"),
    "frame": ("", "RViz's fixed frame, such as velodyne; empty takes lidar_top, that of the synthetic world"),
    "config": ("", "file of node parameters; empty takes config/segment.yaml of the package"),
    "checkpoint": ("", "student weights (.safetensors)"),
    "class_set": ("", "name in config/classes or a path"),
    "device": ("", "auto, cpu, cuda or cuda:1"),
    "use_sim_time": ("", "true takes the time from /clock; empty means true with a bag and false without"),
    "namespace": ("", "namespace of the node"),
}
CHOICES = {"rviz": TRUTH, "use_sim_time": ("", *TRUTH)}
OVERRIDES = {"checkpoint": "segmenter.checkpoint", "class_set": "segmenter.class_set", "device": "segmenter.device"}
READY = "Labelling `"
"""What the node logs when it has subscribed: a bag that starts earlier is played to nobody."""


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and what they start."""
    return description(ARGUMENTS, CHOICES, started)


def started(context: LaunchContext, given: Given) -> list[LaunchDescriptionEntity]:
    """Return the node, and the bag player and RViz where they were asked for."""
    use_profile(context.environment)  # for the bag player: the sender decides whether large clouds arrive
    simulated = is_simulated(given)
    node = segment_node(given, simulated)
    actions: list[LaunchDescriptionEntity] = [node]
    if given["bagfile"]:
        actions.insert(0, bag_when_ready(node, given["bagfile"], READY))
    if given["rviz"].lower() == "true":
        actions.append(rviz(given, simulated))
    return actions


def segment_node(given: Given, simulated: bool) -> Node:
    """Return the node; it configures and activates itself."""
    return Node(
        package="clip2scene_ros",
        executable="segment_node",
        name="clip2scene_segment",
        namespace=given["namespace"],
        parameters=[
            given["config"] or str(share_file("config/segment.yaml")),
            {**overridden(given, OVERRIDES), "use_sim_time": simulated},
        ],
        remappings=[("points", given["topic"])],
        output="screen",
    )


def rviz(given: Given, simulated: bool) -> Node:
    """Return RViz with the labelled cloud beside the raw one."""
    prefix = f"/{given['namespace'].strip('/')}" if given["namespace"].strip("/") else ""
    fixed_frame = ["--fixed-frame", given["frame"]] if given["frame"] else []
    labels = "/clip2scene_segment/labels_rgb"
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["--display-config", str(share_file("config/rviz/segment.rviz")), *fixed_frame],
        parameters=[{"use_sim_time": simulated}],
        remappings=[(labels, prefix + labels), ("/points", given["topic"])],
    )
