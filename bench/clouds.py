"""LiDAR-like clouds for benchmarks: rings on a street with walls, vehicles and poles, from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SENSOR_HEIGHT_M = 1.84
MAX_RANGE_M = 80.0
RANGE_NOISE_M = 0.02

Floats = NDArray[np.float64]


def lidar_scan(points: int = 34_000, beams: int = 32, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one sweep: (points, 3) float32 points [m] and (points,) float32 intensity.

    Rays that meet nothing within range are no points, so more rays than points are cast.
    """
    rng = np.random.default_rng(seed)
    boxes = _street(rng)
    columns = int(points / beams * 1.35)
    while True:
        xyz, intensity = _sweep(beams, columns, boxes, rng)
        if len(xyz) >= points:
            kept = np.sort(rng.choice(len(xyz), points, replace=False))
            return xyz[kept], intensity[kept]
        columns = int(columns * 1.1)


def _street(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return (B, 3) low and high corners: house fronts along the street, vehicles, poles."""
    low, high = [], []
    for side in (-1, 1):
        for x in range(-80, 80, 20):
            front, depth = side * rng.uniform(9, 14), rng.uniform(4, 8)
            y = sorted((front, front + side * depth))
            low.append((x, y[0], -SENSOR_HEIGHT_M))
            high.append((x + rng.uniform(12, 19), y[1], rng.uniform(3, 12)))
        for _ in range(14):
            x, y = rng.uniform(-60, 60), side * rng.uniform(3, 7)
            size = rng.uniform((3.5, 1.6, 1.4), (5.0, 2.0, 2.2)) if rng.random() < 0.6 else np.array((0.3, 0.3, 4.0))
            low.append((x, y - size[1] / 2, -SENSOR_HEIGHT_M))
            high.append((x + size[0], y + size[1] / 2, size[2] - SENSOR_HEIGHT_M))
    return np.array(low), np.array(high)


def _sweep(
    beams: int, columns: int, boxes: tuple[Floats, Floats], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    elevation = np.deg2rad(np.linspace(-30, 10, beams))
    azimuth = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    azimuth, elevation = (grid.ravel() for grid in np.meshgrid(azimuth, elevation, indexing="ij"))
    rays = np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], 1)
    reach, intensity = _first_hit(rays, boxes)
    hit = reach < MAX_RANGE_M
    reach = reach[hit] + rng.normal(0, RANGE_NOISE_M, int(hit.sum()))
    return (rays[hit] * reach[:, None]).astype(np.float32), intensity[hit].astype(np.float32)


def _first_hit(rays: Floats, boxes: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Return the distance of each ray's first hit (infinite where none) and an intensity by what was hit."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / rays
        reach = np.where(rays[:, 2] < 0, -SENSOR_HEIGHT_M * inverse[:, 2], np.inf)
        intensity = np.full(len(rays), 0.1)
        for number, (low, high) in enumerate(zip(*boxes, strict=True)):
            sides = np.stack([low * inverse, high * inverse])
            enter, leave = sides.min(0).max(1), sides.max(0).min(1)
            nearer = (enter <= leave) & (enter > 0) & (enter < reach)
            reach[nearer] = enter[nearer]
            intensity[nearer] = 0.2 + 0.6 * (number % 7) / 7
    return reach, intensity
