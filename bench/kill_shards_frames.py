"""Frames that writers of shards are killed over (`bench/kill_shards.py`): each is known by its number."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from clip2scene_ros.config import ShardsConfig
from clip2scene_ros.frame import CameraModel, Frame, PseudoLabels, Scan, View
from clip2scene_ros.io.image import decode_compressed, encode_jpeg
from clip2scene_ros.io.shards import Provenance

SOURCE = Provenance("bench", model_sha256="0" * 64)
CONFIG = ShardsConfig(max_shard_frames=4, sync_s=0.02, min_free_gb=0.0)
FIRST_NS = 10**18
POINTS = (100, 120_000, 30_000, 200_000, 3000)


def frame_of(i: int) -> tuple[Frame, PseudoLabels, dict[str, bytes]]:
    """Return frame `i`: made quickly, so that most kills meet the writing of a frame and not the making of it."""
    frame, labels, encoded = one_of(i % len(POINTS))
    scan = replace(frame.scan, stamp_ns=FIRST_NS + i, time_ns=frame.scan.time_ns + i)
    return replace(frame, scan=scan), replace(labels, class_id=np.roll(labels.class_id, i)), encoded


@cache
def one_of(kind: int) -> tuple[Frame, PseudoLabels, dict[str, bytes]]:
    """Return a frame of a few kB or of some MB."""
    rng, points = np.random.default_rng((11, kind)), POINTS[kind]
    xyz, times = rng.normal(0, 20, (points, 3)).astype(np.float32), rng.integers(0, 10**8, points)
    scan = Scan(xyz, rng.random(points, dtype=np.float32), 0, "lidar", times.astype(np.uint16), times)
    jpeg = encode_jpeg(rng.integers(0, 256, (90, 160, 3), dtype=np.uint8))
    camera = CameraModel(160, 90, rng.normal(size=(3, 3)))
    views = (View("cam", decode_compressed(jpeg), camera, rng.normal(size=(4, 4)), FIRST_NS),)
    labels = PseudoLabels(times.astype(np.uint8), rng.random(points, dtype=np.float32))
    return Frame(scan, views, rng.normal(size=(4, 4)), labels.class_id[::-1].copy()), labels, {"cam": jpeg}


def stamp_number(record: object) -> int:
    """Return the number of the frame that a record is of."""
    return record.frame.scan.stamp_ns - FIRST_NS  # type: ignore[attr-defined]


def same(a: object, b: object) -> bool:
    """Return whether two frames, or what they are made of, are equal bit by bit."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, n), getattr(b, n)) for n in a.__dataclass_fields__)
    return a == b
