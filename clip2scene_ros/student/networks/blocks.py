"""What both networks are made of: convolution, batch norm, ReLU, and residual blocks of them.

Names are TorchSparse's (`net`, `downsample`), so that weights can be carried over by name.
"""

from __future__ import annotations

from torch import nn

from clip2scene_ros.student.sparse.layers import BatchNorm, ReLU, SparseConv3d
from clip2scene_ros.student.sparse.tensor import SparseTensor


def conv_norm_relu(fan_in: int, fan_out: int, kernel_size: int, stride: int = 1, transposed: bool = False) -> nn.Module:
    """Return convolution, batch norm, ReLU."""
    return nn.Sequential(SparseConv3d(fan_in, fan_out, kernel_size, stride, transposed), BatchNorm(fan_out), ReLU())


class ConvolutionBlock(nn.Module):
    """Convolution, batch norm, ReLU, under TorchSparse's name `net`."""

    def __init__(
        self, fan_in: int, fan_out: int, kernel_size: int = 3, stride: int = 1, transposed: bool = False
    ) -> None:
        super().__init__()
        self.net = conv_norm_relu(fan_in, fan_out, kernel_size, stride, transposed)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(V, fan_in) -> (V', fan_out)."""
        y: SparseTensor = self.net(x)
        return y


class ResidualBlock(nn.Module):
    """Two k = 3 convolutions beside an identity, or a 1x1 convolution where the channels change."""

    def __init__(self, fan_in: int, fan_out: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            SparseConv3d(fan_in, fan_out),
            BatchNorm(fan_out),
            ReLU(),
            SparseConv3d(fan_out, fan_out),
            BatchNorm(fan_out),
        )
        self.downsample: nn.Module = (
            nn.Identity()
            if fan_in == fan_out
            else nn.Sequential(SparseConv3d(fan_in, fan_out, kernel_size=1), BatchNorm(fan_out))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(V, fan_in) -> (V, fan_out)."""
        y: SparseTensor = self.net(x)
        shortcut: SparseTensor = self.downsample(x)
        return y.with_feats(self.relu(y.feats + shortcut.feats))


def stack(fan_in: int, fan_out: int, blocks: int) -> nn.Sequential:
    """Return `blocks` residual blocks, or one plain convolution for 0."""
    if blocks == 0:
        return nn.Sequential(ConvolutionBlock(fan_in, fan_out))
    return nn.Sequential(ResidualBlock(fan_in, fan_out), *(ResidualBlock(fan_out, fan_out) for _ in range(blocks - 1)))
