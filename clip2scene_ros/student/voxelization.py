"""Points to voxels: floor quantisation, the first point of a voxel stands for it (paper's data pipeline)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clip2scene_ros.frame import Array
from clip2scene_ros.student.sparse.keys import distinct, fit_packing

MAX_COORDINATE = 2**31 - 1024
"""Voxel coordinates are int32; the rest is room for the neighbours of the outermost ones."""


@dataclass(frozen=True, eq=False)
class Voxels:
    """The occupied voxels of one scan, sorted by x, then y, then z.

    Attributes:
        coords: (V, 3) int32 voxel coordinates, floor(point / voxel size).
        inverse: (N,) int64 voxel of each point.
        first: (V,) int64 the lowest index of a point in each voxel.
    """

    coords: Tensor
    inverse: Tensor
    first: Tensor

    def __len__(self) -> int:
        """Return the number of voxels V."""
        return len(self.coords)


def voxelize(points: Array | Tensor, voxel_size_m: float) -> Voxels:
    """Quantise points to voxels; the same points in any order give the same voxels in the same order.

    Args:
        points: (N, 3) float32 or float64, x y z [m], all finite; a tensor's device is kept.
        voxel_size_m: edge of a voxel [m].

    Raises:
        ValueError: not (N, 3), a voxel size that is not positive, a NaN or infinity, or a coordinate
            or extent beyond what int32 coordinates and int64 keys hold. Nothing is clamped.
    """
    coords = quantize(torch.as_tensor(points), voxel_size_m)
    packing = fit_packing(coords)
    _, inverse, first = distinct(packing.pack(coords), packing.cells)
    return Voxels(coords.index_select(0, first), inverse, first)


def quantize(points: Tensor, voxel_size_m: float) -> Tensor:
    """Return floor(points / voxel size) as (N, 3) int32; in float64, so that every device agrees.

    Raises:
        ValueError: as `voxelize`.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"Expected `points` of shape (N, 3), but got {tuple(points.shape)}.")
    if not 0.0 < voxel_size_m < float("inf"):
        raise ValueError(f"Expected `voxel_size_m` to be positive and finite, but got {voxel_size_m}.")
    cells = torch.floor(points.to(torch.float64) / voxel_size_m)
    if len(points) and not bool((cells.abs() <= MAX_COORDINATE).all()):
        raise ValueError(
            f"Expected finite points within {MAX_COORDINATE * voxel_size_m:.3g} m at voxels of {voxel_size_m} m; "
            "filter the scan by range first."
        )
    return cells.to(torch.int32)
