"""Cones and barriers of road works."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from clip2scene_training.world.assets.palette import COMMON, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

CONES = np.array([(0.90, 0.32, 0.05), (0.86, 0.24, 0.08), (0.72, 0.14, 0.10), (0.70, 0.44, 0.20)])
BOARDS = np.array([(0.75, 0.08, 0.06), (0.90, 0.32, 0.05), (0.84, 0.66, 0.12)])
WHITES = np.array([(0.88, 0.88, 0.86), (0.70, 0.69, 0.65)])
GREYS = np.array([(0.60, 0.59, 0.56), (0.48, 0.46, 0.43), (0.72, 0.70, 0.66), (0.40, 0.42, 0.40)])


def _band(rng: np.random.Generator) -> tuple[Material, Color]:
    """Return what a light stripe is made of: retro-reflective foil, or only paint."""
    return (Material.RETRO if rng.random() < 0.55 else Material.PLASTIC), pick(rng, WHITES)


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """Return a cone with bands that shine or not, or none; or a slim one."""
    height = rng.uniform(0.45, 1.0)
    radius = height * rng.uniform(0.17, 0.23)
    b = Builder()
    b.box((radius * 2.6, radius * 2.6, 0.05), (0, 0, 0.025), Material.RUBBER, (0.08,) * 3)
    color, band, plain = pick(rng, CONES, 0.08), _band(rng), rng.random() < 0.2
    tip = radius * (0.55 if rng.random() < 0.2 else 0.15)
    cuts = np.linspace(0.03, height, 6)
    for i, (low, high) in enumerate(pairwise(cuts)):
        r = [radius + (tip - radius) * z / height for z in (low, high)]
        skin = band if i in (1, 3) and not plain else (Material.PLASTIC, color)
        b.tube((0, 0, low), (0, 0, high), r[0], *skin, sides=10, end_radius=r[1])
    return soiled(b.mesh(), rng, 0.5, 0.8)


def _jersey(b: Builder, rng: np.random.Generator, length: float) -> None:
    concrete = rng.random() < 0.5
    height = rng.uniform(0.75, 1.05)
    profile = [(-0.30, 0.0), (0.30, 0.0), (0.28, 0.12), (0.12, 0.35), (0.08, height), (-0.08, height), (-0.12, 0.35),
               (-0.28, 0.12)]  # fmt: skip
    part = Builder()
    color = pick(rng, GREYS, 0.25) if concrete else pick(rng, np.vstack([BOARDS, WHITES]), 0.2)
    part.prism(profile, length / 2, Material.CONCRETE if concrete else Material.PLASTIC, color)
    turn = np.eye(4)
    turn[:2, :2] = [[0, 1], [1, 0]]
    b.include(part.mesh(), turn)


def _block(b: Builder, rng: np.random.Generator, length: float) -> None:
    height, material = rng.uniform(0.6, 1.0), Material.CONCRETE if rng.random() < 0.6 else Material.WOOD
    b.box((length, rng.uniform(0.3, 0.6), height), (0, 0, height / 2), material, pick(rng, COMMON, 0.5, GREYS))


def _crowd(b: Builder, rng: np.random.Generator, length: float) -> None:
    color = pick(rng, GREYS, 0.4)
    for z in (0.2, 1.05):
        b.tube((-length / 2, 0, z), (length / 2, 0, z), 0.025, Material.METAL, color, sides=5)
    for x in np.linspace(-length / 2, length / 2, 12):
        b.tube((x, 0, 0.2), (x, 0, 1.05), 0.018, Material.METAL, color, sides=4)


def _board(b: Builder, rng: np.random.Generator, length: float) -> None:
    band, color = _band(rng), pick(rng, BOARDS)
    for z in (0.92,) if rng.random() < 0.6 else (0.5, 0.92):
        for i, x in enumerate(np.arange(-length / 2, length / 2, 0.25)):
            b.box((0.25, 0.05, 0.28), (x + 0.125, 0, z), *((band[0], color) if i % 2 else band))


def _feet(b: Builder, length: float) -> None:
    for x in (-length / 2 + 0.15, length / 2 - 0.15):
        b.box((0.06, 0.06, 1.0), (x, 0, 0.5), Material.METAL, (0.5,) * 3)
        b.box((0.10, 0.55, 0.06), (x, 0, 0.03), Material.RUBBER, (0.1,) * 3)


def barrier(rng: np.random.Generator) -> Mesh:
    """Return one element, along x: a concrete or plastic Jersey barrier, a block, a crowd fence or a striped board."""
    make = (_jersey, _block, _crowd, _board)[rng.choice(4, p=[0.5, 0.12, 0.18, 0.2])]
    length = rng.uniform(1.6, 2.6)
    b = Builder()
    make(b, rng, length)
    if make in (_crowd, _board):
        _feet(b, length)
    return soiled(b.mesh(), rng, 0.6, 1.0)
