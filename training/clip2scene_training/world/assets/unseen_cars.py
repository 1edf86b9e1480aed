"""Cars of the unseen family: painted shells with panes set into them, in pastel and two-tone schemes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.palette import inset, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

PASTELS = np.array(
    [
        (0.88, 0.86, 0.76), (0.55, 0.68, 0.66), (0.72, 0.80, 0.84), (0.62, 0.36, 0.28), (0.30, 0.16, 0.14),
        (0.12, 0.30, 0.32), (0.86, 0.74, 0.30), (0.44, 0.46, 0.38), (0.10, 0.10, 0.13), (0.70, 0.69, 0.66),
        (0.26, 0.24, 0.30), (0.90, 0.90, 0.92),
    ]
)  # fmt: skip
TOWN = np.array(
    [
        (0.74, 0.70, 0.66), (0.52, 0.54, 0.56), (0.24, 0.26, 0.27), (0.62, 0.44, 0.32), (0.36, 0.38, 0.26),
        (0.26, 0.36, 0.36), (0.72, 0.58, 0.46), (0.48, 0.20, 0.22), (0.80, 0.70, 0.36), (0.42, 0.52, 0.40),
    ]
)  # fmt: skip
"""The unseen family's own common colours: walls, vehicles and furniture are all found in them."""
SMOKE = (0.10, 0.13, 0.13)
CHROME = (0.66, 0.67, 0.68)
BLACK = (0.07, 0.07, 0.07)
Cabin = Sequence[tuple[float, float]]
"""Side view of a cabin: rear and front corner at the belt, front and rear corner at the roof, (x, z) [m]."""


def hue(rng: np.random.Generator) -> Color:
    """Return a body colour of the unseen family."""
    return pick(rng, PASTELS, 0.25, TOWN)


def shell(
    b: Builder, cabin: Cabin, low: float, high: float, color: Color, *, panes: int = 2, y: float = 0.0,
    ends: tuple[bool, bool] = (True, True), sill: float = 0.14,
) -> None:  # fmt: skip
    """Add a cabin of half-widths `low` at the belt and `high` at the roof, with panes set into its four sides."""
    b.prism(cabin, [low, low, high, high], Material.PAINT, color, y=y)
    (x0, z0), (x1, z1), (x2, z2), (x3, z3) = cabin
    left = np.array([(x1, y + low, z1), (x0, y + low, z0), (x3, y + high, z3), (x2, y + high, z2)])
    right = np.array([(x0, y - low, z0), (x1, y - low, z1), (x2, y - high, z2), (x3, y - high, z3)])
    front = np.array([(x1, y - low, z1), (x1, y + low, z1), (x2, y + high, z2), (x2, y - high, z2)])
    back = np.array([(x0, y + low, z0), (x0, y - low, z0), (x3, y - high, z3), (x3, y + high, z3)])
    share = 0.96 / panes
    spans = [(0.03 + i * share, 0.03 + (i + 0.88) * share) for i in range(panes)]
    quads = [inset(side, span, (sill, 0.86)) for side in (left, right) for span in spans]
    quads += [inset(end, (0.05, 0.95), (0.08, 0.92)) for end, glazed in ((front, ends[0]), (back, ends[1])) if glazed]
    b.quads(np.stack(quads), Material.GLASS, SMOKE)


def wheel_pairs(
    b: Builder, xs: Sequence[float], track: float, radius: float, width: float = 0.2, hub: Color = CHROME
) -> None:  # fmt: skip
    """Add a pair of wheels at each x: a tyre, and a five-cornered hub that stands proud of it."""
    for x in xs:
        for side in (-1, 1):
            y, out = side * track / 2, side * (width / 2 + 0.015)
            b.tube((x, y - width / 2, radius), (x, y + width / 2, radius), radius, Material.RUBBER, BLACK, sides=14)
            b.tube((x, y, radius), (x, y + out, radius), 0.66 * radius, Material.METAL, hub, sides=5)


def lamps(b: Builder, front: float, rear: float, half_width: float, z: float) -> None:
    """Add round head lamps, upright tail lamps and plates at x = `front` and x = `rear`."""
    for side in (-1, 1):
        y = side * half_width
        b.tube((front - 0.05, y, z), (front + 0.03, y, z), 0.11, Material.LAMP, (0.80, 0.80, 0.70), sides=8)
        b.box((0.06, 0.10, 0.30), (rear, y, z + 0.05), Material.LAMP, (0.60, 0.06, 0.02))
    for x in (front + 0.04, rear - 0.02):
        b.box((0.02, 0.34, 0.16), (x, 0.0, z - 0.24), Material.RETRO, (0.85, 0.75, 0.25))


def _beetle(b: Builder, rng: np.random.Generator, color: Color) -> None:
    b.prism([(-1.9, 0.24), (1.85, 0.24), (2.0, 0.42), (1.92, 0.64), (1.55, 0.84), (0.75, 0.93), (-0.9, 0.95),
             (-1.55, 0.84), (-1.92, 0.58), (-2.0, 0.4)], 0.64, Material.PAINT, color)  # fmt: skip
    shell(b, [(-1.25, 0.9), (0.78, 0.9), (0.42, 1.38), (-0.75, 1.38)], 0.64, 0.53, color)
    b.prism([(-0.78, 1.36), (0.44, 1.36), (0.2, 1.48), (-0.2, 1.53), (-0.55, 1.48)], [0.53, 0.53, 0.46, 0.42, 0.46],
            Material.PAINT, color)  # fmt: skip
    for x in (-1.25, 1.25):
        for side in (-1, 1):
            b.ball((0.52, 0.22, 0.46), (x, side * 0.66, 0.42), Material.PAINT, color, detail=2)
    b.box((1.6, 1.56, 0.08), (0, 0, 0.3), Material.PLASTIC, BLACK)
    wheel_pairs(b, (-1.25, 1.25), 1.42, 0.31, 0.17)
    lamps(b, 1.72, -1.74, 0.64, 0.62)


def _one_box(b: Builder, rng: np.random.Generator, color: Color) -> None:
    long, tall, upper = rng.uniform(4.1, 4.9) / 2, rng.uniform(1.85, 2.15), hue(rng)
    belt = 0.53 * tall
    b.prism([(-long, 0.3), (long - 0.1, 0.28), (long, 0.5), (long - 0.04, belt), (-long + 0.02, belt)], 0.85,
            Material.PAINT, color)  # fmt: skip
    shell(b, [(-long + 0.02, belt), (long - 0.04, belt), (long - 0.32, tall - 0.1), (-long + 0.1, tall - 0.1)],
          0.85, 0.76, upper, panes=4)  # fmt: skip
    b.prism([(-long + 0.1, tall - 0.12), (long - 0.3, tall - 0.12), (long - 0.6, tall), (-long + 0.3, tall)],
            [0.77, 0.77, 0.6, 0.6], Material.PAINT, upper)  # fmt: skip
    b.box((0.08, 1.6, 0.14), (long + 0.02, 0, 0.42), Material.METAL, CHROME)
    wheel_pairs(b, (-0.55 * long, 0.66 * long), 1.52, 0.32)
    lamps(b, long - 0.01, -long, 0.62, 0.78)


def _crossover(b: Builder, rng: np.random.Generator, color: Color) -> None:
    long, tall, roof = rng.uniform(4.3, 4.8) / 2, rng.uniform(1.58, 1.72), BLACK if rng.random() < 0.6 else color
    b.prism(
        [
            (-long + 0.1, 0.30),
            (long - 0.1, 0.30),
            (long, 0.62),
            (long - 0.1, 0.92),
            (long - 1.0, 1.04),
            (-long + 0.25, 1.12),
            (-long, 0.75),
        ],
        [0.9, 0.9, 0.86, 0.82, 0.86, 0.86, 0.9],
        Material.PAINT,
        color,
    )
    shell(b, [(-long + 0.22, 1.08), (long - 1.0, 1.03), (long - 1.75, tall), (-long + 1.1, tall - 0.04)],
          0.85, 0.62, roof, sill=0.2)  # fmt: skip
    for x in (-0.6 * long, 0.62 * long):
        b.box((0.95, 1.86, 0.22), (x, 0, 0.66), Material.PLASTIC, BLACK)
    b.box((2 * long - 0.3, 1.84, 0.16), (0, 0, 0.4), Material.PLASTIC, BLACK)
    b.box((0.04, 1.5, 0.06), (-long + 0.02, 0, 0.98), Material.LAMP, (0.65, 0.03, 0.03))
    wheel_pairs(b, (-0.6 * long, 0.62 * long), 1.66, 0.37, 0.24, (0.16, 0.16, 0.17))
    lamps(b, long - 0.05, -long + 0.02, 0.68, 0.76)


def _roadster(b: Builder, rng: np.random.Generator, color: Color) -> None:
    long = rng.uniform(3.7, 4.2) / 2
    b.prism(
        [
            (-long + 0.15, 0.2),
            (long - 0.2, 0.18),
            (long, 0.4),
            (long - 0.15, 0.62),
            (0.45, 0.82),
            (-0.9, 0.78),
            (-long + 0.1, 0.74),
            (-long, 0.45),
        ],
        [0.8, 0.8, 0.7, 0.72, 0.82, 0.84, 0.74, 0.74],
        Material.PAINT,
        color,
    )
    b.box((1.3, 1.3, 0.06), (-0.25, 0, 0.82), Material.PLASTIC, (0.22, 0.12, 0.08))
    for side in (-1, 1):
        b.box((0.16, 0.48, 0.55), (-0.72, side * 0.36, 0.92), Material.CLOTH, (0.35, 0.18, 0.12))
        b.ball((0.12, 0.16, 0.13), (-0.76, side * 0.36, 1.18), Material.CLOTH, (0.35, 0.18, 0.12))
        b.tube((0.45, side * 0.7, 0.8), (0.15, side * 0.6, 1.18), 0.03, Material.METAL, CHROME, sides=4)
    b.quads(np.array([[(0.45, -0.7, 0.8), (0.45, 0.7, 0.8), (0.15, 0.6, 1.18), (0.15, -0.6, 1.18)]]), Material.GLASS,
            SMOKE)  # fmt: skip
    if rng.random() < 0.5:  # hood closed
        b.prism([(-1.25, 0.76), (0.42, 0.8), (0.15, 1.2), (-0.7, 1.24)], [0.76, 0.74, 0.58, 0.58], Material.CLOTH,
                (0.12, 0.11, 0.10))  # fmt: skip
    wheel_pairs(b, (-0.58 * long, 0.62 * long), 1.46, 0.30)
    lamps(b, long - 0.1, -long + 0.03, 0.58, 0.55)


def _limousine(b: Builder, rng: np.random.Generator, color: Color) -> None:
    long, estate = rng.uniform(4.6, 5.4) / 2, rng.random() < 0.35
    tail = -long + (0.15 if estate else 1.15)
    b.prism([(-long, 0.34), (long, 0.34), (long, 0.84), (long - 0.1, 0.92), (0.32 * long, 0.95), (-long + 0.1, 0.92),
             (-long, 0.8)], [0.86] * 4 + [0.88, 0.84, 0.86], Material.PAINT, color)  # fmt: skip
    roof = hue(rng) if rng.random() < 0.3 else color
    shell(b, [(tail, 0.92), (0.34 * long, 0.94), (0.16 * long, 1.44), (tail + 0.25, 1.44)], 0.80, 0.70, roof,
          panes=3 if estate else 2, sill=0.06)  # fmt: skip
    if estate:
        b.box((1.5 * long, 1.78, 0.26), (-0.2 * long, 0, 0.68), Material.WOOD, (0.40, 0.26, 0.15))
    for x in (-long - 0.04, long + 0.04):
        b.box((0.12, 1.74, 0.12), (x, 0, 0.5), Material.METAL, CHROME)
    b.box((0.04, 1.0, 0.24), (long + 0.01, 0, 0.72), Material.METAL, CHROME)
    if rng.random() < 0.35:  # a taxi
        b.box((0.28, 0.7, 0.16), (0.0, 0, 1.52), Material.LAMP, (0.85, 0.80, 0.55))
    wheel_pairs(b, (-0.62 * long, 0.62 * long), 1.56, 0.32, 0.18)
    lamps(b, long - 0.02, -long, 0.66, 0.74)


def _off_roader(b: Builder, rng: np.random.Generator, color: Color) -> None:
    tall = rng.uniform(1.85, 2.0)
    b.box((3.9, 1.56, 0.62), (0.0, 0, 0.84), Material.PAINT, color)
    shell(b, [(-1.95, 1.12), (0.75, 1.12), (0.6, tall), (-1.9, tall)], 0.78, 0.73, hue(rng), panes=3)
    for x in (-1.2, 1.35):
        b.box((1.0, 1.82, 0.10), (x, 0, 0.86), Material.PLASTIC, BLACK)
    b.tube((-1.98, 0.15, 1.1), (-2.2, 0.15, 1.1), 0.38, Material.RUBBER, BLACK, sides=12)
    b.box((0.14, 1.6, 0.2), (2.0, 0, 0.6), Material.METAL, (0.3, 0.3, 0.3))
    if rng.random() < 0.5:
        b.box((1.6, 1.3, 0.22), (-0.6, 0, tall + 0.12), Material.CLOTH, (0.30, 0.32, 0.22))
    wheel_pairs(b, (-1.2, 1.35), 1.55, 0.40, 0.26, (0.75, 0.74, 0.7))
    lamps(b, 1.98, -1.97, 0.56, 0.95)


KINDS: tuple[Callable[[Builder, np.random.Generator, Color], None], ...] = (
    _beetle, _one_box, _crossover, _roadster, _limousine, _off_roader,
)  # fmt: skip
SHARES: Array = np.array([3, 3, 4, 2, 5, 3]) / 20.0


def car(rng: np.random.Generator) -> Mesh:
    """Return a rounded car, a one-box van, a crossover, a roadster, an old limousine or an off-roader."""
    b = Builder()
    KINDS[rng.choice(len(KINDS), p=SHARES)](b, rng, hue(rng))
    size = np.diag([rng.uniform(0.95, 1.06), rng.uniform(0.97, 1.05), 1.0, 1.0])
    return soiled(b.mesh().moved(size), rng)
