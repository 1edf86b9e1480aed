"""Images are cropped, resized and mirrored, and the pixels of pairs go with them.

A pixel (row, column) has its middle at integers, so column c of a crop that begins at column `left` and is resized from
`width` to `out` columns is column (c - left + 0.5) * out / width - 0.5 there, and out - 1 minus that once mirrored.

Source: Sautier et al., SLidR (CVPR 2022), whose image augmentation CLIP2Scene uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from clip2scene_ros.frame import Array
from clip2scene_training.config import ImageAugmentConfig


@dataclass(frozen=True)
class Crop:
    """A part of an image, resized, perhaps mirrored.

    Attributes:
        top, left, height, width: the part [px].
        out_height, out_width: what it becomes [px].
        mirrored: left and right change places, after resizing.
    """

    top: int
    left: int
    height: int
    width: int
    out_height: int
    out_width: int
    mirrored: bool = False

    def holds(self, pixel: Array) -> Array:
        """Return (P,) bool, which of (P, 2) rows and columns lie in a pixel of the part."""
        row, column = pixel[:, 0] + 0.5 - self.top, pixel[:, 1] + 0.5 - self.left
        inside: Array = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        return inside

    def moved(self, pixel: Array) -> Array:
        """Return (P, 2) float32 rows and columns in the new image of (P, 2) in the old one."""
        row, column = pixel.astype(np.float64).T
        row = (row - self.top + 0.5) * (self.out_height / self.height) - 0.5
        column = (column - self.left + 0.5) * (self.out_width / self.width) - 0.5
        column = self.out_width - 1 - column if self.mirrored else column
        return np.stack([row, column], axis=1).astype(np.float32)

    def drawn(self, image: Array) -> Array:
        """Return the new (out_height, out_width, C) image of an (H, W, C) one, uint8 or float32."""
        part = image[self.top : self.top + self.height, self.left : self.left + self.width]
        channels = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None]
        size = (self.out_height, self.out_width)
        resized = functional.interpolate(channels, size, mode="bilinear", align_corners=False, antialias=True)
        result: Array = resized[0].permute(1, 2, 0).numpy()
        return np.ascontiguousarray(result[:, ::-1] if self.mirrored else result)


def draw_crop(size: tuple[int, int], pixel: Array, config: ImageAugmentConfig, rng: np.random.Generator) -> Crop:
    """Draw a crop in which enough pairs remain; the whole image where none of `config.tries` has them.

    Args:
        size: height and width of the image [px].
        pixel: (P, 2) rows and columns of the image's pairs.
        config: sizes, shapes, and what is enough.
        rng: source of the crop.
    """
    mirrored = bool(rng.integers(2)) and config.flip  # drawn whether used or not, so that the switch shifts no seeds
    for _ in range(config.tries):
        crop = _any_crop(size, config, mirrored, rng)
        kept = int(crop.holds(pixel).sum()) if crop is not None else 0
        if crop is not None and (kept > config.keep_pairs or kept > config.keep_share * len(pixel) or not len(pixel)):
            return crop
    return Crop(0, 0, size[0], size[1], config.height, config.width, mirrored)


def _any_crop(
    size: tuple[int, int], config: ImageAugmentConfig, mirrored: bool, rng: np.random.Generator
) -> Crop | None:
    """Draw area and shape, then a place; None where it does not fit into the image."""
    area = rng.uniform(config.least_area, 1.0) * size[0] * size[1]
    ratio = math.exp(rng.uniform(math.log(config.least_ratio), math.log(config.most_ratio)))
    height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
    if not (0 < height <= size[0] and 0 < width <= size[1]):
        return None
    top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
    return Crop(top, left, height, width, config.height, config.width, mirrored)
