"""The road's centreline and its street coordinates: s along the road, d to the left of it [m]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.mesh import pose_at

STEP_M = 0.5


@dataclass(frozen=True, eq=False)
class Road:
    """A centreline sampled every `STEP_M`.

    Attributes:
        start_m: s of the first sample.
        xy: (K, 2) float64 positions [m].
        heading: (K,) float64, unwrapped [rad].
    """

    start_m: float
    xy: Array
    heading: Array

    @staticmethod
    def from_curvature(start_m: float, curvature: Array) -> Road:
        """Integrate (K,) curvatures [1/m], left positive; s = 0 lies at the origin, heading along +x."""
        heading = np.concatenate([[0.0], np.cumsum(curvature[:-1] * STEP_M)])
        middle = heading[:-1] + curvature[:-1] * STEP_M / 2
        steps = STEP_M * np.stack([np.cos(middle), np.sin(middle)], axis=1)
        xy = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        zero = round(-start_m / STEP_M)
        turn, origin = heading[zero], xy[zero]
        c, s = np.cos(-turn), np.sin(-turn)
        return Road(start_m, (xy - origin) @ np.array([[c, -s], [s, c]]).T, heading - turn)

    @property
    def end_m(self) -> float:
        """Return s of the last sample."""
        return self.start_m + STEP_M * (len(self.xy) - 1)

    def heading_at(self, s: Array) -> Array:
        """Return the centreline's heading [rad] at any number of s."""
        return np.asarray(self._interpolate(s, self.heading))

    def point_at(self, s: Array, d: Array) -> Array:
        """Return (..., 2) world positions of street coordinates."""
        heading = self.heading_at(s)
        x = self._interpolate(s, self.xy[:, 0]) - np.sin(heading) * d
        y = self._interpolate(s, self.xy[:, 1]) + np.cos(heading) * d
        return np.stack([x, y], axis=-1)

    def _interpolate(self, s: Array, table: Array) -> Array:
        at = np.clip((np.asarray(s, float) - self.start_m) / STEP_M, 0.0, len(table) - 1.0001)
        low = at.astype(np.int64)
        return np.asarray(table[low] + (at - low) * (table[low + 1] - table[low]))

    def pose_at(self, s: float, d: float, z: float = 0.0, turn: float = 0.0) -> Array:
        """Return a (4, 4) float64 pose standing at street coordinates, turned by `turn` from the road's heading."""
        x, y = self.point_at(np.float64(s), np.float64(d))
        return pose_at(float(x), float(y), z, float(self.heading_at(np.float64(s))) + turn)
