"""One scan as several see it, side by side: each one's labels on the camera images and from above."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.drawing import FAINT, TEXT, blank, legible, plate
from clip2scene_ros.frame import Array, Frame, View
from clip2scene_ros.render import (
    GAP_PX,
    MARGIN_PX,
    WIDTH_PX,
    bird_view,
    heading_of,
    label_view,
    legend,
    place_of,
    strip,
    text_rows,
)

CAMERAS = ("front", "front_left")
"""Shown of a rig, one a row: ahead, and a side; of another rig its first two."""
BIRD_PX = 468


def sides_picture(
    frame: Frame, sides: Mapping[str, Array], class_set: ClassSet, title: str = "", footer: str = ""
) -> Array:
    """Return a picture in which all sides show the same points of the same scan.

    Args:
        frame: the scan and its views.
        sides: who -> (N,) uint8 what they say of the points, left to right; three fill the picture.
        class_set: names and colours.
        title: one line at the top.
        footer: what must be said with the picture.

    Returns:
        (H, 1920, 3) uint8 RGB.
    """
    points, palette, heading = frame.scan.points, legible(class_set.palette), heading_of(frame)
    width_px = (WIDTH_PX - 2 * MARGIN_PX - (len(sides) - 1) * GAP_PX) // len(sides)
    rows = [text_rows(title, 30, TEXT, top=22), blank(16, WIDTH_PX)]
    for view in _shown(frame):
        camera = view.name.replace("_", " ").lower()
        rows.append(
            strip(
                [
                    plate(label_view(view, points, ids, palette, width_px), (16, 12), f"{who}, {camera}")
                    for who, ids in sides.items()
                ]
            )
        )
    birds = [
        plate(bird_view(points, ids, palette, BIRD_PX, heading_rad=heading), (16, 12), who)
        for who, ids in sides.items()
    ]
    panel_px = WIDTH_PX - 2 * MARGIN_PX - len(sides) * (BIRD_PX + GAP_PX)
    names = [who.split()[-1] for who in sides]  # short ones: columns are narrow
    shares = dict(zip([*names[:-1], f"{names[-1]} %"], sides.values(), strict=True))
    rows.append(strip([*birds, legend(shares, class_set, panel_px, BIRD_PX)]))
    return np.concatenate([*rows, text_rows(footer, 18, FAINT, top=16), blank(22, WIDTH_PX)], axis=0)


def _shown(frame: Frame) -> list[View]:
    views = sorted(frame.views, key=place_of)
    wanted = [view for name in CAMERAS for view in views if view.name.lower().endswith(name)]
    return (wanted if len(wanted) == len(CAMERAS) else views)[: len(CAMERAS)]
