"""Collects labelled frames of LiDARs and cameras into shards, beside whatever else runs.

ros2 launch clip2scene_ros collect.launch.py cameras:=cam_front,cam_left calibration:=rig.yaml folder:=drive
ros2 launch clip2scene_ros collect.launch.py bagfile:=drive.mcap cameras:=cam_front calibration:=rig.yaml

Where an argument is left empty, config/collect.yaml (or the file given as `config`) decides.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch_ros.actions import Node

from clip2scene_ros.nodes.launching import TRUTH, Given, bag_when_ready, description, is_simulated, overridden
from clip2scene_ros.nodes.transport import use_profile
from clip2scene_ros.share import share_file

ARGUMENTS = {
    "topic": ("/points", "PointCloud2 topic to collect; of several LiDARs set `lidars` in the file of parameters"),
    "odom": ("/odom", "Odometry topic; without it frames are chosen by time alone"),
    "cameras": ("", "names of cameras whose CAMERA/image/compressed is taken: cam_front,cam_left"),
    "calibration": ("", "calibration file"),
    "folder": ("", "where shards go; empty takes ./shards"),
    "vehicle": ("", "whose drive it is"),
    "bagfile": ("", "bag to play once the node is ready: a rosbag2 folder or an .mcap file"),
    "config": ("", "file of node parameters; empty takes config/collect.yaml of the package"),
    "classes": ("", "a class set by name or file, or words: 'road, street; car, van'"),
    "clip": ("", "CLIP weights (.safetensors), or `tiny` for those that come with the package"),
    "use_sim_time": ("", "true takes the time from /clock; empty means true with a bag and false without"),
    "namespace": ("", "namespace of the node and of the cameras' topics"),
}
CHOICES = {"use_sim_time": ("", *TRUTH)}
OVERRIDES = {
    "cameras": "cameras",
    "calibration": "calibration.file",
    "folder": "folder",
    "vehicle": "vehicle",
    "classes": "classes",
    "clip": "clip.checkpoint",
}
READY = "Collecting `"
"""What the node logs when it has subscribed: a bag that starts earlier is played to nobody."""


def generate_launch_description() -> LaunchDescription:
    """Return the arguments and what they start."""
    return description(ARGUMENTS, CHOICES, started)


def started(context: LaunchContext, given: Given) -> list[LaunchDescriptionEntity]:
    """Return the node, and the bag player where it was asked for."""
    use_profile(context.environment)  # for the bag player: the sender decides whether large clouds arrive
    simulated = is_simulated(given)
    node = collect_node(given, simulated)
    return [bag_when_ready(node, given["bagfile"], READY), node] if given["bagfile"] else [node]


def collect_node(given: Given, simulated: bool) -> Node:
    """Return the node; it configures and activates itself."""
    return Node(
        package="clip2scene_ros",
        executable="collect_node",
        name="clip2scene_collect",
        namespace=given["namespace"],
        parameters=[
            given["config"] or str(share_file("config/collect.yaml")),
            {**overridden(given, OVERRIDES), "use_sim_time": simulated},
        ],
        remappings=[("points", given["topic"]), ("odom", given["odom"])],
        output="screen",
    )
