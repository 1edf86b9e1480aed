"""ROS parameters from the settings in `config.py`: typed, ranged, described, read-only unless a setting says otherwise.

A bad value is refused with the parameter's name, the value and what is allowed, whether it comes from a file, from
the command line or from `ros2 param set`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import Field
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from clip2scene_ros.errors import BadConfig, Clip2SceneError
from clip2scene_ros.nodes.tables import allowed
from clip2scene_ros.settings import settings_of, with_settings

Config = TypeVar("Config")

ROS_OWN = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def descriptor(value: object, f: Field[Any]) -> ParameterDescriptor:
    """Return the ROS descriptor of one setting: reason, allowed range, read-only or not."""
    meta = f.metadata
    described = ParameterDescriptor(
        description=meta["why"], read_only=not meta["runtime"], additional_constraints=allowed(f)
    )
    if meta["low"] is not None and isinstance(value, int):
        described.integer_range = [IntegerRange(from_value=int(meta["low"]), to_value=int(meta["high"]))]
    elif meta["low"] is not None:
        described.floating_point_range = [
            FloatingPointRange(from_value=float(meta["low"]), to_value=float(meta["high"]))
        ]
    return described


def declare(node: Node, defaults: Config) -> Config:
    """Declare a parameter for every setting of `defaults` and return the configuration that the user asked for.

    Raises:
        BadConfig: a value of the wrong type, out of its range or not among the choices.
    """
    values: dict[str, Any] = {}
    for name, value, f in settings_of(defaults):
        try:
            values[name] = node.declare_parameter(name, value, descriptor(value, f)).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            expected = " ".join(part for part in (type(value).__name__, allowed(f)) if part)
            raise BadConfig("parameter", f"Parameter `{name}` expects {expected}, but: {error}.") from error
    return with_settings(defaults, values)


def unknown_overrides(node: Node, defaults: object) -> list[str]:
    """Return the names that a user set for this node but that it does not have: typing errors, most of them."""
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public list of them
    known = {name for name, _, _ in settings_of(defaults)}
    return sorted(name for name in given if name not in known and not name.startswith(ROS_OWN))


def on_change(
    current: Callable[[], Config], apply: Callable[[Config, Collection[str]], None]
) -> Callable[..., SetParametersResult]:
    """Return a callback for `add_on_set_parameters_callback` that checks all values, then applies all or none.

    Read-only parameters never reach it: rclpy refuses them before.

    Args:
        current: gives the configuration in force.
        apply: gets the new one and the names of what was set; what it raises is the reason of a refusal.
    """

    def check_and_apply(parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        known = {name for name, _, _ in settings_of(current())}
        values = {p.name: p.value for p in parameters if p.name in known}
        if not values:
            return SetParametersResult(successful=True)
        try:
            apply(with_settings(current(), values), values.keys())
        except Exception as error:  # nothing may leave a callback: it would end the process
            text = str(error) if isinstance(error, Clip2SceneError) else f"{type(error).__name__}: {error}"
            return SetParametersResult(successful=False, reason=text)
        return SetParametersResult(successful=True)

    return check_and_apply
