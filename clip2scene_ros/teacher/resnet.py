"""CLIP's convolutional image towers, read out cell by cell: open_clip's ModifiedResNet, its last pooling taken apart.

These towers have attention in one place only: where they pool their last map into one vector. MaskCLIP (Zhou et al.,
ECCV 2022) reads each cell through that layer's value and output projections; the other affinities work there as well.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.teacher.attention import Grid, attend, relation, stretched

CELL_PX = 32
"""Pixels that a cell of the last map stands for, down and across."""


def is_resnet(visual: Any) -> bool:  # noqa: ANN401 - any of open_clip's towers
    """Return whether an image tower is a ModifiedResNet (RN50, RN101, RN50x4, ...)."""
    return hasattr(visual, "layer4") and hasattr(getattr(visual, "attnpool", None), "c_proj")


def cell_features(
    visual: Any,  # noqa: ANN401
    pixels: Tensor,
    config: DenseConfig,
    external: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what CLIP sees in each cell; the first row of what `qk` gives is the image's own vector.

    1. The map of the last layer, its mean before it as a class token, position embeddings stretched to the image.
    2. The pooling's attention: values are mixed by another affinity. `full` and `reduced` are the same here, there is
       neither a residual nor an MLP.
    3. The output projection, which leads into the space of text.

    Args:
        visual: open_clip's ModifiedResNet in eval mode.
        pixels: (B, 3, H, W) normalised, H and W multiples of 32.
        config: affinity.
        external: (B, d, h', w') features of another network for the affinity `external`, of any resolution.

    Returns:
        (B, h, w, D) unit features; (B, h, w, width) cells before the projections; (B, N, width) keys.
    """
    middle = visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels))))
    cells = visual.layer4(middle)
    grid: Grid = (cells.shape[2], cells.shape[3])
    x = embedded(visual.attnpool, cells)
    q, k, v = heads_of(visual.attnpool, x)
    related = relation(config, functional.adaptive_avg_pool2d(middle, grid).flatten(2).transpose(1, 2), external, grid)
    mixed = attend(q, k, v, grid, config, related)
    features = visual.attnpool.c_proj(mixed.transpose(1, 2).flatten(2))[:, 1:]
    unit = functional.normalize(features.float(), dim=-1)
    b, (h, w) = len(unit), grid
    keys = k.transpose(1, 2).flatten(2)[:, 1:].float()
    return unit.view(b, h, w, -1), cells.permute(0, 2, 3, 1).float(), keys


def image_and_cells(visual: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Return (B, D) what a tower says of whole images, and (B, N, D) of each cell read as `identity`, not yet unit."""
    pool = visual.attnpool
    q, k, v = heads_of(
        pool, embedded(pool, visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(pixels))))))
    )
    whole = functional.scaled_dot_product_attention(q[:, :, :1], k, v)
    said: Tensor = pool.c_proj(torch.cat([whole, v[:, :, 1:]], dim=2).transpose(1, 2).flatten(2))
    return said[:, 0], said[:, 1:]


def embedded(pool: Any, cells: Tensor) -> Tensor:  # noqa: ANN401 - open_clip's AttentionPool2d
    """Return (B, 1 + N, width): the mean of (B, width, h, w) cells, then the cells, with position embeddings."""
    grid: Grid = (cells.shape[2], cells.shape[3])
    x = cells.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], dim=1)
    side = round((len(pool.positional_embedding) - 1) ** 0.5)
    return x + stretched(pool.positional_embedding, (side, side), grid).to(x.dtype)


def heads_of(pool: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
    """Return queries, keys and values (B, heads, T, d) of the pooling for its input (B, T, width)."""
    b, t, _ = x.shape
    q, k, v = (
        part(x).view(b, t, pool.num_heads, -1).transpose(1, 2) for part in (pool.q_proj, pool.k_proj, pool.v_proj)
    )
    return q, k, v
