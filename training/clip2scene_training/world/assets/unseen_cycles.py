"""Bicycles and motorcycles of the unseen family: cargo bikes, step-throughs, choppers, mopeds, racing machines."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.assets.palette import pick
from clip2scene_training.world.assets.unseen_cars import BLACK, CHROME, TOWN, hue
from clip2scene_training.world.assets.unseen_people import GARMENTS, HAIR, SKIN
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

Joint = tuple[float, float]
"""Where tubes of a frame meet, (x, z) [m]."""


def _hoop(b: Builder, x: float, radius: float, thickness: float) -> None:
    """Add an upright wheel: a flat ring of quadrilaterals on both sides, and four spokes."""
    angles = np.linspace(0, 2 * np.pi, 15)
    spin = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    center = np.array([x, radius])
    inner, outer = center + (radius - 2 * thickness) * spin, center + radius * spin
    sides = []
    for y in (-thickness, thickness):
        a, c = (np.insert(ring, 1, y, axis=1) for ring in (inner, outer))
        sides.append(np.stack([a[:-1], c[:-1], c[1:], a[1:]], axis=1))
    rim = np.stack([np.insert(outer, 1, y, axis=1) for y in (-thickness, thickness)])
    sides.append(np.stack([rim[0, :-1], rim[0, 1:], rim[1, 1:], rim[1, :-1]], axis=1))
    b.quads(np.concatenate(sides), Material.RUBBER, BLACK)
    for k in (0, 3):
        a, c = outer[k], outer[k + 7]
        b.tube((a[0], 0, a[1]), (c[0], 0, c[1]), 0.008, Material.METAL, CHROME, sides=3)


def _sitting(
    rng: np.random.Generator, b: Builder, seat: tuple[float, float], hands: tuple[float, float],
    feet: tuple[float, float], lean: float,
) -> None:  # fmt: skip
    """Add somebody who sits at `seat` and holds the bar at `hands`, feet at `feet`, all (x, z) [m]."""
    coat, trousers, skin = pick(rng, GARMENTS, 0.3, TOWN), pick(rng, GARMENTS, 0.3, TOWN), pick(rng, SKIN)
    hip = np.array([seat[0], 0.0, seat[1] + 0.06])
    neck = hip + [0.55 * np.sin(lean), 0, 0.55 * np.cos(lean)]
    middle = hip + 0.5 * (neck - hip)
    b.tube(hip - [0, 0, 0.06], middle, 0.19, Material.CLOTH, coat, sides=8, end_radius=0.16)
    b.tube(middle, neck, 0.16, Material.CLOTH, coat, sides=8, end_radius=0.13)
    head = neck + [0.06 * np.sin(lean), 0, 0.17]
    b.ball((0.10, 0.085, 0.125), head, Material.SKIN, skin)
    cap = Material.PLASTIC if rng.random() < 0.6 else Material.CLOTH
    b.ball((0.135, 0.12, 0.11), head + [-0.02, 0, 0.06], cap, pick(rng, GARMENTS if cap == Material.PLASTIC else HAIR))
    for side in (-1, 1):
        knee = np.array([0.5 * (seat[0] + feet[0]) + 0.2, side * 0.16, 0.45 * (seat[1] + feet[1]) + 0.17 + side * 0.05])
        b.tube(hip + [0, side * 0.09, 0], knee, 0.09, Material.CLOTH, trousers, sides=5, end_radius=0.07)
        b.tube(knee, (feet[0], side * 0.15, feet[1]), 0.065, Material.CLOTH, trousers, sides=5)
        elbow = 0.5 * (neck + np.array([hands[0], 0, hands[1]])) + [0, side * 0.26, -0.1]
        b.tube(neck + [0, side * 0.16, -0.05], elbow, 0.05, Material.CLOTH, coat, sides=5)
        b.tube(elbow, (hands[0], side * 0.24, hands[1]), 0.04, Material.CLOTH, coat, sides=5)
    if rng.random() < 0.35:
        b.box((0.22, 0.32, 0.4), middle - [0.24, 0, -0.08], Material.CLOTH, pick(rng, GARMENTS))


def _frame(b: Builder, joints: list[tuple[Joint, Joint]], thick: float, color: Color) -> None:
    for (ax, az), (cx, cz) in joints:
        b.tube((ax, 0, az), (cx, 0, cz), thick, Material.PAINT, color, sides=4)


def bicycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """Return a cargo bike, a step-through with a basket, or a fat-tyred bike; with its rider where asked."""
    kind, color = rng.choice(3, p=[0.3, 0.45, 0.25]), hue(rng)
    b = Builder()
    rear, front = (-0.62, (1.15, 0.60, 0.60)[kind])
    radius = (0.30, 0.34, 0.35)[kind]
    saddle, bar = (-0.32, 0.92), (0.22, 1.10)
    _hoop(b, rear, radius, (0.025, 0.02, 0.05)[kind])
    nose = 0.24 if kind == 0 else radius
    _hoop(b, front, nose, (0.025, 0.02, 0.05)[kind])
    crank = (-0.1, 0.30)
    joints = [((rear, radius), saddle), ((rear, radius), crank), (crank, saddle)]
    if kind == 0:
        joints += [(crank, (0.3, 0.35)), ((0.3, 0.35), bar), ((0.3, 0.35), (front, nose))]
        b.box((0.65, 0.55, 0.45), (0.62, 0, 0.62), Material.WOOD, pick(rng, TOWN))
    elif kind == 1:
        joints += [(crank, (0.1, 0.4)), ((0.1, 0.4), (0.3, 0.85)), (bar, (0.33, 0.8)), ((0.33, 0.8), (front, nose))]
        b.box((0.26, 0.34, 0.24), (0.48, 0, 0.98), Material.METAL, (0.4, 0.38, 0.34))
        b.box((0.42, 0.14, 0.03), (rear, 0, 0.76), Material.METAL, BLACK)
    else:
        joints += [(crank, (0.3, 0.75)), (saddle, (0.3, 0.8)), (bar, (front, nose))]
    _frame(b, joints, 0.03 if kind else 0.035, color)
    b.tube((*bar[:1], -0.3, bar[1]), (*bar[:1], 0.3, bar[1]), 0.02, Material.METAL, CHROME, sides=4)
    b.ball((0.15, 0.11, 0.05), (saddle[0], 0, saddle[1] + 0.02), Material.PLASTIC, (0.3, 0.2, 0.14), detail=1)
    if rider:
        _sitting(rng, b, saddle, bar, (-0.08, 0.2), rng.uniform(0.0, 0.3))
    return b.mesh()


def motorcycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """Return a chopper, a moped with a delivery box, or a faired racing machine; with its rider where asked."""
    kind, color = rng.choice(3, p=[0.3, 0.4, 0.3]), hue(rng)
    b = Builder()
    front, rear = ((0.98, -0.72), (0.60, -0.58), (0.70, -0.66))[kind]
    sizes = ((0.33, 0.35), (0.27, 0.27), (0.31, 0.31))[kind]
    wide = ((0.05, 0.11), (0.05, 0.05), (0.07, 0.10))[kind]
    for x, radius, half in zip((front, rear), sizes, wide, strict=True):
        b.tube((x, -half, radius), (x, half, radius), radius, Material.RUBBER, BLACK, sides=14)
        b.tube((x, -half - 0.01, radius), (x, half + 0.01, radius), 0.6 * radius, Material.METAL, CHROME, sides=5)
    bar = ((0.28, 1.18), (0.36, 1.02), (0.42, 0.92))[kind]
    for side in (-1, 1):
        b.tube((front, side * 0.09, sizes[0]), (bar[0], side * 0.09, bar[1]), 0.025, Material.METAL, CHROME, sides=4)
    b.tube((bar[0], -0.38, bar[1]), (bar[0], 0.38, bar[1]), 0.022, Material.METAL, CHROME, sides=4)
    if kind == 0:
        b.tube((0.1, -0.2, 0.35), (0.0, 0.2, 0.6), 0.2, Material.METAL, CHROME, sides=8)
        b.ball((0.32, 0.15, 0.15), (0.2, 0, 0.82), Material.PAINT, color)
        b.box((0.55, 0.28, 0.1), (-0.3, 0, 0.66), Material.PLASTIC, BLACK)
        b.tube((0.05, -0.2, 0.3), (-1.05, -0.2, 0.34), 0.05, Material.METAL, CHROME, sides=6)
        b.ball((0.34, 0.12, 0.2), (-0.75, 0, 0.62), Material.PAINT, color)
    elif kind == 1:
        b.prism([(-0.8, 0.42), (-0.1, 0.25), (-0.05, 0.6), (-0.3, 0.74), (-0.8, 0.7)], 0.13, Material.PAINT, color)
        b.prism([(0.34, 0.3), (0.5, 0.4), (0.42, 0.9), (0.34, 0.9)], 0.19, Material.PAINT, color)
        b.box((0.5, 0.24, 0.08), (0.1, 0, 0.27), Material.PLASTIC, BLACK)
        if rng.random() < 0.6:
            b.box((0.45, 0.48, 0.46), (-0.72, 0, 1.0), Material.PLASTIC, pick(rng, TOWN))
    else:
        b.prism([(-0.1, 0.25), (0.45, 0.3), (0.78, 0.72), (0.55, 1.02), (0.1, 0.88), (-0.25, 0.7)],
                [0.16, 0.16, 0.12, 0.16, 0.18, 0.16], Material.PAINT, color)  # fmt: skip
        b.prism([(-0.95, 0.92), (-0.2, 0.66), (-0.1, 0.8), (-0.9, 1.0)], 0.11, Material.PAINT, color)
    b.ball((0.09, 0.1, 0.09), (bar[0] + 0.22, 0, bar[1] - 0.12), Material.LAMP, (0.8, 0.8, 0.7), detail=1)
    b.box((0.02, 0.16, 0.18), (rear - 0.32, 0, 0.62), Material.RETRO, (0.85, 0.75, 0.25))
    if rider:
        seat = ((-0.35, 0.7), (-0.3, 0.76), (-0.4, 0.8))[kind]
        _sitting(rng, b, seat, bar, ((0.5, 0.35), (0.15, 0.32), (-0.25, 0.35))[kind], (-0.05, 0.05, 0.75)[kind])
    return b.mesh()
