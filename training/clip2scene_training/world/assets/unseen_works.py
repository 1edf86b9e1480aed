"""Cones and barriers of the unseen family: delineator posts, drums, water-filled and folding barriers, mesh panels."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.palette import pick, soiled
from clip2scene_training.world.assets.unseen_cars import BLACK, TOWN
from clip2scene_training.world.assets.unseen_street import BANDS, HUES, IRON
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh


def _band(rng: np.random.Generator) -> tuple[Material, Color]:
    """Return what a stripe is made of: retro-reflective foil, or only paint."""
    return (Material.RETRO if rng.random() < 0.6 else Material.PLASTIC), pick(rng, BANDS)


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """Return a delineator post, a drum, or a bell-shaped cone."""
    kind, color, stripe = rng.choice(3, p=[0.35, 0.25, 0.4]), pick(rng, HUES), _band(rng)
    b = Builder()
    if kind == 0:
        tall = rng.uniform(0.7, 1.1)
        b.tube((0, 0, 0), (0, 0, 0.07), 0.2, Material.RUBBER, BLACK, sides=10, end_radius=0.14)
        b.tube((0, 0, 0.05), (0, 0, tall), 0.05, Material.PLASTIC, color, sides=8)
        for z in (0.55, 0.75):
            b.tube((0, 0, z * tall), (0, 0, (z + 0.1) * tall), 0.055, *stripe, sides=8)
        b.ball((0.06, 0.06, 0.05), (0, 0, tall), Material.PLASTIC, color, detail=0)
    elif kind == 1:
        tall = rng.uniform(0.85, 1.1)
        for k in range(5):
            low, high, skin = 0.06 + 0.19 * k * tall, 0.06 + 0.19 * (k + 1) * tall, (Material.PLASTIC, color)
            r = 0.29 - 0.02 * k
            b.tube((0, 0, low), (0, 0, high), r, *(stripe if k % 2 else skin), sides=10)
        b.tube((0, 0, 0), (0, 0, 0.08), 0.37, Material.RUBBER, BLACK, sides=8)
    else:
        tall = rng.uniform(0.5, 0.9)
        b.tube((0, 0, 0), (0, 0, 0.05), 0.26 * tall + 0.08, Material.PLASTIC, color, sides=8)
        cuts, radii = np.array([0.04, 0.2, 0.55, 0.75, 1.0]) * tall, np.array([0.24, 0.15, 0.09, 0.07, 0.045]) * tall
        for k in range(4):
            skin = stripe if k == 2 else (Material.PLASTIC, color)
            b.tube((0, 0, cuts[k]), (0, 0, cuts[k + 1]), radii[k], *skin, sides=9, end_radius=radii[k + 1])
    return soiled(b.mesh(), rng, 0.5, 0.8)


def _water_filled(b: Builder, rng: np.random.Generator, long: float) -> None:
    color, tall = pick(rng, np.vstack([HUES, BANDS]), 0.2, TOWN), rng.uniform(0.8, 1.1)
    b.box((long, 0.5, 0.3), (0, 0, 0.2), Material.PLASTIC, color)
    for x in (-0.35 * long, 0.0, 0.35 * long):
        b.box((0.24 * long, 0.36, tall - 0.3), (x, 0, (tall + 0.3) / 2), Material.PLASTIC, color)
    b.box((long, 0.22, tall - 0.4), (0, 0, (tall + 0.25) / 2), Material.PLASTIC, color)


def _folding(b: Builder, rng: np.random.Generator, long: float) -> None:
    legs = pick(rng, TOWN)
    for side in (-1, 1):
        for x in (-long / 2 + 0.1, long / 2 - 0.1):
            b.tube((x, side * 0.4, 0), (x, 0, 1.1), 0.03, Material.WOOD, legs, sides=4)
        stripe, color = _band(rng), pick(rng, HUES)
        for z in (0.45, 0.9):
            y = side * 0.4 * (1.1 - z) / 1.1
            cells = int(long / 0.3)
            for i in range(cells):
                skin = stripe if i % 2 else (Material.PLASTIC, color)
                b.box((long / cells, 0.03, 0.2), (-long / 2 + (i + 0.5) * long / cells, y, z), *skin)


def _panel(b: Builder, rng: np.random.Generator, long: float) -> None:
    color, tall = pick(rng, IRON), rng.uniform(1.1, 2.0)
    for x in (-long / 2 + 0.03, long / 2 - 0.03):
        b.tube((x, 0, 0.1), (x, 0, tall), 0.025, Material.METAL, color, sides=5)
        b.box((0.22, 0.65, 0.14), (x, 0, 0.07), Material.CONCRETE, (0.5, 0.5, 0.48))
    for z in (0.2, 0.5 * tall, tall):
        b.tube((-long / 2, 0, z), (long / 2, 0, z), 0.02, Material.METAL, color, sides=4)
    if rng.random() < 0.5:
        b.box((long - 0.1, 0.015, tall - 0.3), (0, 0, 0.5 * tall + 0.1), Material.CLOTH, pick(rng, HUES, 0.5, TOWN))
        return
    for x in np.linspace(-long / 2 + 0.15, long / 2 - 0.15, 14):
        b.tube((x, 0, 0.2), (x, 0, tall), 0.01, Material.METAL, color, sides=3)


def _step(b: Builder, rng: np.random.Generator, long: float) -> None:
    color = pick(rng, TOWN)
    for z, deep in ((0.2, 0.55), (0.55, 0.34), (0.85, 0.24)):
        b.box((long, deep, 0.4), (0, 0, z), Material.CONCRETE, color)
    for x in (-0.3 * long, 0.3 * long):
        b.box((0.3, 0.26, 0.1), (x, 0, 1.0), *_band(rng))


def barrier(rng: np.random.Generator) -> Mesh:
    """Return one element along x: water-filled, folding, a mesh or canvas panel on feet, or stepped concrete."""
    b = Builder()
    make = (_water_filled, _folding, _panel, _step)[rng.choice(4, p=[0.3, 0.25, 0.25, 0.2])]
    make(b, rng, rng.uniform(1.4, 2.6))
    return soiled(b.mesh(), rng, 0.6, 1.0)
