"""Nearest neighbours between two clouds within a short radius, by a hash of cells: numpy only."""

from __future__ import annotations

from itertools import product

import numpy as np

from clip2scene_ros.frame import Array

NONE = -1
"""Where a point has no neighbour."""


def nearest_within(points: Array, others: Array, radius_m: float) -> Array:
    """Return (N,) int64: for each point the index of the nearest of `others` within `radius_m`, or -1.

    Cells are as long as the radius, so that all that is near enough lies in the 27 cells around a point.

    Args:
        points: (N, 3) [m].
        others: (M, 3) [m].
        radius_m: farthest distance that counts, inclusive [m].
    """
    found = np.full(len(points), NONE, dtype=np.int64)
    if not len(points) or not len(others):
        return found
    low = np.minimum(points.min(axis=0), others.min(axis=0)).astype(np.float64) - radius_m
    high = np.maximum(points.max(axis=0), others.max(axis=0)).astype(np.float64) + radius_m
    shape = np.floor((high - low) / radius_m).astype(np.int64) + 2
    cells = np.floor((points - low) / radius_m).astype(np.int64)
    keys = _key(np.floor((others - low) / radius_m).astype(np.int64), shape)
    order = np.argsort(keys, kind="stable")
    best = np.full(len(points), radius_m**2)
    for offset in product((-1, 0, 1), repeat=3):
        wanted = _key(cells + offset, shape)
        starts = np.searchsorted(keys, wanted, "left", sorter=order)
        counts = np.searchsorted(keys, wanted, "right", sorter=order) - starts
        _take_nearer(points, others[order], starts, counts, best, found)
    found[found != NONE] = order[found[found != NONE]]
    return found


def _key(cells: Array, shape: Array) -> Array:
    key: Array = (cells[:, 0] * shape[1] + cells[:, 1]) * shape[2] + cells[:, 2]
    return key


def _take_nearer(points: Array, others: Array, starts: Array, counts: Array, best: Array, found: Array) -> None:
    """Update `best`, squared distances, and `found`, rows of `others`, from each point's candidates."""
    asked = np.flatnonzero(counts)
    if not len(asked):
        return
    counts, starts = counts[asked], starts[asked]
    first = np.cumsum(counts) - counts
    candidates = np.arange(counts.sum()) + np.repeat(starts - first, counts)
    gaps = points[np.repeat(asked, counts)].astype(np.float64) - others[candidates]
    squared = np.einsum("ij,ij->i", gaps, gaps)
    nearest = np.minimum.reduceat(squared, first)
    is_nearest = np.flatnonzero(squared == np.repeat(nearest, counts))
    owner = np.repeat(np.arange(len(asked)), counts)[is_nearest]
    row = candidates[is_nearest[np.unique(owner, return_index=True)[1]]]
    closer = (nearest <= best[asked]) & ((nearest < best[asked]) | (found[asked] == NONE))
    best[asked[closer]], found[asked[closer]] = nearest[closer], row[closer]
