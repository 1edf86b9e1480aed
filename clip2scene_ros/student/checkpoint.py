"""Checkpoints: one safetensors file that says what it is; nothing in it is ever executed.

The file holds the network's tensors under their names, in TorchSparse's layout, the class vectors under
`class_vectors`, vectors of more words under `word_rows` where it carries such, and one metadata entry, `clip2scene`,
with the card as JSON. Everything that can be checked is checked on the header, before any tensor is read or any
network is built.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadCheckpoint, Clip2SceneError
from clip2scene_ros.files import whole_file
from clip2scene_ros.settings import settings_of, with_settings
from clip2scene_ros.student.header import TensorEntry, read_header
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.words import spelling

FORMAT = 1
METADATA_KEY = "clip2scene"
CLASS_VECTORS = "class_vectors"
WORD_ROWS = "word_rows"
LEARNED_WITH_LABELS = "none: learned with labels"


@dataclass(frozen=True, eq=False)
class CheckpointCard:
    """What a checkpoint says of itself.

    Attributes:
        network: architecture, voxel size, channels, D.
        class_set: the C classes it was made for.
        class_vectors: (C, D) float32, what the network's features are scored against.
        text_model: where the class vectors come from; `none: learned with labels` if from no text.
        temperature: scores are divided by it.
        normalize: whether features and class vectors are scaled to unit length before scoring.
        notice: what must be shown with every result ("synthetic world, learned with labels, not for the road").
        licences: of `data` and `text_model`, and of any other part.
        data_sha256: hash of the training data.
        versions: of the software that made it.
        created_by: the command that made it.
        intensity: how a point's intensity becomes the network's input.
        text_sha256: hash of the text tower (`Clip.text_sha256`); empty if from no text.
        words: M words whose vectors the checkpoint carries, so that classes can be made of them without the text tower.
        word_rows: (M, D) float32, theirs; None where there are no words.
    """

    network: NetworkConfig
    class_set: ClassSet
    class_vectors: Tensor
    text_model: str = LEARNED_WITH_LABELS
    temperature: float = 1.0
    normalize: bool = True
    notice: str = ""
    licences: dict[str, str] = field(default_factory=dict)
    data_sha256: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    created_by: str = ""
    intensity: str = "of the first point in the voxel, 0 to 1"
    text_sha256: str = ""
    words: tuple[str, ...] = ()
    word_rows: Tensor | None = None

    def to_json(self) -> str:
        """Return all but the vectors as JSON."""
        card = {name: getattr(self, name) for name in (*_STRINGS, *_TABLES, "temperature", "normalize")}
        network = {name: value for name, value, _ in settings_of(self.network)}
        classes = json.loads(self.class_set.to_json())
        card |= {name: getattr(self, name) for name in ("text_sha256", "words") if getattr(self, name)}
        return json.dumps(
            {"format": FORMAT, "layout": "torchsparse", "network": network, "class_set": classes, **card},
            sort_keys=True,
        )


_STRINGS = ("text_model", "notice", "data_sha256", "created_by", "intensity")
_TABLES = ("licences", "versions")


def current_versions() -> dict[str, str]:
    """Return the versions of the software that runs now, for a new card."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "safetensors": safetensors.__version__,
    }


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_checkpoint(path: str | Path, network_state: Mapping[str, Tensor], card: CheckpointCard) -> None:
    """Write a checkpoint; the path holds the old file or the whole new one at every moment.

    Raises:
        BadCheckpoint: tensors that the card's network or class set does not have; nothing is written.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network_state.items()}
    tensors[CLASS_VECTORS] = card.class_vectors.detach().cpu().float().contiguous()
    if card.word_rows is not None:
        tensors[WORD_ROWS] = card.word_rows.detach().cpu().float().contiguous()
    _check_tensors(path, {n: TensorEntry(str(t.dtype), tuple(t.shape)) for n, t in tensors.items()}, card)
    _check_finite(path, tensors)
    content = save(tensors, {METADATA_KEY: card.to_json()})
    with whole_file(path) as file:
        file.write(content)


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], CheckpointCard]:
    """Read a checkpoint; the tensors are those of `build_network(card.network)`, all of them and no others.

    Raises:
        BadCheckpoint: `missing`, `truncated`, `pickle`, `format`, `header`, `metadata`, `network`,
            `class_vectors` or `not_finite`; the text names the file, what was expected and what was found.
    """
    path = Path(path)
    entries, metadata = read_header(path)
    content = _read_metadata(path, metadata)
    card_without_vectors = _card_from(path, content)
    _check_tensors(path, entries, card_without_vectors)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise BadCheckpoint("format", f"{path}: expected readable safetensors, but: {error}.") from error
    _check_finite(path, tensors)
    vectors, word_rows = tensors.pop(CLASS_VECTORS), tensors.pop(WORD_ROWS, None)
    return tensors, replace(card_without_vectors, class_vectors=vectors, word_rows=word_rows)


def read_card(path: Path, metadata: Mapping[str, Any], class_vectors: Tensor) -> CheckpointCard:
    """Return the card in the metadata of a safetensors file that need not be a checkpoint; it carries no words.

    Raises:
        BadCheckpoint: `metadata`: there is none, or it is damaged.
    """
    return replace(_card_from(path, _read_metadata(path, metadata), class_vectors), words=())


def _read_metadata(path: Path, metadata: Mapping[str, Any]) -> dict[str, Any]:
    text = metadata.get(METADATA_KEY)
    if not isinstance(text, str):
        raise BadCheckpoint(
            "metadata",
            f"{path}: expected a student, with metadata `{METADATA_KEY}`, but found {sorted(metadata) or 'none'}.",
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint("metadata", f"{path}: metadata `{METADATA_KEY}` is no valid JSON: {error}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise BadCheckpoint("metadata", f"{path}: expected a card of format {FORMAT}, but found {found!r}.")
    return content


def _card_from(path: Path, content: dict[str, Any], vectors: Tensor | None = None) -> CheckpointCard:
    """Check a decoded card and return it; a card without vectors is for checks only."""
    network, temperature, normalize = (content.get(name) for name in ("network", "temperature", "normalize"))
    strings = {name: content.get(name) for name in _STRINGS}
    tables = {name: content.get(name) for name in _TABLES}
    wrong = [name for name, value in strings.items() if not isinstance(value, str)]
    wrong += [name for name, value in tables.items() if not _is_table(value)]
    wrong += [] if isinstance(network, dict) else ["network"]
    wrong += [] if type(temperature) in (int, float) and 0 < temperature < float("inf") else ["temperature"]  # type: ignore[operator]
    wrong += [] if isinstance(normalize, bool) else ["normalize"]
    text_sha256, words = content.get("text_sha256", ""), content.get("words", [])
    wrong += [] if isinstance(text_sha256, str) else ["text_sha256"]
    wrong += [] if _are_words(words) else ["words"]
    if wrong or not isinstance(network, dict):
        raise BadCheckpoint(
            "metadata", f"{path}: the card lacks, or has of the wrong type or range: {', '.join(wrong)}."
        )
    try:
        return CheckpointCard(
            network=with_settings(NetworkConfig(), network),
            class_set=ClassSet.from_json(json.dumps(content.get("class_set"))),
            class_vectors=torch.empty(0) if vectors is None else vectors,
            temperature=float(temperature),  # type: ignore[arg-type]
            normalize=bool(normalize),
            text_sha256=text_sha256,
            words=tuple(words),
            **strings,  # type: ignore[arg-type]
            **tables,  # type: ignore[arg-type]
        )
    except Clip2SceneError as error:
        raise BadCheckpoint("metadata", f"{path}: {error}") from error


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


def _are_words(value: object) -> bool:
    """Return whether it is a list of words, each once, however it is written."""
    if not (isinstance(value, list) and all(isinstance(word, str) and word.strip() for word in value)):
        return False
    return len({spelling(word) for word in value}) == len(value)


def _check_tensors(path: Path, found: Mapping[str, TensorEntry], card: CheckpointCard) -> None:
    """Compare names, shapes and types with the card's network, which is described but not allocated."""
    with torch.device("meta"):
        network = build_network(card.network)
    expected = {name: TensorEntry(str(t.dtype), tuple(t.shape)) for name, t in network.state_dict().items()}
    expected[CLASS_VECTORS] = TensorEntry("torch.float32", (len(card.class_set), card.network.embedding_dim))
    if card.words:
        expected[WORD_ROWS] = TensorEntry("torch.float32", (len(card.words), card.network.embedding_dim))
    report = compare(expected, found)
    if not report.complete:
        raise BadCheckpoint("network", f"{path} does not fit its own card: {report}.")


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    bad = sorted(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    if bad:
        raise BadCheckpoint("not_finite", f"{path}: expected finite numbers, but found NaN or infinity in {bad}.")


@dataclass(frozen=True)
class LoadReport:
    """What fitted and what did not.

    Attributes:
        loaded: names that both have, with the same shape.
        missing: names that the network has and the state lacks.
        unexpected: names that the state has and the network lacks.
        mismatched: `name: expected (27, 1, 16) float32, found ...`.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Return whether everything fitted."""
        return not (self.missing or self.unexpected or self.mismatched)

    def __str__(self) -> str:
        """Return every tensor that did not fit."""
        parts = [f"{len(self.loaded)} tensors fit"]
        for kind in ("missing", "unexpected", "mismatched"):
            names: tuple[str, ...] = getattr(self, kind)
            if names:
                parts.append(f"{len(names)} {kind}: {', '.join(names)}")
        return "; ".join(parts)


def compare(expected: Mapping[str, TensorEntry], found: Mapping[str, TensorEntry]) -> LoadReport:
    """Compare two lists of tensors by name, shape and type."""
    both = [name for name in expected if name in found]
    return LoadReport(
        loaded=tuple(name for name in both if expected[name] == found[name]),
        missing=tuple(name for name in expected if name not in found),
        unexpected=tuple(name for name in found if name not in expected),
        mismatched=tuple(
            f"{name}: expected {expected[name]}, found {found[name]}" for name in both if expected[name] != found[name]
        ),
    )


def load_weights(module: nn.Module, state: Mapping[str, Tensor], partial: bool = False) -> LoadReport:
    """Copy tensors into a module, all or, if `partial`, those that fit.

    Raises:
        BadCheckpoint: `weights`, listing every missing, unexpected and mismatched tensor; the module is
            unchanged. With `partial`, only when nothing at all fits.
    """
    own = module.state_dict()
    expected = {name: TensorEntry(str(t.dtype), tuple(t.shape)) for name, t in own.items()}
    report = compare(expected, {name: TensorEntry(str(t.dtype), tuple(t.shape)) for name, t in state.items()})
    if not report.loaded or not (partial or report.complete):
        raise BadCheckpoint(
            "weights", f"The weights do not fit the network: {report}. Ask for a partial load if that is meant."
        )
    module.load_state_dict({name: state[name] for name in report.loaded}, strict=False)
    return report
