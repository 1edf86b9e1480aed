"""Buses, trucks and trailers."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.cars import DARK, GLASS, lights, paint
from clip2scene_training.world.assets.palette import COMMON, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

LIVERIES = np.array(
    [(0.75, 0.10, 0.08), (0.85, 0.62, 0.10), (0.12, 0.35, 0.60), (0.82, 0.82, 0.80), (0.12, 0.42, 0.25)]
)
BOXES = np.array([(0.85, 0.85, 0.83), (0.75, 0.74, 0.70), (0.20, 0.30, 0.50), (0.60, 0.15, 0.12), (0.80, 0.55, 0.12)])


def bus(rng: np.random.Generator) -> Mesh:
    """Return a city bus, a coach, a battery bus with pods on its roof, or a minibus."""
    kind = rng.choice(4, p=[0.5, 0.2, 0.15, 0.15])
    length = (rng.uniform(10.5, 12.5), rng.uniform(11.5, 13.5), rng.uniform(8.5, 12.0), rng.uniform(6.0, 7.2))[kind]
    height = (rng.uniform(2.9, 3.2), rng.uniform(3.4, 3.7), rng.uniform(2.85, 3.0), rng.uniform(2.5, 2.8))[kind]
    width = 2.15 if kind == 3 else 2.52
    color, half = pick(rng, LIVERIES, 0.35), length / 2
    b = Builder()
    nose = 0.10 if kind != 3 else 0.5
    outline = [(-half, 0.35), (half - 0.1, 0.32), (half, 0.7), (half - nose, height - 0.25),
               (half - nose - 0.3, height), (-half + 0.25, height), (-half, height - 0.3)]  # fmt: skip
    b.prism(outline, [width / 2] * 4 + [width / 2 - 0.15] * 2 + [width / 2], Material.PAINT, color)
    low, tall, panes = (1.0, 1.35, 0.8, 1.0)[kind], 0.95, max(4, int(length / 1.5))
    pitch = (length - 0.8) / panes
    for i in range(panes):
        x = -half + 0.4 + (i + 0.5) * pitch
        b.box((pitch * 0.88, width + 0.03, tall), (x, 0, low + tall / 2), Material.GLASS, GLASS)
    b.box((0.08, width * 0.86, tall + 0.2), (half - nose * 0.6, 0, low + tall / 2), Material.GLASS, GLASS)
    b.box((0.05, width * 0.8, tall * 0.7), (-half, 0, low + tall / 2), Material.GLASS, GLASS)
    if kind == 2:
        for x in (-0.25 * length, 0.15 * length):
            b.box((0.28 * length, width - 0.7, 0.35), (x, 0, height + 0.17), Material.PLASTIC, pick(rng, BOXES, 0.4))
    if rng.random() < 0.4:  # a stripe, or advertising
        b.box((length * rng.uniform(0.3, 0.85), width + 0.015, low - 0.62), (-0.05 * length, 0, 0.3 + low / 2),
              Material.PAINT, pick(rng, LIVERIES, 0.5))  # fmt: skip
    b.box((0.08, 1.3, 0.25), (half - nose + 0.04, 0, height - 0.35), Material.LAMP, (0.8, 0.55, 0.1))
    for x in (0.18 * length, 0.38 * length):
        b.box((1.1, 0.04, 1.9), (x, -width / 2, 1.4), Material.GLASS, (0.10, 0.11, 0.12))
    b.box((length * 0.97, width + 0.02, 0.25), (0, 0, 0.47), Material.PLASTIC, DARK)
    b.wheels((-0.27 * length, 0.28 * length), width - 0.3, 0.47, 0.3)
    lights(b, length, width, 0.75)
    return soiled(b.mesh(), rng, 0.7, 1.8)


def cab(b: Builder, front: float, length: float, width: float, height: float, color: Color) -> None:
    """Add a driver's cab whose bumper is at x = `front`."""
    rear = front - length
    b.prism([(rear, 0.55), (front - 0.05, 0.45), (front, 0.9), (front - 0.06, height * 0.55),
             (front - 0.30, height - 0.15), (front - 0.6, height), (rear, height)],
            [width / 2] * 4 + [width / 2 - 0.1] * 3, Material.PAINT, color)  # fmt: skip
    z = height * 0.68
    b.prism([(front - 0.04, height * 0.54), (front + 0.01, height * 0.54), (front - 0.23, height * 0.87),
             (front - 0.28, height * 0.87)], width / 2 - 0.12, Material.GLASS, GLASS)  # fmt: skip
    b.box((length * 0.5, width + 0.02, height * 0.27), (front - 0.30 - length * 0.28, 0, z), Material.GLASS, GLASS)
    for side in (-1, 1):
        b.box((0.1, 0.22, 0.45), (front - 0.1, side * (width / 2 + 0.16), z), Material.PLASTIC, DARK)
        b.box((0.06, 0.35, 0.18), (front, side * (width / 2 - 0.3), 0.75), Material.LAMP, (0.75, 0.76, 0.72))
    b.box((0.1, width, 0.3), (front - 0.02, 0, 0.55), Material.PLASTIC, DARK)


def truck(rng: np.random.Generator) -> Mesh:
    """Return a box truck, a tipper, a tanker, a flatbed, a skip lorry, a container lorry or a pickup."""
    kind = rng.choice(7, p=[0.34, 0.12, 0.09, 0.11, 0.08, 0.08, 0.18])
    return soiled(pickup(rng) if kind == 6 else _lorry(rng, int(kind)), rng, 0.75, 2.0)


def _box(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    tall, middle, span = rng.uniform(2.1, 2.7), (x0 + x1) / 2, x1 - x0
    color = pick(rng, BOXES, 0.4)
    b.box((span, width, tall), (middle, 0, 1.0 + tall / 2), Material.PAINT, color)
    b.box((0.04, width * 0.9, tall * 0.92), (x0 - 0.01, 0, 1.0 + tall / 2), Material.METAL, (0.6, 0.6, 0.6))
    if rng.random() < 0.4:
        sign = (span * rng.uniform(0.3, 0.8), width + 0.02, tall * rng.uniform(0.15, 0.5))
        b.box(sign, (middle, 0, 1.0 + 0.6 * tall), Material.PAINT, pick(rng, LIVERIES, 0.5))
    elif rng.random() < 0.4:  # a cooler above the cab
        b.box((0.5, width * 0.7, 0.7), (x1 + 0.3, 0, 0.6 + tall), Material.PLASTIC, (0.75, 0.75, 0.73))


def _tipper(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    b.prism([(x0, 1.0), (x1, 1.0), (x1, 2.3), (x0 - 0.15, 2.1)], width / 2, Material.PAINT, pick(rng, BOXES, 0.6))
    b.ball(((x1 - x0) * 0.42, width * 0.42, 0.55), ((x0 + x1) / 2, 0, 2.15), Material.DIRT, (0.35, 0.27, 0.2),
           roughness=0.12, rng=rng)  # fmt: skip


def _tank(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    skin = Material.METAL if rng.random() < 0.5 else Material.PAINT
    color = (0.7, 0.71, 0.73) if skin == Material.METAL else pick(rng, BOXES, 0.3)
    b.tube((x0, 0, 1.95), (x1, 0, 1.95), width * 0.46, skin, color, sides=14)
    b.box((0.7 * (x1 - x0), 0.6, 0.12), ((x0 + x1) / 2, 0, 1.95 + 0.46 * width), Material.METAL, (0.4,) * 3)


def _flatbed(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    b.box((x1 - x0, width, 0.18), ((x0 + x1) / 2, 0, 1.08), Material.WOOD, (0.35, 0.25, 0.16))
    b.box((0.08, width, 0.7), (x1, 0, 1.5), Material.METAL, (0.3, 0.3, 0.3))
    for x in np.linspace(x0 + 0.7, x1 - 0.7, max(1, int((x1 - x0) / 1.6))):
        tall = rng.uniform(0.4, 1.3)
        b.box((1.2, width * rng.uniform(0.5, 0.9), tall), (x, 0, 1.17 + tall / 2), Material.WOOD, pick(rng, COMMON))


def _skip(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    b.box((x1 - x0, width * 0.8, 0.12), ((x0 + x1) / 2, 0, 1.05), Material.METAL, DARK)
    b.prism([(x0 + 0.8, 1.1), (x1 - 0.8, 1.1), (x1 - 0.2, 2.4), (x0 + 0.1, 2.4)], 0.8, Material.METAL,
            pick(rng, COMMON))  # fmt: skip
    for side in (-1, 1):
        b.tube((x0 + 0.4, side * 0.95, 1.1), (x1 - 0.6, side * 0.95, 2.9), 0.1, Material.PAINT, pick(rng, LIVERIES),
               sides=4)  # fmt: skip


def _container(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    color, span = pick(rng, COMMON), x1 - x0 - 0.7
    b.box((span, width, 2.3), (x0 + span / 2, 0, 2.2), Material.METAL, color)
    ribs = np.arange(x0 + 0.1, x0 + span - 0.1, 0.3)
    for side in (-1, 1):
        low = np.stack([ribs, np.full_like(ribs, side * (width / 2 + 0.02)), np.full_like(ribs, 1.15)], axis=1)
        step, up = np.array([0.16, 0, 0]), np.array([0, 0, 2.1])
        b.quads(
            np.stack([low, low + step, low + step + up, low + up], axis=1), Material.METAL, np.asarray(color) * 0.85
        )


def _with_crane(b: Builder, rng: np.random.Generator, x0: float, x1: float, width: float) -> None:
    _container(b, rng, x0, x1, width)
    b.tube((x1 - 0.3, 0, 1.0), (x1 - 0.3, 0, 3.3), 0.14, Material.PAINT, pick(rng, LIVERIES), sides=5)
    b.tube((x1 - 0.3, 0, 3.3), (x1 - 1.6, 0.5, 3.9), 0.1, Material.PAINT, pick(rng, LIVERIES), sides=4)


LOADS = (_box, _tipper, _tank, _flatbed, _skip, _with_crane)
"""What a lorry carries: each adds it between two x on a bed of a width [m]."""


def _lorry(rng: np.random.Generator, kind: int) -> Mesh:
    length, width, height = rng.uniform(6.2, 9.5), rng.uniform(2.2, 2.5), rng.uniform(2.5, 3.0)
    cab_length, color = rng.uniform(1.6, 2.1), paint(rng)
    b = Builder()
    cab(b, length / 2, cab_length, width, height, color)
    x0, x1 = -length / 2, length / 2 - cab_length - 0.15
    middle, span = (x0 + x1) / 2, x1 - x0
    b.box((span + 0.5, 0.9, 0.22), (middle, 0, 0.85), Material.METAL, DARK)
    LOADS[kind](b, rng, x0, x1, width)
    b.wheels((x0 + 0.25 * span, length / 2 - 0.75), width - 0.25, 0.48, 0.28)
    for side in (-1, 1):
        b.box((0.05, 0.3, 0.16), (x0 - 0.02, side * (width / 2 - 0.25), 0.95), Material.LAMP, (0.55, 0.03, 0.03))
    return b.mesh()


def pickup(rng: np.random.Generator) -> Mesh:
    """Return a pickup: a truck in nuScenes."""
    length, width, height, color = rng.uniform(5.0, 5.8), rng.uniform(1.85, 2.05), rng.uniform(1.75, 1.95), paint(rng)
    half, belt = length / 2, 1.10
    b = Builder()
    b.prism([(-half, 0.35), (half - 0.1, 0.3), (half, 0.6), (half - 0.05, 0.98), (half - 1.4, belt), (-half, belt)],
            width / 2, Material.PAINT, color)  # fmt: skip
    b.prism([(-half + 1.7, belt), (half - 1.3, belt), (half - 2.0, height - 0.05), (-half + 1.8, height - 0.05)],
            [width / 2 - 0.05, width / 2 - 0.05, width / 2 - 0.2, width / 2 - 0.2], Material.GLASS, GLASS)  # fmt: skip
    b.box((length - 4.0, width - 0.4, 0.07), (-0.1, 0, height - 0.03), Material.PAINT, color)
    b.box((1.5, width - 0.25, 0.02), (-half + 0.85, 0, belt + 0.01), Material.PLASTIC, DARK)
    b.wheels((-0.30 * length, 0.32 * length), width - 0.2, 0.38, 0.26)
    lights(b, length, width, 0.85)
    return b.mesh()


def trailer(rng: np.random.Generator) -> Mesh:
    """Return a semi-trailer (box, tank or container), a drawbar trailer or a small one, standing or to be hitched."""
    kind = rng.choice(3, p=[0.55, 0.25, 0.20])
    length = (rng.uniform(9.0, 13.6), rng.uniform(5.5, 7.5), rng.uniform(2.6, 4.0))[kind]
    width = (2.5, 2.45, 1.8)[kind]
    floor, tall = (1.15, 1.0, 0.55)[kind], (rng.uniform(2.4, 2.8), rng.uniform(1.8, 2.5), rng.uniform(0.4, 1.5))[kind]
    b, half = Builder(), length / 2
    load = rng.random()
    if kind == 0 and load < 0.2:
        _tank(b, rng, -half, half, width)
    elif kind == 0 and load < 0.4:
        _container(b, rng, -half, half - 0.2, width)
    elif kind < 2 and load < 0.55:
        _flatbed(b, rng, -half, half, width)
    else:
        cover = Material.PAINT if rng.random() < 0.6 else Material.PLASTIC
        b.box((length, width, tall), (0, 0, floor + tall / 2), cover, pick(rng, BOXES, 0.4))
    b.box((length, width * 0.45, 0.2), (0, 0, floor - 0.1), Material.METAL, DARK)
    b.box((0.05, width, 0.25), (-half - 0.03, 0, floor - 0.2), Material.RETRO, (0.8, 0.25, 0.15))
    b.tube((half, 0, floor - 0.25), (half + (0.2, 1.6, 1.1)[kind], 0, floor - 0.35), 0.06, Material.METAL, DARK)
    axles = ((-0.42, -0.32, -0.22), (-0.3, 0.3), (-0.05,))[kind]
    b.wheels([a * length for a in axles], width - 0.3, 0.48 if kind < 2 else 0.3, 0.28)
    for side in (-1, 1) if kind == 0 else ():
        b.tube((0.28 * length, side * 0.8, 0.02), (0.28 * length, side * 0.8, floor), 0.07, Material.METAL, DARK)
    return soiled(b.mesh(), rng, 0.75, 2.0)
