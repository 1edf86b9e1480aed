"""Pictures of a training run for TensorBoard: what the student says of a scan beside what is true."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.drawing import legible, plate
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Segmentation
from clip2scene_ros.render import bird_view

SIZE_PX = 480
RIGHT, WRONG = 0, 1
VERDICT = np.array([[74, 84, 100], [255, 92, 80]] + [[74, 84, 100]] * 254, np.uint8)
"""Colours of right and wrong points; what has no truth is neither and is left out."""


def comparison(frame: Frame, segmentation: Segmentation, class_set: ClassSet) -> Array:
    """Return (480, 1440, 3) uint8 RGB: prediction, truth and errors of a labelled scan, from above."""
    if frame.labels is None:
        raise ValueError("Expected a frame with `labels`, but it has none.")
    points, palette, known = frame.scan.points, legible(class_set.palette), frame.labels != UNKNOWN
    wrong = np.where(segmentation.class_id == frame.labels, RIGHT, WRONG).astype(np.uint8)
    panels = {
        "prediction": bird_view(points, segmentation.class_id, palette, SIZE_PX),
        "truth": bird_view(points, frame.labels, palette, SIZE_PX),
        "wrong": bird_view(points[known], wrong[known], VERDICT, SIZE_PX),
    }
    return np.concatenate([plate(panel, (16, 12), name) for name, panel in panels.items()], axis=1)
