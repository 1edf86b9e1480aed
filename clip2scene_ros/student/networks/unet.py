"""The sparse U-Net that MinkUNet is and SPVCNN has inside: four halvings, four doublings, skip connections.

Module and parameter names are those of TorchSparse's networks: `stem.0.kernel`, `stage1.0.net.0.kernel`,
`up1.1.0.net.0.kernel`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from clip2scene_ros.student.networks.blocks import ConvolutionBlock, conv_norm_relu, stack
from clip2scene_ros.student.sparse.tensor import SparseTensor

STAGES = 4


@dataclass(frozen=True)
class UNetLayout:
    """Channels and blocks.

    Attributes:
        stem: channels at the original resolution.
        planes: output channels of the four encoder stages, then of the four decoder stages.
        blocks: residual blocks of each of the eight stages; 0 is one plain convolution instead.
        stem_convolutions: how many convolutions the stem has.
    """

    stem: int
    planes: tuple[int, ...]
    blocks: tuple[int, ...]
    stem_convolutions: int = 1

    def scaled(self, width: float) -> UNetLayout:
        """Return the layout with all channels multiplied, at least 4 each."""
        stem, *planes = (max(4, round(channels * width)) for channels in (self.stem, *self.planes))
        return replace(self, stem=stem, planes=tuple(planes))


LAYOUTS = {
    # For the CPU: most layers where voxels are few, one plain convolution a decoder stage.
    "tiny": UNetLayout(16, (24, 32, 48, 64, 48, 48, 32, 32), (1, 1, 1, 1, 1, 1, 0, 0)),
    # MinkUNet14A, 18A and 34A of MinkowskiEngine's examples, with the stem of one k = 3 convolution.
    "14a": UNetLayout(32, (32, 64, 128, 256, 128, 128, 96, 96), (1,) * 8),
    "18": UNetLayout(32, (32, 64, 128, 256, 128, 128, 96, 96), (2,) * 8),
    "34": UNetLayout(32, (32, 64, 128, 256, 256, 128, 64, 64), (2, 3, 4, 6, 2, 2, 2, 2)),
}


class UNet(nn.Module):
    """Encoder, decoder and head; a network says in `features` how they come together.

    Args:
        layout: channels and blocks.
        in_channels: features of a voxel.

    Attributes:
        feature_dim: F, the size of what `features` returns.
        head: from F to D, the embedding that class vectors are compared with (the paper's global head).
    """

    feature_dim: int
    head: nn.Linear

    def __init__(self, layout: UNetLayout, in_channels: int) -> None:
        super().__init__()
        encoder, decoder = layout.planes[:STAGES], layout.planes[STAGES:]
        skips = (layout.stem, *encoder[:-1])
        fans = (in_channels, *[layout.stem] * (layout.stem_convolutions - 1))
        self.stem = nn.Sequential(*(part for fan in fans for part in conv_norm_relu(fan, layout.stem, 3).children()))
        for stage in range(STAGES):
            before, planes = skips[stage], encoder[stage]
            down = ConvolutionBlock(before, before, kernel_size=2, stride=2)
            self.add_module(f"stage{stage + 1}", nn.Sequential(down, *stack(before, planes, layout.blocks[stage])))
        for stage in range(STAGES):
            before, planes = (encoder[-1], *decoder)[stage], decoder[stage]
            up = ConvolutionBlock(before, planes, kernel_size=2, stride=2, transposed=True)
            merged = stack(planes + skips[-1 - stage], planes, layout.blocks[STAGES + stage])
            self.add_module(f"up{stage + 1}", nn.ModuleList([up, merged]))

    def encode(self, x: SparseTensor) -> list[SparseTensor]:
        """Return the five levels, at strides 1, 2, 4, 8 and 16, of (V, in_channels) features."""
        levels = [self.stem(x)]
        for stage in range(1, STAGES + 1):
            levels.append(self.get_submodule(f"stage{stage}")(levels[-1]))
        return levels

    def decode(self, stage: int, x: SparseTensor, skip: SparseTensor) -> SparseTensor:
        """Return decoder stage 1 to 4: `x` on the voxels of `skip`, half the stride, merged with it."""
        up, merged = self.get_submodule(f"up{stage}").children()
        x = up(x)
        y: SparseTensor = merged(x.with_feats(torch.cat([x.feats, skip.feats], 1)))
        return y

    def features(self, x: SparseTensor) -> Tensor:
        """Return (V, F), the features below the head, for each voxel in the input's order."""
        raise NotImplementedError

    def forward(self, x: SparseTensor) -> Tensor:
        """Return (V, D), a vector in the class vectors' space for each voxel, in the input's order."""
        vectors: Tensor = self.head(self.features(x))
        return vectors
