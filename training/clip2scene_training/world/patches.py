"""Rectangles of ground in street coordinates, and their meshes bent along the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Color, Mesh
from clip2scene_training.world.road import KNOT_M, Road

SKIRT_M = 16.0
"""The sides of raised ground reach down this far."""
ROLLING_STEP_M = 2.5


@dataclass(frozen=True)
class Patch:
    """One rectangle of ground.

    Attributes:
        s, d: ranges [m].
        z: height above the road [m].
        label, material, color: what it is.
        skirt: its sides are closed downwards.
        rolling: how uneven it is, 0 level.
        bank: (near, far, rise): between two distances from the centreline it goes up by `rise` [m].
    """

    s: tuple[float, float]
    d: tuple[float, float]
    z: float
    label: Label
    material: Material
    color: Color
    skirt: bool = False
    rolling: float = 0.0
    bank: tuple[float, float, float] = (0.0, 1.0, 0.0)


def between(sign: int, near: float, far: float) -> tuple[float, float]:
    """Return the range of d between two distances from the centreline, left where `sign` is positive."""
    return (near, far) if sign > 0 else (-far, -near)


def patch_mesh(road: Road, patch: Patch, rng: np.random.Generator) -> Mesh:
    """Return a patch as a grid whose corners lie where the road or the bank bends."""
    near, far, rise = patch.bank
    rows = _cuts(patch.s, ROLLING_STEP_M if patch.rolling else KNOT_M, aligned=True)
    kinks = [v for v in (near, far, -near, -far) if rise and patch.d[0] + 0.01 < v < patch.d[1] - 0.01]
    columns = np.unique([*(_cuts(patch.d, ROLLING_STEP_M) if patch.rolling else patch.d), *kinks])
    s, d = np.meshgrid(rows, columns, indexing="ij")
    z = patch.z + rise * np.clip((np.abs(d) - near) / (far - near), 0.0, 1.0) + _bumps(patch, s.shape, rng)
    top = np.concatenate([road.point_at(s, d), (z + road.height_at(s))[..., None]], axis=-1).reshape(-1, 3)
    texture = np.stack([s, d, z], axis=-1).reshape(-1, 3)
    index = np.arange(s.size).reshape(s.shape)
    a, b, c, e = (index[:-1, :-1].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel(), index[:-1, 1:].ravel())
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, e], 1)])
    if patch.skirt:
        rim = np.concatenate([index[:, 0], index[-1, 1:], index[::-1, -1][1:], index[0, ::-1][1:]])
        this, below = np.arange(len(rim) - 1), len(top) + np.arange(len(rim) - 1)
        walls = [np.stack([rim[this], rim[this + 1], below + 1], 1), np.stack([rim[this], below + 1, below], 1)]
        faces = np.concatenate([faces, *walls])
        top = np.concatenate([top, top[rim] - [0, 0, SKIRT_M]])
        texture = np.concatenate([texture, texture[rim] - [0, 0, SKIRT_M]])
    material = np.full(len(faces), patch.material, np.uint8)
    color = np.broadcast_to(np.asarray(patch.color, np.float32), (len(faces), 3))
    return Mesh(top.astype(np.float32), texture.astype(np.float32), faces.astype(np.int32), material, color)


def _cuts(span: tuple[float, float], step: float, *, aligned: bool = False) -> Array:
    """Return positions from end to end of a span at most `step` apart, at multiples of it where `aligned`."""
    low, high = span
    if not aligned:
        return np.linspace(low, high, max(1, int(np.ceil((high - low) / step))) + 1)
    inner = step * np.arange(np.floor(low / step) + 1, np.ceil(high / step))
    return np.unique([low, *inner, high])


def _bumps(patch: Patch, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return heights to add [m]: none, or rolling inside a level rim so that patches join."""
    z = np.zeros(shape)
    if not patch.rolling:
        return z
    wild = patch.rolling >= 1.0
    rise = rng.uniform(-0.5, 1.0, shape) if wild else rng.uniform(-1.0, 0.8, shape)
    z[1:-1, 1:-1] = (rise * (0.25 if wild else 1.0) * patch.rolling)[1:-1, 1:-1]
    return z
