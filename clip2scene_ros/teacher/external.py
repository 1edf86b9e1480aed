"""A door for any other 2D segmenter: its label images, from a folder or from topics of a bag, take CLIP's place.

docs/external.md tells the form. Nothing here is executed, unpickled or believed unchecked.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import UNKNOWN, Array, Frame, View
from clip2scene_ros.teacher.teachers import PixelClasses

CERTAIN = 1.0
LEAST_LEAD = 1e-3
"""A class that was named leads the others at least by this, however little confidence its namer has."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelImage:
    """The classes of an image's pixels as somebody else decided them; fits `PixelClasses`.

    Attributes:
        class_id: (H, W) uint8 below `classes`, or 255 where nothing is known; such pixels absorb.
        confidence: (H, W) float32 in [0, 1].
        classes: C.
    """

    class_id: Array
    confidence: Array
    classes: int

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width [px]."""
        height, width = self.class_id.shape
        return height, width

    def at(self, pixels: Tensor) -> Tensor:
        """Return (..., C + 1) probabilities at the nearest pixels; the last column is 1 where nothing is known.

        What confidence leaves over is spread evenly over the other classes.

        Args:
            pixels: (..., 2) column and row; outside, the nearest pixel counts.
        """
        height, width = self.size
        place = torch.nan_to_num(pixels.detach().cpu().float()).round().long()
        row, column = place[..., 1].clamp(0, height - 1).numpy(), place[..., 0].clamp(0, width - 1).numpy()
        class_id = torch.from_numpy(self.class_id[row, column]).long()
        share = torch.from_numpy(self.confidence[row, column]).float()
        share = share.clamp(min(1.0, 1.0 / self.classes + LEAST_LEAD), 1.0)[..., None]
        result = ((1.0 - share) / max(1, self.classes - 1)).expand(*class_id.shape, self.classes)
        result = torch.cat([result, torch.zeros_like(share)], dim=-1).contiguous()
        known = class_id != UNKNOWN
        result[~known] = 0.0
        return result.scatter_(
            -1, class_id.masked_fill(~known, self.classes)[..., None], torch.where(known[..., None], share, 1.0)
        )

    def labels(self) -> tuple[Array, Array]:
        """Return (H, W) uint8 class ids and (H, W) float32 confidences, 0 where nothing is known."""
        return self.class_id, np.where(self.class_id == UNKNOWN, np.float32(0.0), self.confidence)


class LabelSource(Protocol):
    """Where label images lie."""

    def read(self, view: View) -> PixelClasses | None:
        """Return what is known of a view's pixels, None where there is nothing for it; raises BadTeacher."""

    def __str__(self) -> str:
        """Return where this is, for messages."""


class ExternalTeacher:
    """Another segmenter, by what it left.

    Attributes:
        class_set: its classes.
        notice: what must be shown with everything that comes of it.
        missing: camera -> images for which it left nothing.
    """

    def __init__(self, class_set: ClassSet, source: LabelSource, notice: str = "") -> None:
        """Take labels of `class_set` from `source`."""
        self.class_set, self.notice, self.missing = class_set, notice, Counter[str]()
        self._source = source

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return the classes of each view; a camera for which there is nothing is logged once, and counted.

        Raises:
            BadTeacher: a label image that does not fit its image or the class set; the text names it.
        """
        return [self._read(view) for view in frame.views]

    def describe(self) -> str:
        """Return where the labels are from, and their classes."""
        return f"labels from {self._source}, {len(self.class_set)} classes of {self.class_set.name or 'no name'}"

    def _read(self, view: View) -> PixelClasses | None:
        found = self._source.read(view)
        if found is None:
            if not self.missing[view.name]:
                log.warning("%s has no labels for %s at %d ns; more of its kind are counted.", self._source, view.name,
                            view.stamp_ns)  # fmt: skip
            self.missing[view.name] += 1
        return found


def label_image(class_id: Array, confidence: Array | None, view: View, classes: int, where: str) -> LabelImage:
    """Return a label image once it is known to fit its view and its classes.

    Args:
        class_id: (H, W) uint8.
        confidence: (H, W) uint8, 255 being certain; None is certain everywhere.
        view: the image.
        classes: C.
        where: names the image in errors.

    Raises:
        BadTeacher: `size` or `class_id`.
    """
    expected = (view.camera.height, view.camera.width)
    for name, image in (("labels", class_id), ("confidence", confidence)):
        if image is not None and image.shape != expected:
            raise BadTeacher(
                "size",
                f"{where}: expected {name} of {expected[1]} x {expected[0]} px, as the image of {view.name}, but got "
                f"{' x '.join(map(str, image.shape[1::-1]))}; enlarge them without interpolation.",
            )
    wrong = class_id[(class_id >= classes) & (class_id != UNKNOWN)]
    if len(wrong):
        raise BadTeacher(
            "class_id",
            f"{where}: expected class ids below {classes}, or {UNKNOWN} for unknown, but got {int(wrong.max())}; ids "
            "are places in the class set, from 0.",
        )
    if confidence is None:
        sure = np.full(expected, CERTAIN, dtype=np.float32)
    else:
        sure = confidence.astype(np.float32) / np.float32(255.0)
    return LabelImage(class_id, sure, classes)
