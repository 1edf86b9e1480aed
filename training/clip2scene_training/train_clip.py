"""A small CLIP from scratch: captioned photos in, an open_clip model out, that the teacher loads as it is.

`clip2scene train-clip --help` shows the settings. What it learns from is a photo and the words beside it, no label of
any point or pixel: docs/photos.md.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array
from clip2scene_ros.student.checkpoint import current_versions, file_sha256
from clip2scene_ros.student.segmenter import choose_device
from clip2scene_ros.teacher.clip import ClipCard, save_clip
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.resnet import image_and_cells
from clip2scene_ros.teacher.text import WordRows, text_features
from clip2scene_ros.teacher.tokenizer import OTHER, RESERVED, WordTokenizer
from clip2scene_training.clip_towers import build, card_of, parameter_groups
from clip2scene_training.config import TrainClipConfig
from clip2scene_training.contrastive import cell_scores, contrastive_loss, crops, phrases_of
from clip2scene_training.photos.captions import vocabulary
from clip2scene_training.running import STATE, check_finite, go_back, interrupted_at, one_cycle, training_folder
from clip2scene_training.state import TrainState

SHARPEST = math.log(100.0)
"""The scale of the cosines grows no further than this, as in CLIP."""
BETAS = (0.9, 0.98)
"""Of AdamW, as CLIP has them for its image transformers."""
LOOK = 256
"""Held-out photos told apart at once."""


class Photos(Protocol):
    """Captioned photos: a `PhotoCorpus`, or anything like it."""

    def __len__(self) -> int:
        """Return the number of photos."""

    def load(self) -> tuple[Array, list[str]]:
        """Return all images, (N, H, W, 3) uint8, and their captions."""

    def sha256(self) -> str:
        """Return the hash of all of it."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Photos and captions.

    Attributes:
        images: (N, H, W, 3) uint8.
        captions: N.
    """

    images: Tensor
    captions: list[str]

    def __len__(self) -> int:
        return len(self.images)


def train_clip(
    photos: Photos,
    held_out: Photos | None,
    config: TrainClipConfig,
    out: Path,
    *,
    resume: bool = False,
    command: str = "",
    rows: WordRows | None = None,
) -> dict[str, Any]:
    """Train on `photos`, save to `out`, and return a report.

    `out`, in half precision, and in the folder `<stem>.training` beside it the state to resume from and TensorBoard's
    logs are written every `save_every` steps, whole or not at all: after Ctrl-C the last ones are good. At the end
    report.json stands there, too.

    Args:
        photos: what is learned.
        held_out: other photos, whose captions are looked for every `eval_every` steps.
        config: settings.
        out: the model, `.safetensors`.
        resume: go on from the saved state where there is one.
        command: noted in the report.
        rows: vectors of another model's frozen text tower, of `towers.embedding` numbers; every phrase of a caption is
            then one of their words, and the text tower learns nothing.

    Returns:
        `steps`, `pairs` seen, `seconds` of this run, `parameters`, `bytes` and `sha256` of the file, `data_sha256`,
        `curve`: a list of `step`, `loss`, and of the held-out photos `held_out_loss` and `found`, the share whose
        nearest phrase, of those in up to 256 captions, is in their own.

    Raises:
        BadDataset: fewer photos than a batch, or a damaged shard.
        BadConfig: `out` is a folder.
        BadCheckpoint: the state to resume from is damaged or of another run.
        BadTeacher: open_clip is missing, or cannot build such towers.
        Diverged: the loss became NaN or infinite.
        OSError: `out` cannot be written.
    """
    if len(photos) < config.batch_size:
        raise BadDataset("empty", f"Expected at least {config.batch_size} photos, a batch, but got {len(photos)}.")
    with interrupted_at(out):
        run = _begin(photos, config, out, rows, resume=resume)
        seconds = run.learn(_pairs(photos), _pairs(held_out) if held_out is not None else None)
    report = {**run.facts(len(photos)), "seconds": seconds, "data_sha256": run.data_sha256, "command": command}
    with whole_file(run.folder / "report.json") as file:
        file.write(json.dumps(report, indent=2).encode())
    return report


def _begin(photos: Photos, config: TrainClipConfig, out: Path, rows: WordRows | None, *, resume: bool) -> _Run:
    """Return a new run, or one that goes on where it stopped; what is raised is told in `train_clip`."""
    folder = training_folder(out)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    fabric = _fabric(config)
    words = WordTokenizer(vocabulary(), config.towers.context)
    model = build(config.towers, words)
    optimizer = torch.optim.AdamW(parameter_groups(model, config.weight_decay), config.learning_rate, betas=BETAS)
    data_sha256 = photos.sha256()
    state = TrainState(0, model, optimizer, json.dumps([data_sha256, asdict(config)]))
    card, trained = card_of(config, out, words), fabric.setup(model, optimizer)
    goes_on = resume and (folder / STATE).exists()
    if goes_on:
        state.restore(folder / STATE)
    # A run from the start hides the curves of the one that it replaces.
    fabric.loggers.append(TensorBoardLogger(folder, name="", version="", purge_step=None if goes_on else 0))
    return _Run(fabric, config, out, folder, state, data_sha256, card, words, rows, *trained)


def _fabric(config: TrainClipConfig) -> Fabric:
    device = choose_device(config.device)
    return Fabric(
        accelerator=device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
    )


@dataclass(frozen=True, eq=False)
class _Run:
    """A run in progress: what is trained, by what, and where it is kept."""

    fabric: Fabric
    config: TrainClipConfig
    out: Path
    folder: Path
    state: TrainState[nn.Module]
    data_sha256: str
    card: ClipCard
    words: WordTokenizer
    rows: WordRows | None
    model: Any  # Fabric's wrappers of model and optimizer
    optimizer: Any

    def learn(self, pairs: Pairs, held_out: Pairs | None) -> float:
        """Take all steps that are left, save and look; return how many seconds they took."""
        config, state, first = self.config, self.state, self.state.step
        started = time.perf_counter()
        for step in tqdm(range(first, config.steps), "training", initial=first, total=config.steps, unit="step"):
            for group in self.optimizer.param_groups:
                group["lr"] = config.learning_rate * one_cycle(step / config.steps, config.warmup)
            value = self.step(pairs, step)
            state.step, state.loss_sum = step + 1, state.loss_sum + value
            self.fabric.log_dict({"loss": value, "learning_rate": group["lr"]}, step)
            last = state.step == config.steps
            if last or (config.eval_every and state.step % config.eval_every == 0):
                self.look(held_out)
            if last or state.step % config.save_every == 0:
                self.save()
        if not self.out.exists():  # a finished run whose model was taken away
            self.save()
        return time.perf_counter() - started

    def step(self, pairs: Pairs, step: int) -> float:
        """Learn from one batch; return its loss."""
        config, rng = self.config, np.random.default_rng([self.config.seed, 2, step])
        chosen = torch.from_numpy(batch_of(len(pairs), config.batch_size, step, config.seed))
        phrases, own = phrases_of([pairs.captions[k] for k in chosen])
        pixels = crops(pairs.images[chosen].to(self.fabric.device), config, rng)
        loss = self.loss(*self.compared(pixels, phrases, rng), own.repeat_interleave(config.views, 0))
        value = float(loss.detach())
        check_finite("loss", value, step, self.out)
        go_back(self.fabric, loss, self.model, self.optimizer, config.clip_norm, step, self.out)
        with torch.no_grad():
            self.state.student.logit_scale.clamp_(max=SHARPEST)  # type: ignore[operator]
        return value

    def compared(
        self, pixels: Tensor, phrases: Sequence[str], rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return (B, T) logits of (B, 3, S, S) images and T phrases: of whole images, and of some cell of each.

        With `rng` some words of the phrases are not heard.
        """
        # The attention kernel for bfloat16 is slower on the CPU than the plain formula.
        with self.fabric.autocast(), sdpa_kernel(SDPBackend.MATH):
            whole, cells = image_and_cells(self.model.visual, normalized(pixels, self.card))
            texts = self.texts(phrases, rng)
        whole, cells, texts = (functional.normalize(each.float(), dim=-1) for each in (whole, cells, texts))
        scale = self.model.logit_scale.exp()
        return scale * whole @ texts.T, scale * cell_scores(cells, texts, self.config.sharpness)

    def texts(self, phrases: Sequence[str], rng: np.random.Generator | None) -> Tensor:
        """Return (T, D) the vectors of phrases: rows that were given, else what the text tower says."""
        if self.rows is not None:
            return self.rows.rows[0, [self.rows.words.index(phrase) for phrase in phrases]].to(self.fabric.device)
        tokens = self.words(phrases)
        heard = tokens if rng is None else unheard(tokens, self.config.unheard, rng)
        return text_features(self.model, heard.to(self.fabric.device))

    def loss(self, whole: Tensor, cells: Tensor, own: Tensor) -> Tensor:
        """Return the loss of a batch: see `compared` and `contrastive_loss`."""
        share, own = self.config.cells, own.to(whole.device)
        return (1 - share) * contrastive_loss(whole, own) + share * contrastive_loss(cells, own)

    @torch.no_grad()
    def look(self, held_out: Pairs | None) -> None:
        """Note the loss, and how often what is nearest to a photo that was not learned is said in its caption."""
        self.state.look(self.state.step * self.config.batch_size * self.config.views, None)
        if not held_out:
            return
        losses, found, rng = [], [], np.random.default_rng([self.config.seed, 3])
        self.model.eval()
        for start in range(0, len(held_out), LOOK):
            phrases, own = phrases_of(held_out.captions[start : start + LOOK])
            own = own.repeat_interleave(self.config.views, 0)
            pixels = crops(held_out.images[start : start + LOOK].to(self.fabric.device), self.config, rng)
            whole, cells = self.compared(pixels, phrases)
            losses.append(float(self.loss(whole, cells, own)))
            found.append(own.to(whole.device).gather(1, whole.argmax(1)[:, None]).float().mean().item())
        self.model.train()
        seen = {"held_out_loss": float(np.mean(losses)), "found": float(np.mean(found))}
        self.state.curve[-1].update(seen)
        self.fabric.log_dict(seen, self.state.step)

    def save(self) -> None:
        """Write the model and the state to go on from."""
        save_clip(self.out, copy.deepcopy(self.state.student).half(), self.card)
        self.state.save(self.folder / STATE)

    def facts(self, photos: int) -> dict[str, Any]:
        """Return what a report says of a finished run, but how long it took and what it was told."""
        return {
            "steps": self.state.step,
            "pairs": self.state.step * self.config.batch_size * self.config.views,
            "photos": photos,
            "parameters": sum(p.numel() for p in self.state.student.parameters()),
            "bytes": self.out.stat().st_size,
            "sha256": file_sha256(self.out),
            "curve": self.state.curve,
            "settings": asdict(self.config),
            "versions": {**current_versions(), "open_clip": str(open_clip().__version__)},
        }


def batch_of(count: int, size: int, step: int, seed: int) -> Array:
    """Return the (size,) indices of a step: every photo once an epoch, in an order of the epoch's own."""
    per_epoch = count // size
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng([seed, 1, epoch]).permutation(count)
    return np.asarray(order[place * size : (place + 1) * size])


def unheard(tokens: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Return (B, L) captions with a share of their words replaced by that for unknown ones."""
    word = (tokens >= RESERVED) & (tokens < tokens.max())
    lost = torch.from_numpy(rng.random(tuple(tokens.shape)) < share)
    return torch.where(word & lost, OTHER, tokens)


def normalized(pixels: Tensor, card: ClipCard) -> Tensor:
    """Return pixels in [0, 1] as the image tower takes them."""
    mean, std = (pixels.new_tensor(v).view(1, 3, 1, 1) for v in (card.mean, card.std))
    return (pixels - mean) / std


def _pairs(photos: Photos) -> Pairs:
    images, captions = photos.load()
    return Pairs(torch.from_numpy(images), captions)
