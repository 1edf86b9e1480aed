"""Switchable self-training (CLIP2Scene, section 3.4): labels of pixels and predictions take turns at random."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.teacher.rules import vote
from clip2scene_training.config import SwitchConfig


def generator_for(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """Return a generator on the CPU that is a function of seed and step alone: a resumed run draws as an unbroken one.

    Args:
        seed: of the run.
        step: 0-based.
        stream: another number, other draws: one for each use.
    """
    state = np.random.SeedSequence((seed, step, stream)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def self_trains(step: int, steps: int, config: SwitchConfig) -> bool:
    """Say whether predictions may be labels at 0-based `step` of `steps`: from step round(start * steps) on.

    This one definition serves every data set; the released code has two, in epochs.
    """
    return config.probability > 0 and step >= round(config.start * steps)


def self_labels(logits: Tensor, config: SwitchConfig, superpoint: Tensor | None = None) -> Tensor:
    """Return (N,) int64 labels by predictions: the best class of each point, 255 where it is not accepted.

    With `superpoints`, all points of a thing first get the mean of their probabilities where the majority is clear
    (`rules.vote`). Of the points that are predicted to be of a class, its surest share `accept` is accepted: a
    threshold on all classes alike would leave out rare ones, of which no student is sure.

    Args:
        logits: (N, C) float of the student or its moving average, of all points of a batch; no gradient passes.
        config: `superpoints` and `accept` are read.
        superpoint: (N,) int64 of `superpoints_of`; needed with `superpoints`.

    Raises:
        ValueError: `superpoints` without any.
    """
    logits = logits.detach()
    if not config.superpoints and config.accept >= 1.0:
        return logits.argmax(1)
    chances = logits.softmax(1)
    if config.superpoints:
        if superpoint is None:
            raise ValueError("Expected a `superpoint` for each point, since setting `superpoints` is on.")
        chances = vote(chances, superpoint)
    confidence, predicted = chances.max(1)
    return predicted.masked_fill(~_accepted(confidence, predicted, config.accept), UNKNOWN)


def _accepted(confidence: Tensor, predicted: Tensor, share: float) -> Tensor:
    """Return (N,) bool: among the surest share of its class; of equals in confidence all or none."""
    kept = torch.ones_like(predicted, dtype=torch.bool)
    for label in torch.bincount(predicted).nonzero().flatten().tolist() if share < 1.0 else []:
        mine = (predicted == label).nonzero().squeeze(1)
        own = confidence[mine]
        count = max(round(share * len(mine)), 1)
        kept[mine] = own >= own.topk(count).values[-1]
    return kept


def switched_labels(labels: Tensor, predicted: Tensor, config: SwitchConfig, generator: torch.Generator) -> Tensor:
    """Return (P,) int64 labels to learn: by the throw of a coin a pair's prediction or the label of its pixel.

    A prediction also replaces the label 255: then the pair counts, where the pixel alone says nothing. Where the
    prediction is 255, the label stays.

    Args:
        labels: (P,) integer class of each pair's pixel, 255 unknown.
        predicted: (P,) int64 class that the student, or its moving average, gives each point (`self_labels`): of the
            very logits in training where it is the student's own.
        config: settings; ask `self_trains` first.
        generator: on the CPU, so that all devices draw the same. Equal ones in all processes throw one coin for the
            whole batch; with `granularity` `point` their coins are of unrelated points.
    """
    throws = 1 if config.granularity == "batch" else len(labels)
    coin = torch.rand(throws, generator=generator) < config.probability
    return torch.where(coin.to(labels.device) & (predicted != UNKNOWN), predicted, labels.long())


def unpaired(pair_points: Tensor, num_points: int) -> Tensor:
    """Return (N,) bool, points that no pair has: they are labelled by predictions alone, or by nothing.

    Args:
        pair_points: (P,) int64 point of each pair; a point may have several.
        num_points: N.
    """
    alone = torch.ones(num_points, dtype=torch.bool, device=pair_points.device)
    alone[pair_points] = False
    return alone


class MovingAverage(nn.Module):
    """A module whose weights follow those of another: w <- d w + (1 - d) other (Tarvainen and Valpola, 2017).

    It always is in evaluation mode and bears no gradients. Buffers of floats, such as a batch norm's moments, follow
    as the weights do; others are copied. Its state_dict holds all that it needs to go on.

    Args:
        module: is copied.
        decay: d; the first updates have less, (1 + n) / (10 + n), so that the random start is soon forgotten.
    """

    updates: Tensor

    def __init__(self, module: nn.Module, decay: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay = decay
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.eval()

    def train(self, mode: bool = True) -> MovingAverage:
        """Stay in evaluation mode, whatever `mode` is."""
        return super().train(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the weights that `module` has now; call it after each step of its optimizer."""
        n = int(self.updates)
        decay = min(self.decay, (1 + n) / (10 + n))
        theirs = module.state_dict()
        for name, mine in self.module.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[name].to(mine), 1 - decay)
            else:
                mine.copy_(theirs[name])
        self.updates += 1

    @torch.no_grad()
    def forward(self, *inputs: Any) -> Any:  # noqa: ANN401 - as the module's own
        """Return what the averaged module makes of its inputs."""
        return self.module(*inputs)
