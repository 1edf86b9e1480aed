"""What several processes do as one: means over all of them, and batch norm over the scans of all of them.

Torch's own SyncBatchNorm needs CUDA; this one works with any process group.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from clip2scene_ros.student.sparse.tensor import SparseTensor


class SynchronizedBatchNorm(nn.BatchNorm1d):
    """Batch norm that, in training, has the mean and variance of the rows of all processes.

    Its parameters and buffers have the names of `nn.BatchNorm1d`; in evaluation it is one.
    """

    def forward(self, x: SparseTensor | Tensor) -> SparseTensor | Tensor:  # type: ignore[override]
        """Normalise (V, C) features, V being another in each process."""
        feats = x.feats if isinstance(x, SparseTensor) else x
        if self.training:
            feats = self._training(feats.to(torch.promote_types(feats.dtype, torch.float32))).to(feats.dtype)
        else:
            feats = super().forward(feats)
        return x.with_feats(feats) if isinstance(x, SparseTensor) else feats

    def _training(self, feats: Tensor) -> Tensor:
        rows = _total(feats.new_tensor([len(feats)]))
        mean = _total(feats.sum(0)) / rows
        centred = feats - mean
        variance = _total((centred * centred).sum(0)) / rows
        momentum = cast(float, self.momentum)
        with torch.no_grad():
            cast(Tensor, self.running_mean).lerp_(mean, momentum)
            cast(Tensor, self.running_var).lerp_(variance * rows / (rows - 1), momentum)
            cast(Tensor, self.num_batches_tracked).add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias, centred, scale)


def average(value: Tensor) -> Tensor:
    """Return the mean of `value` over all processes, itself where there is one; no gradient passes through."""
    if not distributed.is_initialized():
        return value
    return _all_reduced(value) / distributed.get_world_size()


def synchronize(module: nn.Module) -> None:
    """Replace every batch norm inside `module` by a synchronised one with the same parameters, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d):
            norm = SynchronizedBatchNorm(child.num_features, child.eps, child.momentum)
            norm.weight, norm.bias = child.weight, child.bias
            norm.running_mean, norm.running_var = child.running_mean, child.running_var
            module.add_module(name, norm)
        else:
            synchronize(child)


def _total(value: Tensor) -> Tensor:
    total: Tensor = _Total.apply(value)  # type: ignore[no-untyped-call]
    return total


class _Total(torch.autograd.Function):
    """The sum over all processes; as each of them goes on with it, the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ANN401
        return _all_reduced(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return _all_reduced(gradient)


def _all_reduced(value: Tensor) -> Tensor:
    total = value.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total
