"""Supervised training: a student learns from labelled frames, and what is saved is what the segmenter loads.

`clip2scene finetune --help` shows the settings. Until annotation-free training exists, this makes the shipped
demo checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.errors import Clip2SceneError
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.offline import evaluate
from clip2scene_ros.report import build_report, sha256_of
from clip2scene_ros.student.checkpoint import CheckpointCard, current_versions, save_checkpoint
from clip2scene_ros.student.segmenter import Segmenter, choose_device
from clip2scene_training.augment import augment
from clip2scene_training.batching import FrameDataset, Sample, collate, make_sample, shuffled_indices
from clip2scene_training.config import FinetuneConfig
from clip2scene_training.losses import supervised_loss
from clip2scene_training.state import TrainState
from clip2scene_training.student import Student
from clip2scene_training.survey import class_weights, survey


class Diverged(Clip2SceneError):
    """The loss is no longer a number; the last checkpoint was saved before that."""


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
    written every `save_every` steps, whole or not at all: after Ctrl-C the last ones are good.

    Args:
        dataset: frames with labels.
        val_dataset: frames that are not in `dataset`; may be empty.
        config: settings.
        out: the checkpoint, `.safetensors`.
        resume: go on from the saved state where there is one.
        command: noted in the checkpoint.

    Raises:
        BadDataset: no frames, or a frame without labels.
        BadCheckpoint: the state to resume from is damaged or of another run.
        Diverged: the loss became NaN or infinite.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    class_set = load_class_set(config.class_set)
    data_sha256, counts = survey(dataset, len(class_set))
    folder = out.with_name(f"{out.stem}.training")
    student = Student(config.network, len(class_set), config.normalize, config.temperature)
    optimizer = torch.optim.AdamW(student.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    state = TrainState(0, student, optimizer, settings=dumps([data_sha256, asdict(config)]))
    device = choose_device(config.device)
    fabric = Fabric(accelerator=device.type, devices=[device.index or 0] if device.type == "cuda" else 1)
    fabric.loggers.append(TensorBoardLogger(folder, name="", version=""))
    model, optimizer = fabric.setup(student, optimizer)
    if resume and (folder / "state.safetensors").exists():
        state.restore(folder / "state.safetensors")
    card = make_card(config, class_set, student, data_sha256, command)
    weights = class_weights(counts, config.balance).to(fabric.device)
    order = shuffled_indices(len(dataset), config.seed, start=state.step * config.batch_size)

    for step in tqdm(range(state.step, config.steps), "training", initial=state.step, total=config.steps, unit="step"):
        rng = np.random.default_rng((config.seed, step))
        batch = collate([prepare(dataset, next(order), config, rng) for _ in range(config.batch_size)])
        batch = batch.to(fabric.device)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(step / config.steps, config.warmup)
        logits = model(batch.coords, batch.feats)
        loss = supervised_loss(logits, batch.labels, weights, config.lovasz)
        if not math.isfinite(loss.item()):
            raise Diverged(
                "loss", f"The loss is {loss.item()} at step {step}; lower `learning_rate`. {out} is as last saved."
            )
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=config.clip_norm)
        optimizer.step()
        state.step = step + 1
        fabric.log_dict({"loss": loss.item(), "learning_rate": group["lr"]}, step)
        if state.step % config.save_every == 0 or state.step == config.steps:
            state.save(folder / "state.safetensors")
            save_student(out, student, card)

    report = judge(out, val_dataset, config, command)
    fabric.log_dict({"miou": report["miou"] or 0.0}, config.steps)
    return report


def prepare(dataset: FrameDataset, index: int, config: FinetuneConfig, rng: np.random.Generator) -> Sample:
    """Return frame `index` augmented and voxelised."""
    frame = dataset[index]
    labels = np.full(len(frame.scan), UNKNOWN, np.uint8) if frame.labels is None else frame.labels
    network = config.network
    scan = augment(frame.scan, config.augment, rng)
    return make_sample(
        scan, labels, network.voxel_size_m, network.in_channels, (config.min_range_m, config.max_range_m)
    )


def one_cycle(progress: float, warmup: float) -> float:
    """Return the share of the peak learning rate at `progress` in [0, 1): a linear rise, then half a cosine to 0."""
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def make_card(
    config: FinetuneConfig, class_set: ClassSet, student: Student, data_sha256: str, command: str
) -> CheckpointCard:
    """Return what the checkpoint will say of itself."""
    return CheckpointCard(
        network=config.network,
        class_set=class_set,
        class_vectors=student.class_vectors.detach().cpu(),
        temperature=config.temperature,
        normalize=config.normalize,
        notice=config.notice,
        licences={"data": config.data_licence},
        data_sha256=data_sha256,
        versions=current_versions(),
        created_by=command,
    )


def save_student(out: Path, student: Student, card: CheckpointCard) -> None:
    """Write the checkpoint, with the class vectors as they are now."""
    card = replace(card, class_vectors=student.class_vectors.detach().cpu().clone())
    save_checkpoint(out, student.network.state_dict(), card)


def judge(out: Path, dataset: FrameDataset, config: FinetuneConfig, command: str) -> dict[str, Any]:
    """Load the saved checkpoint as a user would, segment every frame, and return the report."""
    segmenter = Segmenter.load(
        SegmenterConfig(
            checkpoint=str(out), device=config.device, min_range_m=config.min_range_m, max_range_m=config.max_range_m
        )
    )
    frames = (dataset[number] for number in tqdm(range(len(dataset)), "validation", unit="scan"))
    evaluation = evaluate(((frame, segmenter.segment(frame.scan)) for frame in frames), segmenter.class_set)
    data_sha256 = survey(dataset, len(segmenter.class_set))[0] if evaluation.matrix.any() else ""
    return build_report(evaluation, data_sha256=data_sha256, weights_sha256=sha256_of(out), world=None, command=command)
