"""Street furniture: poles, lamps, signs, fences, walls (manmade)."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.palette import COMMON, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh

GREY = (0.42, 0.43, 0.44)
RED = (0.75, 0.08, 0.06)
BOXES = np.array([(0.12, 0.25, 0.15), (0.75, 0.60, 0.05), (0.20, 0.22, 0.24)])
WHITE = (0.88, 0.88, 0.86)


def lamp_post(rng: np.random.Generator) -> Mesh:
    """Return a street lamp whose arm reaches to +y (over the road)."""
    height, arm = rng.uniform(5.5, 9.0), rng.uniform(0.8, 2.2)
    color = pick(rng, np.array([GREY]), 0.4)
    b = Builder()
    b.tube((0, 0, 0), (0, 0, height), 0.10, Material.METAL, color, sides=7, end_radius=0.06)
    b.tube((0, 0, height), (0, arm, height + 0.25), 0.05, Material.METAL, color, sides=5)
    b.box((0.25, 0.6, 0.12), (0, arm + 0.2, height + 0.25), Material.LAMP, (0.7, 0.7, 0.66))
    b.box((0.26, 0.24, 1.0), (0, 0, 0.5), Material.METAL, color)
    return b.mesh()


def utility_pole(rng: np.random.Generator) -> Mesh:
    """Return a wooden pole with a cross-arm."""
    height = rng.uniform(7, 10)
    wood = tuple(np.array((0.28, 0.20, 0.14)) * rng.uniform(0.6, 1.8))
    b = Builder()
    b.tube((0, 0, 0), (0, 0, height), 0.15, Material.WOOD, wood, sides=7, end_radius=0.1)
    b.box((2.0, 0.12, 0.12), (0, 0, height - 0.7), Material.WOOD, wood)
    b.tube((0.35, 0, height - 2.2), (0.35, 0, height - 1.3), 0.25, Material.METAL, GREY, sides=8)
    return b.mesh()


def traffic_light(rng: np.random.Generator) -> Mesh:
    """Return a traffic light on a post, facing -x, sometimes on an arm to +y."""
    b = Builder()
    height = rng.uniform(2.6, 3.4)
    b.tube((0, 0, 0), (0, 0, height + 0.4), 0.08, Material.METAL, (0.2, 0.22, 0.2), sides=7)
    heads = [(0.0, height)]
    if rng.random() < 0.5:
        reach = rng.uniform(2.5, 4.5)
        b.tube((0, 0, 0), (0, 0, 5.6), 0.1, Material.METAL, (0.2, 0.22, 0.2), sides=7)
        b.tube((0, 0, 5.5), (0, reach, 5.6), 0.06, Material.METAL, (0.2, 0.22, 0.2), sides=5)
        heads.append((reach, 5.3))
    lit = int(rng.integers(3))
    for y, z in heads:
        b.box((0.25, 0.34, 0.95), (0, y, z), Material.PLASTIC, (0.04, 0.05, 0.04))
        for i, hue in enumerate(((0.9, 0.05, 0.03), (0.9, 0.6, 0.05), (0.05, 0.8, 0.3))):
            glow = 1.0 if i == lit else 0.2
            b.box((0.03, 0.2, 0.2), (-0.14, y, z + 0.3 - 0.3 * i), Material.LAMP, tuple(np.array(hue) * glow))
    return b.mesh()


def sign(rng: np.random.Generator) -> Mesh:
    """Return a traffic sign facing -x: round, triangular, rectangular, or a large direction board."""
    kind = rng.choice(4, p=[0.35, 0.2, 0.3, 0.15])
    foil = Material.RETRO if rng.random() < 0.7 else Material.PAINT
    b = Builder()
    height = rng.uniform(2.0, 2.6)
    if kind == 3:
        width, tall = rng.uniform(1.6, 3.0), rng.uniform(1.0, 1.8)
        for y in (-width / 3, width / 3):
            b.tube((0.06, y, 0), (0.06, y, height + tall), 0.05, Material.METAL, GREY, sides=6)
        color = pick(rng, np.array([(0.05, 0.20, 0.50), (0.05, 0.35, 0.18), (0.84, 0.70, 0.20), (0.8, 0.8, 0.78)]))
        b.box((0.05, width, tall), (0, 0, height + tall / 2), foil, color)
        b.box((0.02, width * 0.7, 0.16), (-0.03, 0, height + tall * 0.65), foil, WHITE)
        return b.mesh()
    b.tube((0.04, 0, 0), (0.04, 0, height + 0.7), 0.035, Material.METAL, GREY, sides=6)
    face, inner = (RED, WHITE) if kind < 2 else ((0.08, 0.25, 0.6), WHITE)
    center = height + 0.4
    if kind == 0:
        b.tube((-0.02, 0, center), (0.02, 0, center), 0.33, foil, face, sides=16)
        b.tube((-0.03, 0, center), (0.0, 0, center), 0.24, foil, inner, sides=16)
    elif kind == 1:
        b.tube((-0.02, 0, center), (0.02, 0, center), 0.42, foil, face, sides=3)
        b.tube((-0.03, 0, center), (0.0, 0, center), 0.27, foil, inner, sides=3)
    else:
        b.box((0.04, 0.6, 0.6), (0, 0, center), foil, face)
        b.box((0.02, 0.25, 0.4), (-0.02, 0, center), foil, inner)
    return b.mesh()


def bench(rng: np.random.Generator) -> Mesh:
    """Return a bench along x."""
    color = pick(rng, np.array([(0.36, 0.25, 0.15)]), 0.3)
    b = Builder()
    b.box((1.7, 0.42, 0.06), (0, 0, 0.45), Material.WOOD, color)
    b.box((1.7, 0.06, 0.4), (0, -0.2, 0.72), Material.WOOD, color)
    for x in (-0.7, 0.7):
        b.box((0.08, 0.4, 0.45), (x, 0, 0.22), Material.METAL, (0.15,) * 3)
    return b.mesh()


def bin_or_box(rng: np.random.Generator) -> Mesh:
    """Return a litter bin, a cabinet, a bollard, a wheeled bin, a transformer, a skip or a stack; street side +y."""
    kind, color = rng.choice(8, p=[0.16, 0.12, 0.12, 0.12, 0.14, 0.14, 0.10, 0.10]), pick(rng, COMMON)
    b = Builder()
    if kind == 0:
        b.tube((0, 0, 0.02), (0, 0, 0.95), rng.uniform(0.18, 0.32), Material.PLASTIC, color, sides=9)
    elif kind == 1:
        b.box((0.4, 0.5, 1.2), (0, 0, 0.6), Material.PAINT, pick(rng, COMMON, 0.4, BOXES))
    elif kind == 2:
        tall = rng.uniform(1.0, 1.5)
        b.box((rng.uniform(0.7, 1.4), 0.4, tall), (0, 0, tall / 2), Material.METAL, color)
    elif kind == 3:
        b.tube((0, 0, 0), (0, 0, rng.uniform(0.6, 1.1)), rng.uniform(0.06, 0.12), Material.METAL, color, sides=8)
    elif kind == 4:
        for x in np.arange(int(rng.integers(1, 4))) * 0.7:
            b.prism([(x - 0.25, 0.08), (x + 0.25, 0.08), (x + 0.3, 1.0), (x - 0.3, 1.06)], 0.3, Material.PLASTIC,
                    pick(rng, COMMON, 0.4, BOXES), y=-0.2)  # fmt: skip
            b.tube((x - 0.2, -0.4, 0.1), (x + 0.2, -0.4, 0.1), 0.1, Material.RUBBER, (0.06,) * 3, sides=8)
    elif kind == 5:
        tall = rng.uniform(1.5, 2.3)
        b.box((rng.uniform(1.6, 3.2), 1.2, tall), (0, -0.3, tall / 2), Material.PAINT, color)
        b.box(
            (0.9, 1.22, tall - 0.3), (rng.uniform(-0.3, 0.3), -0.3, tall / 2), Material.METAL, np.asarray(color) * 0.8
        )
    elif kind == 6:
        b.prism([(-1.2, 0), (1.2, 0), (1.7, 1.3), (-1.7, 1.3)], 0.75, Material.METAL, color, y=-0.4)
    else:
        for k in range(int(rng.integers(1, 4))):
            size = rng.uniform(0.8, 1.3)
            b.box((size, 1.0, 0.5), (rng.normal(0, 0.08), -0.2, 0.25 + 0.5 * k), Material.WOOD, pick(rng, COMMON))
    return soiled(b.mesh(), rng, 0.6, 1.2)


def shelter(rng: np.random.Generator) -> Mesh:
    """Return a bus shelter, open to +y."""
    length = rng.uniform(3.0, 5.0)
    b = Builder()
    b.box((length, 1.5, 0.1), (0, 0, 2.5), Material.METAL, (0.25,) * 3)
    b.box((length, 0.04, 2.0), (0, -0.7, 1.3), Material.GLASS, (0.25, 0.30, 0.32))
    b.box((0.12, 1.2, 1.9), (-length / 2 + 0.1, 0, 1.3), Material.PLASTIC, pick(rng, COMMON))
    for x in (-length / 2 + 0.1, length / 2 - 0.1):
        b.tube((x, -0.7, 0), (x, -0.7, 2.5), 0.05, Material.METAL, (0.25,) * 3, sides=5)
    b.box((length * 0.6, 0.4, 0.06), (0, -0.4, 0.5), Material.WOOD, (0.4, 0.3, 0.2))
    return b.mesh()


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return a fence along x, centred: wooden slats, metal bars or wire mesh between posts."""
    kind, height = rng.integers(3), rng.uniform(0.9, 1.9)
    b = Builder()
    xs = np.linspace(-length / 2, length / 2, max(2, int(length / 2.2) + 1))
    color = pick(rng, np.array(((0.42, 0.32, 0.22), (0.15, 0.17, 0.16), (0.45, 0.46, 0.46)))[[kind]], 0.4)
    material = Material.WOOD if kind == 0 else Material.METAL
    for x in xs:
        b.box((0.1, 0.1, height), (x, 0, height / 2), material, color)
    step = (0.16, 0.22, 0.0)[kind]
    if step:
        slats = np.arange(-length / 2, length / 2, step)
        wide = 0.11 if kind == 0 else 0.03
        low = np.stack([slats, np.zeros_like(slats), np.full_like(slats, 0.08)], axis=1)
        side, up = np.array([wide, 0, 0]), np.array([0, 0, height - 0.1])
        b.quads(np.stack([low, low + side, low + side + up, low + up], axis=1), material, color)
    for z in np.linspace(0.25, height - 0.1, 2 if step else 9):
        b.box((length, 0.05 if step else 0.02, 0.07 if step else 0.02), (0, 0.03, z), material, color)
    return b.mesh()


def wall(rng: np.random.Generator, length: float) -> Mesh:
    """Return a garden wall along x, centred."""
    height = rng.uniform(0.7, 2.4)
    brick = rng.random() < 0.4
    skin = Material.BRICK if brick else (Material.PLASTER, Material.CONCRETE, Material.WOOD)[rng.integers(3)]
    color = pick(rng, np.array([(0.45, 0.24, 0.18) if brick else (0.62, 0.60, 0.56)]), 0.4)
    b = Builder()
    b.box((length, 0.25, height), (0, 0, height / 2), skin, color)
    b.box((length + 0.1, 0.35, 0.08), (0, 0, height + 0.04), Material.CONCRETE, (0.55, 0.54, 0.52))
    return b.mesh()
