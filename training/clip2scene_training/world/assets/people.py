"""Pedestrians with swinging legs, bicycles and motorcycles with and without riders."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from clip2scene_training.world.assets.cars import DARK, paint
from clip2scene_training.world.assets.palette import COMMON, pick, soiled
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh, merge

CLOTHES = np.array(
    [(0.10, 0.12, 0.20), (0.25, 0.26, 0.28), (0.55, 0.12, 0.12), (0.15, 0.30, 0.20), (0.62, 0.60, 0.55),
     (0.70, 0.55, 0.15), (0.35, 0.22, 0.15), (0.15, 0.35, 0.55), (0.80, 0.80, 0.78), (0.05, 0.05, 0.06),
     (0.45, 0.25, 0.45)]
)  # fmt: skip
SKINS = np.array([(0.75, 0.56, 0.45), (0.60, 0.42, 0.30), (0.38, 0.25, 0.17), (0.82, 0.66, 0.55)])
VESTS = np.array([(0.90, 0.34, 0.06), (0.82, 0.85, 0.15), (0.75, 0.10, 0.08)])
HAIRS = np.array([(0.08, 0.06, 0.05), (0.25, 0.16, 0.08), (0.55, 0.42, 0.20), (0.5, 0.5, 0.5)])


@dataclass(frozen=True, eq=False)
class Figure:
    """A body and, for people on foot, two legs that swing about the hip.

    Attributes:
        body: everything that does not swing.
        limbs: left and right leg (with the opposite arm), or none.
        hip_m: height of the hinge above the ground [m].
    """

    body: Mesh
    limbs: tuple[Mesh, ...] = ()
    hip_m: float = 0.0

    def standing(self) -> Mesh:
        """Return the figure as one mesh, legs straight."""
        return merge((self.body, *self.limbs))


def pedestrian(rng: np.random.Generator) -> Figure:
    """Return an adult or a child, with hair or a hat; some have a bag, a coat, a vest, shorts, a box or an umbrella."""
    tall = rng.uniform(1.05, 1.4) if rng.random() < 0.12 else rng.normal(1.72, 0.09)
    girth = rng.uniform(0.85, 1.2) * tall / 1.72
    top, trousers, skin = pick(rng, CLOTHES, 0.25), pick(rng, CLOTHES, 0.25), pick(rng, SKINS)
    hip, shoulder = 0.50 * tall, 0.82 * tall
    b = Builder()
    b.ball((0.13 * girth, 0.20 * girth, (shoulder - hip) * 0.62), (0, 0, (hip + shoulder) / 2), Material.CLOTH, top)
    b.tube((0, 0, shoulder - 0.08), (0, 0, shoulder + 0.1), 0.06, Material.SKIN, skin, sides=6)
    b.ball((0.10, 0.085, 0.125), (0.01, 0, tall - 0.13), Material.SKIN, skin)
    b.ball((0.11, 0.095, 0.09), (-0.02, 0, tall - 0.07), Material.CLOTH, pick(rng, HAIRS))
    _extras(b, rng, tall, girth, top)
    bare = 0.28 * tall if rng.random() < 0.2 else 0.0
    limbs = tuple(_limb(side, hip, shoulder, girth, trousers, top, skin, bare) for side in (-1, 1))
    return Figure(b.mesh(), limbs, hip)


def _extras(b: Builder, rng: np.random.Generator, tall: float, girth: float, top: Color) -> None:
    """Add a bag, a coat, a vest, a box carried in front, or an umbrella, each with a chance."""
    hip, shoulder = 0.50 * tall, 0.82 * tall
    if rng.random() < 0.3:
        b.box((0.16, 0.30, 0.42), (-0.20 * girth, 0, shoulder - 0.28), Material.CLOTH, pick(rng, CLOTHES, 0.25))
    if rng.random() < 0.25:
        b.tube((0, 0, 0.30 * tall), (0, 0, hip + 0.12), 0.24 * girth, Material.CLOTH, top, sides=8,
               end_radius=0.17 * girth)  # fmt: skip
    if rng.random() < 0.12:
        vest, shine = pick(rng, VESTS), Material.RETRO if rng.random() < 0.6 else Material.CLOTH
        for low, high, skin, color in ((0.1, 0.9, Material.CLOTH, vest), (0.3, 0.42, shine, (0.8, 0.8, 0.76))):
            part = Builder()
            z0, z1 = (hip + share * (shoulder - hip) for share in (low, high))
            grow = 1.0 if skin == Material.CLOTH and color == vest else 1.05
            part.tube((0, 0, z0), (0, 0, z1), 0.19 * girth * grow, skin, color, sides=8)
            b.include(part.mesh(), np.diag([0.78, 1.15, 1.0, 1.0]))
    elif rng.random() < 0.08:
        b.box((0.3, 0.4, 0.3), (0.3, 0, hip + 0.2), Material.WOOD, pick(rng, COMMON))
    if rng.random() < 0.06:
        b.tube((0.1, 0.1, hip), (0.1, 0.1, tall + 0.35), 0.015, Material.METAL, DARK, sides=4)
        b.tube((0.1, 0.1, tall + 0.12), (0.1, 0.1, tall + 0.4), 0.55, Material.CLOTH, pick(rng, CLOTHES, 0.25), sides=8,
               end_radius=0.03)  # fmt: skip


def _limb(
    side: int, hip: float, shoulder: float, girth: float, trousers: Color, top: Color, skin: Color,
    bare: float,
) -> Mesh:  # fmt: skip
    b = Builder()
    y = side * 0.09 * girth
    hem = max(bare, 0.08)
    b.tube((0, y, hip + 0.05), (0, y, hem), 0.085 * girth, Material.CLOTH, trousers, sides=6, end_radius=0.055)
    if bare:
        b.tube((0, y, hem), (0, y, 0.08), 0.05, Material.SKIN, skin, sides=5)
    b.box((0.24, 0.09, 0.09), (0.05, y, 0.045), Material.PLASTIC, DARK)
    arm = -side * 0.25 * girth
    b.tube((0, arm, shoulder - 0.04), (0.05, arm * 1.12, hip + 0.05), 0.05, Material.CLOTH, top, sides=6)
    b.ball((0.045, 0.04, 0.06), (0.06, arm * 1.12, hip), Material.SKIN, skin, detail=0)
    return b.mesh()


def _ring(b: Builder, x: float, radius: float, thickness: float) -> None:
    """Add an upright wheel as a ring of tubes with a few spokes."""
    angles = np.linspace(0, 2 * np.pi, 13)
    rim = np.stack([x + radius * np.cos(angles), np.zeros(13), radius + thickness + radius * np.sin(angles)], axis=1)
    for a, c in pairwise(rim):
        b.tube(a, c, thickness, Material.RUBBER, (0.05,) * 3, sides=4)
    for a in rim[:6:2]:
        b.tube(a, 2 * np.array([x, 0, radius]) - a, 0.006, Material.METAL, (0.5,) * 3, sides=3)


def _rider(rng: np.random.Generator, b: Builder, seat: float, lean: float, reach: float, helmet: bool) -> None:
    top, trousers, skin = pick(rng, CLOTHES, 0.25), pick(rng, CLOTHES, 0.25), pick(rng, SKINS)
    neck = np.array([-0.15 + lean, 0.0, seat + 0.55])
    b.tube((-0.2, 0, seat + 0.02), neck, 0.15, Material.CLOTH, top, sides=7, end_radius=0.19)
    head = neck + [0.05, 0, 0.2]
    b.ball((0.11, 0.09, 0.13), head, Material.SKIN, skin)
    b.ball(
        (0.13, 0.11, 0.10),
        head + [0, 0, 0.07],
        Material.PLASTIC if helmet else Material.CLOTH,
        pick(rng, CLOTHES, 0.25),
    )
    for side in (-1, 1):
        knee = np.array([0.18, side * 0.14, seat - 0.12 + 0.1 * side])
        b.tube((-0.2, side * 0.1, seat), knee, 0.085, Material.CLOTH, trousers, sides=6, end_radius=0.065)
        b.tube(knee, (0.02, side * 0.12, max(0.12, seat - 0.65 + 0.1 * side)), 0.06, Material.CLOTH, trousers, sides=6)
        b.tube(neck + [0, side * 0.17, -0.05], (reach, side * 0.22, seat + 0.1), 0.045, Material.CLOTH, top, sides=5)


def bicycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """Return a bicycle, with its rider where asked; a rider counts as the bicycle, as in nuScenes."""
    color, radius = paint(rng), rng.uniform(0.31, 0.36)
    half, seat = rng.uniform(0.50, 0.56), rng.uniform(0.85, 1.0)
    b = Builder()
    for x in (-half, half):
        _ring(b, x, radius, 0.022)
    crank, head = (-0.05, 0.0, 0.28), (half - 0.18, 0.0, 0.85)
    saddle = (-0.22, 0.0, seat - 0.06)
    rear, front = (-half, 0.0, radius), (half, 0.0, radius)
    for a, c in ((crank, head), (crank, saddle), (saddle, head), (saddle, rear), (crank, rear), (head, front)):
        b.tube(a, c, 0.02, Material.PAINT, color, sides=5)
    b.tube(head, (half - 0.22, 0, 1.02), 0.018, Material.METAL, DARK, sides=4)
    b.tube((half - 0.22, -0.28, 1.02), (half - 0.22, 0.28, 1.02), 0.018, Material.METAL, DARK, sides=4)
    b.box((0.26, 0.15, 0.06), (-0.22, 0, seat - 0.03), Material.PLASTIC, DARK)
    if rng.random() < 0.3:
        b.box((0.3, 0.35, 0.25), (half + 0.05, 0, 0.95), Material.WOOD, pick(rng, COMMON))
    if rider:
        _rider(rng, b, seat, rng.uniform(0.05, 0.3), half - 0.22, helmet=rng.random() < 0.5)
    return b.mesh()


def motorcycle(rng: np.random.Generator, *, rider: bool) -> Mesh:
    """Return a motorcycle or a scooter, with its rider where asked."""
    scooter = rng.random() < 0.45
    color = paint(rng)
    half, radius = (0.62, 0.24) if scooter else (rng.uniform(0.68, 0.78), 0.31)
    b = Builder()
    for x in (-half, half):
        b.tube((x, -0.07, radius), (x, 0.07, radius), radius, Material.RUBBER, (0.05,) * 3, sides=12)
        b.tube((x, -0.08, radius), (x, 0.08, radius), radius * 0.55, Material.METAL, (0.5,) * 3, sides=8)
    if scooter:
        b.box((0.55, 0.32, 0.06), (0.05, 0, 0.30), Material.PLASTIC, DARK)
        b.prism([(0.30, 0.3), (0.48, 0.3), (0.40, 1.0), (0.32, 1.0)], 0.2, Material.PAINT, color)
        b.prism([(-0.80, 0.45), (-0.15, 0.3), (-0.15, 0.72), (-0.75, 0.78)], 0.18, Material.PAINT, color)
    else:
        b.box((0.5, 0.34, 0.38), (0.05, 0, 0.45), Material.METAL, (0.22, 0.22, 0.23))
        b.prism([(-0.15, 0.65), (0.42, 0.68), (0.40, 0.98), (-0.10, 0.85)], 0.17, Material.PAINT, color)
        b.prism([(-0.85, 0.78), (-0.15, 0.62), (-0.12, 0.82), (-0.85, 0.90)], 0.14, Material.PLASTIC, DARK)
        b.tube((-0.7, -0.16, 0.35), (0.0, -0.16, 0.30), 0.05, Material.METAL, (0.6,) * 3, sides=6)
    b.tube((half, 0, radius), (half - 0.28, 0, 1.02), 0.05, Material.METAL, (0.4,) * 3, sides=5)
    b.tube((half - 0.30, -0.36, 1.02), (half - 0.30, 0.36, 1.02), 0.025, Material.METAL, DARK, sides=4)
    b.ball((0.1, 0.11, 0.1), (half - 0.15, 0, 0.88), Material.LAMP, (0.8, 0.8, 0.76), detail=0)
    b.box((0.03, 0.2, 0.15), (-0.9, 0, 0.6), Material.RETRO, (0.85, 0.85, 0.8))
    if rider:
        _rider(rng, b, 0.82, rng.uniform(0.05, 0.25), half - 0.30, helmet=True)
    return soiled(b.mesh(), rng, 0.5, 0.8)
