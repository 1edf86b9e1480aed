"""One look at a data set before training: its hash, its faults, how often each class occurs in each frame."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_training.batching import FrameDataset


@dataclass(frozen=True, eq=False)
class Survey:
    """What a data set holds.

    Attributes:
        sha256: of the points, intensities and labels of all frames.
        counts: (F, C) int64 points of each class in each frame.
        views: (F,) int64 images of each frame.
    """

    sha256: str
    counts: Array
    views: Array


def survey(dataset: FrameDataset, num_classes: int, name: str = "data") -> Survey:
    """Look at every frame once; errors call the data `name`.

    Raises:
        BadDataset: no frames, a frame without labels, or no labelled point at all.
    """
    digest, counts = sha256(), np.zeros((len(dataset), num_classes), dtype=np.int64)
    views = np.zeros(len(dataset), dtype=np.int64)
    for number in range(len(dataset)):
        frame = dataset[number]
        if frame.labels is None:
            raise BadDataset("no_labels", f"Expected labels in all frames of the {name}, but frame {number} has none.")
        for array in (frame.scan.points, frame.scan.intensity, frame.labels):
            digest.update(np.ascontiguousarray(array).data)
        known = frame.labels[frame.labels != UNKNOWN]
        if len(known) and known.max() >= num_classes:
            raise BadDataset(
                "class_id", f"Frame {number} of the {name} has label {known.max()}, of {num_classes} classes."
            )
        counts[number], views[number] = np.bincount(known, minlength=num_classes), len(frame.views)
    if not counts.any():
        raise BadDataset("empty", f"Expected labelled points in the {name}, but {len(dataset)} frames have none.")
    return Survey(digest.hexdigest(), counts, views)


def class_weights(counts: Array, balance: float) -> Tensor:
    """Return (C,) float32 weights for the cross entropy: frequency ** -balance, 1 on the average point.

    Args:
        counts: (F, C) points of each class in each frame; a class that never occurs gets weight 0.
        balance: 0 weighs classes equally, 1 gives each the same sum over its points.
    """
    share = counts.sum(axis=0) / counts.sum()
    weights = np.where(share > 0, np.maximum(share, 1e-12) ** -balance, 0.0)
    return torch.from_numpy((weights / (weights * share).sum()).astype(np.float32))
