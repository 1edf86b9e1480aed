"""Which settings a live node runs with, asked of the node itself."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.parameter import parameter_value_to_python

from clip2scene_ros.config import SegmentNodeConfig
from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.segment import NODE_NAME
from clip2scene_ros.settings import settings_of, with_settings


def live_settings(peer: Peer, timeout_s: float) -> SegmentNodeConfig:
    """Return the parameters of the live node in the peer's namespace.

    Raises:
        NodeFailed: no such node answers within `timeout_s`.
    """
    names = [name for name, _, _ in settings_of(SegmentNodeConfig())]
    client: Client[Any, Any] = peer.node.create_client(GetParameters, f"{NODE_NAME}/get_parameters")
    service = peer.node.resolve_service_name(client.srv_name)
    if not peer.wait(client.service_is_ready, timeout_s):
        raise NodeFailed("no_node", f"No node answers at {service} after {timeout_s:.0f} s: start segment_node.")
    future = client.call_async(GetParameters.Request(names=names))
    if not peer.wait(future.done, timeout_s) or (answer := future.result()) is None:
        raise NodeFailed("no_answer", f"{service} gave no answer within {timeout_s:.0f} s.")
    values = (parameter_value_to_python(value) for value in answer.values)
    return with_settings(SegmentNodeConfig(), dict(zip(names, values, strict=True)))
