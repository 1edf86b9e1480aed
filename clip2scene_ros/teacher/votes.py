"""What the cameras, and other sweeps, say of each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import Array, View
from clip2scene_ros.geometry import invert, project, transform, visible
from clip2scene_ros.teacher.voxels import keys, normals, sums

if TYPE_CHECKING:
    from clip2scene_ros.teacher.teachers import PixelClasses

HALF_RANGE_M = 40.0
"""At this distance a vote counts 1/e of one from nearby."""
FLATTEST = 0.2
"""Votes of surfaces seen at a flatter angle count no less than this."""
NORMAL_M = 0.5
"""Cubes in which a surface is taken to be plane; 1 m where beams are far apart."""
NO_CLASS = 254
"""Chosen by a camera that leaves nothing but absorbers."""
VOXEL_M = 0.1
"""Points of several sweeps in one cube of this edge, twice that far away, are one place."""


@dataclass(frozen=True, eq=False)
class Votes:
    """Opinions on N points, summed up.

    Attributes:
        sums: (N, C + 1) float32 weighted probabilities of each class, summed; last, those of the strongest absorber.
        weight: (N,) float32 sum of the weights, 0 where nobody has an opinion.
    """

    sums: Array
    weight: Array

    def plus(self, other: Votes) -> Votes:
        """Return all opinions of both on the same points."""
        return Votes(self.sums + other.sums, self.weight + other.weight)

    def of(self, chosen: Array) -> Votes:
        """Return those opinions alone that are on (N,) chosen points."""
        return Votes(np.where(chosen[:, None], self.sums, 0), np.where(chosen, self.weight, 0))

    def probabilities(self) -> Array:
        """Return (N, C + 1) float32 that sum to 1, or are zeros where nobody has an opinion."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.sums / self.weight[:, None]
            chance = mean / mean.sum(axis=1, keepdims=True)
        known: Array = np.where((self.weight > 0)[:, None], chance, np.float32(0))
        return known


@dataclass(frozen=True, eq=False)
class Sight:
    """What all cameras of a frame see of its N points.

    Attributes:
        votes: their opinions.
        in_image: (N,) bool, inside at least one image.
        cameras: (N,) uint8, from how many a point is not hidden.
        lowest, highest: (N,) uint8 smallest and largest class id that they choose, absorbers apart.
    """

    votes: Votes
    in_image: Array
    cameras: Array
    lowest: Array
    highest: Array


def look(
    points: Array, views: Sequence[View], seen: Sequence[PixelClasses | None], classes: int, config: LabelerConfig
) -> Sight:
    """Ask every camera about every point that it sees.

    Args:
        points: (N, 3) in the LiDAR's frame at the scan's stamp [m].
        views: the cameras.
        seen: what a teacher sees in each; None where it says nothing.
        classes: C.
        config: visibility, vote and weights are read.

    Raises:
        BadTeacher: what is seen has other classes than C, or another size than its image.
    """
    n = len(points)
    total, weight = np.zeros((n, classes + 1), np.float32), np.zeros(n, np.float32)
    in_image, cameras = np.zeros(n, bool), np.zeros(n, np.uint8)
    lowest, highest = np.full(n, 255, np.uint8), np.zeros(n, np.uint8)
    around = normals(points, NORMAL_M) if config.incidence_weight else None
    for view, pixels in zip(views, seen, strict=True):
        if pixels is None:
            continue
        _validate(view, pixels, classes)
        uv, depth, inside = project(points, view)
        shown = np.flatnonzero(visible(uv, depth, inside, view.camera) if config.visibility else inside)
        in_image |= inside
        if config.vote == "first":
            shown = shown[cameras[shown] == 0]
        chance = _chances(pixels, uv[shown], classes)
        winner = _chosen(chance[:, :classes])
        lowest[shown] = np.minimum(lowest[shown], winner)
        highest[shown] = np.maximum(highest[shown], winner)
        w = _weights(points[shown], None if around is None else around[shown], chance, view, config)
        total[shown] += w[:, None] * chance
        weight[shown] += w
        cameras[shown] += 1
    return Sight(Votes(total, weight), in_image, cameras, lowest, highest)


def _chosen(chance: Array) -> Array:
    """Return (M,) uint8 most probable of (M, C) classes."""
    winner: Array = np.where(chance.any(axis=1), chance.argmax(axis=1), NO_CLASS).astype(np.uint8)
    return winner


def _validate(view: View, pixels: PixelClasses, classes: int) -> None:
    if pixels.classes != classes:
        raise BadTeacher(
            "classes", f"What is seen in {view.name} has {pixels.classes} classes, but the class set has {classes}."
        )
    if tuple(pixels.size) != (view.camera.height, view.camera.width):
        raise BadTeacher(
            "size",
            f"What is seen in {view.name} is {pixels.size[1]} x {pixels.size[0]} px, but its image is "
            f"{view.camera.width} x {view.camera.height} px.",
        )


def _chances(pixels: PixelClasses, uv: Array, classes: int) -> Array:
    """Return (M, C + 1) float32 probabilities at (M, 2) pixels; all absorbers become one column, the strongest."""
    found = pixels.at(torch.from_numpy(uv)).float().cpu().numpy()
    absorbers = found[:, classes:].max(axis=1, initial=0.0)
    chances: Array = np.concatenate([found[:, :classes], absorbers[:, None]], axis=1)
    return chances


def _weights(points: Array, around: Array | None, chance: Array, view: View, config: LabelerConfig) -> Array:
    """Return (M,) float32, how much a camera's opinions count; above 0."""
    weight = np.ones(len(points))
    ray = points - invert(view.camera_from_lidar)[:3, 3]
    away = np.maximum(np.linalg.norm(ray, axis=1), 1e-6)
    if config.range_weight:
        weight *= np.exp(-away / HALF_RANGE_M)
    if around is not None:
        facing = np.abs((ray * around).sum(axis=1)) / away
        weight *= np.where(around.any(axis=1), np.clip(facing, FLATTEST, 1.0), 1.0)
    if config.confidence_weight:
        weight *= np.maximum(chance[:, :-1].max(axis=1), 1e-6)
    return weight.astype(np.float32)


def from_sweep(points: Array, here_from_there: Array, there: Array, votes: Votes) -> Votes:
    """Return what another sweep says of these points: the mean opinion on its own points in the same small cube.

    Args:
        points: (N, 3) in the LiDAR's frame here [m].
        here_from_there: (4, 4) from the other sweep's frame.
        there: (M, 3) its points.
        votes: its M opinions; points without one say nothing.
    """
    cubes, which = np.unique(keys(points, VOXEL_M, grow=True), return_inverse=True)
    mine = np.flatnonzero(votes.weight > 0)
    theirs = keys(transform(here_from_there, there[mine]), VOXEL_M, grow=True)
    place = np.minimum(np.searchsorted(cubes, theirs), max(len(cubes) - 1, 0))
    met = np.flatnonzero((cubes[place] == theirs) & (theirs >= 0)) if len(cubes) else place[:0]
    values = np.concatenate([votes.sums[mine[met]], votes.weight[mine[met], None], np.ones((len(met), 1))], axis=1)
    total = sums(values, place[met], len(cubes))
    mean = (total[:, :-1] / np.maximum(total[:, -1:], 1))[which]
    return Votes(mean[:, :-1], mean[:, -1])
