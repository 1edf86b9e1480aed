"""RViz and Foxglove show what the nodes and the vehicle publish, in words that those programs know.

Neither can be installed with pip, so their vocabulary is written down here: RViz's from rviz_common and
rviz_default_plugins (plugins_description.xml and the properties of each display), Foxglove's from the panels'
documentation and its SDK's `foxglove.layouts`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rclpy
import yaml
from conftest import DEADLINE_S, tiny
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.nodes import collect, segment
from clip2scene_ros.nodes.collect_diagnostics import Condition, rows
from clip2scene_ros.share import share_file
from clip2scene_ros.sync_sets import SyncAccount

RVIZ, FOXGLOVE = share_file("config/rviz/segment.rviz"), share_file("config/foxglove/clip2scene.json")
CLOUD, JPEG, INFO = (f"sensor_msgs/msg/{name}" for name in ("PointCloud2", "CompressedImage", "CameraInfo"))

RVIZ_DISPLAYS = {
    "rviz_default_plugins/Grid": {"Cell Size", "Plane Cell Count", "Color"},
    "rviz_default_plugins/PointCloud2": {
        *("Topic", "Color Transformer", "Position Transformer", "Style", "Size (Pixels)"),
    },
    "rviz_default_plugins/Camera": {
        *("Topic", "Image Rendering", "Overlay Alpha", "Zoom Factor", "Far Plane Distance", "Visibility"),
    },
}
RVIZ_OTHERS = {
    "Panels": {f"rviz_common/{name}" for name in ("Displays", "Selection", "Time", "Tool Properties", "Views")},
    "Tools": {f"rviz_default_plugins/{name}" for name in ("Interact", "MoveCamera", "Select", "Measure")},
    "Views": {f"rviz_default_plugins/{name}" for name in ("Orbit", "TopDownOrtho", "XYOrbit", "ThirdPersonFollower")},
}
RVIZ_VALUES = {
    "Style": {"Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"},
    "Color Transformer": {"RGB8", "Intensity", "AxisColor", "FlatColor"},
    "Position Transformer": {"XYZ"},
    "Image Rendering": {"background", "overlay", "background and overlay"},
    "Durability Policy": {"Volatile", "Transient Local", "System Default"},
    "History Policy": {"Keep Last", "Keep All", "System Default"},
    "Reliability Policy": {"Best Effort", "Reliable", "System Default"},
}

SCENE = {"cameraState", "followTf", "followMode", "scene", "transforms", "topics", "layers", "imageMode"}
PANELS = {
    "3D": SCENE,
    "Image": SCENE,
    "Plot": {
        *("paths", "xAxisVal", "yAxisLabel", "showLegend", "legendDisplay", "showPlotValuesInLegend"),
        *("showXAxisLabels", "showYAxisLabels", "isSynced", "followingViewWidth", "sidebarDimension"),
    },
    "DiagnosticSummary": {"topicToRender", "minLevel", "pinnedIds", "hardwareIdFilter", "sortByLevel"},
}
IMAGE_MODE = {"imageTopic", "calibrationTopic", "synchronize", "rotation"}
CLOUD_SETTINGS = {
    *("visible", "colorMode", "colorField", "colorMap", "minValue", "maxValue", "pointSize", "pointShape"),
}
VALUES = {
    "followMode": {"follow-pose", "follow-position", "follow-none"},
    "colorMode": {"flat", "gradient", "colormap", "rgb", "rgba", "rgba-fields"},
    "colorMap": {"turbo", "rainbow"},
    "pointShape": {"circle", "square", "cube"},
    "rotation": {0, 90, 180, 270},
    "xAxisVal": {"timestamp", "index", "custom", "currentCustom"},
    "legendDisplay": {"floating", "top", "left", "none"},
    "timestampMethod": {"receiveTime", "headerStamp"},
    "layerId": {"foxglove.Grid"},
    "direction": {"row", "column"},
}
VALUE_OF_ROW = re.compile(r'(/diagnostics)\.status\[:\]\{name=="(.+)"\}\.values\[:\]\{key=="(.+)"\}\.value')
FIELDS = {"/points": {"x", "y", "z", "intensity"}, "labels": {"x", "y", "z", "class_id", "probability", "entropy"}}


def settings(value: object) -> Iterator[tuple[str, Any]]:
    """Yield every `(key, value)` anywhere in a tree."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from settings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from settings(inner)


@pytest.fixture(scope="module")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what the world's vehicle publishes, by topic."""
    pytest.importorskip("embreex")
    from clip2scene_training.world.bag import write_bag
    from clip2scene_training.world.config import WorldConfig

    path = tmp_path_factory.mktemp("bag") / "drive.mcap"
    write_bag(path, 4, 0.1, image_hz=20.0, config=WorldConfig(image_width=32, image_height=18))
    with BagReader(path) as bag:
        return {topic: str(kind) for topic, (kind, *_) in bag.topics.items()}


@dataclass
class Graph:
    """What vehicle and segmentation publish under the default names, and what the node says of itself.

    Attributes:
        types: topic -> type.
        rows: row of /diagnostics -> its keys.
    """

    types: dict[str, str]
    rows: dict[str, set[str]]


@pytest.fixture(scope="module")
def graph(vehicle: dict[str, str], tiny_checkpoint: Path) -> Iterator[Graph]:
    """Run a segmentation node until it has said all that."""
    context, found = Context(), Graph(dict(vehicle), {})
    rclpy.init(context=context)
    overrides = [Parameter(name, value=value) for name, value in tiny(tiny_checkpoint).items()]
    node, eye = segment.SegmentNode(context=context, parameter_overrides=overrides), Node("eye", context=context)

    def hear(message: DiagnosticArray) -> None:
        found.rows.update({status.name: {value.key for value in status.values} for status in message.status})

    eye.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    executor.add_node(eye)
    end_s = time.monotonic() + DEADLINE_S
    while not (node.state == "active" and found.rows) and time.monotonic() < end_s:
        executor.spin_once(timeout_sec=0.1)
    for topic, kinds in eye.get_publisher_names_and_types_by_node(node.get_name(), "/"):
        found.types[topic] = kinds[0]
    yield found
    node.close()
    context.try_shutdown()


@pytest.fixture
def published(graph: Graph) -> Mapping[str, str]:
    """Return what is published: topic -> type."""
    return graph.types


def test_rviz_shows_what_is_published_in_its_own_words(published: Mapping[str, str]) -> None:
    shown = yaml.safe_load(RVIZ.read_text())
    manager = shown["Visualization Manager"]
    kinds = {"rviz_default_plugins/PointCloud2": CLOUD, "rviz_default_plugins/Camera": JPEG}
    names = {display["Name"] for display in manager["Displays"]}
    assert len(names) == len(manager["Displays"])
    for display in manager["Displays"]:
        known = RVIZ_DISPLAYS[display["Class"]]
        assert set(display) - {"Class", "Name", "Enabled"} <= known, display["Name"]
        assert set(display.get("Visibility", {})) - {"Value"} <= names
        if "Topic" in known:
            topic = display["Topic"]["Value"]
            assert published[topic] == kinds[display["Class"]], topic
            assert set(display["Topic"]) == {"Value", "Depth", *(k for k in RVIZ_VALUES if k.endswith("Policy"))}
        if display["Class"].endswith("Camera"):  # RViz takes the calibration from beside the image, the pose from TF
            assert published[topic.replace("image/compressed", "camera_info")] == INFO
            assert display["Visibility"]["Labels"]
    assert "/tf_static" in published
    for key, value in settings(shown):
        assert key not in RVIZ_VALUES or value in RVIZ_VALUES[key], key
    assert {panel["Class"] for panel in shown["Panels"]} <= RVIZ_OTHERS["Panels"]
    assert {tool["Class"] for tool in manager["Tools"]} <= RVIZ_OTHERS["Tools"]
    assert manager["Views"]["Current"]["Class"] in RVIZ_OTHERS["Views"]


def layout() -> dict[str, Any]:
    """Return the Foxglove layout."""
    content: dict[str, Any] = json.loads(FOXGLOVE.read_text())
    return content


def panels(kind: str) -> list[dict[str, Any]]:
    """Return the settings of all panels of a kind."""
    return [config for name, config in layout()["configById"].items() if name.startswith(f"{kind}!")]


def test_the_layout_is_one_that_foxglove_reads() -> None:
    content = layout()
    assert set(content) == {"configById", "globalVariables", "userNodes", "playbackConfig", "layout"}
    placed: list[str] = []

    def walk(part: object) -> None:
        if isinstance(part, str):
            placed.append(part)
            return
        assert isinstance(part, dict)
        assert set(part) == {"direction", "splitPercentage", "first", "second"}
        assert 0 < part["splitPercentage"] < 100
        walk(part["first"])
        walk(part["second"])

    walk(content["layout"])
    assert sorted(placed) == sorted(content["configById"]), "each panel is placed once"
    for name, config in content["configById"].items():
        kind, _, identity = name.partition("!")
        assert re.fullmatch(r"\w+", identity)
        assert set(config) <= PANELS[kind], name
        assert set(config.get("imageMode", {})) <= IMAGE_MODE
        for cloud in config.get("topics", {}).values():
            assert set(cloud) <= CLOUD_SETTINGS
    for key, value in settings(content):
        if key in VALUES:
            assert value in VALUES[key], key
        if re.search("color$", key, re.IGNORECASE):
            assert re.fullmatch("#([0-9a-f]{2}){3,4}", value), key


def test_foxglove_shows_clouds_and_images_that_are_published(published: Mapping[str, str]) -> None:
    (scene,) = panels("3D")
    for config in (scene, *panels("Image")):
        for topic, cloud in config["topics"].items():
            assert published[topic] == CLOUD, topic
            name = topic.rpartition("/")[2]
            fields = {"labels_rgb": {"rgb"}, "labels": FIELDS["labels"], "points": FIELDS["/points"]}[name]
            assert cloud["colorField"] in fields
            assert (cloud["colorMode"] == "rgb") == (name == "labels_rgb")
            assert cloud["visible"] == (name == "labels_rgb"), "what is visible is subscribed to, and costs"
    assert "/clip2scene_segment/labels_rgb" in scene["topics"]
    for config in panels("Image"):
        mode = config["imageMode"]
        assert published[mode["imageTopic"]] == JPEG
        assert published[mode["calibrationTopic"]] == INFO
        assert mode["imageTopic"].split("/")[1] == mode["calibrationTopic"].split("/")[1]
        assert config["topics"]["/clip2scene_segment/labels_rgb"]["visible"], "labels lie over the image"
    (summary,) = panels("DiagnosticSummary")
    assert published[summary["topicToRender"]] == "diagnostic_msgs/msg/DiagnosticArray"


def test_foxglove_plots_values_that_exist(graph: Graph) -> None:
    published, heard = graph.types, dict(graph.rows)
    sync = SyncAccount(received=0, full=0, partial=0, waiting=0, dropped={}, time_jumps=0, max_waited_ns=0, cameras={})
    heard[f"{collect.NODE_NAME}: collecting"] = set(rows(Condition("active", sync=sync)))
    paths = [series["value"] for plot in panels("Plot") for series in plot["paths"]]
    assert any("latency" in path for path in paths)
    for path in paths:
        if found := re.fullmatch(
            r'(/diagnostics)\.status\[:\]\{name=="(.+)"\}\.values\[:\]\{key=="(.+)"\}\.value', path
        ):
            topic, row, key = found.groups()
            assert key in heard[row], path
            assert published[topic] == "diagnostic_msgs/msg/DiagnosticArray"
        else:
            topic, _, field = path.rpartition(".")
            assert (published[topic], field) == ("std_msgs/msg/Float64", "data")
