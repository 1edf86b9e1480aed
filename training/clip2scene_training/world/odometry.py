"""Odometry as a vehicle reports it: the true motion, with a scale and a heading that are slightly wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.town import generator

STEP_S = 0.01
"""Steps in which the error grows; between them it is interpolated."""
TURNING_M = 40.0
"""Way after which the error of the heading grows at another rate."""


class Odometry:
    """The reported motion of one drive. It starts out true, at the drive's start; the error grows with the way.

    The reported distance is wrong by a share that is drawn for the drive, as with tyres of another size, the reported
    heading by an angle per metre that wanders. Height, pitch and roll stay true.

    Args:
        seed: which drive.
        config: length of the drive and size of the errors.
        truth: returns (T, 4, 4) true poses at (T,) times [s].
    """

    def __init__(self, seed: int, config: WorldConfig, truth: Callable[[Array], Array]) -> None:
        rng = generator(seed, 26)
        self._truth = truth
        self._t = np.arange(round((config.duration_s + 1.0) / STEP_S) + 1) * STEP_S
        steps = np.diff(truth(self._t)[:, :2, 3], axis=0)
        way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps, axis=1))])
        marks = np.arange(0.0, way[-1] + 2 * TURNING_M, TURNING_M)
        rate = np.radians(config.odometry_drift_deg_per_m) * rng.normal(size=len(marks))
        scale = 1.0 + config.odometry_drift * rng.normal()
        turned = np.interp(way, marks, rate)[:-1] * np.diff(way)
        self._angle = np.concatenate([[0.0], np.cumsum(turned)])
        cos, sin = scale * np.cos(self._angle[:-1]), scale * np.sin(self._angle[:-1])
        moved = np.stack([cos * steps[:, 0] - sin * steps[:, 1], sin * steps[:, 0] + cos * steps[:, 1]], axis=1)
        self._offset = np.concatenate([np.zeros((1, 2)), np.cumsum(moved - steps, axis=0)])

    def poses(self, t: Array) -> Array:
        """Return (T, 4, 4) float64 reported poses of the vehicle at (T,) times since the drive's start [s]."""
        poses = self._truth(t).copy()
        angle = np.interp(t, self._t, self._angle)
        cos, sin = np.cos(angle), np.sin(angle)
        x, y = poses[:, 0, :3].copy(), poses[:, 1, :3].copy()
        poses[:, 0, :3] = cos[:, None] * x - sin[:, None] * y
        poses[:, 1, :3] = sin[:, None] * x + cos[:, None] * y
        for axis in (0, 1):
            poses[:, axis, 3] += np.interp(t, self._t, self._offset[:, axis])
        return np.asarray(poses)
