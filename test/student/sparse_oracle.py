"""Sparse convolution by dictionaries and loops: slow, and written without a look at the fast one."""

from __future__ import annotations

import itertools

import numpy as np
import torch


def cloud(seed: int, voxels: int = 250, batch: int = 2, reach: int = 6, ordered: bool = False) -> torch.Tensor:
    """Return distinct (V, 4) int32 voxels around the origin, dense enough to have many neighbours."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(0, batch, voxels), *rng.integers(-reach, reach, (3, voxels))]
    rows = np.unique(np.stack(columns, 1), axis=0)
    if not ordered:
        rows = rng.permutation(rows)
    return torch.from_numpy(rows.astype(np.int32))


def offsets(size: int) -> list[tuple[int, int, int]]:
    """Odd sizes: x fastest, centred; even sizes: z fastest, from 0."""
    start = -(size // 2) if size % 2 else 0
    reach = range(start, start + size)
    cells = itertools.product(reach, reach, reach)
    return [(c, b, a) for a, b, c in cells] if size % 2 else list(cells)


def kernel_pairs(inputs: torch.Tensor, outputs: torch.Tensor, size: int, stride: int) -> list[set[tuple[int, int]]]:
    """For each weight the set of (input row, output row) with input = stride * output + offset."""
    row_of = {tuple(c): row for row, c in enumerate(inputs.tolist())}
    result = []
    for dx, dy, dz in offsets(size):
        pairs = set()
        for out_row, (b, x, y, z) in enumerate(outputs.tolist()):
            in_row = row_of.get((b, stride * x + dx, stride * y + dy, stride * z + dz))
            if in_row is not None:
                pairs.add((in_row, out_row))
        result.append(pairs)
    return result


def pooled_cells(coords: torch.Tensor, size: int) -> set[tuple[int, ...]]:
    return {(b, x // size, y // size, z // size) for b, x, y, z in coords.tolist()}


def strided_cells(coords: torch.Tensor, size: int, stride: int) -> set[tuple[int, ...]]:
    """TorchSparse 1.4: cells that an input reaches, on the coarse grid, not below the batch item's lowest input."""
    low: dict[int, list[int]] = {}
    for b, *cell in coords.tolist():
        low[b] = [min(pair) for pair in zip(low.get(b, cell), cell, strict=True)]
    cells = set()
    for b, *cell in coords.tolist():
        for offset in offsets(size):
            reached = [c - o for c, o in zip(cell, offset, strict=True)]
            if all(r % stride == 0 and r >= bottom for r, bottom in zip(reached, low[b], strict=True)):
                cells.add((b, *(r // stride for r in reached)))
    return cells


def convolution(feats: np.ndarray, kernel: np.ndarray, pairs: list[set[tuple[int, int]]], n_out: int) -> np.ndarray:
    """Sum over all pairs, one row at a time, in float64."""
    out = np.zeros((n_out, kernel.shape[2]))
    for weight, rows in zip(kernel, pairs, strict=True):
        for i, o in rows:
            out[o] += feats[i].astype(np.float64) @ weight.astype(np.float64)
    return out
