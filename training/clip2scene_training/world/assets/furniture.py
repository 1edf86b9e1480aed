"""Street furniture: poles, lamps, signs, fences, walls (manmade), and barriers and cones of road works."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh

GREY = (0.42, 0.43, 0.44)
ORANGE = (0.90, 0.32, 0.05)
RED = (0.75, 0.08, 0.06)
WHITE = (0.88, 0.88, 0.86)


def lamp_post(rng: np.random.Generator) -> Mesh:
    """Return a street lamp whose arm reaches to +y (over the road)."""
    height, arm = rng.uniform(5.5, 9.0), rng.uniform(0.8, 2.2)
    shade = rng.uniform(0.5, 1.3)
    color = tuple(np.array(GREY) * shade)
    b = Builder()
    b.tube((0, 0, 0), (0, 0, height), 0.10, Material.METAL, color, sides=7, end_radius=0.06)
    b.tube((0, 0, height), (0, arm, height + 0.25), 0.05, Material.METAL, color, sides=5)
    b.box((0.25, 0.6, 0.12), (0, arm + 0.2, height + 0.25), Material.LAMP, (0.7, 0.7, 0.66))
    b.box((0.26, 0.24, 1.0), (0, 0, 0.5), Material.METAL, color)
    return b.mesh()


def utility_pole(rng: np.random.Generator) -> Mesh:
    """Return a wooden pole with a cross-arm."""
    height = rng.uniform(7, 10)
    b = Builder()
    b.tube((0, 0, 0), (0, 0, height), 0.15, Material.WOOD, (0.28, 0.20, 0.14), sides=7, end_radius=0.1)
    b.box((2.0, 0.12, 0.12), (0, 0, height - 0.7), Material.WOOD, (0.28, 0.20, 0.14))
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
    b = Builder()
    height = rng.uniform(2.0, 2.6)
    if kind == 3:
        width, tall = rng.uniform(1.6, 3.0), rng.uniform(1.0, 1.8)
        for y in (-width / 3, width / 3):
            b.tube((0.06, y, 0), (0.06, y, height + tall), 0.05, Material.METAL, GREY, sides=6)
        color = (0.05, 0.20, 0.50) if rng.random() < 0.5 else (0.05, 0.35, 0.18)
        b.box((0.05, width, tall), (0, 0, height + tall / 2), Material.RETRO, color)
        b.box((0.02, width * 0.7, 0.16), (-0.03, 0, height + tall * 0.65), Material.RETRO, WHITE)
        return b.mesh()
    b.tube((0.04, 0, 0), (0.04, 0, height + 0.7), 0.035, Material.METAL, GREY, sides=6)
    face, inner = (RED, WHITE) if kind < 2 else ((0.08, 0.25, 0.6), WHITE)
    center = height + 0.4
    if kind == 0:
        b.tube((-0.02, 0, center), (0.02, 0, center), 0.33, Material.RETRO, face, sides=16)
        b.tube((-0.03, 0, center), (0.0, 0, center), 0.24, Material.RETRO, inner, sides=16)
    elif kind == 1:
        b.tube((-0.02, 0, center), (0.02, 0, center), 0.42, Material.RETRO, face, sides=3)
        b.tube((-0.03, 0, center), (0.0, 0, center), 0.27, Material.RETRO, inner, sides=3)
    else:
        b.box((0.04, 0.6, 0.6), (0, 0, center), Material.RETRO, face)
        b.box((0.02, 0.25, 0.4), (-0.02, 0, center), Material.RETRO, inner)
    return b.mesh()


def bench(rng: np.random.Generator) -> Mesh:
    """Return a bench along x."""
    color = tuple(np.array((0.36, 0.25, 0.15)) * rng.uniform(0.7, 1.3))
    b = Builder()
    b.box((1.7, 0.42, 0.06), (0, 0, 0.45), Material.WOOD, color)
    b.box((1.7, 0.06, 0.4), (0, -0.2, 0.72), Material.WOOD, color)
    for x in (-0.7, 0.7):
        b.box((0.08, 0.4, 0.45), (x, 0, 0.22), Material.METAL, (0.15,) * 3)
    return b.mesh()


def bin_or_box(rng: np.random.Generator) -> Mesh:
    """Return a litter bin, a post box, a cabinet or a bollard."""
    kind = rng.integers(4)
    b = Builder()
    if kind == 0:
        b.tube((0, 0, 0.1), (0, 0, 0.95), 0.24, Material.PLASTIC, (0.12, 0.25, 0.15), sides=9)
    elif kind == 1:
        b.box((0.4, 0.5, 1.2), (0, 0, 0.6), Material.PAINT, (0.75, 0.6, 0.05))
    elif kind == 2:
        b.box((rng.uniform(0.7, 1.4), 0.4, rng.uniform(1.0, 1.5)), (0, 0, 0.6), Material.METAL, (0.45, 0.48, 0.45))
    else:
        b.tube((0, 0, 0), (0, 0, 0.9), 0.08, Material.METAL, (0.2,) * 3, sides=8)
    return b.mesh()


def shelter(rng: np.random.Generator) -> Mesh:
    """Return a bus shelter, open to +y."""
    length = rng.uniform(3.0, 5.0)
    b = Builder()
    b.box((length, 1.5, 0.1), (0, 0, 2.5), Material.METAL, (0.25,) * 3)
    b.box((length, 0.04, 2.0), (0, -0.7, 1.3), Material.GLASS, (0.25, 0.30, 0.32))
    b.box((0.12, 1.2, 1.9), (-length / 2 + 0.1, 0, 1.3), Material.PLASTIC, tuple(rng.uniform(0.2, 0.8, 3)))
    for x in (-length / 2 + 0.1, length / 2 - 0.1):
        b.tube((x, -0.7, 0), (x, -0.7, 2.5), 0.05, Material.METAL, (0.25,) * 3, sides=5)
    b.box((length * 0.6, 0.4, 0.06), (0, -0.4, 0.5), Material.WOOD, (0.4, 0.3, 0.2))
    return b.mesh()


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return a fence along x, centred: wooden slats, metal bars or wire mesh between posts."""
    kind, height = rng.integers(3), rng.uniform(0.9, 1.9)
    b = Builder()
    xs = np.linspace(-length / 2, length / 2, max(2, int(length / 2.2) + 1))
    color = ((0.42, 0.32, 0.22), (0.15, 0.17, 0.16), (0.45, 0.46, 0.46))[kind]
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
    brick = rng.random() < 0.5
    color = tuple(rng.uniform(0.8, 1.2) * np.array((0.45, 0.24, 0.18) if brick else (0.62, 0.60, 0.56)))
    b = Builder()
    b.box((length, 0.25, height), (0, 0, height / 2), Material.BRICK if brick else Material.PLASTER, color)
    b.box((length + 0.1, 0.35, 0.08), (0, 0, height + 0.04), Material.CONCRETE, (0.55, 0.54, 0.52))
    return b.mesh()


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """Return a cone with white bands, or a slim delineator post."""
    height = rng.uniform(0.45, 1.0)
    radius = height * rng.uniform(0.17, 0.23)
    b = Builder()
    b.box((radius * 2.6, radius * 2.6, 0.05), (0, 0, 0.025), Material.RUBBER, (0.08,) * 3)
    slim = rng.random() < 0.2
    tip = radius * (0.55 if slim else 0.15)
    cuts = np.linspace(0.03, height, 6)
    for i, (low, high) in enumerate(pairwise(cuts)):
        r = [radius + (tip - radius) * z / height for z in (low, high)]
        material, color = (Material.RETRO, WHITE) if i in (1, 3) else (Material.PLASTIC, ORANGE)
        b.tube((0, 0, low), (0, 0, high), r[0], material, color, sides=10, end_radius=r[1])
    return b.mesh()


def barrier(rng: np.random.Generator) -> Mesh:
    """Return one element, along x: a concrete or plastic Jersey barrier, a crowd fence or a striped board."""
    kind = rng.choice(4, p=[0.3, 0.3, 0.2, 0.2])
    length = rng.uniform(1.6, 2.6)
    b = Builder()
    if kind < 2:
        color = (0.60, 0.59, 0.56) if kind == 0 else (RED, WHITE, ORANGE)[rng.integers(3)]
        height = rng.uniform(0.75, 1.05)
        profile = [(-0.30, 0.0), (0.30, 0.0), (0.28, 0.12), (0.12, 0.35), (0.08, height), (-0.08, height),
                   (-0.12, 0.35), (-0.28, 0.12)]  # fmt: skip
        part = Builder()
        part.prism(profile, length / 2, Material.CONCRETE if kind == 0 else Material.PLASTIC, color)
        turn = np.eye(4)
        turn[:2, :2] = [[0, 1], [1, 0]]
        b.include(part.mesh(), turn)
        return b.mesh()
    if kind == 2:
        for z in (0.2, 1.05):
            b.tube((-length / 2, 0, z), (length / 2, 0, z), 0.025, Material.METAL, (0.6,) * 3, sides=5)
        for x in np.linspace(-length / 2, length / 2, 12):
            b.tube((x, 0, 0.2), (x, 0, 1.05), 0.018, Material.METAL, (0.6,) * 3, sides=4)
    else:
        for i, x in enumerate(np.arange(-length / 2, length / 2, 0.25)):
            b.box((0.25, 0.05, 0.28), (x + 0.125, 0, 0.92), Material.RETRO, RED if i % 2 else WHITE)
    for x in (-length / 2 + 0.15, length / 2 - 0.15):
        b.box((0.06, 0.06, 1.0), (x, 0, 0.5), Material.METAL, (0.5,) * 3)
        b.box((0.10, 0.55, 0.06), (x, 0, 0.03), Material.RUBBER, (0.1,) * 3)
    return b.mesh()
