"""Losses of CLIP2Scene's rivals: contrast of pairs (PPKT, SLidR) and distillation of logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(keys: Tensor, queries: Tensor, temperature: float = 0.07, labels: Tensor | None = None) -> Tensor:
    """Return the mean over pairs of -log softmax(k_i . q_j / T) at j = i; 0 where there are none.

    Oord et al., 2018; PPKT's over pairs of points and pixels, SLidR's over pairs of superpoints and superpixels. With
    labels, others of a pair's own class are no negatives: they leave the sum below (CLIP2Scene's `semantic_NCELoss`).

    Args:
        keys: (P, D) float of points, normalised by the caller.
        queries: (P, D) float of their pixels, too.
        temperature: T; 0.07 in PPKT and SLidR.
        labels: (P,) integer class ids, or None.
    """
    logits = keys @ queries.T / temperature
    if labels is not None:
        friends = (labels[:, None] == labels).fill_diagonal_(False)
        logits = logits.masked_fill(friends, -torch.inf)
    own = torch.arange(len(keys), device=keys.device)
    return functional.cross_entropy(logits, own, reduction="sum") / max(len(keys), 1)


def distill_kl(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Return T^2 times the mean over rows of KL(teacher || student) of softmax(logits / T); 0 where there are none.

    Hinton et al., 2015. The paper's table 3 has it as a row: pixels' logits distilled into points.

    Args:
        student: (P, C) float logits.
        teacher: (P, C) float logits.
        temperature: T.
    """
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    apart = functional.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    return temperature**2 * apart / max(len(student), 1)
