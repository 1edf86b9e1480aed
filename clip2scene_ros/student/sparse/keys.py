"""Integer coordinates packed into one int64 key a row, so that sorting and searching replace hashing.

The packing is a mixed radix fitted to the coordinates at hand: column 0 (the batch) is the slowest,
the last one (z) the fastest, and one step along a column adds a constant to the key. A margin around
the occupied box keeps a neighbour's key from wrapping into the next row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MAX_KEY = 2**62
"""Keys stay below this, so that key plus offset never leaves int64."""


@dataclass(frozen=True)
class Packing:
    """A mixed-radix packing.

    Attributes:
        low, high: bounds of the rows themselves, both included.
        steps: key difference of one step along each column; the last is 1.
        margin: rows this far outside the bounds have keys of their own, too.
        cells: number of different keys; all are in 0..cells - 1.
    """

    low: tuple[int, ...]
    high: tuple[int, ...]
    steps: tuple[int, ...]
    margin: int
    cells: int

    def pack(self, coords: Tensor) -> Tensor:
        """Return (N,) int64 keys of (N, D) integer rows; ordered as the rows are, first column slowest."""
        keys = torch.zeros(len(coords), dtype=torch.int64, device=coords.device)
        for column, low, step in zip(coords.unbind(1), self.low, self.steps, strict=True):
            keys.add_(column.to(torch.int64).sub_(low - self.margin), alpha=step)
        return keys

    def unpack(self, keys: Tensor) -> Tensor:
        """Return the (N, D) int32 rows that `pack` turned into `keys`."""
        columns = []
        for low, step in zip(self.low, self.steps, strict=True):
            digit = torch.div(keys, step, rounding_mode="trunc")  # keys are never negative
            columns.append(digit + (low - self.margin))
            keys = torch.sub(keys, digit, alpha=step)
        return torch.stack(columns, 1).to(torch.int32)

    def shift(self, offset: Sequence[int]) -> int:
        """Return the key difference of moving by `offset`, one integer a column."""
        return sum(o * step for o, step in zip(offset, self.steps, strict=True))


def fit_packing(coords: Tensor, margin: int = 0) -> Packing:
    """Return the packing of the box of `coords`, widened by `margin` on every side.

    Args:
        coords: (N, D) integer rows, any sign.
        margin: how far neighbours outside the box may be asked for.

    Raises:
        ValueError: as `box_packing`.
    """
    if len(coords) == 0:
        return Packing((0,) * coords.shape[1], (0,) * coords.shape[1], (1,) * coords.shape[1], margin, 1)
    low, high = torch.stack(torch.aminmax(coords, dim=0)).tolist()
    return box_packing(low, high, margin)


def box_packing(low: Sequence[int], high: Sequence[int], margin: int = 0) -> Packing:
    """Return the packing of the rows from `low` to `high`, both included, widened by `margin`.

    Raises:
        ValueError: the box has more cells than an int64 key can number; nothing overflows in silence.
    """
    steps, cells = [], 1
    for bottom, top in zip(reversed(low), reversed(high), strict=True):
        steps.append(cells)
        cells *= top - bottom + 1 + 2 * margin
    if cells >= MAX_KEY:
        raise ValueError(
            f"Coordinates from {list(low)} to {list(high)} span {cells:.1e} cells, more than the {MAX_KEY:.1e} that "
            "fit a key; lower the range or enlarge the voxels."
        )
    return Packing(tuple(low), tuple(high), tuple(reversed(steps)), margin, cells)


def distinct(keys: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distinct keys, sorted, and how they relate to the rows they came from.

    Args:
        keys: (N,) int64, 0 <= key < limit.
        limit: the packing's number of cells.

    Returns:
        (U,) int64 distinct keys; (N,) int64 position of each row's key among them; (U,) int64 the first
        row of each.
    """
    keys, order = sort_stably(keys, limit)
    starts = torch.ones(len(keys), dtype=torch.bool, device=keys.device)
    torch.ne(keys[1:], keys[:-1], out=starts[1:])
    inverse = torch.empty_like(order)
    inverse[order] = torch.cumsum(starts, 0) - 1
    heads = nonzero(starts)
    return keys.index_select(0, heads), inverse, order.index_select(0, heads)


def sort_stably(keys: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Return the (N,) sorted keys and the (N,) row of each, equal keys in the order of their rows."""
    bits = max(len(keys) - 1, 1).bit_length()
    if keys.device.type == "cpu" and limit << bits < MAX_KEY:
        # Rows in the low bits make one plain sort of integers do, which NumPy has vectorised: 4 times as fast.
        both = np.sort((keys.numpy() << bits) | np.arange(len(keys)))
        return torch.from_numpy(both >> bits), torch.from_numpy(both & ((1 << bits) - 1))
    ordered, order = torch.sort(keys, stable=True)
    return ordered, order


def search_sorted(keys: Tensor, queries: Tensor) -> Tensor:
    """Return (Q,) int64, for each query the position of the first key that is not less; both int64, keys sorted."""
    if keys.device.type == "cpu":  # NumPy's search uses that our queries are sorted as well: 1.6 times as fast
        return torch.from_numpy(np.searchsorted(keys.numpy(), queries.numpy()))
    return torch.searchsorted(keys, queries)


def nonzero(mask: Tensor) -> Tensor:
    """Return the (M,) int64 indices of the true entries of a (N,) mask."""
    if mask.device.type == "cpu":  # NumPy needs a third of the time
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.nonzero().squeeze(1)
