"""Superpixels: an image divided into patches of like colour (SLIC), numpy only.

Achanta et al.: SLIC superpixels compared to state-of-the-art superpixel methods, PAMI 2012. SLidR takes scikit-image's,
which would bring scikit-image, ImageIO, tifffile, lazy-loader and SciPy for this one function. Here a pixel chooses
among the centres of its own grid cell and the eight around it, wherever these have moved to, and a superpixel may be
in several pieces: means over it do not mind.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.frame import Array
from clip2scene_training.pairs import nearest
from clip2scene_training.rival_config import SuperpixelConfig

XYZ_FROM_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = XYZ_FROM_RGB.sum(axis=1)
"""Of sRGB: illuminant D65."""


def superpixels(image: Array, config: SuperpixelConfig) -> Array:
    """Return (H, W) int64 superpixel of each pixel, 0 and up; a few numbers may have no pixel.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: how many, how compact.
    """
    height, width = image.shape[:2]
    edge = max(np.sqrt(height * width / config.count), 1.0)
    shape = max(round(height / edge), 1), max(round(width / edge), 1)
    rows, columns = np.mgrid[:height, :width]
    home = (rows * shape[0] // height, columns * shape[1] // width)
    # all in units in which one is as far as the other: a colour's difference against that of places
    place = np.stack([rows, columns], axis=-1) * (config.compactness / edge)
    values = np.concatenate([_blurred(lab(image), config.blur * edge), place], axis=-1).reshape(height * width, -1)
    chosen = (home[0] * shape[1] + home[1]).ravel()
    blocks, around = _blocks(chosen, shape[0] * shape[1]), _around(shape)
    inside, centres = values[blocks], np.zeros((len(around), values.shape[1]))
    for _ in range(config.rounds):
        centres = _means(values, chosen, centres)
        chosen[blocks] = _nearest_around(inside, centres, around)
    regions: Array = chosen.reshape(height, width)
    return regions


def superpixels_of_pairs(
    images: Sequence[Tensor], pair_view: Tensor, pair_pixel: Tensor, config: SuperpixelConfig
) -> Tensor:
    """Return (P,) int64 superpixel of each pair's pixel, unique over a batch.

    Args:
        images: of a `PretrainSample`, (H, W, 3) uint8, as `pair_view` counts them.
        pair_view: (P,) int64 image of each pair.
        pair_pixel: (P, 2) row and column in it.
        config: how many, how compact.

    Raises:
        ValueError: a pair in an image that is not there: setting `images.give` has to be `crops` or `whole`.
    """
    view, pixel = pair_view.cpu().numpy(), pair_pixel.cpu().numpy()
    if len(view) and view.max() >= len(images):
        raise ValueError(
            f"Expected {int(view.max()) + 1} images or more, which the pairs are in, but got {len(images)}."
        )
    found, before = np.zeros(len(view), np.int64), 0
    for number, image in enumerate(images):
        regions = superpixels(image.cpu().numpy(), config)
        mine = np.flatnonzero(view == number)
        row, column = nearest(pixel[mine], (regions.shape[0], regions.shape[1])).T
        found[mine] = regions[row, column] + before
        before += int(regions.max()) + 1
    return torch.from_numpy(found).to(pair_view.device)


def lab(image: Array) -> Array:
    """Return (H, W, 3) float64 CIE L*a*b* of (H, W, 3) uint8 sRGB: distances are as far as they look.

    Source: IEC 61966-2-1 (sRGB), CIE 15 (L*a*b*).
    """
    table = np.arange(256) / 255
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    share = linear[image] @ (XYZ_FROM_RGB / WHITE[:, None]).T
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _blurred(values: Array, sigma: float) -> Array:
    """Return (H, W, D) values under a Gaussian; the border goes on outside."""
    reach = int(3 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    for axis in (0, 1):
        size = values.shape[axis]
        padded = np.pad(values, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
        parts = (w * padded.take(range(k, k + size), axis) for k, w in enumerate(weights / weights.sum()))
        values = sum(parts, np.zeros_like(values))
    return values


def _means(values: Array, chosen: Array, before: Array) -> Array:
    """Return (K, D) means of each centre's pixels; one without any stays where it was."""
    count = np.bincount(chosen, minlength=len(before))
    sums = np.stack([np.bincount(chosen, column, len(before)) for column in values.T], axis=1)
    means: Array = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], before)
    return means


def _blocks(home: Array, cells: int) -> Array:
    """Return (K, M) the pixels of each grid cell; cells with fewer than M repeat their first."""
    order, count = np.argsort(home, kind="stable"), np.bincount(home, minlength=cells)
    starts = np.cumsum(count) - count
    place = np.arange(count.max())
    blocks: Array = order[starts[:, None] + np.where(place < count[:, None], place, 0)]
    return blocks


def _around(shape: tuple[int, int]) -> Array:
    """Return (K, 9) the cells around each of a grid and itself; at the border some come twice."""
    row, column = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    near = [
        np.clip(row + down, 0, shape[0] - 1) * shape[1] + np.clip(column + right, 0, shape[1] - 1)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    return np.stack(near, axis=1)


def _nearest_around(values: Array, centres: Array, around: Array) -> Array:
    """Return (K, M) int64 the nearest of the nine centres around to each of a cell's pixels, (K, M, D) `values`."""
    near = centres[around]
    # |v - c|^2 without |v|^2, which is the same for all nine
    away = (near * near).sum(axis=2)[:, None] - 2 * values @ near.transpose(0, 2, 1)
    chosen: Array = np.take_along_axis(around, away.argmin(axis=2), axis=1)
    return chosen
