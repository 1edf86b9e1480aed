"""A 2D teacher of a known worth: the world's ground truth with errors, in regions, as segmenters make them.

Single wrong pixels are not how a segmenter errs, and any vote would mend them. Here a whole piece of a class, as large
as a block of the image, is called another class, all of it or not at all.
"""

from __future__ import annotations

import zlib

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import UNKNOWN, Array, Frame, View
from clip2scene_ros.teacher.external import LabelImage
from clip2scene_ros.teacher.teachers import PixelClasses

BLOCK_PX = 64
"""Edge of a block: a parked car at 15 m in an image of the world, 1600 px wide."""


class NoisyTruth:
    """Fits `Teacher`; sees the true class of every pixel but for a known share, and says by its confidence how large.

    Attributes:
        class_set: of the views' labels.
        notice: that this is no teacher that one could have on a road.
    """

    def __init__(self, class_set: ClassSet, error_rate: float, seed: int = 0, block_px: int = BLOCK_PX) -> None:
        """Make `error_rate` of the pieces wrong; equal seeds make equal errors in equal images.

        Raises:
            ValueError: a rate outside of [0, 1], or errors with one class alone.
        """
        if not 0.0 <= error_rate <= 1.0 or (error_rate > 0 and len(class_set) < 2):
            raise ValueError(
                f"Expected an error rate in [0, 1] and two classes, but got {error_rate}, {len(class_set)}."
            )
        self.class_set, self.notice = class_set, f"ground truth with {error_rate:.0%} errors: not a real teacher"
        self._rate, self._seed, self._block_px = error_rate, seed, block_px

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return the noisy truth of each view; None where a view has no labels."""
        return [None if view.labels is None else self._image(view, view.labels) for view in frame.views]

    def describe(self) -> str:
        """Return the rate and the size of errors."""
        return f"ground truth of the world with {self._rate:.0%} errors in pieces of {self._block_px} px"

    def _image(self, view: View, labels: Array) -> LabelImage:
        noisy = self.spoiled(labels, f"{view.name} {view.stamp_ns}")
        confidence = np.full(labels.shape, max(1.0 - self._rate, 1.0 / len(self.class_set)), dtype=np.float32)
        return LabelImage(noisy, confidence, len(self.class_set))

    def spoiled(self, labels: Array, name: str) -> Array:
        """Return (H, W) uint8 labels with errors; what is unknown stays so.

        Args:
            labels: (H, W) uint8.
            name: of the image; errors depend on it and on the seed.
        """
        count, (height, width) = len(self.class_set), labels.shape
        rng = np.random.default_rng([self._seed, zlib.crc32(name.encode())])
        across = -(-width // self._block_px)
        block = (np.arange(height) // self._block_px)[:, None] * across + (np.arange(width) // self._block_px)[None]
        shape = (int(block.max()) + 1, count)
        wrong = rng.random(shape) < self._rate
        other = (np.arange(count) + rng.integers(1, max(2, count), shape)) % count
        table = np.where(wrong, other, np.arange(count)).astype(np.uint8)
        known = labels != UNKNOWN
        spoiled: Array = np.where(known, table[block, np.where(known, labels, 0)], np.uint8(UNKNOWN))
        return spoiled
