"""Errors that users meet: each carries a reason code for counters and a text that says what to change."""

from __future__ import annotations

from typing import Any


class Clip2SceneError(ValueError):
    """Base of every error this package raises on bad input.

    Args:
        reason: short snake_case code, stable across releases; counters and /diagnostics are keyed by it.
        message: one sentence that names what was expected, what came and where to change it.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[Clip2SceneError], tuple[str, str]]:
        """Say how to make the error again in another process: pickle would forget the reason, and fail."""
        return type(self), (self.reason, str(self))


class BadCloud(Clip2SceneError):
    """A PointCloud2 whose header, fields and bytes contradict each other or exceed the limits."""


class BadImage(Clip2SceneError):
    """An image that is truncated, too large to decode safely, or of an unknown encoding."""


class BadCalibration(Clip2SceneError):
    """Intrinsics or extrinsics that cannot be right (NaN, not a rotation, zero focal length)."""


class BadCheckpoint(Clip2SceneError):
    """A checkpoint that is missing, truncated, not safetensors, or does not fit the network."""


class BadClassSet(Clip2SceneError):
    """A class-set file that is missing, malformed, or does not fit the checkpoint."""


class BadTeacher(Clip2SceneError):
    """A CLIP model that is missing, of a kind without dense features, or given something it cannot use."""


class BadBag(Clip2SceneError):
    """A bag that cannot be opened, lacks the wanted topics, or holds messages of unknown type."""


class BadConfig(Clip2SceneError):
    """A setting that is unknown, of the wrong type or out of its range."""


class BadDataset(Clip2SceneError):
    """A benchmark folder that lacks files or whose files disagree with each other."""


class CannotStore(Clip2SceneError):
    """A frame that cannot be kept: the disk is full, over its quota, read-only or failing, or another writer has it."""


class BadReport(Clip2SceneError):
    """A report.json that is damaged, or reports that cannot be compared."""


class NodeFailed(Clip2SceneError):
    """The live node, started as a process, ended or gave no labels; the text holds the end of its log."""


def short(value: Any) -> str:  # noqa: ANN401
    """Return a text for an error message: never the whole repr, which may be megabytes long."""
    if isinstance(value, str):
        return f"{value[:40]!r}"
    return str(value) if isinstance(value, int) and abs(value) < 2**70 else type(value).__name__
