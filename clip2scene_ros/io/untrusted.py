"""Reading attributes of messages that anyone may have sent: the right type and range, or a counted error."""

from __future__ import annotations

import operator
from typing import Any

from clip2scene_ros.errors import Clip2SceneError, short

MAX_NAME = 256  # characters of a field name, frame id or encoding


def attribute(owner: Any, name: str, error: type[Clip2SceneError]) -> Any:  # noqa: ANN401
    """Return `owner.name`, or raise `error` (attribute) whatever getting it raises."""
    try:
        return getattr(owner, name)
    except Exception as cause:
        raise error("attribute", f"Expected an object with `{name}`, but got {short(owner)}.") from cause


def integer(owner: Any, name: str, low: int, high: int, error: type[Clip2SceneError]) -> int:  # noqa: ANN401
    """Return `owner.name` as an int in [low, high], or raise `error` (attribute, not_integer, out_of_range)."""
    value = attribute(owner, name, error)
    try:
        number = operator.index(value)
    except Exception as cause:
        raise error("not_integer", f"Expected `{name}` to be an integer, but got {short(value)}.") from cause
    if not low <= number <= high:
        raise error("out_of_range", f"Expected `{name}` in [{low}, {high}], but got {short(number)}.")
    return int(number)


def text(owner: Any, name: str, reason: str, error: type[Clip2SceneError]) -> str:  # noqa: ANN401
    """Return `owner.name` as a str of at most MAX_NAME characters, or raise `error` with this reason."""
    value = attribute(owner, name, error)
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise error(reason, f"Expected `{name}` to be at most {MAX_NAME} characters, but got {short(value)}.")
    return value


def flat_bytes(data: Any, error: type[Clip2SceneError]) -> memoryview:  # noqa: ANN401
    """Return a read-only view of bytes, array.array('B') or a uint8 array, or raise `error` (data_type)."""
    try:
        view = memoryview(data)
    except Exception as cause:
        raise error("data_type", f"Expected `data` to hold bytes, but got {short(data)}.") from cause
    if view.ndim != 1 or view.itemsize != 1 or not view.c_contiguous:
        raise error("data_type", f"Expected `data` to be flat bytes, but got items of {view.itemsize} bytes.")
    return view.toreadonly()
