"""What 20 numbers say of a point and its neighbours: the features that the difficulty floor's trees learn from.

Run by itself it prints the median of each by class on one scene, to see what tells the classes apart.

    python bench/world_features.py --json features.json
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clip2scene_ros.frame import Array

FEW, MANY = 16, 80
"""Nearest neighbours at the two scales: about a hand's breadth to half a metre, and half a metre to three."""
NAMES = (
    "z",  # above the ground below the vehicle [m]
    "range",  # from the sensor [m]
    "intensity",
    "above_lowest_1m",  # over the lowest point of its 1 m column [m]
    "above_lowest_5m",  # over the lowest point of its 5 m column [m]
    "below_highest_1m",  # under the highest point of its 1 m column [m]
    "column_points",  # logarithm of the number of points in its 1 m column
    "few_linearity",  # (l1 - l2) / l1 of the covariance's eigenvalues l1 >= l2 >= l3
    "few_planarity",  # (l2 - l3) / l1
    "few_sphericity",  # l3 / l1
    "few_normal_z",  # |z| of the smallest eigenvector
    "few_height",  # highest minus lowest [m]
    "few_radius",  # distance of the farthest of them over the point's range
    "many_linearity",
    "many_planarity",
    "many_normal_z",
    "many_height",
    "many_radius",
    "few_intensity_mean",
    "few_intensity_deviation",
)


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Chosen points of a scan with what lies around them.

    Attributes:
        points: (Q, 3) float32 the chosen points.
        intensity: (Q,) float32.
        near: (Q, MANY, 3) float32 nearest points, nearest first.
        near_intensity: (Q, MANY) float32.
        column: (Q, 4) float32: lowest and highest z and number in the 1 m column, lowest z in the 5 m column.
    """

    points: Array
    intensity: Array
    near: Array
    near_intensity: Array
    column: Array


def neighbourhood(points: Array, intensity: Array, chosen: Array) -> Neighbourhood:
    """Look around `chosen` (Q,) indices of a scan's (N, 3) points."""
    from scipy.spatial import cKDTree

    _, index = cKDTree(points).query(points[chosen], k=MANY)
    low, high, count = _columns(points, 1.0)
    wide, _, _ = _columns(points, 5.0)
    column = np.column_stack([low, high, count, wide])[chosen]
    return Neighbourhood(points[chosen], intensity[chosen], points[index], intensity[index], column)


def _columns(points: Array, size_m: float) -> tuple[Array, Array, Array]:
    """Return (N,) lowest z, highest z and number of points of the square column that each point is in."""
    cell = np.floor(points[:, :2] / size_m).astype(np.int64)
    _, which = np.unique(cell[:, 0] * 100_003 + cell[:, 1], return_inverse=True)
    low, high = np.full(which.max() + 1, np.inf), np.full(which.max() + 1, -np.inf)
    np.minimum.at(low, which, points[:, 2])
    np.maximum.at(high, which, points[:, 2])
    return low[which], high[which], np.bincount(which)[which]


def features(around: Neighbourhood, height_m: float) -> Array:
    """Return (Q, 20) float32 in the order of NAMES; `height_m` is the sensor's above the ground."""
    z = around.points[:, 2]
    away = np.linalg.norm(around.points, axis=1)
    low, high, count, wide = around.column.T
    few, many = shape(around.near[:, :FEW]), shape(around.near)
    shine = around.near_intensity[:, :FEW]
    rows = (
        z + height_m, away, around.intensity, z - low, z - wide, high - z, np.log(count),
        few["linearity"], few["planarity"], few["sphericity"], few["normal_z"], few["height"], few["radius"] / away,
        many["linearity"], many["planarity"], many["normal_z"], many["height"], many["radius"] / away,
        shine.mean(axis=1), shine.std(axis=1),
    )  # fmt: skip
    return np.column_stack(rows).astype(np.float32)


def shape(near: Array) -> dict[str, Array]:
    """Return (Q,) each: how (Q, K, 3) neighbours lie, from their covariance."""
    centered = near - near.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(np.einsum("qki,qkj->qij", centered, centered).astype(np.float64))
    small, middle, large = np.maximum(values, 1e-12).T
    return {
        "linearity": (large - middle) / large,
        "planarity": (middle - small) / large,
        "sphericity": small / large,
        "normal_z": np.abs(vectors[:, 2, 0]),
        "normal": vectors[:, :, 0],
        "height": np.ptp(near[..., 2], axis=1),
        "radius": np.linalg.norm(near[:, -1] - near[:, 0], axis=1),
    }


def main() -> int:
    """Print medians by class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="scene of the train split (default: %(default)s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    from clip2scene_training.world import Drive, Label
    from clip2scene_training.world.splits import SPLITS

    drive = Drive(args.seed, SPLITS["train"].config)
    frame = drive.frame(0)
    around = neighbourhood(frame.scan.points, frame.scan.intensity, np.arange(len(frame.scan)))
    rows = features(around, drive.config.lidar_position_m[2])
    there = [label for label in Label if np.any(frame.labels == label)]
    medians = {label.name.lower(): np.median(rows[frame.labels == label], axis=0).round(3) for label in there}
    print(f"{'':24}" + "".join(f"{name[:10]:>11}" for name in medians))
    for i, name in enumerate(NAMES):
        print(f"{name:24}" + "".join(f"{values[i]:11.2f}" for values in medians.values()))
    if args.json:
        table = {label: dict(zip(NAMES, values.tolist(), strict=True)) for label, values in medians.items()}
        args.json.write_text(json.dumps(table, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
