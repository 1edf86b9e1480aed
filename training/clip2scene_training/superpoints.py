"""Superpoints: points of a scan that hang together above the ground, to be of one class (`rules.things`)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.teacher.ground import heights
from clip2scene_ros.teacher.rules import NO_THING, things
from clip2scene_training.pretrain_samples import PretrainSample


def superpoints_of(batch: PretrainSample) -> Tensor:
    """Return (N,) int64 superpoint of each point of a batch, numbered over all its sweeps; -1 for none.

    Each sweep is divided by itself: in several at once, what moves would be one thing with what it passes.

    Args:
        batch: points are read as they were before they were varied, z up.
    """
    points = batch.points.cpu().numpy()
    scan = batch.coords[batch.inverse, 0].cpu().numpy()
    found, before = np.full(len(points), NO_THING, np.int64), 0
    for number in np.unique(scan):
        mine = np.flatnonzero(scan == number)
        thing = things(points[mine], heights(points[mine]))
        found[mine] = np.where(thing == NO_THING, NO_THING, thing + before)
        before += int(thing.max(initial=NO_THING)) + 1
    return torch.from_numpy(found).to(batch.points.device)
