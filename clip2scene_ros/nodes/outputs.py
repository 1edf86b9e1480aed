"""What the segmentation node publishes, and who listens.

Label clouds for those who subscribe, the class set latched, times of each scan on `~/debug`.
"""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Float64, Header, String

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import LabelsQos, TopicQos
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.io.pointcloud import pack, pack_rgb
from clip2scene_ros.nodes.conversions import cloud_message
from clip2scene_ros.nodes.ledger import Times

STAGES = ("preprocess", "inference", "postprocess", "total")
DEBUG_DEPTH = 10


def qos_profile(settings: TopicQos | LabelsQos) -> QoSProfile:
    """Return the ROS profile of one topic's settings: the newest `depth` messages, nothing latched."""
    reliable = settings.reliability == "reliable"
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=settings.depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
    )


def latched(depth: int = 1) -> QoSProfile:
    """Return the profile of a topic whose last message late subscribers still get."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """The node's publishers.

    Args:
        node: who publishes.
        qos: quality of service of the label clouds.
        class_set: what the class ids mean; published here and now.
    """

    def __init__(self, node: Node, qos: LabelsQos, class_set: ClassSet) -> None:
        self._node = node
        self._labels = node.create_publisher(PointCloud2, "~/labels", qos_profile(qos))
        self._labels_rgb = node.create_publisher(PointCloud2, "~/labels_rgb", qos_profile(qos))
        self._class_set = node.create_publisher(String, "~/class_set", latched())
        self.announce(class_set)
        names = ["cyclic_ms", "pipeline_latency_ms", "processing_time/overhead_ms"]
        names += [f"processing_time/{stage}_ms" for stage in STAGES]
        self._debug = {name: node.create_publisher(Float64, f"~/debug/{name}", DEBUG_DEPTH) for name in names}

    def announce(self, class_set: ClassSet) -> None:
        """Say what the class ids of the label clouds from now on mean, and colour them by it."""
        self._palette = class_set.palette
        self._class_set.publish(String(data=class_set.to_json()))

    def wanted(self) -> bool:
        """Return whether anyone listens to labels."""
        return self._labels.get_subscription_count() > 0 or self._labels_rgb.get_subscription_count() > 0

    def publish(self, scan: Scan, segmentation: Segmentation, header: Header) -> None:
        """Publish the label clouds that someone subscribes to, under the header of the cloud they belong to."""
        if self._labels.get_subscription_count():
            self._labels.publish(cloud_message(pack(scan, segmentation), header))
        if self._labels_rgb.get_subscription_count():
            self._labels_rgb.publish(cloud_message(pack_rgb(scan, segmentation, self._palette), header))

    def publish_times(self, times: Times, cyclic_ms: float | None) -> None:
        """Publish how long the scan took, to whoever subscribes; `cyclic_ms` is None for the first scan."""
        values = {"pipeline_latency_ms": times.pipeline_ms, "processing_time/overhead_ms": times.overhead_ms}
        values |= {f"processing_time/{stage}_ms": times.processing_ms.get(stage, 0.0) for stage in STAGES}
        if cyclic_ms is not None:
            values["cyclic_ms"] = cyclic_ms
        for name, value in values.items():
            if self._debug[name].get_subscription_count():
                self._debug[name].publish(Float64(data=value))

    def destroy(self) -> None:
        """Take all publishers off the network."""
        for publisher in (self._labels, self._labels_rgb, self._class_set, *self._debug.values()):
            self._node.destroy_publisher(publisher)
