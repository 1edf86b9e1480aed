"""Supervised training: a student learns from labelled frames, and what is saved is what the segmenter loads.

`clip2scene finetune --help` shows the settings. Until annotation-free training exists, this makes the shipped
demo checkpoint.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.student.checkpoint import CheckpointCard, current_versions, save_checkpoint
from clip2scene_ros.student.points import check_range
from clip2scene_training.batching import FrameDataset, Sample
from clip2scene_training.config import FinetuneConfig
from clip2scene_training.loader import Batches
from clip2scene_training.losses import supervised_loss
from clip2scene_training.running import STATE, check_finite, go_back, interrupted_at, launch, one_cycle, training_folder
from clip2scene_training.state import TrainState
from clip2scene_training.student import Student
from clip2scene_training.survey import Survey, class_weights, survey
from clip2scene_training.synchronized import average, synchronize
from clip2scene_training.validation import curves, look, write_results


@dataclass(frozen=True)
class Run:
    """What every process of a run is given.

    Attributes:
        dataset: frames to learn.
        val_dataset: frames to look at every `eval_every` steps.
        found: what `survey` found in `dataset`.
        val_sha256: hash of `val_dataset`, empty if that is.
        config: settings.
        out: the checkpoint.
        resume: go on from the saved state where there is one.
        command: noted in the checkpoint.
    """

    dataset: FrameDataset
    val_dataset: FrameDataset
    found: Survey
    val_sha256: str
    config: FinetuneConfig
    out: Path
    resume: bool
    command: str


def finetune(
    dataset: FrameDataset,
    val_dataset: FrameDataset,
    config: FinetuneConfig,
    out: Path,
    *,
    resume: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Train on `dataset`, save to `out`, and return the report of `val_dataset`.

    `out` and, in the folder `<stem>.training` beside it, the state to resume from and TensorBoard's logs are
    written every `save_every` steps, whole or not at all: after Ctrl-C the last ones are good. At the end report.json
    and report.html, with the learning curve, stand there, too. With `workers` or
    `processes`, the data sets go to other processes: they must be picklable, and a script that calls this must do so
    under `if __name__ == "__main__":`.

    Args:
        dataset: frames with labels.
        val_dataset: frames with labels that are not in `dataset`; may be empty.
        config: settings.
        out: the checkpoint, `.safetensors`.
        resume: go on from the saved state where there is one.
        command: noted in the checkpoint.

    Returns:
        The report of `clip2scene_ros.report`, and of the training `curve`, a list of `step`, `samples` learned so
        far, `miou` on the validation frames and mean `loss` since the entry before; and `training`: the `seconds`
        that `steps` of this run took, all but the first, and `waited_s`, how long they waited for batches.

    Raises:
        BadDataset: no frames, or a frame without labels.
        BadConfig: scans that cannot be dealt out evenly among the processes, or `out` is a folder.
        BadCheckpoint: the state to resume from is damaged or of another run.
        Diverged: the loss became NaN or infinite.
        ProcessFailed: one of several processes met any of these, or was killed.
        OSError: `out` cannot be written.
    """
    made = partial(prepared, dataset, val_dataset, config, out, resume=resume, command=command)
    with interrupted_at(out):
        return launch(train, made, config)


def prepared(
    dataset: FrameDataset, val_dataset: FrameDataset, config: FinetuneConfig, out: Path, *, resume: bool, command: str
) -> Run:
    """Look at the data, and return what every process of a run is given; arguments as `finetune`."""
    check_range(config.min_range_m, config.max_range_m)
    classes = len(load_class_set(config.class_set))
    found = survey(dataset, classes, "training data")
    val_sha256 = survey(val_dataset, classes, "validation data").sha256 if len(val_dataset) else ""
    training_folder(out)
    return Run(dataset, val_dataset, found, val_sha256, config, out, resume, command)


def train(fabric: Fabric, run: Run) -> dict[str, Any]:
    """Learn, save and look; the first process returns the report, the others nothing."""
    config, folder = run.config, training_folder(run.out)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    state, model, optimizer = begin(fabric, run, folder)
    card = make_card(run, state.student)
    weights = class_weights(run.found.counts, config.balance).to(fabric.device)
    batches = Batches(run.dataset, run.found.counts, config, state.step, fabric.global_rank, fabric.world_size)
    first, learning_s = state.step, 0.0

    for step in tqdm(range(first, config.steps), "training", initial=first, total=config.steps, unit="step",
                     disable=not fabric.is_global_zero):  # fmt: skip
        started = time.perf_counter()
        batch = next(batches).to(fabric.device)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(step / config.steps, config.warmup)
        loss, value = loss_of(model, batch, weights, config.lovasz)
        check_finite("loss", value, step, run.out)
        go_back(fabric, loss, model, optimizer, config.clip_norm, step, run.out)
        learning_s += time.perf_counter() - started if step > first else 0.0  # the first waits for workers to start
        state.step, state.loss_sum = step + 1, state.loss_sum + value
        fabric.log_dict({"loss": value, "learning_rate": group["lr"]}, step)
        looks = config.eval_every and state.step % config.eval_every == 0 and state.step < config.steps
        saves = state.step % config.save_every == 0 or state.step == config.steps
        if fabric.is_global_zero and (looks or saves):
            save_student(run.out, state.student, card)
            if looks:
                look(fabric, run, state, config.eval_frames)
            if saves:
                state.save(folder / STATE)

    if not fabric.is_global_zero:
        return {}
    if not run.out.exists():  # a finished run whose checkpoint was taken away
        save_student(run.out, state.student, card)
    report, pictures = look(fabric, run, state)
    report = {**report, "curves": curves(state.curve)}
    write_results(folder, report, pictures)
    pace = {"steps": max(0, state.step - first - 1), "seconds": learning_s, "waited_s": batches.waited_s}
    return {**report, "curve": state.curve, "training": pace}


def begin(fabric: Fabric, run: Run, folder: Path) -> tuple[TrainState[Student], _FabricModule, _FabricOptimizer]:
    """Return a run's state, new or as saved in `folder`, and its student and optimizer as this process uses them."""
    config, num_classes = run.config, len(load_class_set(run.config.class_set))
    student = Student(config.network, num_classes, config.normalize, config.temperature)
    if fabric.world_size > 1:
        synchronize(student)
    optimizer = torch.optim.AdamW(student.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    settings = dumps([run.found.sha256, asdict(replace(config, workers=0, processes=fabric.world_size))])
    state = TrainState(0, student, optimizer, settings)
    model, stepper = fabric.setup(student, optimizer)
    goes_on = run.resume and (folder / STATE).exists()
    if goes_on:
        state.restore(folder / STATE)
    # A run from the start hides the curves of the one that it replaces.
    fabric.loggers.append(TensorBoardLogger(folder, name="", version="", purge_step=None if goes_on else 0))
    return state, model, stepper


def loss_of(model: torch.nn.Module, batch: Sample, weights: Tensor, lovasz: float) -> tuple[Tensor, float]:
    """Return the loss of this process's scans, to go back from, and the value of the whole batch's."""
    logits = model(batch.coords, batch.feats)
    loss = supervised_loss(logits, batch.labels, weights, lovasz, scan_of=batch.coords[:, 0], average=average)
    return loss, float(average(loss.detach()))


def make_card(run: Run, student: Student) -> CheckpointCard:
    """Return what the checkpoint will say of itself."""
    config = run.config
    return CheckpointCard(
        network=config.network,
        class_set=load_class_set(config.class_set),
        class_vectors=student.class_vectors.detach().cpu(),
        temperature=config.temperature,
        normalize=config.normalize,
        notice=config.notice,
        licences={"data": config.data_licence},
        data_sha256=run.found.sha256,
        versions=current_versions(),
        created_by=run.command,
    )


def save_student(out: Path, student: Student, card: CheckpointCard) -> None:
    """Write the checkpoint, with the class vectors as they are now."""
    card = replace(card, class_vectors=student.class_vectors.detach().cpu().clone())
    save_checkpoint(out, student.network.state_dict(), card)
