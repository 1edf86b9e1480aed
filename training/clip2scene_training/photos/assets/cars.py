"""Cars, vans and pickups: a body of cross-sections swept along the car, glass, wheels, lights."""

from __future__ import annotations

import numpy as np

from clip2scene_training.photos.assets.colors import DARK, PANE, neutral, paint, shade
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

Points = list[tuple[float, float]]
Profile = tuple[tuple[float, float], ...]

BONNETS: dict[str, Profile] = {
    "saloon": ((0.04, 0.60), (0.22, 0.66), (0.34, 0.98), (0.62, 1.0), (0.76, 0.68), (0.98, 0.55)),
    "estate": ((0.01, 0.62), (0.03, 0.66), (0.09, 0.97), (0.60, 1.0), (0.74, 0.66), (0.98, 0.54)),
    "hatch": ((0.02, 0.60), (0.06, 0.68), (0.19, 0.97), (0.60, 1.0), (0.78, 0.66), (0.98, 0.56)),
    "offroad": ((0.00, 0.58), (0.01, 0.62), (0.04, 0.99), (0.62, 1.0), (0.70, 0.66), (0.98, 0.62)),
    "sports": ((0.02, 0.66), (0.10, 0.74), (0.36, 0.98), (0.50, 1.0), (0.68, 0.70), (0.98, 0.50)),
    "monovolume": ((0.01, 0.54), (0.02, 0.58), (0.08, 0.98), (0.62, 1.0), (0.88, 0.60), (0.99, 0.46)),
    "beetle": ((0.02, 0.42), (0.10, 0.66), (0.34, 0.99), (0.52, 1.0), (0.66, 0.68), (0.97, 0.44)),
    "kei": ((0.00, 0.54), (0.01, 0.60), (0.05, 0.99), (0.74, 1.0), (0.92, 0.60), (1.00, 0.52)),
}
"""Side views from rear to front as (share of length, share of height): tail, belt behind, roof, roof, belt, nose."""
SIZES = {
    "saloon": (4.7, 1.45), "estate": (4.7, 1.5), "hatch": (4.0, 1.48), "offroad": (4.5, 1.78), "sports": (4.3, 1.28),
    "monovolume": (4.6, 1.72), "beetle": (4.0, 1.5), "kei": (3.4, 1.68),
}  # fmt: skip


def car(rng: np.random.Generator) -> Mesh:
    """Return a car of one of eight bodies, any size about the usual, sometimes a taxi or with stripes."""
    kind = str(rng.choice(list(SIZES)))
    length, height = (v * rng.uniform(0.92, 1.1) for v in SIZES[kind])
    width = rng.uniform(1.62, 2.0)
    tail, belt_rear, roof_rear, roof_front, belt_front, nose = (
        ((x + rng.normal(0, 0.012) - 0.5) * length, (z + rng.normal(0, 0.01)) * height) for x, z in BONNETS[kind]
    )
    b, color, low = Builder(), paint(rng), rng.uniform(0.14, 0.26)
    half = length / 2
    edge = width / 2
    outline = [(-half, low + 0.1), (half - 0.2, low), (half, low + 0.2), nose, belt_front, belt_rear, tail]
    b.prism(outline, [edge - 0.06, edge - 0.06, edge - 0.08, edge - 0.06, edge, edge, edge - 0.04], Material.PAINT,
            color)  # fmt: skip
    _glasshouse(b, rng, (belt_rear, roof_rear, roof_front, belt_front), edge, color)
    trim = DARK if rng.random() < 0.6 else shade(color, 0.6)
    b.box((length * 0.95, width - 0.02, 0.16), (0, 0, low + 0.06), Material.PLASTIC, trim)
    wheels(b, (-rng.uniform(0.29, 0.34) * length, rng.uniform(0.30, 0.35) * length), width, rng.uniform(0.29, 0.37))
    lights(b, rng, length, width, nose[1] * 0.88)
    _extras(b, rng, length, width, height)
    return b.mesh()


def _glasshouse(
    b: Builder, rng: np.random.Generator, corners: tuple[tuple[float, float], ...], edge: float, color: Color
) -> None:
    rear, top_rear, top_front, front = corners
    narrow = edge - rng.uniform(0.12, 0.24)
    pane = neutral(rng, 0.03, 0.16)
    b.prism([rear, front, top_front, top_rear], [edge - 0.05, edge - 0.05, narrow, narrow], Material.GLASS, pane)
    x0, x1, z = top_rear[0] - 0.05, top_front[0] + 0.05, max(top_rear[1], top_front[1])
    roof = color if rng.random() < 0.85 else neutral(rng)
    b.prism([(x0, z - 0.09), (x1, z - 0.09), (x1 - 0.15, z + 0.02), (x0 + 0.12, z + 0.02)],
            [narrow + 0.02, narrow + 0.02, narrow - 0.06, narrow - 0.06], Material.PAINT, roof)  # fmt: skip
    shares = [0.0, 1.0, *rng.uniform(0.35, 0.65, int(rng.integers(1, 3)))]
    for side in (-1, 1):
        for share in shares:
            foot = np.array(rear) + share * (np.array(front) - rear)
            head = np.array(top_rear) + share * (np.array(top_front) - top_rear)
            b.tube((foot[0], side * (edge - 0.05), foot[1]), (head[0], side * narrow, head[1]),
                   rng.uniform(0.03, 0.06), Material.PAINT, color, sides=4)  # fmt: skip
        b.box((0.1, 0.18, 0.13), (front[0] - 0.3, side * (edge + 0.07), front[1] + 0.07), Material.PAINT, color)


def wheels(b: Builder, xs: tuple[float, ...], width: float, radius: float) -> None:
    """Add pairs of wheels under dark arches, hubs outside."""
    for x in xs:
        b.tube((x, -width / 2 - 0.005, radius), (x, width / 2 + 0.005, radius), radius * 1.16, Material.PLASTIC, DARK,
               sides=10)  # fmt: skip
    b.wheels(xs, width - 0.15, radius, 0.24)


def lights(b: Builder, rng: np.random.Generator, length: float, width: float, z: float) -> None:
    """Add lamps, red ones behind, and number plates."""
    tall, wide = rng.uniform(0.08, 0.24), rng.uniform(0.18, 0.45)
    for side in (-1, 1):
        y = side * (width / 2 - wide / 2 - 0.08)
        b.box((0.08, wide, tall), (length / 2 - 0.03, y, z), Material.LAMP, neutral(rng, 0.6, 0.9))
        b.box((0.08, wide, tall), (-length / 2 + 0.02, y, z + 0.08), Material.LAMP, (0.5, 0.04, 0.03))
    for x in (-length / 2 - 0.01, length / 2):
        b.box((0.03, 0.5, 0.12), (x, 0, z * 0.62), Material.RETRO, (0.85, 0.84, 0.7))
    b.box((0.04, width * 0.5, 0.14), (length / 2, 0, z * 0.85), Material.PLASTIC, DARK)


def _extras(b: Builder, rng: np.random.Generator, length: float, width: float, height: float) -> None:
    draw = rng.random()
    if draw < 0.06:
        b.box((0.3, 0.6, 0.16), (0, 0, height + 0.08), Material.LAMP, (0.9, 0.8, 0.3))
    elif draw < 0.11:
        b.box((0.35, 1.1, 0.12), (0, 0, height + 0.06), Material.LAMP, (0.1, 0.2, 0.85))
        b.box((length * 0.7, width + 0.02, 0.18), (0, 0, height * 0.42), Material.PAINT, paint(rng))
    elif draw < 0.2:
        b.box((1.4, width * 0.6, rng.uniform(0.15, 0.4)), (-0.2, 0, height + 0.2), Material.CLOTH, paint(rng))
        for x in (-0.7, 0.4):
            b.box((0.05, width * 0.7, 0.05), (x, 0, height + 0.03), Material.METAL, DARK)


def van(rng: np.random.Generator) -> Mesh:
    """Return a van with a blind or glazed rear: a car, as in nuScenes."""
    length, width, height = rng.uniform(4.3, 6.0), rng.uniform(1.8, 2.1), rng.uniform(1.8, 2.6)
    half, color, b = length / 2, paint(rng), Builder()
    nose = rng.uniform(0.5, 1.1)
    belt, low = 0.5 * height, 0.25
    screen = half - nose
    lean = rng.uniform(0.3, 0.7)
    outline = [(-half, low), (half - 0.1, low), (half, belt * 0.7), (screen + 0.05, belt), (screen - lean, height),
               (-half + 0.1, height)]  # fmt: skip
    b.prism(outline, [width / 2] * 4 + [width / 2 - 0.1] * 2, Material.PAINT, color)
    b.prism([(screen - 0.05, belt + 0.04), (screen + 0.08, belt + 0.04), (screen - lean + 0.12, height - 0.12),
             (screen - lean, height - 0.12)], [width / 2 - 0.08] * 2 + [width / 2 - 0.16] * 2, Material.GLASS,
            PANE)  # fmt: skip
    first = screen - lean - 0.2
    glazed = length - nose - lean - 0.6 if rng.random() < 0.35 else 0.8
    b.box((glazed, width + 0.015, 0.34 * height), (first - glazed / 2, 0, 0.72 * height), Material.GLASS, PANE)
    b.box((0.04, width * 0.75, 0.3 * height), (-half + 0.02, 0, 0.74 * height), Material.GLASS, PANE)
    if rng.random() < 0.35:
        b.box((length * 0.45, width + 0.02, height * 0.2), (-length * 0.2, 0, belt), Material.PAINT, paint(rng))
    b.box((length * 0.97, width + 0.02, 0.14), (0, 0, low + 0.08), Material.PLASTIC, DARK)
    wheels(b, (-0.3 * length, 0.33 * length), width, rng.uniform(0.3, 0.36))
    lights(b, rng, length, width, belt * 0.8)
    return b.mesh()


def pickup(rng: np.random.Generator) -> Mesh:
    """Return a pickup, single or double cab, its bed open, covered or loaded: a truck, as in nuScenes."""
    length, width, height = rng.uniform(4.9, 6.0), rng.uniform(1.75, 2.1), rng.uniform(1.6, 2.0)
    half, color, b = length / 2, paint(rng), Builder()
    belt = height * rng.uniform(0.56, 0.64)
    bed, low = length * rng.uniform(0.3, 0.46), 0.38
    front = half - length * 0.24
    back = -half + bed
    b.prism([(back, low), (half - 0.05, low), (half, belt * 0.8), (front, belt), (back, belt)], width / 2,
            Material.PAINT, color)  # fmt: skip
    b.prism([(back, belt), (front - 0.05, belt), (front - 0.6, height), (back + 0.12, height)],
            [width / 2 - 0.05] * 2 + [width / 2 - 0.2] * 2, Material.GLASS, PANE)  # fmt: skip
    b.box((front - 0.7 - back, width - 0.35, 0.08), ((front - 0.5 + back) / 2, 0, height), Material.PAINT, color)
    for side in (-1, 1):
        b.box((bed, 0.1, belt - low), (-half + bed / 2, side * (width / 2 - 0.06), (belt + low) / 2), Material.PAINT,
              color)  # fmt: skip
        b.tube(((front + back) / 2, side * (width / 2 - 0.06), belt), ((front + back) / 2 - 0.1,
               side * (width / 2 - 0.2), height), 0.05, Material.PAINT, color, sides=4)  # fmt: skip
    b.box((0.1, width, belt - low), (-half + 0.05, 0, (belt + low) / 2), Material.PAINT, color)
    b.box((bed, width - 0.1, 0.1), (-half + bed / 2, 0, low + 0.2), Material.PLASTIC, DARK)
    if rng.random() < 0.4:
        tall = rng.uniform(0.2, 0.9)
        b.box((bed * 0.85, width * 0.75, tall), (-half + bed / 2, 0, belt - 0.2 + tall / 2), Material.WOOD, paint(rng))
    wheels(b, (-0.31 * length, 0.33 * length), width, rng.uniform(0.36, 0.44))
    lights(b, rng, length, width, belt * 0.8)
    return b.mesh()
