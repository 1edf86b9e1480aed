"""Point clouds for tests, as plain objects with PointCloud2's attributes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from clip2scene_ros.io.pointcloud import CloudLayout, PointFieldSpec

DATATYPE_OF = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def message(
    fields: list[Any],
    data: Any,
    *,
    width: int,
    point_step: int,
    height: int = 1,
    row_step: int | None = None,
    big_endian: bool = False,
    stamp_ns: int = 3_000_000_007,
) -> SimpleNamespace:
    """Return a PointCloud2-like object; row_step is without padding unless given."""
    stamp = SimpleNamespace(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id="lidar_top"),
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big_endian,
        point_step=point_step,
        row_step=width * point_step if row_step is None else row_step,
        data=data,
        is_dense=False,
    )


def of_layout(layout: CloudLayout, stamp_ns: int = 3_000_000_007) -> SimpleNamespace:
    """Return the message that carries what `pack` wrote."""
    return message(
        list(layout.fields), layout.data, width=layout.width, point_step=layout.point_step, stamp_ns=stamp_ns
    )


def of_table(table: np.ndarray, stamp_ns: int = 3_000_000_007, **changes: Any) -> SimpleNamespace:
    """Return the message of a structured array: one field a column, offsets and point_step as in its dtype."""
    fields = [
        PointFieldSpec(name, offset, DATATYPE_OF[dtype.str[1:]])
        for name, (dtype, offset) in ((n, table.dtype.fields[n][:2]) for n in table.dtype.names)
    ]
    cloud = message(fields, table.tobytes(), width=len(table), point_step=table.dtype.itemsize, stamp_ns=stamp_ns)
    vars(cloud).update(changes)
    return cloud


def table(**columns: np.ndarray) -> np.ndarray:
    """Return a packed structured array with x, y, z (0, 1, 2, ... in float32) unless given, then these columns."""
    n = len(next(iter(columns.values())))
    xyz = {name: np.arange(n, dtype="f4") + i for i, name in enumerate("xyz")}
    full = {**xyz, **columns}
    result = np.zeros(n, dtype=[(name, column.dtype.str) for name, column in full.items()])
    for name, column in full.items():
        result[name] = column
    return result
