"""Losses of the supervised training: cross entropy plus Lovász-softmax, as in CLIP2Scene's fine-tuning.

Those of the training without labels are in `semantic`, `consistency`, `switching` and `contrast`.

Each term is one number over the whole batch, whatever the processes that share it: the cross entropy is divided by
what all of them sum up, and the Lovász term, which is no mean over points, is taken scan by scan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from clip2scene_ros.frame import UNKNOWN

INDEX_BITS = 32
SHORTEST = 1e-12
"""Rows shorter than this are divided by it, as in `functional.normalize`."""


def alone(value: Tensor) -> Tensor:
    """Return `value`: the mean over all processes where there is one."""
    return value


def unit(rows: Tensor) -> Tensor:
    """Return (N, D) rows at length 1, as `functional.normalize` does, with a gradient in half of its time.

    That of a pair's features is most of what the space-time term costs on the CPU.
    """
    result: Tensor = _Unit.apply(rows)  # type: ignore[no-untyped-call]
    return result


class _Unit(torch.autograd.Function):
    """y = x / |x|, with dx = (dy - (dy . y) y) / |x|."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ANN401
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min(SHORTEST)
        result: Tensor = rows / length
        ctx.save_for_backward(result, length)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        result, length = ctx.saved_tensors
        along = torch.linalg.vecdot(gradient, result).unsqueeze(1)
        across: Tensor = torch.addcmul(gradient, along, result, value=-1)
        across.div_(length)
        return across


def mean_of_all(total: Tensor, count: Tensor, average: Callable[[Tensor], Tensor] = alone) -> Tensor:
    """Return the sum of some values over their number, the number being that of all processes; 0 where there are none.

    Args:
        total: () float, the sum in this process.
        count: () float, how many values (or what weight) that is of, without gradient.
        average: returns the mean of a tensor over all processes; the mean of what they return is the mean of all.
    """
    return total / average(count).clamp_min(torch.finfo(count.dtype).tiny)


def supervised_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor | None = None,
    lovasz_weight: float = 1.0,
    *,
    scan_of: Tensor | None = None,
    average: Callable[[Tensor], Tensor] = alone,
) -> Tensor:
    """Return cross entropy plus weighted Lovász-softmax over the labelled rows.

    Args:
        logits: (V, C) float32.
        labels: (V,) int64 class ids; 255 is ignored. A batch without a labelled row has the loss 0.
        class_weights: (C,) float32 weight of each class in the cross entropy, or None for equal ones.
        lovasz_weight: 0 leaves the Lovász term out.
        scan_of: (V,) number of each row's scan; None says that all are of one.
        average: returns the mean of a tensor over all processes; the mean of what they return is the loss.
    """
    labelled = labels != UNKNOWN
    shown, truth = logits[labelled], labels[labelled]
    weights = logits.new_ones(logits.shape[1]) if class_weights is None else class_weights
    total = functional.cross_entropy(shown, truth, class_weights, reduction="sum")
    loss = mean_of_all(total, weights[truth].sum(), average)
    if lovasz_weight:
        scan_of = torch.zeros_like(labels) if scan_of is None else scan_of
        loss = loss + lovasz_weight * lovasz_by_scan(logits, labels, scan_of, average)
    return loss


def lovasz_by_scan(
    logits: Tensor, labels: Tensor, scan_of: Tensor, average: Callable[[Tensor], Tensor] = alone
) -> Tensor:
    """Return the mean of `lovasz_softmax` over scans; 0, with gradients of 0, where no row is labelled.

    Args:
        logits: (V, C) float32.
        labels: (V,) int64 class ids; 255 is ignored.
        scan_of: (V,) number of each row's scan.
        average: as in `mean_of_all`.
    """
    labelled = labels != UNKNOWN
    probabilities, labels, scan_of = logits[labelled].softmax(1), labels[labelled], scan_of[labelled]
    scans = [scan_of == number for number in torch.unique(scan_of)]
    terms = [lovasz_softmax(probabilities[scan], labels[scan]) for scan in scans]
    return mean_of_all(sum(terms, probabilities.sum() * 0), logits.new_tensor(float(len(terms))), average)


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovász extension of 1 - IoU, averaged over the classes in `labels`.

    Berman, Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018, equations 8 to 10 and algorithm 1.

    Args:
        probabilities: (V, C) float32, rows summing to 1, V > 0.
        labels: (V,) int64 class ids below C.
    """
    classes = torch.bincount(labels).nonzero().squeeze(1)
    truth = (labels == classes[:, None]).to(probabilities.dtype)
    errors = (truth - probabilities.T[classes]).abs()
    order = _descending(errors.detach())
    ranked_truth = truth.gather(1, order)
    count = truth.sum(1, keepdim=True)
    intersection = count - ranked_truth.cumsum(1)
    union = count + (1 - ranked_truth).cumsum(1)
    jaccard = 1 - intersection / union
    gradient = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], 1)
    loss: Tensor = (errors.gather(1, order) * gradient).sum(1).mean()
    return loss


def _descending(errors: Tensor) -> Tensor:
    """Return (C, V) int64 the columns of each row of errors >= 0, the largest first, equals in their order."""
    if errors.device.type != "cpu" or errors.dtype != torch.float32:
        return errors.argsort(dim=1, descending=True, stable=True)
    # The bits of floats >= 0 are ordered as they are; with the column below them, sorting the keys sorts the columns.
    # NumPy sorts int64 with vector instructions, several times faster than torch sorts floats with their columns.
    last = errors.shape[1] - 1
    columns = np.arange(last, -1, -1, dtype=np.int64)
    keys = (errors.contiguous().numpy().view(np.int32).astype(np.int64) << INDEX_BITS) | columns
    keys.sort(axis=1)
    return torch.from_numpy(last - (keys[:, ::-1] & ((1 << INDEX_BITS) - 1)))
