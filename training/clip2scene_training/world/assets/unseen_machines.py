"""Construction vehicles of the unseen family: bulldozer, mobile crane, telehandler, dumper, single-drum compactor."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.palette import pick, soiled
from clip2scene_training.world.assets.unseen_cars import BLACK, TOWN, shell, wheel_pairs
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

WORK = np.array([(0.86, 0.44, 0.10), (0.80, 0.66, 0.12), (0.66, 0.14, 0.12), (0.28, 0.46, 0.30), (0.72, 0.70, 0.64)])
STEEL = (0.36, 0.36, 0.37)


def _colors(rng: np.random.Generator) -> Color:
    return pick(rng, WORK, 0.15, TOWN)


def _booth(b: Builder, x: float, y: float, low: float, high: float, color: Color) -> None:
    """Add a driver's cab of 1.2 m by 1 m whose middle is at (x, y)."""
    shell(b, [(x - 0.6, low), (x + 0.6, low), (x + 0.5, high), (x - 0.6, high)], 0.5, 0.46, color, panes=1, y=y,
          sill=0.05)  # fmt: skip


def bulldozer(rng: np.random.Generator) -> Mesh:
    """Return a tracked bulldozer with its blade in front and a ripper behind."""
    color = _colors(rng)
    b = Builder()
    for side in (-1, 1):
        b.prism([(-1.6, 0.0), (1.5, 0.0), (1.9, 0.35), (1.2, 0.95), (-1.2, 1.0), (-1.9, 0.45)], 0.3, Material.RUBBER,
                BLACK, y=side * 0.95)  # fmt: skip
    b.box((1.7, 1.1, 1.0), (0.9, 0, 1.45), Material.PAINT, color)
    b.box((1.2, 1.5, 0.7), (-0.9, 0, 1.3), Material.PAINT, color)
    _booth(b, -0.6, 0.0, 1.5, 2.9, color)
    lift = rng.uniform(0.0, 0.5)
    b.prism([(2.2, lift), (2.45, lift), (2.25, 0.6 + lift), (2.5, 1.25 + lift), (2.2, 1.2 + lift), (2.0, 0.6 + lift)],
            rng.uniform(1.5, 1.8), Material.METAL, color)  # fmt: skip
    for side in (-1, 1):
        b.tube((-0.6, side * 1.3, 0.5), (2.1, side * 1.3, 0.45 + lift), 0.1, Material.PAINT, color, sides=4)
    b.prism([(-2.6, 0.1), (-2.4, 0.1), (-2.1, 1.1), (-1.7, 1.2), (-2.4, 1.3)], 0.5, Material.METAL, STEEL)
    b.tube((1.3, -0.3, 1.9), (1.3, -0.3, 2.5), 0.07, Material.METAL, STEEL, sides=6)
    return b.mesh()


def mobile_crane(rng: np.random.Generator) -> Mesh:
    """Return a wheeled crane on outriggers, its boom laid down or raised."""
    color, angle = _colors(rng), rng.choice([0.08, rng.uniform(0.5, 1.1)])
    b = Builder()
    b.box((6.6, 2.3, 0.6), (0, 0, 1.1), Material.PAINT, color)
    b.box((1.2, 2.3, 1.4), (2.8, 0, 1.6), Material.PAINT, color)
    b.box((0.9, 2.32, 0.55), (3.0, 0, 1.95), Material.GLASS, (0.1, 0.12, 0.12))
    b.box((2.2, 1.9, 1.0), (-1.6, 0, 1.9), Material.PAINT, color)
    _booth(b, -0.2, 0.8, 1.4, 2.8, color)
    reach = rng.uniform(6.5, 9.0)
    foot = np.array([-1.8, -0.3, 2.3])
    tip = foot + reach * np.array([np.cos(angle), 0, np.sin(angle)])
    b.tube(foot, foot + 0.6 * (tip - foot), 0.34, Material.PAINT, color, sides=4)
    b.tube(foot + 0.5 * (tip - foot), tip, 0.24, Material.PAINT, color, sides=4)
    b.tube(tip, tip - [0, 0, min(1.2, float(tip[2]) - 1.4)], 0.03, Material.METAL, STEEL, sides=4)
    for x in (-2.9, 1.9):
        for side in (-1, 1):
            b.box((0.25, 0.7, 0.2), (x, side * 1.4, 0.9), Material.METAL, STEEL)
            b.tube((x, side * 1.7, 0.0), (x, side * 1.7, 0.9), 0.09, Material.METAL, STEEL, sides=6)
    wheel_pairs(b, (-2.2, -1.0, 1.1, 2.6), 2.0, 0.55, 0.4, color)
    return b.mesh()


def telehandler(rng: np.random.Generator) -> Mesh:
    """Return a telehandler: a long boom beside the cab, forks in front."""
    color, lift = _colors(rng), rng.uniform(0.3, 3.0)
    b = Builder()
    b.box((4.2, 1.1, 0.7), (-0.3, 0, 1.0), Material.PAINT, color)
    b.box((2.0, 0.6, 0.8), (-0.8, -0.85, 1.2), Material.PAINT, color)
    _booth(b, -0.2, 0.75, 1.0, 2.4, BLACK)
    b.tube((-2.3, 0, 1.9), (2.3, 0, 0.9 + lift), 0.22, Material.PAINT, color, sides=4)
    b.tube((1.5, 0, 1.02 + 0.8 * lift), (3.0, 0, 0.75 + lift), 0.16, Material.METAL, STEEL, sides=4)
    b.box((0.1, 1.2, 0.8), (3.0, 0, 0.6 + lift), Material.METAL, STEEL)
    for side in (-1, 1):
        b.box((1.1, 0.12, 0.06), (3.55, side * 0.4, 0.25 + lift), Material.METAL, STEEL)
    wheel_pairs(b, (-1.5, 1.5), 1.9, 0.6, 0.42, (0.85, 0.84, 0.8))
    return b.mesh()


def dumper(rng: np.random.Generator) -> Mesh:
    """Return a dumper whose skip stands before the driver, with a roll bar."""
    color = _colors(rng)
    b = Builder()
    b.prism([(0.1, 0.9), (1.4, 0.85), (2.2, 1.6), (1.2, 1.75), (-0.1, 1.75)], [0.7, 0.7, 0.9, 0.9, 0.9], Material.PAINT,
            color)  # fmt: skip
    if rng.random() < 0.6:
        b.ball((0.85, 0.75, 0.4), (0.9, 0, 1.7), Material.DIRT, (0.33, 0.26, 0.2), roughness=0.15, rng=rng)
    b.box((1.8, 1.2, 0.75), (-1.2, 0, 0.95), Material.PAINT, color)
    b.box((0.5, 0.5, 0.6), (-0.8, 0, 1.5), Material.PLASTIC, BLACK)
    for side in (-1, 1):
        b.tube((-1.3, side * 0.55, 1.2), (-1.3, side * 0.55, 2.5), 0.05, Material.METAL, STEEL, sides=5)
    b.tube((-1.3, -0.55, 2.5), (-1.3, 0.55, 2.5), 0.05, Material.METAL, STEEL, sides=5)
    wheel_pairs(b, (-1.4, 1.1), 1.6, 0.52, 0.42, color)
    return b.mesh()


def roller(rng: np.random.Generator) -> Mesh:
    """Return a single-drum compactor: a drum in a yoke in front, two tyres behind."""
    color = _colors(rng)
    b = Builder()
    b.tube((1.4, -0.9, 0.7), (1.4, 0.9, 0.7), 0.7, Material.METAL, STEEL, sides=16)
    for side in (-1, 1):
        b.box((2.2, 0.12, 0.35), (0.9, side * 0.96, 0.75), Material.PAINT, color)
    b.box((0.15, 2.0, 0.4), (2.2, 0, 0.75), Material.PAINT, color)
    b.prism([(-2.3, 0.6), (-0.1, 0.6), (-0.1, 1.3), (-1.2, 1.55), (-2.3, 1.4)], 0.72, Material.PAINT, color)
    _booth(b, -0.5, 0.0, 1.3, 2.75, color)
    wheel_pairs(b, (-1.4,), 1.5, 0.66, 0.42, color)
    return soiled(b.mesh(), rng, 0.9, 1.4)


def construction_vehicle(rng: np.random.Generator) -> Mesh:
    """Return a bulldozer, a mobile crane, a telehandler, a dumper or a compactor."""
    make = (bulldozer, mobile_crane, telehandler, dumper, roller)[rng.integers(5)]
    return soiled(make(rng), rng, 0.9, 1.8)
