"""The road's centreline and its street coordinates: s along the road, d to the left of it, z above it [m]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.mesh import pose_at

STEP_M = 0.5
KNOT_M = 5.0
"""The road's height is straight between multiples of this s, where the ground's triangles have their corners."""
WHEELBASE_M = 2.8


@dataclass(frozen=True, eq=False)
class Road:
    """A centreline sampled every `STEP_M`.

    Attributes:
        start_m: s of the first sample.
        xy: (K, 2) float64 positions [m].
        heading: (K,) float64, unwrapped [rad].
        height: (K,) float64 height above that at s = 0 [m].
    """

    start_m: float
    xy: Array
    heading: Array
    height: Array

    @staticmethod
    def from_curvature(start_m: float, curvature: Array, height: Array | None = None) -> Road:
        """Integrate (K,) curvatures [1/m], left positive; s = 0 lies at the origin, heading along +x.

        `height` (K,) [m] is level by default; what lies between multiples of `KNOT_M` is made straight.
        """
        turned = np.concatenate([[0.0], np.cumsum(curvature[:-1] * STEP_M)])
        middle = turned[:-1] + curvature[:-1] * STEP_M / 2
        steps = STEP_M * np.stack([np.cos(middle), np.sin(middle)], axis=1)
        xy = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        zero = round(-start_m / STEP_M)
        turn, origin = turned[zero], xy[zero]
        c, s = np.cos(-turn), np.sin(-turn)
        way = start_m + STEP_M * np.arange(len(xy))
        z = np.zeros(len(xy)) if height is None else _straight_between_knots(way, np.asarray(height, float))
        return Road(start_m, (xy - origin) @ np.array([[c, -s], [s, c]]).T, turned - turn, z - z[zero])

    @property
    def end_m(self) -> float:
        """Return s of the last sample."""
        return self.start_m + STEP_M * (len(self.xy) - 1)

    def heading_at(self, s: Array) -> Array:
        """Return the centreline's heading [rad] at any number of s."""
        return np.asarray(self._interpolate(s, self.heading))

    def height_at(self, s: Array) -> Array:
        """Return the height of the road's surface [m] at any number of s."""
        return np.asarray(self._interpolate(s, self.height))

    def grade_at(self, s: Array) -> Array:
        """Return how steeply the road rises under a vehicle whose middle is at s [m/m]."""
        half = WHEELBASE_M / 2
        return np.asarray((self.height_at(np.asarray(s) + half) - self.height_at(np.asarray(s) - half)) / WHEELBASE_M)

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

    def pose_at(self, s: float, d: float, z: float = 0.0, turn: float = 0.0, *, upright: bool = False) -> Array:
        """Return a (4, 4) float64 pose at street coordinates, turned by `turn` from the road's heading.

        It stands on the slope as a vehicle does, or upright as a tree does.
        """
        x, y = self.point_at(np.float64(s), np.float64(d))
        pose = pose_at(
            float(x), float(y), z + float(self.height_at(np.float64(s))), float(self.heading_at(np.float64(s)))
        )
        if not upright:
            pose[:3, :3] = pose[:3, :3] @ tilts(self.grade_at(np.float64(s)))
        pose[:3, :3] = pose[:3, :3] @ pose_at(0.0, 0.0, 0.0, turn)[:3, :3]
        return pose


def tilts(grade: Array) -> Array:
    """Return (..., 3, 3) rotations that lift +x as a slope of `grade` (...) [m/m] does."""
    grade = np.asarray(grade, float)
    level = 1.0 / np.sqrt(1.0 + grade * grade)
    turn = np.zeros((*grade.shape, 3, 3))
    turn[..., 0, 0] = turn[..., 2, 2] = level
    turn[..., 1, 1] = 1.0
    turn[..., 2, 0], turn[..., 0, 2] = grade * level, -grade * level
    return turn


def _straight_between_knots(s: Array, height: Array) -> Array:
    knots = np.arange(KNOT_M * np.floor(s[0] / KNOT_M), s[-1] + KNOT_M, KNOT_M)
    return np.asarray(np.interp(s, knots, np.interp(knots, s, height)))
