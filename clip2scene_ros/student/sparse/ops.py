"""The one operation of sparse convolution, `convolve`; every engine has its signature.

Gather, multiply, add: for each weight k, `out[out_rows[k]] += feats[in_rows[k]] @ kernel[k]`. Any other
engine (a fused GPU kernel, a library) that follows `Convolve` can be given to the layers instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from clip2scene_ros.student.sparse.kernel_map import KernelMap


class Convolve(Protocol):
    """An engine: features (V_in, Cin), kernel (K, Cin, Cout), map, bias (Cout,) or None -> (V_out, Cout)."""

    def __call__(self, feats: Tensor, kernel: Tensor, kernel_map: KernelMap, bias: Tensor | None = None) -> Tensor:
        """Convolve."""


def convolve(feats: Tensor, kernel: Tensor, kernel_map: KernelMap, bias: Tensor | None = None) -> Tensor:
    """Convolve sparse features; differentiable in feats, kernel and bias, on any device.

    Half precision is accumulated in float32. Nothing but the inputs is kept for the backward pass.

    Args:
        feats: (V_in, Cin) floating point.
        kernel: (K, Cin, Cout) in the order of `kernel_map.kernel_offsets`.
        kernel_map: which rows meet under which weight.
        bias: (Cout,) added to every output row.

    Returns:
        (V_out, Cout) of the dtype of `feats`.

    Raises:
        ValueError: shapes that do not fit each other.
    """
    expected = (len(kernel_map.in_rows), feats.shape[1])
    if kernel.ndim != 3 or tuple(kernel.shape[:2]) != expected or len(feats) != kernel_map.n_in:
        raise ValueError(
            f"Expected `kernel` of shape ({expected[0]}, {expected[1]}, Cout) and {kernel_map.n_in} rows of features, "
            f"but got {tuple(kernel.shape)} and {len(feats)} rows."
        )
    if torch.is_grad_enabled() and (feats.requires_grad or kernel.requires_grad):
        out: Tensor = _Convolution.apply(feats, kernel, kernel_map)  # type: ignore[no-untyped-call]
        return out if bias is None else out + bias
    return _gather_multiply_add(feats, kernel, kernel_map, bias)


def _gather_multiply_add(feats: Tensor, kernel: Tensor, kernel_map: KernelMap, bias: Tensor | None = None) -> Tensor:
    weights = kernel.unbind(0)
    out = _start(feats, weights, kernel_map, bias)
    most = max(len(rows) for rows in kernel_map.in_rows)
    # One scratch buffer for all weights stays in the cache, where a fresh one each would not.
    gathered, product = feats.new_empty((most, feats.shape[1])), feats.new_empty((most, kernel.shape[2]))
    for weight, in_rows, out_rows in zip(weights, kernel_map.in_rows, kernel_map.out_rows, strict=True):
        if len(in_rows) == 0:
            continue
        rows, term = gathered[: len(in_rows)], product[: len(in_rows)]
        torch.index_select(feats, 0, in_rows, out=rows)
        if not kernel_map.out_once:
            torch.mm(rows, weight, out=term)
            out.index_add_(0, out_rows, term.to(out.dtype))
        else:
            torch.mm(rows, weight, out=term) if bias is None else torch.addmm(bias, rows, weight, out=term)
            out.index_copy_(0, out_rows, term.to(out.dtype))
    return out.to(feats.dtype)


def _start(feats: Tensor, weights: Sequence[Tensor], kernel_map: KernelMap, bias: Tensor | None) -> Tensor:
    """Return what the terms are added to: the term of the identity or zeros, and the bias."""
    dtype = torch.float32 if feats.dtype in (torch.float16, torch.bfloat16) else feats.dtype
    shape = (kernel_map.n_out, weights[0].shape[1])
    if kernel_map.out_once:
        return feats.new_empty(shape, dtype=dtype)  # every row will be written, once
    if kernel_map.identity is not None:
        own = weights[kernel_map.identity]
        return (feats @ own if bias is None else torch.addmm(bias, feats, own)).to(dtype)
    out = feats.new_zeros(shape, dtype=dtype)
    return out if bias is None else out.add_(bias)


def _kernel_gradient(feats: Tensor, grad: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
    gradient = torch.zeros_like(kernel)
    for k, (in_rows, out_rows) in enumerate(zip(kernel_map.in_rows, kernel_map.out_rows, strict=True)):
        if k == kernel_map.identity:
            torch.mm(feats.T, grad, out=gradient[k])
        elif len(in_rows):
            torch.mm(feats.index_select(0, in_rows).T, grad.index_select(0, out_rows), out=gradient[k])
    return gradient


class _Convolution(torch.autograd.Function):
    """Autograd of `convolve`; gathers again in the backward pass rather than keep what it gathered."""

    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(feats, kernel)
        ctx.kernel_map = kernel_map
        return _gather_multiply_add(feats, kernel, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # noqa: ANN401
        feats, kernel = ctx.saved_tensors
        need_feats, need_kernel, _ = ctx.needs_input_grad
        grad = grad.contiguous()
        back = ctx.kernel_map.transposed()
        grad_feats = _gather_multiply_add(grad, kernel.transpose(1, 2), back) if need_feats else None
        grad_kernel = _kernel_gradient(feats, grad, kernel, ctx.kernel_map) if need_kernel else None
        return grad_feats, grad_kernel, None
