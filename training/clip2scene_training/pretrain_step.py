"""What is counted wrong in a step of pretraining: section 3 of the paper, term by term, and the terms of rivals.

docs/losses.md tells the same with all its formulas.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor, nn

from clip2scene_ros.frame import UNKNOWN
from clip2scene_training.consistency import cosine_loss, space_time_loss
from clip2scene_training.losses import lovasz_by_scan
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pretrain_samples import PretrainSample
from clip2scene_training.rivals import SeenPairs, rival_losses
from clip2scene_training.semantic import semantic_loss, text_logits
from clip2scene_training.superpixels import superpixels_of_pairs
from clip2scene_training.superpoints import superpoints_of
from clip2scene_training.switching import (
    MovingAverage,
    generator_for,
    self_labels,
    self_trains,
    switched_labels,
    unpaired,
)
from clip2scene_training.synchronized import average

SWITCH, CELLS, CONTRAST = 0, 1, 2
"""Streams of chance: which labels are switched, which pairs of an over-full cell count, which pairs are contrasted."""


def losses_of(
    fabric: Fabric,
    student: nn.Module,
    ema: MovingAverage | None,
    batch: PretrainSample,
    pixels: Tensor | None,
    text: Tensor,
    weights: Tensor | None,
    config: PretrainConfig,
    step: int,
) -> dict[str, Tensor]:
    """Return what is counted wrong in a batch: the method, section by section.

    Args:
        fabric: the network is called within its autocast, the losses are not.
        student: the `TwoHeadedStudent`, as this process calls it.
        ema: its moving average, where that gives predictions.
        batch: key frames with their sweeps, the key frames' pairs first.
        pixels: (P, d) CLIP's features of the pairs' pixels, where they are read.
        text: (C, D) vectors of the classes.
        weights: (C,) of the classes, or None for equal ones.
        config: settings.
        step: 0-based.
    """
    # Every sweep goes through the network: two embeddings of each voxel (V, D), and those of pixels (P, D).
    local, world, shown = student(batch.coords, batch.feats, pixels)
    losses: dict[str, Tensor] = {}
    if config.semantic.weight:
        losses |= text_losses(fabric, ema, batch, world, text, weights, config, step)
    if config.space_time.weight:
        losses |= cell_losses(batch, local, pixels, shown, text, config, step)
    if config.contrast.weight or config.distill.weight or config.feature.weight:
        points = world.index_select(0, batch.inverse[batch.pair_point])
        pairs = seen_pairs(batch, points, pixels, shown, text, config)
        drawn = generator_for(config.seed, step, CONTRAST)
        losses |= rival_losses(pairs, config.losses, generator=drawn, average=average)
    return losses


def text_losses(
    fabric: Fabric,
    ema: MovingAverage | None,
    batch: PretrainSample,
    world: Tensor,
    text: Tensor,
    weights: Tensor | None,
    config: PretrainConfig,
    step: int,
) -> dict[str, Tensor]:
    """Return what the global head's embeddings of voxels (V, D) say wrong of classes; the rest as in `losses_of`."""
    semantic, switching, losses = config.semantic, config.switching, dict[str, Tensor]()
    loss = partial(semantic_loss, form=semantic.form, weights=weights, average=average)
    logits, labels = text_logits(world, text, semantic.normalize, semantic.temperature), batch.pair_class
    # Section 3.4: from some time on, labels of pixels and predictions take turns.
    if self_trains(step, config.steps, switching):
        predicted = predictions(fabric, ema, batch, world, text, config)
        coins = generator_for(config.seed, step, SWITCH)
        labels = switched_labels(labels, predicted[batch.pair_point], switching, coins)
        if switching.unpaired:
            alone = unpaired(batch.pair_point, len(batch.inverse))
            losses["unpaired"] = loss(logits.index_select(0, batch.inverse[alone]), predicted[alone])
    # Section 3.2: a point scores highest with the words of its pixel's class.
    rows = batch.inverse[batch.pair_point]
    losses["semantic"] = loss(logits.index_select(0, rows), labels)
    if semantic.lovasz:
        losses["lovasz"] = lovasz_by_scan(logits.index_select(0, rows), labels, batch.coords[rows, 0], average)
    return losses


def predictions(
    fabric: Fabric,
    ema: MovingAverage | None,
    batch: PretrainSample,
    world: Tensor,
    text: Tensor,
    config: PretrainConfig,
) -> Tensor:
    """Return (N,) the class that each point learns from itself: by the moving average where there is one."""
    semantic, switching = config.semantic, config.switching
    speaks = world
    if ema is not None:
        with fabric.autocast():
            speaks = ema(batch.coords, batch.feats)[1].float()
    # Equal voxels, equal predictions; but a share of the surest and a majority are of points.
    scores = text_logits(speaks.detach(), text, semantic.normalize, semantic.temperature)[batch.inverse]
    return self_labels(scores, switching, superpoints_of(batch) if switching.superpoints else None)


def cell_losses(
    batch: PretrainSample,
    local: Tensor,
    pixels: Tensor | None,
    shown: Tensor | None,
    text: Tensor,
    config: PretrainConfig,
    step: int,
) -> dict[str, Tensor]:
    """Return how far the local head's embeddings of voxels (V, D) are from what they are pulled to."""
    rows, space_time = batch.inverse[batch.pair_point], config.space_time
    # Section 3.3: points of a cell of space, in all sweeps, are pulled to what words find there in pixels and points.
    if space_time.form == "cells":
        loss = space_time_loss(
            local.index_select(0, rows), shown, text, batch.cell[batch.pair_point], batch.pair_class, space_time,
            generator=generator_for(config.seed, step, CELLS), average=average,
        )  # fmt: skip
    elif pixels is not None:
        known = batch.pair_class != UNKNOWN
        loss = cosine_loss(local.index_select(0, rows), pixels, known, average=average)
    else:
        return {}
    return {"space_time": loss}


def seen_pairs(
    batch: PretrainSample,
    points: Tensor,
    pixels: Tensor | None,
    shown: Tensor | None,
    text: Tensor,
    config: PretrainConfig,
) -> SeenPairs:
    """Return what rivals read of a batch's P pairs.

    Args:
        batch: has images where superpixels are asked for.
        points: (P, D) embeddings by the global head.
        pixels: (P, D) CLIP's features of the pairs' pixels.
        shown: the same, projected, where they are.
        text: (C, D) vectors of the classes.
        config: settings.
    """
    contrast, distills = config.contrast, bool(config.distill.weight) and pixels is not None
    divides = bool(contrast.weight) and contrast.form == "superpixels"
    return SeenPairs(
        points=points,
        labels=batch.pair_class,
        logits=text_logits(points, text, config.semantic.normalize, config.semantic.temperature) if distills else None,
        features=pixels,
        projected=shown,
        teacher=config.text.scale * pixels @ text.T if distills and pixels is not None else None,
        superpixel=superpixels_of_pairs(batch.images, batch.pair_view, batch.pair_pixel, contrast.superpixels)
        if divides
        else None,
    )


def key_frames_first(batch: PretrainSample) -> PretrainSample:
    """Return the batch with the pairs of key frames first: the first pair of a cell says which class it has."""
    order = batch.sweep[batch.pair_point].argsort(stable=True)
    names = ("pair_point", "pair_view", "pair_pixel", "pair_class", "pair_confidence")
    pairs: dict[str, Any] = {name: getattr(batch, name)[order] for name in names}
    return replace(batch, **pairs)


def weight_of(loss: str, config: PretrainConfig) -> float:
    """Return how much a loss of `losses_of` counts; the rivals' have their weights already."""
    return {
        "semantic": config.semantic.weight, "unpaired": config.semantic.weight, "space_time": config.space_time.weight,
        "lovasz": config.semantic.weight * config.semantic.lovasz,
    }.get(loss, 1.0)  # fmt: skip
