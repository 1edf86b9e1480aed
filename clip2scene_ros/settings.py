"""What a setting is, how all of a dataclass are named, and how values are put in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, field, fields, is_dataclass, replace
from typing import Any, TypeVar, get_type_hints

from clip2scene_ros.errors import BadConfig

Config = TypeVar("Config")


def setting(
    default: Any,  # noqa: ANN401 - a dataclass default may be of any type
    why: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    runtime: bool = False,
) -> Any:  # noqa: ANN401
    """Declare one setting: its default, a one-line reason, its range or choices."""
    return field(
        default=default,
        metadata={"why": why, "low": low, "high": high, "choices": choices, "runtime": runtime},
    )


def settings_of(config: object, prefix: str = "") -> Iterator[tuple[str, Any, Field[Any]]]:
    """Yield `(dotted_name, value, field)` of every leaf setting, depth first, in order of declaration."""
    for f in fields(config):  # type: ignore[arg-type]
        value = getattr(config, f.name)
        if is_dataclass(value):
            yield from settings_of(value, f"{prefix}{f.name}.")
        else:
            yield f"{prefix}{f.name}", value, f


def check(name: str, value: Any, f: Field[Any], kind: type[Any]) -> Any:  # noqa: ANN401
    """Return `value` as the setting's type, or raise BadConfig naming the setting, the value and what is allowed."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise BadConfig(
            "type", f"Setting `{name}` expects {kind.__name__}, but got {value!r} ({type(value).__name__})."
        )
    meta = f.metadata
    if meta.get("choices") and value not in meta["choices"]:
        raise BadConfig("choice", f"Setting `{name}` expects one of {', '.join(meta['choices'])}, but got {value!r}.")
    low: Any = meta.get("low")
    high: Any = meta.get("high")
    if (low is not None and not low <= value) or (high is not None and not value <= high):
        allowed = f"in [{low}, {high}]" if high is not None else f"of at least {low}"
        raise BadConfig("range", f"Setting `{name}` expects a value {allowed}, but got {value!r}.")
    return value


def with_settings(config: Config, values: dict[str, Any]) -> Config:
    """Return a copy of `config` with dotted settings replaced; unknown names and bad values raise BadConfig."""
    known = {name for name, _, _ in settings_of(config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise BadConfig("unknown", f"Unknown setting `{unknown[0]}`; known are: {', '.join(sorted(known))}.")
    return _replaced(config, values, "")


def _replaced(config: Config, values: dict[str, Any], prefix: str) -> Config:
    hints = get_type_hints(type(config))
    changed: dict[str, Any] = {}
    for f in fields(config):  # type: ignore[arg-type]
        current, name = getattr(config, f.name), f"{prefix}{f.name}"
        if is_dataclass(current):
            changed[f.name] = _replaced(current, values, f"{name}.")
        elif name in values:
            changed[f.name] = check(name, values[name], f, hints[f.name])
    return replace(config, **changed)  # type: ignore[type-var]
