"""Surfaces: how each looks to a camera and to a LiDAR."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from clip2scene_ros.frame import Array


class Material(IntEnum):
    """What a face is made of; an index into the tables below."""

    ASPHALT = 0
    PAVING = 1
    CONCRETE = 2
    GRASS = 3
    DIRT = 4
    BRICK = 5
    PLASTER = 6
    GLASS = 7
    PAINT = 8
    RUBBER = 9
    METAL = 10
    MARKING = 11
    FOLIAGE = 12
    BARK = 13
    CLOTH = 14
    SKIN = 15
    PLASTIC = 16
    RETRO = 17
    LAMP = 18
    WOOD = 19
    ROOF = 20
    WINDOW = 21


@dataclass(frozen=True)
class Surface:
    """One material.

    Attributes:
        reflectivity: LiDAR intensity at normal incidence for a mid-grey colour, in [0, 1].
        tint: share of the reflectivity that follows the colour's brightness.
        transmission: probability that a LiDAR pulse passes or is mirrored away.
        grain: contrast of the fine texture.
        blotch: contrast of the coarse texture.
        grain_m, blotch_m: feature sizes [m].
        pattern: `paving`, `brick`, or none.
        mirror: share of sky reflection.
        glow: light it emits itself.
    """

    reflectivity: float
    tint: float = 0.3
    transmission: float = 0.0
    grain: float = 0.1
    blotch: float = 0.1
    grain_m: float = 0.05
    blotch_m: float = 2.0
    pattern: str = ""
    mirror: float = 0.0
    glow: float = 0.0


SURFACES = {
    Material.ASPHALT: Surface(0.055, grain=0.30, blotch=0.25, grain_m=0.03, blotch_m=4.0),
    Material.PAVING: Surface(0.085, grain=0.12, blotch=0.18, pattern="paving"),
    Material.CONCRETE: Surface(0.090, grain=0.10, blotch=0.15),
    Material.GRASS: Surface(0.115, grain=0.55, blotch=0.35, grain_m=0.08, blotch_m=3.0),
    Material.DIRT: Surface(0.100, grain=0.35, blotch=0.40, grain_m=0.06, blotch_m=1.5),
    Material.BRICK: Surface(0.095, grain=0.12, blotch=0.15, pattern="brick"),
    Material.PLASTER: Surface(0.120, tint=0.6, grain=0.06, blotch=0.14, grain_m=0.1, blotch_m=2.5),
    Material.GLASS: Surface(0.050, transmission=0.85, grain=0.0, blotch=0.1, mirror=0.55),
    Material.PAINT: Surface(0.120, tint=0.9, transmission=0.06, grain=0.02, blotch=0.05, mirror=0.12),
    Material.RUBBER: Surface(0.025, tint=0.0, transmission=0.10, grain=0.1, blotch=0.05),
    Material.METAL: Surface(0.130, transmission=0.05, grain=0.06, blotch=0.12, mirror=0.15),
    Material.MARKING: Surface(0.220, grain=0.25, blotch=0.25, grain_m=0.05, blotch_m=0.7),
    Material.FOLIAGE: Surface(0.110, grain=0.75, blotch=0.35, grain_m=0.10, blotch_m=0.9),
    Material.BARK: Surface(0.100, grain=0.40, blotch=0.2, grain_m=0.04, blotch_m=0.4),
    Material.CLOTH: Surface(0.110, tint=0.7, grain=0.18, blotch=0.2, blotch_m=0.3),
    Material.SKIN: Surface(0.130, grain=0.05, blotch=0.05),
    Material.PLASTIC: Surface(0.130, tint=0.5, grain=0.04, blotch=0.08),
    Material.RETRO: Surface(0.750, tint=0.0, grain=0.02, blotch=0.05),
    Material.LAMP: Surface(0.300, tint=0.0, grain=0.0, blotch=0.0, glow=0.5),
    Material.WOOD: Surface(0.140, grain=0.25, blotch=0.2, grain_m=0.05, blotch_m=0.5),
    Material.ROOF: Surface(0.090, grain=0.2, blotch=0.2, grain_m=0.15, blotch_m=2.0),
    Material.WINDOW: Surface(0.045, transmission=0.75, grain=0.0, blotch=0.6, blotch_m=1.4, mirror=0.45),
}


def column(name: str) -> Array:
    """Return (M,) float32: one attribute of every material, by material id."""
    return np.array([getattr(SURFACES[m], name) for m in Material], dtype=np.float32)
