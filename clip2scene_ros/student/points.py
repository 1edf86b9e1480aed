"""From a scan's points to the network's input; training and the live student share these steps."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.errors import BadCheckpoint, BadConfig
from clip2scene_ros.frame import Array
from clip2scene_ros.student.voxelization import Voxels


def check_range(min_range_m: float, max_range_m: float) -> None:
    """Raise BadConfig where no point can be within range."""
    if not min_range_m < max_range_m:
        raise BadConfig("range", f"Expected `min_range_m` < `max_range_m`, but got {min_range_m} and {max_range_m}.")


def within_range(points: Array, min_range_m: float, max_range_m: float) -> Array:
    """Return the indices, ascending, of the points that are finite and within range.

    Args:
        points: (N, 3) float32 [m]; NaN and infinities are allowed.
        min_range_m: nearest distance kept, inclusive [m].
        max_range_m: farthest distance kept, inclusive [m].
    """
    with np.errstate(over="ignore", invalid="ignore"):
        squared = np.einsum("ij,ij->i", points, points)
        kept: Array = np.flatnonzero((squared >= min_range_m**2) & (squared <= max_range_m**2))
    return kept


def voxel_features(intensity: Array, voxels: Voxels, in_channels: int) -> Tensor:
    """Return (V, 1) float32: the intensity of the first point in each voxel, as in CLIP2Scene.

    Args:
        intensity: (N,) float32 in [0, 1]; what is not finite counts as 0.
        voxels: V voxels of the same N points.
        in_channels: what the network takes; a scan has intensity only.

    Raises:
        BadCheckpoint: the network takes more than a scan has.
    """
    if in_channels != 1:
        raise BadCheckpoint(
            "in_channels", f"Expected a network with 1 input channel (intensity), but this one takes {in_channels}."
        )
    feats = torch.from_numpy(np.ascontiguousarray(intensity, dtype=np.float32)).index_select(0, voxels.first)
    return torch.nan_to_num(feats, nan=0.0, posinf=0.0, neginf=0.0).unsqueeze(1)
