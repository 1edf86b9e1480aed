"""Integer coordinates packed into one int64 key a row, so that sorting and searching replace hashing.

The packing is a mixed radix fitted to the coordinates at hand: column 0 (the batch) is the slowest,
the last one (z) the fastest, and one step along a column adds a constant to the key. A margin around
the occupied box keeps a neighbour's key from wrapping into the next row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_KEY = 2**62
"""Keys stay below this, so that key plus offset never leaves int64."""


@dataclass(frozen=True)
class Packing:
    """A mixed-radix packing.

    Attributes:
        low: smallest packable value of each column.
        steps: key difference of one step along each column; the last is 1.
    """

    low: tuple[int, ...]
    steps: tuple[int, ...]

    def pack(self, coords: Tensor) -> Tensor:
        """Return (N,) int64 keys of (N, D) integer rows; ordered as the rows are, first column slowest."""
        keys = torch.zeros(len(coords), dtype=torch.int64, device=coords.device)
        for column, low, step in zip(coords.unbind(1), self.low, self.steps, strict=True):
            keys += (column.to(torch.int64) - low) * step
        return keys

    def unpack(self, keys: Tensor) -> Tensor:
        """Return the (N, D) int32 rows that `pack` turned into `keys`."""
        columns = []
        for low, step in zip(self.low, self.steps, strict=True):
            digit = torch.div(keys, step, rounding_mode="floor")
            columns.append(digit + low)
            keys = keys - digit * step
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
        ValueError: the box has more cells than an int64 key can number; nothing overflows in silence.
    """
    if len(coords) == 0:
        return Packing((0,) * coords.shape[1], (1,) * coords.shape[1])
    lows, highs = (bound.tolist() for bound in torch.aminmax(coords, dim=0))
    low = tuple(value - margin for value in lows)
    steps, cells = [], 1
    for high, bottom in zip(reversed(highs), reversed(low), strict=True):
        steps.append(cells)
        cells *= high + margin - bottom + 1
    if cells >= MAX_KEY:
        raise ValueError(
            f"Coordinates from {lows} to {highs} span {cells:.1e} cells, more than the {MAX_KEY:.1e} that fit a key; "
            "lower the range or enlarge the voxels."
        )
    return Packing(low, tuple(reversed(steps)))
