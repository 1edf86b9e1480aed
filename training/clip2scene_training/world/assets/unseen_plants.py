"""Vegetation of the unseen family: cypresses, willows, birches, umbrella pines, bare trees, agaves, clipped shapes.

Leaves are narrow blades with four corners, where the seen family has triangles.
"""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.palette import pick
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

LEAVES = np.array(
    [
        (0.24, 0.32, 0.20), (0.42, 0.46, 0.30), (0.16, 0.26, 0.18), (0.52, 0.44, 0.16), (0.34, 0.42, 0.34),
        (0.46, 0.26, 0.16), (0.30, 0.36, 0.08), (0.40, 0.36, 0.28),
    ]
)  # fmt: skip
"""Grey-green, olive, blue-green, and the gold and rust of autumn."""
TRUNKS = np.array([(0.40, 0.34, 0.28), (0.20, 0.17, 0.15), (0.46, 0.38, 0.30)])
BIRCH = (0.80, 0.79, 0.75)


def _blades(rng: np.random.Generator, b: Builder, at: Array, size: float, color: Color, hang: float = 0.0) -> None:
    """Add a narrow blade at each of (n, 3) places, `size` long [m]; `hang` turns them downwards."""
    n = len(at)
    along = rng.normal(size=(n, 3)) - [0, 0, hang]
    along *= size / np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, rng.normal(size=(n, 3)))
    across *= 0.45 * size / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
    tones = np.clip(np.asarray(color) * rng.uniform(0.65, 1.35, (n, 1)), 0, 1)
    b.quads(np.stack([at - along, at + across, at + along, at - across], axis=1), Material.FOLIAGE, tones)


def _around(rng: np.random.Generator, n: int) -> Array:
    """Return (n, 3) points on the unit sphere."""
    direction = rng.normal(size=(n, 3))
    return np.asarray(direction / np.linalg.norm(direction, axis=1, keepdims=True))


def _cypress(rng: np.random.Generator) -> Mesh:
    tall, radius, color = rng.uniform(5, 10), rng.uniform(0.5, 0.9), pick(rng, LEAVES)
    b = Builder()
    b.tube((0, 0, -0.2), (0, 0, 0.7), 0.14, Material.BARK, pick(rng, TRUNKS), sides=6)
    cuts = np.array([0.4, 0.14 * tall, 0.45 * tall, 0.8 * tall, tall])
    radii = np.array([0.45, 0.9, 1.0, 0.55, 0.05]) * radius
    for i in range(4):
        b.tube((0, 0, cuts[i]), (0, 0, cuts[i + 1]), 0.88 * radii[i], Material.FOLIAGE, color, sides=8,
               end_radius=0.88 * radii[i + 1])  # fmt: skip
    z, turn = rng.uniform(0.4, tall, 260), rng.uniform(0, 2 * np.pi, 260)
    r = np.interp(z, cuts, radii) * rng.uniform(0.85, 1.1, 260)
    _blades(rng, b, np.stack([r * np.cos(turn), r * np.sin(turn), z], axis=1), 0.2, color)
    return b.mesh()


def _willow(rng: np.random.Generator) -> Mesh:
    tall, spread, color = rng.uniform(5, 8), rng.uniform(2.2, 3.4), pick(rng, LEAVES)
    bark = pick(rng, TRUNKS)
    b = Builder()
    b.tube((0, 0, -0.2), (0, 0, 0.5 * tall), 0.32, Material.BARK, bark, sides=7, end_radius=0.2)
    for turn in np.linspace(0, 2 * np.pi, 8)[:-1] + rng.uniform(0, 1):
        tip = np.array([spread * 0.6 * np.cos(turn), spread * 0.6 * np.sin(turn), 0.88 * tall])
        b.tube((0, 0, 0.48 * tall), tip, 0.09, Material.BARK, bark, sides=4, end_radius=0.03)
    turn, out = rng.uniform(0, 2 * np.pi, 110), spread * np.sqrt(rng.uniform(0.15, 1, 110))
    top = tall * (1.02 - 0.22 * (out / spread) ** 2)
    drop = rng.uniform(0.35, 0.85, 110) * (top - 0.6)
    for k in np.linspace(0, 1, 5):
        at = np.stack([out * np.cos(turn), out * np.sin(turn), top - k * drop], axis=1)
        _blades(rng, b, at + rng.normal(0, 0.1, at.shape), 0.34, color, hang=3.0)
    return b.mesh()


def _birch(rng: np.random.Generator) -> Mesh:
    tall, color = rng.uniform(6, 11), pick(rng, LEAVES)
    b = Builder()
    for _ in range(int(rng.integers(1, 4))):
        foot, lean = rng.normal(0, 0.18, 2), rng.normal(0, 0.06, 2) * tall
        top = np.array([foot[0] + lean[0], foot[1] + lean[1], 0.92 * tall])
        start = np.array([*foot, -0.2])
        b.tube(start, top, 0.11, Material.PLASTER, BIRCH, sides=6, end_radius=0.03)
        for z in rng.uniform(0.05, 0.6, 6):
            at = start + z * (top - start)
            b.tube(at, at + [0, 0, 0.08], 0.112 - 0.07 * z, Material.BARK, (0.12,) * 3, sides=6)
        for z in rng.uniform(0.4, 0.95, 7):
            at = start + z * (top - start)
            tip = at + _around(rng, 1)[0] * [1.3, 1.3, 0.3] * (1.25 - z) + [0, 0, 0.3]
            b.tube(at, tip, 0.03, Material.BARK, (0.3, 0.27, 0.25), sides=3)
            _blades(rng, b, tip + rng.normal(0, 0.45, (34, 3)), 0.2, color, hang=0.8)
    return b.mesh()


def _umbrella(rng: np.random.Generator) -> Mesh:
    tall, radius, color = rng.uniform(6, 9), rng.uniform(2.0, 3.2), pick(rng, LEAVES)
    bark = pick(rng, TRUNKS)
    b = Builder()
    bend = np.array([rng.normal(0, 0.3), rng.normal(0, 0.3), 0.45 * tall])
    b.tube((0, 0, -0.2), bend, 0.22, Material.BARK, bark, sides=7, end_radius=0.16)
    crown = np.array([2 * bend[0], 2 * bend[1], 0.86 * tall])
    for turn in np.linspace(0, 2 * np.pi, 6)[:-1]:
        way = np.array([np.cos(turn), np.sin(turn), 0.0])
        b.tube(bend, crown + 0.55 * radius * way, 0.08, Material.BARK, bark, sides=4)
        b.ball((0.55 * radius, 0.55 * radius, 0.4), crown + 0.5 * radius * way, Material.FOLIAGE, color, roughness=0.2,
               rng=rng)  # fmt: skip
    around = _around(rng, 260) * [radius, radius, 0.75]
    around[:, 2] = np.abs(around[:, 2])
    _blades(rng, b, crown + around, 0.2, color)
    return b.mesh()


def _bare(rng: np.random.Generator) -> Mesh:
    tall, bark = rng.uniform(4.5, 8.5), pick(rng, TRUNKS)
    b = Builder()
    tips = [(np.array([0, 0, -0.2]), np.array([0, 0, 1.0]), 0.45 * tall, rng.uniform(0.13, 0.2))]
    for level in range(4):
        grown = []
        for start, way, length, radius in tips:
            end = start + way * length
            b.tube(start, end, radius, Material.BARK, bark, sides=(7, 5, 4, 3)[level], end_radius=0.6 * radius)
            for _ in range(3):
                turn = way + rng.normal(0, 0.55, 3) + [0, 0, 0.25]
                grown.append((end, turn / np.linalg.norm(turn), length * rng.uniform(0.5, 0.72), 0.55 * radius))
        tips = grown
    if rng.random() < 0.6:  # some leaves left
        ends = np.stack([start + rng.normal(0, 0.2, 3) for start, *_ in tips])
        _blades(rng, b, ends, 0.14, pick(rng, LEAVES))
    return b.mesh()


def tree(rng: np.random.Generator) -> Mesh:
    """Return a cypress, a willow, a birch, an umbrella pine or a bare tree."""
    return (_cypress, _willow, _birch, _umbrella, _bare)[rng.choice(5, p=[0.22, 0.18, 0.25, 0.2, 0.15])](rng)


def street_tree(rng: np.random.Generator) -> Mesh:
    """Return a tree that people can walk under or past."""
    return (_birch, _umbrella, _bare, _cypress)[rng.choice(4, p=[0.4, 0.25, 0.2, 0.15])](rng)


def _agave(rng: np.random.Generator) -> Mesh:
    n, color, tall = 22, pick(rng, LEAVES), rng.uniform(0.6, 1.5)
    turn, rise = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.25, 1.0, n)
    way = np.stack([np.cos(turn) * (1.15 - rise), np.sin(turn) * (1.15 - rise), rise], axis=1) * tall
    side = np.stack([-np.sin(turn), np.cos(turn), np.zeros(n)], axis=1) * 0.07 * tall
    b = Builder()
    blades = np.stack([np.zeros((n, 3)), 0.4 * way + side, way, 0.4 * way - side], axis=1)
    b.quads(blades, Material.FOLIAGE, np.clip(np.asarray(color) * rng.uniform(0.75, 1.3, (n, 1)), 0, 1))
    b.ball((0.25 * tall, 0.25 * tall, 0.3 * tall), (0, 0, 0.15 * tall), Material.FOLIAGE, color, roughness=0.3, rng=rng)
    return b.mesh()


def _clipped(rng: np.random.Generator) -> Mesh:
    size, color, tall = rng.uniform(0.45, 1.0), pick(rng, LEAVES), rng.uniform(0.9, 1.8)
    b = Builder()
    if rng.random() < 0.5:
        b.ball((size, size, tall / 2), (0, 0, tall / 2), Material.FOLIAGE, color, detail=2, roughness=0.05, rng=rng)
        _blades(rng, b, _around(rng, 150) * [size, size, tall / 2] + [0, 0, tall / 2 + 0.06], 0.07, color)
    else:
        b.box((2 * size, 1.6 * size, tall), (0, 0, tall / 2), Material.FOLIAGE, color)
        _on_box(rng, b, np.array([2 * size, 1.6 * size, tall]), 140, color)
    return b.mesh()


def _on_box(rng: np.random.Generator, b: Builder, size: Array, n: int, color: Color) -> None:
    """Add blades on the sides and the top of a box that stands on the ground."""
    spots = rng.uniform(-1, 1, (n, 3))
    face = rng.choice(3, n, p=[0.25, 0.45, 0.3])
    spots[np.arange(n), face] = np.where(face == 2, 1.0, rng.choice([-1.0, 1.0], n))
    at = spots * size / 2 + [0, 0, size[2] / 2 + 0.05]
    _blades(rng, b, at, 0.09, color)


def bush(rng: np.random.Generator) -> Mesh:
    """Return an agave, a tuft of long grass, or box clipped to a ball or a cube."""
    kind = rng.choice(3, p=[0.3, 0.25, 0.45])
    if kind != 1:
        return _agave(rng) if kind == 0 else _clipped(rng)
    b = Builder()
    spread, tall = rng.uniform(0.5, 0.9), rng.uniform(0.8, 1.6)
    foot = np.concatenate([rng.normal(0, 0.35 * spread, (90, 2)), np.zeros((90, 1))], axis=1)
    b.ball((0.5 * spread, 0.5 * spread, 0.4 * tall), (0, 0, 0.25 * tall), Material.FOLIAGE, pick(rng, LEAVES),
           roughness=0.3, rng=rng)  # fmt: skip
    _blades(rng, b, foot + [0, 0, 0.55 * tall], 0.5 * tall, pick(rng, LEAVES), hang=-3.0)
    return b.mesh()


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """Return a row of thujas or a tall clipped hedge on bare stems, along x, centred."""
    tall, color = rng.uniform(1.1, 2.4), pick(rng, LEAVES)
    b = Builder()
    if rng.random() < 0.5:
        for x in np.arange(-length / 2 + 0.35, length / 2, 0.75):
            peak = tall * rng.uniform(0.85, 1.1)
            b.tube((x, 0, 0), (x, 0, 0.5 * peak), 0.36, Material.FOLIAGE, color, sides=7, end_radius=0.42)
            b.tube((x, 0, 0.5 * peak), (x, 0, peak), 0.42, Material.FOLIAGE, color, sides=7, end_radius=0.08)
            _blades(rng, b, _around(rng, 26) * [0.42, 0.42, peak / 2] + [x, 0, peak / 2 + 0.1], 0.1, color)
        return b.mesh()
    low, depth = rng.uniform(0.0, 0.45), rng.uniform(0.45, 0.8)
    b.box((length, depth, tall - low), (0, 0, (tall + low) / 2), Material.FOLIAGE, color)
    for x in np.arange(-length / 2 + 0.3, length / 2, 1.1):
        b.tube((x, 0, 0), (x, 0, low + 0.1), 0.05, Material.BARK, pick(rng, TRUNKS), sides=5)
    n = int(28 * length)
    spots = rng.uniform(-1, 1, (n, 3)) * [length / 2, depth / 2, (tall - low) / 2]
    spots[:, 1] = rng.choice([-depth / 2, depth / 2], n)
    _blades(rng, b, spots + [0, 0, (tall + low) / 2 + 0.1], 0.08, color)
    return b.mesh()
