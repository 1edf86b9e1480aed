"""Losses of CLIP2Scene's rivals: contrast of pairs (PPKT, SLidR) and distillation of logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_training.losses import alone, mean_of_all


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


def pair_contrast(
    points: Tensor, pixels: Tensor, limit: int, temperature: float = 0.07, *, generator: torch.Generator | None = None
) -> Tensor:
    """Return PPKT's loss (Liu et al., 2021): `info_nce` over pairs drawn at random, both sides of length 1.

    Args:
        points: (P, D) float embeddings of the pairs' points.
        pixels: (P, D) float features of their pixels, in the same space (`PixelProjection`).
        limit: pairs drawn, at most; 0 takes all.
        temperature: T.
        generator: on the CPU; needed where there are more pairs than `limit`.

    Raises:
        ValueError: more pairs than `limit` and no generator: which ones are drawn has to be repeatable.
    """
    if 0 < limit < len(points):
        if generator is None:
            raise ValueError(f"Expected a `generator`, since {limit} of {len(points)} pairs are drawn.")
        drawn = torch.randperm(len(points), generator=generator)[:limit].to(points.device)
        points, pixels = points[drawn], pixels[drawn]
    return info_nce(functional.normalize(points, dim=1), functional.normalize(pixels, dim=1), temperature)


def superpixel_contrast(points: Tensor, pixels: Tensor, superpixel: Tensor, temperature: float = 0.07) -> Tensor:
    """Return SLidR's loss (Sautier et al., CVPR 2022, equation 2): `info_nce` over superpixels.

    As in its code, features have length 1 before they are averaged, not after: what a superpixel is unsure of counts
    less. A superpixel's pixels are those that have a point, where SLidR averages all of them.

    Args:
        points: (P, D) float embeddings of the pairs' points.
        pixels: (P, D) float features of their pixels, in the same space.
        superpixel: (P,) int64 superpixel of each pair's pixel, unique over the batch.
        temperature: T.
    """
    group = torch.unique(superpixel, return_inverse=True)[1]
    keys, queries = (_means(functional.normalize(each, dim=1), group) for each in (points, pixels))
    return info_nce(keys, queries, temperature)


def _means(values: Tensor, group: Tensor) -> Tensor:
    """Return (G, D) means of (P, D) values by (P,) group number 0..G-1, each of which occurs."""
    counts = torch.bincount(group)
    return values.new_zeros(len(counts), values.shape[1]).index_add(0, group, values) / counts[:, None]


def distill_kl(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, *, average: Callable[[Tensor], Tensor] = alone
) -> Tensor:
    """Return T^2 times the mean over rows of KL(teacher || student) of softmax(logits / T); 0 where there are none.

    Hinton et al., 2015. The paper's table 3 has it as a row: pixels' logits distilled into points.

    Args:
        student: (P, C) float logits.
        teacher: (P, C) float logits; logarithms of probabilities are some.
        temperature: T.
        average: returns the mean of a tensor over all processes; the mean of what they return is the loss.
    """
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    apart = functional.kl_div(log_student, log_teacher, reduction="sum", log_target=True)
    return temperature**2 * mean_of_all(apart, apart.new_tensor(float(len(student))), average)
