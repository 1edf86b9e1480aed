"""Teachers for `labels.py`: the world's own pixels, right or wrong at a known rate, and one that remembers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import UNKNOWN, Array, Frame, View
from clip2scene_ros.teacher.teachers import PixelClasses, Teacher

BLOCK_PX = 16
"""Mistakes come in squares of this size, as those of patches do."""
RIGHT, WRONG = (0.5, 1.0), (0.3, 0.9)
"""Range of what the teacher says of its surety where it is right, and where it is wrong."""


@dataclass(frozen=True, eq=False)
class PixelLabels:
    """A class and a probability for each pixel; the rest of the probability is shared among all others.

    Attributes:
        class_id: (H, W) uint8, 255 sky.
        probability: (H, W) float32.
        classes: C; column C is the sky.
    """

    class_id: Array
    probability: Array
    classes: int

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width [px]."""
        return self.class_id.shape[0], self.class_id.shape[1]

    def at(self, pixels: Tensor) -> Tensor:
        """Return (..., C + 1) probabilities of the nearest pixel."""
        height, width = self.size
        column = pixels[..., 0].round().long().clamp(0, width - 1).numpy()
        row = pixels[..., 1].round().long().clamp(0, height - 1).numpy()
        chosen = torch.from_numpy(np.minimum(self.class_id[row, column], self.classes).astype(np.int64))
        sure = torch.from_numpy(self.probability[row, column])[..., None]
        spread = ((1 - sure) / self.classes).expand(*chosen.shape, self.classes + 1)
        return spread.scatter(-1, chosen[..., None], sure)

    def labels(self) -> tuple[Array, Array]:
        """Return class ids and probabilities as they are, 0 for the sky."""
        return self.class_id, np.where(self.class_id == UNKNOWN, np.float32(0), self.probability)


class NoisyTruth:
    """The true class of each pixel, but in a share of all blocks another one.

    Args:
        class_set: the world's.
        noise: share of blocks that are wrong, all of their pixels with one class drawn from all, sky too.
        seed: of the draws; an image has the same mistakes whenever it is seen.
    """

    notice = "The world's own pixel labels, made wrong on purpose: no teacher."

    def __init__(self, class_set: ClassSet, noise: float, seed: int = 0) -> None:
        self.class_set, self._noise, self._seed = class_set, noise, seed

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return the noisy truth of each view."""
        return [self._of(view, number) for number, view in enumerate(frame.views)]

    def describe(self) -> str:
        """Return the rate of mistakes."""
        return f"true pixels with {100 * self._noise:.0f} % of {BLOCK_PX} px blocks wrong"

    def _of(self, view: View, number: int) -> PixelClasses | None:
        if view.labels is None:
            return None
        rng = np.random.default_rng([self._seed, number, view.stamp_ns])
        shape = tuple(-(-side // BLOCK_PX) for side in view.labels.shape)
        other = rng.integers(0, len(self.class_set) + 1, shape)
        wrong = _enlarged(rng.random(shape) < self._noise, view.labels.shape)
        drawn = np.where(other == len(self.class_set), UNKNOWN, other).astype(np.uint8)
        class_id = np.where(wrong, _enlarged(drawn, view.labels.shape), view.labels)
        right, false = (_enlarged(rng.uniform(*span, shape), view.labels.shape) for span in (RIGHT, WRONG))
        probability = np.where(class_id == view.labels, right, false) if self._noise else np.ones(class_id.shape)
        return PixelLabels(class_id, probability.astype(np.float32), len(self.class_set))


class Remembering:
    """Another teacher's answers, kept: asked again about a view, it is not asked again.

    Args:
        teacher: who is asked once about each frame; its answers must fit the memory.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.class_set, self.notice, self._teacher = teacher.class_set, teacher.notice, teacher
        self._kept: dict[tuple[int, ...], list[PixelClasses | None]] = {}

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return what was seen in these views, of which only image and stamp may count."""
        key = tuple(value for view in frame.views for value in (view.stamp_ns, hash(view.image.tobytes())))
        if key not in self._kept:
            self._kept[key] = self._teacher.see(frame)
        return self._kept[key]

    def describe(self) -> str:
        """Return the other teacher's line."""
        return self._teacher.describe()


def _enlarged(blocks: Array, shape: tuple[int, ...]) -> Array:
    """Return the values of blocks at each of (H, W) pixels."""
    return np.asarray(np.kron(blocks, np.ones((BLOCK_PX, BLOCK_PX), blocks.dtype))[: shape[0], : shape[1]])
