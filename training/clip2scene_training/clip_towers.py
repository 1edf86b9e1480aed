"""The towers of a small CLIP: a convolutional one for images, a transformer for words, both of open_clip's making."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.teacher.clip import OPENAI_MEAN, OPENAI_STD, ClipCard
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.tokenizer import WordTokenizer
from clip2scene_training.config import TowersConfig, TrainClipConfig

TEXT_HEAD, IMAGE_HEAD = 32, 64
"""Channels of an attention head; a tower has as many heads as fit."""


def build(towers: TowersConfig, words: WordTokenizer) -> nn.Module:
    """Return an untrained open_clip model, its weights drawn from torch's generator.

    Cells have no position embeddings: what something is does not depend on where in the photo it is, and maps of any
    size are read alike.
    """
    model: Any = open_clip().CLIP(**architecture(towers, words))
    places = model.visual.attnpool.positional_embedding
    nn.init.zeros_(places)
    places.requires_grad_(False)
    model.visual.to(memory_format=torch.channels_last)
    built: nn.Module = model
    return built


def architecture(towers: TowersConfig, words: WordTokenizer) -> dict[str, Any]:
    """Return the arguments of `open_clip.CLIP`.

    The image tower is convolutional: from as few photos as these it learns far more than a transformer.

    Raises:
        BadConfig: `blocks` that are not four numbers.
    """
    try:
        layers = [int(part) for part in towers.blocks.split(",")]
    except ValueError:
        layers = []
    if len(layers) != 4 or min(layers) < 1:
        raise BadConfig(
            "blocks", f"Setting `blocks` expects four numbers, such as '1, 2, 2, 1', not {towers.blocks!r}."
        )
    vision = {"image_size": towers.window_px, "layers": layers, "width": towers.width, "head_width": IMAGE_HEAD}
    text = {
        "context_length": towers.context,
        "vocab_size": words.vocab_size,
        "width": towers.text_width,
        "heads": towers.text_width // TEXT_HEAD,
        "layers": towers.text_layers,
    }
    return {"embed_dim": towers.embedding, "vision_cfg": vision, "text_cfg": text}


def card_of(config: TrainClipConfig, out: Path, words: WordTokenizer) -> ClipCard:
    """Return what the file says of itself; its dense read-out is what measures best (docs/photos.md)."""
    dense = DenseConfig(affinity="identity", mode="whole", short_side_px=180, scales="1, 2")
    return ClipCard(
        out.stem, architecture(config.towers, words), OPENAI_MEAN, OPENAI_STD, dense, words.vocabulary, config.notice
    )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the optimizer's groups: gains, biases, embeddings and the scale do not decay."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    still = [p for name, p in named if p.ndim < 2 or "embedding" in name]
    decaying = [p for name, p in named if not (p.ndim < 2 or "embedding" in name)]
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": still, "weight_decay": 0.0}]
