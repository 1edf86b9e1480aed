"""From light to a picture: exposure, glare, tone curve, white balance, noise, JPEG."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_ros.io.image import decode_compressed, encode_jpeg
from clip2scene_training.world.appearance import Appearance

TONE = 0.64
"""Exponent of the tone curve: light adds up linearly, a picture shows it brighter in the dark parts."""
TARGET, STRENGTH, GAIN = 0.44, 0.72, (0.6, 7.0)
"""The automatic exposure brings an image's mean towards the target, on this share of the way, within these gains."""


def developed(color: Array, air: Appearance, exposure: float, rng: np.random.Generator) -> Array:
    """Return the (H, W, 3) uint8 image of (H, W, 3) linear light.

    Args:
        color: light, 1 being a white wall in the sun.
        air: its `noise`, `balance` and `lamps` are used.
        exposure: multiplies what the automatic exposure chooses.
        rng: of the noise.
    """
    height, width = color.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    vignette = (1.0 - 0.10 * (x * x + y * y))[..., None]
    gain = float(np.clip((TARGET / max(float(np.minimum(color, 1.5).mean()), 1e-3)) ** STRENGTH, *GAIN)) * exposure
    exposed = np.maximum(color * (gain * air.balance.astype(np.float32)) * vignette, 0.0)
    if air.lamps:
        exposed += _glare(exposed)
    toned = (exposed / (1.0 + 0.18 * exposed)) ** TONE
    grain = rng.standard_normal(color.shape, dtype=np.float32) * air.noise
    return np.asarray(np.clip(toned * 255.0 + grain, 0, 255), np.uint8)


def _glare(light: Array) -> Array:
    """Return what overbright spots spill around them."""
    over, spilled = np.clip(light - 1.0, 0.0, 6.0), np.zeros_like(light)
    for radius in (2, 6):
        for axis in (0, 1):
            for _ in range(2):
                over = _box(over, radius, axis)
        spilled += over
    return np.asarray(spilled * np.float32(0.5))


def _box(light: Array, radius: int, axis: int) -> Array:
    """Return the running mean over 2 `radius` + 1 pixels along an axis, dark beyond the border."""
    width = [(0, 0)] * light.ndim
    width[axis] = (radius + 1, radius)
    total = np.cumsum(np.pad(light, width), axis=axis, dtype=np.float32)
    count = light.shape[axis]
    high, low = np.arange(count) + 2 * radius + 1, np.arange(count)
    return np.asarray((total.take(high, axis) - total.take(low, axis)) / np.float32(2 * radius + 1))


def through_jpeg(image: Array, quality: int) -> Array:
    """Return the image as it comes out of a JPEG; 0 leaves it as it is."""
    return decode_compressed(encode_jpeg(image, quality)) if quality else image
