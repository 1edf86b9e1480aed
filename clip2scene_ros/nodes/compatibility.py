"""Finds publishers and subscribers whose quality of service does not fit this node's: DDS passes them over in silence.

The graph is asked before each report, rather than DDS's events awaited: an event that comes while an endpoint is being
made gets lost.
"""

from __future__ import annotations

from rclpy.duration import Infinite
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo

UNHEARD = (
    "offers less than this node asks for ({reason}), so none of its clouds arrive. Set `points.reliability: "
    "best_effort` here, or make the publisher reliable."
)
UNHEARING = (
    "asks for more than this node offers ({reason}), so it gets no labels. Set `labels.reliability: reliable` here, or "
    "make the subscriber best effort and volatile."
)


class QosWatch:
    """Logs, once each, who cannot be heard on `points` and who cannot hear the label clouds.

    Args:
        node: asks and logs.
        points: the profile of the subscription.
        labels: the profile of the label clouds.
    """

    def __init__(self, node: Node, points: QoSProfile, labels: QoSProfile) -> None:
        self._node, self._points, self._labels = node, _stated(points), _stated(labels)
        self._told: set[tuple[int, ...]] = set()

    def check(self) -> list[str]:
        """Look at everybody on these topics; log the newcomers that do not fit; return who does not."""
        unheard = [
            self._judge(publisher, publisher.qos_profile, self._points, "points", UNHEARD)
            for publisher in self._node.get_publishers_info_by_topic(self._node.resolve_topic_name("points"))
        ]
        unhearing = [
            self._judge(subscriber, self._labels, subscriber.qos_profile, topic, UNHEARING)
            for topic in ("~/labels", "~/labels_rgb")
            for subscriber in self._node.get_subscriptions_info_by_topic(self._node.resolve_topic_name(topic))
        ]
        return [text for text in (*unheard, *unhearing) if text]

    def _judge(
        self, other: TopicEndpointInfo, offered: QoSProfile, asked: QoSProfile, topic: str, advice: str
    ) -> str:  # fmt: skip
        reason, endpoint = misfit(offered, asked), tuple(other.endpoint_gid)
        if not reason:
            return ""
        text = f"`{other.node_name}` on `{self._node.resolve_topic_name(topic)}` {advice.format(reason=reason)}"
        if endpoint not in self._told:
            self._told.add(endpoint)
            self._node.get_logger().warning(text)
        return text


def misfit(offered: QoSProfile, asked: QoSProfile) -> str:
    """Return why a publisher cannot be heard by a subscriber, or an empty string where it can."""
    compatibility, reason = qos_check_compatible(offered, asked)
    if compatibility != QoSCompatibility.ERROR:
        return ""
    return reason.replace("ERROR: ", "").strip("; ").replace(";", ", ").lower() or "no reason given"


def _stated(profile: QoSProfile) -> QoSProfile:
    """Return a profile as the network tells it of an endpoint: a duration that nobody chose is infinite, not 0."""
    return QoSProfile(
        history=profile.history,
        depth=profile.depth,
        reliability=profile.reliability,
        durability=profile.durability,
        deadline=Infinite,
        liveliness_lease_duration=Infinite,
    )
