"""MinkUNet: a sparse residual U-Net (method of the paper's ScanNet student, here for LiDAR as well).

Module and parameter names are those of TorchSparse's MinkUNet, so that weights can be told apart and
carried over by name: `stem.0.kernel`, `stage1.0.net.0.kernel`, `up1.1.0.net.0.kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from clip2scene_ros.student.sparse.layers import BatchNorm, ReLU, SparseConv3d
from clip2scene_ros.student.sparse.tensor import SparseTensor

STAGES = 4


@dataclass(frozen=True)
class MinkUNetLayout:
    """Channels and blocks.

    Attributes:
        stem: channels at the original resolution.
        planes: output channels of the four encoder stages, then of the four decoder stages.
        blocks: residual blocks of each of the eight stages; 0 is one plain convolution instead.
    """

    stem: int
    planes: tuple[int, ...]
    blocks: tuple[int, ...]

    def scaled(self, width: float) -> MinkUNetLayout:
        """Return the layout with all channels multiplied, at least 4 each."""
        stem, *planes = (max(4, round(channels * width)) for channels in (self.stem, *self.planes))
        return replace(self, stem=stem, planes=tuple(planes))


LAYOUTS = {
    # For the CPU: most layers where voxels are few, one plain convolution a decoder stage.
    "tiny": MinkUNetLayout(16, (24, 32, 48, 64, 48, 48, 32, 32), (1, 1, 1, 1, 1, 1, 0, 0)),
    # MinkUNet14A, 18A and 34A of MinkowskiEngine's examples, with the stem of one k = 3 convolution.
    "14a": MinkUNetLayout(32, (32, 64, 128, 256, 128, 128, 96, 96), (1,) * 8),
    "18": MinkUNetLayout(32, (32, 64, 128, 256, 128, 128, 96, 96), (2,) * 8),
    "34": MinkUNetLayout(32, (32, 64, 128, 256, 256, 128, 64, 64), (2, 3, 4, 6, 2, 2, 2, 2)),
}


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


class MinkUNet(nn.Module):
    """Four halvings, four doublings with skip connections, a linear head.

    Args:
        layout: channels and blocks.
        in_channels: features of a voxel.
        embedding_dim: D of the head, the text embedding's size.
    """

    def __init__(self, layout: MinkUNetLayout, in_channels: int, embedding_dim: int) -> None:
        super().__init__()
        encoder, decoder = layout.planes[:STAGES], layout.planes[STAGES:]
        skips = (layout.stem, *encoder[:-1])
        self.stem = conv_norm_relu(in_channels, layout.stem, kernel_size=3)
        for stage in range(STAGES):
            before, planes = skips[stage], encoder[stage]
            down = ConvolutionBlock(before, before, kernel_size=2, stride=2)
            self.add_module(f"stage{stage + 1}", nn.Sequential(down, *stack(before, planes, layout.blocks[stage])))
        for stage in range(STAGES):
            before, planes = (encoder[-1], *decoder)[stage], decoder[stage]
            up = ConvolutionBlock(before, planes, kernel_size=2, stride=2, transposed=True)
            merged = stack(planes + skips[-1 - stage], planes, layout.blocks[STAGES + stage])
            self.add_module(f"up{stage + 1}", nn.ModuleList([up, merged]))
        self.head = nn.Linear(decoder[-1], embedding_dim)

    def trunk(self, x: SparseTensor) -> SparseTensor:
        """(V, in_channels) -> (V, last planes), the features below the head."""
        x = self.stem(x)
        skips = [x]
        for stage in range(1, STAGES + 1):
            x = self.get_submodule(f"stage{stage}")(x)
            skips.append(x)
        skips.pop()
        for stage in range(1, STAGES + 1):
            up, merged = self.get_submodule(f"up{stage}").children()
            x = up(x)
            x = merged(x.with_feats(torch.cat([x.feats, skips.pop().feats], 1)))
        return x

    def forward(self, x: SparseTensor) -> Tensor:
        """Return (V, D), a vector in the class vectors' space for each voxel, in the input's order."""
        vectors: Tensor = self.head(self.trunk(x).feats)
        return vectors
