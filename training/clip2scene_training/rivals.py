"""The terms that CLIP2Scene does not have: its rivals', each in the same trainer, on the same pairs and CLIP features.

A rival is a `PretrainLossConfig` in which the paper's terms weigh nothing: `config.RIVALS`. Any of the terms may as
well stand beside the paper's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clip2scene_ros.frame import UNKNOWN
from clip2scene_training.config import PretrainLossConfig
from clip2scene_training.consistency import cosine_loss
from clip2scene_training.contrast import distill_kl, pair_contrast, superpixel_contrast
from clip2scene_training.losses import alone
from clip2scene_training.rival_config import ContrastConfig


@dataclass(frozen=True, eq=False)
class SeenPairs:
    """What is known of the P pairs of a batch.

    Attributes:
        points: (P, D) float embeddings of the points by the global head, the one that goes into the checkpoint.
        logits: (P, C) float scores of the points (`semantic.text_logits`); None where nothing is distilled.
        features: (P, D) float CLIP features of the pixels, in the space of text; None where no term reads them.
        projected: (P, D) float, the same by `PixelProjection`; None where nothing is contrasted.
        teacher: (P, C) float logits of the pixels, with CLIP's scale; None where nothing is distilled.
        labels: (P,) integer class of each pair's pixel; a pair with 255 is neither distilled nor followed.
        superpixel: (P,) int64 of each pixel, unique over the batch; None but for SLidR.
    """

    points: Tensor
    labels: Tensor
    logits: Tensor | None = None
    features: Tensor | None = None
    projected: Tensor | None = None
    teacher: Tensor | None = None
    superpixel: Tensor | None = None


def rival_losses(
    pairs: SeenPairs,
    config: PretrainLossConfig,
    *,
    generator: torch.Generator | None = None,
    average: Callable[[Tensor], Tensor] = alone,
) -> dict[str, Tensor]:
    """Return the terms whose weight is not 0, by name (`contrast`, `distill`, `feature`), each times its weight.

    Without pairs each is 0, with gradients of 0.

    Args:
        pairs: of a batch.
        config: `contrast`, `distill` and `feature` are read.
        generator: on the CPU, for the pairs that PPKT draws: a function of seed and step (`generator_for`).
        average: returns the mean of a tensor over all processes. Contrast is with the negatives of one process.

    Raises:
        ValueError: what a term needs is missing.
    """
    found: dict[str, Tensor] = {}
    known = pairs.labels != UNKNOWN
    if config.contrast.weight:
        found["contrast"] = config.contrast.weight * _contrast(pairs, config.contrast, generator)
    if config.distill.weight:
        student, teacher = _needed(pairs.logits, "logits")[known], _needed(pairs.teacher, "teacher")[known]
        term = distill_kl(student, teacher, config.distill.temperature, average=average)
        found["distill"] = config.distill.weight * term
    if config.feature.weight:
        term = cosine_loss(pairs.points, _needed(pairs.features, "features"), known, average=average)
        found["feature"] = config.feature.weight * term
    return found


def _contrast(pairs: SeenPairs, config: ContrastConfig, generator: torch.Generator | None) -> Tensor:
    projected = _needed(pairs.projected, "projected")
    if config.form == "superpixels":
        superpixel = _needed(pairs.superpixel, "superpixel")
        return superpixel_contrast(pairs.points, projected, superpixel, config.temperature)
    return pair_contrast(pairs.points, projected, config.pairs, config.temperature, generator=generator)


def _needed(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise ValueError(f"Expected `{name}` of the pairs, which a term of the loss reads, but got none.")
    return value
