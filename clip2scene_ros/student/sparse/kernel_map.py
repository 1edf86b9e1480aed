"""Kernel maps: which input row meets which output row under which weight of a sparse convolution.

Coordinates become sorted keys (`keys.py`). The cells of one column (same x and y) have consecutive
keys, so one binary search a column finds all neighbours of a column, and a submanifold map, being its
own mirror image, needs only half of the columns.

Offsets are in TorchSparse's order: an odd kernel volume counts -1..1 with x fastest, an even one 0..1
with z fastest (measured against TorchSparse 1.4.0, see test/golden).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from clip2scene_ros.student.sparse.keys import (
    Packing,
    box_packing,
    distinct,
    fit_packing,
    nonzero,
    search_sorted,
    sort_stably,
)

Path = tuple[tuple[int, int], ...]
Pairs = dict[int, tuple[Tensor, Tensor]]
Offsets = dict[int, tuple[int, int, int]]
MARGIN = 3
"""No kernel asks farther beyond the occupied box: floor(c / 3) * 3 - 1 is the farthest."""
SENTINEL = 2**63 - 1


def kernel_offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    """Return the (x, y, z) offset of each weight, in order.

    >>> kernel_offsets(2)[1], kernel_offsets(3)[0], kernel_offsets(3)[1]
    ((0, 0, 1), (-1, -1, -1), (0, -1, -1))
    """
    if kernel_size not in (1, 2, 3):
        raise ValueError(f"Expected a kernel size of 1, 2 or 3, but got {kernel_size}.")
    if kernel_size % 2 == 0:
        return list(product(range(kernel_size), range(kernel_size), range(kernel_size)))
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    return [(x, y, z) for z, y, x in product(reach, reach, reach)]


@dataclass(frozen=True, eq=False)
class KernelMap:
    """For each weight k the rows that meet: `out[out_rows[k]] += feats[in_rows[k]] @ kernel[k]`.

    Attributes:
        in_rows, out_rows: a (P_k,) int64 tensor for each weight; within one weight no row repeats.
        n_in, n_out: number of input and output rows.
        identity: the weight under which every row meets itself, whose pairs are not listed; or None.
        in_once, out_once: whether every input, or output, row is in exactly one pair.
    """

    in_rows: tuple[Tensor, ...]
    out_rows: tuple[Tensor, ...]
    n_in: int
    n_out: int
    identity: int | None = None
    in_once: bool = False
    out_once: bool = False

    def transposed(self) -> KernelMap:
        """Return the map of the opposite direction, weights in the same order."""
        return KernelMap(self.out_rows, self.in_rows, self.n_out, self.n_in, self.identity, self.out_once, self.in_once)


@dataclass(frozen=True, eq=False)
class Grid:
    """Occupied voxels with their sorted keys.

    Attributes:
        coords: (V, 4) int32 batch, x, y, z.
        keys: (V + 1,) int64 sorted keys and a sentinel above all of them.
        order: (V,) int64 row of each sorted key, or None where the rows are sorted already.
        packing: what the keys mean.
    """

    coords: Tensor
    keys: Tensor
    order: Tensor | None
    packing: Packing

    @property
    def sorted_coords(self) -> Tensor:
        """Return the coordinates in the order of their keys."""
        return self.coords if self.order is None else self.coords.index_select(0, self.order)

    def rows(self, positions: Tensor) -> Tensor:
        """Return the rows of positions among the sorted keys."""
        return positions if self.order is None else self.order.index_select(0, positions)


def make_grid(coords: Tensor) -> Grid:
    """Sort coordinates by key.

    Raises:
        ValueError: two rows are alike, or the coordinates span more than int64 keys can number.
    """
    packing = fit_packing(coords, MARGIN)
    keys, order = packing.pack(coords), None
    if not bool((keys[1:] > keys[:-1]).all()):
        keys, order = sort_stably(keys, packing.cells)
        if bool((keys[1:] == keys[:-1]).any()):
            raise ValueError("Expected distinct voxel coordinates, but some row is there twice; voxelize first.")
    return Grid(coords, _with_sentinel(keys), order, packing)


def _with_sentinel(keys: Tensor) -> Tensor:
    return torch.cat([keys, keys.new_full((1,), SENTINEL)])


def submanifold_map(grid: Grid, kernel_size: int) -> KernelMap:
    """Return the map of a convolution whose outputs are its inputs' voxels (stride 1)."""
    n, offsets = len(grid.coords), _numbered(kernel_size)
    queries = grid.keys[:-1]
    if kernel_size % 2 == 0:
        return _assemble(_search(grid, grid, queries, offsets), n, n)
    middle, last = len(offsets) // 2, len(offsets) - 1
    ahead = {k: offset for k, offset in offsets.items() if offset > (0, 0, 0)}
    pairs = _search(grid, grid, queries, ahead)
    pairs |= {last - k: (out_rows, in_rows) for k, (in_rows, out_rows) in pairs.items()}
    nobody = queries.new_empty(0)
    return _assemble({**pairs, middle: (nobody, nobody)}, n, n, identity=middle)


def strided_map(fine: Grid, coarse: Grid, kernel_size: int, stride: int) -> KernelMap:
    """Return the map of a strided convolution: output c sees the inputs `stride * c + offset`."""
    offsets = _numbered(kernel_size)
    centres = coarse.sorted_coords.to(torch.int64)
    centres = torch.cat([centres[:, :1], centres[:, 1:] * stride], 1)
    queries = fine.packing.pack(centres)
    return _assemble(_search(fine, coarse, queries, offsets), len(fine.coords), len(coarse.coords))


def _numbered(kernel_size: int) -> Offsets:
    return dict(enumerate(kernel_offsets(kernel_size)))


def _search(searched: Grid, asking: Grid, queries: Tensor, offsets: Offsets) -> Pairs:
    """Return for each weight the rows of `searched` found at query + offset, and the rows of `asking` that ask.

    Args:
        searched: the input voxels.
        asking: the output voxels.
        queries: (Q,) keys, in `searched`'s packing, of `asking`'s voxels in their sorted order.
        offsets: weights to look for; those with the same x and y have consecutive z.
    """
    columns: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for k, (x, y, z) in offsets.items():
        columns.setdefault((x, y), []).append((z, k))
    pairs: Pairs = {}
    for (x, y), cells in columns.items():
        cells.sort()
        wanted = queries + searched.packing.shift((0, x, y, cells[0][0]))
        position = search_sorted(searched.keys, wanted)
        for _, k in cells:
            hit = searched.keys.index_select(0, position) == wanted
            rows = nonzero(hit)
            pairs[k] = (searched.rows(position.index_select(0, rows)), asking.rows(rows))
            position, wanted = position + hit, wanted + 1
    return pairs


def _assemble(pairs: Pairs, n_in: int, n_out: int, identity: int | None = None) -> KernelMap:
    in_rows, out_rows = zip(*(pairs[k] for k in range(len(pairs))), strict=True)
    return KernelMap(in_rows, out_rows, n_in, n_out, identity)


def halved(fine: Grid) -> tuple[Grid, KernelMap]:
    """Return the coarse grid and map of kernel 2, stride 2: each input has exactly one output."""
    parents, packing = _floored(fine, 2)
    keys, out_rows, first = distinct(packing.pack(parents), packing.cells)
    coarse = Grid(parents.index_select(0, first), _with_sentinel(keys), None, packing)
    x, y, z = (fine.coords[:, 1:] & 1).unbind(1)  # the rest of flooring, for negative coordinates as well
    weight = x * 4 + y * 2 + z
    in_rows = tuple(nonzero(weight == k) for k in range(8))
    outs = tuple(out_rows.index_select(0, rows) for rows in in_rows)
    return coarse, KernelMap(in_rows, outs, len(fine.coords), len(coarse.coords), in_once=True)


def floored_grid(fine: Grid, stride: int) -> Grid:
    """Return the outputs of a strided convolution, kernel and stride equal: floor(input / stride)."""
    parents, packing = _floored(fine, stride)
    return _grid_of(parents, packing)


def _floored(fine: Grid, stride: int) -> tuple[Tensor, Packing]:
    """Return the (V, 4) cells floor(input / stride), row by row, and the packing of their box."""
    parents = fine.coords.clone()
    if stride == 2:
        parents[:, 1:] >>= 1
    else:
        parents[:, 1:] = torch.div(fine.coords[:, 1:], stride, rounding_mode="floor")
    (batch_low, *low), (batch_high, *high) = fine.packing.low, fine.packing.high
    packing = box_packing((batch_low, *(v // stride for v in low)), (batch_high, *(v // stride for v in high)), MARGIN)
    return parents, packing


def _grid_of(coords: Tensor, packing: Packing) -> Grid:
    """Return the grid of rows that may be there several times."""
    keys, _, first = distinct(packing.pack(coords), packing.cells)
    return Grid(coords.index_select(0, first), _with_sentinel(keys), None, packing)


def strided_grid(fine: Grid, kernel_size: int, stride: int) -> Grid:
    """Return the outputs of a strided convolution, kernel and stride unequal.

    TorchSparse 1.4's rule: every cell that some input reaches, if it lies on the coarse
    grid and not below the lowest input of its batch item on any axis.
    """
    coords = fine.coords
    reached = [coords - coords.new_tensor((0, *offset)) for offset in kernel_offsets(kernel_size)]
    candidates = torch.cat(reached)
    low = _lowest(coords).index_select(0, candidates[:, 0].to(torch.int64))
    keep = ((candidates[:, 1:] % stride == 0) & (candidates[:, 1:] >= low)).all(1)
    candidates = candidates[keep]
    candidates[:, 1:] = torch.div(candidates[:, 1:], stride, rounding_mode="floor")
    return _grid_of(candidates, fit_packing(candidates, MARGIN))


def _strided(fine: Grid, kernel_size: int, stride: int) -> tuple[Grid, KernelMap]:
    if kernel_size == stride == 2:
        return halved(fine)
    coarse = floored_grid(fine, stride) if kernel_size == stride else strided_grid(fine, kernel_size, stride)
    return coarse, strided_map(fine, coarse, kernel_size, stride)


def _lowest(coords: Tensor) -> Tensor:
    """Return (B, 3) the lowest coordinate of each batch item."""
    batch = coords[:, :1].to(torch.int64)
    items = int(batch.max()) + 1 if len(batch) else 0
    low = coords.new_full((items, 3), torch.iinfo(coords.dtype).max)
    return low.scatter_reduce(0, batch.expand(-1, 3), coords[:, 1:], "amin")


class Maps:
    """Grids and kernel maps made so far for one batch; shared by every tensor that descends from it.

    Grids are named by the path of strided convolutions that led to them, so that two ways of halving
    the resolution never take each other's maps.
    """

    def __init__(self) -> None:
        self._coords: dict[Path, Tensor] = {}
        self._grids: dict[Path, Grid] = {}
        self._maps: dict[tuple[Path, int, int], KernelMap] = {}

    def register(self, path: Path, coords: Tensor) -> None:
        """Name the voxels of a grid.

        Raises:
            ValueError: the grid is known with other voxels.
        """
        if self._coords.setdefault(path, coords) is not coords:
            raise ValueError(f"Expected the voxels that these maps were made for at {path}; start with fresh `Maps()`.")

    def grid(self, path: Path) -> Grid:
        """Return the sorted voxels of a grid."""
        if path not in self._grids:
            self._grids[path] = make_grid(self._coords[path])
        return self._grids[path]

    def submanifold(self, path: Path, kernel_size: int) -> KernelMap:
        """Return the map of a stride-1 convolution."""
        key = (path, kernel_size, 1)
        if key not in self._maps:
            self._maps[key] = submanifold_map(self.grid(path), kernel_size)
        return self._maps[key]

    def strided(self, path: Path, kernel_size: int, stride: int) -> tuple[Path, Tensor, KernelMap]:
        """Return the coarser grid's path and (W, 4) coordinates, and the map to it."""
        key, coarser = (path, kernel_size, stride), (*path, (kernel_size, stride))
        if key not in self._maps:
            fine = self.grid(path)
            coarse, kernel_map = _strided(fine, kernel_size, stride)
            self._coords[coarser], self._grids[coarser], self._maps[key] = coarse.coords, coarse, kernel_map
        return coarser, self._coords[coarser], self._maps[key]

    def transposed(self, path: Path, kernel_size: int, stride: int) -> tuple[Path, Tensor, KernelMap]:
        """Return the finer grid that `path` came from, its (V, 4) coordinates, and the map back to it.

        Raises:
            ValueError: the last step of `path` was another convolution.
        """
        if not path or path[-1] != (kernel_size, stride):
            raise ValueError(
                f"A transposed convolution of size {kernel_size}, stride {stride} undoes one like itself, but "
                f"this grid's path is {path}."
            )
        finer = path[:-1]
        return finer, self._coords[finer], self._maps[finer, kernel_size, stride].transposed()
