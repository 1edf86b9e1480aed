"""Small manmade things of the size of cones, people and barriers: posts, pillars, hydrants, troughs."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.palette import COMMON, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh


def post(rng: np.random.Generator) -> Mesh:
    """Return a bollard, straight or tapered, or a hydrant."""
    kind, color, tall = rng.integers(3), pick(rng, COMMON), float(rng.uniform(0.45, 1.1))
    material = (Material.METAL, Material.CONCRETE, Material.PLASTIC)[int(rng.integers(3))]
    wide = float(rng.uniform(0.06, 0.16))
    b = Builder()
    if kind == 0:
        b.tube((0, 0, 0), (0, 0, tall), wide, material, color, sides=8)
    elif kind == 1:
        b.tube((0, 0, 0), (0, 0, tall), 1.3 * wide, material, color, sides=8, end_radius=0.9 * wide)
    else:
        b.tube((0, 0, 0), (0, 0, 0.8 * tall), wide + 0.04, Material.METAL, color, sides=8)
        b.ball((wide + 0.04, wide + 0.04, 0.12), (0, 0, 0.8 * tall), Material.METAL, color, detail=1)
        b.tube((0, -0.2, 0.5 * tall), (0, 0.2, 0.5 * tall), 0.06, Material.METAL, color, sides=6)
    return soiled(b.mesh(), rng, 0.4, 0.8)


def pillar(rng: np.random.Generator) -> Mesh:
    """Return something as tall as a person: a parking meter, a square or round column, something wrapped."""
    kind, color, tall = rng.integers(4), pick(rng, COMMON), float(rng.uniform(1.35, 1.95))
    b = Builder()
    if kind == 0:
        b.tube((0, 0, 0), (0, 0, tall - 0.3), 0.05, Material.METAL, color, sides=6)
        b.box((0.2, 0.2, 0.4), (0, 0, tall - 0.2), Material.PAINT, pick(rng, COMMON))
    elif kind == 1:
        b.box((rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.4), tall), (0, 0, tall / 2), Material.PAINT, color)
    elif kind == 2:
        b.tube((0, 0, 0), (0, 0, tall), rng.uniform(0.15, 0.28), Material.PLASTIC, color, sides=9)
    else:
        b.tube((0, 0, 0), (0, 0, 0.5 * tall), 0.07, Material.WOOD, color, sides=6)
        b.ball((0.2, 0.24, 0.3 * tall), (0, 0, 0.7 * tall), Material.CLOTH, pick(rng, COMMON))
    return soiled(b.mesh(), rng, 0.4, 1.0)


def trough(rng: np.random.Generator) -> Mesh:
    """Return a low block along x: a plant trough, a stone seat, a piece of parapet."""
    long, deep, tall = (float(rng.uniform(*v)) for v in ((0.8, 2.6), (0.3, 0.7), (0.4, 1.0)))
    color = pick(rng, COMMON, 0.5)
    material = (Material.CONCRETE, Material.WOOD, Material.PLASTIC)[int(rng.integers(3))]
    b = Builder()
    if rng.random() < 0.5:
        b.box((long, deep, tall), (0, 0, tall / 2), material, color)
    else:
        outline = [(-long / 2, 0.0), (long / 2, 0.0), (0.42 * long, tall), (-0.42 * long, tall)]
        b.prism(outline, deep / 2, material, color)
    return soiled(b.mesh(), rng, 0.4, 0.8)
