"""What geometry knows about classes: the ground is flat, cars are low, a thing is of one class; the surest are kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import UNKNOWN, Array, PseudoLabels
from clip2scene_ros.teacher.ground import LYING_M, STANDING_M
from clip2scene_ros.teacher.voxels import components, keys

CLUSTER_M = 0.4
"""Returns this near to each other hang together."""
CLUSTER_POINTS = 5
NO_THING = -1
WIDEST_M = 12.0
"""What hangs together over a longer way is a row of houses, not a thing."""
MAJORITY = 0.5
"""Share of a thing's points that must be of a class for it to speak for all."""
COLUMN_M, GAP_M = 0.8, 1.2
"""Width of a column, and what without a return ends it. Beams of a 32-channel LiDAR are 0.9 m apart at 40 m."""


def classes_of(class_set: ClassSet, words: str) -> Array:
    """Return (C,) bool: the class's name or one of its words is among these, which are separated by commas."""
    wanted = {" ".join(word.split()).lower() for word in words.split(",")}
    return np.array([bool(wanted & {w.lower() for w in (c.name, *c.prompts)}) for c in class_set.classes])


def flat_on_ground(chances: Array, height: Array, flat: Array) -> Array:
    """Return (N, C) chances with those of classes struck out that cannot be: flat ones above the ground, others on it.

    Where no class is left, because the class set has none or the teacher none in mind, nothing is struck out.

    Args:
        chances: (N, C) that sum to 1, or zeros.
        height: (N,) above the ground [m], NaN unknown.
        flat: (C,) bool.
    """
    with np.errstate(invalid="ignore"):
        lying, standing = np.abs(height) <= LYING_M, height > STANDING_M
    return _struck_out(chances, (lying[:, None] & ~flat) | (standing[:, None] & flat))


def tops_of(class_set: ClassSet, words: str) -> Array:
    """Return (C,) how high each class reaches above the ground [m], inf where nothing is said.

    Of a class with several of the words the highest counts: a van is a car as well.

    Args:
        class_set: the classes.
        words: each with its height [m], separated by commas: `traffic cone 1.2, car 2.4`.

    Raises:
        BadConfig: `tallest`: a word without a height.
    """
    tops = np.full(len(class_set), -np.inf)
    for entry in filter(None, (entry.strip() for entry in words.split(","))):
        word, _, metres = entry.rpartition(" ")
        try:
            top = float(metres)
        except ValueError:
            top = np.nan
        if not word or not top > 0:
            raise BadConfig("tallest", f"Setting `tallest` expects `word metres, word metres`, but got {entry!r}.")
        tops = np.where(classes_of(class_set, word), np.maximum(tops, top), tops)
    found: Array = np.where(np.isneginf(tops), np.inf, tops)
    return found


def below_its_top(chances: Array, points: Array, height: Array, tops: Array) -> Array:
    """Return (N, C) chances with those of classes struck out that do not reach as high as the points' columns.

    Where no class is left nothing is struck out.

    Args:
        chances: (N, C) that sum to 1, or zeros.
        points: (N, 3) [m].
        height: (N,) above the ground [m], NaN unknown.
        tops: (C,) [m], inf for no limit.
    """
    with np.errstate(invalid="ignore"):
        return _struck_out(chances, column_tops(points, height)[:, None] > tops)


def column_tops(points: Array, height: Array) -> Array:
    """Return (N,) height of the highest return that stands in one column with each [m]; NaN on the ground or unknown.

    A column is of `COLUMN_M` by `COLUMN_M`, and ends where nothing is for `GAP_M`: a car under a bridge is no bridge.

    Args:
        points: (N, 3) [m].
        height: (N,) above the ground [m].
    """
    tops = np.full(len(points), np.nan)
    with np.errstate(invalid="ignore"):
        standing = np.flatnonzero((height > LYING_M) & np.isfinite(points).all(axis=1))
    if not len(standing):
        return tops
    column = keys(points[standing] * np.array([1, 1, 0], points.dtype), COLUMN_M)
    order = np.lexsort((-height[standing], column))
    column, going_down = column[order], height[standing][order]
    first = np.r_[True, (column[1:] != column[:-1]) | (going_down[:-1] - going_down[1:] > GAP_M)]
    tops[standing[order]] = going_down[first][np.cumsum(first) - 1]
    return tops


def _struck_out(chances: Array, barred: Array) -> Array:
    """Return (N, C) chances without those of classes that are barred, unless none is left."""
    allowed = np.where(barred, np.float32(0), chances)
    left = allowed.sum(axis=1, keepdims=True)
    ruled: Array = np.where(left > 0, allowed / np.maximum(left, np.float32(1e-12)), chances)
    return ruled


def by_cluster(chances: Array, points: Array, height: Array) -> Array:
    """Return (N, C) chances in which all points of a thing have the mean of theirs, where it is clear.

    Args:
        chances: (N, C) float32 that sum to 1, or zeros where nothing is known; such points take their thing's.
        points: (N, 3) [m].
        height: (N,) above the ground [m]; what lies on it belongs to no thing.
    """
    voted: Array = vote(torch.from_numpy(chances), torch.from_numpy(things(points, height))).numpy()
    return voted


def things(points: Array, height: Array) -> Array:
    """Return (N,) int64 thing that each point belongs to, 0 and up; `NO_THING` on the ground and in rows of houses.

    Args:
        points: (N, 3) [m].
        height: (N,) above the ground [m].
    """
    found = np.full(len(points), NO_THING, np.int64)
    with np.errstate(invalid="ignore"):
        standing = np.flatnonzero((height > LYING_M) & np.isfinite(points).all(axis=1))
    if not len(standing):
        return found
    where = points[standing]
    thing = components(where, CLUSTER_M)
    size = np.full((2, int(thing.max()) + 1, 3), [[[np.inf]], [[-np.inf]]], np.float32)
    np.minimum.at(size[0], thing, where)
    np.maximum.at(size[1], thing, where)
    small = np.asarray((size[1] - size[0]).max(axis=1) < WIDEST_M)
    found[standing] = np.where(small[thing], thing, NO_THING)
    return found


def vote(chances: Tensor, thing: Tensor) -> Tensor:
    """Return (N, C) chances in which the points of each thing have the mean of theirs, where its majority is clear.

    Args:
        chances: (N, C) float that sum to 1, or zeros where nothing is known; such points take their thing's.
        thing: (N,) int64 of `things`, or `NO_THING`; several scans may share a tensor, their things numbered apart.
    """
    inside = (thing != NO_THING).nonzero().squeeze(1)
    if not len(inside):
        return chances
    own, thing = chances[inside], thing[inside]
    count = int(thing.max()) + 1
    known = own.any(1)
    voters = torch.bincount(thing[known], minlength=count)
    total = own.new_zeros(count, own.shape[1]).index_add_(0, thing, own)
    mean = total / voters.clamp_min(1)[:, None]
    agree = torch.bincount(thing[known & (own.argmax(1) == mean.argmax(1)[thing])], minlength=count)
    clear = (voters >= CLUSTER_POINTS) & (agree > MAJORITY * voters)
    ruled = chances.clone()
    ruled[inside] = torch.where(clear[thing, None], mean[thing], own)
    return ruled


def surest(class_id: Array, confidence: Array, config: LabelerConfig) -> PseudoLabels:
    """Return the labels of which each class keeps its surest points; the others become unknown.

    Args:
        class_id: (N,) uint8, 255 unknown.
        confidence: (N,) float32.
        config: `keep`, `keep_at_least` and `min_confidence` are read.
    """
    kept = (class_id != UNKNOWN) & (confidence >= config.min_confidence)
    if config.keep < 1.0:
        for label in np.unique(class_id[kept]):
            mine = np.flatnonzero(kept & (class_id == label))
            count = max(round(config.keep * len(mine)), config.keep_at_least)
            kept[mine[np.argsort(-confidence[mine], kind="stable")[count:]]] = False
    unknown = np.uint8(UNKNOWN)
    return PseudoLabels(np.where(kept, class_id, unknown), np.where(kept, confidence, np.float32(0)))
