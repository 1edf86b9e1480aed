"""Colours of raw camera pixels: YUV and Bayer mosaics become RGB."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_ros.frame import Array

# BT.601, limited range (Y 16..235, U and V 16..240), times 2^20: the integers of OpenCV's cvtColor
# (modules/imgproc/src/color_yuv.simd.hpp), which cv_bridge, and so every ROS node, converts with.
SHIFT = 20
CY, CUB, CUG, CVG, CVR = 1_220_542, 2_116_026, -409_993, -852_492, 1_673_527

BAND = 64  # rows converted at a time; even, as Bayer and 4:2:0 rows come in pairs


def in_bands(width: int, height: int, read: Callable[[int, int], Array]) -> Array:
    """Return (H, W, 3) uint8 put together from `read(top, bottom)`, so that intermediate arrays stay small."""
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND):
        bottom = min(top + BAND, height)
        image[top:bottom] = read(top, bottom)
    return image


def rgb_from_yuv(y: Array, u: Array, v: Array, across: int, down: int) -> Array:
    """Return (H, W, 3) uint8 RGB of BT.601 limited-range pixels, each colour repeated over the pixels that share it.

    Args:
        y: (H, W) uint8, brightness.
        u: (ceil(H / down), ceil(W / across)) uint8, colour.
        v: like u.
        across: pixels of a row that share a colour.
        down: rows that share a colour.
    """
    height, width = y.shape
    light = np.maximum(y.astype(np.int32) - 16, 0) * CY + (1 << (SHIFT - 1))
    u, v = u.astype(np.int32) - 128, v.astype(np.int32) - 128
    rgb = np.empty((height, width, 3), np.uint8)
    for channel, colour in enumerate((CVR * v, CUG * u + CVG * v, CUB * u)):
        for pixels_share, axis in ((down, 0), (across, 1)):
            colour = np.repeat(colour, pixels_share, axis) if pixels_share > 1 else colour
        rgb[..., channel] = np.clip((light + colour[:height, :width]) >> SHIFT, 0, 255)
    return rgb


def demosaic(mosaic: Array, red: tuple[int, int], top: int, bottom: int) -> Array:
    """Return rows top..bottom of a Bayer mosaic as (bottom - top, W, 3) RGB of the mosaic's dtype.

    Bilinear: a colour that a pixel lacks is the mean of the pixels of that colour that touch it, rounded half up.
    Behind the border stand the pixels mirrored at the outermost row or column.

    Args:
        mosaic: (H, W) uint8 or uint16, at least 2 x 2.
        red: row and column of a red pixel, each 0 or 1.
        top: first row to return; even.
        bottom: one after the last row to return.
    """
    height, width, rows = *mosaic.shape, bottom - top
    halo = np.abs(np.arange(top - 1, bottom + 1))
    halo = np.where(halo < height, halo, 2 * height - 2 - halo)
    wide = np.uint16 if mosaic.dtype == np.uint8 else np.uint32  # holds the sum of four pixels
    pixels = np.pad(mosaic[halo].astype(wide), ((0, 0), (1, 1)), mode="reflect")
    rgb = np.empty((rows, width, 3), mosaic.dtype)
    for row in range(min(2, rows)):
        for column in (0, 1):

            def at(down: int, right: int, row: int = row, column: int = column) -> Array:
                return pixels[1 + row + down : 1 + down + rows : 2, 1 + column + right : 1 + right + width : 2]

            site = rgb[row::2, column::2]
            same_row, same_column = row == red[0], column == red[1]
            if same_row == same_column:  # a red or a blue pixel
                beside = at(0, -1) + at(0, 1) + at(-1, 0) + at(1, 0)
                corners = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1)
                colours = (at(0, 0), (beside + 2) >> 2, (corners + 2) >> 2)
            else:  # a green one
                colours = ((at(0, -1) + at(0, 1) + 1) >> 1, at(0, 0), (at(-1, 0) + at(1, 0) + 1) >> 1)
            for channel, colour in enumerate(colours if same_row else reversed(colours)):
                site[..., channel] = colour
    return rgb
