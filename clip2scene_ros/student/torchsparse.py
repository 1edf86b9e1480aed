"""Weights under the names and in the layout of CLIP2Scene's SPVCNN (TorchSparse 1.4), and back again.

The trunk's names and the order of kernels are equal. What differs: a 1x1x1 kernel is a matrix there, the global
head is `point_mapping_global`, and the class vectors are `text_embeddings`, below a row of zeros for "ignore".
Every tensor is accounted for: nothing is left out or missing that the account does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadCheckpoint, BadClassSet, BadConfig
from clip2scene_ros.files import whole_file
from clip2scene_ros.settings import with_settings
from clip2scene_ros.student.checkpoint import (
    CLASS_VECTORS,
    METADATA_KEY,
    WORD_ROWS,
    CheckpointCard,
    compare,
    current_versions,
    load_checkpoint,
    read_card,
    save_checkpoint,
)
from clip2scene_ros.student.header import TensorEntry, read_header
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.sparse.layers import SparseConv3d

OURS, THEIRS = "head.", "point_mapping_global."
TEXT = "text_embeddings"
STEM = "stem.0.kernel"
NOT_HERE = {
    "point_mapping_local.": "compared with pixels, in pretraining only",
    "point_mapping_global_random.": "no step of the paper's code reads it",
    "classifier.": "logits of fine-tuning; here the class vectors do its work",
}
"""Modules of the official network that a checkpoint has no place for, and why."""
NOTICE = "imported weights of unknown training, not for the road"


@dataclass(frozen=True)
class Account:
    """What became of every tensor.

    Attributes:
        carried: (name in the source, name in the result, what changed or "").
        left_out: name in the source -> why the result has no place for it.
        absent: names, or beginnings of names, that the official network has and the result lacks -> why.
    """

    carried: tuple[tuple[str, str, str], ...]
    left_out: Mapping[str, str]
    absent: Mapping[str, str]

    def __str__(self) -> str:
        """Return one line for each tensor that is not in the result as it was, and the number of the others."""
        changed = [row for row in self.carried if row[0] != row[1] or row[2]]
        lines = [f"{len(self.carried) - len(changed)} tensors carried over as they are, {len(changed)} changed:"]
        lines += [f"  {old} -> {new}{f' ({how})' if how else ''}" for old, new, how in changed]
        lines += [f"  {name} left out: {why}" for name, why in self.left_out.items()]
        lines += [f"  {name}* not written: {why}" for name, why in self.absent.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Told:
    """What a file without our card does not say; the paper's values are for nuScenes.

    Attributes:
        class_set: the C classes of `text_embeddings`, in their order.
        voxel_size_m: edge of a voxel [m]; 0.1 in the paper.
        intensity_max: what the weights were shown for our intensity of 1; 255 in the paper's code.
    """

    class_set: ClassSet
    voxel_size_m: float
    intensity_max: float


def export_torchsparse(checkpoint: Path, out: Path) -> Account:
    """Write a checkpoint in the official layout, its card in the metadata.

    Raises:
        BadCheckpoint: as `load_checkpoint`.
    """
    state, card = load_checkpoint(checkpoint)
    tensors, account = to_torchsparse(state, card)
    with whole_file(out) as file:
        file.write(save(tensors, {METADATA_KEY: card.to_json()}))
    return account


def import_torchsparse(source: Path, out: Path, told: Told | None = None, command: str = "") -> Account:
    """Read a safetensors file in the official layout and write the checkpoint that `Segmenter.load` takes.

    Raises:
        BadCheckpoint: damaged, or its tensors are not those of the network, all listed.
        BadConfig: `told`: the file has no card and nothing was told, or it has one and something was; `range`.
        BadClassSet: `vectors`: not as many classes as the file has vectors.
    """
    entries, metadata = read_header(source)
    try:
        tensors = {name.removeprefix("module."): tensor for name, tensor in load_file(source).items()}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise BadCheckpoint("format", f"{source}: expected readable safetensors, but: {error}.") from error
    if len(tensors) != len(entries):
        raise BadCheckpoint("weights", f"{source}: expected distinct names, but some differ by `module.` only.")
    vectors = _class_vectors(source, tensors)
    if (METADATA_KEY in metadata) == (told is not None):
        raise BadConfig(
            "told",
            f"{source} tells its class set, voxel size and intensities itself: leave these options out."
            if told
            else f"{source} has no card: pass --class-set, --voxel-size-m and --intensity-max (nuscenes, 0.1 and 255 "
            "for weights of the paper's nuScenes code).",
        )
    card = read_card(source, metadata, vectors) if told is None else _card_of(tensors, vectors, told, command)
    state, account = from_torchsparse(tensors, card, str(source))
    if told is not None and told.intensity_max != 1.0:
        state[STEM] = state[STEM] * told.intensity_max
        scaled = (STEM, STEM, f"times {told.intensity_max:g}, since intensities are 0 to 1 here")
        account = replace(account, carried=tuple(scaled if row[0] == STEM else row for row in account.carried))
    save_checkpoint(out, state, card)
    return account


def to_torchsparse(state: Mapping[str, Tensor], card: CheckpointCard) -> tuple[dict[str, Tensor], Account]:
    """Return a checkpoint's tensors under their official names and in their official shapes, and the account."""
    matrices, tensors, carried = _matrices(card.network), {}, []
    for name, tensor in state.items():
        new = THEIRS + name.removeprefix(OURS) if name.startswith(OURS) else name
        tensors[new] = tensor.squeeze(0) if name in matrices else tensor
        carried.append((name, new, "1x1x1 kernel as a matrix" if name in matrices else ""))
    tensors[TEXT] = torch.nn.functional.pad(card.class_vectors, (0, 0, 1, 0))
    carried.append((CLASS_VECTORS, TEXT, "below a row of zeros"))
    left_out = {} if card.word_rows is None else {WORD_ROWS: "more words; that layout has vectors of its classes only"}
    return {name: t.contiguous() for name, t in tensors.items()}, Account(tuple(carried), left_out, NOT_HERE)


def from_torchsparse(
    tensors: Mapping[str, Tensor], card: CheckpointCard, source: str = "weights"
) -> tuple[dict[str, Tensor], Account]:
    """Return the state of `build_network(card.network)`, and the account.

    Raises:
        BadCheckpoint: `weights`, listing every missing, unexpected and mismatched tensor.
    """
    left_out = {name: why for name in tensors for start, why in NOT_HERE.items() if name.startswith(start)}
    kept = {name: tensor for name, tensor in tensors.items() if name not in left_out}
    report = compare(official_entries(card.network, len(card.class_set)), entries_of(kept))
    if not report.complete:
        raise BadCheckpoint("weights", f"{source} does not hold the official tensors: {report}.")
    matrices, state, carried = _matrices(card.network), {}, []
    for name, tensor in kept.items():
        if name == TEXT:
            carried.append((TEXT, CLASS_VECTORS, "without its row of zeros"))
            continue
        new = OURS + name.removeprefix(THEIRS) if name.startswith(THEIRS) else name
        state[new] = tensor.unsqueeze(0) if new in matrices else tensor
        carried.append((name, new, "matrix as a 1x1x1 kernel" if new in matrices else ""))
    return state, Account(tuple(carried), left_out, {})


def official_entries(config: NetworkConfig, classes: int) -> dict[str, TensorEntry]:
    """Return the official names, shapes and types of all that a checkpoint of C classes has, and no more."""
    with torch.device("meta"):
        state, vectors = build_network(config).state_dict(), torch.empty(classes, config.embedding_dim)
    # A meta tensor's squeeze and pad are bookkeeping only: this is the very path that an export takes.
    card = CheckpointCard(config, ClassSet("", ()), vectors)
    return entries_of(to_torchsparse(state, card)[0])


def entries_of(tensors: Mapping[str, Tensor]) -> dict[str, TensorEntry]:
    """Describe tensors by type and shape."""
    return {name: TensorEntry(str(t.dtype), tuple(t.shape)) for name, t in tensors.items()}


def _matrices(config: NetworkConfig) -> set[str]:
    """Return our names of the kernels that TorchSparse keeps as matrices."""
    with torch.device("meta"):
        modules = build_network(config).named_modules()
    return {f"{name}.kernel" for name, m in modules if isinstance(m, SparseConv3d) and m.kernel_size == 1}


def _class_vectors(source: Path, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return (C, D), the official text embeddings without their row for "ignore"."""
    text = tensors.get(TEXT)
    if text is None or text.ndim != 2 or len(text) < 2 or bool(text[0].any()):
        found = "there is none" if text is None else f"found {tuple(text.shape)}, first row {text[:1].tolist()!r:.40}"
        raise BadCheckpoint(
            "class_vectors", f"{source}: expected `{TEXT}` of shape (C + 1, D), its first row zero, but {found}."
        )
    return text[1:].contiguous()


def _card_of(tensors: Mapping[str, Tensor], vectors: Tensor, told: Told, command: str) -> CheckpointCard:
    """Return the card of official weights: the paper's SPVCNN, scored as the paper's code does, by raw products."""
    if not 0.0 < told.intensity_max < float("inf"):
        raise BadConfig("range", f"Expected a positive brightest intensity, but got {told.intensity_max}.")
    if len(vectors) != len(told.class_set):
        raise BadClassSet(
            "vectors", f"Expected {len(vectors)} classes, as many as the file's vectors, but got {len(told.class_set)}."
        )
    stem = tensors.get(STEM)
    channels = stem.shape[1] if stem is not None and stem.ndim == 3 else 1  # else the comparison will tell
    sizes = {"in_channels": channels, "embedding_dim": vectors.shape[1], "voxel_size_m": told.voxel_size_m}
    return CheckpointCard(
        network=with_settings(NetworkConfig(architecture="spvcnn", preset="paper"), sizes),
        class_set=told.class_set,
        class_vectors=vectors,
        text_model=f"unknown: `{TEXT}` of the imported file",
        normalize=False,
        notice=NOTICE,
        licences={"weights": "unknown"},
        versions=current_versions(),
        created_by=command,
    )
