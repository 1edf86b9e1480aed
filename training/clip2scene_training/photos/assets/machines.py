"""Machines of building sites: excavators, bulldozers, loaders, rollers, forklifts, cranes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from clip2scene_training.photos.assets.colors import DARK, PANE, hue, neutral, paint, shade
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

STEEL = (0.24, 0.23, 0.22)
Build = Callable[[Builder, np.random.Generator, Color], None]


def _made(build: Build, rng: np.random.Generator) -> Mesh:
    """Return a machine, most often yellow or orange, a little larger or smaller than usual."""
    color = hue(rng, (0.06, 0.15), (0.7, 0.98), (0.55, 0.95)) if rng.random() < 0.75 else paint(rng)
    b, size = Builder(), rng.uniform(0.75, 1.2)
    build(b, rng, color)
    return b.mesh().moved(np.diag([size, size, size, 1.0]))


def _tracks(b: Builder, long: float, apart: float, tall: float) -> None:
    h = long / 2
    for side in (-1, 1):
        b.prism([(-h + 0.3, 0), (h - 0.3, 0), (h, tall * 0.5), (h - 0.35, tall), (-h + 0.35, tall), (-h, tall * 0.5)],
                0.25, Material.RUBBER, (0.09, 0.085, 0.08), y=side * apart)  # fmt: skip
        for x in np.linspace(-h + 0.5, h - 0.5, 5):
            b.tube((x, side * (apart - 0.27), tall / 2), (x, side * (apart + 0.27), tall / 2), tall * 0.3,
                   Material.METAL, STEEL, sides=8)  # fmt: skip


def _cabin(b: Builder, at: tuple[float, float, float], size: tuple[float, float, float], color: Color) -> None:
    """Add a glazed cabin on a floor at `at`, with posts and a roof."""
    (x, y, z), (sx, sy, sz) = at, size
    b.box((sx * 0.94, sy * 0.94, sz * 0.6), (x, y, z + sz * 0.65), Material.GLASS, PANE)
    b.box((sx, sy, sz * 0.36), (x, y, z + sz * 0.18), Material.PAINT, color)
    b.box((sx + 0.12, sy + 0.12, 0.1), (x, y, z + sz), Material.PAINT, color)
    for dx in (-0.5, 0.5):
        for dy in (-0.5, 0.5):
            b.box((0.09, 0.09, sz), (x + dx * sx, y + dy * sy, z + sz / 2), Material.PAINT, shade(color, 0.8))


def _digger(b: Builder, rng: np.random.Generator, color: Color) -> None:
    if rng.random() < 0.7:
        _tracks(b, rng.uniform(3.2, 4.4), rng.uniform(0.9, 1.2), 0.75)
    else:
        b.wheels((-1.3, 1.3), 1.9, 0.5, 0.4)
        b.box((3.2, 1.4, 0.3), (0, 0, 0.7), Material.METAL, DARK)
    b.tube((0, 0, 0.7), (0, 0, 1.0), 0.8, Material.METAL, DARK, sides=10)
    b.prism([(-2.1, 1.0), (1.3, 1.0), (1.3, 1.5), (-0.4, 1.7), (-0.5, 2.2), (-1.9, 2.1)], 1.2, Material.PAINT, color)
    _cabin(b, (0.55, 0.6, 1.1), (1.4, 1.0, 1.7), color)
    reach, fold = rng.uniform(0.3, 1.15), rng.uniform(0.2, 1.6)
    boom, stick = rng.uniform(3.0, 4.2), rng.uniform(1.8, 2.6)
    shoulder = np.array([1.0, -0.3, 1.5])
    elbow = shoulder + boom * np.array([math.cos(reach), 0, math.sin(reach)])
    wrist = elbow + stick * np.array([math.cos(reach - fold - 0.7), 0, math.sin(reach - fold - 0.7)])
    wrist[2] = max(wrist[2], 0.7)
    b.tube(shoulder, elbow, 0.24, Material.PAINT, color, sides=4, end_radius=0.2)
    b.tube(elbow, wrist, 0.19, Material.PAINT, color, sides=4, end_radius=0.13)
    b.tube(
        shoulder + [0.2, 0.1, 0.4], (shoulder + elbow) / 2 + [0, 0, 0.1], 0.06, Material.METAL, neutral(rng, 0.5, 0.8)
    )
    x, z = float(wrist[0]), float(wrist[2])
    b.prism([(x - 0.6, z - 0.5), (x + 0.1, z - 0.75), (x + 0.4, z - 0.1), (x, z + 0.15)], 0.5, Material.METAL, STEEL,
            y=-0.3)  # fmt: skip


def _dozer(b: Builder, rng: np.random.Generator, color: Color) -> None:
    _tracks(b, 3.4, 0.95, 1.0)
    b.box((1.9, 1.2, 1.1), (0.6, 0, 1.3), Material.PAINT, color)
    _cabin(b, (-0.8, 0, 1.1), (1.3, 1.3, 1.7), color)
    z = rng.uniform(0.05, 0.6)
    b.prism([(2.3, z), (2.6, z), (2.5, z + 0.6), (2.7, z + 1.2), (2.4, z + 1.2)], rng.uniform(1.5, 1.9), Material.METAL,
            shade(color, 0.85))  # fmt: skip
    for side in (-1, 1):
        b.tube((0.3, side * 1.25, 0.5), (2.4, side * 1.25, z + 0.4), 0.12, Material.PAINT, color, sides=4)
    b.tube((1.1, 0.3, 1.8), (1.1, 0.3, 2.6), 0.06, Material.METAL, DARK)


def _loader(b: Builder, rng: np.random.Generator, color: Color) -> None:
    b.prism([(-2.6, 0.8), (-0.4, 0.8), (-0.4, 1.9), (-1.2, 1.9), (-2.6, 1.5)], 0.85, Material.PAINT, color)
    _cabin(b, (-0.4, 0, 1.3), (1.3, 1.3, 1.8), color)
    b.box((1.6, 1.0, 0.7), (1.0, 0, 1.0), Material.PAINT, shade(color, 0.9))
    z = rng.uniform(0.1, 2.2)
    for side in (-1, 1):
        b.tube((0.8, side * 0.6, 1.6), (2.6, side * 0.6, z + 0.4), 0.15, Material.PAINT, color, sides=4)
    b.prism([(2.4, z), (3.5, z), (3.6, z + 0.1), (2.9, z + 0.4), (2.6, z + 1.1), (2.4, z + 1.0)], rng.uniform(1.1, 1.4),
            Material.METAL, STEEL)  # fmt: skip
    b.wheels((-1.7, 1.3), 2.0, rng.uniform(0.65, 0.85), 0.55)
    if rng.random() < 0.35:  # an arm behind
        b.tube((-2.5, 0, 1.2), (-3.3, 0, 3.2), 0.16, Material.PAINT, color, sides=4)
        b.tube((-3.3, 0, 3.2), (-4.0, 0, 1.0), 0.13, Material.PAINT, color, sides=4)
        b.box((0.5, 0.6, 0.5), (-3.9, 0, 0.7), Material.METAL, STEEL)


def _roller(b: Builder, rng: np.random.Generator, color: Color) -> None:
    radius = rng.uniform(0.55, 0.8)
    b.tube((1.5, -1.0, radius), (1.5, 1.0, radius), radius, Material.METAL, neutral(rng, 0.25, 0.5), sides=16)
    if rng.random() < 0.5:
        b.tube((-1.4, -1.0, radius), (-1.4, 1.0, radius), radius, Material.METAL, neutral(rng, 0.25, 0.5), sides=16)
    else:
        b.wheels((-1.4,), 1.7, radius, 0.5)
    b.prism([(-2.2, 0.9), (0.6, 0.9), (0.4, 1.6), (-2.1, 1.7)], 0.85, Material.PAINT, color)
    for side in (-1, 1):
        b.box((1.8, 0.12, 0.35), (1.3, side * 1.05, radius), Material.PAINT, color)
    if rng.random() < 0.5:
        _cabin(b, (-0.3, 0, 1.5), (1.3, 1.3, 1.6), color)
    else:
        for x in (-1.0, 0.3):
            for side in (-1, 1):
                b.tube((x, side * 0.7, 1.5), (x, side * 0.7, 2.9), 0.05, Material.METAL, DARK, sides=4)
        b.box((1.7, 1.7, 0.1), (-0.35, 0, 2.9), Material.PAINT, color)


def _forklift(b: Builder, rng: np.random.Generator, color: Color) -> None:
    b.prism([(-1.2, 0.3), (0.8, 0.3), (0.8, 0.9), (-0.3, 0.9), (-0.6, 1.3), (-1.2, 1.2)], 0.6, Material.PAINT, color)
    for x, top in ((-0.8, -0.6), (0.6, 0.4)):
        for side in (-1, 1):
            b.tube((x, side * 0.5, 0.9), (top, side * 0.45, 2.1), 0.045, Material.METAL, DARK, sides=4)
    b.box((1.3, 1.05, 0.07), (-0.1, 0, 2.12), Material.METAL, DARK)
    tall, z = rng.uniform(2.1, 3.8), rng.uniform(0.1, 1.5)
    for side in (-1, 1):
        b.box((0.12, 0.1, tall), (0.95, side * 0.32, tall / 2 + 0.1), Material.METAL, DARK)
        b.box((1.1, 0.13, 0.06), (1.55, side * 0.28, z), Material.METAL, STEEL)
    if rng.random() < 0.5:
        b.box((0.9, 0.9, 0.8), (1.6, 0, z + 0.45), Material.WOOD, hue(rng, (0.06, 0.1), (0.3, 0.6), (0.3, 0.6)))
    b.wheels((-0.8, 0.6), 1.0, 0.34, 0.26)


def _crane(b: Builder, rng: np.random.Generator, color: Color) -> None:
    b.box((7.0, 2.3, 0.7), (0, 0, 1.0), Material.PAINT, color)
    b.wheels((-2.6, -1.3, 1.6, 2.8), 2.1, 0.5, 0.3)
    _cabin(b, (2.6, 0.5, 1.3), (1.4, 1.2, 1.3), color)
    b.box((2.2, 1.8, 1.2), (-1.6, 0, 1.9), Material.PAINT, color)
    angle, reach = rng.uniform(0.25, 1.1), rng.uniform(6, 9)
    tip = np.array([-1.5 + reach * math.cos(angle), 0, 2.2 + reach * math.sin(angle)])
    b.tube((-1.5, 0, 2.2), tip, 0.35, Material.PAINT, shade(color, 0.9), sides=4, end_radius=0.2)
    b.tube(tip, tip - [0, 0, rng.uniform(1, 3)], 0.03, Material.METAL, DARK, sides=4)


MACHINES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "excavator": partial(_made, _digger),
    "bulldozer": partial(_made, _dozer),
    "loader": partial(_made, _loader),
    "roller": partial(_made, _roller),
    "forklift": partial(_made, _forklift),
    "crane": partial(_made, _crane),
}
"""A maker for each kind of machine."""
