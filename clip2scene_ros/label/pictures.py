"""The pictures of a labelled frame: what the teacher sees in every pixel, what the points got, the scan from above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.drawing import legible, resize
from clip2scene_ros.frame import UNKNOWN, Array, View
from clip2scene_ros.label.account import Example
from clip2scene_ros.render import bird_view, heading_of, label_view, place_of, uncertainty_view
from clip2scene_ros.teacher.teachers import PixelClasses

SHOT_PX = 640
BIRD_PX = 640
COLOUR = 0.6
"""Share of the class's colour over the image; what absorbs, or is unknown, is only darkened."""
DARK = 0.35


@dataclass(frozen=True, eq=False)
class Shot:
    """One camera: (H, W, 3) uint8 classes of the pixels (None where the teacher says nothing) and of the points."""

    camera: str
    pixels: Array | None
    points: Array


def shots(example: Example, class_set: ClassSet) -> list[Shot]:
    """Return the cameras of a frame in the order of a rig."""
    labelled, palette = example.labelled, legible(class_set.palette)
    pairs = sorted(zip(labelled.frame.views, labelled.seen, strict=True), key=lambda pair: place_of(pair[0]))
    return [
        Shot(
            view.name,
            None if seen is None else dense_view(view, seen, palette, SHOT_PX),
            label_view(view, example.points, labelled.labels.class_id, palette, SHOT_PX),
        )
        for view, seen in pairs
    ]


def birds(example: Example, class_set: ClassSet, truth: Array | None) -> dict[str, Array]:
    """Return caption -> the scan from above: labels, confidence, and the ground truth where there is some.

    Args:
        example: the frame.
        class_set: names and colours.
        truth: (N,) uint8 in terms of the class set.
    """
    labels, points = example.labelled.labels, example.points
    palette, heading = legible(class_set.palette), heading_of(example.labelled.frame)
    known = labels.class_id != UNKNOWN
    doubt = uncertainty_view(points[known], 1.0 - labels.confidence[known], BIRD_PX, heading_rad=heading)
    found = {
        "labels (grey: seen by no camera)": bird_view(points, labels.class_id, palette, BIRD_PX, heading_rad=heading),
        "confidence (yellow: low)": doubt,
    }
    if truth is not None:
        found["ground truth of the bag"] = bird_view(points, truth, palette, BIRD_PX, heading_rad=heading)
    return found


@torch.inference_mode()
def dense_view(view: View, seen: PixelClasses, palette: Array, width_px: int) -> Array:
    """Return a view, `width_px` wide, under the colours of its pixels' classes.

    Args:
        view: the image.
        seen: its pixels' classes.
        palette: (256, 3) uint8 RGB.
        width_px: width of the picture.
    """
    height, width = seen.size
    height_px = max(1, round(height * width_px / width))
    rows = (torch.arange(height_px) + 0.5) * (height / height_px) - 0.5
    columns = (torch.arange(width_px) + 0.5) * (width / width_px) - 0.5
    ids = torch.cat(
        [seen.at(torch.stack([columns, row.expand(width_px)], dim=-1)[None]).argmax(-1).cpu() for row in rows]
    ).numpy()
    absorbed = (ids >= seen.classes)[..., None]
    image = resize(view.image, width_px, height_px).astype(np.float32)
    coloured = (1.0 - COLOUR) * image.mean(-1, keepdims=True) + COLOUR * palette[np.minimum(ids, UNKNOWN)]
    picture: Array = np.where(absorbed, DARK * image, coloured).astype(np.uint8)
    return picture
