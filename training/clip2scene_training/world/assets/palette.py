"""Colours shared by things of all classes, dirt, and panes set into painted shells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.mesh import Color, Mesh

COMMON = np.array(
    [
        (0.80, 0.79, 0.75), (0.62, 0.61, 0.58), (0.45, 0.45, 0.46), (0.30, 0.31, 0.32), (0.16, 0.17, 0.18),
        (0.46, 0.24, 0.18), (0.60, 0.16, 0.12), (0.70, 0.36, 0.12), (0.66, 0.54, 0.34), (0.40, 0.32, 0.22),
        (0.22, 0.30, 0.16), (0.34, 0.42, 0.22), (0.16, 0.26, 0.20), (0.22, 0.32, 0.46), (0.36, 0.48, 0.56),
        (0.76, 0.62, 0.20),
    ]
)  # fmt: skip
"""What walls, vehicles, clothes and street furniture are all found in, so that a colour alone tells little."""
DUST = np.array([(0.36, 0.30, 0.23), (0.28, 0.26, 0.24), (0.46, 0.42, 0.36)])


def pick(rng: np.random.Generator, table: Array, stray: float = 0.0, common: Array = COMMON) -> Color:
    """Return a random row of a colour table, varied in brightness and tint; with chance `stray` one of `common`."""
    rows = common if rng.random() < stray else table
    color = rows[rng.integers(len(rows))] * rng.uniform(0.75, 1.2) + rng.uniform(-0.03, 0.03, 3)
    return tuple(np.clip(color, 0.02, 0.95))


def soiled(mesh: Mesh, rng: np.random.Generator, chance: float = 0.6, height_m: float = 1.3) -> Mesh:
    """Return a mesh with dust and mud on it, thickest at the bottom; clean with the remaining chance."""
    if rng.random() > chance:
        return mesh
    level = mesh.vertices[mesh.faces, 2].mean(axis=1)
    amount = rng.uniform(0.1, 0.75) * np.clip(1.15 - level / height_m, rng.uniform(0.0, 0.35), 1.0)
    dust = DUST[rng.integers(len(DUST))] * rng.uniform(0.8, 1.15)
    color = mesh.color + amount[:, None] * (dust - mesh.color)
    return replace(mesh, color=color.astype(np.float32))


def inset(corners: Array, u: tuple[float, float], v: tuple[float, float], lift: float = 0.012) -> Array:
    """Return the (4, 3) part of a quadrilateral between shares `u` and `v` of its sides, `lift` off its surface [m].

    Args:
        corners: (4, 3), counter-clockwise as seen from outside; u runs from corner 0 to 1, v from 1 to 2.
        u: where the part begins and ends along the bottom, in [0, 1].
        v: the same, upwards.
        lift: distance from the surface, outwards [m].
    """
    a, b, c, d = corners
    normal = np.cross(b - a, d - a)
    away = lift * normal / np.linalg.norm(normal)
    shares = ((u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1]))
    return np.stack([(a + x * (b - a)) * (1 - y) + (d + x * (c - d)) * y + away for x, y in shares])
