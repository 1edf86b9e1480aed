"""Batches for pretraining: a function of the seed and of the batch's number alone, as those of `loader`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import DataLoader, Dataset

from clip2scene_ros.errors import Clip2SceneError
from clip2scene_ros.frame import Frame
from clip2scene_training.config import PretrainDataConfig
from clip2scene_training.loader import AHEAD, frame_order
from clip2scene_training.pixel_features import KeptMaps
from clip2scene_training.pretrain_samples import PretrainSample, collate_pretrain, make_pretrain_sample
from clip2scene_training.pseudo_labels import PseudoLabelled, without_truth
from clip2scene_training.sweeps import choose_sweeps

SWEEPS = 0
"""Stream of chance that chooses sweeps; the others are in `pretrain_samples`."""

Draw = tuple[int, int]
"""Epoch and number of the key frame among the key frames."""


class PretrainSamples(Dataset[PretrainSample]):
    """Samples by key frame and epoch: equal ones for equal seed, key frame and epoch, whichever process makes them.

    Args:
        frames: frames with pseudo-labels.
        config: how they become samples.
        seed: of all that is drawn.
        keys: numbers of the frames that may be key frames; None takes all. In a bag most scans may have no images.
        maps: what CLIP saw in their images, to be given with them.
    """

    def __init__(
        self,
        frames: PseudoLabelled,
        config: PretrainDataConfig,
        seed: int,
        keys: Sequence[int] | None = None,
        maps: KeptMaps | None = None,
    ) -> None:
        self.frames, self.config, self.seed, self.maps = frames, config, seed, maps
        self.keys = list(range(len(frames)) if keys is None else keys)

    def __len__(self) -> int:
        """Return the number of key frames."""
        return len(self.keys)

    def __getitem__(self, draw: Draw) -> PretrainSample:
        """Make the sample of an epoch and a key frame.

        Raises:
            BadDataset, BadCalibration: as `make_pretrain_sample`, or labels or maps are missing or damaged.
        """
        epoch, key = draw[0], self.keys[draw[1]]
        seed, scenes = (self.seed, epoch, key), self.frames.scenes
        rng = np.random.default_rng((*seed, SWEEPS))
        chosen = choose_sweeps(scenes, key, self.config.sweeps, rng)
        labelled = [self.frames.labelled(i) for i in chosen]
        looked_into = chosen if self.config.pairs.images == "own" else chosen[:1]
        maps = [self.maps.of(i, labelled[k].frame) for k, i in enumerate(looked_into)] if self.maps else []
        return make_pretrain_sample(labelled, self.config, seed, self._between(chosen, labelled[0].frame), maps)

    def _between(self, chosen: Sequence[int], key: Frame) -> list[Frame]:
        """Return the neighbours of the chosen frames, as the labeler has them; none where points have no times."""
        if not self.config.sweeps.point_time or key.scan.time_ns is None:
            return []
        scenes = self.frames.scenes
        near = {n for i in chosen for n in (i - 1, i + 1) if 0 <= n < len(scenes) and scenes[n] == scenes[i]}
        return [without_truth(self.frames.frames[n]) for n in sorted(near - set(chosen))]


def pretrain_batches(
    samples: PretrainSamples, batch_size: int, *, start: int = 0, process: int = 0, processes: int = 1, workers: int = 0
) -> Iterator[PretrainSample]:
    """Yield one batch a step for ever; each epoch has every key frame once, in an order of its own.

    Args:
        samples: what batches are made of; their seed is that of the order.
        batch_size: key frames a step, of all processes together.
        start: first step; a resumed run goes on with the batch that an unbroken one would have had.
        process: number of this process.
        processes: how many share the key frames of each step.
        workers: processes that make batches beside this one; 0 makes them in it.

    Raises:
        BadDataset, BadCalibration: as `PretrainSamples`.
    """
    order = frame_order(len(samples), samples.seed, start * batch_size)
    steps = ([next(order) for _ in range(batch_size)] for _ in iter(int, 1))
    loader = DataLoader(
        _Carried(samples),
        batch_sampler=([(n // len(samples), key) for n, key in step[process::processes]] for step in steps),
        collate_fn=_collated,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        multiprocessing_context="spawn" if workers else None,  # this process may hold threads or CUDA
    )
    for batch in loader:
        if isinstance(batch, Clip2SceneError):
            raise batch
        yield batch


class _Carried(Dataset[PretrainSample | Clip2SceneError]):
    """Samples, or why there is none: raised in a worker, torch would retell an error as a RuntimeError."""

    def __init__(self, samples: PretrainSamples) -> None:
        self.samples = samples

    def __getitem__(self, draw: Draw) -> PretrainSample | Clip2SceneError:
        try:
            return self.samples[draw]
        except Clip2SceneError as error:
            return error


def _collated(samples: Sequence[PretrainSample | Clip2SceneError]) -> PretrainSample | Clip2SceneError:
    errors = [sample for sample in samples if isinstance(sample, Clip2SceneError)]
    return errors[0] if errors else collate_pretrain([s for s in samples if isinstance(s, PretrainSample)])
