"""Teachers: what is where in the images of a frame, whoever says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import ClipConfig, DenseConfig, TextConfig
from clip2scene_ros.frame import Array, Frame
from clip2scene_ros.settings import with_settings
from clip2scene_ros.teacher.classify import classify
from clip2scene_ros.teacher.clip import Clip, load_clip
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.templates import TEMPLATES
from clip2scene_ros.teacher.text import class_vectors, encode_words, words_of

TINY, TINY_CLIP = "tiny", Path(__file__).resolve().parent.parent / "weights" / "tiny_clip.safetensors"
"""The CLIP that comes with the package, and the short name of its file."""


class PixelClasses(Protocol):
    """The classes of an image's pixels; a `ClassMap`, or anything like it."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image [px]."""

    @property
    def classes(self) -> int:
        """C."""

    def at(self, pixels: Tensor) -> Tensor:
        """Return (..., K) probabilities at (..., 2) pixels (column, row); columns from `classes` on absorb."""

    def labels(self) -> tuple[Array, Array]:
        """Return (H, W) uint8 class ids, 255 where an absorber won, and (H, W) float32 probabilities."""


class Teacher(Protocol):
    """Looks at the images of a frame."""

    @property
    def class_set(self) -> ClassSet:
        """The classes it tells apart."""

    @property
    def notice(self) -> str:
        """What must be shown with everything that comes of it; empty if nothing."""

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return the classes of each of the frame's views; None where nothing is known of an image."""

    def describe(self) -> str:
        """Return one line for logs and reports."""


class ClipTeacher:
    """CLIP: dense image features that are compared with the words of a class set.

    Attributes:
        class_set: the classes.
        notice: the model's own.
        model: the model's name.
    """

    def __init__(
        self, clip: Clip, class_set: ClassSet, dense: DenseConfig | None = None, text: TextConfig | None = None
    ) -> None:
        """Encode the words.

        Args:
            clip: the model.
            class_set: classes, words and absorbers.
            dense: how patches are read; None takes the model's own settings.
            text: how words become vectors.

        Raises:
            BadTeacher: an image tower without patches to read.
        """
        self.class_set, self.notice, self.model = class_set, clip.card.notice, clip.card.name
        self._dense = DenseClip(clip, dense)
        rows = encode_words(clip, words_of(class_set), text)
        self._vectors = class_vectors(rows, class_set, text, known_templates(clip))

    @staticmethod
    def load(
        class_set: ClassSet, clip: ClipConfig, dense: dict[str, Any] | None = None, text: TextConfig | None = None
    ) -> ClipTeacher:
        """Load the model that `clip` names, `tiny` being the shipped one.

        Args:
            class_set: classes, words and absorbers.
            clip: the model.
            dense: settings of DenseConfig by name; they replace those of the model's own card.
            text: how words become vectors.

        Raises:
            BadTeacher, BadCheckpoint, BadConfig: as `load_clip`; an unknown setting, or one out of its range.
        """
        checkpoint = str(TINY_CLIP) if clip.checkpoint == TINY else clip.checkpoint
        model = load_clip(replace(clip, checkpoint=checkpoint))
        return ClipTeacher(model, class_set, with_settings(model.card.dense, dense or {}), text)

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return the classes of each view."""
        found: list[PixelClasses | None] = []
        for seen in self._dense.look([view.image for view in frame.views]):
            feature = seen.features.flatten(0, 1).mean(0)
            found.append(replace(classify(seen, self._vectors, self._dense.config), feature=feature))
        return found

    def describe(self) -> str:
        """Return model, classes and how patches are read."""
        config, card = self._dense.config, self._dense.clip.card
        return (
            f"CLIP {card.name}, {len(self.class_set)} classes of {self.class_set.name}, "
            f"{config.read_out} {config.affinity} {config.mode}"
        )


def known_templates(clip: Clip) -> list[int] | None:
    """Return the sentences whose every word the model has learned; None, which means all, for CLIP's own tokens."""
    unknown = getattr(clip.tokenize, "unknown", None)
    if unknown is None:
        return None
    return [i for i, template in enumerate(TEMPLATES) if not unknown(template.replace("{}", ""))] or None
