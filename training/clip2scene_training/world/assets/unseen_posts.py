"""Small manmade things of the unseen family: chain posts, stone balls, steles, tubs."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.palette import pick, soiled
from clip2scene_training.world.assets.unseen_cars import TOWN
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Mesh


def post(rng: np.random.Generator) -> Mesh:
    """Return a post with a ball on top, a stone ball, or a leaning board on a foot."""
    kind, color, tall = rng.integers(3), pick(rng, TOWN), float(rng.uniform(0.5, 1.0))
    b = Builder()
    if kind == 0:
        b.tube((0, 0, 0), (0, 0, tall - 0.08), 0.09, Material.METAL, color, sides=6, end_radius=0.05)
        b.ball((0.09, 0.09, 0.09), (0, 0, tall - 0.06), Material.METAL, color)
    elif kind == 1:
        size = 0.4 * tall
        b.ball((size, size, size), (0, 0, 0.95 * size), Material.CONCRETE, color, detail=1)
    else:
        b.box((0.35, 0.35, 0.08), (0, 0, 0.04), Material.PLASTIC, color)
        b.tube((0.08, 0, 0.05), (-0.08, 0, tall), 0.11, Material.PLASTIC, pick(rng, TOWN), sides=4)
    return soiled(b.mesh(), rng, 0.4, 0.8)


def pillar(rng: np.random.Generator) -> Mesh:
    """Return a stele, a lantern on a stub, or a figure of stone."""
    kind, color, tall = rng.integers(3), pick(rng, TOWN), float(rng.uniform(1.3, 2.0))
    b = Builder()
    if kind == 0:
        b.prism([(-0.25, 0), (0.25, 0), (0.12, tall), (-0.12, tall)], 0.08, Material.CONCRETE, color)
    elif kind == 1:
        b.tube((0, 0, 0), (0, 0, tall - 0.35), 0.08, Material.METAL, color, sides=6)
        b.box((0.26, 0.26, 0.35), (0, 0, tall - 0.17), Material.GLASS, color)
    else:
        b.box((0.45, 0.45, 0.4 * tall), (0, 0, 0.2 * tall), Material.CONCRETE, color)
        b.ball((0.14, 0.18, 0.22 * tall), (0, 0, 0.6 * tall), Material.CONCRETE, color)
        b.ball((0.1, 0.1, 0.12), (0, 0, 0.88 * tall), Material.CONCRETE, color)
    return soiled(b.mesh(), rng, 0.4, 1.0)


def trough(rng: np.random.Generator) -> Mesh:
    """Return a round tub, or a cage of stones along x."""
    tall, color = float(rng.uniform(0.45, 1.0)), pick(rng, TOWN)
    b = Builder()
    if rng.random() < 0.5:
        b.tube((0, 0, 0), (0, 0, tall), 0.35, Material.CONCRETE, color, sides=9, end_radius=0.5)
    else:
        for x in np.arange(-0.8, 0.9, 0.4):
            size = (0.38, float(rng.uniform(0.4, 0.5)), tall * float(rng.uniform(0.92, 1.0)))
            b.box(size, (x, 0, size[2] / 2), Material.CONCRETE, pick(rng, TOWN))
    return soiled(b.mesh(), rng, 0.4, 0.8)
