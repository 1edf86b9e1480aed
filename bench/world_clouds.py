"""Scans of the world, and the real ones in `../shared/data`, in one form (`bench/world_realism.py`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_training.datasets.semantickitti import read_velodyne
from clip2scene_training.world import Drive, Label
from clip2scene_training.world.splits import EVERY, SPLITS

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NUSCENES = "nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin"
KITTI = ("kitti_odometry/000094.bin", "kitti_odometry/000095.bin")
SEMANTICKITTI = "semantickitti/000000"
EGO_M = 2.9
"""Nearer returns are the recording car itself."""
MERGED = {
    "car": "car", "bicycle": "bicycle", "bicyclist": "bicycle", "motorcycle": "motorcycle",
    "motorcyclist": "motorcycle", "truck": "truck", "person": "pedestrian", "road": "driveable surface",
    "parking": "driveable surface", "sidewalk": "sidewalk", "terrain": "terrain", "building": "manmade",
    "fence": "manmade", "pole": "manmade", "traffic sign": "manmade", "vegetation": "vegetation",
    "trunk": "vegetation",
}  # fmt: skip
"""SemanticKITTI's classes in the world's words; `other vehicle` and `other ground` have none."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """One scan, real or not.

    Attributes:
        points: (N, 3) float32 [m], x forward.
        intensity: (N,) float32 in [0, 1].
        ring: (N,) beam number.
        labels: (N,) uint8 class of the world, 255 unknown; None where there is no ground truth.
    """

    points: Array
    intensity: Array
    ring: Array
    labels: Array | None = None

    def without_ego(self) -> Cloud:
        """Return the scan without what is nearer than the recording car's own body."""
        far = np.linalg.norm(self.points, axis=1) > EGO_M
        labels = None if self.labels is None else self.labels[far]
        return Cloud(self.points[far], self.intensity[far], self.ring[far], labels)


def ours(split: str, scenes: int, rig: str | None = None) -> Iterable[Cloud]:
    """Yield two key frames of each of a split's first scenes, seen with the split's sensors or with another rig."""
    config = SPLITS[split].config
    if rig is not None:
        from clip2scene_training.world.rigs import with_rig

        config = with_rig(config, rig)
    for seed in SPLITS[split].seeds[:scenes]:
        drive = Drive(seed, config)
        for key in (1, 4):
            frame = drive.frame(key * EVERY)
            yield Cloud(frame.scan.points, frame.scan.intensity, frame.scan.ring, frame.labels).without_ego()


def real_nuscenes() -> list[Cloud]:
    """Return the nuScenes scan, turned so that x is ahead, or nothing where it is not at hand."""
    if not (DATA / NUSCENES).is_file():
        return []
    rows = np.fromfile(DATA / NUSCENES, np.float32).reshape(-1, 5)
    points = np.column_stack([rows[:, 1], -rows[:, 0], rows[:, 2]])
    return [Cloud(points, rows[:, 3] / 255, rows[:, 4].astype(int)).without_ego()]


def real_kitti() -> list[Cloud]:
    """Return the scans of a 64-beam sensor that are at hand."""
    paths = [DATA / name for name in (*KITTI, f"{SEMANTICKITTI}.bin") if (DATA / name).is_file()]
    return [Cloud(p, i, _rings(p)).without_ego() for p, i in (read_velodyne(path) for path in paths)]


def _rings(points: Array) -> Array:
    """Return (N,) ring 0 lowest: KITTI stores ring after ring from the top, each from straight ahead round."""
    azimuth = np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi)
    ring = np.cumsum(np.concatenate([[False], np.diff(azimuth) < -np.pi]))
    return np.asarray(ring.max() - ring)


def semantickitti() -> dict[str, float] | None:
    """Return the class shares of the one labelled SemanticKITTI scan in percent, None where it is not at hand."""
    path = DATA / f"{SEMANTICKITTI}.label"
    if not path.is_file():
        return None
    kitti, names = load_class_set("semantickitti"), load_class_set("world").names
    lookup = np.full(1 << 16, UNKNOWN)
    for raw, which in kitti.benchmark_ids.items():
        if kitti.names[which] in MERGED:
            lookup[raw] = names.index(MERGED[kitti.names[which]])
    labels = lookup[np.fromfile(path, np.uint32) & 0xFFFF]
    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(Label))
    return dict(zip(names, (100 * counts / counts.sum()).round(3).tolist(), strict=True))
