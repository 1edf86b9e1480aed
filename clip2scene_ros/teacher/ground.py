"""Which points lie on the ground: the lowest returns, followed outwards as far as a road can climb."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array

SECTORS = 180
RING_M = 1.0
NEAR_M, FAR_M = 2.0, 80.0
START_M = 10.0
"""The ground's height at the vehicle is the median of what is lowest in each direction up to here."""
SLOPE = 0.15
"""Steepest ground that is followed."""
STEP_M = 0.1
"""What the ground may rise at once, beyond its slope: half a kerb on either side of a bin's edge."""
THICK_M = 0.2
"""Returns up to this above the lowest ones are ground too."""


def on_ground(points: Array) -> Array:
    """Return (N,) bool: the point lies on the ground. z points up.

    Directions and distances are divided into bins. Outwards from the vehicle, the lowest return of each bin is ground
    where it is not above or below the ground before it by more than a slope and a step; else the ground goes on level.

    Args:
        points: (N, 3) in the LiDAR's frame [m].
    """
    ground = np.zeros(len(points), dtype=bool)
    with np.errstate(invalid="ignore"):
        distance = np.hypot(points[:, 0], points[:, 1])
        near = np.flatnonzero((distance >= NEAR_M) & (distance < FAR_M) & np.isfinite(points[:, 2]))
    if not len(near):
        return ground
    azimuth = np.arctan2(points[near, 1], points[near, 0])
    sector = ((azimuth + np.pi) / (2 * np.pi) * SECTORS).astype(np.intp) % SECTORS
    ring = ((distance[near] - NEAR_M) / RING_M).astype(np.intp)
    z = points[near, 2].astype(np.float64)
    lowest = np.full((SECTORS, int((FAR_M - NEAR_M) / RING_M) + 1), np.inf)
    np.minimum.at(lowest, (sector, ring), z)
    above = z - _followed(lowest)[sector, ring]
    ground[near] = np.abs(above) <= THICK_M
    return ground


def _followed(lowest: Array) -> Array:
    """Return (sectors, rings) height of the ground, from what is lowest in each bin (inf where nothing is)."""
    first = lowest[:, : int((START_M - NEAR_M) / RING_M)]
    start = np.median(first[np.isfinite(first)]) if np.isfinite(first).any() else lowest.min()
    height, since = np.full(len(lowest), start), np.ones(len(lowest))
    level = np.empty_like(lowest)
    for ring in range(lowest.shape[1]):
        ground = np.abs(lowest[:, ring] - height) <= SLOPE * RING_M * since + STEP_M
        height = np.where(ground, lowest[:, ring], height)
        since = np.where(ground, 1.0, since + 1.0)
        level[:, ring] = height
    return level
