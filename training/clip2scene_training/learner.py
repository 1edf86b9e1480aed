"""What learns in pretraining, and how a run of it begins: student, moving average, optimizer, and the state of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import nn

from clip2scene_training.consistency import PixelProjection
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pretrain_data import Lessons
from clip2scene_training.running import STATE
from clip2scene_training.state import TrainState
from clip2scene_training.student import TwoHeadedStudent, mix_precision
from clip2scene_training.switching import MovingAverage
from clip2scene_training.synchronized import synchronize

SGD_MOMENTUM, SGD_DAMPENING = 0.9, 0.1
"""Of the paper's optimizer."""


class Learner(nn.Module):
    """All that has weights: the student with its heads and the projection of pixels, and its moving average, if asked.

    Args:
        student: what learns.
        decay: of the average; None for none.
    """

    def __init__(self, student: TwoHeadedStudent, decay: float | None) -> None:
        super().__init__()
        self.student = student
        self.average = None if decay is None else MovingAverage(student, decay)

    def follow(self) -> None:
        """Move the average towards the student, after each step."""
        if self.average is not None:
            self.average.update(self.student)


def begin(
    fabric: Fabric, config: PretrainConfig, lessons: Lessons, folder: Path, *, resume: bool
) -> tuple[TrainState[Learner], _FabricModule, _FabricOptimizer]:
    """Return a run's state, new or as saved in `folder`, and its student and optimizer as this process uses them."""
    student = make_student(config)
    if fabric.world_size > 1:
        synchronize(student)
    predicts = config.switching.probability > 0 and config.switching.prediction == "ema"
    learner = Learner(student, config.switching.decay if predicts else None).to(fabric.device)
    optimizer = make_optimizer([p for p in student.parameters() if p.requires_grad], config)
    settings = dumps([lessons.key, asdict(replace(config, workers=0, processes=fabric.world_size))])
    state = TrainState(0, learner, optimizer, settings)
    model, stepper = fabric.setup(student, optimizer)
    goes_on = resume and (folder / STATE).exists()
    if goes_on:
        state.restore(folder / STATE)
    # A run from the start hides the curves of the one that it replaces.
    fabric.loggers.append(TensorBoardLogger(folder, name="", version="", purge_step=None if goes_on else 0))
    return state, model, stepper


def make_student(config: PretrainConfig) -> TwoHeadedStudent:
    """Return a new student, with a projection of pixels where any term reads one."""
    losses, size = config.losses, config.network.embedding_dim
    learns = config.space_time.learn_projection or bool(config.contrast.weight)
    # CLIP compares features of pixels with words: they are as long as these.
    projection = PixelProjection(size, size, learns) if losses.projects else None
    student = TwoHeadedStudent(config.network, projection, losses.world_learns, bool(losses.space_time.weight))
    if config.precision == "bf16":
        mix_precision(student)
    return student


def make_optimizer(weights: Sequence[nn.Parameter], config: PretrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer of some weights."""
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "sgd":
        return torch.optim.SGD(weights, rate, momentum=SGD_MOMENTUM, dampening=SGD_DAMPENING, weight_decay=decay)
    return torch.optim.AdamW(weights, rate, weight_decay=decay)
