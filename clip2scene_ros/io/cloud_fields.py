"""What a cloud's fields mean: the names, units and scales of the common drivers (docs/clouds.md).

Nothing here keeps state from one cloud to the next. Where the field layout does not tell the unit, the
values of this one cloud decide, in a way that a handful of broken points cannot change.
"""

from __future__ import annotations

import numpy as np

from clip2scene_ros.errors import BadCloud
from clip2scene_ros.frame import Array
from clip2scene_ros.io.cloud_header import (
    FLOAT32,
    FLOAT64,
    SIZES,
    UINT8,
    UINT16,
    CheckedCloud,
    PointFieldSpec,
)

INTENSITY_NAMES = (
    "reflectivity",  # first: where Ouster sends both, `intensity` is raw photons and this is calibrated
    "intensity",
    "i",
    "intensities",
    "reflectance",
    "remission",
    "signal",
    "amplitude",
)
RING_NAMES = ("ring", "channel", "line", "ring_id", "laser_id", "beam")
OUTLIERS = 1000  # one point in so many may break the scale rule without changing it


def read_points(cloud: CheckedCloud) -> Array:
    """Return (N, 3) float32 x y z [m], contiguous; values that float32 cannot hold become infinite."""
    x, y, z = (_coordinate(cloud, name) for name in "xyz")
    step = SIZES[x.datatype]
    with np.errstate(over="ignore", invalid="ignore"):
        if x.datatype == y.datatype == z.datatype and (y.offset, z.offset) == (x.offset + step, x.offset + 2 * step):
            return np.ascontiguousarray(cloud.view(x, columns=3), dtype=np.float32)
        points = np.empty((cloud.points, 3), dtype=np.float32)
        for column, field in enumerate((x, y, z)):
            points[:, column] = cloud.view(field)
        return points


def _coordinate(cloud: CheckedCloud, name: str) -> PointFieldSpec:
    field = cloud.fields.get(name)
    if field is None:
        if not cloud.points and not cloud.fields:
            return PointFieldSpec(name, 0, FLOAT32)  # PCL's empty cloud has no fields at all
        raise BadCloud("missing_field", f"Expected fields x, y, z, but got {', '.join(f[:40] for f in cloud.fields)}.")
    if field.datatype not in (FLOAT32, FLOAT64) or field.count != 1:
        raise BadCloud(
            "xyz_type",
            f"Expected {name} to be one FLOAT32 or FLOAT64, but got datatype {field.datatype}, count {field.count}.",
        )
    return field


def read_intensity(cloud: CheckedCloud, scale: float = 0.0) -> Array:
    """Return (N,) float32 intensity in [0, 1], zeros where the cloud has none; NaN becomes 0.

    Args:
        cloud: a checked cloud.
        scale: raw value that means 1.0; 0 takes it from the layout or, failing that, from the values.
    """
    field = first_field(cloud, INTENSITY_NAMES)
    if field is None:
        return np.zeros(cloud.points, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        raw = cloud.view(field).astype(np.float32)
        scale = scale or intensity_scale(cloud, field, raw)
        if scale != 1.0:
            raw *= np.float32(1.0 / scale)
        np.fmax(raw, np.float32(0.0), out=raw)
        np.fmin(raw, np.float32(1.0), out=raw)
    return raw


def intensity_scale(cloud: CheckedCloud, field: PointFieldSpec, raw: Array) -> float:
    """Return the raw intensity that means 1.0: by datatype and driver layout, else by the values."""
    if field.datatype == UINT8 or _is_8bit_family(cloud.fields, field):
        return 255.0
    if field.datatype in (FLOAT32, FLOAT64):
        return 255.0 if _exceeds(raw, 1.0) else 1.0
    return 65535.0 if _exceeds(raw, 255.0) else 255.0  # integers wider than a byte, Ouster's 16-bit reflectivity


def _is_8bit_family(fields: dict[str, PointFieldSpec], intensity: PointFieldSpec) -> bool:
    """Return whether the layout is one whose driver is known to send 0..255 as floats."""
    if intensity.datatype != FLOAT32:
        return False
    ring, time, timestamp = fields.get("ring"), fields.get("time"), fields.get("timestamp")
    velodyne = ring is not None and time is not None and time.datatype == FLOAT32
    hesai_robosense = ring is not None and timestamp is not None and timestamp.datatype == FLOAT64
    livox = "tag" in fields and "line" in fields
    nuscenes = ring is not None and ring.datatype == FLOAT32
    return velodyne or hesai_robosense or livox or nuscenes


def _exceeds(values: Array, bound: float) -> bool:
    return int(np.count_nonzero(values > bound)) * OUTLIERS > len(values)


def read_ring(cloud: CheckedCloud) -> Array | None:
    """Return (N,) uint16 beam numbers, or None; what does not fit is clipped, NaN becomes 0."""
    field = first_field(cloud, RING_NAMES)
    if field is None:
        return None
    raw = cloud.view(field)
    if field.datatype in (UINT8, UINT16):
        return raw.astype(np.uint16)
    if field.datatype in (FLOAT32, FLOAT64):
        with np.errstate(invalid="ignore"):
            raw = np.fmin(np.fmax(raw, 0.0), 65535.0)
        return raw.astype(np.uint16)
    return np.clip(raw, 0, 65535).astype(np.uint16)


def first_field(cloud: CheckedCloud, names: tuple[str, ...]) -> PointFieldSpec | None:
    """Return the first field of these names that holds one value a point."""
    return next((cloud.fields[name] for name in names if name in cloud.fields and cloud.fields[name].count == 1), None)
