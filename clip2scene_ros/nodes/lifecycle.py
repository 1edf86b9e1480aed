"""Lifecycle requests answered alike on every ROS 2 that the node runs on."""

from __future__ import annotations

from collections.abc import Callable

from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

Answer = Callable[[ChangeState.Request, ChangeState.Response], ChangeState.Response]


def refuse_impossible_transitions(node: Node) -> None:
    """Answer a request for a transition that the present state does not have with `success: false`.

    Kilted's rclpy does so by itself. Jazzy's lets its error out of the service's callback (rclpy 7.1.6,
    `LifecycleNodeMixin.__change_state`): the asker waits for ever, and the error ends the process.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _refusing(service.callback, node)


def _refusing(answer: Answer, node: Node) -> Answer:
    def call(request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        try:
            return answer(request, response)
        except RuntimeError as error:  # the base of rclpy's RCLError, which has no public name
            response.success = False
            if node.context.ok():  # else it was Ctrl-C that came in between
                node.get_logger().error(f"Transition refused: {' '.join(str(error).split())}")
            return response

    return call
