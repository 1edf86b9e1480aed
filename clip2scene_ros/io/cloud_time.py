"""Per-point time: every driver's own unit and origin into nanoseconds from the header stamp (docs/clouds.md)."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import NS_PER_S, Array
from clip2scene_ros.io.cloud_fields import first_field
from clip2scene_ros.io.cloud_header import FLOAT32, FLOAT64, INT32, UINT32, CheckedCloud

TIME_NAMES = ("t", "time", "timestamp", "time_stamp", "offset_time", "time_offset", "time_offset_ns", "timestamps")

MAX_SWEEP_S = 10.0  # longer distances between point and stamp mean two clocks, not a slow sensor
SAMPLE = 1024  # points that decide on unit and origin
UNITS_NS = ((10.0, 1e9), (1e4, 1e6), (1e7, 1e3))  # below the bound: s, ms, us; a sweep lasts 10 ms to 10 s
MAX_OFFSET = 1e10  # MAX_SWEEP_S in the smallest unit: what is larger cannot be an offset
EPOCH_NS = 1e17  # nanoseconds since 1970 or 1980; no other unit reaches this


def read_time(cloud: CheckedCloud) -> Array | None:
    """Return (N,) int64 offset of each point from the header stamp [ns], or None; non-finite times become 0.

    32-bit integers are nanoseconds after the stamp. Floats are offsets or absolute times, told apart by
    their size; their unit is the one in which the sweep lasts between 10 ms and 10 s.
    """
    field = first_field(cloud, TIME_NAMES)
    if field is None or field.datatype not in (UINT32, INT32, FLOAT32, FLOAT64):
        return None
    raw = cloud.view(field)
    if field.datatype in (UINT32, INT32):
        return raw.astype(np.int64)
    with np.errstate(all="ignore"):  # a broken point may hold any bits
        return _from_floats(raw.astype(np.float64), field.datatype == FLOAT32, cloud.stamp_ns)


def _from_floats(values: Array, single: bool, stamp_ns: int) -> Array:
    """Turn raw times into offsets [ns], in place: large temporary arrays cost more than the arithmetic."""
    finite = np.isfinite(values)
    sample = values[:: max(1, len(values) // SAMPLE)]
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return np.zeros(len(values), dtype=np.int64)
    low, high = (float(q) for q in np.quantile(sample, (0.01, 0.99)))  # a few broken points decide nothing
    if is_offset(low, high, single):
        values *= unit_ns(max(abs(low), abs(high)))
    else:
        _since_stamp(values, 1.0 if high >= EPOCH_NS else unit_ns(high - low), low, stamp_ns)
    limit = MAX_SWEEP_S * NS_PER_S
    np.clip(np.rint(values, out=values), -limit, limit, out=values)
    if not finite.all():
        values[~finite] = 0.0
    whole: Array = values.astype(np.int64)
    return whole


def is_offset(low: float, high: float, single: bool) -> bool:
    """Return whether times from `low` to `high` count from the sweep, not from an epoch or the sensor's boot."""
    largest = max(abs(low), abs(high))
    if single or largest < MAX_SWEEP_S:
        return True  # float32 cannot hold an absolute time
    return largest < MAX_OFFSET and high - low >= MAX_SWEEP_S


def unit_ns(extent: float) -> float:
    """Return the nanoseconds in the unit in which a sweep of this extent lasts 10 ms to 10 s."""
    return next((unit for bound, unit in UNITS_NS if extent < bound), 1.0)


def _since_stamp(values: Array, unit: float, low: float, stamp_ns: int) -> None:
    """Subtract the stamp in the values' own unit, so that the large parts cancel before anything is rounded."""
    whole, rest = divmod(stamp_ns, int(unit))
    if abs((low - float(whole)) * unit) <= MAX_SWEEP_S * NS_PER_S:
        values -= float(whole)
        values *= unit
        values -= float(rest)
        return
    near = values[values >= low - MAX_SWEEP_S * NS_PER_S / unit]  # another clock: the first point is at the stamp
    values -= near.min()
    values *= unit
