"""A sparse tensor: features on the occupied voxels of a grid, and the maps already made for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from clip2scene_ros.student.sparse.kernel_map import Maps, Path


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features of the occupied voxels.

    Attributes:
        feats: (V, C) floating point, one row a voxel.
        coords: (V, 4) int32 batch, x, y, z in units of this level's own grid: the original coordinates
            divided by `stride`, rounded down. Any order, no two rows alike.
        maps: kernel maps and coarser grids made so far, shared by all tensors that descend from one.
        path: the strided convolutions `(kernel size, stride)` that led here from the original grid.
    """

    feats: Tensor
    coords: Tensor
    maps: Maps = field(default_factory=Maps)
    path: Path = ()

    def __post_init__(self) -> None:
        """Check shapes once, and let the maps know the original grid."""
        if self.coords.ndim != 2 or self.coords.shape[1] != 4 or self.coords.dtype != torch.int32:
            raise ValueError(
                f"Expected `coords` of shape (V, 4) int32, but got {tuple(self.coords.shape)} {self.coords.dtype}."
            )
        if self.feats.ndim != 2 or len(self.feats) != len(self.coords):
            raise ValueError(f"Expected `feats` of shape ({len(self.coords)}, C), but got {tuple(self.feats.shape)}.")
        self.maps.register(self.path, self.coords)

    @property
    def stride(self) -> int:
        """Return the edge of this grid's cells in original voxels."""
        stride = 1
        for _, step in self.path:
            stride *= step
        return stride

    def with_feats(self, feats: Tensor) -> SparseTensor:
        """Return the same voxels with other features."""
        return replace(self, feats=feats)

    def to(self, device: torch.device | str) -> SparseTensor:
        """Return the tensor on `device`; maps made elsewhere are left behind. Only for the original grid."""
        if self.path:
            raise ValueError("Expected a tensor on the original grid, but its path is not empty; move it before.")
        return SparseTensor(self.feats.to(device), self.coords.to(device))


def collate(coords: Sequence[Tensor], feats: Sequence[Tensor]) -> SparseTensor:
    """Return one tensor of a batch of scans.

    Args:
        coords: (V_i, 3) int32 voxel coordinates of each scan.
        feats: (V_i, C) features of each scan.
    """
    rows = [torch.nn.functional.pad(c, (1, 0), value=batch) for batch, c in enumerate(coords)]
    return SparseTensor(torch.cat(list(feats)), torch.cat(rows))
