"""Procedural surfaces: what colour a point of a thing has, by material and place."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.materials import SURFACES, Material, column

SIDE = 64
"""Cells along each edge of the noise volume, a power of two; it repeats beyond."""
CELLS = 4.0
"""Cells of the volume for one feature of the noise."""
GRAIN, BLOTCH = column("grain"), column("blotch")
GRAIN_M, BLOTCH_M = column("grain_m"), column("blotch_m")
PAVING = np.array([SURFACES[m].pattern == "paving" for m in Material])
BRICK = np.array([SURFACES[m].pattern == "brick" for m in Material])


@lru_cache(maxsize=1)
def _noise() -> Array:
    """Return (SIDE**3,) float32 smooth noise in [-1, 1] that tiles."""
    rng = np.random.default_rng(7)
    volume: Array = rng.standard_normal((SIDE, SIDE, SIDE)).astype(np.float32)
    for axis in range(3):
        for _ in range(2):
            volume = (np.roll(volume, 1, axis) + 2 * volume + np.roll(volume, -1, axis)) / 4
    return np.asarray(np.clip(volume / (2.2 * volume.std()), -1, 1)).ravel()


def noise(points: Array, feature_m: Array | float) -> Array:
    """Return (N,) float32 smooth noise in [-1, 1] at (N, 3) points, with features of the given size [m]."""
    scale = CELLS / np.asarray(feature_m, np.float32)
    cell = np.floor(points * (scale[:, None] if np.ndim(scale) else scale)).astype(np.int32) & (SIDE - 1)
    return np.asarray(_noise()[(cell[:, 0] * SIDE + cell[:, 1]) * SIDE + cell[:, 2]])


def _hash(a: Array, b: Array) -> Array:
    """Return (N,) float32 in [0, 1) for pairs of integers."""
    mixed = (a.astype(np.int64) * 73856093) ^ (b.astype(np.int64) * 19349663)
    return ((mixed * 2654435761 >> 8) & 0xFFFF).astype(np.float32) / 65536.0


def surface_color(material: Array, color: Array, texcoord: Array, footprint_m: Array) -> Array:
    """Return (N, 3) float32 albedo.

    Args:
        material: (N,) uint8.
        color: (N, 3) base colours.
        texcoord: (N, 3) where on the thing [m].
        footprint_m: (N,) size of a pixel there [m]; texture finer than this fades out instead of flickering.
    """
    tone = np.ones(len(material), np.float32)
    fine = np.clip(1.5 * GRAIN_M[material] / np.maximum(footprint_m, 1e-4), 0, 1)
    tone += GRAIN[material] * (0.35 + 0.65 * fine) * noise(texcoord, GRAIN_M[material])
    tone += BLOTCH[material] * noise(texcoord + 17.0, BLOTCH_M[material])
    for chosen, pattern in ((PAVING, _paving), (BRICK, _bricks)):
        which = np.flatnonzero(chosen[material])
        if len(which):
            tone[which] *= pattern(texcoord[which], footprint_m[which])
    return np.asarray(np.clip(color * np.maximum(tone, 0.15)[:, None], 0.0, 1.0))


def _paving(at: Array, footprint: Array) -> Array:
    """Return (N,) tone of square slabs with dark joints."""
    slab = 0.6
    x, y = at[:, 0] / slab, at[:, 1] / slab
    joint = (x - np.floor(x) < 0.05) | (y - np.floor(y) < 0.05)
    fade = np.clip(0.12 / np.maximum(footprint, 1e-4), 0, 1)
    shade = 0.22 * (_hash(np.floor(x), np.floor(y)) - 0.5)
    return np.asarray(1.0 + fade * (shade - 0.35 * joint))


def _bricks(at: Array, footprint: Array) -> Array:
    """Return (N,) tone of bricks in running bond with light mortar; drawn a little larger than life."""
    row = np.floor(at[:, 2] / 0.12)
    along = (at[:, 0] + at[:, 1]) / 0.36 + 0.5 * (row.astype(np.int64) & 1)
    mortar = (at[:, 2] / 0.12 - row < 0.16) | (along - np.floor(along) < 0.08)
    fade = np.clip(0.08 / np.maximum(footprint, 1e-4), 0, 1)
    shade = 0.35 * (_hash(row, np.floor(along)) - 0.5)
    return np.asarray(1.0 + fade * (shade + 0.30 * mortar))
