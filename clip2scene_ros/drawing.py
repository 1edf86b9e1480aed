"""Drawing on pictures: dots, text plates, range rings. Numpy and Pillow, no display."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clip2scene_ros.frame import Array

BACKGROUND = (15, 18, 23)
PANEL = (23, 27, 34)
RULE = (66, 74, 89)
TEXT = (238, 241, 246)
FAINT = (154, 163, 177)
RINGS_M = (10, 20, 40, 80)
LEGIBLE_LUMA = 95.0
"""Below it a colour drowns in the dark panels (Rec. 601 luma, 0..255)."""

Point = tuple[float, float]


@cache
def font(size: int) -> Any:  # noqa: ANN401 - Pillow gives one of two font classes, by how it was built
    """Return Pillow's own font, which needs no font file on the machine."""
    return ImageFont.load_default(size=size)


def blank(height: int, width: int, color: tuple[int, int, int] = BACKGROUND) -> Array:
    """Return (height, width, 3) uint8 of one colour."""
    return np.full((height, width, 3), color, dtype=np.uint8)


def legible(palette: Array) -> Array:
    """Return (n, 3) uint8 colours of which dark ones are mixed with white until they show on the panels."""
    luma = palette.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    white = np.clip((LEGIBLE_LUMA - luma) / (255.0 - luma + 1e-9), 0.0, 1.0)[:, None]
    mixed: Array = np.rint(palette * (1.0 - white) + 255.0 * white).astype(np.uint8)
    return mixed


def resize(image: Array, width: int, height: int) -> Array:
    """Return the image resampled to (height, width, 3) uint8."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0))


def dots(canvas: Array, row: Array, column: Array, color: Array, radius: float) -> None:
    """Paint discs into `canvas`, in place; where discs overlap the later one wins.

    Args:
        canvas: (H, W, 3) uint8.
        row: (M,) integers; outside of the canvas they are cut off.
        column: (M,) integers.
        color: (M, 3) uint8.
        radius: of a disc [px].
    """
    height, width = canvas.shape[:2]
    reach = np.arange(-int(radius), int(radius) + 1)
    dy, dx = np.meshgrid(reach, reach, indexing="ij")
    disc = dy**2 + dx**2 <= (radius + 0.3) ** 2
    rows = (row[:, None] + dy[disc][None]).ravel()
    columns = (column[:, None] + dx[disc][None]).ravel()
    colors = np.repeat(color, int(disc.sum()), axis=0)
    on = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    canvas[rows[on], columns[on]] = colors[on]


def plate(canvas: Array, xy: Point, text: str, size: int = 18) -> Array:
    """Return the canvas with `text` on a dark plate, readable on any picture."""
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    x0, y0, x1, y1 = draw.textbbox(xy, text, font=font(size))
    draw.rounded_rectangle((x0 - 8, y0 - 6, x1 + 8, y1 + 6), radius=6, fill=BACKGROUND)
    draw.text(xy, text, fill=TEXT, font=font(size))
    return np.array(picture)


def rings(canvas: Array, extent_m: float, width: int) -> Array:
    """Return a square canvas with range rings around its centre, lines `width` pixels wide."""
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    centre = canvas.shape[0] / 2
    for ring_m in RINGS_M:
        r = ring_m * centre / extent_m
        draw.ellipse((centre - r, centre - r, centre + r, centre + r), outline=RULE, width=width)
    return np.array(picture)


def ring_labels(canvas: Array, extent_m: float) -> Array:
    """Return a square canvas with the rings' radii, written where rings cross the diagonal to the lower right."""
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    centre = canvas.shape[0] / 2
    for ring_m in RINGS_M:
        at = centre + ring_m * centre / extent_m * np.sqrt(0.5)
        if at > canvas.shape[0] - 20:
            break
        box = draw.textbbox((at, at), f"{ring_m} m", font=font(15), anchor="mm")
        draw.rounded_rectangle((box[0] - 5, box[1] - 4, box[2] + 5, box[3] + 4), radius=5, fill=PANEL)
        draw.text((at, at), f"{ring_m} m", fill=FAINT, font=font(15), anchor="mm")
    return np.array(picture)


def ego(canvas: Array, extent_m: float) -> Array:
    """Return a square canvas with the sensor marked in its centre: an arrow head that points ahead."""
    picture = Image.fromarray(canvas)
    centre = canvas.shape[0] / 2
    s = max(8.0, 1.5 * centre / extent_m)
    corners = [(0.0, -s), (0.7 * s, s), (0.0, 0.5 * s), (-0.7 * s, s)]
    ImageDraw.Draw(picture).polygon([(centre + x, centre + y) for x, y in corners], fill=TEXT, outline=BACKGROUND)
    return np.array(picture)
