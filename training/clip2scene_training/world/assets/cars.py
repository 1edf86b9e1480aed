"""Cars of many shapes: a lower body, a glass greenhouse with pillars and a roof, wheels, lights, plates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from clip2scene_training.world.assets.palette import COMMON, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

PAINTS = np.array(
    [
        (0.85, 0.85, 0.84), (0.60, 0.61, 0.63), (0.32, 0.33, 0.35), (0.06, 0.06, 0.07), (0.50, 0.05, 0.06),
        (0.08, 0.14, 0.38), (0.16, 0.28, 0.20), (0.62, 0.55, 0.42), (0.70, 0.45, 0.08), (0.28, 0.42, 0.58),
        (0.38, 0.10, 0.12), (0.20, 0.20, 0.24),
    ]
)  # fmt: skip
"""Body colours; white, grey and black are the most frequent on real roads."""
PAINT_WEIGHTS = np.array([5, 4, 4, 5, 2, 2, 1, 1, 1, 2, 1, 2]) / 30.0
DARK = (0.05, 0.05, 0.055)
GLASS = (0.07, 0.09, 0.11)


@dataclass(frozen=True)
class Shape:
    """A car's side view. Heights as shares of the car's height, positions as shares of its length from the rear."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    belt: float
    hood: float
    trunk: float
    screen: float
    roof_front: float
    roof_rear: float
    rear: float


SHAPES = {
    "sedan": Shape((4.4, 5.0), (1.75, 1.90), (1.40, 1.50), 0.62, 0.55, 0.62, 0.70, 0.56, 0.28, 0.14),
    "hatchback": Shape((3.7, 4.3), (1.68, 1.80), (1.43, 1.55), 0.62, 0.57, 0.64, 0.74, 0.60, 0.14, 0.03),
    "wagon": Shape((4.5, 4.9), (1.78, 1.88), (1.45, 1.55), 0.61, 0.55, 0.63, 0.71, 0.58, 0.10, 0.03),
    "suv": Shape((4.3, 5.0), (1.85, 2.02), (1.65, 1.90), 0.62, 0.58, 0.64, 0.73, 0.61, 0.09, 0.02),
    "minivan": Shape((4.4, 5.1), (1.80, 2.00), (1.65, 1.95), 0.55, 0.50, 0.56, 0.84, 0.68, 0.07, 0.02),
    "coupe": Shape((4.2, 4.6), (1.78, 1.90), (1.25, 1.36), 0.66, 0.58, 0.66, 0.66, 0.50, 0.34, 0.10),
    "micro": Shape((2.7, 3.4), (1.55, 1.66), (1.48, 1.58), 0.58, 0.56, 0.60, 0.82, 0.66, 0.10, 0.03),
    "delivery": Shape((4.8, 5.9), (1.95, 2.10), (2.10, 2.60), 0.52, 0.46, 0.53, 0.86, 0.74, 0.04, 0.01),
    "compact": Shape((3.9, 4.4), (1.72, 1.84), (1.50, 1.68), 0.58, 0.55, 0.60, 0.79, 0.64, 0.08, 0.02),
    "fastback": Shape((4.5, 5.0), (1.82, 1.95), (1.36, 1.46), 0.64, 0.56, 0.68, 0.70, 0.54, 0.30, 0.05),
    "boxy": Shape((3.4, 4.7), (1.62, 1.95), (1.65, 2.05), 0.56, 0.53, 0.57, 0.76, 0.70, 0.03, 0.01),
}
SHAPE_WEIGHTS = np.array([5, 4, 3, 5, 3, 1, 1, 2, 3, 2, 2]) / 31.0
JITTER = ("belt", "hood", "trunk", "screen", "roof_front", "roof_rear")
"""Shares of a shape that differ a little from car to car."""


def paint(rng: np.random.Generator) -> Color:
    """Return a body colour: one that cars often have, or any that a town is found in."""
    return pick(rng, PAINTS[rng.choice(len(PAINTS), p=PAINT_WEIGHTS)][None], 0.3, COMMON)


def car(rng: np.random.Generator) -> Mesh:
    """Return a car of a random shape, size and colour."""
    name = str(rng.choice(list(SHAPES), p=SHAPE_WEIGHTS))
    shape = SHAPES[name]
    shape = replace(shape, **{k: getattr(shape, k) + rng.uniform(-0.018, 0.018) for k in JITTER})
    length, width, height = rng.uniform(*shape.length), rng.uniform(*shape.width), rng.uniform(*shape.height)
    color = paint(rng)
    b = Builder()
    clearance = 0.16 + 0.08 * (name in ("suv", "delivery"))
    _body(b, shape, length, width, height, clearance, color)
    _cabin(b, shape, length, width, height, color, blind=name == "delivery")
    radius = (0.30 if height < 1.6 else 0.34) * rng.uniform(0.95, 1.08)
    b.wheels((-0.31 * length, 0.32 * length), width - 0.2, radius)
    lights(b, length, width, height * shape.hood * 0.82)
    if name == "sedan" and rng.random() < 0.15:
        b.box((0.35, 0.5, 0.14), (0.0, 0.0, height + 0.06), Material.LAMP, (0.9, 0.75, 0.2))
    elif name not in ("coupe", "fastback") and rng.random() < 0.2:
        _on_the_roof(b, rng, length, width, height)
    return soiled(b.mesh(), rng)


def _on_the_roof(b: Builder, rng: np.random.Generator, length: float, width: float, height: float) -> None:
    """Add bars across the roof, and a box, luggage or a ladder on them."""
    x, half = -0.12 * length, width / 2 - 0.24
    for dx in (-0.45, 0.45):
        b.box((0.06, 2 * half, 0.06), (x + dx, 0, height + 0.06), Material.METAL, DARK)
    kind, color = rng.integers(3), pick(rng, COMMON)
    if kind == 0:
        b.ball((0.95, 0.38, 0.2), (x, 0.12, height + 0.24), Material.PLASTIC, color)
    elif kind == 1:
        b.box((1.1, 1.6 * half, 0.3), (x, 0, height + 0.24), Material.CLOTH, color)
    else:
        for side in (-1, 1):
            b.box((0.55 * length, 0.06, 0.08), (x, side * 0.25, height + 0.13), Material.METAL, (0.6, 0.6, 0.58))


def _body(
    b: Builder, shape: Shape, length: float, width: float, height: float, clearance: float, color: Color
) -> None:  # fmt: skip
    half = length / 2
    belt, rear_x, screen_x = shape.belt * height, (shape.rear - 0.5) * length, (shape.screen - 0.5) * length
    outline = [
        (-half + 0.12, clearance), (half - 0.15, clearance), (half, clearance + 0.18),
        (half - 0.03, shape.hood * height * 0.82), (half - 0.22, shape.hood * height),
        (screen_x, belt), (rear_x, belt), (-half + 0.03, shape.trunk * height * 0.97), (-half, clearance + 0.22),
    ]  # fmt: skip
    edge, full = width / 2 - 0.05, width / 2
    b.prism(outline, [edge, edge, full, full, edge, edge, edge, edge, full], Material.PAINT, color)
    for x in (-0.31 * length, 0.32 * length):  # wheel arches
        b.box((0.74, width + 0.012, 0.5), (x, 0, clearance + 0.24), Material.PLASTIC, DARK)
    b.box((length * 0.86, width + 0.015, 0.14), (0, 0, clearance + 0.07), Material.PLASTIC, DARK)


def _cabin(
    b: Builder, shape: Shape, length: float, width: float, height: float, color: Color, *, blind: bool
) -> None:  # fmt: skip
    belt, top = shape.belt * height - 0.02, height - 0.06
    x = {k: (getattr(shape, k) - 0.5) * length for k in ("rear", "roof_rear", "roof_front", "screen")}
    low, high = width / 2 - 0.07, width / 2 - 0.20
    b.prism([(x["rear"], belt), (x["screen"], belt), (x["roof_front"], top), (x["roof_rear"], top)],
            [low, low, high, high], Material.GLASS, GLASS)  # fmt: skip
    b.prism([(x["roof_rear"] - 0.06, top - 0.02), (x["roof_front"] + 0.08, top - 0.02),
             (x["roof_front"] - 0.05, height), (x["roof_rear"] + 0.05, height)],
            [high + 0.015, high + 0.015, high - 0.08, high - 0.08], Material.PAINT, color)  # fmt: skip
    middle = 0.45 * x["screen"] + 0.55 * x["rear"]
    for side in (-1, 1):
        for foot, head in (("screen", "roof_front"), ("rear", "roof_rear")):
            b.tube((x[foot], side * low, belt), (x[head], side * high, top), 0.045, Material.PAINT, color, sides=4)
        b.tube((middle, side * low, belt), (middle, side * high, top), 0.05, Material.PLASTIC, DARK, sides=4)
        b.box((0.12, 0.16, 0.12), (x["screen"] - 0.25, side * (width / 2 + 0.04), belt + 0.08), Material.PAINT, color)
    if blind:
        back = [(x["rear"] - 0.02, belt), (middle + 0.3, belt), (middle + 0.3, top), (x["roof_rear"] - 0.02, top)]
        b.prism(back, [low + 0.02, low + 0.02, high + 0.02, high + 0.02], Material.PAINT, color)


def lights(b: Builder, length: float, width: float, z: float) -> None:
    """Add head lights, tail lights and number plates."""
    for side in (-1, 1):
        y = side * (width / 2 - 0.24)
        b.box((0.06, 0.34, 0.14), (length / 2 - 0.01, y, z), Material.LAMP, (0.75, 0.76, 0.72))
        b.box((0.06, 0.26, 0.16), (-length / 2 + 0.01, y, z + 0.06), Material.LAMP, (0.55, 0.03, 0.03))
    for x in (-length / 2 - 0.005, length / 2 + 0.005):
        b.box((0.02, 0.50, 0.12), (x, 0.0, max(z - 0.25, 0.35)), Material.RETRO, (0.85, 0.85, 0.80))
