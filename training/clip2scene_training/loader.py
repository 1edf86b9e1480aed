"""Batches for training: which frames, how varied, made where. One mechanism for every data set.

A batch is a function of the seed and of its number alone. The same batches come whatever the number of workers that
make them, a run that is resumed goes on with the very batch that an unbroken one would have drawn, and several
processes share the batches that one would have had to itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import DataLoader, Dataset

from clip2scene_ros.errors import Clip2SceneError
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_training.augment import augment, paste
from clip2scene_training.batching import FrameDataset, Sample, collate, make_sample
from clip2scene_training.config import FinetuneConfig

HELD = 10
"""Points of a class that a frame must have to count as holding it: fewer teach nothing."""
RARE = 0.015
"""Classes with a smaller share of all points have things of other scans added, where `augment.paste` asks for it."""
AHEAD = 4
"""Batches that each worker makes ahead of the one that is learned from."""

Draw = tuple[int, int]
"""Number of the draw, which seeds the augmentation, and number of the frame drawn."""


class Batches:
    """Yields one batch a step for ever, from step `start` on.

    Args:
        dataset: labelled frames.
        counts: (F, C) points of each class in each frame, see `survey`; only balanced sampling looks at them.
        config: seed, sampling, batch size, augmentation, voxels, workers.
        start: first step.
        process, processes: which of how many; the scans of a step are dealt out among them.

    Attributes:
        waited_s: seconds spent waiting for batches so far, but for the first, which waits for the workers to start.
    """

    def __init__(
        self,
        dataset: FrameDataset,
        counts: Array,
        config: FinetuneConfig,
        start: int = 0,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.waited_s, self._begun = 0.0, False
        chances = frame_chances(counts) if config.sampling == "balanced" else None
        order = frame_order(len(dataset), config.seed, start * config.batch_size, chances)
        own = slice(process, None, processes)
        loader = DataLoader(
            _Samples(dataset, config, rare_classes(counts)),
            batch_sampler=(draws[own] for draws in _grouped(order, config.batch_size)),
            collate_fn=_collated,
            num_workers=config.workers,
            prefetch_factor=AHEAD if config.workers else None,
            multiprocessing_context="spawn" if config.workers else None,  # this process may hold threads or CUDA
        )
        self._batches: Iterator[Sample | Clip2SceneError] = iter(loader)

    def __iter__(self) -> Iterator[Sample]:
        """Return itself."""
        return self

    def __next__(self) -> Sample:
        """Return the next batch of this process.

        Raises:
            BadDataset: a frame is damaged.
        """
        started = time.perf_counter()
        batch = next(self._batches)
        self.waited_s += time.perf_counter() - started if self._begun else 0.0
        self._begun = True
        if isinstance(batch, Clip2SceneError):
            raise batch
        return batch


def frame_order(length: int, seed: int, start: int = 0, chances: Array | None = None) -> Iterator[Draw]:
    """Yield draws for ever, from number `start` on; each epoch of `length` draws has an order of its own.

    Args:
        length: number of frames.
        seed: of the order; a resumed run draws what an unbroken one would.
        start: first draw.
        chances: (length,) chance of each frame to be drawn, the same at each draw; None draws every frame once an
            epoch.
    """
    number = start
    while True:
        epoch, skip = divmod(number, length)
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(length) if chances is None else rng.choice(length, length, p=chances)
        for frame in order[skip:]:
            yield number, int(frame)
            number += 1


def frame_chances(counts: Array) -> Array:
    """Return (F,) chances, summing to 1, in proportion to 1 / sqrt(share of frames that hold a frame's rarest class).

    Repeat factor sampling of Gupta, Dollar, Girshick: LVIS, CVPR 2019, section 3, its threshold being 1.

    Args:
        counts: (F, C) points of each class in each frame.
    """
    held = counts >= HELD
    share = held.mean(axis=0)
    factors = np.where(share > 0, np.maximum(share, 1e-12) ** -0.5, 0.0)
    repeat = np.maximum(1.0, (held * factors).max(axis=1))
    chances: Array = repeat / repeat.sum()
    return chances


def rare_classes(counts: Array) -> Array:
    """Return the ids of the classes that occur and have less than `RARE` of all points.

    Args:
        counts: (F, C) points of each class in each frame.
    """
    points = counts.sum(axis=0)
    rare: Array = np.flatnonzero((points > 0) & (points < RARE * points.sum()))
    return rare


def _grouped(draws: Iterator[Draw], size: int) -> Iterator[list[Draw]]:
    while True:
        yield [next(draws) for _ in range(size)]


def _collated(samples: Sequence[Sample | Clip2SceneError]) -> Sample | Clip2SceneError:
    """Return the batch, or the first error: raised in a worker, torch would retell it as a RuntimeError."""
    errors = [sample for sample in samples if isinstance(sample, Clip2SceneError)]
    return errors[0] if errors else collate([sample for sample in samples if isinstance(sample, Sample)])


class _Samples(Dataset[Sample | Clip2SceneError]):
    """Frames as augmented voxels, or why there is none, by draw; it goes to the workers."""

    def __init__(self, frames: FrameDataset, config: FinetuneConfig, rare: Array) -> None:
        self.frames, self.config, self.rare = frames, config, rare

    def __getitem__(self, draw: Draw) -> Sample | Clip2SceneError:
        try:
            return self._sample(*draw)
        except Clip2SceneError as error:
            return error

    def _sample(self, number: int, index: int) -> Sample:
        frame, config = self.frames[index], self.config
        labels = np.full(len(frame.scan), UNKNOWN, np.uint8) if frame.labels is None else frame.labels
        scan, rng = frame.scan, np.random.default_rng((config.seed, number))
        if config.augment.paste and rng.random() < config.augment.paste:
            scan, labels = paste(scan, labels, self.frames[int(rng.integers(len(self.frames)))], self.rare, rng)
        scan = augment(scan, config.augment, rng)
        within = (config.min_range_m, config.max_range_m)
        return make_sample(scan, labels, config.network.voxel_size_m, config.network.in_channels, within)
