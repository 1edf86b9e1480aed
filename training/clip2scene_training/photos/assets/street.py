"""What stands on a pavement: poles, lamps, signs, lights, benches, bins, bollards, shelters; cones and barriers."""

from __future__ import annotations

import numpy as np

from clip2scene_training.photos.assets.colors import DARK, hue, neutral, paint, shade, signal
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh


def _metal(rng: np.random.Generator) -> Color:
    return neutral(rng, 0.08, 0.7) if rng.random() < 0.75 else hue(rng, (0.2, 0.45), (0.2, 0.6), (0.1, 0.35))


def lamp(rng: np.random.Generator) -> Mesh:
    """Return a street lamp: with an arm, or an old lantern on top."""
    b, color, tall = Builder(), _metal(rng), rng.uniform(3.0, 9.0)
    b.tube((0, 0, 0), (0, 0, tall), rng.uniform(0.06, 0.13), Material.METAL, color, sides=8, end_radius=0.05)
    b.tube((0, 0, 0), (0, 0, 0.6), rng.uniform(0.1, 0.2), Material.METAL, color, sides=8)
    if tall < 4.6 and rng.random() < 0.7:
        b.ball((0.2, 0.2, 0.25), (0, 0, tall + 0.2), Material.LAMP, neutral(rng, 0.6, 0.9), detail=2)
        b.tube((0, 0, tall + 0.35), (0, 0, tall + 0.5), 0.22, Material.METAL, color, sides=8, end_radius=0.03)
    else:
        for side in (-1, 1) if rng.random() < 0.25 else (1,):
            reach = side * rng.uniform(0.8, 2.2)
            b.tube((0, 0, tall - 0.1), (reach, 0, tall + 0.3), 0.05, Material.METAL, color)
            b.box((0.7, 0.25, 0.1), (reach, 0, tall + 0.25), Material.METAL, color)
            b.box((0.6, 0.2, 0.03), (reach, 0, tall + 0.19), Material.LAMP, (0.85, 0.84, 0.75))
    return b.mesh()


def mast(rng: np.random.Generator) -> Mesh:
    """Return a telegraph pole with a crossbar, or a bare pole or flagpole."""
    b, tall = Builder(), rng.uniform(4.5, 10.0)
    wood = rng.random() < 0.6
    color = hue(rng, (0.05, 0.09), (0.2, 0.5), (0.2, 0.45)) if wood else _metal(rng)
    b.tube((0, 0, 0), (0, 0, tall), rng.uniform(0.06, 0.16), Material.BARK if wood else Material.METAL, color, sides=8,
           end_radius=0.07)  # fmt: skip
    if wood:
        b.box((1.8, 0.1, 0.12), (0, 0, tall - 0.5), Material.WOOD, color)
        for x in (-0.7, 0.7):
            b.tube((x, 0, tall - 0.45), (x, 0, tall - 0.25), 0.05, Material.PLASTIC, (0.6, 0.6, 0.6))
    elif rng.random() < 0.5:
        b.quads(np.array([[(0, 0, tall - 1.0), (1.5, 0.2, tall - 1.1), (1.5, 0.2, tall - 0.1), (0, 0, tall)]]),
                Material.CLOTH, paint(rng))  # fmt: skip
    return b.mesh()


def light(rng: np.random.Generator) -> Mesh:
    """Return a traffic light, on a post or hung out over the road."""
    b, color, tall = Builder(), _metal(rng), rng.uniform(2.4, 3.4)
    b.tube((0, 0, 0), (0, 0, tall + 0.6), 0.07, Material.METAL, color, sides=8)
    places = [(0.0, tall)]
    if rng.random() < 0.35:
        reach = rng.uniform(2, 4.5)
        b.tube((0, 0, 5.5), (0, reach, 5.7), 0.08, Material.METAL, color, sides=8)
        b.tube((0, 0, tall), (0, 0, 5.6), 0.08, Material.METAL, color, sides=8)
        places.append((reach, 5.2))
    lit = rng.integers(3)
    case = DARK if rng.random() < 0.7 else hue(rng, (0.12, 0.4), (0.5, 0.9), (0.2, 0.8))
    for y, z in places:
        b.box((0.25, 0.34, 1.0), (0.12, y, z), Material.PLASTIC, case)
        for k, glow in enumerate(((0.8, 0.05, 0.04), (0.8, 0.5, 0.05), (0.05, 0.7, 0.3))):
            b.ball((0.06, 0.12, 0.12), (0.25, y, z + 0.3 - 0.3 * k), Material.LAMP if k == lit else Material.PLASTIC,
                   glow if k == lit else shade(glow, 0.25))  # fmt: skip
    return b.mesh()


def sign(rng: np.random.Generator) -> Mesh:
    """Return a traffic sign, round, triangular or square, or a direction board."""
    b, tall = Builder(), rng.uniform(1.9, 3.4)
    b.tube((0, 0, 0), (0, 0, tall), 0.04, Material.METAL, neutral(rng, 0.3, 0.7), sides=7)
    kind, color = (
        rng.integers(4),
        (neutral(rng, 0.7, 0.9) if rng.random() < 0.3 else hue(rng, (0, 1), (0.6, 1), (0.3, 0.9))),
    )
    size, z = rng.uniform(0.28, 0.48), tall - 0.25
    if kind == 3:
        wide = rng.uniform(0.8, 2.4)
        b.box((0.04, wide, size * 1.4), (0.07, 0, z), Material.RETRO, color)
        b.box((0.02, wide * 0.7, size * 0.3), (0.1, 0, z), Material.RETRO, neutral(rng, 0.7, 0.9))
    else:
        sides = (16, 3, 4)[kind]
        for x, radius, tone in ((0.05, size, color), (0.075, size * 0.75, neutral(rng, 0.75, 0.92))):
            b.tube((x, 0, z), (x + 0.02, 0, z), radius, Material.RETRO, tone, sides=sides)
    if rng.random() < 0.3:
        b.box((0.03, 0.5, 0.22), (0.06, 0, z - 0.6), Material.RETRO, neutral(rng, 0.7, 0.9))
    return b.mesh()


def bench(rng: np.random.Generator) -> Mesh:
    """Return a bench."""
    b, wood, long = Builder(), hue(rng, (0.04, 0.1), (0.2, 0.6), (0.2, 0.6)), rng.uniform(1.4, 2.2)
    for y in (-0.18, 0.0, 0.18):
        b.box((long, 0.13, 0.05), (0, y, 0.45), Material.WOOD, wood)
    for z in (0.6, 0.78) if rng.random() < 0.75 else ():
        b.box((long, 0.05, 0.12), (0, -0.27, z), Material.WOOD, wood)
    for x in (-long * 0.38, long * 0.38):
        b.box((0.08, 0.45, 0.45), (x, 0, 0.22), Material.METAL, DARK)
        b.box((0.06, 0.06, 0.85), (x, -0.25, 0.42), Material.METAL, DARK)
    return b.mesh()


def bin_or_box(rng: np.random.Generator) -> Mesh:
    """Return a litter bin, a wheeled bin, a letter box, a switch box, a hydrant or a planter."""
    b, color, kind = Builder(), paint(rng), int(rng.integers(5))
    if kind == 0:
        tall = rng.uniform(0.7, 1.1)
        b.tube((0, 0, 0.05), (0, 0, tall), rng.uniform(0.18, 0.3), Material.METAL, color, sides=12, end_radius=0.28)
    elif kind == 1:
        tall, wide = rng.uniform(0.9, 1.4), rng.uniform(0.5, 1.3)
        b.prism([(-0.28, 0.08), (0.28, 0.08), (0.36, tall), (-0.36, tall)], wide / 2, Material.PLASTIC, color)
        b.box((0.8, wide + 0.05, 0.08), (0, 0, tall + 0.03), Material.PLASTIC, shade(color, 0.7))
    elif kind == 2:
        tall = rng.uniform(0.9, 1.8)
        b.box((rng.uniform(0.35, 1.4), rng.uniform(0.3, 0.5), tall), (0, 0, tall / 2), Material.METAL, color)
    elif kind == 3:
        b.tube((0, 0, 0), (0, 0, 0.65), 0.13, Material.PAINT, signal(rng), sides=10)
        b.ball((0.14, 0.14, 0.12), (0, 0, 0.68), Material.PAINT, signal(rng))
        b.tube((0, -0.2, 0.45), (0, 0.2, 0.45), 0.07, Material.PAINT, signal(rng), sides=8)
    else:
        size = rng.uniform(0.5, 1.2)
        b.box((size, size, 0.55), (0, 0, 0.27), Material.CONCRETE, neutral(rng, 0.35, 0.7))
        b.box((size * 0.85, size * 0.85, 0.04), (0, 0, 0.56), Material.DIRT, (0.25, 0.18, 0.13))
    return b.mesh()


def bollard(rng: np.random.Generator) -> Mesh:
    """Return a bollard or a post: round or square, stone, wood or metal, plain or with a band."""
    b, tall, thick = Builder(), rng.uniform(0.4, 1.3), rng.uniform(0.05, 0.16)
    color = neutral(rng, 0.06, 0.85) if rng.random() < 0.7 else paint(rng)
    skin = (Material.METAL, Material.CONCRETE, Material.WOOD, Material.PLASTIC)[rng.integers(4)]
    b.tube((0, 0, 0), (0, 0, tall), thick, skin, color, sides=int(rng.choice([4, 10])), end_radius=thick * 0.9)
    if rng.random() < 0.4:
        b.tube((0, 0, tall * 0.75), (0, 0, tall * 0.87), thick * 1.06, Material.RETRO, neutral(rng, 0.7, 0.9), sides=10)
    elif rng.random() < 0.4:
        b.ball((thick * 1.2,) * 3, (0, 0, tall), skin, color)
    return b.mesh()


def shelter(rng: np.random.Generator) -> Mesh:
    """Return a bus shelter: posts, a roof, panes, a bench."""
    b, long, color = Builder(), rng.uniform(2.4, 4.5), _metal(rng)
    for x in (-long / 2, 0, long / 2):
        for y in (-0.7, 0.6):
            b.tube((x, y, 0), (x, y, 2.4), 0.05, Material.METAL, color)
    b.box((long + 0.4, 1.8, 0.12), (0, 0, 2.45), Material.METAL, color)
    b.box((long, 0.03, 1.7), (0, -0.7, 1.3), Material.GLASS, (0.3, 0.34, 0.36))
    b.box((long * 0.6, 0.4, 0.06), (0, -0.4, 0.5), Material.WOOD, color)
    b.box((0.1, 1.1, 1.7), (long / 2, -0.1, 1.2), Material.PAINT, paint(rng))
    return b.mesh()


def cone(rng: np.random.Generator) -> Mesh:
    """Return a traffic cone: low or tall, orange, red or yellow, with bands or none, sometimes a channeliser."""
    b, tall, color = Builder(), rng.uniform(0.32, 1.1), signal(rng)
    foot, radius = rng.uniform(0.3, 0.5) * max(tall, 0.55), rng.uniform(0.16, 0.24) * max(tall, 0.6)
    base = DARK if rng.random() < 0.5 else shade(color, 0.9)
    b.box((foot * 1.3, foot * 1.3, 0.05), (0, 0, 0.025), Material.RUBBER if base == DARK else Material.PLASTIC, base)
    if rng.random() < 0.12:  # a slim drum
        b.tube((0, 0, 0.04), (0, 0, tall), radius, Material.PLASTIC, color, sides=12, end_radius=radius * 0.85)
        tip = radius * 0.85
    else:
        tip = rng.uniform(0.1, 0.25) * radius
        b.tube((0, 0, 0.04), (0, 0, tall), radius, Material.PLASTIC, color, sides=14, end_radius=tip)
    bands = ((), (0.5,), (0.35, 0.65))[rng.choice(3, p=[0.2, 0.3, 0.5])]
    high = rng.uniform(0.1, 0.18)
    for share in bands:
        near, far = (1.03 * (radius + (tip - radius) * s) + 0.004 for s in (share, share + high))
        b.tube((0, 0, share * tall), (0, 0, (share + high) * tall), near, Material.RETRO, neutral(rng, 0.7, 0.92),
               sides=14, end_radius=far)  # fmt: skip
    return b.mesh()


def barrier(rng: np.random.Generator) -> Mesh:
    """Return a road barrier: concrete or plastic of the New Jersey profile, boards on trestles, or a crowd fence."""
    draw = rng.random()
    if draw < 0.5:
        return _jersey(rng)
    return _trestle(rng) if draw < 0.75 else _railing(rng)


def _jersey(rng: np.random.Generator) -> Mesh:
    b, long, tall, foot = Builder(), rng.uniform(1.2, 2.9), rng.uniform(0.6, 1.1), rng.uniform(0.2, 0.4)
    profile = [(-foot, 0.0), (foot, 0.0), (foot, 0.1 * tall), (foot * 0.55, 0.35 * tall), (foot * 0.35, tall),
               (-foot * 0.35, tall), (-foot * 0.55, 0.35 * tall), (-foot, 0.1 * tall)]  # fmt: skip
    plastic = rng.random() < 0.5
    color = (signal(rng) if rng.random() < 0.65 else neutral(rng, 0.6, 0.95)) if plastic else neutral(rng, 0.35, 0.8)
    b.prism(profile, long / 2, Material.PLASTIC if plastic else Material.CONCRETE, color)
    if rng.random() < 0.35:
        b.prism([(x * 1.02, z) for x, z in ((-foot * 0.42, 0.7 * tall), (foot * 0.42, 0.7 * tall),
                (foot * 0.38, 0.85 * tall), (-foot * 0.38, 0.85 * tall))], long / 2 + 0.004, Material.RETRO,
                neutral(rng, 0.7, 0.9) if plastic else signal(rng))  # fmt: skip
    quarter = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return b.mesh().moved(quarter)


def _trestle(rng: np.random.Generator) -> Mesh:
    b, long, tall = Builder(), rng.uniform(1.3, 2.6), rng.uniform(0.8, 1.5)
    pale, bright = neutral(rng, 0.7, 0.95), signal(rng)
    boards = int(rng.integers(1, 4))
    for z in np.linspace(tall - 0.1, tall - 0.1 - 0.33 * (boards - 1), boards):
        high = rng.uniform(0.15, 0.28)
        b.box((long, 0.04, high), (0, 0, z), Material.PLASTIC, pale)
        step = rng.uniform(0.25, 0.5)
        for x in np.arange(-long / 2, long / 2 - step / 2, step):
            lean = min(high, 0.15)
            for y in (-0.024, 0.024):
                quad = [(x, y, z - high / 2), (x + step / 2, y, z - high / 2), (x + step / 2 + lean, y, z + high / 2),
                        (x + lean, y, z + high / 2)]  # fmt: skip
                b.quads(np.clip(np.array([quad]), (-long / 2, -1, 0), (long / 2, 1, 9)), Material.RETRO, bright)
    for side in (-1, 1):
        x = side * long * 0.4
        b.tube((x, -0.3, 0), (x, 0, tall), 0.03, Material.METAL, (0.5,) * 3)
        b.tube((x, 0.3, 0), (x, 0, tall), 0.03, Material.METAL, (0.5,) * 3)
        if rng.random() < 0.3:
            b.ball((0.08, 0.08, 0.1), (x, 0, tall + 0.1), Material.LAMP, (0.9, 0.6, 0.1))
    return b.mesh()


def _railing(rng: np.random.Generator) -> Mesh:
    b, long, tall = Builder(), rng.uniform(1.6, 2.6), rng.uniform(0.95, 1.2)
    color = neutral(rng, 0.4, 0.8) if rng.random() < 0.5 else signal(rng)
    for z in (0.2, tall):
        b.tube((-long / 2, 0, z), (long / 2, 0, z), 0.025, Material.METAL, color)
    for x in np.arange(-long / 2, long / 2 + 0.01, rng.uniform(0.11, 0.2)):
        b.tube((x, 0, 0.2), (x, 0, tall), 0.012, Material.METAL, color, sides=4)
    for x in (-long * 0.35, long * 0.35):
        b.box((0.06, 0.6, 0.05), (x, 0, 0.03), Material.METAL, color)
    if rng.random() < 0.5:
        b.box((long * 0.95, 0.03, 0.22), (0, 0, tall * 0.8), Material.PLASTIC, signal(rng))
    return b.mesh()
