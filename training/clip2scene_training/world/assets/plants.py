"""Vegetation: trees with loose crowns, bushes, hedges. Leaves are small triangles that rays pass between."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.palette import pick
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh

GREENS = np.array(
    [(0.13, 0.26, 0.07), (0.20, 0.33, 0.10), (0.10, 0.20, 0.08), (0.28, 0.36, 0.12), (0.36, 0.32, 0.12),
     (0.17, 0.24, 0.05)]
)  # fmt: skip
TURNED = np.array(
    [(0.55, 0.22, 0.08), (0.62, 0.46, 0.12), (0.42, 0.14, 0.10), (0.40, 0.33, 0.22), (0.34, 0.30, 0.26),
     (0.50, 0.42, 0.26), (0.34, 0.18, 0.20)]
)  # fmt: skip
"""Leaves in autumn, dry leaves, copper beech."""
NEEDLES = np.array([(0.07, 0.17, 0.09), (0.16, 0.24, 0.20), (0.22, 0.20, 0.10), (0.12, 0.20, 0.06)])
BARKS = np.array([(0.22, 0.16, 0.11), (0.32, 0.28, 0.24), (0.16, 0.12, 0.10)])


def _green(rng: np.random.Generator) -> Array:
    """Return the colour of a plant's leaves; about a third are not green."""
    return np.asarray(pick(rng, GREENS, 0.35, TURNED))


def _leaves(rng: np.random.Generator, b: Builder, centers: Array, size: float, color: Array) -> None:
    """Add one randomly turned triangle at each center (n, 3)."""
    n = len(centers)
    corners = centers[:, None] + rng.normal(0, size, (n, 3, 3))
    faces = np.arange(3 * n).reshape(n, 3)
    b.add(corners.reshape(-1, 3), faces, Material.FOLIAGE, np.clip(color * rng.uniform(0.7, 1.35, (n, 1)), 0, 1))


def _shell(rng: np.random.Generator, n: int, low: float = 0.75, high: float = 1.1) -> Array:
    """Return (n, 3) points in a shell about the unit sphere."""
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return np.asarray(direction * rng.uniform(low, high, (n, 1)))


def tree(rng: np.random.Generator) -> Mesh:
    """Return a broad-leaved tree, a poplar, a conifer, a palm or a young street tree."""
    kind = rng.choice(5, p=[0.48, 0.12, 0.18, 0.05, 0.17])
    return (_broadleaf, _poplar, _conifer, _palm, _young)[kind](rng)


def street_tree(rng: np.random.Generator) -> Mesh:
    """Return a tree that people can walk under or past."""
    return (_broadleaf, _poplar, _palm, _young)[rng.choice(4, p=[0.55, 0.12, 0.05, 0.28])](rng)


def _trunk(rng: np.random.Generator, b: Builder, height: float, radius: float) -> Array:
    top = np.array([rng.normal(0, 0.04) * height, rng.normal(0, 0.04) * height, height])
    b.tube((0, 0, -0.2), top, radius, Material.BARK, BARKS[rng.integers(3)], sides=7, end_radius=0.6 * radius)
    return top


def _broadleaf(rng: np.random.Generator) -> Mesh:
    height, radius = rng.uniform(5.5, 12.0), rng.uniform(1.6, 3.6)
    bare = rng.uniform(0.25, 0.4) * height
    color = _green(rng)
    b = Builder()
    top = _trunk(rng, b, bare, rng.uniform(0.12, 0.3))
    middle = np.array([top[0], top[1], (bare + height) / 2])
    half = np.array([radius, radius, (height - bare) / 2])
    for offset in _shell(rng, int(rng.integers(5, 9)), 0.35, 0.65):
        center = middle + offset * half
        size = half * rng.uniform(0.38, 0.55)
        b.tube(top, center, 0.06, Material.BARK, BARKS[0], sides=4)
        b.ball(size * 0.8, center, Material.FOLIAGE, color * rng.uniform(0.75, 1.1), roughness=0.22, rng=rng)
        _leaves(rng, b, center + _shell(rng, 60) * size, 0.17, color)
    return b.mesh()


def _poplar(rng: np.random.Generator) -> Mesh:
    height, radius, color = rng.uniform(8, 14), rng.uniform(0.8, 1.3), _green(rng)
    b = Builder()
    _trunk(rng, b, height * 0.3, 0.18)
    for z in np.linspace(0.2, 0.92, 6) * height:
        size = np.array([radius, radius, height * 0.11]) * (1.1 - 0.5 * (z / height) ** 2)
        b.ball(size * 0.85, (0, 0, z), Material.FOLIAGE, color * rng.uniform(0.8, 1.1), roughness=0.2, rng=rng)
        _leaves(rng, b, np.array([0, 0, z]) + _shell(rng, 50) * size, 0.15, color)
    return b.mesh()


def _conifer(rng: np.random.Generator) -> Mesh:
    height, radius = rng.uniform(4, 11), rng.uniform(1.1, 2.2)
    color = np.asarray(pick(rng, NEEDLES))
    b = Builder()
    _trunk(rng, b, height * 0.9, 0.15)
    layers = int(rng.integers(5, 8))
    for i, z in enumerate(np.linspace(0.12, 0.85, layers) * height):
        spread = radius * (1.0 - 0.85 * i / layers) * rng.uniform(0.9, 1.1)
        rise = height * 1.3 / layers
        b.tube((0, 0, z), (0, 0, z + rise), spread * 0.85, Material.FOLIAGE, color, sides=9, end_radius=0.05)
        angle, out = rng.uniform(0, 2 * np.pi, 45), rng.uniform(0.4, 1.05, 45) * spread
        ring = np.stack([out * np.cos(angle), out * np.sin(angle), z + rise * (1 - out / spread) * 0.9], axis=1)
        _leaves(rng, b, ring, 0.16, color)
    return b.mesh()


def _palm(rng: np.random.Generator) -> Mesh:
    height, color = rng.uniform(5, 9), _green(rng)
    b = Builder()
    top = _trunk(rng, b, height, 0.2)
    for angle in np.linspace(0, 2 * np.pi, 11)[:-1] + rng.uniform(0, 1):
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        side = np.array([-out[1], out[0], 0.0])
        bend = top + out * 1.2 + [0, 0, 0.5]
        tip = top + out * rng.uniform(2.0, 2.8) + [0, 0, -rng.uniform(0.2, 0.9)]
        blades = [[top, bend - 0.3 * side, tip, bend + 0.3 * side]]
        b.quads(np.array(blades), Material.FOLIAGE, color * rng.uniform(0.8, 1.2))
    return b.mesh()


def _young(rng: np.random.Generator) -> Mesh:
    height, color = rng.uniform(3.2, 5.0), _green(rng)
    radius = rng.uniform(0.7, 1.2)
    b = Builder()
    top = _trunk(rng, b, height - radius, 0.07)
    b.ball((radius * 0.7,) * 3, top, Material.FOLIAGE, color, roughness=0.3, rng=rng)
    _leaves(rng, b, top + _shell(rng, 130, 0.6, 1.15) * radius, 0.14, color)
    for side in (-0.35, 0.35):
        b.tube((side, 0, 0), (side, 0, 1.6), 0.04, Material.WOOD, (0.35, 0.26, 0.16), sides=5)
    return b.mesh()


def bush(rng: np.random.Generator) -> Mesh:
    """Return a bush of one to four round clumps, knee-high to taller than a car."""
    color, scale = _green(rng), rng.uniform(0.6, 1.3)
    b = Builder()
    for _ in range(int(rng.integers(1, 5))):
        size = np.array([rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.9), rng.uniform(0.35, 0.9)]) * scale
        center = np.array([rng.normal(0, 0.45), rng.normal(0, 0.45), size[2] * 0.85])
        b.ball(size * 0.85, center, Material.FOLIAGE, color * rng.uniform(0.8, 1.1), roughness=0.25, rng=rng)
        _leaves(rng, b, center + _shell(rng, 55) * size, 0.10, color)
    return b.mesh()


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """Return a clipped hedge along x, centred: loose, or cut so close that its sides are as flat as a wall."""
    height, depth, color = rng.uniform(0.7, 2.2), rng.uniform(0.4, 1.1), _green(rng)
    b = Builder()
    close = rng.random() < 0.45
    fill = 1.0 if close else 0.9
    b.box((length, depth * fill, height), (0, 0, height / 2), Material.FOLIAGE, color)
    n = int((8 if close else 20) * length * height)
    box = np.array([length / 2, depth / 2, height / 2])
    spots = rng.uniform(-1, 1, (n, 3))
    spots[np.arange(n), rng.choice(3, n, p=[0.06, 0.64, 0.30])] = rng.choice([-1.0, 1.0], n)
    spots[:, 2] = np.where(spots[:, 2] == -1.0, 1.0, spots[:, 2])
    _leaves(rng, b, spots * box + [0, 0, height / 2 + 0.06], 0.03 if close else 0.08, color)
    return b.mesh()
