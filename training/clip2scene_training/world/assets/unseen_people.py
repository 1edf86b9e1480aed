"""People on foot of the unseen family: robes, skirts, safety suits, hats, rucksacks, cases on wheels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_training.world.assets.palette import pick
from clip2scene_training.world.assets.people import Figure
from clip2scene_training.world.assets.unseen_cars import TOWN
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

GARMENTS = np.array(
    [
        (0.86, 0.84, 0.78), (0.16, 0.14, 0.13), (0.42, 0.40, 0.30), (0.64, 0.30, 0.20), (0.24, 0.40, 0.42),
        (0.70, 0.46, 0.50), (0.52, 0.52, 0.56), (0.30, 0.14, 0.20), (0.76, 0.66, 0.40), (0.20, 0.24, 0.36),
    ]
)  # fmt: skip
SAFETY = np.array([(0.80, 0.88, 0.16), (0.92, 0.40, 0.10), (0.88, 0.62, 0.10)])
SKIN = np.array([(0.70, 0.50, 0.38), (0.46, 0.31, 0.22), (0.28, 0.19, 0.14), (0.84, 0.70, 0.60)])
HAIR = np.array([(0.10, 0.08, 0.07), (0.34, 0.24, 0.16), (0.62, 0.52, 0.34), (0.72, 0.72, 0.70)])


def _head(b: Builder, rng: np.random.Generator, tall: float, skin: Color) -> None:
    """Add neck, head, and long hair, a hood or a broad hat."""
    b.tube((0, 0, tall - 0.30), (0, 0, tall - 0.18), 0.055, Material.SKIN, skin, sides=5)
    b.ball((0.095, 0.08, 0.12), (0.015, 0, tall - 0.14), Material.SKIN, skin)
    kind, color = rng.integers(3), pick(rng, HAIR)
    if kind == 0:
        b.ball((0.10, 0.105, 0.17), (-0.035, 0, tall - 0.16), Material.CLOTH, color)
    elif kind == 1:
        b.ball((0.125, 0.115, 0.14), (-0.03, 0, tall - 0.12), Material.CLOTH, pick(rng, GARMENTS))
    else:
        hat = pick(rng, GARMENTS)
        b.tube((0, 0, tall - 0.07), (0, 0, tall - 0.045), 0.21, Material.CLOTH, hat, sides=10)
        b.tube((0, 0, tall - 0.06), (0, 0, tall + 0.05), 0.105, Material.CLOTH, hat, sides=8, end_radius=0.09)


def _leg(side: int, hip: float, shoulder: float, broad: float, cloth: Color, sleeve: Color, skin: Color,
         bare: float) -> Mesh:  # fmt: skip
    """Return a leg, bare below `bare` metres, a shoe, and the opposite arm bent at the elbow."""
    b = Builder()
    y = side * 0.10 * broad
    cut = max(bare, 0.1)
    b.tube((0, y, hip), (0, y, cut), 0.095 * broad, Material.CLOTH, cloth, sides=5, end_radius=0.07 * broad)
    if bare > 0.1:
        b.tube((0, y, cut), (0, y, 0.08), 0.055, Material.SKIN, skin, sides=5, end_radius=0.045)
    b.prism([(-0.09, 0.0), (0.18, 0.0), (0.16, 0.05), (0.02, 0.11), (-0.09, 0.1)], 0.05, Material.PLASTIC,
            (0.12, 0.1, 0.09), y=y)  # fmt: skip
    arm = -side * 0.22 * broad
    elbow = (-0.04, arm * 1.2, 0.5 * (hip + shoulder) + 0.02)
    b.tube((0, arm, shoulder - 0.03), elbow, 0.06, Material.CLOTH, sleeve, sides=5, end_radius=0.05)
    b.tube(elbow, (0.13, arm * 1.15, hip + 0.06), 0.045, Material.CLOTH, sleeve, sides=5)
    b.box((0.09, 0.05, 0.06), (0.17, arm * 1.15, hip + 0.05), Material.SKIN, skin)
    return b.mesh()


def _torso(b: Builder, hip: float, shoulder: float, broad: float, cloth: Color) -> None:
    """Add an upper body that widens to the shoulders."""
    middle = 0.5 * (hip + shoulder)
    for low, high, r0, r1 in ((hip - 0.06, middle, 0.16, 0.155), (middle, shoulder, 0.155, 0.19),
                              (shoulder, shoulder + 0.09, 0.19, 0.07)):  # fmt: skip
        part = Builder()
        part.tube((0, 0, low), (0, 0, high), r0 * broad, Material.CLOTH, cloth, sides=8, end_radius=r1 * broad)
        b.include(part.mesh(), np.diag([0.75, 1.15, 1.0, 1.0]))


def _robed(b: Builder, rng: np.random.Generator, hip: float, shoulder: float, broad: float, cloth: Color) -> None:
    _torso(b, hip, shoulder, broad, cloth)
    b.tube((0, 0, rng.uniform(0.06, 0.25)), (0, 0, hip), 0.30 * broad, Material.CLOTH, cloth, sides=9,
           end_radius=0.17 * broad)  # fmt: skip


def _skirted(b: Builder, rng: np.random.Generator, hip: float, shoulder: float, broad: float, cloth: Color) -> None:
    _torso(b, hip, shoulder, broad, cloth)
    b.tube((0, 0, hip * rng.uniform(0.45, 0.75)), (0, 0, hip + 0.08), 0.26 * broad, Material.CLOTH,
           pick(rng, GARMENTS, 0.3, TOWN), sides=9, end_radius=0.14 * broad)  # fmt: skip


def _worker(b: Builder, rng: np.random.Generator, hip: float, shoulder: float, broad: float, cloth: Color) -> None:
    _torso(b, hip, shoulder, 1.08 * broad, pick(rng, SAFETY))
    band = Builder()
    for z in (0.35, 0.6):
        at = hip + z * (shoulder - hip)
        band.tube((0, 0, at), (0, 0, at + 0.06), 0.185 * broad, Material.RETRO, (0.75, 0.76, 0.74), sides=8)
    b.include(band.mesh(), np.diag([0.78, 1.18, 1.0, 1.0]))


def _hiker(b: Builder, rng: np.random.Generator, hip: float, shoulder: float, broad: float, cloth: Color) -> None:
    _torso(b, hip, shoulder, broad, cloth)
    pack = pick(rng, GARMENTS, 0.4, TOWN)
    b.prism([(-0.14, hip + 0.05), (-0.12, shoulder + 0.12), (-0.3, shoulder + 0.05), (-0.38, hip + 0.12)], 0.18 * broad,
            Material.CLOTH, pack)  # fmt: skip


def _traveller(b: Builder, rng: np.random.Generator, hip: float, shoulder: float, broad: float, cloth: Color) -> None:
    _torso(b, hip, shoulder, broad, cloth)
    side = rng.choice([-1, 1])
    b.box((0.28, 0.42, 0.6), (-0.42, side * 0.34, 0.34), Material.PLASTIC, pick(rng, TOWN))
    b.box((0.3, 0.3, 0.04), (-0.42, side * 0.34, 0.02), Material.RUBBER, (0.08,) * 3)
    b.tube((-0.38, side * 0.34, 0.64), (-0.05, side * 0.3, hip), 0.015, Material.METAL, (0.5,) * 3, sides=4)


KINDS: tuple[tuple[Callable[[Builder, np.random.Generator, float, float, float, Color], None], float, float], ...] = (
    (_robed, 0.0, 0.18), (_skirted, 0.42, 0.22), (_worker, 0.0, 0.22), (_hiker, 0.25, 0.22), (_traveller, 0.0, 0.16),
)  # fmt: skip
"""What somebody wears, up to where the legs are bare [m], how frequent it is."""


def pedestrian(rng: np.random.Generator) -> Figure:
    """Return somebody in a robe, a skirt or a safety suit, with a rucksack or a case on wheels; or a child."""
    tall = rng.uniform(1.0, 1.35) if rng.random() < 0.15 else rng.normal(1.70, 0.1)
    broad = rng.uniform(0.85, 1.25) * tall / 1.7
    wear, bare, _ = KINDS[rng.choice(len(KINDS), p=[share for *_, share in KINDS])]
    top, legs, skin = pick(rng, GARMENTS, 0.3, TOWN), pick(rng, GARMENTS, 0.3, TOWN), pick(rng, SKIN)
    hip, shoulder = 0.49 * tall, 0.80 * tall
    b = Builder()
    wear(b, rng, hip, shoulder, broad, top)
    _head(b, rng, tall, skin)
    limbs = tuple(_leg(side, hip, shoulder, broad, legs, top, skin, bare * tall) for side in (-1, 1))
    return Figure(b.mesh(), limbs, hip)
