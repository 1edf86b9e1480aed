"""Layers on sparse tensors: convolution, batch norm, ReLU, and the folding of norms for inference."""

from __future__ import annotations

import copy
import math
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from clip2scene_ros.student.sparse.ops import Convolve, convolve
from clip2scene_ros.student.sparse.tensor import SparseTensor

Network = TypeVar("Network", bound=nn.Module)


class SparseConv3d(nn.Module):
    """A bias-free sparse convolution: submanifold at stride 1, else strided, or transposed.

    Attributes:
        kernel: (K, Cin, Cout), K = kernel_size ** 3, in TorchSparse's order (`kernel_map.kernel_offsets`).
        bias: (Cout,) only after `fuse`, else None.
        engine: what computes it; `ops.convolve` unless replaced.
    """

    bias: Tensor | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, transposed: bool = False
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.transposed = kernel_size, stride, transposed
        self.engine: Convolve = convolve
        self.kernel = nn.Parameter(torch.empty(kernel_size**3, in_channels, out_channels))
        self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights from +-1 / sqrt(fan * K); fan is the input channels, transposed the output channels."""
        volume, fan_in, fan_out = self.kernel.shape
        bound = 1.0 / math.sqrt((fan_out if self.transposed else fan_in) * volume)
        nn.init.uniform_(self.kernel, -bound, bound)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve (V, Cin) features into (V', Cout) ones."""
        if self.transposed:
            path, coords, kernel_map = x.maps.transposed(x.path, self.kernel_size, self.stride)
        elif self.stride > 1:
            path, coords, kernel_map = x.maps.strided(x.path, self.kernel_size, self.stride)
        else:
            path, coords, kernel_map = x.path, x.coords, x.maps.submanifold(x.path, self.kernel_size)
        feats = self.engine(x.feats, self.kernel, kernel_map, self.bias)
        return SparseTensor(feats, coords, x.maps, path)

    def extra_repr(self) -> str:
        """Return the settings, for `print(network)`."""
        _, fan_in, fan_out = self.kernel.shape
        kind = ", transposed" if self.transposed else ""
        return f"{fan_in}, {fan_out}, kernel_size={self.kernel_size}, stride={self.stride}{kind}"


class BatchNorm(nn.BatchNorm1d):
    """Batch norm over all voxels of the batch."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Normalise (V, C) features."""
        return x.with_feats(super().forward(x.feats))


class ReLU(nn.ReLU):
    """ReLU on features, in place: what comes before it is always a fresh result."""

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Clip (V, C) features at 0."""
        return x.with_feats(super().forward(x.feats))


def use_engine(network: nn.Module, engine: Convolve) -> None:
    """Let another engine compute every convolution of `network`."""
    for module in network.modules():
        if isinstance(module, SparseConv3d):
            module.engine = engine


def fuse(network: Network) -> Network:
    """Return a copy for inference with every batch norm folded into the convolution before it.

    The outputs are those of `network.eval()` but for rounding; half of the memory traffic between
    convolutions is saved. The copy is not for training and its weights are not for checkpoints.
    """
    fused = copy.deepcopy(network).eval().requires_grad_(False)
    for module in fused.modules():
        if isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                conv, norm = module[index], module[index + 1]
                if isinstance(conv, SparseConv3d) and isinstance(norm, BatchNorm):
                    _fold(conv, norm)
                    module[index + 1] = nn.Identity()
    return fused


def _fold(conv: SparseConv3d, norm: BatchNorm) -> None:
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    conv.kernel = nn.Parameter(conv.kernel * scale, requires_grad=False)
    conv.bias = nn.Parameter(norm.bias - mean * scale, requires_grad=False)
