"""Several sweeps in the frame of one: which, where, and in which cell of space each point lies.

Source: Chen et al., CLIP2Scene (CVPR 2023), section 3.3. Only the vehicle's motion is undone; what moves by itself
leaves a trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Array, Frame
from clip2scene_ros.geometry import check_rigid, compose, invert, transform
from clip2scene_ros.student.points import within_range
from clip2scene_ros.student.voxelization import voxelize
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_training.config import SweepsConfig


@dataclass(frozen=True, eq=False)
class SweepCloud:
    """The points of K sweeps, sweep after sweep, the key frame's first.

    Attributes:
        points: (N, 3) float32 in the key frame's LiDAR frame at its stamp [m], all finite and within range.
        intensity: (N,) float32 in [0, 1].
        sweep: (N,) int64 in 0..K-1, ascending; 0 is the key frame.
        index: (N,) int64 place of each point in its own scan.
        cell: (N,) int64 in 0..cells-1: points of equal number lie in one space-time cell, whatever their sweep.
        cells: number of cells, none of them empty.
        key_from_sweep: (K, 4, 4) float64; the first is the identity.
    """

    points: Array
    intensity: Array
    sweep: Array
    index: Array
    cell: Array
    cells: int
    key_from_sweep: Array

    def __len__(self) -> int:
        """Return the number of points N."""
        return len(self.points)


def choose_sweeps(scenes: Sequence[str], key: int, config: SweepsConfig, rng: np.random.Generator) -> list[int]:
    """Return the number of the key frame and, latest first, those of the sweeps that go with it.

    They are drawn without replacement from the `previous` frames before it in its scene, K - 1 of them or as many as
    there are: none is taken twice.

    Args:
        scenes: scene of each frame; frames of one scene are neighbours and in order of time.
        key: number of the key frame.
        config: `count` and `previous` are read.
        rng: source of the choice.
    """
    first = key
    while first > max(0, key - config.previous) and scenes[first - 1] == scenes[key]:
        first -= 1
    drawn = rng.permutation(np.arange(first, key))[: config.count - 1]
    return [key, *sorted(drawn.tolist(), reverse=True)]


def gather(
    frames: Sequence[Frame], config: SweepsConfig, range_m: tuple[float, float], others: Sequence[Frame] = ()
) -> SweepCloud:
    """Bring sweeps into the key frame.

    Args:
        frames: the key frame, then the other sweeps.
        config: which points are the vehicle's own, the cells' size, whether points have times of their own.
        range_m: nearest and farthest distance from the key frame's LiDAR that is kept.
        others: frames before and after them, by which the sensor's way within a sweep is known better.

    Raises:
        BadDataset: no_pose: of several sweeps one has none, so nobody knows how they lie to each other.
        BadCalibration: a pose that is no rigid motion.
    """
    key_from_sweep = np.stack([np.eye(4), *(_key_from(frames[0], frame) for frame in frames[1:])])
    parts = [_brought(frame, key_from_sweep[k], k > 0, config, [*frames, *others]) for k, frame in enumerate(frames)]
    points = np.concatenate([points for points, _ in parts])
    index = np.concatenate([index for _, index in parts])
    sweep = np.repeat(np.arange(len(frames)), [len(index) for _, index in parts])
    intensity = np.concatenate([f.scan.intensity[i] for f, (_, i) in zip(frames, parts, strict=True)])
    kept = within_range(points, *range_m)
    cells = voxelize(points[kept], config.cell_m)
    return SweepCloud(
        points[kept], intensity[kept], sweep[kept], index[kept], cells.inverse.numpy(), len(cells), key_from_sweep
    )


def _key_from(key: Frame, frame: Frame) -> Array:
    return compose(invert(_pose(key)), _pose(frame))


def _pose(frame: Frame) -> Array:
    if frame.world_from_lidar is None:
        raise BadDataset(
            "no_pose",
            f"Expected a pose with each of several sweeps, but the scan at {frame.scan.stamp_ns} ns has none; take "
            "data with odometry, or one sweep (setting `sweeps.count` 1).",
        )
    return check_rigid(frame.world_from_lidar, f"pose of the scan at {frame.scan.stamp_ns} ns")


def _brought(
    frame: Frame, key_from_sweep: Array, moved: bool, config: SweepsConfig, around: Sequence[Frame]
) -> tuple[Array, Array]:
    """Return (M, 3) points in the key frame and their places in the scan; without those of the vehicle if `moved`."""
    near = [other for other in around if other is not frame]
    points = points_at_stamp(frame, near) if config.point_time else frame.scan.points
    if not moved:
        return points, np.arange(len(points))
    raw = frame.scan.points  # the vehicle moves as the sensor does: its own place is in the scan as it came
    kept = np.flatnonzero(~((np.abs(raw[:, 0]) < config.own_m) & (np.abs(raw[:, 1]) < config.own_m)))
    with np.errstate(invalid="ignore"):  # points without a return stay NaN
        return transform(key_from_sweep, points[kept]), kept
