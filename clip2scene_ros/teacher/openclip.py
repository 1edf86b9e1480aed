"""Imports open_clip, also beside a torch that is CPU-only, and nobody else imports it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from clip2scene_ros.errors import BadTeacher

_stand_ins: list[torch.library.Library] = []
"""Operators exist as long as the library that declared them: it must not be collected."""


def open_clip() -> Any:  # noqa: ANN401 - a module without types
    """Return the module open_clip, imported at the first call.

    Raises:
        BadTeacher: `no_open_clip`: it, or what it needs, is not installed or cannot be loaded.
    """
    try:
        _import_torchvision()
        return importlib.import_module("open_clip")
    except (ImportError, RuntimeError) as error:
        raise BadTeacher(
            "no_open_clip",
            f"The teacher needs open_clip, which cannot be imported here: {error}. "
            "Install it with: pip install 'clip2scene_ros[clip]'",
        ) from error


def _import_torchvision() -> None:
    """Import torchvision; beside a CPU-only torch, which cannot load its CUDA operators, with two of them declared.

    The wheel of torchvision on PyPI is built for CUDA. Its library then fails to load in silence, and its Python half
    stops at describing `nms` and `qnms`, which do not exist. Declared, they do, without anything behind them; open_clip
    uses neither. Where the import succeeds, as in a normal install, nothing is declared.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _stand_ins.append(library)
        importlib.import_module("torchvision")
