"""People on foot, and bicycles and motorcycles with and without them."""

from __future__ import annotations

import math

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.photos.assets.colors import DARK, cloth, hue, neutral, paint, shade, signal, skin
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

STEEL = (0.5, 0.5, 0.51)


def person(rng: np.random.Generator) -> Mesh:
    """Return somebody standing, walking, or sitting on nothing at all now and then; grown up or a child."""
    tall = rng.uniform(1.0, 1.45) if rng.random() < 0.15 else rng.uniform(1.5, 1.95)
    b, stout = Builder(), rng.uniform(0.85, 1.3)
    top, below, flesh = cloth(rng), cloth(rng), skin(rng)
    hip, neck = 0.49 * tall, 0.83 * tall
    stride = rng.uniform(0.0, 0.32) * tall if rng.random() < 0.6 else 0.03
    _torso(b, rng, hip, neck, stout, top)
    _head(b, rng, np.array([0.02, 0, tall - 0.14]), flesh)
    short = rng.random() < 0.25
    for side in (-1, 1):
        y, foot = side * 0.085 * stout, np.array([side * stride, side * 0.1, 0.06])
        knee = np.array([side * stride * 0.45 + 0.05, y, hip * 0.52])
        b.tube((0, y, hip + 0.04), knee, 0.085 * stout, Material.CLOTH, below, sides=7, end_radius=0.065)
        b.tube(knee, foot, 0.062, Material.SKIN if short else Material.CLOTH, flesh if short else below, sides=6,
               end_radius=0.045)  # fmt: skip
        b.box((0.25, 0.09, 0.08), (foot[0] + 0.05, foot[1], 0.04), Material.PLASTIC, neutral(rng, 0.03, 0.7))
        _arm(b, rng, np.array([0, side * 0.21 * stout, neck - 0.04]), -side * stride, tall, top, flesh)
    if rng.random() < 0.25:  # a skirt or a coat
        b.tube((0, 0, hip * rng.uniform(0.45, 0.8)), (0, 0, hip + 0.15), 0.24 * stout, Material.CLOTH,
               top if rng.random() < 0.5 else below, sides=9, end_radius=0.16)  # fmt: skip
    _carried(b, rng, hip, neck, tall)
    return b.mesh()


def _torso(b: Builder, rng: np.random.Generator, hip: float, neck: float, stout: float, top: Color) -> None:
    trunk = Builder()
    trunk.tube((0, 0, hip - 0.04), (0, 0, (hip + neck) / 2), 0.16 * stout, Material.CLOTH, top, sides=9,
               end_radius=0.165 * stout)  # fmt: skip
    trunk.tube((0, 0, (hip + neck) / 2), (0, 0, neck), 0.165 * stout, Material.CLOTH, top, sides=9,
               end_radius=0.15 * stout)  # fmt: skip
    if rng.random() < 0.15:
        trunk.tube((0, 0, hip + 0.05), (0, 0, neck - 0.02), 0.18 * stout, Material.CLOTH, signal(rng), sides=9)
        for share in (0.3, 0.55):
            z = hip + share * (neck - hip)
            trunk.tube((0, 0, z), (0, 0, z + 0.06), 0.185 * stout, Material.RETRO, (0.8, 0.8, 0.75), sides=9)
    b.include(trunk.mesh(), np.diag([0.75, 1.2, 1.0, 1.0]))


def _head(b: Builder, rng: np.random.Generator, at: Array, flesh: Color) -> None:
    b.tube(at - [0.02, 0, 0.2], at, 0.055, Material.SKIN, flesh, sides=6)
    b.ball((0.1, 0.08, 0.125), at, Material.SKIN, flesh, detail=2)
    draw = rng.random()
    hair = neutral(rng, 0.03, 0.5) if rng.random() < 0.5 else hue(rng, (0.03, 0.12), (0.3, 0.7), (0.1, 0.6))
    if draw < 0.65:
        b.ball((0.11, 0.095, 0.1), at + [-0.025, 0, 0.05], Material.CLOTH, hair, detail=2)
        if draw < 0.2:
            b.ball((0.07, 0.1, 0.16), at + [-0.06, 0, -0.08], Material.CLOTH, hair)
    elif draw < 0.85:
        b.ball((0.115, 0.1, 0.085), at + [-0.01, 0, 0.07], Material.CLOTH, cloth(rng), detail=2)
        b.box((0.14, 0.14, 0.02), at + [0.11, 0, 0.05], Material.CLOTH, cloth(rng))
    elif draw < 0.95:
        b.ball((0.13, 0.11, 0.1), at + [0, 0, 0.06], Material.PLASTIC, signal(rng), detail=2)


def _arm(
    b: Builder, rng: np.random.Generator, shoulder: Array, swing: float, tall: float, sleeve: Color, flesh: Color
) -> None:
    side = np.sign(shoulder[1])
    elbow = shoulder + [swing * 0.35, side * 0.04, -0.17 * tall]
    hand = elbow + [swing * 0.4 + 0.05, side * 0.0, -0.14 * tall]
    if rng.random() < 0.12:  # raised, with a telephone or waving
        hand = elbow + [0.2, -side * 0.05, rng.uniform(0.1, 0.3)]
    b.tube(shoulder, elbow, 0.058, Material.CLOTH, sleeve, sides=6, end_radius=0.048)
    bare = rng.random() < 0.3
    b.tube(elbow, hand, 0.045, Material.SKIN if bare else Material.CLOTH, flesh if bare else sleeve, sides=6)
    b.ball((0.05, 0.04, 0.06), hand, Material.SKIN, flesh)


def _carried(b: Builder, rng: np.random.Generator, hip: float, neck: float, tall: float) -> None:
    draw = rng.random()
    if draw < 0.18:
        b.ball((0.12, 0.16, 0.25), (-0.2, 0, neck - 0.25), Material.CLOTH, cloth(rng))
    elif draw < 0.3:
        b.box((0.3, 0.12, 0.3), (0.05, 0.34, hip - 0.2), Material.CLOTH, cloth(rng))
    elif draw < 0.36:
        b.tube((0.05, 0.2, hip + 0.1), (0.05, 0.1, tall + 0.25), 0.012, Material.METAL, DARK, sides=4)
        b.tube((0.05, 0.1, tall + 0.1), (0.05, 0.1, tall + 0.32), 0.5, Material.CLOTH, paint(rng), sides=9,
               end_radius=0.04)  # fmt: skip
    elif draw < 0.4:  # a pram
        b.ball((0.4, 0.22, 0.25), (0.75, 0, 0.65), Material.CLOTH, cloth(rng))
        b.tube((0.1, 0, 1.0), (0.5, 0, 0.7), 0.02, Material.METAL, STEEL)
        b.wheels((0.5, 1.0), 0.4, 0.12, 0.05)


def group(rng: np.random.Generator) -> Mesh:
    """Return two to four people close together."""
    b = Builder()
    for k in range(int(rng.integers(2, 5))):
        turn = rng.uniform(0, 2 * math.pi)
        pose = np.eye(4)
        pose[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        pose[:2, 3] = (0.65 * k + rng.normal(0, 0.08), rng.normal(0, 0.25))
        b.include(person(rng), pose)
    return b.mesh()


def _wheel(b: Builder, rng: np.random.Generator, x: float, radius: float, tyre: float) -> None:
    """Add an upright spoked wheel about (x, 0, radius)."""
    n = 16
    angle = np.linspace(0, 2 * np.pi, n + 1)
    rim = np.stack([x + (radius - tyre) * np.cos(angle), np.zeros(n + 1), radius + (radius - tyre) * np.sin(angle)], 1)
    rubber = neutral(rng, 0.03, 0.12)
    for k in range(n):
        b.tube(rim[k], rim[k + 1], tyre, Material.RUBBER, rubber, sides=5)
    for k in range(0, n // 2, 2):
        b.tube(rim[k], rim[k + n // 2], 0.006, Material.METAL, STEEL, sides=3)


def _rider(b: Builder, rng: np.random.Generator, saddle: Array, grips: Array, pedals: Array) -> None:
    top, below, flesh = cloth(rng), cloth(rng), skin(rng)
    lean = rng.uniform(0.08, 0.42)
    neck = saddle + 0.56 * np.array([math.sin(lean), 0, math.cos(lean)])
    b.tube(saddle + [0, 0, 0.02], neck, 0.15, Material.CLOTH, top, sides=9, end_radius=0.17)
    head = neck + [0.07, 0, 0.2]
    b.tube(neck, head, 0.05, Material.SKIN, flesh)
    b.ball((0.1, 0.085, 0.12), head, Material.SKIN, flesh, detail=2)
    hat = signal(rng) if rng.random() < 0.3 else cloth(rng)
    b.ball((0.13, 0.105, 0.095), head + [-0.02, 0, 0.07], Material.PLASTIC, hat, detail=2)
    for side in (-1, 1):
        foot = pedals + [side * 0.12, side * 0.12, side * rng.uniform(0.02, 0.14)]
        knee = (saddle + foot) / 2 + [rng.uniform(0.18, 0.3), side * 0.08, 0.08]
        b.tube(saddle + [0, side * 0.1, 0], knee, 0.085, Material.CLOTH, below, sides=7, end_radius=0.065)
        b.tube(knee, foot, 0.06, Material.CLOTH, below, sides=6, end_radius=0.045)
        b.box((0.24, 0.09, 0.08), foot + [0.05, 0, -0.03], Material.PLASTIC, DARK)
        elbow = (neck + grips) / 2 + [0, side * 0.27, -0.1]
        b.tube(neck + [0, side * 0.18, -0.05], elbow, 0.055, Material.CLOTH, top, sides=6)
        b.tube(elbow, grips + [0, side * 0.25, 0], 0.045, Material.CLOTH, top, sides=6)
    if rng.random() < 0.25:
        b.ball((0.13, 0.15, 0.22), (neck + saddle) / 2 + [-0.22, 0, 0.12], Material.CLOTH, cloth(rng))


def bicycle(rng: np.random.Generator, *, rider: bool = False) -> Mesh:
    """Return a bicycle of a gentleman's, lady's or racing frame, with somebody on it where asked."""
    b, color, radius = Builder(), paint(rng), rng.uniform(0.29, 0.37)
    half, tube = rng.uniform(0.48, 0.58), rng.uniform(0.016, 0.03)
    for x in (-half, half):
        _wheel(b, rng, x, radius, rng.uniform(0.014, 0.03))
    hub_rear, hub_front = np.array([-half, 0, radius]), np.array([half, 0, radius])
    crank, saddle = np.array([-0.06, 0, 0.29]), np.array([-0.24, 0, rng.uniform(0.82, 1.02)])
    head = np.array([half - 0.2, 0, rng.uniform(0.74, 0.9)])
    low = rng.random() < 0.35
    joints = [(crank, head), (crank, saddle), (saddle, hub_rear), (crank, hub_rear), (head, hub_front)]
    joints.append((crank + [0.02, 0, 0.15], head - [0.03, 0, 0.1]) if low else (saddle - [0, 0, 0.14], head))
    for start, end in joints:
        b.tube(start, end, tube, Material.PAINT, color, sides=6)
    grips = np.array([half - 0.24 + rng.uniform(-0.05, 0.12), 0, head[2] + rng.uniform(0.08, 0.26)])
    b.tube(head, grips, 0.016, Material.METAL, DARK)
    b.tube(grips - [0, 0.28, 0], grips + [0, 0.28, 0], 0.016, Material.METAL, DARK)
    b.ball((0.14, 0.08, 0.04), saddle + [0, 0, 0.02], Material.PLASTIC, DARK)
    b.tube(crank - [0, 0.1, 0], crank + [0, 0.1, 0], 0.09, Material.METAL, STEEL, sides=9)
    if rng.random() < 0.4:
        b.box((0.35, 0.14, 0.03), (-half - 0.02, 0, 2 * radius + 0.06), Material.METAL, DARK)
    if rng.random() < 0.2:
        b.box((0.3, 0.34, 0.24), (half + 0.03, 0, head[2] + 0.1), Material.WOOD, hue(rng, (0.05, 0.1), (0.3, 0.6),
              (0.25, 0.6)))  # fmt: skip
    if rider:
        _rider(b, rng, saddle, grips, crank)
    return b.mesh()


def motorcycle(rng: np.random.Generator, *, rider: bool = False) -> Mesh:
    """Return a motorcycle, with somebody on it where asked."""
    b, color = Builder(), paint(rng)
    half, radius = rng.uniform(0.66, 0.8), rng.uniform(0.29, 0.34)
    _solid_wheels(b, half, radius, rng.uniform(0.06, 0.1))
    b.box((0.5, 0.34, 0.36), (0.02, 0, 0.42), Material.METAL, neutral(rng, 0.1, 0.5))
    b.ball((0.32, 0.17, 0.16), (0.18, 0, 0.82), Material.PAINT, color, detail=2)
    b.prism([(-half - 0.05, 0.78), (-0.05, 0.7), (0.0, 0.8), (-half, 0.92)], 0.14, Material.CLOTH, DARK)
    b.prism([(-half - 0.1, 0.62), (-0.2, 0.5), (-0.15, 0.72), (-half - 0.12, 0.8)], 0.13, Material.PAINT, color)
    if rng.random() < 0.4:  # a fairing
        b.prism([(half - 0.45, 0.5), (half - 0.1, 0.6), (half - 0.1, 0.95), (half - 0.35, 1.2), (half - 0.5, 0.9)], 0.2,
                Material.PAINT, color)  # fmt: skip
    if rng.random() < 0.3:
        b.box((0.4, 0.75, 0.35), (-half + 0.05, 0, 0.65), Material.PLASTIC, neutral(rng, 0.05, 0.5))
    for side in (-1, 1):
        b.tube((half, side * 0.09, radius), (half - 0.28, side * 0.09, 0.98), 0.035, Material.METAL, STEEL)
        b.tube((-half + 0.05, side * 0.16, 0.35), (0.1, side * 0.16, 0.28), 0.055, Material.METAL, (0.6,) * 3, sides=7)
    _front(b, rng, half, 1.0)
    if rider:
        _rider(b, rng, np.array([-0.28, 0, 0.86]), np.array([half - 0.36, 0, 1.02]), np.array([-0.05, 0, 0.35]))
    return b.mesh()


def scooter(rng: np.random.Generator, *, rider: bool = False) -> Mesh:
    """Return a motor scooter, with somebody on it where asked: a motorcycle."""
    b, color = Builder(), paint(rng)
    half, radius = rng.uniform(0.58, 0.68), rng.uniform(0.2, 0.25)
    _solid_wheels(b, half, radius, 0.06)
    b.box((0.6, 0.3, 0.07), (0.08, 0, 0.28), Material.PLASTIC, DARK)
    b.prism(
        [(half - 0.36, 0.28), (half - 0.12, 0.32), (half - 0.26, 0.98), (half - 0.38, 1.0)], 0.2, Material.PAINT, color
    )
    b.ball((0.42, 0.19, 0.25), (-0.42, 0, 0.52), Material.PAINT, shade(color, 0.95), detail=2)
    b.box((0.65, 0.26, 0.1), (-0.4, 0, 0.79), Material.CLOTH, neutral(rng, 0.03, 0.3))
    if rng.random() < 0.4:
        b.box((0.34, 0.36, 0.34), (-half - 0.1, 0, 1.0), Material.PLASTIC, paint(rng))
    _front(b, rng, half, 1.04)
    if rider:
        _rider(b, rng, np.array([-0.35, 0, 0.84]), np.array([half - 0.36, 0, 1.06]), np.array([0.1, 0, 0.34]))
    return b.mesh()


def _solid_wheels(b: Builder, half: float, radius: float, thick: float) -> None:
    for x in (-half, half):
        b.tube((x, -thick, radius), (x, thick, radius), radius, Material.RUBBER, DARK, sides=16)
        b.tube((x, -thick - 0.01, radius), (x, thick + 0.01, radius), radius * 0.6, Material.METAL, STEEL, sides=10)


def _front(b: Builder, rng: np.random.Generator, half: float, z: float) -> None:
    """Add handlebars, a lamp, mirrors, and a plate behind."""
    b.tube((half - 0.36, -0.34, z), (half - 0.36, 0.34, z), 0.022, Material.METAL, DARK)
    b.ball((0.09, 0.1, 0.1), (half - 0.2, 0, z - 0.12), Material.LAMP, neutral(rng, 0.6, 0.9))
    for side in (-1, 1):
        b.ball((0.03, 0.07, 0.05), (half - 0.36, side * 0.32, z + 0.16), Material.PLASTIC, DARK)
    b.box((0.03, 0.2, 0.14), (-half - 0.2, 0, 0.6), Material.RETRO, (0.85, 0.84, 0.75))
    b.box((0.05, 0.16, 0.07), (-half - 0.16, 0, 0.76), Material.LAMP, (0.5, 0.04, 0.03))
