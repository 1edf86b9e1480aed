"""Losses of the supervised training: cross entropy plus Lovász-softmax, as in CLIP2Scene's fine-tuning."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.frame import UNKNOWN


def supervised_loss(
    logits: Tensor, labels: Tensor, class_weights: Tensor | None = None, lovasz_weight: float = 1.0
) -> Tensor:
    """Return cross entropy plus weighted Lovász-softmax over the labelled rows.

    Args:
        logits: (V, C) float32.
        labels: (V,) int64 class ids; 255 is ignored. At least one row must be labelled.
        class_weights: (C,) float32 weight of each class in the cross entropy, or None for equal ones.
        lovasz_weight: 0 leaves the Lovász term out.
    """
    labelled = labels != UNKNOWN
    logits, labels = logits[labelled], labels[labelled]
    loss = functional.cross_entropy(logits, labels, class_weights)
    if lovasz_weight:
        loss = loss + lovasz_weight * lovasz_softmax(logits.softmax(1), labels)
    return loss


def lovasz_softmax(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the Lovász extension of 1 - IoU, averaged over the classes in `labels`.

    Berman, Triki, Blaschko: The Lovász-Softmax loss, CVPR 2018, equations 8 to 10 and algorithm 1.

    Args:
        probabilities: (V, C) float32, rows summing to 1.
        labels: (V,) int64 class ids below C.
    """
    truth = functional.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    errors, order = (truth - probabilities).abs().sort(dim=0, descending=True, stable=True)
    ranked_truth = truth.gather(0, order)
    count = truth.sum(0)
    intersection = count - ranked_truth.cumsum(0)
    union = count + (1 - ranked_truth).cumsum(0)
    jaccard = 1 - intersection / union
    gradient = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    per_class = (errors * gradient).sum(0)
    return per_class[count > 0].mean()
