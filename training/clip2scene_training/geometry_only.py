"""Classes by shape alone: no image, no network. What learns from images has to be better than this.

The lowest returns are the road. What stands on it and hangs together is a thing by its length, width and height; what
is larger than any thing is a house where it is flat and upright, else a tree. Sizes are those of real vehicles and
people with room for what a LiDAR sees of them, which is their near side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import UNKNOWN, Array, PseudoLabels
from clip2scene_ros.teacher.ground import LYING_M, heights
from clip2scene_ros.teacher.rules import CLUSTER_POINTS, NO_THING, classes_of, things
from clip2scene_ros.teacher.voxels import planes

ROAD, HOUSE, TREE = "driveable surface, road", "manmade, building", "vegetation, tree"
PLANE_M, ROUGH_M, UPRIGHT = 1.0, 0.05, 0.3
"""In a cube of this edge, walls vary by less than this from a plane whose normal is within 17 degrees of level.

The edge is the one number that was chosen by looking at scenes, of the world's train split: beams are far apart."""


@dataclass(frozen=True)
class Shape:
    """The things that have one class: longest, shortest and highest extent, each from least to most [m].

    Attributes:
        words: names of the class, of which a class set may have one.
        length, width: of the box around it in the ground plane, along and across.
        top: of its highest point above the ground.
    """

    words: str
    length: tuple[float, float]
    width: tuple[float, float]
    top: tuple[float, float]


SHAPES = (
    Shape("traffic cone, cone", (0.0, 0.6), (0.0, 0.6), (0.2, 1.1)),
    Shape("pedestrian, person", (0.0, 1.2), (0.0, 1.0), (1.1, 2.1)),
    Shape("barrier", (0.6, 12.0), (0.0, 0.8), (0.5, 1.05)),
    Shape("bicycle", (1.2, 2.1), (0.0, 0.8), (1.05, 1.9)),
    Shape("motorcycle", (1.2, 2.6), (0.0, 1.1), (1.05, 1.9)),
    Shape("car", (1.2, 5.8), (0.0, 2.4), (1.0, 2.2)),
    Shape("truck", (2.0, 9.0), (0.6, 3.2), (2.2, 4.2)),
    Shape("bus", (9.0, 12.0), (0.6, 3.4), (2.5, 4.2)),
)
"""The first that fits counts. Trailers and construction vehicles look like trucks."""


def label_by_geometry(points: Array, class_set: ClassSet) -> PseudoLabels:
    """Return a class for each finite point near the ground's level or above; confidence 1, as no rule knows how sure.

    A class that the class set lacks leaves its points to the next rule that fits, in the end to houses and trees;
    where it lacks these, they stay unknown.

    Args:
        points: (N, 3) in the LiDAR's frame, z up, the vehicle on the ground [m].
        class_set: classes; they are found by their words.
    """
    height = heights(points)
    with np.errstate(invalid="ignore"):
        lying, standing = np.abs(height) <= LYING_M, height > LYING_M
    class_id = np.full(len(points), UNKNOWN, np.uint8)
    class_id[lying] = _id(class_set, ROAD)
    class_id[standing] = np.where(_upright(points[standing]), _id(class_set, HOUSE), _id(class_set, TREE))
    thing = things(points, height)
    inside = np.flatnonzero(thing != NO_THING)
    if len(inside):
        kind = _kinds(points[inside], height[inside], thing[inside], class_set)[thing[inside]]
        class_id[inside] = np.where(kind == UNKNOWN, class_id[inside], kind)
    return PseudoLabels(class_id, (class_id != UNKNOWN).astype(np.float32))


def _upright(points: Array) -> Array:
    """Return (N,) bool: in a piece of wall."""
    normal, rough = planes(points, PLANE_M)
    with np.errstate(invalid="ignore"):
        found: Array = (rough < ROUGH_M) & (np.abs(normal[:, 2]) < UPRIGHT)
    return found


def _kinds(points: Array, height: Array, thing: Array, class_set: ClassSet) -> Array:
    """Return (T,) uint8 class of each thing by its size, 255 for none."""
    length, width, top, count = _sizes(points, height, thing)
    kinds = np.full(len(count), UNKNOWN, np.uint8)
    for shape in reversed(SHAPES):
        fits = count >= CLUSTER_POINTS
        for value, (least, most) in ((length, shape.length), (width, shape.width), (top, shape.top)):
            fits &= (least <= value) & (value <= most)
        if (mine := _id(class_set, shape.words)) != UNKNOWN:
            kinds[fits] = mine
    return kinds


def _sizes(points: Array, height: Array, thing: Array) -> tuple[Array, Array, Array, Array]:
    """Return (T,) lengths, widths and tops [m], and numbers of points, of each thing."""
    total = int(thing.max()) + 1
    count = np.bincount(thing, minlength=total)
    xy = points[:, :2].astype(np.float64)
    centre = np.stack([np.bincount(thing, xy[:, k], total) for k in range(2)], 1) / np.maximum(count, 1)[:, None]
    x, y = (xy - centre[thing]).T
    # the axis along which it spreads most, from its second moments
    xx, xy_, yy = (np.bincount(thing, product, total) for product in (x * x, x * y, y * y))
    angle = (0.5 * np.arctan2(2 * xy_, xx - yy))[thing]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    top = np.full(total, -np.inf)
    np.maximum.at(top, thing, height)
    first, second = _extent(along, thing, total), _extent(across, thing, total)
    return np.maximum(first, second), np.minimum(first, second), top, count


def _extent(values: Array, thing: Array, total: int) -> Array:
    low, high = np.full(total, np.inf), np.full(total, -np.inf)
    np.minimum.at(low, thing, values)
    np.maximum.at(high, thing, values)
    found: Array = high - low
    return found


def _id(class_set: ClassSet, words: str) -> int:
    """Return the first class that one of the words names, 255 for none."""
    found = np.flatnonzero(classes_of(class_set, words))
    return int(found[0]) if len(found) else UNKNOWN
