"""MinkUNet: a sparse residual U-Net and a linear head (the paper's ScanNet student, here for LiDAR as well)."""

from __future__ import annotations

from torch import Tensor, nn

from clip2scene_ros.student.networks.unet import STAGES, UNet, UNetLayout
from clip2scene_ros.student.sparse.tensor import SparseTensor


class MinkUNet(UNet):
    """The U-Net alone: a voxel's features are those of the last decoder stage.

    Args:
        layout: channels and blocks.
        in_channels: features of a voxel.
        embedding_dim: D of the head, the text embedding's size.
    """

    def __init__(self, layout: UNetLayout, in_channels: int, embedding_dim: int) -> None:
        super().__init__(layout, in_channels)
        self.feature_dim = layout.planes[-1]
        self.head = nn.Linear(self.feature_dim, embedding_dim)

    def features(self, x: SparseTensor) -> Tensor:
        """Return (V, last planes), the features below the head, for each voxel in the input's order."""
        *skips, y = self.encode(x)
        for stage in range(1, STAGES + 1):
            y = self.decode(stage, y, skips.pop())
        return y.feats
