"""Pairs of pictures and captions: crops of photos, and the loss that tells which caption belongs to which crop."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_training.config import TrainClipConfig

FINER = 2
"""Crops are sampled so much finer than needed and averaged, so that a large crop does not flicker."""
LUMA = (0.30, 0.59, 0.11)


def crops(images: Tensor, config: TrainClipConfig, rng: np.random.Generator) -> Tensor:
    """Return square random crops of photos, mirrored every second time, in varied light.

    Args:
        images: (B, H, W, 3) uint8.
        config: settings.
        rng: of everything that is drawn.

    Returns:
        (B * views, 3, S, S) float32 in [0, 1], the crops of a photo after one another.
    """
    n, size = len(images) * config.views, config.towers.window_px
    side = np.exp(rng.uniform(math.log(config.crop), 0.0, n))
    middle = rng.uniform(-1, 1, (n, 2)) * (1 - side[:, None])
    turn = np.zeros((n, 2, 3))
    turn[:, 0, 0], turn[:, 1, 1], turn[:, :, 2] = side * rng.choice([-1, 1], n), side, middle
    grid = functional.affine_grid(
        torch.from_numpy(turn).float().to(images.device), [n, 3, FINER * size, FINER * size], align_corners=False
    )
    photos = images.permute(0, 3, 1, 2).float().div(255).repeat_interleave(config.views, 0)
    fine = functional.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    return relit(functional.avg_pool2d(fine, FINER), config, rng)


def relit(pixels: Tensor, config: TrainClipConfig, rng: np.random.Generator) -> Tensor:
    """Return (N, 3, S, S) pixels in another light: brighter or darker, more or less contrast and colour, tinted."""
    n = len(pixels)

    def drawn(spread: float, *shape: int) -> Tensor:
        return torch.from_numpy(np.exp(rng.normal(0.0, spread, shape))).float().to(pixels.device)

    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * drawn(config.light, n, 1, 1, 1)
    luma = (pixels * pixels.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    pixels = luma + (pixels - luma) * drawn(config.light, n, 1, 1, 1)
    pixels = pixels * drawn(config.light, n, 1, 1, 1) * drawn(config.tint, n, 3, 1, 1)
    if config.grain:
        noise = rng.standard_normal(tuple(pixels.shape), dtype=np.float32)
        pixels = pixels + config.grain * torch.from_numpy(noise).to(pixels.device)
    return pixels.clamp(0, 1)


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Return CLIP's loss (Radford et al., 2021): the mean of finding the text of an image and the images of a text.

    Captions that are word for word the same belong to each other's images as much as to their own.

    Args:
        images: (B * V, D) unit vectors, V views of a photo after one another.
        texts: (B, D) unit vectors.
        scale: scalar, multiplies the cosines.
        same: (B, B) bool, which captions are the same; true on the diagonal.
    """
    views = len(images) // len(texts)
    logits = scale * images @ texts.T
    match = same.repeat_interleave(views, 0).to(logits)
    to_text = functional.cross_entropy(logits, match / match.sum(1, keepdim=True))
    to_image = functional.cross_entropy(logits.T, (match / match.sum(0, keepdim=True)).T)
    return (to_text + to_image) / 2


def same_captions(tokens: Tensor) -> Tensor:
    """Return (B, B) bool: which of (B, L) captions are the same word for word."""
    return (tokens[:, None] == tokens[None]).all(-1)
