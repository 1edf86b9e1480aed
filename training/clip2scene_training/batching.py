"""Frames to batches: range filter, voxels, one label a voxel. The first steps are the segmenter's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.frame import UNKNOWN, Array, Frame, Scan
from clip2scene_ros.student.points import voxel_features, within_range
from clip2scene_ros.student.voxelization import voxelize


class FrameDataset(Protocol):
    """Any source of labelled frames: a length and frames by number, nothing to register."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def __getitem__(self, index: int) -> Frame:
        """Return one frame."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One scan or several as voxels.

    Attributes:
        coords: (V, 3) int32 of one scan, (V, 4) int32 with the batch number first of several.
        feats: (V, in_channels) float32.
        labels: (V,) int64 class ids, 255 where no point of the voxel is labelled.
    """

    coords: Tensor
    feats: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Sample:
        """Return the sample on `device`."""
        return Sample(self.coords.to(device), self.feats.to(device), self.labels.to(device))


def make_sample(
    scan: Scan, labels: Array, voxel_size_m: float, in_channels: int, range_m: tuple[float, float]
) -> Sample:
    """Turn a labelled scan into voxels, each with the features and label that stand for its points.

    Args:
        scan: N points.
        labels: (N,) uint8 class ids, 255 unknown.
        voxel_size_m: edge of a voxel [m].
        in_channels: as the network's.
        range_m: nearest and farthest range kept [m].
    """
    kept = within_range(scan.points, *range_m)
    voxels = voxelize(scan.points[kept], voxel_size_m)
    feats = voxel_features(scan.intensity[kept], voxels, in_channels)
    return Sample(voxels.coords, feats, majority(torch.from_numpy(labels[kept]), voxels.inverse, len(voxels)))


def majority(labels: Tensor, inverse: Tensor, num_voxels: int) -> Tensor:
    """Return (V,) int64 the most frequent label of each voxel, the lowest of equals, 255 where none is labelled.

    Args:
        labels: (N,) uint8 class id of each point, 255 unknown.
        inverse: (N,) int64 voxel of each point.
        num_voxels: V.
    """
    known = labels != UNKNOWN
    classes = int(labels[known].max()) + 1 if bool(known.any()) else 1
    cells = inverse[known] * classes + labels[known].long()
    votes = torch.bincount(cells, minlength=num_voxels * classes).reshape(num_voxels, classes)
    most, winner = votes.max(1)
    return torch.where(most > 0, winner, UNKNOWN)


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples into a batch; the batch number becomes the first coordinate."""
    coords = [functional.pad(s.coords, (1, 0), value=number) for number, s in enumerate(samples)]
    return Sample(torch.cat(coords), torch.cat([s.feats for s in samples]), torch.cat([s.labels for s in samples]))
