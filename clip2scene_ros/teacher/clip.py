"""A CLIP model with all that belongs to it: towers, tokenizer, normalisation, and how its patches are read best."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from clip2scene_ros.config import ClipConfig, DenseConfig
from clip2scene_ros.errors import BadTeacher, Clip2SceneError
from clip2scene_ros.files import whole_file
from clip2scene_ros.settings import settings_of, with_settings
from clip2scene_ros.student.checkpoint import METADATA_KEY as STUDENT
from clip2scene_ros.student.header import read_header
from clip2scene_ros.student.segmenter import choose_device
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.tokenizer import WordTokenizer

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
METADATA_KEY = "clip2scene_clip"
FORMAT = 1


@dataclass(frozen=True)
class ClipCard:
    """What is known of a CLIP model beside its weights.

    Attributes:
        name: for reports: `ViT-B-16 openai`, or a file's name.
        architecture: arguments of `open_clip.CLIP` (embed_dim, vision_cfg, text_cfg, quick_gelu).
        mean, std: of the RGB values in [0, 1] that it learned with.
        dense: the read-out that serves this model best.
        vocabulary: words of its tokenizer; empty means CLIP's own.
        notice: must be shown with every result, such as that the weights are random.
    """

    name: str
    architecture: dict[str, Any]
    mean: tuple[float, ...] = OPENAI_MEAN
    std: tuple[float, ...] = OPENAI_STD
    dense: DenseConfig = field(default_factory=DenseConfig)
    vocabulary: tuple[str, ...] = ()
    notice: str = ""

    def to_json(self) -> str:
        """Return the card as JSON."""
        content = {
            name: getattr(self, name) for name in ("name", "architecture", "mean", "std", "vocabulary", "notice")
        }
        dense = {name: value for name, value, _ in settings_of(self.dense)}
        return json.dumps({"format": FORMAT, **content, "dense": dense}, sort_keys=True)


@dataclass(frozen=True, eq=False)
class Clip:
    """A model ready to be asked.

    Attributes:
        model: open_clip's CLIP in eval mode, float32, on its device.
        tokenize: sentences -> (B, L) int64.
        card: what is known of it.
        half: compute images in float16.
    """

    model: Any
    tokenize: Callable[[Sequence[str]], Tensor]
    card: ClipCard
    half: bool = False

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        device: torch.device = next(iter(self.model.parameters())).device
        return device

    @cached_property
    def text_sha256(self) -> str:
        """Return the hash of all that the text tower's answers depend on: weights, layers, words."""
        digest = hashlib.sha256(json.dumps(self.card.vocabulary).encode())
        for name, module in self.model.named_children():
            digest.update(b"" if name == "visual" else f"{name}{module}".encode())
        for name, tensor in self.model.state_dict().items():
            if not name.startswith("visual."):
                digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def load_clip(config: ClipConfig | None = None) -> Clip:
    """Load the CLIP that `config` names: a local file, else open_clip's weights by tag, or random ones if asked for.

    Raises:
        BadTeacher: open_clip is missing (`no_open_clip`), or does not know the name or tag (`name`, `pretrained`), the
            weights cannot be had (`weights`) or do not fit (`fit`); the text says what to do.
        BadCheckpoint: a local file that is missing, damaged or a pickle.
        BadConfig: a device that is not there.
    """
    config = config or ClipConfig()
    device = choose_device(config.device)
    if config.checkpoint:
        model, card = _from_file(Path(config.checkpoint), config)
    elif config.random_weights:
        architecture = _architecture(config)
        card = ClipCard(f"{config.model} (random weights)", architecture, notice="random weights: labels mean nothing")
        model = build_clip(architecture)
    else:
        model, card = _from_open_clip(config)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    half = config.precision == "fp16" and device.type == "cuda"
    return Clip(model.eval().to(device), _tokenizer(card), card, half)


def save_clip(path: Path, model: nn.Module, card: ClipCard) -> None:
    """Write a model and its card as safetensors, in the types that its tensors have; atomic."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    content = save(tensors, {METADATA_KEY: card.to_json()})
    with whole_file(path) as file:
        file.write(content)


def build_clip(architecture: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return an untrained open_clip model; equal architectures give equal weights.

    Raises:
        BadTeacher: `architecture`: open_clip cannot build this.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return open_clip().CLIP(**architecture)
    except (TypeError, ValueError, AttributeError, AssertionError) as error:
        raise BadTeacher("architecture", f"open_clip cannot build a CLIP of {architecture!r:.300}: {error}") from error


def _architecture(config: ClipConfig) -> dict[str, Any]:
    """Return the architecture of a name, with the activation that the weights of the tag learned with."""
    known = open_clip().list_models()
    if config.model not in known:
        near = difflib.get_close_matches(config.model, known, n=5) or ["ViT-B-16"]
        raise BadTeacher("name", f"open_clip knows no model {config.model!r}; names like it: {', '.join(near)}.")
    architecture: dict[str, Any] = open_clip().get_model_config(config.model)
    if architecture.pop("custom_text", False) or not {*architecture} <= {
        "embed_dim",
        "vision_cfg",
        "text_cfg",
        "quick_gelu",
    }:
        raise BadTeacher(
            "tower", f"{config.model} is of a kind whose dense features are not known here; ViT-B-16 is not."
        )
    return architecture | {"quick_gelu": bool(architecture.get("quick_gelu") or _tag(config).get("quick_gelu"))}


def _tag(config: ClipConfig) -> dict[str, Any]:
    """Return what open_clip knows of the weights of a tag; nothing where it does not know the tag."""
    return open_clip().get_pretrained_cfg(config.model, config.pretrained) or {}


def _from_open_clip(config: ClipConfig) -> tuple[Any, ClipCard]:
    architecture, tag = _architecture(config), _tag(config)
    if not tag:
        tags = ", ".join(open_clip().list_pretrained_tags_by_model(config.model)) or "none"
        raise BadTeacher(
            "pretrained", f"open_clip has no weights {config.pretrained!r} for {config.model}; it has: {tags}."
        )
    try:
        model = open_clip().create_model(
            config.model, pretrained=config.pretrained, force_quick_gelu=architecture["quick_gelu"]
        )
    except Exception as error:
        hub = str(tag.get("hf_hub") or "").rstrip("/")
        place = f"https://huggingface.co/{hub}" if hub else tag.get("url") or "their authors"
        raise BadTeacher(
            "weights",
            f"The weights {config.pretrained!r} of {config.model} are not on this machine and could not be fetched "
            f"({str(error).split('. ')[0]}). They are at {place}. With a network open_clip fetches "
            "them by itself, once; else copy the .safetensors file here and set `clip.checkpoint` to its path.",
        ) from error
    return model, ClipCard(
        f"{config.model} {config.pretrained}",
        architecture,
        tuple(tag.get("mean") or OPENAI_MEAN),
        tuple(tag.get("std") or OPENAI_STD),
    )


def _from_file(path: Path, config: ClipConfig) -> tuple[Any, ClipCard]:
    _, metadata = read_header(path)
    if METADATA_KEY in metadata:
        card = card_of(path, metadata[METADATA_KEY])
    elif STUDENT in metadata:
        raise BadTeacher("student", f"{path}: expected a CLIP, with metadata `{METADATA_KEY}`, but found a student.")
    else:
        tag = _tag(config)
        mean, std = tuple(tag.get("mean") or OPENAI_MEAN), tuple(tag.get("std") or OPENAI_STD)
        card = ClipCard(f"{config.model} {path.name}", _architecture(config), mean, std)
    model = build_clip(card.architecture)
    tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadTeacher(
            "fit",
            f"{path} does not fit {card.name}: {str(error)[:500]}. Set `model` and `pretrained` to what it holds.",
        ) from error
    bad = sorted(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    if bad:
        raise BadTeacher("not_finite", f"{path}: expected finite numbers, but found NaN or infinity in {bad[:5]}.")
    return model, card


def card_of(path: Path, text: Any) -> ClipCard:  # noqa: ANN401 - untrusted metadata
    """Read the card from the metadata of a CLIP's file.

    Raises:
        BadTeacher: `card`: it is damaged.
    """
    try:
        content = json.loads(text)
        if content.pop("format") != FORMAT:
            raise BadTeacher("card", f"expected format {FORMAT}")
        dense = with_settings(DenseConfig(), content.pop("dense"))
        lists: dict[str, Any] = {name: tuple(content.pop(name)) for name in ("mean", "std", "vocabulary")}
        return ClipCard(**content, **lists, dense=dense)
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError, Clip2SceneError) as error:
        raise BadTeacher("card", f"{path}: its card `{METADATA_KEY}` is damaged: {error}.") from error


def _tokenizer(card: ClipCard) -> Callable[[Sequence[str]], Tensor]:
    length = int(card.architecture.get("text_cfg", {}).get("context_length", 77))
    if card.vocabulary:
        return WordTokenizer(card.vocabulary, length)
    tokenizer: Callable[[Sequence[str]], Tensor] = open_clip().SimpleTokenizer(context_length=length)
    return tokenizer
