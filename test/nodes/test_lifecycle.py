"""An impossible transition is refused by the node itself, whatever the rclpy beneath does about it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from lifecycle_msgs.srv import ChangeState, GetState

from clip2scene_ros.nodes.lifecycle import refuse_impossible_transitions

JAZZY = "Failed to trigger lifecycle state machine transition:\nno transition 3 in state unconfigured"


def node_with(answer: Callable[..., object], alive: bool = True) -> SimpleNamespace:
    """Return what the function sees of a node, with two services that answer alike, and the list of logged errors."""
    services = [SimpleNamespace(srv_type=kind, callback=answer) for kind in (GetState, ChangeState)]
    errors: list[str] = []
    logger = SimpleNamespace(error=errors.append)
    context = SimpleNamespace(ok=lambda: alive)
    return SimpleNamespace(services=services, get_logger=lambda: logger, context=context, errors=errors)


def raising(error: Exception) -> Callable[..., object]:
    def answer(request: object, response: object) -> object:
        raise error

    return answer


@pytest.mark.parametrize("alive", [True, False])
def test_an_error_of_rclpy_becomes_a_refusal_told_while_ros_runs(alive: bool):
    node = node_with(raising(RuntimeError(JAZZY)), alive)
    refuse_impossible_transitions(node)
    others, change = node.services
    response = change.callback(ChangeState.Request(), ChangeState.Response(success=True))
    assert response.success is False
    assert node.errors == ([f"Transition refused: {JAZZY}".replace("\n", " ")] if alive else [])
    with pytest.raises(RuntimeError):
        others.callback(None, None)


def test_answers_and_other_errors_pass():
    node = node_with(lambda request, response: ChangeState.Response(success=True))
    refuse_impossible_transitions(node)
    assert node.services[1].callback(ChangeState.Request(), ChangeState.Response()).success is True
    node = node_with(raising(KeyError("ours")))
    refuse_impossible_transitions(node)
    with pytest.raises(KeyError):
        node.services[1].callback(ChangeState.Request(), ChangeState.Response())
