"""Trees, bushes, hedges: clouds of leaf triangles about rough clumps, on trunks and branches."""

from __future__ import annotations

import math

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.photos.assets.colors import hue, leaf, neutral, shade
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh


def _bark(rng: np.random.Generator) -> Color:
    return neutral(rng, 0.15, 0.75) if rng.random() < 0.25 else hue(rng, (0.04, 0.11), (0.15, 0.5), (0.12, 0.4))


def _flakes(b: Builder, rng: np.random.Generator, centers: Array, size: float, color: Color) -> None:
    """Add a leaf, a thin triangle turned at random, at each of (n, 3) centers."""
    n = len(centers)
    way = rng.normal(size=(n, 2, 3))
    way /= np.linalg.norm(way, axis=2, keepdims=True)
    corners = np.stack(
        [centers - size * way[:, 0], centers + size * way[:, 0], centers + 1.3 * size * way[:, 1]], axis=1
    )
    tones = np.asarray(color) * rng.uniform(0.6, 1.4, (n, 1)) * rng.normal(1.0, 0.06, (n, 3))
    b.add(corners.reshape(-1, 3), np.arange(3 * n).reshape(n, 3), Material.FOLIAGE, np.clip(tones, 0, 1))


def _around(rng: np.random.Generator, n: int, low: float = 0.7) -> Array:
    way = rng.normal(size=(n, 3))
    return np.asarray(way / np.linalg.norm(way, axis=1, keepdims=True) * rng.uniform(low, 1.12, (n, 1)))


def _clump(b: Builder, rng: np.random.Generator, at: Array, radii: Array, color: Color, leaves: int) -> None:
    """Add an ellipsoid of leaves with a rough dark core."""
    b.ball(radii * 0.82, at, Material.FOLIAGE, shade(color, rng.uniform(0.6, 0.95)), detail=2, roughness=0.2, rng=rng)
    _flakes(b, rng, at + _around(rng, leaves) * radii, float(np.clip(0.13 * radii.mean(), 0.06, 0.22)), color)


def tree(rng: np.random.Generator) -> Mesh:
    """Return a tree of one of seven habits."""
    return (_round, _round, _spreading, _column, _fir, _palm, _sapling, _bare)[rng.integers(8)](rng)


def _stem(b: Builder, rng: np.random.Generator, height: float, radius: float, color: Color) -> Array:
    """Add a trunk with a bend; return where it ends."""
    middle = np.array([*rng.normal(0, 0.03 * height, 2), height / 2])
    top = np.array([*rng.normal(0, 0.04 * height, 2), height])
    b.tube((0, 0, -0.3), middle, radius * 1.2, Material.BARK, color, sides=8, end_radius=radius)
    b.tube(middle, top, radius, Material.BARK, color, sides=8, end_radius=radius * 0.7)
    return top


def _round(rng: np.random.Generator) -> Mesh:
    b, color, bark = Builder(), leaf(rng), _bark(rng)
    height = rng.uniform(3.5, 12.0)
    bare = height * rng.uniform(0.18, 0.42)
    top = _stem(b, rng, bare, rng.uniform(0.025, 0.045) * height * 0.6, bark)
    crown = np.array([1, 1, 0]) * height * rng.uniform(0.22, 0.34) + [0, 0, (height - bare) / 2]
    middle = np.array([top[0], top[1], bare + crown[2] * 0.95])
    for offset in _around(rng, int(rng.integers(5, 10)), 0.3) * 0.55:
        at = middle + offset * crown
        b.tube(top, at, 0.05, Material.BARK, bark, sides=4)
        _clump(b, rng, at, crown * rng.uniform(0.4, 0.6), color, 70)
    return b.mesh()


def _spreading(rng: np.random.Generator) -> Mesh:
    b, color, bark = Builder(), leaf(rng), _bark(rng)
    bare = rng.uniform(2.2, 3.6)
    top = _stem(b, rng, bare, rng.uniform(0.15, 0.32), bark)
    for k in range(int(rng.integers(5, 9))):
        angle, reach = 2.4 * k + rng.uniform(0, 0.6), rng.uniform(1.2, 3.4)
        at = top + [reach * math.cos(angle), reach * math.sin(angle), rng.uniform(0.8, 3.2)]
        b.tube(top, at, 0.09, Material.BARK, bark, sides=5, end_radius=0.05)
        _clump(b, rng, at, np.array([1.3, 1.3, 0.8]) * rng.uniform(0.7, 1.2), color, 80)
    return b.mesh()


def _column(rng: np.random.Generator) -> Mesh:
    b, color, height = Builder(), leaf(rng), rng.uniform(4.0, 13.0)
    radius = height * rng.uniform(0.07, 0.13)
    _stem(b, rng, height * 0.3, 0.14, _bark(rng))
    for z in np.linspace(0.14, 0.94, 7):
        wide = radius * (1.15 - z * z)
        _clump(b, rng, np.array([0, 0, z * height]), np.array([wide, wide, height * 0.1]), color, 55)
    return b.mesh()


def _fir(rng: np.random.Generator) -> Mesh:
    b, height = Builder(), rng.uniform(2.5, 12.0)
    color = hue(rng, (0.2, 0.45), (0.25, 0.7), (0.1, 0.3))
    _stem(b, rng, height * 0.92, 0.02 * height, _bark(rng))
    base, whorls = height * rng.uniform(0.2, 0.32), int(rng.integers(6, 11))
    for share in np.linspace(0.06, 0.9, whorls):
        reach, z = base * (1 - share) + 0.1, share * height
        drop = height / whorls
        b.tube((0, 0, z), (0, 0, z + drop * 1.5), reach * 0.8, Material.FOLIAGE, shade(color, 0.7), sides=10,
               end_radius=0.04)  # fmt: skip
        angle, out = rng.uniform(0, 2 * np.pi, 60), rng.uniform(0.3, 1.05, 60) * reach
        ring = np.stack([out * np.cos(angle), out * np.sin(angle), z + drop * 1.4 * (1 - out / reach) * 0.9], axis=1)
        _flakes(b, rng, ring, 0.13, color)
    return b.mesh()


def _palm(rng: np.random.Generator) -> Mesh:
    b, color = Builder(), leaf(rng)
    top = _stem(b, rng, rng.uniform(3.5, 9), rng.uniform(0.13, 0.24), _bark(rng))
    for angle in rng.uniform(0, 2 * np.pi, int(rng.integers(9, 16))):
        out, rise, reach = np.array([math.cos(angle), math.sin(angle), 0]), rng.uniform(0.1, 1.0), rng.uniform(1.4, 2.8)
        side = 0.22 * np.array([-out[1], out[0], 0])
        knee, tip = top + reach * 0.55 * out + [0, 0, rise], top + reach * out + [0, 0, rise - rng.uniform(0.5, 1.6)]
        tone = shade(color, rng.uniform(0.7, 1.3))
        b.quads(np.array([[top - side / 3, knee - side, knee + side, top + side / 3],
                          [knee - side, tip - side / 4, tip + side / 4, knee + side]]), Material.FOLIAGE,
                tone)  # fmt: skip
    return b.mesh()


def _sapling(rng: np.random.Generator) -> Mesh:
    b, color, height = Builder(), leaf(rng), rng.uniform(2.2, 4.8)
    top = _stem(b, rng, height * 0.6, rng.uniform(0.03, 0.06), _bark(rng))
    _clump(
        b, rng, top + [0, 0, 0.15 * height], np.array([0.24, 0.24, 0.28]) * height * rng.uniform(0.8, 1.2), color, 150
    )
    if rng.random() < 0.5:
        b.tube((0.3, 0, 0), (0.3, 0, 1.5), 0.035, Material.WOOD, (0.4, 0.3, 0.2))
    return b.mesh()


def _bare(rng: np.random.Generator) -> Mesh:
    b, bark = Builder(), _bark(rng)
    top = _stem(b, rng, rng.uniform(2.0, 3.2), rng.uniform(0.1, 0.22), bark)
    twigs = []
    for k in range(8):
        angle = 0.8 * k + rng.uniform(0, 0.5)
        end = top + [
            rng.uniform(0.7, 1.8) * math.cos(angle),
            rng.uniform(0.7, 1.8) * math.sin(angle),
            rng.uniform(1, 3),
        ]
        b.tube(top, end, 0.06, Material.BARK, bark, sides=5, end_radius=0.025)
        for _ in range(5):
            twig = end + rng.normal(0, 0.5, 3) + [0, 0, 0.5]
            b.tube(top + (end - top) * rng.uniform(0.5, 1), twig, 0.018, Material.BARK, bark, sides=3)
            twigs.append(twig)
    _flakes(b, rng, np.repeat(np.array(twigs), 5, axis=0) + rng.normal(0, 0.2, (5 * len(twigs), 3)), 0.08, leaf(rng))
    return b.mesh()


def bush(rng: np.random.Generator) -> Mesh:
    """Return a bush: round, ragged, or clipped to a ball."""
    b, color, size = Builder(), leaf(rng), rng.uniform(0.35, 1.3)
    for _ in range(int(rng.integers(1, 6))):
        radii = size * rng.uniform(0.6, 1.1, 3)
        at = np.array([*rng.normal(0, 0.7 * size, 2), radii[2] * 0.75])
        _clump(b, rng, at, radii, shade(color, rng.uniform(0.85, 1.15)), 110)
    if rng.random() < 0.25:  # in flower
        _flakes(
            b, rng, _around(rng, 60, 0.9) * size + [0, 0, size * 0.7], 0.05, hue(rng, (0, 1), (0.1, 0.8), (0.6, 0.95))
        )
    return b.mesh()


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """Return a clipped hedge along x."""
    b, color = Builder(), leaf(rng)
    tall, wide = rng.uniform(0.6, 2.4), rng.uniform(0.5, 1.2)
    b.box((length, wide * 0.9, tall * 0.96), (0, 0, tall * 0.48), Material.FOLIAGE, shade(color, 0.8))
    n = int(70 * length)
    at = rng.uniform((-length / 2, -wide / 2, 0), (length / 2, wide / 2, tall), (n, 3))
    flat = rng.random(n)
    at[:, 1] = np.where(flat < 0.65, np.sign(at[:, 1]) * wide / 2, at[:, 1])
    at[:, 2] = np.where(flat >= 0.65, tall, at[:, 2])
    _flakes(b, rng, at + rng.normal(0, 0.03, (n, 3)), 0.09, color)
    return b.mesh()
