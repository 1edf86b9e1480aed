"""SPVCNN: a sparse U-Net beside a branch of points that never lose their resolution (the paper's LiDAR student).

The points are the corners of the input voxels, as in CLIP2Scene, whose inner voxel size equals the outer one:
there is one for each voxel, in the input's order. `point_transforms` is TorchSparse's name for the point branch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clip2scene_ros.student.networks.unet import STAGES, UNet, UNetLayout
from clip2scene_ros.student.sparse.tensor import SparseTensor
from clip2scene_ros.student.sparse.trilinear import devoxelize, find_corners, voxelize_mean


class SPVCNN(UNet):
    """The U-Net, and three exchanges between its voxels and the points.

    Args:
        layout: channels and blocks.
        in_channels: features of a voxel.
        embedding_dim: D of the head, the text embedding's size.
    """

    def __init__(self, layout: UNetLayout, in_channels: int, embedding_dim: int) -> None:
        super().__init__(layout, in_channels)
        encoder, decoder = layout.planes[:STAGES], layout.planes[STAGES:]
        planes = (encoder[-1], decoder[1], decoder[3])
        fans = (layout.stem, *planes[:-1])
        self.point_transforms = nn.ModuleList(
            nn.Sequential(nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), nn.ReLU(inplace=True))
            for fan_in, fan_out in zip(fans, planes, strict=True)
        )
        self.feature_dim = sum(planes)
        self.head = nn.Linear(self.feature_dim, embedding_dim)

    def features(self, x: SparseTensor) -> Tensor:
        """Return (V, F), the point features of all three exchanges, for each voxel in the input's order."""
        x0, x1, x2, x3, x4 = self.encode(x)
        # At stride 1 a point is its voxel, so going from voxels to points and back changes nothing.
        z1, x4 = self.exchange(0, x0.feats, x0, x4)
        y2 = self.decode(2, self.decode(1, x4, x3), x2)
        z2, y2 = self.exchange(1, z1, x0, y2)
        y4 = self.decode(4, self.decode(3, y2, x1), x0)
        z3 = y4.feats + self.point_transforms[2](z2)
        return torch.cat([z1, z2, z3], 1)

    def exchange(self, step: int, z: Tensor, points: SparseTensor, y: SparseTensor) -> tuple[Tensor, SparseTensor]:
        """Add what the voxels know of the points to what these know themselves, and give the mean back.

        Args:
            step: which of the point transforms.
            z: (V, C) features of the points so far.
            points: where they are, on the original grid.
            y: (W, C') voxels of a coarser level.

        Returns:
            (V, C') new features of the points; the coarse voxels with the mean of their points.
        """
        corners = find_corners(points.coords, y.maps.grid(y.path), y.stride)
        z = devoxelize(y.feats, corners) + self.point_transforms[step](z)
        return z, y.with_feats(voxelize_mean(z, corners.rows[:, 0], len(y.coords)))
