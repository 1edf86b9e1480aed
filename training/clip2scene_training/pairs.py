"""Points and the pixels that show them, with what a teacher says of these.

Source: Chen et al., CLIP2Scene (CVPR 2023), section 3.1. A pixel is (row, column), its middle at integers. Places are
kept unrounded, so that cropping and resizing an image loses nothing; `nearest` rounds once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from clip2scene_ros.frame import UNKNOWN, Array, Frame, PseudoLabels, View
from clip2scene_ros.geometry import compose, invert, project, visible
from clip2scene_ros.teacher.teachers import PixelClasses
from clip2scene_training.config import PairsConfig
from clip2scene_training.sweeps import SweepCloud


@dataclass(frozen=True, eq=False)
class Pairs:
    """P point-pixel pairs; a point that several cameras see is in several.

    Attributes:
        point: (P,) int64 number of the point.
        view: (P,) int64 number of the image.
        pixel: (P, 2) float32 row and column.
        class_id: (P,) uint8, 255 where nothing is known.
        confidence: (P,) float32 in [0, 1], 0 where nothing is known.
    """

    point: Array
    view: Array
    pixel: Array
    class_id: Array
    confidence: Array

    def __len__(self) -> int:
        """Return the number of pairs P."""
        return len(self.point)

    def of(self, chosen: Array) -> Pairs:
        """Return some of the pairs, by (P,) bool or by their numbers."""
        return Pairs(*(getattr(self, name)[chosen] for name in ("point", "view", "pixel", "class_id", "confidence")))

    @staticmethod
    def unlabelled(point: Array, view: Array, pixel: Array) -> Pairs:
        """Return pairs of whose classes nothing is known."""
        count = len(point)
        return Pairs(point, view, pixel, np.full(count, UNKNOWN, np.uint8), np.zeros(count, np.float32))


@dataclass(frozen=True, eq=False)
class Look:
    """An image that some points of a cloud are looked for in.

    Attributes:
        view: the image.
        camera_from_key: (4, 4) from the cloud's frame to the camera at its exposure.
        frame, place: whose view it is: number of the sweep, and place among its views.
        sweeps: those whose points look into it.
    """

    view: View
    camera_from_key: Array
    frame: int
    place: int
    sweeps: tuple[int, ...]


def looks(frames: Sequence[Frame], cloud: SweepCloud, config: PairsConfig) -> list[Look]:
    """Return the images that a cloud looks into: those of the key frame, or each sweep its own."""
    own = config.images == "own"
    every = tuple(range(len(frames)))
    return [
        Look(view, compose(view.camera_from_lidar, invert(cloud.key_from_sweep[k])), k, v, (k,) if own else every)
        for k, frame in enumerate(frames if own else frames[:1])
        for v, view in enumerate(frame.views)
    ]


def find_pairs(cloud: SweepCloud, images: Sequence[Look], config: PairsConfig) -> Pairs:
    """Return the pairs of a cloud, image by image, in each sweep by sweep, in each point by point; without classes.

    A point is hidden by nearer points of its own sweep and of the one that the image was taken with: what has driven
    off since the key frame hides nothing of that, and what has come since hides what the older sweep saw there.

    Args:
        cloud: the points.
        images: from `looks`; a pair's `view` counts them.
        config: `visibility` is read.
    """
    parts = [Pairs.unlabelled(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.float32))]
    for number, look in enumerate(images):
        own = np.flatnonzero(cloud.sweep == look.frame)
        cover = project(cloud.points[own], look.view.camera, look.camera_from_key)
        for sweep in look.sweeps:
            mine, found = own, cover
            if sweep != look.frame:
                mine = np.flatnonzero(cloud.sweep == sweep)
                moved = project(cloud.points[mine], look.view.camera, look.camera_from_key)
                found = tuple(np.concatenate(both) for both in zip(moved, cover, strict=True))
            uv, depth, inside = found
            shown = visible(uv, depth, inside, look.view.camera) if config.visibility else inside
            seen = np.flatnonzero(shown[: len(mine)])
            parts.append(Pairs.unlabelled(mine[seen], np.full(len(seen), number, np.int64), uv[seen, ::-1]))
    return joined(parts)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Return all pairs of at least one part in one table."""
    names = ("point", "view", "pixel", "class_id", "confidence")
    return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def with_pixel_classes(pairs: Pairs, seen: Sequence[PixelClasses | None], absorbers: str = "removed") -> Pairs:
    """Return the pairs with the classes of their pixels; unknown in images of which nothing is known.

    Args:
        pairs: the pairs.
        seen: of each image, in the order that `view` counts.
        absorbers: as in `LabelerConfig`.
    """
    class_id, confidence = np.full(len(pairs), UNKNOWN, np.uint8), np.zeros(len(pairs), np.float32)
    for number, image in enumerate(seen):
        mine = np.flatnonzero(pairs.view == number)
        if image is not None and len(mine):
            class_id[mine], confidence[mine] = classes_at(image, pairs.pixel[mine], absorbers)
    return replace(pairs, class_id=class_id, confidence=confidence)


def with_point_classes(pairs: Pairs, labels: PseudoLabels) -> Pairs:
    """Return the pairs with the classes of their points, which `labels` has for each."""
    return replace(pairs, class_id=labels.class_id[pairs.point], confidence=labels.confidence[pairs.point])


def pairs_without_images(labels: PseudoLabels) -> Pairs:
    """Return each labelled point as a pair of no image: what there is to learn where images were not kept.

    Args:
        labels: of N points; `pixel` is NaN and `view` counts nothing.
    """
    known = np.flatnonzero(labels.class_id != UNKNOWN)
    nowhere = np.full((len(known), 2), np.nan, np.float32)
    return with_point_classes(Pairs.unlabelled(known, np.zeros(len(known), np.int64), nowhere), labels)


def classes_at(seen: PixelClasses, pixel: Array, absorbers: str = "removed") -> tuple[Array, Array]:
    """Return (P,) uint8 classes and (P,) float32 confidences at (P, 2) rows and columns, as the labeler reads them.

    Args:
        seen: what a teacher sees in an image.
        pixel: rows and columns.
        absorbers: `removed`: the best class counts, a LiDAR meets no sky; `compete`: unknown where one is stronger.
    """
    chance = seen.at(torch.from_numpy(np.ascontiguousarray(pixel[:, ::-1]))).float().cpu().numpy()
    strongest = chance[:, seen.classes :].max(axis=1, initial=0.0)
    chance = chance[:, : seen.classes]
    best: Array = chance.max(axis=1, initial=0.0)
    total = chance.sum(axis=1) if absorbers == "removed" else chance.sum(axis=1) + strongest
    unknown = (best <= 0) | ((absorbers == "compete") & (strongest > best))
    with np.errstate(invalid="ignore", divide="ignore"):
        confidence = np.where(unknown, 0, best / total).astype(np.float32)
    return np.where(unknown, UNKNOWN, chance.argmax(axis=1)).astype(np.uint8), confidence


def nearest(pixel: Array, size: tuple[int, int]) -> Array:
    """Return (P, 2) int64 row and column of the pixel nearest to each place, within an image of height and width."""
    rounded: Array = np.clip(np.rint(pixel), 0, np.array(size) - 1).astype(np.int64)
    return rounded
