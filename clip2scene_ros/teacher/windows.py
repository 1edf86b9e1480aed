"""Images become windows of the size that CLIP learned at, and what it sees in them one map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadConfig

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Tiling:
    """Where windows lie in an image whose sides are multiples of the patch.

    Attributes:
        window: height and width of all of them [px].
        corners: upper left corners (row, column) [px], multiples of the patch.
    """

    window: Size
    corners: tuple[Size, ...]


def tile(size: Size, patch: Size, learned: Size, config: DenseConfig) -> Tiling:
    """Cover an image with windows, the last ones flush with its far edges; `whole` is one window.

    Args:
        size: height and width of the image, multiples of the patch [px].
        patch: height and width of a patch [px].
        learned: the size that the model learned at [px].
        config: mode, window and overlap.

    Raises:
        BadConfig: a window smaller than a patch.
    """
    if config.mode == "whole":
        return Tiling(size, ((0, 0),))
    wanted = (config.window_px, config.window_px) if config.window_px else learned
    if min(w - p for w, p in zip(wanted, patch, strict=True)) < 0:
        raise BadConfig("window", f"Setting `window_px` expects at least a patch, {max(patch)}, but got {wanted}.")
    window = tuple(min(s, w - w % p) for s, w, p in zip(size, wanted, patch, strict=True))
    rows, columns = (
        _starts(s, w, max(p, round(w * (1 - config.overlap) / p) * p))
        for s, w, p in zip(size, window, patch, strict=True)
    )
    return Tiling((window[0], window[1]), tuple((r, c) for r in rows for c in columns))


def _starts(length: int, window: int, stride: int) -> list[int]:
    return [*range(0, length - window, stride), length - window]


def parse_scales(text: str) -> tuple[float, ...]:
    """Return the factors in `0.5, 1, 2`.

    Raises:
        BadConfig: no numbers, or some that are not in [0.05, 20].
    """
    try:
        factors = tuple(float(part) for part in text.split(","))
    except ValueError:
        factors = ()
    if not factors or not all(0.05 <= factor <= 20 for factor in factors):
        raise BadConfig("scales", f"Setting `scales` expects numbers in [0.05, 20], such as '0.5, 1, 2', not {text!r}.")
    return factors


def scaled_size(size: Size, short_side_px: int, factor: float) -> Size:
    """Return the size whose short side is `short_side_px` (0: as it is) times `factor`, at least 1 px."""
    ratio = factor * (short_side_px / min(size) if short_side_px else 1.0)
    return (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)))


def resized(images: Tensor, size: Size) -> Tensor:
    """Return (B, 3, h, w) images in [0, 1] at another size, smoothed where they shrink."""
    if images.shape[2:] == size:
        return images
    return functional.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp_(0, 1)


def padded(images: Tensor, patch: Size, fill: Tensor) -> Tensor:
    """Return (B, 3, H, W) images with the colour `fill` (3, 1, 1) below and to the right, so that patches fit."""
    height, width = images.shape[2:]
    bottom, right = -height % patch[0], -width % patch[1]
    if not (bottom or right):
        return images
    canvas = fill.expand(len(images), -1, height + bottom, width + right).clone()
    canvas[:, :, :height, :width] = images
    return canvas


class Mosaic:
    """One map of many windows that overlap: what they say on the whole, by weight."""

    def __init__(self, grid: Size, window: Size, blend: str) -> None:
        """Make an empty one; `grid` and `window` are in patches."""
        down, across = (_taper(n) if blend == "taper" else torch.ones(n) for n in window)
        self._grid, self._weight = grid, torch.outer(down, across)[..., None]
        self._sum: Tensor | None = None

    def add(self, corner: Size, values: Tensor) -> None:
        """Add (h, w, D) values of the window whose upper left patch is `corner`."""
        if self._sum is None:
            self._sum = torch.zeros(*self._grid, values.shape[-1], device=values.device)
            self._weight = self._weight.to(values.device)
        (top, left), (height, width) = corner, values.shape[:2]
        self._sum[top : top + height, left : left + width] += values * self._weight

    def unit(self) -> Tensor:
        """Return (H, W, D) the weighted mean, each row brought to length 1."""
        if self._sum is None:
            raise ValueError("Expected at least one window, but none was added.")
        return functional.normalize(self._sum, dim=-1)  # so that the sum serves as well as the mean


def _taper(n: int) -> Tensor:
    """Return a triangle over n patches, 1 in the middle and never 0."""
    half = (n + 1) / 2
    return 1 - (torch.arange(1, n + 1) - half).abs() / half
