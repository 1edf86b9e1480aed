"""The ground truth of bags, in terms of a student's classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadBag
from clip2scene_ros.frame import UNKNOWN, Array, Frame
from clip2scene_ros.io.bag_frames import CLOUD, BagTopics
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.pointcloud import DEFAULT_LIMITS
from clip2scene_ros.words import claims


def has_truth(bag: BagReader) -> bool:
    """Return whether an open bag has a topic of ground truth."""
    return bag.topics.get(BagTopics().ground_truth, ("", 0))[0] == CLOUD


def truth_frames(
    bag: BagReader,
    class_set: ClassSet,
    topic: str = "",
    *,
    images: bool = True,
    limits: CloudLimits = DEFAULT_LIMITS,
) -> Iterator[Frame]:
    """Return the frames of an open bag, their labels given in terms of `class_set`; without `images` no views.

    Raises:
        BadBag: at once, when the bag has no ground truth or its classes are all unknown to `class_set`.
    """
    topics = BagTopics(points=topic)
    if not has_truth(bag):
        raise BadBag(
            "no_ground_truth",
            f"{bag.path}: expected ground truth on {topics.ground_truth} (x, y, z, class_id, instance_id), as "
            "`clip2scene world` writes it; a bag without it can be labelled with `clip2scene segment`.",
        )
    table = class_ids(bag, class_set)
    return (_with_class_ids(frame, table) for frame in bag.frames(topics, images=images, limits=limits))


def class_ids(bag: BagReader, class_set: ClassSet) -> Array:
    """Return (256,) uint8: the bag's ground-truth class id -> class id in `class_set`, 255 where it has no such.

    Raises:
        BadBag: `class_set` has none of the classes.
    """
    truth = bag.class_set() or class_set
    table = matched_ids(class_set, truth)
    if (table == UNKNOWN).all():
        raise BadBag(
            "class_set",
            f"{bag.path}: none of the classes of the ground truth is known ({', '.join(truth.names)}); "
            f"known are {', '.join(class_set.names)}.",
        )
    return table


def matched_ids(asked: ClassSet, known: ClassSet) -> Array:
    """Return (256,) uint8: class id in `known` -> the one class of `asked` that means it, 255 where it is not one."""
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    for i, mine in enumerate(claims(asked, known)):
        if len(mine) == 1:
            table[i] = mine[0]
    return table


def _with_class_ids(frame: Frame, table: Array) -> Frame:
    if frame.labels is None:
        return frame
    return Frame(frame.scan, frame.views, frame.world_from_lidar, table[frame.labels], frame.instances)
