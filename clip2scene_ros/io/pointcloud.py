"""PointCloud2 <-> arrays: the door for every LiDAR message, from a topic, a bag or a bench.

A message is any object with PointCloud2's attributes. What is wrong with one is a `BadCloud` with a reason
code; what is unusual but legal (row padding, organised, big-endian, unaligned, FLOAT64) is read exactly.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadCloud
from clip2scene_ros.frame import Array, Scan, Segmentation
from clip2scene_ros.io.cloud_fields import read_intensity, read_points, read_ring
from clip2scene_ros.io.cloud_header import FLOAT32, UINT8, UINT16, CheckedCloud, PointFieldSpec, check_cloud
from clip2scene_ros.io.cloud_layout import CloudLayout, pack, pack_ground_truth, pack_points, pack_rgb
from clip2scene_ros.io.cloud_time import read_time

__all__ = [
    "CloudLayout",
    "PointFieldSpec",
    "clipped",
    "pack",
    "pack_ground_truth",
    "pack_points",
    "pack_rgb",
    "parse",
    "unpack_ground_truth",
    "unpack_labels",
]

DEFAULT_LIMITS = CloudLimits()
_log = logging.getLogger(__name__)


def parse(message: Any, limits: CloudLimits = DEFAULT_LIMITS) -> Scan:  # noqa: ANN401 - rclpy or rosbags message
    """Return the scan that a PointCloud2 holds: every point, in the message's order, row by row.

    NaN and infinities are kept; `is_dense` is not trusted. Only the first `limits.max_points` points are
    read; `clipped` tells how many that leaves out. The message is never changed; the arrays may be read-only
    views of its bytes.

    Raises:
        BadCloud: and nothing else; its `reason` is one of those listed in docs/clouds.md.
    """
    cloud = check_cloud(message, limits)
    if cloud.claimed > cloud.points:
        _log.warning("Cloud of %d points clipped to the first %d (max_points).", cloud.claimed, cloud.points)
    return Scan(
        points=read_points(cloud),
        intensity=read_intensity(cloud, limits.intensity_scale),
        stamp_ns=cloud.stamp_ns,
        frame_id=cloud.frame_id,
        ring=read_ring(cloud),
        time_ns=read_time(cloud),
    )


def clipped(message: Any, limits: CloudLimits = DEFAULT_LIMITS) -> int:  # noqa: ANN401
    """Return how many points of a message that `parse` accepts are over `limits.max_points`."""
    return max(0, int(message.width) * int(message.height) - limits.max_points)


def unpack_labels(message: Any, limits: CloudLimits = DEFAULT_LIMITS) -> tuple[Array, Segmentation]:  # noqa: ANN401
    """Return (N, 3) float32 points and the labels that `pack` wrote.

    Raises:
        BadCloud: a malformed cloud, or one without class_id, probability and entropy.
    """
    cloud = check_cloud(message, limits)
    labels = Segmentation(
        class_id=_column(cloud, "class_id", UINT8),
        probability=_column(cloud, "probability", FLOAT32),
        entropy=_column(cloud, "entropy", FLOAT32),
    )
    return read_points(cloud), labels


def unpack_ground_truth(message: Any, limits: CloudLimits = DEFAULT_LIMITS) -> tuple[Array, Array, Array]:  # noqa: ANN401
    """Return (N, 3) float32 points, (N,) uint8 class ids and (N,) uint16 instances that `pack_ground_truth` wrote.

    Raises:
        BadCloud: a malformed cloud, or one without class_id and instance_id.
    """
    cloud = check_cloud(message, limits)
    return read_points(cloud), _column(cloud, "class_id", UINT8), _column(cloud, "instance_id", UINT16)


def _column(cloud: CheckedCloud, name: str, datatype: int) -> Array:
    field = cloud.fields.get(name)
    if field is None or field.datatype != datatype or field.count != 1:
        raise BadCloud(
            "missing_field",
            f"Expected field {name!r} of datatype {datatype}, but got {', '.join(f[:40] for f in cloud.fields)}.",
        )
    raw = cloud.view(field)
    return np.ascontiguousarray(raw, dtype=raw.dtype.newbyteorder("="))
