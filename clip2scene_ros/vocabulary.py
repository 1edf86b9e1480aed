"""Words in a user's own vocabulary: the text tower that makes vectors of those which a checkpoint does not carry.

The student's own floor knows no CLIP; this is where the two meet. Nothing is loaded until a word asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from clip2scene_ros.config import ClipConfig, SegmenterConfig, TextConfig
from clip2scene_ros.errors import BadClassSet, BadConfig
from clip2scene_ros.student.checkpoint import CheckpointCard
from clip2scene_ros.student.header import read_header
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_ros.teacher.clip import Clip, load_clip
from clip2scene_ros.teacher.teachers import known_templates
from clip2scene_ros.teacher.text import METADATA_KEY as ROWS_KEY
from clip2scene_ros.teacher.text import encode_words, load_rows
from clip2scene_ros.words import spelling


def load_segmenter(config: SegmenterConfig) -> Segmenter:
    """Load the student that `config` names, with the text tower that it names.

    Raises:
        Clip2SceneError: as `Segmenter.load` and `TextTower`.
    """
    return Segmenter.load(config, TextTower(config.text) if config.text else None)


class TextTower:
    """Makes vectors of words, by the text tower that a checkpoint's features were taught by and by no other.

    Args:
        source: a CLIP as `save_clip` writes it, vectors as `save_rows` writes them (both `.safetensors`), or what
            open_clip calls a model and its weights, such as `ViT-B-16 openai`.
        config: of the embeddings; its cache is used.

    Raises:
        BadConfig: `text`: the source is none of these.
    """

    def __init__(self, source: str, config: TextConfig | None = None) -> None:
        self._source, self._config = source, config or TextConfig()
        if not source.endswith(".safetensors") and len(source.split()) != 2:
            raise BadConfig(
                "text",
                "Setting `text` expects a .safetensors file, or a model and its weights as open_clip calls them, such "
                f"as 'ViT-B-16 openai', but got {source!r}.",
            )
        self._clip: Clip | None = None

    def __call__(self, words: Sequence[str], card: CheckpointCard) -> dict[str, Tensor]:
        """Return the (D,) float32 vector of each word; a file of vectors may lack some.

        Args:
            words: as `words.spelling` writes them.
            card: of the checkpoint that the vectors are for.

        Raises:
            BadClassSet: `text_model`, `embedding_size`: the text tower is not the checkpoint's.
            BadTeacher: the text tower cannot be had.
            BadCheckpoint: its file is missing or damaged.
            OSError: the cache cannot be written.
        """
        if self._source.endswith(".safetensors") and ROWS_KEY in read_header(Path(self._source))[1]:
            return self._ready_made(words, card)
        clip = self._tower()
        self._check(f"{clip.card.name}, sha256 {clip.text_sha256[:12]}", clip.text_sha256 == card.text_sha256, card)
        rows = encode_words(clip, words, self._config).means(known_templates(clip))
        _check_size(rows, card, self._source)
        return dict(zip(words, rows, strict=True))

    def _ready_made(self, words: Sequence[str], card: CheckpointCard) -> dict[str, Tensor]:
        made = load_rows(self._source)
        self._check(made.model, made.model == card.text_model, card)
        rows = made.means()
        _check_size(rows, card, self._source)
        table = dict(zip(map(spelling, made.words), rows, strict=True))
        return {word: table[word] for word in words if word in table}

    def _tower(self) -> Clip:
        if self._clip is None:
            if self._source.endswith(".safetensors"):
                config = ClipConfig(checkpoint=self._source, device="cpu")
            else:
                model, pretrained = self._source.split()
                config = ClipConfig(model=model, pretrained=pretrained, device="cpu")
            self._clip = load_clip(config)
            self._clip.model.visual = nn.Identity()  # more than half of its memory, and no word needs it
        return self._clip

    def _check(self, found: str, fits: bool, card: CheckpointCard) -> None:
        if not fits:
            wanted = f", sha256 {card.text_sha256[:12]}" if card.text_sha256 else ", whose hash it does not tell"
            raise BadClassSet(
                "text_model",
                f"The checkpoint's features were taught by the text model {card.text_model}{wanted}, but `text` names "
                f"another one: {self._source} ({found}).",
            )


def carry(words: Sequence[str], clip: Clip, config: TextConfig | None = None) -> Tensor:
    """Return the (M, D) float32 vectors of words that a checkpoint is to carry (`CheckpointCard.word_rows`)."""
    return encode_words(clip, list(words), config).means(known_templates(clip))


def _check_size(rows: Tensor, card: CheckpointCard, source: str) -> None:
    if rows.shape[1] != card.network.embedding_dim:
        raise BadClassSet(
            "embedding_size",
            f"The checkpoint's features have {card.network.embedding_dim} numbers, but the vectors of {source} have "
            f"{rows.shape[1]}: it is not the text model that taught them ({card.text_model}).",
        )
