"""The last block of CLIP's image tower with its attention exchanged, which makes patch features local.

Notation: T = 1 + N tokens, the class token first, N = h * w patches in rows; q, k, v (B, heads, T, d).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadTeacher

Grid = tuple[int, int]
"""Patches down and across."""


def heads_of(block: nn.Module, normed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values (B, heads, T, d) of a block, for its normed input (B, T, width)."""
    attention: nn.MultiheadAttention = block.attn  # type: ignore[assignment]
    b, t, _ = normed.shape
    qkv = functional.linear(normed, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = qkv.view(b, t, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    return q, k, v


def projected(block: nn.Module, heads: Tensor) -> Tensor:
    """Return (B, T, width): heads (B, heads, T, d) side by side, through the block's output projection."""
    b, _, t, _ = heads.shape
    out: Tensor = block.attn.out_proj(heads.transpose(1, 2).reshape(b, t, -1))  # type: ignore[union-attr,operator]
    return out


def attend(q: Tensor, k: Tensor, v: Tensor, grid: Grid, config: DenseConfig, relation: Tensor | None = None) -> Tensor:
    """Return A v (B, heads, T, d) with the affinity A that `config` names; every row of A sums to 1, SCLIP's to 2.

    - `qk`: CLIP's own. `identity`: a patch hears itself (MaskCLIP). `qq`, `kk`: like hears like (ClearCLIP has qq).
    - `sclip`: qq + kk (Wang et al., SCLIP). `naclip`: kk, and neighbours sooner (Hajimiri et al., NACLIP).
    - `external`: `relation`, the affinity that another network gives (Lan et al., ProxyCLIP).
    - `clip_mid`: half kk, half `relation`, which is of CLIP's own middle tokens (after SC-CLIP).

    Args:
        q: (B, heads, T, d) queries of the last block.
        k: its keys.
        v: its values.
        grid: patches down and across, N in all.
        config: `affinity` and `sigma` are read.
        relation: (B, N, N) rows that sum to 1, for `external` and `clip_mid`.
    """
    attention = functional.scaled_dot_product_attention
    match config.affinity:
        case "identity":
            return v
        case "qk":
            return attention(q, k, v)
        case "qq":
            return attention(q, q, v)
        case "kk":
            return attention(k, k, v)
        case "sclip":
            return attention(q, q, v) + attention(k, k, v)
        case "naclip":
            return attention(k, k, v, attn_mask=neighbourhood(grid, config.sigma).to(q))
    if relation is None:
        raise ValueError(f"Expected a relation of patches for the affinity `{config.affinity}`, but got none.")
    related = torch.cat([v[:, :, :1], relation[:, None].to(v) @ v[:, :, 1:]], dim=2)
    return related if config.affinity == "external" else (related + attention(k, k, v)) / 2


def neighbourhood(grid: Grid, sigma: float) -> Tensor:
    """Return (T, T) what NACLIP adds before the softmax: exp(-distance² / 2 sigma²), 0 from and to the class token."""
    rows, columns = (torch.arange(n, dtype=torch.float32) for n in grid)
    places = torch.cartesian_prod(rows, columns)
    near = torch.exp(-(torch.cdist(places, places) ** 2) / (2 * sigma**2))
    return functional.pad(near, (1, 0, 1, 0))


def relation_of(tokens: Tensor, gamma: float, beta: float) -> Tensor:
    """Return (B, N, N) the affinity of patches by the cosine S of some features: softmax(gamma (S - beta mean S)).

    Entries below 0 are left out (ProxyCLIP, equation 5). A patch always hears itself, also where all are so alike
    that nothing reaches beta means.

    Args:
        tokens: (B, N, d) features of the patches.
        gamma: sharpness; 0 makes every patch hear all alike.
        beta: how many means a cosine must reach.
    """
    unit = functional.normalize(tokens.float(), dim=-1)
    cosine = unit @ unit.transpose(1, 2)
    above = gamma * (cosine - beta * cosine.mean((1, 2), keepdim=True))
    left_out = (above < 0) & ~torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device)
    return above.masked_fill(left_out, -torch.inf).softmax(-1)


def relation(config: DenseConfig, middle: Tensor, external: Tensor | None, grid: Grid) -> Tensor | None:
    """Return (B, N, N) how patches relate for `clip_mid` and `external`, None for the affinities that need none.

    Args:
        config: `affinity`, `gamma` and `beta` are read.
        middle: (B, N, d) CLIP's own tokens from its middle.
        external: (B, d, h', w') features of another network, of any resolution.
        grid: patches down and across, N in all.

    Raises:
        BadTeacher: `external`: the affinity needs features that were not given.
    """
    if config.affinity == "clip_mid":
        return relation_of(middle, config.gamma, config.beta)
    if config.affinity != "external":
        return None
    if external is None:
        raise BadTeacher(
            "external", "The affinity `external` needs another network's features, but none were given to DenseClip."
        )
    resized = functional.interpolate(external.float(), grid, mode="bilinear", align_corners=False)
    return relation_of(resized.flatten(2).transpose(1, 2), config.gamma, config.beta)


def stretched(positions: Tensor, learned: Grid, grid: Grid) -> Tensor:
    """Return (1 + h w, width) position embeddings for another grid, bicubic, without moving the corners' centres.

    Args:
        positions: (1 + N, width), the class token's first.
        learned: the grid that they were learned on.
        grid: the grid wanted.
    """
    if grid == learned:
        return positions
    places = positions[1:].float().T.reshape(1, -1, *learned)
    places = functional.interpolate(places, grid, mode="bicubic", align_corners=False)
    return torch.cat([positions[:1].float(), places[0].flatten(1).T])
