"""Learning without labels: CLIP2Scene (Chen et al., CVPR 2023), from drives with images to a checkpoint.

A frozen CLIP says what each pixel shows. A 3D network learns to say it of points: its global head is compared with the
words of classes, its local head with pixels and points of the same small cell of space in other sweeps, and from some
time on it learns from its own predictions, too. `clip2scene pretrain --help` shows the settings, docs/pretrain.md tells
how to use them, docs/losses.md what is counted wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.evaluation import Groups
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.metrics import distance_bands
from clip2scene_ros.student.checkpoint import CheckpointCard, save_checkpoint
from clip2scene_training.batching import FrameDataset
from clip2scene_training.learner import Learner, begin
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pretrain_data import Lessons, prepare
from clip2scene_training.pretrain_loader import PretrainSamples, pretrain_batches
from clip2scene_training.pretrain_samples import PretrainSample
from clip2scene_training.pretrain_step import key_frames_first, losses_of, weight_of
from clip2scene_training.pseudo_labels import SceneFrames
from clip2scene_training.readout import read_out
from clip2scene_training.running import STATE, check_finite, go_back, interrupted_at, launch, one_cycle, training_folder
from clip2scene_training.semantic import capped_weights
from clip2scene_training.state import TrainState
from clip2scene_training.synchronized import average
from clip2scene_training.validation import curves, look, write_results


@dataclass(frozen=True)
class Run:
    """What every process of a run is given.

    Attributes:
        lessons: what is learned: frames with pseudo-labels, words, who taught them.
        val_dataset: frames to look at every `eval_every` steps.
        config: settings.
        out: the checkpoint.
        resume: go on from the saved state where there is one.
        command: noted in the checkpoint.
    """

    lessons: Lessons
    val_dataset: FrameDataset
    config: PretrainConfig
    out: Path
    resume: bool
    command: str

    @property
    def val_sha256(self) -> str:
        """Return the hash of `val_dataset`, empty if that is."""
        return self.lessons.val_sha256

    @property
    def groups(self) -> Groups:
        """Return the points that are also scored on their own."""
        return self.lessons.quality.groups if self.lessons.quality else distance_bands


def pretrain(
    dataset: SceneFrames,
    val_dataset: SceneFrames | None,
    config: PretrainConfig,
    out: Path,
    *,
    dense: dict[str, Any] | None = None,
    bags: Sequence[Path] = (),
    cache: Path | None = None,
    resume: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Label `dataset` by its images, learn from that, save to `out`, and return the report of `val_dataset`.

    What is written when, and after Ctrl-C, is as in `finetune`; the ground truth of `dataset` is out of reach.

    Args:
        dataset: frames with images and, for several sweeps, poses; frames without images are sweeps only. Or
            `ShardLabels`, which have labels already; where their images were not kept, all labelled points are learned.
        val_dataset: frames with labels that are not in `dataset`, to be judged by; None or empty for none.
        config: settings.
        out: the checkpoint, `.safetensors`.
        dense: settings of DenseConfig by name, that replace those of CLIP's own card.
        bags: that hold label images, where setting `teacher` is `bag`.
        cache: folder that keeps pseudo-labels and features; None takes the user's cache.
        resume: go on from the saved state where there is one.
        command: noted in the checkpoint.

    Returns:
        As `finetune`; where the validation data have images, there is a table of the teacher's labels and the
        student's on the same points, and `labels_miou`, that of the labels on the points that they label.

    Raises:
        BadTeacher, BadCheckpoint, BadClassSet: the teacher cannot be had, or shards have other classes than asked for.
        BadDataset: no frames, none that the teacher labels, or damaged files in the cache.
        BadConfig: settings that do not go together, or `out` is a folder.
        BadCheckpoint: the state to resume from is damaged or of another run.
        Diverged: the loss became NaN or infinite.
        ProcessFailed: one of several processes met any of these, or was killed.
        OSError: `out` cannot be written.
    """
    made = partial(prepared, dataset, val_dataset, config, out, dense, bags, cache, resume, command)
    with interrupted_at(out):
        return launch(train, made, config, config.precision)


def prepared(
    dataset: SceneFrames,
    val_dataset: SceneFrames | None,
    config: PretrainConfig,
    out: Path,
    dense: dict[str, Any] | None,
    bags: Sequence[Path],
    cache: Path | None,
    resume: bool,
    command: str,
) -> Run:
    """Label the data, and return what every process of a run is given; arguments as `pretrain`."""
    training_folder(out)
    lessons = prepare(dataset, val_dataset, config, dense, bags, cache)
    return Run(lessons, [] if val_dataset is None else val_dataset, lessons.config, out, resume, command)


def train(fabric: Fabric, run: Run) -> dict[str, Any]:
    """Learn, save and look; the first process returns the report, the others nothing."""
    config, folder, lessons = run.config, training_folder(run.out), run.lessons
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    state, model, optimizer = begin(fabric, config, lessons, folder, resume=run.resume)
    card, text = replace(lessons.card, created_by=run.command), lessons.words.vectors.to(fabric.device)
    weights = class_weights(lessons, config).to(fabric.device) if config.semantic.balance else None
    batches, first, learning_s, waited_s = batches_of(fabric, lessons, config, state.step), state.step, 0.0, 0.0

    for step in tqdm(range(first, config.steps), "pretraining", initial=first, total=config.steps, unit="step",
                     disable=not fabric.is_global_zero):  # fmt: skip
        started = time.perf_counter()
        batch = key_frames_first(next(batches).to(fabric.device))
        waited = time.perf_counter() - started
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(step / config.steps, config.warmup)
        pixels = lessons.features.of(batch) if lessons.features else None
        losses = losses_of(fabric, model, state.student.average, batch, pixels, text, weights, config, step)
        loss = torch.stack([weight_of(name, config) * each for name, each in losses.items()]).sum()
        value = float(average(loss.detach()))
        check_finite("loss", value, step, run.out)
        go_back(fabric, loss, model, optimizer, config.clip_norm, step, run.out)
        state.student.follow()
        if step > first:  # the first waits for workers to start
            learning_s, waited_s = learning_s + time.perf_counter() - started, waited_s + waited
        state.step, state.loss_sum = step + 1, state.loss_sum + value
        log_step(fabric, batch, losses, value, group["lr"], step)
        looks = config.eval_every and state.step % config.eval_every == 0 and state.step < config.steps
        saves = state.step % config.save_every == 0 or state.step == config.steps
        if fabric.is_global_zero and (looks or saves):
            keep(run, state, card)
            if looks:
                look(fabric, run, state, config.eval_frames, run.groups)
            if saves:
                state.save(folder / STATE)

    if not fabric.is_global_zero:
        return {}
    if not run.out.exists():  # a finished run whose checkpoint was taken away
        keep(run, state, card)
    report = judged(fabric, run, state, folder)
    pace = {"steps": max(0, state.step - first - 1), "seconds": learning_s, "waited_s": waited_s}
    return {**report, "curve": state.curve, "training": pace}


def keep(run: Run, state: TrainState[Learner], card: CheckpointCard) -> None:
    """Write the checkpoint; a student that learns without classes has none but those that are read out of it."""
    weights, lessons = state.student.student.kept(), run.lessons
    if run.config.losses.without_classes:
        card = read_out(weights, card, lessons.frames, lessons.keys, run.config)
    save_checkpoint(run.out, weights, card)


def class_weights(lessons: Lessons, config: PretrainConfig) -> Tensor:
    """Return (C,) float32 weights of the classes, by how often the teacher names them."""
    return capped_weights(lessons.counts, config.semantic.balance, config.semantic.weight_cap)


def batches_of(fabric: Fabric, lessons: Lessons, config: PretrainConfig, start: int) -> Iterator[PretrainSample]:
    """Yield this process's share of each step's batch, from step `start` on."""
    samples = PretrainSamples(lessons.frames, config.data, config.seed, lessons.keys, lessons.maps)
    process = {"process": fabric.global_rank, "processes": fabric.world_size}
    return pretrain_batches(samples, config.batch_size, start=start, workers=config.workers, **process)


def log_step(
    fabric: Fabric, batch: PretrainSample, losses: dict[str, Tensor], loss: float, rate: float, step: int
) -> None:
    """Note a step's losses, its learning rate, and how many of its pairs have a label; means over all processes."""
    labelled = (batch.pair_class != UNKNOWN).float().mean() if len(batch.pair_class) else torch.zeros(())
    terms = {f"loss/{name}": value.detach().float() for name, value in losses.items()}
    terms["labelled_pairs"] = labelled.to(fabric.device)
    means = average(torch.stack(list(terms.values()))).tolist()
    fabric.log_dict({"loss": loss, "learning_rate": rate, **dict(zip(terms, means, strict=True))}, step)


def judged(fabric: Fabric, run: Run, state: TrainState[Learner], folder: Path) -> dict[str, Any]:
    """Look at all validation data, write the results, and return the report; see `pretrain`."""
    quality = run.lessons.quality
    report, pictures = look(fabric, run, state, groups=run.groups)
    report = {**report, "curves": curves(state.curve)}
    if quality is not None:
        fabric.log_dict({"labels_miou": quality.miou}, state.step)
        report["tables"] = {"The teacher's labels and the student on the same points": quality.table(report["groups"])}
    write_results(folder, report, pictures)
    return {**report, "labels_miou": None if quality is None else quality.miou}
