"""Buses, trucks, trailers and construction vehicles."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.cars import DARK, GLASS, lights, paint
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

LIVERIES = np.array(
    [(0.75, 0.10, 0.08), (0.85, 0.62, 0.10), (0.12, 0.35, 0.60), (0.82, 0.82, 0.80), (0.12, 0.42, 0.25)]
)
BOXES = np.array([(0.85, 0.85, 0.83), (0.75, 0.74, 0.70), (0.20, 0.30, 0.50), (0.60, 0.15, 0.12), (0.80, 0.55, 0.12)])
SITE_YELLOWS = np.array([(0.85, 0.60, 0.06), (0.90, 0.72, 0.10), (0.85, 0.40, 0.08), (0.75, 0.72, 0.60)])


def pick(rng: np.random.Generator, table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Color:
    """Return a random row of a colour table, slightly varied."""
    return tuple(np.clip(table[rng.integers(len(table))] * rng.uniform(0.85, 1.1), 0.02, 0.95))


def bus(rng: np.random.Generator) -> Mesh:
    """Return a city bus, a coach, a double-decker or a minibus."""
    kind = rng.choice(4, p=[0.5, 0.2, 0.15, 0.15])
    length = (rng.uniform(10.5, 12.5), rng.uniform(11.5, 13.5), rng.uniform(9.5, 11.0), rng.uniform(6.0, 7.2))[kind]
    height = (rng.uniform(2.9, 3.2), rng.uniform(3.4, 3.7), rng.uniform(4.1, 4.4), rng.uniform(2.5, 2.8))[kind]
    width = 2.15 if kind == 3 else 2.52
    color, half = pick(rng, LIVERIES), length / 2
    b = Builder()
    nose = 0.10 if kind != 3 else 0.5
    outline = [(-half, 0.35), (half - 0.1, 0.32), (half, 0.7), (half - nose, height - 0.25),
               (half - nose - 0.3, height), (-half + 0.25, height), (-half, height - 0.3)]  # fmt: skip
    b.prism(outline, [width / 2] * 4 + [width / 2 - 0.15] * 2 + [width / 2], Material.PAINT, color)
    decks = [(1.0, 0.95)] if kind != 2 else [(1.0, 0.8), (2.7, 0.85)]
    for low, tall in decks:
        panes = max(4, int(length / 1.5))
        pitch = (length - 0.8) / panes
        for i in range(panes):
            x = -half + 0.4 + (i + 0.5) * pitch
            b.box((pitch * 0.88, width + 0.03, tall), (x, 0, low + tall / 2), Material.GLASS, GLASS)
        b.box((0.08, width * 0.86, tall + 0.2), (half - nose * 0.6, 0, low + tall / 2), Material.GLASS, GLASS)
        b.box((0.05, width * 0.8, tall * 0.7), (-half, 0, low + tall / 2), Material.GLASS, GLASS)
    b.box((0.08, 1.3, 0.25), (half - nose + 0.04, 0, height - 0.35), Material.LAMP, (0.8, 0.55, 0.1))
    for x in (0.18 * length, 0.38 * length):
        b.box((1.1, 0.04, 1.9), (x, -width / 2, 1.4), Material.GLASS, (0.10, 0.11, 0.12))
    b.box((length * 0.97, width + 0.02, 0.25), (0, 0, 0.47), Material.PLASTIC, DARK)
    b.wheels((-0.27 * length, 0.28 * length), width - 0.3, 0.47, 0.3)
    lights(b, length, width, 0.75)
    return b.mesh()


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
    """Return a box truck, a tipper, a tanker, a flatbed or a pickup."""
    kind = rng.choice(5, p=[0.42, 0.15, 0.10, 0.13, 0.20])
    return pickup(rng) if kind == 4 else _lorry(rng, int(kind))


def _lorry(rng: np.random.Generator, kind: int) -> Mesh:
    length, width, height = rng.uniform(6.2, 9.5), rng.uniform(2.2, 2.5), rng.uniform(2.5, 3.0)
    cab_length, color = rng.uniform(1.6, 2.1), paint(rng)
    b = Builder()
    cab(b, length / 2, cab_length, width, height, color)
    x0, x1 = -length / 2, length / 2 - cab_length - 0.15
    middle, span = (x0 + x1) / 2, x1 - x0
    b.box((span + 0.5, 0.9, 0.22), (middle, 0, 0.85), Material.METAL, DARK)
    if kind == 0:
        tall = rng.uniform(2.1, 2.7)
        b.box((span, width, tall), (middle, 0, 1.0 + tall / 2), Material.PAINT, pick(rng, BOXES))
        b.box((0.04, width * 0.9, tall * 0.92), (x0 - 0.01, 0, 1.0 + tall / 2), Material.METAL, (0.6, 0.6, 0.6))
    elif kind == 1:
        body = pick(rng, SITE_YELLOWS)
        b.prism([(x0, 1.0), (x1, 1.0), (x1, 2.3), (x0 - 0.15, 2.1)], width / 2, Material.PAINT, body)
        b.ball((span * 0.42, width * 0.42, 0.55), (middle, 0, 2.15), Material.DIRT, (0.35, 0.27, 0.2),
               roughness=0.12, rng=rng)  # fmt: skip
    elif kind == 2:
        b.tube((x0, 0, 1.95), (x1, 0, 1.95), width * 0.46, Material.METAL, (0.7, 0.71, 0.73), sides=14)
    else:
        b.box((span, width, 0.18), (middle, 0, 1.08), Material.WOOD, (0.35, 0.25, 0.16))
        b.box((0.08, width, 0.7), (x1, 0, 1.5), Material.METAL, (0.3, 0.3, 0.3))
        for x in np.linspace(x0 + 0.7, x1 - 0.7, max(1, int(span / 1.6))):
            tall = rng.uniform(0.4, 1.3)
            b.box((1.2, width * rng.uniform(0.5, 0.9), tall), (x, 0, 1.17 + tall / 2), Material.WOOD, (0.5, 0.38, 0.24))
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
    """Return a semi-trailer, a drawbar trailer or a small car trailer, standing alone or to be hitched."""
    kind = rng.choice(3, p=[0.55, 0.25, 0.20])
    length = (rng.uniform(10.0, 13.6), rng.uniform(5.5, 7.5), rng.uniform(2.6, 4.0))[kind]
    width = (2.5, 2.45, 1.8)[kind]
    floor, tall = (1.15, 1.0, 0.55)[kind], (rng.uniform(2.4, 2.8), rng.uniform(1.8, 2.5), rng.uniform(0.4, 1.5))[kind]
    b = Builder()
    cover = Material.PAINT if rng.random() < 0.5 else Material.CLOTH
    b.box((length, width, tall), (0, 0, floor + tall / 2), cover, pick(rng, BOXES))
    b.box((length, width * 0.45, 0.2), (0, 0, floor - 0.1), Material.METAL, DARK)
    b.box((0.05, width, 0.25), (-length / 2 - 0.03, 0, floor - 0.2), Material.RETRO, (0.8, 0.25, 0.15))
    b.tube(
        (length / 2, 0, floor - 0.25), (length / 2 + (0.2, 1.6, 1.1)[kind], 0, floor - 0.35), 0.06, Material.METAL, DARK
    )
    axles = ((-0.42, -0.32, -0.22), (-0.3, 0.3), (-0.05,))[kind]
    b.wheels([a * length for a in axles], width - 0.3, 0.48 if kind < 2 else 0.3, 0.28)
    if kind == 0:
        for side in (-1, 1):
            b.tube((0.28 * length, side * 0.8, 0.02), (0.28 * length, side * 0.8, floor), 0.07, Material.METAL, DARK)
    return b.mesh()


def construction_vehicle(rng: np.random.Generator) -> Mesh:
    """Return an excavator, a wheel loader or a road roller."""
    return (excavator, wheel_loader, roller)[rng.integers(3)](rng)


def _cabin(b: Builder, center: tuple[float, float, float], size: tuple[float, float, float], color: Color) -> None:
    b.box(size, center, Material.GLASS, GLASS)
    x, y, z = center
    b.box((size[0] + 0.1, size[1] + 0.1, 0.1), (x, y, z + size[2] / 2), Material.PAINT, color)
    for dx in (-1, 1):
        for dy in (-1, 1):
            b.box((0.1, 0.1, size[2]), (x + dx * size[0] / 2, y + dy * size[1] / 2, z), Material.PAINT, color)


def excavator(rng: np.random.Generator) -> Mesh:
    """Return a tracked excavator with its arm at a random angle."""
    color, scale = pick(rng, SITE_YELLOWS), rng.uniform(0.7, 1.15)
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
    color, lift = pick(rng, SITE_YELLOWS), rng.uniform(0.0, 1.8)
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


def roller(rng: np.random.Generator) -> Mesh:
    """Return a road roller with two drums."""
    color = pick(rng, SITE_YELLOWS)
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
