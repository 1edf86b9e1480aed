"""The checks that stand between the network and a PointCloud2: header, fields and bytes must agree.

Every contradiction is a `BadCloud` with a stable reason code (docs/clouds.md lists them). The checks read
the header only, cost microseconds and allocate nothing that grows with what the header claims.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadCloud, short
from clip2scene_ros.frame import NS_PER_S, Array
from clip2scene_ros.io.untrusted import attribute, flat_bytes, integer, text

MAX_COUNT = 16  # no driver sends longer arrays per point; sensor_msgs_py needs quadratic time in the count
PADDING_NAME = "_"  # PCL's name for filler; the only name that may repeat
UINT32_MAX = 2**32 - 1
INT32_MAX = 2**31 - 1

INT8, UINT8, INT16, UINT16, INT32, UINT32, FLOAT32, FLOAT64 = range(1, 9)
DTYPES = {
    INT8: "i1",
    UINT8: "u1",
    INT16: "i2",
    UINT16: "u2",
    INT32: "i4",
    UINT32: "u4",
    FLOAT32: "f4",
    FLOAT64: "f8",
}
SIZES = {datatype: int(code[1]) for datatype, code in DTYPES.items()}


@dataclass(frozen=True)
class PointFieldSpec:
    """One field of a cloud, as in sensor_msgs/PointField: name, byte offset, datatype 1..8, count."""

    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass(frozen=True, eq=False)
class CheckedCloud:
    """A PointCloud2 whose header has been found consistent with its bytes.

    Attributes:
        stamp_ns: header stamp [ns].
        frame_id: header frame.
        fields: field by name (PCL's `_` filler left out).
        height, width, point_step, row_step: as in the message.
        big_endian: byte order of the values.
        data: all bytes of the message, not copied.
        points: how many points are read, the first of the message.
        claimed: how many points the message has.
    """

    stamp_ns: int
    frame_id: str
    fields: dict[str, PointFieldSpec]
    height: int
    width: int
    point_step: int
    row_step: int
    big_endian: bool
    data: memoryview
    points: int
    claimed: int

    def view(self, field: PointFieldSpec, columns: int = 1) -> Array:
        """Return the values of `field`, (points,) or (points, columns) for neighbouring fields of one type.

        The result is a view of the message, strided and perhaps unaligned, or a copy where rows are padded.
        """
        order = ">" if self.big_endian else "<"
        dtype = np.dtype(order + DTYPES[field.datatype])
        tail_shape, tail_strides = ((columns,), (dtype.itemsize,)) if columns > 1 else ((), ())
        if self.points == 0:
            return np.zeros((0, *tail_shape), dtype)
        if self.height == 1 or self.row_step == self.width * self.point_step:
            shape: tuple[int, ...] = (self.points, *tail_shape)
            strides: tuple[int, ...] = (self.point_step, *tail_strides)
            flat: Array = np.ndarray(shape, dtype, self.data, field.offset, strides)
            return flat
        rows = -(-self.points // self.width)
        grid: Array = np.ndarray(
            (rows, self.width, *tail_shape),
            dtype,
            self.data,
            field.offset,
            (self.row_step, self.point_step, *tail_strides),
        )
        return grid.reshape(-1, *tail_shape)[: self.points]


def check_cloud(message: Any, limits: CloudLimits) -> CheckedCloud:  # noqa: ANN401 - any PointCloud2-like object
    """Check everything a PointCloud2 says about itself, reading no point.

    Raises:
        BadCloud: and nothing else, whatever `message` is.
    """
    height, width = _uint32(message, "height"), _uint32(message, "width")
    point_step, row_step = _uint32(message, "point_step"), _uint32(message, "row_step")
    big_endian = attribute(message, "is_bigendian", BadCloud)
    if not isinstance(big_endian, bool | int | np.bool_) or big_endian not in (0, 1):
        raise BadCloud("endianness", f"Expected `is_bigendian` to be a bool, but got {short(big_endian)}.")
    data = flat_bytes(attribute(message, "data", BadCloud), BadCloud)
    _check_size(height, width, point_step, row_step, len(data))
    fields = _fields(attribute(message, "fields", BadCloud), point_step, limits)
    stamp_ns, frame_id = _header(attribute(message, "header", BadCloud))
    claimed = height * width
    return CheckedCloud(
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        fields=fields,
        height=height,
        width=width,
        point_step=point_step,
        row_step=row_step,
        big_endian=bool(big_endian),
        data=data,
        points=min(claimed, limits.max_points),
        claimed=claimed,
    )


def _uint32(owner: Any, name: str) -> int:  # noqa: ANN401
    return integer(owner, name, 0, UINT32_MAX, BadCloud)


def _check_size(height: int, width: int, point_step: int, row_step: int, size: int) -> None:
    """Refuse sizes that contradict each other; Python integers do not overflow."""
    points = height * width
    if points and point_step == 0:
        raise BadCloud("point_step", f"Expected point_step > 0 for {points} points, but got 0.")
    if row_step < width * point_step and points:
        raise BadCloud(
            "row_step", f"Expected row_step >= {width * point_step} (width {width} x {point_step}), but got {row_step}."
        )
    if size < row_step * height:
        raise BadCloud(
            "data_short", f"Expected {row_step * height} bytes (row_step {row_step} x {height}), but got {size}."
        )
    spare = size - row_step * height
    if spare and spare >= point_step:
        raise BadCloud(
            "data_long", f"Expected {row_step * height} bytes (row_step {row_step} x {height}), but got {size}."
        )
    if height == 1 and row_step - width * point_step >= max(point_step, 1):
        raise BadCloud(
            "width",
            f"A single row of {row_step} bytes has room for more than {width} points of {point_step} bytes; "
            "width, point_step or row_step is wrong.",
        )


def _fields(fields: Any, point_step: int, limits: CloudLimits) -> dict[str, PointFieldSpec]:  # noqa: ANN401
    try:
        number = len(fields)
    except Exception as error:
        raise BadCloud("attribute", f"Expected `fields` to be a list, but got {short(fields)}.") from error
    if number > limits.max_fields:
        raise BadCloud("too_many_fields", f"Expected at most {limits.max_fields} fields, but got {number}.")
    try:
        specs = [_field(field, point_step) for field in fields]
    except TypeError as error:
        raise BadCloud("attribute", f"Expected `fields` to be a list, but got {short(fields)}.") from error
    named = {spec.name: spec for spec in specs if spec.name != PADDING_NAME}
    if len(named) < sum(spec.name != PADDING_NAME for spec in specs):
        raise BadCloud("duplicate_field", f"Field names must differ, but got {', '.join(s.name[:40] for s in specs)}.")
    _check_overlap(specs)
    return named


def _field(field: Any, point_step: int) -> PointFieldSpec:  # noqa: ANN401
    name = text(field, "name", "field_name", BadCloud)
    if not name:
        raise BadCloud("field_name", "Expected every field to have a name, but one is empty.")
    datatype, count = integer(field, "datatype", 0, 255, BadCloud), _uint32(field, "count")
    offset = _uint32(field, "offset")
    if datatype not in DTYPES:
        raise BadCloud("datatype", f"Field {name[:40]!r}: expected a datatype in 1..8, but got {datatype}.")
    if not 1 <= count <= MAX_COUNT:
        raise BadCloud("field_count", f"Field {name[:40]!r}: expected a count in 1..{MAX_COUNT}, but got {count}.")
    end = offset + SIZES[datatype] * count
    if end > point_step:
        raise BadCloud(
            "field_offset", f"Field {name[:40]!r} ends at byte {end}, but a point has only {point_step} (point_step)."
        )
    return PointFieldSpec(name, offset, datatype, count)


def _check_overlap(specs: list[PointFieldSpec]) -> None:
    ordered = sorted(specs, key=lambda spec: spec.offset)
    for before, after in itertools.pairwise(ordered):
        if before.offset + SIZES[before.datatype] * before.count > after.offset:
            raise BadCloud(
                "overlap",
                f"Fields {before.name[:40]!r} (offset {before.offset}) and {after.name[:40]!r} "
                f"(offset {after.offset}) overlap.",
            )


def _header(header: Any) -> tuple[int, str]:  # noqa: ANN401
    frame_id = text(header, "frame_id", "frame_id", BadCloud)
    stamp = attribute(header, "stamp", BadCloud)
    try:
        sec = integer(stamp, "sec", 0, INT32_MAX, BadCloud)
        nanosec = integer(stamp, "nanosec", 0, NS_PER_S - 1, BadCloud)
    except BadCloud as error:
        raise BadCloud("stamp", f"Bad header.stamp. {error}") from error
    return sec * NS_PER_S + nanosec, frame_id
