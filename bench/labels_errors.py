"""Frames with a wrong calibration or wrong stamps, for `labels.py`; directions are drawn, sizes are exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from clip2scene_ros.frame import NS_PER_S, Array, Frame, View
from clip2scene_ros.geometry import Trajectory, compose, invert, pose_from_quaternion

Change = Callable[[Frame, Trajectory, np.random.Generator], Frame]
BEYOND_S = 0.5
"""The motion goes on as it was, this far beyond the poses that are known."""


def way_of(frames: Sequence[Frame]) -> Trajectory:
    """Return the LiDAR's way through the frames of a scene."""
    poses = [frame.world_from_lidar for frame in frames if frame.world_from_lidar is not None]
    return Trajectory([frame.scan.stamp_ns for frame in frames], poses, tolerance_s=BEYOND_S)


def as_it_is(frame: Frame, way: Trajectory, rng: np.random.Generator) -> Frame:
    """Return the frame."""
    del way, rng
    return frame


def rotated(degrees: float) -> Change:
    """Return a change that turns each camera about an axis of its own."""

    def change(frame: Frame, way: Trajectory, rng: np.random.Generator) -> Frame:
        del way
        half = math.radians(degrees) / 2
        turns = [
            pose_from_quaternion([0, 0, 0], [*(math.sin(half) * _direction(rng)), math.cos(half)]) for _ in frame.views
        ]
        return _placed(frame, [turn @ view.camera_from_lidar for turn, view in zip(turns, frame.views, strict=True)])

    return change


def shifted(metres: float) -> Change:
    """Return a change that moves each camera in a direction of its own."""

    def change(frame: Frame, way: Trajectory, rng: np.random.Generator) -> Frame:
        del way
        ways = [pose_from_quaternion(metres * _direction(rng), [0, 0, 0, 1]) for _ in frame.views]
        return _placed(frame, [way @ view.camera_from_lidar for way, view in zip(ways, frame.views, strict=True)])

    return change


def late(seconds: float) -> Change:
    """Return a change that believes all exposures of a frame earlier or later than they were."""

    def change(frame: Frame, way: Trajectory, rng: np.random.Generator) -> Frame:
        error_ns = round(rng.choice([-1, 1]) * seconds * NS_PER_S)
        return _placed(frame, [_at(frame, view, way, view.stamp_ns + error_ns) for view in frame.views])

    return change


def standing_still(frame: Frame, way: Trajectory, rng: np.random.Generator) -> Frame:
    """Return the frame with all cameras placed as if they had been exposed at the scan's stamp."""
    del rng
    return _placed(frame, [_at(frame, view, way, frame.scan.stamp_ns) for view in frame.views])


def _at(frame: Frame, view: View, way: Trajectory, stamp_ns: int) -> Array:
    """Return camera_from_lidar of a view if it had been exposed at another time."""
    here = way.at(frame.scan.stamp_ns)
    camera_from_lidar_then = compose(view.camera_from_lidar, invert(here), way.at(view.stamp_ns))
    return compose(camera_from_lidar_then, invert(way.at(stamp_ns)), here)


def _direction(rng: np.random.Generator) -> Array:
    drawn = rng.normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn))


def _placed(frame: Frame, camera_from_lidar: list[Array]) -> Frame:
    views = [
        replace(view, camera_from_lidar=placed) for view, placed in zip(frame.views, camera_from_lidar, strict=True)
    ]
    return replace(frame, views=tuple(views))
