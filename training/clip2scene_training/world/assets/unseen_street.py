"""Street furniture of the unseen family: globe lamps, lattice poles, signs, kiosks, iron fences, stone walls."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from clip2scene_training.world.assets.palette import pick, soiled
from clip2scene_training.world.assets.unseen_cars import BLACK, SMOKE, TOWN
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh

IRON = np.array([(0.10, 0.12, 0.11), (0.14, 0.24, 0.18), (0.50, 0.51, 0.50), (0.36, 0.26, 0.20)])
BANDS = np.array([(0.82, 0.80, 0.74), (0.80, 0.78, 0.20), (0.70, 0.12, 0.10)])
HUES = np.array([(0.86, 0.40, 0.12), (0.76, 0.70, 0.16), (0.66, 0.16, 0.12), (0.30, 0.42, 0.26)])
"""Posts and barriers of road works."""


def lamp_post(rng: np.random.Generator) -> Mesh:
    """Return a lamp with two arms across the road, or an old one with a globe."""
    color = pick(rng, IRON)
    b = Builder()
    if rng.random() < 0.5:
        tall, arm = rng.uniform(7.0, 10.0), rng.uniform(1.2, 2.0)
        b.tube((0, 0, 0), (0, 0, tall), 0.13, Material.METAL, color, sides=5, end_radius=0.07)
        for side in (-1, 1):
            b.tube((0, 0, tall - 0.6), (0, side * arm, tall), 0.045, Material.METAL, color, sides=4)
            b.tube((0, side * arm, tall - 0.08), (0, side * (arm + 0.7), tall), 0.14, Material.LAMP, (0.66, 0.66, 0.6),
                   sides=6, end_radius=0.05)  # fmt: skip
        b.tube((0, 0, 0), (0, 0, 0.35), 0.28, Material.CONCRETE, (0.56, 0.55, 0.52), sides=8)
        return b.mesh()
    tall = rng.uniform(3.4, 4.6)
    b.tube((0, 0, 0), (0, 0, 0.9), 0.16, Material.METAL, color, sides=8, end_radius=0.08)
    b.tube((0, 0, 0.9), (0, 0, tall), 0.055, Material.METAL, color, sides=6)
    for y in (0.0,) if rng.random() < 0.6 else (-0.45, 0.45):
        b.tube((0, 0, tall - 0.3), (0, y, tall + 0.02), 0.03, Material.METAL, color, sides=4)
        b.ball((0.24, 0.24, 0.24), (0, y, tall + 0.22), Material.LAMP, (0.78, 0.77, 0.72))
        b.tube((0, y, tall + 0.4), (0, y, tall + 0.52), 0.12, Material.METAL, color, sides=6, end_radius=0.02)
    return b.mesh()


def utility_pole(rng: np.random.Generator) -> Mesh:
    """Return a lattice mast of four legs, or a square concrete pole."""
    tall = rng.uniform(7.5, 11.0)
    b = Builder()
    if rng.random() < 0.4:
        b.box((0.28, 0.28, tall), (0, 0, tall / 2), Material.CONCRETE, pick(rng, TOWN))
        for z in (tall - 0.4, tall - 1.2):
            b.box((1.5, 0.1, 0.1), (0, 0, z), Material.METAL, (0.4,) * 3)
        return b.mesh()
    color, foot, head = pick(rng, IRON), 0.35, 0.14
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    for x, y in corners:
        b.tube((x * foot, y * foot, 0), (x * head, y * head, tall), 0.035, Material.METAL, color, sides=4)
    cuts = np.linspace(0, tall, 8)
    for k in range(7):
        r0, r1 = (foot + (head - foot) * z / tall for z in (cuts[k], cuts[k + 1]))
        for i, (x, y) in enumerate(corners):
            u, v = corners[(i + 1) % 4]
            b.tube((x * r0, y * r0, cuts[k]), (u * r1, v * r1, cuts[k + 1]), 0.02, Material.METAL, color, sides=3)
    b.box((2.4, 0.1, 0.1), (0, 0, tall - 0.5), Material.METAL, color)
    return b.mesh()


def traffic_light(rng: np.random.Generator) -> Mesh:
    """Return a traffic light facing -x: two heads on a yellow or grey post, with a round back plate."""
    color, tall = pick(rng, np.array([(0.70, 0.60, 0.12), (0.46, 0.47, 0.48)])), rng.uniform(2.9, 3.8)
    b = Builder()
    b.box((0.16, 0.16, tall), (0, 0, tall / 2), Material.METAL, color)
    heads = [(0.0, tall - 0.4)]
    if rng.random() < 0.5:
        reach = rng.uniform(2.0, 4.0)
        b.box((0.12, 0.12, 2.2), (0, 0, tall + 1.0), Material.METAL, color)
        b.box((0.1, reach, 0.12), (0, reach / 2, tall + 2.0), Material.METAL, color)
        heads.append((reach, tall + 1.6))
    lit = int(rng.integers(3))
    for y, z in heads:
        b.box((0.04, 0.62, 1.25), (0.05, y, z), Material.METAL, BLACK)
        for i, tone in enumerate(((0.85, 0.10, 0.06), (0.85, 0.62, 0.10), (0.10, 0.72, 0.40))):
            share = 1.0 if i == lit else 0.18
            at = z + 0.34 - 0.34 * i
            b.tube((-0.16, y, at), (0.02, y, at), 0.14, Material.LAMP, tuple(share * c for c in tone), sides=8)
    return b.mesh()


def sign(rng: np.random.Generator) -> Mesh:
    """Return a sign facing -x: a lozenge, an octagon, an upright board with a pictogram, or finger posts."""
    kind, tall, color = rng.integers(4), rng.uniform(2.1, 2.8), pick(rng, IRON)
    face = Material.RETRO if rng.random() < 0.7 else Material.PAINT
    b = Builder()
    b.box((0.07, 0.07, tall + 0.3), (0.06, 0, (tall + 0.3) / 2), Material.METAL, color)
    if kind == 0:
        b.tube((-0.02, 0, tall), (0.02, 0, tall), 0.45, face, (0.84, 0.66, 0.12), sides=4)
        b.box((0.02, 0.12, 0.4), (-0.03, 0, tall), Material.PLASTIC, BLACK)
    elif kind == 1:
        b.tube((-0.02, 0, tall), (0.02, 0, tall), 0.40, face, (0.62, 0.06, 0.08), sides=8)
        b.box((0.02, 0.5, 0.12), (-0.03, 0, tall), face, (0.85, 0.84, 0.8))
    elif kind == 2:
        b.box((0.05, 0.7, 1.1), (0, 0, tall - 0.1), face, pick(rng, np.array([(0.10, 0.30, 0.34), (0.8, 0.8, 0.76)])))
        b.ball((0.02, 0.1, 0.1), (-0.03, 0, tall + 0.2), face, (0.85, 0.84, 0.8))
        b.box((0.02, 0.24, 0.5), (-0.03, 0, tall - 0.2), face, (0.85, 0.84, 0.8))
    else:
        for k in range(int(rng.integers(2, 5))):
            way = rng.choice([-1, 1])
            b.box((0.04, 1.1, 0.2), (0, way * 0.45, tall - 0.26 * k), Material.WOOD if k % 2 else face, pick(rng, TOWN))
    return b.mesh()


def bench(rng: np.random.Generator) -> Mesh:
    """Return a stone bench, or a round-backed one of iron, along x."""
    b = Builder()
    if rng.random() < 0.5:
        color = pick(rng, TOWN)
        b.box((2.0, 0.55, 0.14), (0, 0, 0.44), Material.CONCRETE, color)
        for x in (-0.75, 0.75):
            b.box((0.25, 0.5, 0.38), (x, 0, 0.19), Material.CONCRETE, color)
        return b.mesh()
    color = pick(rng, IRON)
    for k in range(5):
        angle = -0.3 + 0.45 * k
        b.box((1.6, 0.09, 0.03), (0, 0.2 - 0.42 * np.sin(angle), 0.82 - 0.38 * np.cos(angle)), Material.METAL, color)
    for x in (-0.7, 0.7):
        b.tube((x, 0.25, 0), (x, 0.1, 0.45), 0.03, Material.METAL, color, sides=4)
        b.tube((x, -0.3, 0), (x, -0.2, 0.7), 0.03, Material.METAL, color, sides=4)
    return b.mesh()


def bin_or_box(rng: np.random.Generator) -> Mesh:
    """Return a planter, a bottle bank, an advertising column, a hydrant, or a container; the street side is +y."""
    kind, color = rng.choice(6, p=[0.2, 0.2, 0.15, 0.15, 0.15, 0.15]), pick(rng, TOWN)
    b = Builder()
    if kind == 0:
        size = rng.uniform(0.7, 1.6)
        b.box((size, 0.7, 0.6), (0, 0, 0.3), Material.CONCRETE, color)
        b.box((size - 0.15, 0.55, 0.04), (0, 0, 0.61), Material.DIRT, (0.25, 0.2, 0.15))
    elif kind == 1:
        b.ball((0.7, 0.65, 0.75), (0, -0.2, 0.85), Material.PLASTIC, color, detail=2)
        b.tube((0, -0.2, 0), (0, -0.2, 0.5), 0.5, Material.PLASTIC, color, sides=10, end_radius=0.6)
    elif kind == 2:
        b.tube((0, -0.1, 0), (0, -0.1, 2.9), 0.62, Material.PLASTER, color, sides=12)
        b.tube((0, -0.1, 2.9), (0, -0.1, 3.3), 0.75, Material.METAL, pick(rng, IRON), sides=12, end_radius=0.1)
    elif kind == 3:
        b.tube((0, 0, 0), (0, 0, 0.75), 0.12, Material.PAINT, color, sides=8)
        b.ball((0.13, 0.13, 0.12), (0, 0, 0.76), Material.PAINT, color)
        b.tube((0, -0.2, 0.5), (0, 0.2, 0.5), 0.07, Material.METAL, color, sides=6)
    elif kind == 4:
        lid = [(1.2 * np.cos(a), 1.1 + 0.6 * np.sin(a)) for a in np.linspace(0, np.pi, 7)]
        b.prism([(-1.1, 0.1), (1.1, 0.1), *lid], 0.7, Material.METAL, color, y=-0.3)
        for x in (-0.8, 0.8):
            b.box((0.12, 1.5, 1.0), (x, -0.3, 0.6), Material.METAL, color)
        b.box((2.2, 1.2, 0.1), (0, -0.3, 0.05), Material.METAL, BLACK)
    else:
        tall = rng.uniform(1.6, 2.2)
        b.box((rng.uniform(1.8, 3.0), 1.3, tall), (0, -0.25, tall / 2), Material.CONCRETE, color)
        b.box((0.8, 0.06, 1.5), (rng.uniform(-0.4, 0.4), 0.42, 0.85), Material.METAL, pick(rng, TOWN))
    return soiled(b.mesh(), rng, 0.6, 1.2)


def shelter(rng: np.random.Generator) -> Mesh:
    """Return a kiosk with a counter, or a shelter of arched glass, open to +y."""
    long, color = rng.uniform(2.6, 4.2), pick(rng, TOWN)
    b = Builder()
    if rng.random() < 0.5:
        b.box((long, 1.4, 2.3), (0, -0.2, 1.15), Material.PAINT, color)
        b.box((long * 0.7, 0.06, 0.9), (0, 0.51, 1.55), Material.GLASS, SMOKE)
        b.box((long * 0.8, 0.4, 0.06), (0, 0.65, 1.05), Material.WOOD, pick(rng, TOWN))
        b.prism([(-long / 2 - 0.3, 2.3), (long / 2 + 0.3, 2.3), (0, 2.9)], 1.0, Material.ROOF, pick(rng, IRON), y=-0.2)
        return b.mesh()
    arc = [(1.5 * np.cos(a) - 0.75, 1.2 + 1.3 * np.sin(a)) for a in np.linspace(0.5, np.pi, 6)]
    for (y0, z0), (y1, z1) in pairwise(arc):
        b.quads(np.array([[(-long / 2, y0, z0), (long / 2, y0, z0), (long / 2, y1, z1), (-long / 2, y1, z1)]]),
                Material.GLASS, (0.24, 0.30, 0.30))  # fmt: skip
    for x in np.linspace(-long / 2, long / 2, 3):
        for (y0, z0), (y1, z1) in pairwise(arc):
            b.tube((x, y0, z0), (x, y1, z1), 0.05, Material.METAL, color, sides=4)
        b.tube((x, arc[-1][0], 0), (x, *arc[-1]), 0.05, Material.METAL, color, sides=4)
        b.tube((x, arc[0][0], 0), (x, *arc[0]), 0.05, Material.METAL, color, sides=4)
    return b.mesh()


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return an iron fence with spikes on a low plinth, or a ranch fence of rails, along x, centred."""
    tall = rng.uniform(1.0, 1.8)
    b = Builder()
    if rng.random() < 0.6:
        color, plinth = pick(rng, IRON), rng.uniform(0.1, 0.5)
        b.box((length, 0.22, plinth), (0, 0, plinth / 2), Material.CONCRETE, pick(rng, TOWN))
        xs = np.arange(-length / 2 + 0.08, length / 2, 0.17)
        quads = np.stack([np.stack([xs - 0.02, xs + 0.02, xs + 0.012, xs - 0.012]).T,
                          np.zeros((len(xs), 4)),
                          np.broadcast_to([plinth, plinth, tall, tall], (len(xs), 4))], axis=2)  # fmt: skip
        b.quads(quads, Material.METAL, color)
        for z in (plinth + 0.1, tall - 0.2):
            b.box((length, 0.04, 0.05), (0, 0, z), Material.METAL, color)
        for x in np.linspace(-length / 2 + 0.1, length / 2 - 0.1, max(2, int(length / 3) + 1)):
            b.box((0.16, 0.16, tall), (float(x), 0, tall / 2), Material.METAL, color)
        return b.mesh()
    color = pick(rng, TOWN)
    for x in np.linspace(-length / 2 + 0.1, length / 2 - 0.1, max(2, int(length / 1.8) + 1)):
        b.tube((x, 0, 0), (x, 0, tall), 0.08, Material.WOOD, color, sides=6)
    for z in np.linspace(0.35, tall - 0.12, 3):
        b.box((length, 0.05, 0.16), (0, 0.07, float(z)), Material.WOOD, color)
    return b.mesh()


def wall(rng: np.random.Generator, length: float) -> Mesh:
    """Return a wall of rough stones, or of concrete panels between posts, along x, centred."""
    tall, color = rng.uniform(0.8, 2.2), pick(rng, TOWN)
    b = Builder()
    if rng.random() < 0.5:
        b.box((length, 0.34, tall), (0, 0, tall / 2), Material.DIRT, color)
        for _ in range(int(5 * length)):
            size = rng.uniform(0.1, 0.28, 2)
            tone = np.clip(np.asarray(color) * rng.uniform(0.6, 1.3), 0, 1)
            at = (rng.uniform(-0.48, 0.48) * length, rng.choice([-0.15, 0.15]), rng.uniform(0.1, 0.95) * tall)
            b.ball((size[0], 0.09, 0.6 * size[1]), at, Material.CONCRETE, tone, detail=0)
        return b.mesh()
    posts = pick(rng, TOWN)
    for x in np.linspace(-length / 2 + 0.1, length / 2 - 0.1, max(2, int(length / 2) + 1)):
        b.box((0.2, 0.3, tall + 0.1), (float(x), 0, (tall + 0.1) / 2), Material.CONCRETE, posts)
    for k in range(3):
        b.box((length - 0.2, 0.10 + 0.03 * k, tall / 3 - 0.02), (0, 0, (k + 0.5) * tall / 3), Material.CONCRETE, color)
    return b.mesh()
