"""Lorries, trailers, buses: cabs, loads, rows of windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_training.photos.assets.cars import lights
from clip2scene_training.photos.assets.colors import DARK, PANE, hue, neutral, paint, shade
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

Span = tuple[float, float, float, float]
"""Where a load lies: from x to x, on a floor at z, so wide [m]."""
Load = Callable[[Builder, np.random.Generator, Span, Color], None]


def _cab(b: Builder, rng: np.random.Generator, front: float, width: float, color: Color) -> float:
    """Add a cab, with or without a bonnet before it; return the x of its back."""
    height, deep = rng.uniform(2.3, 3.3), rng.uniform(1.5, 2.3)
    bonnet = rng.uniform(0.8, 1.6) if rng.random() < 0.25 else 0.0
    face = front - bonnet
    back, edge = face - deep, width / 2
    if bonnet:
        b.prism([(face - 0.1, 0.6), (front, 0.5), (front, 1.3), (face, 1.6)], edge * 0.8, Material.PAINT, color)
    lean = rng.uniform(0.05, 0.35)
    b.prism([(back, 0.5), (face, 0.5), (face + 0.02, height * 0.5), (face - lean, height), (back, height)],
            [edge, edge, edge, edge - 0.1, edge - 0.1], Material.PAINT, color)  # fmt: skip
    z, tall = height * 0.7, height * 0.32
    b.prism([(face - 0.06, z - tall / 2), (face + 0.04, z - tall / 2), (face - lean * 0.75 + 0.03, z + tall / 2),
             (face - lean - 0.05, z + tall / 2)], edge - 0.13, Material.GLASS, PANE)  # fmt: skip
    b.box((deep * 0.48, width + 0.02, tall * 0.85), (face - 0.25 - deep * 0.26, 0, z), Material.GLASS, PANE)
    for side in (-1, 1):
        b.box((0.1, 0.2, 0.5), (face - 0.05, side * (edge + 0.15), z), Material.PLASTIC, DARK)
        b.box((0.1, 0.35, 0.2), (front, side * (edge * (0.65 if bonnet else 0.75)), 0.8), Material.LAMP, (0.8,) * 3)
    b.box((0.06, width * 0.6, 0.5), (front + 0.01, 0, 1.0), Material.PLASTIC, DARK)
    b.box((0.15, width, 0.3), (front - 0.04, 0, 0.5), Material.PLASTIC, shade(color, 0.5))
    if rng.random() < 0.3:
        b.prism([(back, height), (face - 0.5, height), (back, height + 0.6)], edge - 0.15, Material.PAINT, color)
    return back


def _box(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, width = at
    tall = rng.uniform(1.9, 2.9)
    cover = (Material.PAINT, Material.PLASTIC, Material.METAL, Material.CLOTH)[rng.integers(4)]
    b.box((x1 - x0, width, tall), ((x0 + x1) / 2, 0, floor + tall / 2), cover, color)
    _lettering(b, rng, ((x0 + x1) / 2, floor, x1 - x0), width, tall)


def _tank(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, width = at
    radius, skin = width * rng.uniform(0.36, 0.47), Material.METAL if rng.random() < 0.5 else Material.PAINT
    b.tube((x0, 0, floor + radius), (x1, 0, floor + radius), radius, skin, color, sides=16)
    for x in np.linspace(x0 + 0.3, x1 - 0.3, 4):
        b.tube((x - 0.04, 0, floor + radius), (x + 0.04, 0, floor + radius), radius * 1.03, Material.METAL, DARK,
               sides=16)  # fmt: skip


def _dump(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, width = at
    rise, earth = rng.uniform(0.9, 1.6), hue(rng, (0.05, 0.12), (0.2, 0.5), (0.2, 0.5))
    b.prism([(x0 + 0.3, floor), (x1, floor), (x1 + 0.1, floor + rise), (x0 - 0.1, floor + rise)], width / 2,
            Material.METAL, color)  # fmt: skip
    for x in np.arange(x0 + 0.4, x1, 0.8):
        b.box((0.1, width + 0.08, rise * 0.9), (x, 0, floor + rise / 2), Material.METAL, shade(color, 0.8))
    b.ball(((x1 - x0) * 0.4, width * 0.4, 0.5), ((x0 + x1) / 2, 0, floor + rise), Material.DIRT, earth, roughness=0.15,
           rng=rng)  # fmt: skip


def _logs(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, width = at
    for y in np.linspace(-0.3, 0.3, 4) * width:
        for z in (0.25, 0.65, 1.05):
            bark = hue(rng, (0.05, 0.1), (0.3, 0.6), (0.2, 0.5))
            b.tube((x0, y, floor + z), (x1, y, floor + z), 0.2, Material.BARK, bark, sides=7)
    b.box((0.1, width, 1.4), (x1, 0, floor + 0.7), Material.METAL, color)


def _mixer(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, _ = at
    middle = (x0 + x1) / 2
    b.tube((x0 + 0.2, 0, floor + 1.5), (middle, 0, floor + 1.1), 0.6, Material.PAINT, color, sides=12, end_radius=1.15)
    b.tube((middle, 0, floor + 1.1), (x1, 0, floor + 0.8), 1.15, Material.PAINT, color, sides=12, end_radius=0.7)


def _bare(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, width = at
    wood = hue(rng, (0.05, 0.1), (0.3, 0.5), (0.25, 0.45))
    b.box((x1 - x0, width, 0.2), ((x0 + x1) / 2, 0, floor), Material.WOOD, wood)
    b.box((0.1, width, 0.6), (x1, 0, floor + 0.3), Material.METAL, color)


def _flat(b: Builder, rng: np.random.Generator, at: Span, color: Color) -> None:
    x0, x1, floor, width = at
    _bare(b, rng, at, color)
    for x in np.arange(x0 + 0.7, x1 - 0.4, 1.5):
        tall = rng.uniform(0.3, 1.5)
        b.box((rng.uniform(0.7, 1.4), width * rng.uniform(0.4, 0.95), tall), (x, 0, floor + tall / 2), Material.PLASTIC,
              paint(rng))  # fmt: skip


def _cargo(b: Builder, rng: np.random.Generator, span: tuple[float, float, float], kinds: tuple[Load, ...]) -> None:
    """Add one of some kinds of load between two x, so wide."""
    color = neutral(rng, 0.4, 0.9) if rng.random() < 0.4 else paint(rng)
    x0, x1, width = span
    kinds[rng.integers(len(kinds))](b, rng, (x0, x1, rng.uniform(0.95, 1.2), width), color)


def _lettering(b: Builder, rng: np.random.Generator, at: tuple[float, float, float], width: float, tall: float) -> None:
    """Add stripes, letters or ribs to the sides of a box whose middle, floor and span are given."""
    x, floor, span = at
    draw, color = rng.random(), paint(rng)
    if draw < 0.3:
        b.box((span * rng.uniform(0.5, 0.99), width + 0.02, tall * rng.uniform(0.08, 0.3)),
              (x, 0, floor + tall * rng.uniform(0.3, 0.7)), Material.PAINT, color)  # fmt: skip
    elif draw < 0.5:
        for k in range(int(rng.integers(4, 9))):
            b.box((0.28, width + 0.02, rng.uniform(0.3, 0.6)), (x - span * 0.3 + 0.42 * k, 0, floor + tall * 0.6),
                  Material.PAINT, color)  # fmt: skip
    elif draw < 0.75:
        for place in np.arange(x - span / 2 + 0.2, x + span / 2, rng.uniform(0.3, 0.9)):
            b.box(
                (0.1, width + 0.04, tall * 0.96), (place, 0, floor + tall / 2), Material.METAL, neutral(rng, 0.3, 0.7)
            )


ON_LORRIES: tuple[Load, ...] = (_box, _box, _tank, _dump, _flat, _bare, _logs, _mixer)
ON_TRAILERS: tuple[Load, ...] = (_box, _box, _tank, _flat, _bare, _dump)


def truck(rng: np.random.Generator) -> Mesh:
    """Return a lorry with one of seven loads."""
    length, width, b = rng.uniform(5.8, 10.5), rng.uniform(2.0, 2.55), Builder()
    half = length / 2
    back = _cab(b, rng, half, width, paint(rng)) - rng.uniform(0.05, 0.4)
    b.box((length - 0.4, 0.9, 0.25), (-0.1, 0, 0.8), Material.METAL, DARK)
    _cargo(b, rng, (-half, back, width), ON_LORRIES)
    axles = [-half + 0.2 * length, half - 1.0] + ([-half + 0.2 * length + 1.2] if length > 7.5 else [])
    b.wheels(axles, width - 0.25, rng.uniform(0.42, 0.54), 0.3)
    for side in (-1, 1):
        b.box(
            (length * 0.3, 0.05, 0.35), (0.0, side * (width / 2 - 0.05), 0.65), Material.METAL, neutral(rng, 0.2, 0.6)
        )
        b.box((0.06, 0.3, 0.15), (-half - 0.02, side * (width / 2 - 0.25), 0.85), Material.LAMP, (0.5, 0.03, 0.03))
    return b.mesh()


def trailer(rng: np.random.Generator) -> Mesh:
    """Return a trailer that stands without its tractor: long, with a drawbar, or for a car."""
    kind = rng.choice(3, p=[0.5, 0.27, 0.23])
    length, width = ((10.5, 2.5), (6.2, 2.4), (3.0, 1.7))[kind]
    length *= rng.uniform(0.8, 1.25)
    half, b = length / 2, Builder()
    if kind == 2 and rng.random() < 0.5:  # a caravan or a horse box
        tall = rng.uniform(1.6, 2.2)
        b.prism([(-half, 0.45), (half * 0.8, 0.45), (half, 0.45 + tall * 0.5), (half * 0.8, 0.45 + tall),
                 (-half + 0.2, 0.45 + tall)], width / 2, Material.PAINT, neutral(rng, 0.5, 0.9))  # fmt: skip
        b.box((length * 0.5, width + 0.02, 0.5), (0, 0, 0.45 + tall * 0.65), Material.GLASS, PANE)
    else:
        _cargo(b, rng, (-half, half, width), ON_TRAILERS if kind < 2 else (_flat,))
    b.box((length, width * 0.5, 0.2), (0, 0, 0.85 if kind < 2 else 0.5), Material.METAL, DARK)
    xs = ((-0.25, -0.36, -0.14), (-0.3, 0.32), (-0.06,))[kind]
    b.wheels([x * length for x in xs], width - 0.25, 0.5 if kind < 2 else 0.3, 0.28)
    bar = (0.2, 1.8, 1.2)[kind]
    b.tube((half, 0, 0.6), (half + bar, 0, 0.5), 0.07, Material.METAL, DARK)
    for side in (-1, 1):
        y = side * 0.7
        if kind == 0:
            b.tube((0.25 * length, y, 0.0), (0.25 * length, y, 1.0), 0.08, Material.METAL, neutral(rng, 0.2, 0.6))
        b.box((0.05, 0.3, 0.14), (-half - 0.03, y, 0.8), Material.LAMP, (0.5, 0.04, 0.03))
    b.box((0.05, width * 0.95, 0.12), (-half - 0.03, 0, 0.62), Material.RETRO, (0.8, 0.3, 0.15))
    return b.mesh()


def bus(rng: np.random.Generator) -> Mesh:
    """Return a city bus, a coach, a school bus, a double-decker or an articulated one."""
    draw = rng.random()
    decks = 2 if draw < 0.15 else 1
    length = rng.uniform(16, 18) if 0.15 < draw < 0.27 else rng.uniform(6.5, 12.5)
    width, height = rng.uniform(2.2, 2.55), rng.uniform(2.7, 3.4) * (1.35 if decks == 2 else 1.0)
    color = paint(rng) if rng.random() < 0.7 else hue(rng, (0.1, 0.15), (0.7, 0.95), (0.7, 0.95))
    half, b, nose = length / 2, Builder(), rng.uniform(0.05, 0.4)
    b.prism([(-half, 0.4), (half - 0.05, 0.35), (half, 1.0), (half - nose, height), (-half + 0.1, height)],
            [width / 2] * 3 + [width / 2 - 0.08] * 2, Material.PAINT, color)  # fmt: skip
    for deck in range(decks):
        low = rng.uniform(1.0, 1.4) + deck * height * 0.45
        tall = min(rng.uniform(0.8, 1.3), (height / decks) * 0.5)
        _windows(b, rng, length, width, (low, tall))
        b.prism([(half - 0.12, low - 0.2), (half + 0.015, low - 0.2), (half - nose * 0.7 + 0.015, low + tall),
                 (half - nose - 0.05, low + tall)], width / 2 - 0.1, Material.GLASS, PANE)  # fmt: skip
        b.box((0.04, width * 0.8, tall * 0.8), (-half + 0.02, 0, low + tall / 2), Material.GLASS, PANE)
    if rng.random() < 0.5:
        b.box((length * rng.uniform(0.4, 0.98), width + 0.015, rng.uniform(0.15, 0.5)), (0, 0, rng.uniform(0.7, 0.95)),
              Material.PAINT, paint(rng))  # fmt: skip
    if rng.random() < 0.4:
        b.box((length * 0.3, width * 0.7, 0.3), (-length * 0.1, 0, height + 0.14), Material.PLASTIC, neutral(rng))
    if length > 14:
        b.box((0.9, width + 0.03, height - 0.5), (-0.1 * length, 0, height / 2 + 0.2), Material.RUBBER, DARK)
    b.box((0.06, width * 0.6, 0.28), (half - nose + 0.03, 0, height - 0.3), Material.LAMP, (0.8, 0.6, 0.15))
    b.box((length * 0.98, width + 0.01, 0.2), (0, 0, 0.42), Material.PLASTIC, DARK)
    b.wheels([-0.3 * length, 0.3 * length] + ([0.02 * length] if length > 14 else []), width - 0.25, 0.48, 0.3)
    lights(b, rng, length, width, 0.8)
    return b.mesh()


def _windows(b: Builder, rng: np.random.Generator, length: float, width: float, row: tuple[float, float]) -> None:
    """Add a row of panes along both sides, and doors on the right."""
    low, tall = row
    pitch, post = rng.uniform(0.9, 1.8), rng.uniform(0.05, 0.2)
    count = int((length - 0.8) / pitch)
    for k in range(count):
        x = -length / 2 + 0.4 + (k + 0.5) * pitch
        b.box((pitch - post, width + 0.02, tall), (x, 0, low + tall / 2), Material.GLASS, neutral(rng, 0.03, 0.14))
    if low < 2:
        for x in (0.38 * length, rng.uniform(-0.05, 0.15) * length):
            b.box(
                (1.0, 0.05, low + tall - 0.55), (x, -width / 2 - 0.005, (low + tall + 0.55) / 2), Material.GLASS, PANE
            )
