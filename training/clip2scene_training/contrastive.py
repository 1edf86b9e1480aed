"""Photos and captions: crops, the phrases of a caption, and the loss that tells which phrase belongs to which crop."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_training.config import TrainClipConfig
from clip2scene_training.photos.captions import JOINS

JOINTS = re.compile("|".join(rf"(?:{re.escape(join)})" for join in sorted(set(JOINS), key=len, reverse=True)))
"""Where one thing in a caption ends and the next begins: commas, `and`, `with`, `next to`, ..."""
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
    return relit(framed(images, config, rng), config, rng)


def framed(images: Tensor, config: TrainClipConfig, rng: np.random.Generator) -> Tensor:
    """Return crops as `crops` does, in the light as it was, of (B, H, W, C) uint8: (B * views, C, S, S) float32."""
    n, size = len(images) * config.views, config.towers.window_px
    finer = max(1, round(images.shape[1] / size / 1.5))  # then averaged, so that a large crop does not flicker
    side = np.exp(rng.uniform(math.log(config.crop), 0.0, n))
    middle = rng.uniform(-1, 1, (n, 2)) * (1 - side[:, None])
    turn = np.zeros((n, 2, 3))
    turn[:, 0, 0], turn[:, 1, 1], turn[:, :, 2] = side * rng.choice([-1, 1], n), side, middle
    grid = functional.affine_grid(
        torch.from_numpy(turn).float().to(images.device),
        [n, images.shape[3], finer * size, finer * size],
        align_corners=False,
    )
    photos = images.permute(0, 3, 1, 2).float().div(255).repeat_interleave(config.views, 0)
    fine = functional.grid_sample(photos, grid, padding_mode="border", align_corners=False)
    return functional.avg_pool2d(fine, finer)


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


def phrases_of(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """Return the different phrases of some captions, and (B, T) bool which caption has which.

    A caption that names three things is three statements about its photo, as in GroupViT (Xu et al., CVPR 2022).
    """
    numbers: dict[str, int] = {}
    said = [
        [numbers.setdefault(phrase, len(numbers)) for phrase in JOINTS.split(caption) if phrase] for caption in captions
    ]
    own = torch.zeros(len(captions), len(numbers), dtype=torch.bool)
    for row, found in zip(own, said, strict=True):
        row[found] = True
    return list(numbers), own


def cell_scores(cells: Tensor, texts: Tensor, sharpness: float) -> Tensor:
    """Return (B, T) how well each text fits some cell of each image: 1/s log mean exp(s cosine) over its cells.

    With it a caption need not fit all of a photo, and what is said of a cell is said of that cell: multiple instances,
    of which one is enough.

    Args:
        cells: (B, N, D) unit vectors.
        texts: (T, D) unit vectors.
        sharpness: s; 0 would be the mean, infinity the best cell.
    """
    cosines = cells @ texts.T
    return (torch.logsumexp(sharpness * cosines, 1) - math.log(cells.shape[1])) / sharpness


def contrastive_loss(logits: Tensor, own: Tensor) -> Tensor:
    """Return CLIP's loss (Radford et al., 2021): the mean of finding the texts of an image and the images of a text.

    Args:
        logits: (B, T) of B images and T texts.
        own: (B, T) bool, which text belongs to which image; several may, and each has at least one.
    """
    match = own.to(logits)
    to_text = functional.cross_entropy(logits, match / match.sum(1, keepdim=True))
    to_image = functional.cross_entropy(logits.T, (match / match.sum(0, keepdim=True)).T)
    return (to_text + to_image) / 2
