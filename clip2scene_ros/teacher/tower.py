"""CLIP's image tower, read out patch by patch: open_clip's own modules, the last block taken apart."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.teacher.attention import Grid, attend, heads_of, projected, relation, stretched
from clip2scene_ros.teacher.resnet import CELL_PX, cell_features, is_resnet

OFFICIAL_EPSILON = 1e-6


def check_tower(visual: Any) -> None:  # noqa: ANN401 - any of open_clip's towers
    """Check that an image tower is one that `patch_features` takes apart: a plain ViT, or a ModifiedResNet.

    Raises:
        BadTeacher: `tower`.
    """
    blocks = getattr(getattr(visual, "transformer", None), "resblocks", None) or [None]
    plain = isinstance(getattr(blocks[-1], "attn", None), nn.MultiheadAttention)
    if not is_resnet(visual) and not (
        plain and hasattr(visual, "class_embedding") and getattr(visual, "attn_pool", None) is None
    ):
        raise BadTeacher(
            "tower",
            "Dense features need open_clip's own VisionTransformer with plain attention blocks (ViT-B-16, ViT-B-32, "
            f"ViT-L-14, ...) or ModifiedResNet (RN50, ...), but this model's image tower is a {type(visual).__name__}: "
            "timm models and transformers that pool by attention have no last attention to exchange. Choose another "
            "`model`.",
        )


def patch_size(visual: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return how many pixels a patch, or a cell of a ModifiedResNet's last map, stands for: down, across."""
    return (CELL_PX, CELL_PX) if is_resnet(visual) else (visual.patch_size[0], visual.patch_size[1])


def learned_size(visual: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return the height and width that a tower learned at [px]."""
    size = visual.image_size
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def official_tower(visual: nn.Module) -> nn.Module:
    """Return a copy that computes as CLIP2Scene's code does: exact GELU and epsilon 1e-6, whatever it learned with."""
    visual = copy.deepcopy(visual)
    for module in visual.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = OFFICIAL_EPSILON
        if hasattr(module, "gelu"):
            module.gelu = nn.GELU()
    return visual


def patch_features(
    visual: Any,  # noqa: ANN401
    pixels: Tensor,
    config: DenseConfig,
    external: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what CLIP sees in each patch; a ModifiedResNet goes to `cell_features`, a ViT this way.

    1. Patches, the class token, position embeddings stretched to the image, the first norm.
    2. All blocks but the last, as they are.
    3. The last: values are mixed by another affinity; `full` keeps residual and MLP, `reduced` drops them.
    4. The last norm, the class token dropped, the projection into the space of text.

    Args:
        visual: open_clip's VisionTransformer or ModifiedResNet in eval mode.
        pixels: (B, 3, H, W) normalised, H and W multiples of the patch.
        config: read-out and affinity.
        external: (B, d, h', w') features of another network for the affinity `external`, of any resolution.

    Returns:
        (B, h, w, D) unit features; (B, h, w, width) tokens before the projection; (B, N, width) keys, both of which
        CLIP2Scene's code has uses for.
    """
    if is_resnet(visual):
        return cell_features(visual, pixels, config, external)
    x, grid = _embedded(visual, pixels)
    *blocks, last = visual.transformer.resblocks
    middle = x
    for number, block in enumerate(blocks, start=1):
        x = block(x) if getattr(visual.transformer, "batch_first", True) else block(x.transpose(0, 1)).transpose(0, 1)
        if number == middle_block(len(blocks) + 1):
            middle = x
    q, k, v = heads_of(last, last.ln_1(x))
    o = last.ls_1(projected(last, attend(q, k, v, grid, config, relation(config, middle[:, 1:], external, grid))))
    y = o
    if config.read_out == "full":
        y = x + o
        y = y + last.ls_2(last.mlp(last.ln_2(y)))
    tokens = visual.ln_post(y)[:, 1:]
    features = tokens if visual.proj is None else tokens @ visual.proj
    # The official code sends keys through the output projection as well.
    keys = projected(last, k) if config.official else k.transpose(1, 2).flatten(2)
    unit = functional.normalize(features.float(), dim=-1)
    b, (h, w) = len(unit), grid
    return unit.view(b, h, w, -1), tokens.float().reshape(b, h, w, -1), keys[:, 1:].float()


def middle_block(blocks: int) -> int:
    """Return the number, from 1, of the block whose tokens relate patches best: the 9th of 12 (SC-CLIP)."""
    return max(1, 3 * blocks // 4)


def _embedded(visual: Any, pixels: Tensor) -> tuple[Tensor, Grid]:  # noqa: ANN401
    patches = visual.conv1(pixels)
    grid = (patches.shape[2], patches.shape[3])
    patches = patches.flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
    positions = stretched(visual.positional_embedding, tuple(visual.grid_size), grid).to(patches.dtype)
    x: Tensor = visual.ln_pre(torch.cat([first, patches], dim=1) + positions)
    return x, grid
