"""A key frame with its sweeps as one sample for pretraining, and several as a batch; every number counts the batch.

Three kinds of rows hang together: points, each in a voxel (`inverse`) and in a space-time cell (`cell`); voxels, each
of one sample of the network (first column of `coords`); pairs, each of a point and an image. Stacking samples shifts
every one of these numbers by what the samples before really have, so nothing of two samples ever meets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.frame import UNKNOWN, Frame, PseudoLabels, Scan
from clip2scene_ros.student.points import voxel_features
from clip2scene_ros.student.voxelization import voxelize
from clip2scene_ros.teacher.labeler import LabelledFrame
from clip2scene_ros.teacher.maps import FeatureMap
from clip2scene_ros.teacher.teachers import PixelClasses
from clip2scene_training.augment import augment
from clip2scene_training.config import ImageAugmentConfig, PairsConfig, PretrainDataConfig
from clip2scene_training.pair_augment import draw_crop
from clip2scene_training.pairs import (
    Look,
    Pairs,
    find_pairs,
    joined,
    looks,
    pairs_without_images,
    with_pixel_classes,
    with_point_classes,
)
from clip2scene_training.sweeps import SweepCloud, gather

CLOUD, IMAGES = 1, 2
"""Streams of chance: what images are drawn does not depend on how clouds are varied, nor on the other sweeps."""

Seed = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PretrainSample:
    """One key frame or several, with their sweeps: N points, V voxels, P pairs, S samples of the network, I images.

    Attributes:
        coords: (V, 4) int32, number of the network's sample 0..S-1, then the voxel, varied.
        feats: (V, in_channels) float32.
        inverse: (N,) int64 voxel of each point: `voxel_values[inverse]` are the points' values.
        items: (S, 2) int64 key frame and sweep (0 the key frame's own) of each of the network's samples; all sweeps
            are one sample, counted as sweep 0, where they are merged.
        points: (N, 3) float32 as they were before they were varied, in the key frame's LiDAR frame [m].
        sweep: (N,) int64 sweep of each point, 0 the key frame's.
        cell: (N,) int64 space-time cell of each point, 0..cells-1.
        cells: number of cells.
        class_id: (N,) int64 pseudo-labels, 255 unknown.
        confidence: (N,) float32 in [0, 1].
        pair_point: (P,) int64 point of each pair.
        pair_view: (P,) int64 image of each pair; counts nothing where images were not kept.
        pair_pixel: (P, 2) float32 row and column in the image as given, the middle of a pixel at integers.
        pair_class: (P,) int64 pseudo-label of each pair, 255 unknown.
        pair_confidence: (P,) float32 in [0, 1].
        images: I tensors (H, W, 3) uint8; none where they are not asked for.
        views: number of images that `pair_view` counts, given or not.
        maps: what CLIP saw in each of these, where that was kept.
    """

    coords: Tensor
    feats: Tensor
    inverse: Tensor
    items: Tensor
    points: Tensor
    sweep: Tensor
    cell: Tensor
    cells: int
    class_id: Tensor
    confidence: Tensor
    pair_point: Tensor
    pair_view: Tensor
    pair_pixel: Tensor
    pair_class: Tensor
    pair_confidence: Tensor
    images: tuple[Tensor, ...]
    views: int
    maps: tuple[FeatureMap, ...] = ()

    def to(self, device: torch.device) -> PretrainSample:
        """Return the sample on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        there: dict[str, Any] = {name: v.to(device) for name, v in values.items() if isinstance(v, Tensor)}
        maps = tuple(replace(each, features=each.features.to(device)) for each in self.maps)
        return replace(self, **there, images=tuple(image.to(device) for image in self.images), maps=maps)


def make_pretrain_sample(
    frames: Sequence[LabelledFrame],
    config: PretrainDataConfig,
    seed: Seed,
    others: Sequence[Frame] = (),
    maps: Sequence[Sequence[FeatureMap]] = (),
) -> PretrainSample:
    """Turn a key frame and its sweeps into a sample; equal seeds make equal samples.

    Args:
        frames: the key frame, then the other sweeps, with pseudo-labels.
        config: sweeps, pairs, augmentation, voxels.
        seed: numbers that seed the augmentation.
        others: frames before and after them, for the sensor's way.
        maps: what CLIP saw in the views of each of `frames`; or nothing.

    Raises:
        BadDataset, BadCalibration: as `gather`.
    """
    plain = [each.frame for each in frames]
    cloud = gather(plain, config.sweeps, (config.min_range_m, config.max_range_m), others)
    labels = _point_labels(cloud, frames)
    views = looks(plain, cloud, config.pairs)
    pairs = _pairs(cloud, frames, views, labels, config.pairs)
    pairs, images = _with_images(pairs, views, config.images, seed)
    coords, feats, inverse, count = _voxels(cloud, config, seed)
    items = torch.tensor([[0, k] for k in range(count)], dtype=torch.int64).reshape(-1, 2)
    return PretrainSample(
        coords=coords,
        feats=feats,
        inverse=inverse,
        items=items,
        points=torch.from_numpy(cloud.points),
        sweep=torch.from_numpy(cloud.sweep),
        cell=torch.from_numpy(cloud.cell),
        cells=cloud.cells,
        class_id=torch.from_numpy(labels.class_id.astype(np.int64)),
        confidence=torch.from_numpy(labels.confidence),
        pair_point=torch.from_numpy(pairs.point),
        pair_view=torch.from_numpy(pairs.view),
        pair_pixel=torch.from_numpy(np.ascontiguousarray(pairs.pixel)),
        pair_class=torch.from_numpy(pairs.class_id.astype(np.int64)),
        pair_confidence=torch.from_numpy(pairs.confidence),
        images=images,
        views=len(views),
        maps=tuple(maps[look.frame][look.place] for look in views) if maps else (),
    )


def collate_pretrain(samples: Sequence[PretrainSample]) -> PretrainSample:
    """Stack samples, of any numbers of sweeps, into a batch; images stay apart, as their sizes may differ."""
    names = ("feats", "points", "sweep", "class_id", "confidence", "pair_pixel", "pair_class", "pair_confidence")
    return PretrainSample(
        coords=_joined([s.coords for s in samples], [len(s.items) for s in samples], first_column=True),
        items=_joined([s.items for s in samples], [int(s.items[:, 0].max()) + 1 for s in samples], first_column=True),
        inverse=_joined([s.inverse for s in samples], [len(s.coords) for s in samples]),
        cell=_joined([s.cell for s in samples], [s.cells for s in samples]),
        cells=sum(s.cells for s in samples),
        pair_point=_joined([s.pair_point for s in samples], [len(s.points) for s in samples]),
        pair_view=_joined([s.pair_view for s in samples], [s.views for s in samples]),
        images=tuple(image for s in samples for image in s.images),
        views=sum(s.views for s in samples),
        maps=tuple(each for s in samples for each in s.maps),
        **{name: torch.cat([getattr(s, name) for s in samples]) for name in names},
    )


def _joined(numbers: Sequence[Tensor], sizes: Sequence[int], *, first_column: bool = False) -> Tensor:
    """Join what counts things of its own sample, shifted by how many of these the samples before have.

    Args:
        numbers: of each sample, (M,), or (M, D) where the first column alone counts.
        sizes: how many things each sample has, not how many of them are named.
        first_column: which of the two it is.
    """
    parts, before = [], 0
    for values, size in zip(numbers, sizes, strict=True):
        shifted = values.clone()
        (shifted[:, 0] if first_column else shifted).add_(before)
        parts.append(shifted)
        before += size
    return torch.cat(parts)


def _point_labels(cloud: SweepCloud, frames: Sequence[LabelledFrame]) -> PseudoLabels:
    """Return what is said of each point of the cloud, each sweep's own labels."""
    class_id, confidence = np.full(len(cloud), UNKNOWN, np.uint8), np.zeros(len(cloud), np.float32)
    for k, each in enumerate(frames):
        mine = np.flatnonzero(cloud.sweep == k)
        class_id[mine] = each.labels.class_id[cloud.index[mine]]
        confidence[mine] = each.labels.confidence[cloud.index[mine]]
    return PseudoLabels(class_id, confidence)


def _pairs(
    cloud: SweepCloud, frames: Sequence[LabelledFrame], views: Sequence[Look], labels: PseudoLabels, config: PairsConfig
) -> Pairs:
    """Return the pairs with what is said of them."""
    if config.labels == "point" and not views:
        return pairs_without_images(labels)
    pairs = find_pairs(cloud, views, config)
    if config.labels == "point":
        return with_point_classes(pairs, labels)
    return with_pixel_classes(pairs, [_seen(frames[look.frame], look.place) for look in views])


def _seen(labelled: LabelledFrame, place: int) -> PixelClasses | None:
    return labelled.seen[place] if labelled.seen else None


def _with_images(
    pairs: Pairs, views: Sequence[Look], config: ImageAugmentConfig, seed: Seed
) -> tuple[Pairs, tuple[Tensor, ...]]:
    """Return the pairs as they are after cropping, without those that were cut off, and the images."""
    if config.give == "none":
        return pairs, ()
    if config.give == "whole":
        return pairs, tuple(torch.from_numpy(np.array(look.view.image)) for look in views)
    parts, images = [pairs.of(np.zeros(0, np.int64))], []
    for number, look in enumerate(views):
        mine = pairs.of(pairs.view == number)
        rng = np.random.default_rng((*seed, IMAGES, number))
        crop = draw_crop(look.view.image.shape[:2], mine.pixel, config, rng)
        mine = mine.of(crop.holds(mine.pixel))
        parts.append(replace(mine, pixel=crop.moved(mine.pixel)))
        images.append(torch.from_numpy(crop.drawn(look.view.image)))
    return joined(parts), tuple(images)


def _voxels(cloud: SweepCloud, config: PretrainDataConfig, seed: Seed) -> tuple[Tensor, Tensor, Tensor, int]:
    """Vary and voxelise every sweep for itself, or all as one; return coords, features, inverse and how many."""
    count = 1 if config.sweeps.merged else len(cloud.key_from_sweep)
    coords, feats, inverse, before = [], [], [], 0
    for k in range(count):
        mine = slice(None) if config.sweeps.merged else np.flatnonzero(cloud.sweep == k)
        rng = np.random.default_rng((*seed, CLOUD, k))
        scan = augment(Scan(cloud.points[mine], cloud.intensity[mine]), config.augment, rng)
        voxels = voxelize(scan.points, config.voxel_size_m)
        coords.append(torch.nn.functional.pad(voxels.coords, (1, 0), value=k))
        feats.append(voxel_features(scan.intensity, voxels, config.in_channels))
        inverse.append(voxels.inverse + before)
        before += len(voxels)
    return torch.cat(coords), torch.cat(feats), torch.cat(inverse), count
