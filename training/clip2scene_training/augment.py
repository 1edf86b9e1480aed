"""Augmentation of a scan: turns, mirrors and small changes of size; labels stay with their points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clip2scene_ros.frame import Array, Scan
from clip2scene_training.config import AugmentConfig


def augment(scan: Scan, config: AugmentConfig, rng: np.random.Generator) -> Scan:
    """Return a varied copy of `scan`, the same points in the same order."""
    points = scan.points @ _linear(config, rng).T.astype(np.float32)
    gain = 1 + rng.uniform(-config.intensity, config.intensity)
    intensity = np.clip(scan.intensity * np.float32(gain), 0, 1).astype(np.float32)
    return replace(scan, points=points, intensity=intensity)


def _linear(config: AugmentConfig, rng: np.random.Generator) -> Array:
    """Draw one (3, 3) float64 matrix. Every number is drawn whether used or not, so switches do not shift seeds."""
    angle, mirror, size = rng.uniform(0, 2 * np.pi), rng.integers(0, 2, 2), rng.uniform(-1, 1)
    matrix = np.eye(3)
    if config.rotate:
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    if config.flip:
        matrix = np.diag([*(1.0 - 2.0 * mirror), 1.0]) @ matrix
    result: Array = matrix * (1 + config.scale * size)
    return result
