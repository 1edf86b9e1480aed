"""Points in cubes: which lie together, and what holds for all of a cube."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from clip2scene_ros.frame import Array

FAR_M = 30.0
"""From here on cubes are twice as wide: beams are farther apart than a near cube's edge."""
BITS = 20
"""Of a cube's number along each axis: 52 km at 0.1 m."""
HALF_OF_NEIGHBOURS = [offset for offset in product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)]
"""13 of a cube's 26 neighbours; the others have it as theirs."""
MIN_POINTS = 4
"""A plane needs three; the fourth can contradict."""


def keys(points: Array, edge_m: float, *, grow: bool = False) -> Array:
    """Return (N,) int64, equal for points of one cube; points that are not finite, or 52 km away, share -1.

    Args:
        points: (N, 3) [m].
        edge_m: of a cube.
        grow: cubes beyond `FAR_M` from the origin have twice this edge, and keys of their own.
    """
    with np.errstate(invalid="ignore"):
        far: Array = np.asarray((np.linalg.norm(points, axis=1) >= FAR_M) & grow)
        cell = np.floor(points / np.where(far[:, None], 2 * edge_m, edge_m))
    limit = 1 << (BITS - 1)
    inside = np.isfinite(cell).all(axis=1) & (np.abs(cell) < limit - 1).all(axis=1)
    cell = np.where(np.asarray(inside)[:, None], cell, 0).astype(np.int64) + limit
    packed = pack(cell) | (far.astype(np.int64) << (3 * BITS))
    found: Array = np.where(inside, packed, -1)
    return found


def pack(cell: Array) -> Array:
    """Return (N,) int64 of (N, 3) cube numbers in 0..2^20 - 1."""
    packed: Array = (cell[:, 0] << (2 * BITS)) | (cell[:, 1] << BITS) | cell[:, 2]
    return packed


def sums(values: Array, group: Array, groups: int) -> Array:
    """Return (groups, D) float32 sums of (N, D) values by (N,) group number."""
    total = torch.zeros((groups, values.shape[1]), dtype=torch.float32)
    total.index_add_(0, torch.from_numpy(group), torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)))
    return total.numpy()


def components(points: Array, edge_m: float) -> Array:
    """Return (N,) int64 number of the connected component of each finite point: cubes that touch belong together.

    Args:
        points: (N, 3) finite [m].
        edge_m: of a cube; points up to this far apart are always connected.
    """
    cubes, which = np.unique(keys(points, edge_m), return_inverse=True)
    first, second = _touching(cubes)
    label = np.arange(len(cubes))
    while True:
        lower = np.minimum(label[first], label[second])
        joined = label.copy()
        np.minimum.at(joined, label[first], lower)
        np.minimum.at(joined, label[second], lower)
        while (joined[joined] != joined).any():
            joined = joined[joined]
        if (joined == label).all():
            numbers: Array = np.unique(label, return_inverse=True)[1][which]
            return numbers
        label = joined


def _touching(cubes: Array) -> tuple[Array, Array]:
    """Return the pairs of positions in the sorted (V,) keys whose cubes touch, by a face, an edge or a corner."""
    first, second = [], []
    for offset in HALF_OF_NEIGHBOURS:
        step = int(sum(o << (BITS * (2 - axis)) for axis, o in enumerate(offset)))
        place = np.minimum(np.searchsorted(cubes, cubes + step), len(cubes) - 1)
        there = np.flatnonzero((cubes[place] == cubes + step) & (cubes >= 0)) if len(cubes) else place
        first.append(there)
        second.append(place[there])
    return np.concatenate(first), np.concatenate(second)


def normals(points: Array, edge_m: float) -> Array:
    """Return (N, 3) float32 unit normals of the surface around each point, zeros where too few points tell.

    All points of a cube share one: the direction in which they vary least.

    Args:
        points: (N, 3) [m].
        edge_m: of a cube.
    """
    return planes(points, edge_m)[0]


def planes(points: Array, edge_m: float) -> tuple[Array, Array]:
    """Return the plane of each point's cube: its normal, and how far the cube's points are from it.

    Returns:
        (N, 3) float32 unit normals and (N,) float32 root mean square distances [m]; zeros and NaN where too few points
        tell.

    Args:
        points: (N, 3) [m].
        edge_m: of a cube.
    """
    cubes, which, count = np.unique(keys(points, edge_m, grow=True), return_inverse=True, return_counts=True)
    known = (count >= MIN_POINTS) & (cubes >= 0)
    centre = sums(np.nan_to_num(points, nan=0, posinf=0, neginf=0), which, len(cubes)) / count[:, None]
    apart = np.where(known[which, None], points - centre[which], 0).astype(np.float32)
    outer = sums((apart[:, :, None] * apart[:, None, :]).reshape(-1, 9), which, len(cubes)).reshape(-1, 3, 3)
    found, away = np.zeros((len(cubes), 3), np.float32), np.full(len(cubes), np.nan, np.float32)
    spread, directions = np.linalg.eigh(outer[known])  # eigenvalues come in ascending order
    found[known] = directions[:, :, 0]
    away[known] = np.sqrt(np.maximum(spread[:, 0], 0) / count[known])
    return found[which], away[which]
