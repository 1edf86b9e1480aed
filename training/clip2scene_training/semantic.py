"""Semantic consistency (CLIP2Scene, section 3.2): a point scores highest with the text of the class its pixel has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_training.losses import alone, mean_of_all, unit
from clip2scene_training.survey import class_weights

GCE_POWER = 0.7
"""q of Zhang and Sabuncu, 2018: towards 0 it is the cross entropy, 1 the mean absolute error."""
SCE_FORWARD, SCE_REVERSE, SCE_LOG_ZERO = 0.1, 1.0, -4.0
"""alpha, beta and A of Wang et al., 2019."""


def text_logits(features: Tensor, text: Tensor, normalize: bool = False, temperature: float = 1.0) -> Tensor:
    """Return (N, C) how well each point fits each class.

    Args:
        features: (N, D) float of the global head.
        text: (C, D) unit text embeddings of the classes, in the dtype of the features.
        normalize: compare directions only.
        temperature: divides the scores.
    """
    if normalize:
        features = unit(features)
    return features @ text.T / temperature


def semantic_loss(
    logits: Tensor,
    labels: Tensor,
    form: str = "ce",
    *,
    weights: Tensor | None = None,
    average: Callable[[Tensor], Tensor] = alone,
) -> Tensor:
    """Return the semantic consistency of pairs; 0, with gradients of 0, where no pair is labelled.

    Args:
        logits: (P, C) float of `text_logits`, a row for each pair of a point with a pixel.
        labels: (P,) integer class ids; 255 is ignored.
        form: `ce`, cross entropy (CLIP2Scene's released code); `gce` and `sce`, `generalized_cross_entropy` and
            `symmetric_cross_entropy`; `eq1` and `eq1_with_pos`, the paper's equation 1 in the readings of
            `set_contrast`, for which the logits want a temperature of 0.5.
        weights: (C,) float weight of each class, or None for equal ones; not for `eq1` and `eq1_with_pos`.
        average: returns the mean of a tensor over all processes; the mean of what they return is the loss. Sets
            of equation 1 are those of one process.

    Raises:
        ValueError: an unknown form, or arguments that it has no use for.
    """
    if form not in (*POINTWISE, *SETWISE):
        raise ValueError(f"Expected `form` to be one of {', '.join((*POINTWISE, *SETWISE))}, but got {form!r}.")
    known = labels != UNKNOWN
    logits, labels = logits[known], labels[known].long()
    if form in SETWISE:
        if weights is not None:
            raise ValueError(f"Form `{form}` compares sets of points: expected no `weights`.")
        return set_contrast(logits, labels, positives_below=form == "eq1_with_pos")
    values = POINTWISE[form](logits, labels)
    shares = torch.ones_like(values) if weights is None else weights[labels]
    return mean_of_all((shares * values).sum(), shares.detach().sum(), average)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (P,) -log p_y of (P, C) logits and (P,) int64 labels."""
    return functional.cross_entropy(logits, labels, reduction="none")


def generalized_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (P,) (1 - p_y^q) / q of (P, C) logits and (P,) int64 labels.

    Zhang, Sabuncu: Generalized cross entropy loss for training deep neural networks with noisy labels, 2018, eq. 6.
    A label that the student finds absurd pulls less than in the cross entropy.
    """
    return -torch.expm1(-GCE_POWER * cross_entropy(logits, labels)) / GCE_POWER


def symmetric_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (P,) 0.1 CE + 1.0 reverse CE of (P, C) logits and (P,) int64 labels.

    Wang et al.: Symmetric cross entropy for robust learning with noisy labels, ICCV 2019, eq. 7, log 0 being -4. The
    reverse term -sum_c p_c log y_c is then 4 (1 - p_y).
    """
    forward = cross_entropy(logits, labels)
    return SCE_FORWARD * forward + SCE_REVERSE * SCE_LOG_ZERO * torch.expm1(-forward)


POINTWISE = {"ce": cross_entropy, "gce": generalized_cross_entropy, "sce": symmetric_cross_entropy}
SETWISE = ("eq1", "eq1_with_pos")


def set_contrast(logits: Tensor, labels: Tensor, positives_below: bool) -> Tensor:
    """Return the paper's equation 1: sum over classes c of -log(sum of exp over c's points / sum of exp below).

    As printed, the sum below is over the points that are not of c: the loss may be negative and has no lower bound.
    The other reading has all points below. A class without points is left out, in the first reading also one that
    has all of them.

    Args:
        logits: (P, C) float, scores over tau.
        labels: (P,) int64 class ids below C.
        positives_below: the second reading.
    """
    own = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    asked = own.any(0) if positives_below else own.any(0) & ~own.all(0)
    scores, own = logits[:, asked], own[:, asked]
    above = scores.masked_fill(~own, -torch.inf).logsumexp(0)
    below = (scores if positives_below else scores.masked_fill(own, -torch.inf)).logsumexp(0)
    return (below - above).sum()


def capped_weights(counts: Array, balance: float, cap: float) -> Tensor:
    """Return (C,) float32 class weights: frequency ** -balance, 1 on the average point, at most `cap`.

    Args:
        counts: (F, C) labelled points of each class in each frame; a class that never occurs gets weight 0.
        balance: 0 weighs classes equally.
        cap: rare labels are wrong more often than others, so that no class may weigh much more than the average.
    """
    return class_weights(counts, balance).clamp_max(cap)
