"""Benchmark files that are one array of numbers from their first byte to their last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Array


def read_array(path: Path, dtype: np.dtype[Any], columns: int = 1) -> Array:
    """Return the numbers of a file: (M,) for one column, else (M, columns).

    Raises:
        BadDataset: missing_file; size: the file ends within a row.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadDataset("missing_file", f"Cannot read {path}: {error.strerror}.") from error
    row = columns * dtype.itemsize
    if len(content) % row:
        raise BadDataset("size", f"{path}: expected rows of {columns} {dtype}, {row} bytes, but got {len(content)}.")
    values: Array = np.frombuffer(content, dtype)
    return values if columns == 1 else values.reshape(-1, columns)
