"""Light and air of a scene: sun, sky, fog, exposure, and what the sensor's noise does to an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.town import generator


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a scene is lit.

    Attributes:
        sun: (3,) unit direction towards the sun.
        sun_color, sky_color: (3,) light from the sun and from the whole sky.
        zenith, horizon: (3,) colours of the sky.
        fog_m: distance at which two thirds of the contrast are lost [m].
        clouds: share of the sky that is covered, in [0, 1].
        exposure, noise: gain of the image, standard deviation of its noise [0..255].
    """

    sun: Array
    sun_color: Array
    sky_color: Array
    zenith: Array
    horizon: Array
    fog_m: float
    clouds: float
    exposure: float
    noise: float


def appearance(seed: int) -> Appearance:
    """Return the light of a scene: clear, hazy or overcast daylight, low or high sun."""
    rng = generator(seed, 13)
    kind = rng.choice(3, p=[0.5, 0.25, 0.25])
    height, azimuth = np.radians(rng.uniform(18, 65)), rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)])
    warmth = np.clip((0.6 - height) / 0.4, 0, 1)
    strength = (1.0, 0.65, 0.12)[kind]
    sun_color = strength * 1.15 * np.array([1.0, 0.95 - 0.10 * warmth, 0.86 - 0.22 * warmth])
    zenith = (np.array([0.25, 0.45, 0.80]), np.array([0.50, 0.62, 0.80]), np.array([0.62, 0.66, 0.70]))[kind]
    horizon = (np.array([0.72, 0.82, 0.92]), np.array([0.82, 0.84, 0.86]), np.array([0.80, 0.82, 0.83]))[kind]
    sky_color = (0.62, 0.72, 1.05)[kind] * np.array([0.93, 0.97, 1.05])
    fog_m = float((rng.uniform(500, 1500), rng.uniform(150, 450), rng.uniform(250, 900))[kind])
    return Appearance(
        sun, sun_color, sky_color, zenith * rng.uniform(0.85, 1.1), horizon * rng.uniform(0.92, 1.05), fog_m,
        float((rng.uniform(0, 0.6), rng.uniform(0.3, 0.8), 1.0)[kind]), float(rng.uniform(0.88, 1.12)),
        float(rng.uniform(1.5, 5.0)),
    )  # fmt: skip
