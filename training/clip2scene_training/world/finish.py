"""How a scene's surfaces differ from other scenes': colour, wetness, dirt, and the LiDAR's own calibration.

Within a class this varies more than between classes: asphalt is black or nearly white, paving grey, red or ochre, grass
green or straw, and any of them may be wet. So neither a colour nor an intensity tells by itself what a thing is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.config import LidarConfig
from clip2scene_training.world.materials import Material, column
from clip2scene_training.world.town import generator

FLOORS = (Material.ASPHALT, Material.PAVING, Material.CONCRETE, Material.DIRT, Material.GRASS, Material.MARKING)
SOAKED = (Material.ASPHALT, Material.PAVING, Material.CONCRETE, Material.MARKING)
"""Surfaces on which rain stays as a film: dark, shiny, and mirroring the LiDAR's pulses away."""


@dataclass(frozen=True, eq=False)
class Finish:
    """The surfaces of one scene, by material id.

    Attributes:
        tint: (M, 3) float32, multiplies colours.
        reflectivity: (M,) float32, of the LiDAR's light.
        mirror: (M,) float32, share of what is mirrored in it.
        wetness: of the ground, in [0, 1].
    """

    tint: Array
    reflectivity: Array
    mirror: Array
    wetness: float


def finish(seed: int) -> Finish:
    """Return the surfaces of the scene of a seed."""
    rng = generator(seed, 24)
    count = len(Material)
    tint = np.exp(rng.normal(0.0, 0.10, (count, 1)) + rng.normal(0.0, 0.03, (count, 3)))
    tint[Material.ASPHALT] = rng.uniform(0.55, 2.1) * _hue(rng, 0.06)
    tint[Material.PAVING] = rng.uniform(0.45, 1.15) * _hue(rng, 0.22)
    tint[Material.CONCRETE] = rng.uniform(0.55, 1.2) * _hue(rng, 0.10)
    tint[Material.DIRT] = rng.uniform(0.6, 1.5) * _hue(rng, 0.15)
    straw = np.array([2.0, 1.25, 1.7])  # what makes green grass the colour of hay
    dry = rng.beta(0.7, 1.0)
    tint[Material.GRASS] = rng.uniform(0.6, 1.2) * (1 + dry * (straw - 1)) * _hue(rng, 0.05)
    tint[Material.FOLIAGE] = rng.uniform(0.65, 1.3) * (1 + 0.4 * rng.beta(0.6, 1.4) * (straw - 1)) * _hue(rng, 0.08)
    reflectivity = column("reflectivity") * np.exp(rng.normal(0.0, 0.40, count)) * np.exp(rng.normal(0.0, 0.20))
    mirror = column("mirror").copy()
    wetness = float(rng.uniform(0.3, 1.0)) if rng.random() < 0.2 else 0.0
    for material in SOAKED:
        tint[material] *= 1 - 0.45 * wetness
        reflectivity[material] *= 1 - 0.55 * wetness
        mirror[material] += 0.22 * wetness
    return Finish(tint.astype(np.float32), reflectivity.astype(np.float32), mirror.astype(np.float32), wetness)


def _hue(rng: np.random.Generator, spread: float) -> Array:
    """Return (3,) a warm or neutral cast, seldom a slightly cool one: nobody paves in blue."""
    warm = max(rng.normal(0.25 * spread, spread), -0.04)
    return np.exp(np.array([warm, 0.25 * warm, -warm]) + rng.normal(0.0, spread / 5, 3))


@dataclass(frozen=True, eq=False)
class Wear:
    """What makes one LiDAR differ from another of its kind.

    Attributes:
        efficiency: (beams,) float32, of each laser's signal.
        gain: (beams,) float32, of each laser's reported intensity.
        dirt: (columns,) float32, share of the signal that passes the cover in each direction.
    """

    efficiency: Array
    gain: Array
    dirt: Array


def wear(seed: int, config: LidarConfig) -> Wear:
    """Return the state of the LiDAR in the scene of a seed; now and then a smear covers a sector of it."""
    rng = generator(seed, 25)
    efficiency = np.exp(rng.normal(0.0, 0.12, config.beams))
    gain = np.exp(rng.normal(0.0, 0.30, config.beams) + rng.normal(0.0, 0.20))
    passed = np.ones(config.columns)
    if rng.random() < 0.15:
        middle, half, loss = (
            rng.uniform(0, config.columns),
            rng.uniform(2, 12) / 360 * config.columns,
            rng.uniform(2, 5),
        )
        away = np.abs((np.arange(config.columns) - middle + config.columns / 2) % config.columns - config.columns / 2)
        passed = np.exp(-loss * np.clip(1.5 - away / half, 0, 1))
    return Wear(efficiency.astype(np.float32), gain.astype(np.float32), passed.astype(np.float32))
