"""Small frames with everything that a frame may have, and what it means that two are equal: bit by bit."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np

from clip2scene_ros.classes import parse_words
from clip2scene_ros.config import ShardsConfig
from clip2scene_ros.frame import CameraModel, Frame, PseudoLabels, Scan, View
from clip2scene_ros.io.image import decode_compressed, encode_jpeg
from clip2scene_ros.io.shards import Provenance, ShardWriter

CLASSES = parse_words("road; wall; car")
PROVENANCE = Provenance("car-7", CLASSES, "ab" * 32, "Only for tests.")
ROOMY = ShardsConfig(min_free_gb=0.0, sync_s=3600.0)
STEP_NS = 100_000_000
PINHOLE, FISHEYE = ("none", np.zeros(0)), ("equidistant", np.array([0.1, -0.0, 5e-324, 1 / 3]))


def frame_of(i: int, points: int = 40, views: int = 2) -> tuple[Frame, PseudoLabels, dict[str, bytes]]:
    """Return a frame, its labels and its first camera's JPEG; the others' images come as pixels."""
    rng = np.random.default_rng((7, i))
    xyz = rng.normal(0, 20, (points, 3)).astype(np.float32)
    xyz.view(np.uint32)[:2, 0] = (0x7FC01234, 0x80000000)[: len(xyz)]  # a NaN that carries bits, minus zero
    scan = Scan(
        xyz,
        rng.random(points, dtype=np.float32),
        1_700_000_000_000_000_001 + i * STEP_NS,
        "lidar_tøp",
        rng.integers(0, 32, points).astype(np.uint16),
        rng.integers(-(10**8), 10**8, points),
    )
    made, encoded = [], {}
    for v in range(views):
        image = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        if v == 0:
            encoded["cam_0"] = encode_jpeg(image)
            image = decode_compressed(encoded["cam_0"])
        camera = CameraModel(8, 6, rng.normal(size=(3, 3)), *(PINHOLE, FISHEYE)[v % 2])
        placed, stamp_ns = rng.normal(size=(4, 4)), scan.stamp_ns - 3 * v
        truth = rng.integers(0, 4, (6, 8), dtype=np.uint8) if v == 1 else None
        made.append(View(f"cam_{v}", image, camera, placed, stamp_ns, truth))
    truth, instances = rng.integers(0, 3, points).astype(np.uint8), rng.integers(0, 9, points).astype(np.uint16)
    labels = PseudoLabels(rng.choice(np.array([0, 1, 2, 255], np.uint8), points), rng.random(points, dtype=np.float32))
    return Frame(scan, tuple(made), rng.normal(size=(4, 4)), truth, instances), labels, encoded


def bare(frame: Frame) -> Frame:
    """Return a frame with as little as a frame may have."""
    return Frame(replace(frame.scan, ring=None, time_ns=None))


def bits(value: object) -> object:
    """Return a value that equals another one's only if all arrays in both have the same types, shapes and bits."""
    if is_dataclass(value):
        return type(value).__name__, {f.name: bits(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return tuple(map(bits, value))
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def write_frames(folder: Path, count: int, config: ShardsConfig = ROOMY, first: int = 0, views: int = 2) -> list[str]:
    """Write frames `first`, ... and return their names."""
    with ShardWriter(folder, PROVENANCE, config) as writer:
        made = (frame_of(i, views=views) for i in range(first, first + count))
        return [writer.append(frame, labels, encoded=encoded) for frame, labels, encoded in made]
