"""Light and air of a scene: sun, sky, fog, lamps, and what the cameras' sensors add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.config import WEATHER
from clip2scene_training.world.town import generator

Span = tuple[float, float]


@dataclass(frozen=True)
class Weather:
    """What a scene's light is drawn from.

    Attributes:
        sun, sky: strength of the light from the sun (at night, the moon), from the whole sky.
        zenith, horizon: colours of the sky.
        height_deg: of the sun.
        fog_m: distance at which two thirds of the contrast are lost [m].
        clouds: share of the sky that is covered.
        noise: standard deviation in an image [0..255].
        lamps: how far lamps and windows are lit, in [0, 1].
    """

    sun: float
    sky: float
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    height_deg: Span
    fog_m: Span
    clouds: Span
    noise: Span = (1.5, 5.0)
    lamps: float = 0.0


DAY, DUSK = (18.0, 65.0), (3.0, 9.0)
GREY, PALE = (0.62, 0.66, 0.70), (0.78, 0.80, 0.82)
KINDS = {
    "clear": Weather(1.0, 0.62, (0.25, 0.45, 0.80), (0.72, 0.82, 0.92), DAY, (500, 1500), (0.0, 0.6)),
    "hazy": Weather(0.65, 0.72, (0.50, 0.62, 0.80), (0.82, 0.84, 0.86), DAY, (150, 450), (0.3, 0.8)),
    "overcast": Weather(0.12, 1.05, GREY, PALE, DAY, (250, 900), (1.0, 1.0)),
    "mist": Weather(0.05, 0.95, PALE, PALE, DAY, (70, 160), (0.0, 0.1)),
    "fog": Weather(0.0, 0.90, PALE, PALE, DAY, (20, 50), (0.0, 0.1)),
    "dusk": Weather(0.20, 0.20, (0.13, 0.17, 0.34), (0.55, 0.38, 0.30), DUSK, (300, 900), (0.1, 0.8), (3.0, 7.0), 0.5),
    "night": Weather(
        0.010, 0.022, (0.010, 0.013, 0.024), (0.045, 0.040, 0.042), DAY, (200, 900), (0.0, 0.7), (6.0, 12.0), 1.0
    ),
}
ANY = {"clear": 0.34, "hazy": 0.16, "overcast": 0.22, "mist": 0.08, "dusk": 0.10, "night": 0.10}
NIGHT_OR_FOG = {"night": 0.5, "fog": 0.5}


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a scene is lit.

    Attributes:
        kind: a key of `KINDS`.
        sun: (3,) unit direction towards the sun.
        sun_color, sky_color: (3,) light from the sun and from the whole sky.
        zenith, horizon: (3,) colours of the sky.
        fog_m: distance at which two thirds of the contrast are lost [m].
        clouds: share of the sky that is covered, in [0, 1].
        lamps: how far lamps and windows are lit, in [0, 1].
        noise: standard deviation of an image's noise [0..255].
        balance: (3,) gain of each colour channel.
    """

    kind: str
    sun: Array
    sun_color: Array
    sky_color: Array
    zenith: Array
    horizon: Array
    fog_m: float
    clouds: float
    lamps: float
    noise: float
    balance: Array


def appearance(seed: int, weather: str = "any") -> Appearance:
    """Return the light of a scene; `weather` is one of `config.WEATHER`.

    Raises:
        ValueError: it is none of them.
    """
    if weather not in WEATHER:
        raise ValueError(f"Expected `weather` to be one of {', '.join(WEATHER)}, but got {weather!r}.")
    rng = generator(seed, 13)
    weights = {"any": ANY, "night_or_fog": NIGHT_OR_FOG}.get(weather, {weather: 1.0})
    kind = str(rng.choice(list(weights), p=list(weights.values())))
    air = KINDS[kind]
    height, azimuth = np.radians(rng.uniform(*air.height_deg)), rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(height) * np.cos(azimuth), np.cos(height) * np.sin(azimuth), np.sin(height)])
    warmth = np.clip((0.6 - height) / 0.4, 0, 1)
    return Appearance(
        kind=kind,
        sun=sun,
        sun_color=air.sun * 1.15 * np.array([1.0, 0.95 - 0.10 * warmth, 0.86 - 0.22 * warmth]),
        sky_color=air.sky * np.array([0.93, 0.97, 1.05]),
        zenith=np.array(air.zenith) * rng.uniform(0.85, 1.1),
        horizon=np.array(air.horizon) * rng.uniform(0.92, 1.05),
        fog_m=float(rng.uniform(*air.fog_m)),
        clouds=float(rng.uniform(*air.clouds)),
        lamps=air.lamps,
        noise=float(rng.uniform(*air.noise)),
        balance=np.exp(rng.normal(0.0, 0.04, 3)),
    )
