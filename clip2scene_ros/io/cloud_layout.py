"""The clouds we write: bytes and field tables for labels, colours, points and ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array, Scan, Segmentation
from clip2scene_ros.io.cloud_header import DTYPES, FLOAT32, INT32, SIZES, UINT8, UINT16, UINT32, PointFieldSpec

XYZ = (("x", FLOAT32), ("y", FLOAT32), ("z", FLOAT32))


@dataclass(frozen=True, eq=False)
class CloudLayout:
    """The body of a PointCloud2, little-endian, one row, ready for a message of any ROS library.

    Attributes:
        fields: name, offset, datatype and count of each field.
        point_step: bytes per point.
        data: width * point_step bytes, read-only.
        width: number of points; height is 1.
    """

    fields: tuple[PointFieldSpec, ...]
    point_step: int
    data: memoryview
    width: int

    @property
    def row_step(self) -> int:
        """Return the bytes of the one row."""
        return self.width * self.point_step


def _specs(columns: tuple[tuple[str, int], ...]) -> tuple[PointFieldSpec, ...]:
    """Place the columns one after the other, without padding."""
    specs, offset = [], 0
    for name, datatype in columns:
        specs.append(PointFieldSpec(name, offset, datatype))
        offset += SIZES[datatype]
    return tuple(specs)


# Autoware's PointXYZCPE: its tools read our labels as they are.
LABEL_FIELDS = _specs((*XYZ, ("class_id", UINT8), ("probability", FLOAT32), ("entropy", FLOAT32)))
RGB_FIELDS = _specs((*XYZ, ("rgb", FLOAT32)))
GROUND_TRUTH_FIELDS = _specs((*XYZ, ("class_id", UINT8), ("instance_id", UINT16)))


def _layout(fields: tuple[PointFieldSpec, ...], points: Array, columns: tuple[Array, ...]) -> CloudLayout:
    """Write (N, 3) points and one (N,) array per further field into packed bytes."""
    for spec, column in zip(fields[3:], columns, strict=True):
        if column.shape != (len(points),):
            raise ValueError(f"Expected `{spec.name}` of shape ({len(points)},), but got {column.shape}.")
    dtype = np.dtype([("xyz", "<f4", 3), *((spec.name, "<" + DTYPES[spec.datatype]) for spec in fields[3:])])
    table = np.empty(len(points), dtype=dtype)
    table["xyz"] = points
    for spec, column in zip(fields[3:], columns, strict=True):
        table[spec.name] = column
    data = table.view(np.uint8).data.toreadonly()
    return CloudLayout(fields, dtype.itemsize, data, len(points))


def pack(scan: Scan, seg: Segmentation) -> CloudLayout:
    """Return x, y, z FLOAT32, class_id UINT8, probability FLOAT32, entropy FLOAT32: 21 bytes a point.

    The positions are the scan's, bit for bit and in its order.

    Raises:
        ValueError: the segmentation is not of this scan (lengths differ).
    """
    return _layout(LABEL_FIELDS, scan.points, (seg.class_id, seg.probability, seg.entropy))


def pack_rgb(scan: Scan, seg: Segmentation, palette: Array) -> CloudLayout:
    """Return x, y, z and `rgb`, the packed float32 that RViz and PCL read as 0x00RRGGBB.

    Args:
        scan: N points.
        seg: its labels.
        palette: (256, 3) uint8 RGB by class id.
    """
    red, green, blue = palette.astype(np.uint32).T
    packed = ((red << 16) | (green << 8) | blue).astype("<u4").view("<f4")
    return _layout(RGB_FIELDS, scan.points, (packed[seg.class_id],))


def pack_points(scan: Scan) -> CloudLayout:
    """Return x, y, z, intensity FLOAT32, then `ring` UINT16 and `time` where the scan has them.

    Intensity stays in [0, 1]. `time` is the offset from the header stamp in nanoseconds, UINT32, or INT32
    where a point is earlier than the stamp.

    Raises:
        ValueError: an offset does not fit 32 bits.
    """
    columns, names = [scan.intensity], [("intensity", FLOAT32)]
    if scan.ring is not None:
        columns.append(scan.ring)
        names.append(("ring", UINT16))
    if scan.time_ns is not None:
        low, high = int(scan.time_ns.min(initial=0)), int(scan.time_ns.max(initial=0))
        if low < -(2**31) or high >= (2**31 if low < 0 else 2**32):
            raise ValueError(f"Expected point times within 2 s of the stamp, but got {low} to {high} ns.")
        columns.append(scan.time_ns)
        names.append(("time", INT32 if low < 0 else UINT32))
    return _layout(_specs((*XYZ, *names)), scan.points, tuple(columns))


def pack_ground_truth(scan: Scan, labels: Array, instances: Array) -> CloudLayout:
    """Return x, y, z FLOAT32, class_id UINT8, instance_id UINT16: 15 bytes a point.

    Args:
        scan: N points.
        labels: (N,) uint8 class ids, 255 unknown.
        instances: (N,) uint16 instance ids, 0 none.
    """
    return _layout(GROUND_TRUTH_FIELDS, scan.points, (labels, instances))
