"""Colours of the photographed things: drawn from hue, saturation and brightness, not from tables of the world's."""

from __future__ import annotations

import colorsys

import numpy as np

from clip2scene_training.world.mesh import Color

DARK = (0.06, 0.06, 0.065)
PANE = (0.08, 0.10, 0.12)


def hue(
    rng: np.random.Generator, tone: tuple[float, float], saturation: tuple[float, float], value: tuple[float, float]
) -> Color:  # fmt: skip
    """Return a colour with each of hue, saturation and value drawn from a range in [0, 1]."""
    return colorsys.hsv_to_rgb(rng.uniform(*tone) % 1.0, rng.uniform(*saturation), rng.uniform(*value))


def neutral(rng: np.random.Generator, low: float = 0.05, high: float = 0.9) -> Color:
    """Return white, grey or black with a faint cast."""
    grey = rng.uniform(low, high)
    return tuple(np.clip(grey + rng.uniform(-0.02, 0.02, 3), 0.02, 0.95))


def paint(rng: np.random.Generator) -> Color:
    """Return the colour of something painted: every second one is white, grey or black."""
    return neutral(rng) if rng.random() < 0.5 else hue(rng, (0, 1), (0.2, 0.95), (0.15, 0.9))


def cloth(rng: np.random.Generator) -> Color:
    """Return the colour of a garment, more often dark than bright."""
    return neutral(rng, 0.03, 0.8) if rng.random() < 0.4 else hue(rng, (0, 1), (0.15, 0.9), (0.08, 0.75))


def masonry(rng: np.random.Generator) -> Color:
    """Return the colour of a wall: grey, cream, ochre, brick red, seldom anything else."""
    draw = rng.random()
    if draw < 0.35:
        return neutral(rng, 0.25, 0.85)
    return hue(rng, (0, 1), (0.1, 0.6), (0.2, 0.8)) if draw > 0.88 else hue(rng, (0.0, 0.14), (0.1, 0.65), (0.25, 0.85))


def leaf(rng: np.random.Generator) -> Color:
    """Return the colour of leaves: green, every third time yellow, brown, red or dry."""
    if rng.random() < 0.67:
        return hue(rng, (0.2, 0.36), (0.4, 0.8), (0.15, 0.4))
    return hue(rng, (0.0, 0.17), (0.3, 0.8), (0.25, 0.6))


def signal(rng: np.random.Generator) -> Color:
    """Return orange, red or yellow that is meant to be seen, faded now and then."""
    return hue(rng, (0.0, 0.14), (0.7, 1.0), (0.55, 0.98))


def skin(rng: np.random.Generator) -> Color:
    """Return the colour of somebody's skin."""
    return hue(rng, (0.05, 0.08), (0.3, 0.6), (0.3, 0.85))


def shade(color: Color, factor: float) -> Color:
    """Return a colour made brighter or darker."""
    return tuple(np.clip(np.asarray(color) * factor, 0.01, 0.97))
