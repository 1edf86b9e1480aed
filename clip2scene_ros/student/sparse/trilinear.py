"""Between points and voxels: features at a point from the voxels around it, and a voxel's mean of its points.

A voxel is a sample at its lower corner, and a point's feature is interpolated between the eight corners of
its cell (TorchSparse 1.4's `calc_ti_weights` and `spdevoxelize`, as SPVCNN uses them).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.student.sparse.kernel_map import Grid
from clip2scene_ros.student.sparse.keys import search_sorted, sort_stably

CORNERS = tuple(product((0, 1), repeat=3))
"""(x, y, z) of a cell's corners, z fastest; the cell itself comes first."""
EPSILON = 1e-8
"""TorchSparse's guard of the division by the sum of weights."""


@dataclass(frozen=True, eq=False)
class Corners:
    """The voxels around each of N points.

    Attributes:
        rows: (N, 8) int64 row of each corner's voxel, -1 where there is none; in the order of `CORNERS`.
        weights: (N, 8) float32, 0 where there is no voxel, else with sum 1.
    """

    rows: Tensor
    weights: Tensor


def find_corners(points: Tensor, grid: Grid, stride: int) -> Corners:
    """Return the voxels around points and how much each counts.

    Args:
        points: (N, 4) batch, x, y, z in voxels of the original grid; integer (exact at any size) or floating point.
        grid: the voxels of a level.
        stride: edge of the level's cells in original voxels.
    """
    cells = torch.div(points[:, 1:], stride, rounding_mode="floor")
    inside = ((points[:, 1:] - cells * stride) / stride).to(torch.float32)
    cells = torch.cat([points[:, :1], cells], 1).to(torch.int32)
    rows = torch.stack([_rows_of(cells + cells.new_tensor((0, *corner)), grid) for corner in CORNERS], 1)
    far = inside.new_tensor(CORNERS).bool()
    weights = torch.where(far, inside.unsqueeze(1), 1.0 - inside.unsqueeze(1)).prod(2)
    weights = torch.where(rows >= 0, weights, 0.0)
    return Corners(rows, weights / (weights.sum(1, keepdim=True) + EPSILON))


def _rows_of(cells: Tensor, grid: Grid) -> Tensor:
    """Return (N,) int64 row of each cell, -1 where the grid has none."""
    low, high = cells.new_tensor(grid.packing.low), cells.new_tensor(grid.packing.high)
    within = ((cells >= low) & (cells <= high)).all(1)  # a key says nothing of cells outside of the packing's box
    wanted = grid.packing.pack(torch.clamp(cells, low, high))
    position = search_sorted(grid.keys, wanted)
    found = within & (grid.keys.index_select(0, position) == wanted)
    return torch.where(found, grid.rows(torch.where(found, position, 0)), -1)


def devoxelize(feats: Tensor, corners: Corners) -> Tensor:
    """Return (N, C): for each point the weighted sum of its corners' (V, C) features."""
    weights = corners.weights.to(feats.dtype)
    rows = corners.rows.clamp(min=0)
    return functional.embedding_bag(rows, feats, per_sample_weights=weights, mode="sum")


def voxelize_mean(feats: Tensor, rows: Tensor, voxels: int) -> Tensor:
    """Return (V, C): for each voxel the mean of its points' (N, C) features, 0 where it has no point.

    Points are added in their order, so that the result does not depend on chance on any device.

    Args:
        feats: features of the points.
        rows: (N,) int64 voxel of each point.
        voxels: V.
    """
    ordered, points = sort_stably(rows, voxels)
    starts = torch.searchsorted(ordered, torch.arange(voxels, device=rows.device))
    return functional.embedding_bag(points, feats, starts, mode="mean")
