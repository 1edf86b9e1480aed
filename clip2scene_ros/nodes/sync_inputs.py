"""What feeds a synchroniser: subscriptions as filters, and a watch that says which topic brings nothing and why.

A filter is what message_filters means by it: it has `registerCallback` and hands its messages on. Ours need nothing
but rclpy; message_filters' own do as well wherever a filter is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

from rclpy.node import Node
from rclpy.qos import QoSProfile

from clip2scene_ros.nodes.compatibility import misfit
from clip2scene_ros.nodes.transport import PROFILE
from clip2scene_ros.share import share_file

Message = Any


class Filter(Protocol):
    """Whatever messages can be had from: ours, and those of message_filters."""

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int: ...  # noqa: ANN401, D102


class SimpleFilter:
    """Hands messages on to whoever registered; the names are those of `message_filters.SimpleFilter`."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}
        self._connections = count()

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:  # noqa: ANN401
        """Have `cb` called with every output and with `args` after it; return the number of the connection."""
        connection = next(self._connections)
        self.callbacks[connection] = (cb, args)
        return connection

    def unregisterCallback(self, conn: int) -> None:
        """End a connection."""
        self.callbacks.pop(conn, None)

    def signalMessage(self, *msg: Message) -> None:
        """Hand an output on."""
        for cb, args in list(self.callbacks.values()):
            cb(*msg, *args)


class Subscriber(SimpleFilter):
    """A subscription as a filter.

    Attributes:
        sub: the subscription of rclpy; its queue (the depth in `qos_profile`) is apart from the synchroniser's.
        topic: as it was given.
    """

    def __init__(self, node: Node, msg_type: type[Any], topic: str, qos_profile: QoSProfile | int = 10) -> None:
        super().__init__()
        self._node, self.topic = node, topic
        self.sub = node.create_subscription(msg_type, topic, self.signalMessage, qos_profile)

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self.sub)


class InputWatch:
    """Logs, with the topic's name, whose quality of service does not fit and where no message comes.

    Each publisher that does not fit is named once, each silence once. DDS passes over both without a word.

    Args:
        node: asks and logs.
        inputs: filters; those that have no subscription of their own (`sub`) are not watched.
        silence_s: a topic without a message for so long is named [s].
        now_ns: the time, by the clock of `heard` [ns].
    """

    def __init__(self, node: Node, inputs: Sequence[Filter], silence_s: float, now_ns: int) -> None:
        self._node, self._silence_ns = node, round(silence_s * 1e9)
        self._subscriptions = {i: sub for i, f in enumerate(inputs) if (sub := getattr(f, "sub", None)) is not None}
        self._heard_ns = [now_ns] * len(inputs)
        self._silent: set[int] = set()
        self._told: set[tuple[int, ...]] = set()

    def heard(self, position: int, now_ns: int) -> None:
        """Note a message on the input at that position."""
        self._heard_ns[position] = now_ns
        self._silent.discard(position)

    def check(self, now_ns: int) -> None:
        """Look at all inputs; log what is new."""
        self.misfits()
        for position, subscription in self._subscriptions.items():
            silent_ns = now_ns - self._heard_ns[position]
            if silent_ns > self._silence_ns and position not in self._silent:
                self._silent.add(position)
                self._node.get_logger().warning(self._silence_text(subscription.topic_name, silent_ns))

    def misfits(self) -> list[str]:
        """Return who cannot be heard now; log the newcomers among them."""
        found = []
        for subscription in self._subscriptions.values():
            for publisher in self._node.get_publishers_info_by_topic(subscription.topic_name):
                if reason := misfit(publisher.qos_profile, subscription.qos_profile):
                    text = f"`{publisher.node_name}` on `{subscription.topic_name}` offers less than is asked for here "
                    found.append(f"{text}({reason}), so none of its messages arrives. Ask for less, best_effort say.")
                    if (endpoint := tuple(publisher.endpoint_gid)) not in self._told:
                        self._told.add(endpoint)
                        self._node.get_logger().warning(found[-1])
        return found

    def _silence_text(self, topic: str, silent_ns: int) -> str:
        publishers = self._node.count_publishers(topic)
        text = f"No message on `{topic}` for {silent_ns / 1e9:.1f} s: "
        if not publishers:
            return f"{text}nothing publishes it."
        return (
            f"{text}{publishers} publish it, so nothing is sent or all is lost. Large best-effort messages are, unless "
            f"their publisher was started with FASTDDS_DEFAULT_PROFILES_FILE={share_file(PROFILE)}."
        )
