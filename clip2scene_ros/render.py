"""Pictures understood at a glance: labelled points on camera images above a labelled bird's-eye view."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.drawing import (
    FAINT,
    PANEL,
    RULE,
    TEXT,
    blank,
    dots,
    ego,
    font,
    legible,
    plate,
    resize,
    ring_labels,
    rings,
)
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Segmentation, View
from clip2scene_ros.geometry import project, visible

EXTENT_M = 40.0
"""Half the edge of the bird's-eye view: what is farther is a few points in an empty field."""

WIDTH_PX = 1920
MARGIN_PX = 24
GAP_PX = 12
BIRD_PX = 728
LEGEND_HEAD_PX = 58
LEGEND_ROWS_PX = (25, 36)
"""Smallest and largest height of a class's row: as many classes as there are shall fit."""
COLUMN_PX = 76
"""Width of a legend's column of shares."""
SMOOTHING = 2
"""Pictures are drawn this many times too large and reduced: dots and lines get smooth edges."""

VIEW_ORDER = ("front_left", "front", "front_right", "back_left", "back", "back_right")
CERTAIN, UNCERTAIN = np.array([38.0, 70.0, 110.0]), np.array([255.0, 214.0, 90.0])


def bird_view(
    points: Array,
    class_id: Array,
    palette: Array,
    size_px: int = 900,
    extent_m: float = EXTENT_M,
    heading_rad: float = 0.0,
) -> Array:
    """Draw a scan from above, ahead being up, with range rings and the sensor.

    Args:
        points: (N, 3) float32 [m]; points that are not finite are left out.
        class_id: (N,) uint8.
        palette: (256, 3) uint8 RGB.
        size_px: edge of the picture.
        extent_m: half the edge in metres.
        heading_rad: direction of travel in the sensor's frame, 0 along x, pi/2 along y.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    # what has no name lies below what has; among these the higher point hides the lower
    order = np.lexsort((points[:, 2], class_id != UNKNOWN))
    return _bird_view(points[order], palette[class_id[order]], size_px, extent_m, heading_rad)


def uncertainty_view(
    points: Array, entropy: Array, size_px: int = 900, extent_m: float = EXTENT_M, heading_rad: float = 0.0
) -> Array:
    """Draw a scan from above, blue where the student is certain, yellow where it is not; see `bird_view`."""
    order = np.argsort(entropy, kind="stable")
    share = np.clip(entropy[order], 0.0, 1.0)[:, None]
    color = (CERTAIN * (1.0 - share) + UNCERTAIN * share).astype(np.uint8)
    return _bird_view(points[order], color, size_px, extent_m, heading_rad)


def heading_of(frame: Frame) -> float:
    """Return where the vehicle's front is in the LiDAR frame [rad]: where the front camera looks, x without one."""
    for view in frame.views:
        if "front" in view.name.lower() and "left" not in view.name.lower() and "right" not in view.name.lower():
            ahead = view.camera_from_lidar[2, :3]
            return float(np.arctan2(ahead[1], ahead[0]))
    return 0.0


def overlay(image: Array, uv: Array, class_id: Array, palette: Array, radius: float = 3, dim: float = 0.75) -> Array:
    """Draw labelled points onto an image.

    Args:
        image: (H, W, 3) uint8 RGB; it is not changed.
        uv: (M, 2) pixel coordinates; the last point lies on top.
        class_id: (M,) uint8.
        palette: (256, 3) uint8 RGB.
        radius: of a dot [px].
        dim: brightness of the image below, so that colours stand out.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas: Array = (image * np.float32(dim)).astype(np.uint8)
    row, column = np.rint(uv[:, 1]).astype(np.intp), np.rint(uv[:, 0]).astype(np.intp)
    dots(canvas, row, column, palette[class_id], radius)
    return canvas


def label_view(view: View, points: Array, class_id: Array, palette: Array, width_px: int) -> Array:
    """Return a view, `width_px` wide, with the labels of the points that it sees: near ones over far ones.

    Points are placed as the LiDAR saw them at the scan's stamp; those of a raw scan may lie beside their things.
    """
    uv, depth, inside = project(points, view)
    seen = np.flatnonzero(visible(uv, depth, inside, view.camera) & (class_id != UNKNOWN))
    seen = seen[np.argsort(-depth[seen], kind="stable")]
    scale = SMOOTHING * width_px / view.camera.width
    height_px = max(1, round(view.camera.height * width_px / view.camera.width))
    large = resize(view.image, SMOOTHING * width_px, SMOOTHING * height_px)
    radius = SMOOTHING * max(1.0, width_px / 380)
    return resize(overlay(large, uv[seen] * scale, class_id[seen], palette, radius), width_px, height_px)


def summary_picture(
    frame: Frame, segmentation: Segmentation, class_set: ClassSet, title: str = "", footer: str = ""
) -> Array:
    """Return the whole story of a frame in one picture.

    Camera images with projected labels; below them the labelled scan from above, beside it the ground truth where
    the frame has one, else the uncertainty, and a legend of the classes that occur with their share of the points.

    Args:
        frame: its views may be any number; the first six, in the order of a rig, are shown.
        segmentation: labels in the scan's order.
        class_set: names and colours.
        title: one line at the top; a line of facts on the scan stands below it.
        footer: what must be said with the picture (notice, mIoU).

    Returns:
        (H, 1920, 3) uint8 RGB.
    """
    cameras = len(frame.views)
    facts = f"{len(frame.scan):,} points, {cameras} camera{'' if cameras == 1 else 's'}, stamp {frame.scan.stamp_ns} ns"
    rows = [
        text_rows(title, 30, TEXT, top=22),
        text_rows(facts, 17, FAINT, top=6),
        blank(16, WIDTH_PX),
        *_camera_rows(frame, segmentation, legible(class_set.palette)),
        _scan_row(frame, segmentation, class_set),
        text_rows(footer, 18, FAINT, top=16),
        blank(22, WIDTH_PX),
    ]
    return np.concatenate(rows, axis=0)


def save_png(path: Path | str, image: Array) -> None:
    """Write (H, W, 3) uint8 RGB as PNG; a reader sees the old file or the whole new one, never half of it."""
    with whole_file(Path(path)) as stream:
        Image.fromarray(image).save(stream, format="PNG")


def _bird_view(points: Array, color: Array, size_px: int, extent_m: float, heading_rad: float) -> Array:
    large_px = SMOOTHING * size_px
    canvas = rings(blank(large_px, large_px, PANEL), extent_m, SMOOTHING)
    cosine, sine = np.cos(heading_rad), np.sin(heading_rad)
    with np.errstate(invalid="ignore"):  # infinite points become NaN and are left out
        ahead = points[:, 0] * cosine + points[:, 1] * sine
        left = points[:, 1] * cosine - points[:, 0] * sine
    near = np.flatnonzero((np.abs(ahead) < extent_m) & (np.abs(left) < extent_m) & np.isfinite(points[:, 2]))
    scale = large_px / (2 * extent_m)
    row = ((extent_m - ahead[near]) * scale).astype(np.intp)
    column = ((extent_m - left[near]) * scale).astype(np.intp)
    dots(canvas, row, column, color[near], radius=SMOOTHING * max(0.8, size_px / 700))
    return ego(ring_labels(resize(canvas, size_px, size_px), extent_m), extent_m)


def _camera_rows(frame: Frame, segmentation: Segmentation, palette: Array) -> list[Array]:
    """Return the views in rows of at most three, each row as wide as the picture."""
    views = sorted(frame.views, key=place_of)[: len(VIEW_ORDER)]
    if not views:
        return []
    columns = len(views) if len(views) <= 3 else -(-len(views) // 2)
    width_px = min((WIDTH_PX - 2 * MARGIN_PX - (columns - 1) * GAP_PX) // columns, 920)
    tiles = []
    for view in views:
        tile = label_view(view, frame.scan.points, segmentation.class_id, palette, width_px)
        tiles.append(plate(tile, (16, 12), view.name.replace("_", " ").lower()))
    return [strip(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]


def place_of(view: View) -> int:
    """Return where a view stands in the picture: by the longest known place in its name, unknown ones last."""
    name = view.name.lower()
    found = [place for place in VIEW_ORDER if place in name]
    return VIEW_ORDER.index(max(found, key=len)) if found else len(VIEW_ORDER)


def _scan_row(frame: Frame, segmentation: Segmentation, class_set: ClassSet) -> Array:
    points, palette, heading = frame.scan.points, legible(class_set.palette), heading_of(frame)
    prediction = bird_view(points, segmentation.class_id, palette, BIRD_PX, heading_rad=heading)
    if frame.labels is not None:
        caption, beside = "ground truth", bird_view(points, frame.labels, palette, BIRD_PX, heading_rad=heading)
    else:
        caption = "uncertainty (yellow: high)"
        beside = uncertainty_view(points, segmentation.entropy, BIRD_PX, heading_rad=heading)
    legend_px = WIDTH_PX - 2 * MARGIN_PX - 2 * GAP_PX - 2 * BIRD_PX
    told = {"share %" if frame.labels is None else "predicted %": segmentation.class_id}
    told |= {} if frame.labels is None else {"true %": frame.labels}
    panel = legend(told, class_set, legend_px, BIRD_PX)
    return strip([plate(prediction, (16, 12), "prediction"), plate(beside, (16, 12), caption), panel])


def legend(told: Mapping[str, Array], class_set: ClassSet, width_px: int, height_px: int) -> Array:
    """Return a panel with swatch, name and shares of points of each class that occurs, the most frequent first.

    Args:
        told: head of a column -> (N,) uint8 class ids, left to right.
        class_set: names and colours.
        width_px: of the panel.
        height_px: of the panel.
    """
    rights = [width_px - 20 - COLUMN_PX * left for left in range(len(told))][::-1]
    columns = [(head, right, _shares(ids)) for (head, ids), right in zip(told.items(), rights, strict=True)]
    total = np.sum([shares for _, _, shares in columns], axis=0)
    ids = [int(i) for i in np.argsort(-total, kind="stable") if total[i] > 0 and i < len(class_set)]
    ids += [UNKNOWN] if total[UNKNOWN] > 0 else []
    palette = legible(class_set.palette)
    picture = Image.fromarray(blank(height_px, width_px, PANEL))
    draw = ImageDraw.Draw(picture)
    draw.text((20, 18), "class", fill=FAINT, font=font(16))
    for head, right, _ in columns:
        draw.text((right, 18), head, fill=FAINT, font=font(16), anchor="ra")
    draw.line((20, 48, width_px - 20, 48), fill=RULE)
    fitting = (height_px - LEGEND_HEAD_PX) // LEGEND_ROWS_PX[0]
    if len(ids) > fitting:
        ids = ids[: fitting - 1]
        draw.text((56, height_px - 22), "and others", fill=FAINT, font=font(16), anchor="lm")
    row_px = min(LEGEND_ROWS_PX[1], (height_px - LEGEND_HEAD_PX) // max(1, len(ids)))
    for row, i in enumerate(ids):
        y = LEGEND_HEAD_PX + row_px * (row + 0.5)
        draw.rounded_rectangle((20, y - 11, 42, y + 11), radius=5, fill=tuple(int(v) for v in palette[i]))
        draw.text((56, y), "unknown" if i == UNKNOWN else class_set.names[i], fill=TEXT, font=font(18), anchor="lm")
        for _, right, shares in columns:
            draw.text((right, y), _percent(shares[i]), fill=TEXT, font=font(18), anchor="rm")
    return np.array(picture)


def _shares(class_id: Array) -> Array:
    """Return (256,) the percentage of points of each class id."""
    counts: Array = np.bincount(class_id, minlength=256) * (100.0 / max(1, len(class_id)))
    return counts


def _percent(share: float) -> str:
    if share == 0:
        return "-"
    return "< 0.1" if share < 0.1 else f"{share:.1f}"


def text_rows(text: str, size: int, color: tuple[int, int, int], top: int) -> Array:
    """Return `text`, wrapped to the picture's width, below a margin of `top`; nothing when there is none."""
    if not text:
        return blank(0, WIDTH_PX)
    per_line = int((WIDTH_PX - 2 * MARGIN_PX) / (0.53 * size))
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, per_line)]
    height = round(1.35 * size)
    picture = Image.fromarray(blank(top + height * len(lines), WIDTH_PX))
    for i, line in enumerate(lines):
        ImageDraw.Draw(picture).text((MARGIN_PX, top + i * height), line, fill=color, font=font(size))
    return np.array(picture)


def strip(tiles: Sequence[Array]) -> Array:
    """Return tiles side by side, centred, on a strip as wide as the picture with a gap below."""
    height = max(tile.shape[0] for tile in tiles)
    strip = blank(height + GAP_PX, WIDTH_PX)
    x = (WIDTH_PX - sum(tile.shape[1] for tile in tiles) - (len(tiles) - 1) * GAP_PX) // 2
    for tile in tiles:
        strip[: tile.shape[0], x : x + tile.shape[1]] = tile
        x += tile.shape[1] + GAP_PX
    return strip
