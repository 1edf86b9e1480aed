"""Construction vehicles: excavators, loaders, backhoes, forklifts, road rollers."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.cars import DARK, GLASS
from clip2scene_training.world.assets.palette import pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

SITE_YELLOWS = np.array([(0.85, 0.60, 0.06), (0.90, 0.72, 0.10), (0.85, 0.40, 0.08), (0.75, 0.72, 0.60)])


def construction_vehicle(rng: np.random.Generator) -> Mesh:
    """Return an excavator, a wheel loader, a backhoe, a forklift or a road roller."""
    make = (excavator, wheel_loader, backhoe, forklift, roller)[rng.choice(5, p=[0.3, 0.25, 0.2, 0.1, 0.15])]
    return soiled(make(rng), rng, 0.9, 1.8)


def _cabin(b: Builder, center: tuple[float, float, float], size: tuple[float, float, float], color: Color) -> None:
    b.box(size, center, Material.GLASS, GLASS)
    x, y, z = center
    b.box((size[0] + 0.1, size[1] + 0.1, 0.1), (x, y, z + size[2] / 2), Material.PAINT, color)
    for dx in (-1, 1):
        for dy in (-1, 1):
            b.box((0.1, 0.1, size[2]), (x + dx * size[0] / 2, y + dy * size[1] / 2, z), Material.PAINT, color)


def excavator(rng: np.random.Generator) -> Mesh:
    """Return a tracked excavator with its arm at a random angle."""
    color, scale = pick(rng, SITE_YELLOWS, 0.2), rng.uniform(0.7, 1.15)
    b = Builder()
    for side in (-1, 1):
        b.prism([(-1.7, 0.0), (1.7, 0.0), (2.0, 0.4), (1.7, 0.8), (-1.7, 0.8), (-2.0, 0.4)], 0.28, Material.RUBBER,
                (0.08, 0.08, 0.08), y=side * 1.05)  # fmt: skip
    b.box((2.8, 2.3, 0.9), (-0.35, 0, 1.45), Material.PAINT, color)
    b.box((0.9, 2.3, 0.6), (-1.5, 0, 2.0), Material.PAINT, color)
    _cabin(b, (0.45, 0.65, 2.2), (1.3, 0.95, 1.5), color)
    elbow = np.array([rng.uniform(2.6, 3.6), -0.25, rng.uniform(3.0, 4.2)])
    wrist = elbow + np.array([rng.uniform(1.2, 2.0), 0.0, -rng.uniform(1.6, 2.6)])
    b.tube((0.8, -0.25, 1.7), elbow, 0.28, Material.PAINT, color, sides=4, end_radius=0.2)
    b.tube(elbow, wrist, 0.2, Material.PAINT, color, sides=4, end_radius=0.14)
    x, z = float(wrist[0]), float(wrist[2])
    b.prism([(x - 0.5, z - 0.7), (x + 0.2, z - 0.8), (x + 0.35, z), (x - 0.1, z + 0.1)], 0.5, Material.METAL,
            (0.2, 0.2, 0.2), y=-0.25)  # fmt: skip
    return b.mesh().moved(np.diag([scale, scale, scale, 1.0]))


def wheel_loader(rng: np.random.Generator) -> Mesh:
    """Return a wheel loader with its shovel down or raised."""
    color, lift = pick(rng, SITE_YELLOWS, 0.2), rng.uniform(0.0, 1.8)
    b = Builder()
    b.box((2.4, 1.7, 1.1), (-1.4, 0, 1.4), Material.PAINT, color)
    b.box((1.6, 1.2, 0.7), (0.9, 0, 1.1), Material.PAINT, color)
    _cabin(b, (-0.1, 0, 2.4), (1.3, 1.3, 1.5), color)
    for side in (-1, 1):
        b.tube((0.6, side * 0.55, 1.7), (2.9, side * 0.55, 0.6 + lift), 0.14, Material.PAINT, color, sides=4)
    b.prism(
        [(2.7, 0.1 + lift), (3.7, 0.1 + lift), (3.0, 0.4 + lift), (2.8, 1.2 + lift)], 1.35, Material.METAL, (0.25,) * 3
    )
    b.wheels((-1.6, 1.3), 1.95, 0.75, 0.55)
    return b.mesh()


def backhoe(rng: np.random.Generator) -> Mesh:
    """Return a tractor with a shovel in front and a folded arm behind."""
    color = pick(rng, SITE_YELLOWS, 0.2)
    b = Builder()
    b.box((1.7, 0.9, 0.8), (1.0, 0, 1.15), Material.PAINT, color)
    b.box((1.4, 1.5, 0.5), (-0.6, 0, 1.0), Material.PAINT, color)
    _cabin(b, (-0.4, 0, 2.0), (1.3, 1.4, 1.5), color)
    lift = rng.uniform(0.0, 1.0)
    b.prism(
        [(2.5, 0.1 + lift), (3.2, 0.1 + lift), (2.7, 0.4 + lift), (2.5, 1.0 + lift)], 1.1, Material.METAL, (0.3,) * 3
    )
    for side in (-1, 1):
        b.tube((0.6, side * 0.6, 1.4), (2.6, side * 0.6, 0.5 + lift), 0.09, Material.PAINT, color, sides=4)
    elbow = (-2.2 - rng.uniform(0, 0.6), 0.0, rng.uniform(2.6, 3.3))
    b.tube((-1.4, 0, 0.9), elbow, 0.16, Material.PAINT, color, sides=4)
    b.tube(elbow, (-2.9, 0, 0.8), 0.13, Material.PAINT, color, sides=4)
    b.box((0.5, 0.6, 0.5), (-2.8, 0, 0.5), Material.METAL, (0.25,) * 3)
    b.wheels((-0.9,), 1.8, 0.72, 0.42)
    b.wheels((1.3,), 1.7, 0.45, 0.32)
    return b.mesh()


def forklift(rng: np.random.Generator) -> Mesh:
    """Return a forklift with its mast."""
    color, tall = pick(rng, SITE_YELLOWS, 0.4), rng.uniform(2.2, 3.4)
    b = Builder()
    b.prism(
        [(-1.3, 0.25), (0.9, 0.25), (0.9, 0.9), (-0.3, 0.95), (-0.5, 1.25), (-1.3, 1.2)], 0.55, Material.PAINT, color
    )
    for x in (-0.9, 0.7):
        for side in (-1, 1):
            b.tube((x, side * 0.5, 1.0), (0.9 * x, side * 0.45, 2.15), 0.04, Material.METAL, DARK, sides=4)
    b.box((1.7, 1.0, 0.06), (-0.1, 0, 2.15), Material.PAINT, color)
    for side in (-1, 1):
        b.box((0.12, 0.1, tall), (1.1, side * 0.35, tall / 2 + 0.1), Material.METAL, DARK)
        b.box((1.1, 0.12, 0.05), (1.7, side * 0.3, 0.2), Material.METAL, (0.3,) * 3)
    b.box((0.3, 0.5, 0.6), (-0.3, 0, 1.2), Material.CLOTH, DARK)
    b.wheels((-0.9, 0.7), 1.0, 0.32, 0.24)
    return b.mesh()


def roller(rng: np.random.Generator) -> Mesh:
    """Return a road roller with two drums."""
    color = pick(rng, SITE_YELLOWS, 0.2)
    b = Builder()
    for x in (-1.5, 1.5):
        b.tube((x, -0.95, 0.62), (x, 0.95, 0.62), 0.62, Material.METAL, (0.35, 0.35, 0.36), sides=14)
        b.box((1.0, 2.05, 0.25), (x, 0, 1.3), Material.PAINT, color)
    b.box((2.6, 1.5, 0.9), (0, 0, 1.2), Material.PAINT, color)
    b.box((0.5, 0.6, 0.6), (0, 0, 1.9), Material.PLASTIC, DARK)
    for x in (-0.7, 0.7):
        for side in (-1, 1):
            b.tube((x, side * 0.7, 1.6), (x, side * 0.7, 2.9), 0.05, Material.METAL, DARK, sides=4)
    b.box((1.8, 1.7, 0.08), (0, 0, 2.9), Material.PAINT, color)
    return b.mesh()
