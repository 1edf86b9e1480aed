"""Spatial-temporal consistency (CLIP2Scene, section 3.3): points of a cell of space agree, over sweeps and with pixels.

A pair is a point and the pixel that shows it. Pairs of a few sweeps, brought into one coordinate system, fall into
small cells. The text of a cell's class asks all its pixels and points at once for the cell's centre, and the points
are pulled to that. Nothing here depends on chance but what a generator draws; on CUDA, sums may differ in their last
bits from run to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.student.sparse.keys import distinct, nonzero, sort_stably
from clip2scene_training.config import SpaceTimeConfig
from clip2scene_training.losses import alone, mean_of_all, unit

EMPTY_SLOT = 0.5
"""1 - sigmoid(0): what the released code counts for a slot of a cell that no pair fills."""


class PixelProjection(nn.Module):
    """Image features to the student's space: a linear layer, then length 1 (CLIP2Scene, section 3.3).

    Args:
        image_dim: length of the teacher's features.
        embedding_dim: D, length of the student's.
        learn: the paper's layer learns; the released code's stays as it was drawn.
    """

    def __init__(self, image_dim: int, embedding_dim: int, learn: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(image_dim, embedding_dim).requires_grad_(learn)

    def forward(self, features: Tensor) -> Tensor:
        """(P, image_dim) -> (P, D), rows of length 1."""
        return unit(self.linear(features))


@dataclass(frozen=True, eq=False)
class Cells:
    """Pairs that count, by cell; M cells have one or more.

    Attributes:
        pairs: (Q,) int64 numbers of the pairs, ascending.
        cell: (Q,) int64 cell of each of these, 0..M-1.
        class_id: (M,) int64 class of each cell, the label of its first pair.
    """

    pairs: Tensor
    cell: Tensor
    class_id: Tensor

    def __len__(self) -> int:
        """Return the number of cells M."""
        return len(self.class_id)


def group(cell: Tensor, labels: Tensor, limit: int = 0, generator: torch.Generator | None = None) -> Cells:
    """Return the labelled pairs by cell; the class of a cell is the label of its first pair.

    Args:
        cell: (P,) int64 cell of each pair, any numbers of 0 or more.
        labels: (P,) integer class of each pair's pixel, 255 unknown: such a pair counts for nothing.
        limit: pairs of a cell that count; 0 for all.
        generator: on the CPU; draws those of an over-full cell. Without one, its first pairs count.

    Raises:
        ValueError: a negative cell.
    """
    known = nonzero(labels != UNKNOWN)
    keys = cell[known]
    low, high = (int(bound) for bound in keys.aminmax()) if len(keys) else (0, 0)
    if low < 0:
        raise ValueError(f"Expected cells of 0 or more, but got {low}.")
    _, cell, first = distinct(keys, high + 1)
    class_id = labels[known[first]].long()
    if not limit:
        return Cells(known, cell, class_id)
    rows = torch.arange(len(cell)) if generator is None else torch.randperm(len(cell), generator=generator)
    rows = rows.to(cell.device)
    ordered, order = sort_stably(cell[rows], max(len(first), 1))
    starts = torch.searchsorted(ordered, torch.arange(len(first), device=cell.device))
    place = torch.arange(len(ordered), device=cell.device) - starts[ordered]
    kept = rows[order[place < limit]].sort().values
    return Cells(known[kept], cell[kept], class_id)


def attend(features: list[Tensor], text: Tensor, cells: Cells, temperature: float = 1.0) -> Tensor:
    """Return the (M, D) centres of cells: one softmax over all features of a cell weighs them (equations 2 and 3).

    Args:
        features: of one kind or several (points, pixels), each (Q, D) float: rows of the pairs in `cells`.
        text: (C, D) text embeddings; that of a cell's class is the query.
        cells: what pairs they are of.
        temperature: lambda.
    """
    query = cells.class_id[cells.cell][:, None]
    scores = torch.stack([(kind @ text.T).gather(1, query).squeeze(1) for kind in features]) / temperature
    highest = scores.new_full((len(cells),), -torch.inf)
    highest = highest.scatter_reduce(0, cells.cell, scores.detach().amax(0), "amax")
    shares = (scores - highest[cells.cell]).exp()
    sums = shares.new_zeros(len(cells)).index_add(0, cells.cell, shares.sum(0))
    weights = shares / sums.index_select(0, cells.cell)
    centres = shares.new_zeros(len(cells), text.shape[1])
    for weight, kind in zip(weights, features, strict=True):
        centres = centres.index_add(0, cells.cell, weight[:, None] * kind)
    return centres


def space_time_loss(
    points: Tensor,
    pixels: Tensor | None,
    text: Tensor,
    cell: Tensor,
    labels: Tensor,
    config: SpaceTimeConfig,
    *,
    generator: torch.Generator | None = None,
    average: Callable[[Tensor], Tensor] = alone,
) -> Tensor:
    """Return the mean of 1 - sigmoid(p . f) over pairs, f being the centre of the pair's cell (equation 4).

    It is 0, with gradients of 0, where no pair is labelled. Pairs of a cell that is not over-full may come in any
    order, but for the first, whose label is the cell's class: put the key frame's pairs first.

    Args:
        points: (P, D) float of the local head, a row for each pair.
        pixels: (P, D) float of `PixelProjection`, which has given them length 1; None where `config.pixels` is off.
        text: (C, D) unit text embeddings, in the dtype of the points.
        cell: (P,) int64 space-time cell of each pair's point, unique over the batch (`PretrainSample.cell`).
        labels: (P,) integer class of each pair's pixel; 255 is ignored.
        config: settings.
        generator: on the CPU, for `pick` `random`.
        average: returns the mean of a tensor over all processes; the mean of what they return is the loss.

    Raises:
        BadConfig: `mean_over` `slots` without a limit.
        ValueError: what the settings ask for is missing, or shapes that do not fit.
    """
    _check(points, pixels, cell, labels, config, generator)
    cells = group(cell, labels, config.limit, generator if config.pick == "random" else None)
    own = points.index_select(0, cells.pairs)
    if config.centre == "normalized":
        own = unit(own)
    shown = [pixels.index_select(0, cells.pairs)] if config.pixels and pixels is not None else []
    centres = attend([own, *shown], text, cells, config.temperature)
    if config.centre == "normalized":
        centres = unit(centres)
    elif config.centre == "detached":
        centres = centres.detach()
    total = torch.sigmoid(-(own * centres.index_select(0, cells.cell)).sum(1)).sum()
    count = len(cells.pairs)
    if config.mean_over == "cells":
        count = len(cells)
    elif config.mean_over == "slots":
        count = config.limit * len(cells)
        total = total + EMPTY_SLOT * (count - len(cells.pairs))
    return mean_of_all(total, total.new_tensor(float(count)), average)


def cosine_loss(
    points: Tensor,
    pixels: Tensor,
    known: Tensor | None = None,
    *,
    average: Callable[[Tensor], Tensor] = alone,
) -> Tensor:
    """Return the mean of 1 - cos(pixel, point): the released code's form for ScanNet, which has no sweeps.

    Args:
        points: (P, D) float of the local head, a row for each pair.
        pixels: (P, D) float image features.
        known: (P,) bool, pairs that count, or None for all. Without any, the loss is 0, with gradients of 0.
        average: returns the mean of a tensor over all processes; the mean of what they return is the loss.
    """
    if known is not None:
        points, pixels = points[known], pixels[known]
    apart = 1 - functional.cosine_similarity(points, pixels, dim=1)
    return mean_of_all(apart.sum(), apart.new_tensor(float(len(apart))), average)


def _check(
    points: Tensor,
    pixels: Tensor | None,
    cell: Tensor,
    labels: Tensor,
    config: SpaceTimeConfig,
    generator: torch.Generator | None,
) -> None:
    n = len(points)
    if config.mean_over == "slots" and not config.limit:
        raise BadConfig("choice", "Setting `mean_over` can be `slots` only where `limit` says how many a cell has.")
    if config.pixels and (pixels is None or pixels.shape != points.shape):
        came = "none" if pixels is None else tuple(pixels.shape)
        raise ValueError(f"Expected `pixels` of shape {tuple(points.shape)}, as the points, but got {came}.")
    for name, value in (("cell", cell), ("labels", labels)):
        if value.shape != (n,):
            raise ValueError(f"Expected `{name}` of shape ({n},), one a pair, but got {tuple(value.shape)}.")
    if config.limit and config.pick == "random" and generator is None:
        raise ValueError("Expected a `generator`, since setting `pick` is `random`.")
