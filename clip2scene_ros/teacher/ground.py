"""How high points are above the ground: the lowest returns, followed outwards as far as a road can climb."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array

SECTORS = 180
RING_M = 1.0
NEAR_M, FAR_M = 2.0, 80.0
START_M = 10.0
"""The ground's height at the vehicle is the median of what is lowest in each direction up to here."""
SLOPE, STEP_M = 0.15, 0.1
"""What the ground may rise or fall from one bin to the next: a slope, and at once half a kerb."""
REMEMBERED = 3
"""Bins without ground that widen what the next may rise; more, and the ground would climb onto roofs."""
LYING_M = 0.1
"""Returns up to this above the lowest ones lie on the ground; most of the foot of a cone is higher."""
STANDING_M = 0.25
"""Higher ones stand on it; between the two, at kerbs, nothing is said."""


def heights(points: Array) -> Array:
    """Return (N,) float64 height above the ground [m], NaN where no ground is near. z points up.

    Directions and distances are divided into bins. Outwards from the vehicle, the lowest return of each bin is ground
    where it is not above or below the ground before it by more than a slope and a step; else the ground goes on level.

    Args:
        points: (N, 3) in the LiDAR's frame [m].
    """
    height = np.full(len(points), np.nan)
    with np.errstate(invalid="ignore"):
        distance = np.hypot(points[:, 0], points[:, 1])
        near = np.flatnonzero((distance >= NEAR_M) & (distance < FAR_M) & np.isfinite(points[:, 2]))
    if not len(near):
        return height
    azimuth = np.arctan2(points[near, 1], points[near, 0])
    sector = ((azimuth + np.pi) / (2 * np.pi) * SECTORS).astype(np.intp) % SECTORS
    ring = ((distance[near] - NEAR_M) / RING_M).astype(np.intp)
    z = points[near, 2].astype(np.float64)
    lowest = np.full((SECTORS, int((FAR_M - NEAR_M) / RING_M) + 1), np.inf)
    np.minimum.at(lowest, (sector, ring), z)
    height[near] = z - _followed(lowest)[sector, ring]
    return height


def _followed(lowest: Array) -> Array:
    """Return (sectors, rings) height of the ground, from what is lowest in each bin (inf where nothing is)."""
    first = lowest[:, : int((START_M - NEAR_M) / RING_M)]
    start = np.median(first[np.isfinite(first)]) if np.isfinite(first).any() else lowest.min()
    height, since = np.full(len(lowest), start), np.full(len(lowest), float(REMEMBERED))
    level = np.empty_like(lowest)
    for ring in range(lowest.shape[1]):
        ground = np.abs(lowest[:, ring] - height) <= SLOPE * RING_M * np.minimum(since, REMEMBERED) + STEP_M
        height = np.where(ground, lowest[:, ring], height)
        since = np.where(ground, 1.0, since + 1.0)
        level[:, ring] = height
    return level
