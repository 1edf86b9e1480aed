"""Lorries, buses and trailers of the unseen family: curtain sides, mixers, carriers, articulated buses, boats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.palette import inset, pick, soiled
from clip2scene_training.world.assets.unseen_cars import (
    BLACK,
    CHROME,
    SMOKE,
    TOWN,
    hue,
    lamps,
    shell,
    wheel_pairs,
)  # fmt: skip
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

CURTAINS = np.array(
    [
        (0.82, 0.80, 0.74),
        (0.16, 0.34, 0.40),
        (0.58, 0.20, 0.26),
        (0.30, 0.42, 0.24),
        (0.88, 0.64, 0.16),
        (0.4, 0.4, 0.4),
    ]
)
STEEL = (0.46, 0.47, 0.49)
Load = Callable[[Builder, np.random.Generator, float, float, float], None]
"""Adds what a lorry carries between x0 and x1 at a half-width."""


def _cab_over(b: Builder, front: float, half: float, height: float, color: Color) -> float:
    """Add a flat-nosed cab with a visor and round lamps; return where it ends."""
    rear = front - 1.75
    b.box((1.7, 2 * half, 0.9), (front - 0.87, 0, 0.95), Material.PAINT, color)
    shell(b, [(rear, 1.35), (front, 1.35), (front - 0.12, height), (rear, height)], half, half - 0.08, color,
          panes=1, ends=(True, False))  # fmt: skip
    b.box((0.35, 2 * half - 0.2, 0.12), (front + 0.08, 0, height - 0.05), Material.PLASTIC, BLACK)
    b.box((0.12, 2 * half, 0.32), (front, 0, 0.55), Material.METAL, CHROME)
    for side in (-1, 1):
        b.box((0.12, 0.18, 0.6), (front + 0.15, side * (half + 0.2), height * 0.72), Material.PLASTIC, BLACK)
    return rear


def _bonneted(b: Builder, front: float, half: float, height: float, color: Color) -> float:
    """Add a cab behind a long bonnet with upright exhausts; return where it ends."""
    rear = front - 3.3
    b.prism([(front - 1.7, 0.8), (front - 0.1, 0.8), (front, 1.5), (front - 0.3, 1.72), (front - 1.7, 1.8)],
            [0.75, 0.62, 0.62, 0.6, 0.72], Material.PAINT, color)  # fmt: skip
    b.box((0.08, 1.0, 0.85), (front + 0.02, 0, 1.1), Material.METAL, CHROME)
    b.box((1.7, 2 * half, 0.7), (rear + 0.85, 0, 1.1), Material.PAINT, color)
    shell(b, [(rear, 1.4), (rear + 1.7, 1.4), (rear + 1.4, height), (rear, height)], half, half - 0.1, color,
          panes=1, ends=(True, False))  # fmt: skip
    for side in (-1, 1):
        b.ball((0.6, 0.24, 0.42), (front - 0.7, side * 0.92, 0.78), Material.PAINT, color)
        b.tube((rear - 0.1, side * (half - 0.1), 0.8), (rear - 0.1, side * (half - 0.1), height + 0.6), 0.09,
               Material.METAL, CHROME, sides=7)  # fmt: skip
    return rear - 0.2


def _curtain(b: Builder, rng: np.random.Generator, x0: float, x1: float, half: float) -> None:
    tall, color = rng.uniform(2.2, 2.7), pick(rng, CURTAINS, 0.2, TOWN)
    middle, span = (x0 + x1) / 2, x1 - x0
    b.box((span, 2 * half - 0.06, tall), (middle, 0, 1.05 + tall / 2), Material.PLASTIC, color)
    for x in np.linspace(x0, x1, max(4, int(span / 0.9))):
        b.box((0.07, 2 * half + 0.02, tall), (float(x), 0, 1.05 + tall / 2), Material.PLASTIC, color)
    for z in (1.05, 1.05 + tall):
        b.box((span + 0.06, 2 * half + 0.04, 0.12), (middle, 0, z), Material.METAL, STEEL)


def _mixer(b: Builder, rng: np.random.Generator, x0: float, x1: float, half: float) -> None:
    color, stripe = hue(rng), pick(rng, TOWN)
    cuts = np.linspace(x1 - 0.2, x0 + 0.1, 5)
    radii, heights = (0.6, 1.15, 1.2, 0.85, 0.45), (1.75, 1.95, 2.15, 2.45, 2.7)
    for i in range(4):
        start, end = (cuts[i], 0, heights[i]), (cuts[i + 1], 0, heights[i + 1])
        b.tube(start, end, radii[i], Material.PAINT, stripe if i == 2 else color, sides=12, end_radius=radii[i + 1])
    b.prism([(x0 - 0.5, 1.1), (x0 + 0.3, 1.3), (x0 + 0.2, 2.5), (x0 - 0.3, 2.9)], 0.35, Material.METAL, STEEL)
    b.box((0.5, 1.6, 1.0), (x1 - 0.2, 0, 1.5), Material.METAL, STEEL)


def _garbage(b: Builder, rng: np.random.Generator, x0: float, x1: float, half: float) -> None:
    color, hopper = hue(rng), pick(rng, TOWN)
    b.prism([(x0 + 1.3, 1.0), (x1, 1.0), (x1, 2.9), (x1 - 0.4, 3.15), (x0 + 1.5, 3.15)], half, Material.PAINT, color)
    b.prism([(x0 - 0.5, 0.8), (x0 + 1.3, 0.9), (x0 + 1.45, 3.1), (x0 + 0.5, 3.2), (x0 - 0.5, 2.2)], half - 0.06,
            Material.PAINT, hopper)  # fmt: skip
    b.box((0.1, 2 * half - 0.5, 0.9), (x0 - 0.5, 0, 1.3), Material.METAL, BLACK)
    for side in (-1, 1):
        b.box((0.12, 0.3, 0.7), (x0 - 0.52, side * (half - 0.3), 1.0), Material.RETRO, (0.85, 0.75, 0.2))


def _carrier(b: Builder, rng: np.random.Generator, x0: float, x1: float, half: float) -> None:
    middle, span = (x0 + x1) / 2, x1 - x0
    for z in (0.95, 2.55):
        b.box((span, 2 * half, 0.1), (middle, 0, z), Material.METAL, STEEL)
    for x in np.linspace(x0 + 0.1, x1 - 0.1, 4):
        for side in (-1, 1):
            b.tube((float(x), side * (half - 0.06), 0.9), (float(x), side * (half - 0.06), 2.9), 0.06, Material.METAL,
                   STEEL, sides=4)  # fmt: skip
    for z in (1.0, 2.6):
        if rng.random() < 0.8:
            body, color = middle + rng.uniform(-0.6, 0.6), hue(rng)
            b.box((min(4.0, span - 0.5), 1.7, 0.62), (body, 0, z + 0.5), Material.PAINT, color)
            shell(b, [(body - 1.3, z + 0.8), (body + 0.9, z + 0.8), (body + 0.5, z + 1.25), (body - 1.0, z + 1.25)],
                  0.8, 0.68, color)  # fmt: skip


def _ladder(b: Builder, rng: np.random.Generator, x0: float, x1: float, half: float) -> None:
    color = pick(rng, np.array([(0.62, 0.08, 0.10), (0.70, 0.72, 0.20), (0.86, 0.84, 0.80)]))
    middle, span = (x0 + x1) / 2, x1 - x0
    b.box((span, 2 * half, 1.7), (middle, 0, 1.75), Material.PAINT, color)
    for x in np.linspace(x0 + 0.6, x1 - 0.6, 4):
        b.box((span / 5, 2 * half + 0.03, 1.1), (float(x), 0, 1.7), Material.METAL, STEEL)
    for side in (-1, 1):
        b.tube((x0 - 0.5, side * 0.35, 2.75), (x1 + 1.6, side * 0.35, 3.1), 0.06, Material.METAL, CHROME, sides=4)
    for x in np.linspace(x0 - 0.3, x1 + 1.4, 12):
        b.tube((float(x), -0.35, 2.92), (float(x), 0.35, 2.92), 0.03, Material.METAL, CHROME, sides=4)


LOADS: tuple[Load, ...] = (_curtain, _mixer, _garbage, _carrier, _ladder)
LOAD_SHARES: Array = np.array([0.40, 0.17, 0.17, 0.13, 0.13])


def truck(rng: np.random.Generator) -> Mesh:
    """Return a lorry with a flat nose or a bonnet: curtain side, mixer, garbage truck, carrier or ladder truck."""
    length, half, color = rng.uniform(7.0, 9.6), rng.uniform(1.15, 1.25), hue(rng)
    b = Builder()
    front = length / 2
    cab = _bonneted if rng.random() < 0.25 else _cab_over
    x0, x1 = -length / 2, cab(b, front, half, rng.uniform(2.5, 3.0), color) - 0.15
    b.box((x1 - x0 + 1.0, 0.8, 0.25), ((x0 + x1) / 2 + 0.4, 0, 0.82), Material.METAL, BLACK)
    LOADS[rng.choice(len(LOADS), p=LOAD_SHARES)](b, rng, x0, x1, half)
    wheel_pairs(b, (x0 + 0.7, x0 + 1.75, front - 0.9), 2 * half - 0.3, 0.46, 0.3, (0.6, 0.3, 0.2))
    lamps(b, front + 0.05, x0 - 0.05, half - 0.25, 0.85)
    return soiled(b.mesh(), rng, 0.8, 2.2)


def _coach_body(b: Builder, x0: float, x1: float, half: float, decks: tuple[float, ...], top: float, color: Color,
                second: Color) -> None:  # fmt: skip
    """Add a bus body with a band of panes at each of `decks` [m]; two colours meet below the first."""
    b.prism([(x0, 0.3), (x1, 0.3), (x1, decks[0]), (x0, decks[0])], half, Material.PAINT, second)
    b.prism([(x0, decks[0]), (x1, decks[0]), (x1 - 0.15, top - 0.25), (x1 - 0.5, top), (x0 + 0.4, top),
             (x0, top - 0.3)], [half, half, half, half - 0.25, half - 0.25, half], Material.PAINT, color)  # fmt: skip
    panes = max(3, int((x1 - x0) / 1.9))
    for low in decks:
        for side in (-1, 1):
            wall = np.array([(x0, side * half, low), (x1, side * half, low), (x1, side * half, low + 0.9),
                             (x0, side * half, low + 0.9)])[:: -side]  # fmt: skip
            spans = [((i + 0.06) / panes, (i + 0.94) / panes) for i in range(panes)]
            b.quads(np.stack([inset(wall, span, (0.06, 0.98), 0.015) for span in spans]), Material.GLASS, SMOKE)
        b.box((0.06, 1.7 * half, 0.85), (x1 - 0.02, 0, low + 0.46), Material.GLASS, SMOKE)


def bus(rng: np.random.Generator) -> Mesh:
    """Return an articulated bus, a double-decker, a bonneted school bus or a rounded old one."""
    kind, half, color = rng.choice(4, p=[0.3, 0.3, 0.2, 0.2]), 1.24, hue(rng)
    second = pick(rng, CURTAINS) if rng.random() < 0.6 else color
    b = Builder()
    length = (rng.uniform(16.0, 17.5), rng.uniform(9.2, 10.4), rng.uniform(8.0, 10.0), rng.uniform(7.5, 9.0))[kind]
    front, rear = length / 2, -length / 2
    if kind == 0:
        _coach_body(b, 0.1 * length, front, half, (1.05,), 3.1, color, second)
        _coach_body(b, rear, 0.0, half, (1.05,), 3.1, color, second)
        for x in np.linspace(0.01, 0.09, 6) * length:
            b.box((0.12, 2.3, 2.6), (float(x), 0, 1.7), Material.CLOTH, BLACK)
        axles: tuple[float, ...] = (-0.33 * length, 0.14 * length, 0.38 * length)
    elif kind == 1:
        _coach_body(b, rear, front, half, (1.0, 2.75), 4.3, color, second)
        axles = (-0.26 * length, 0.3 * length)
    elif kind == 2:
        color = second = (0.88, 0.66, 0.10)
        _coach_body(b, rear, front - 1.4, 1.15, (1.25,), 2.95, color, color)
        b.prism([(front - 1.5, 0.5), (front, 0.5), (front, 1.2), (front - 1.5, 1.45)], [1.0, 0.9, 0.8, 1.0],
                Material.PAINT, color)  # fmt: skip
        b.box((length - 1.5, 2.34, 0.1), (-0.7, 0, 0.9), Material.PLASTIC, BLACK)
        axles = (-0.25 * length, 0.37 * length)
    else:
        _coach_body(b, rear + 0.4, front - 0.4, 1.15, (1.15,), 2.75, color, second)
        for x in (rear + 0.45, front - 0.45):
            b.ball((0.55, 1.12, 1.15), (x, 0, 1.5), Material.PAINT, color, detail=2)
        axles = (-0.25 * length, 0.3 * length)
    wheel_pairs(b, axles, 2.1, 0.46, 0.3)
    lamps(b, front, rear, 0.85, 0.75)
    b.box((0.06, 1.1, 0.3), (front - (1.4 if kind == 2 else 0.0), 0, (2.75, 2.4, 2.7, 2.45)[kind]), Material.LAMP,
          (0.75, 0.80, 0.70))  # fmt: skip
    return soiled(b.mesh(), rng, 0.7, 1.8)


def _caravan(b: Builder, rng: np.random.Generator) -> tuple[float, float]:
    long, tall, color = rng.uniform(3.6, 5.6) / 2, rng.uniform(2.3, 2.6), hue(rng)
    b.prism([(-long, 0.5), (long, 0.5), (long + 0.1, 1.1), (long - 0.25, tall - 0.15), (long - 0.6, tall),
             (-long + 0.4, tall), (-long - 0.05, 1.4)], 1.08, Material.PAINT, color)  # fmt: skip
    b.box((2 * long, 2.18, 0.3), (0, 0, 0.75), Material.PAINT, pick(rng, CURTAINS))
    for x in (-0.5 * long, 0.45 * long):
        b.box((0.9, 2.2, 0.6), (x, 0, 1.6), Material.GLASS, SMOKE)
    b.box((0.06, 1.4, 0.6), (long - 0.02, 0, 1.6), Material.GLASS, SMOKE)
    wheel_pairs(b, (-0.1,), 1.95, 0.31)
    return long, 0.45


def _boat(b: Builder, rng: np.random.Generator) -> tuple[float, float]:
    long, hull = rng.uniform(4.2, 6.4) / 2, hue(rng)
    keel, rim = 0.62, rng.uniform(1.4, 1.75)
    for side in (-1, 1):
        b.quads(np.array([
            [(-long, 0, keel), (0.55 * long, 0, keel), (0.5 * long, side * 0.95, rim), (-long, side * 0.9, rim)],
            [(0.55 * long, 0, keel), (long + 0.4, 0, rim + 0.15), (long + 0.4, 0, rim + 0.15),
             (0.5 * long, side * 0.95, rim)],
            [(-long, 0, keel), (-long, side * 0.9, rim), (-long, 0, rim), (-long, 0, keel)],
        ]), Material.PLASTIC, hull)  # fmt: skip
    b.prism([(-long, rim - 0.1), (0.5 * long, rim - 0.1), (0.4 * long, rim + 0.02), (-long, rim + 0.02)], 0.88,
            Material.WOOD, (0.5, 0.36, 0.22))  # fmt: skip
    shell(b, [(-0.4 * long, rim), (0.35 * long, rim), (0.1 * long, rim + 0.55), (-0.35 * long, rim + 0.6)], 0.62, 0.5,
          (0.85, 0.84, 0.8))  # fmt: skip
    b.box((2 * long, 1.1, 0.08), (0, 0, 0.52), Material.METAL, STEEL)
    b.box((0.3, 0.3, 0.8), (-long - 0.15, 0, rim - 0.1), Material.PLASTIC, BLACK)
    wheel_pairs(b, (-0.4, 0.25), 1.7, 0.28, 0.16)
    return long + 0.2, 0.5


def _low_loader(b: Builder, rng: np.random.Generator) -> tuple[float, float]:
    long, color = rng.uniform(8.0, 11.5) / 2, pick(rng, CURTAINS)
    b.box((1.5 * long, 2.5, 0.22), (-0.25 * long, 0, 0.72), Material.METAL, color)
    b.prism([(0.45 * long, 0.7), (0.6 * long, 0.7), (long, 1.25), (long, 1.5), (0.55 * long, 1.2)], 1.2, Material.METAL,
            color)  # fmt: skip
    for x in np.linspace(-0.8 * long, 0.3 * long, int(rng.integers(1, 4))):
        tall = rng.uniform(0.5, 1.7)
        b.box((1.4, rng.uniform(1.0, 2.2), tall), (float(x), 0, 0.83 + tall / 2), Material.CONCRETE, pick(rng, TOWN))
    b.box((0.05, 2.5, 0.25), (-long - 0.02, 0, 0.6), Material.RETRO, (0.85, 0.7, 0.2))
    wheel_pairs(b, (-0.85 * long, -0.6 * long, -0.35 * long), 2.2, 0.36, 0.3)
    for side in (-1, 1):
        b.box((0.15, 0.15, 1.2), (0.75 * long, side * 0.7, 0.6), Material.METAL, BLACK)
    return long, 1.3


def _horse_box(b: Builder, rng: np.random.Generator) -> tuple[float, float]:
    long, tall, color = rng.uniform(3.0, 4.2) / 2, rng.uniform(2.1, 2.5), hue(rng)
    b.box((2 * long, 1.7, 0.85), (0, 0, 0.9), Material.PAINT, color)
    b.prism([(-long, 1.3), (long, 1.3), (long - 0.5, tall), (-long, tall)], [0.85, 0.85, 0.75, 0.75], Material.PLASTIC,
            pick(rng, TOWN))  # fmt: skip
    b.box((0.6, 1.72, 0.3), (0.2 * long, 0, 1.7), Material.GLASS, SMOKE)
    wheel_pairs(b, (-0.45, 0.3), 1.85, 0.3)
    return long, 0.5


def trailer(rng: np.random.Generator) -> Mesh:
    """Return a caravan, a boat on its trailer, a low-loader or a horse box, standing alone or to be hitched."""
    b = Builder()
    make = (_caravan, _boat, _low_loader, _horse_box)[rng.choice(4, p=[0.3, 0.15, 0.35, 0.2])]
    front, hitch = make(b, rng)
    for side in (-1, 1):
        b.tube((front - 0.1, side * 0.4, hitch), (front + 0.9, 0, hitch - 0.05), 0.05, Material.METAL, STEEL, sides=5)
    b.tube((front + 0.6, 0, 0.0), (front + 0.6, 0, hitch), 0.05, Material.METAL, STEEL, sides=6)
    return soiled(b.mesh(), rng, 0.7, 1.6)
