"""The header of a safetensors file, checked before anything trusts it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from clip2scene_ros.errors import BadCheckpoint

MAX_HEADER_BYTES = 1 << 20
"""The largest network's header has 60 kB; a bound keeps a hostile one from filling memory."""
PICKLE_PROTOCOLS = (b"\x02", b"\x03", b"\x04", b"\x05")
DTYPES = {
    "F64": ("torch.float64", 8),
    "F32": ("torch.float32", 4),
    "F16": ("torch.float16", 2),
    "BF16": ("torch.bfloat16", 2),
    "I64": ("torch.int64", 8),
    "I32": ("torch.int32", 4),
    "U8": ("torch.uint8", 1),
    "BOOL": ("torch.bool", 1),
}


@dataclass(frozen=True)
class TensorEntry:
    """A tensor as it is described, not read: `torch.float32` and its shape."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        """Return `(27, 1, 16) float32`."""
        return f"{self.shape} {self.dtype.removeprefix('torch.')}"


def read_header(path: Path) -> tuple[dict[str, TensorEntry], dict[str, Any]]:
    """Return the tensors that a safetensors file describes, and its metadata; no tensor is read.

    Raises:
        BadCheckpoint: `missing`, `truncated`, `pickle`, `format` or `header`.
    """
    if not path.is_file():
        found = "it is a folder" if path.is_dir() else "there is no file of that name"
        raise BadCheckpoint("missing", f"{path}: expected a .safetensors file, but {found}.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            _check_start(path, start, length, size)
            header = file.read(length)
    except OSError as error:
        raise BadCheckpoint("missing", f"{path}: expected a readable file, but: {error.strerror}.") from error
    content = _decode(path, header)
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise BadCheckpoint("metadata", f"{path}: expected metadata to be a mapping, but found {metadata!r:.60}.")
    data_bytes = size - 8 - length
    entries = {name: _entry(path, name, value) for name, value in content.items()}
    _check_layout(path, content, entries, data_bytes)
    return entries, metadata


def _check_start(path: Path, start: bytes, length: int, size: int) -> None:
    # Read as a length, the first bytes of a pickle or zip are far beyond any header.
    if len(start) < 8 or length > MAX_HEADER_BYTES:
        _refuse_pickle(path, start)
    if len(start) < 8:
        raise BadCheckpoint("truncated", f"{path}: expected safetensors, but found {size} bytes.")
    if length > MAX_HEADER_BYTES:
        raise BadCheckpoint(
            "header", f"{path}: expected a header of at most {MAX_HEADER_BYTES} bytes, but it claims {length}."
        )
    if length > size - 8:
        raise BadCheckpoint(
            "truncated", f"{path}: expected {length} bytes of header, but the file ends after {size - 8}."
        )


def _refuse_pickle(path: Path, start: bytes) -> None:
    zipped = start[:2] == b"PK"
    if zipped or (start[:1] == b"\x80" and start[1:2] in PICKLE_PROTOCOLS):
        kind = "a zip archive, as torch.save writes it" if zipped else "a Python pickle"
        raise BadCheckpoint(
            "pickle",
            f"{path}: expected safetensors, but found {kind}, which can run code when it is loaded; it was not. "
            "Convert it where you trust it.",
        )


def _decode(path: Path, header: bytes) -> dict[str, Any]:
    try:
        content = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise BadCheckpoint("format", f"{path}: expected safetensors, but its header is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BadCheckpoint("format", f"{path}: expected safetensors, but its header is a {type(content).__name__}.")
    return content


def _entry(path: Path, name: str, value: Any) -> TensorEntry:  # noqa: ANN401 - untrusted JSON
    """Check one tensor's description: a known type, a shape of sizes, bytes that they need."""
    dtype, shape, span = (value.get(k) if isinstance(value, dict) else None for k in ("dtype", "shape", "data_offsets"))
    if not (isinstance(dtype, str) and dtype in DTYPES):
        raise BadCheckpoint(
            "header", f"{path}: tensor {name!r:.80} has type {dtype!r:.40}, expected one of {list(DTYPES)}."
        )
    if not (_are_sizes(shape) and _are_sizes(span) and len(span) == 2):
        raise BadCheckpoint(
            "header", f"{path}: tensor {name!r:.80} has shape {shape!r:.80} and offsets {span!r:.80}, expected sizes."
        )
    torch_dtype, item_bytes = DTYPES[dtype]
    if span[1] - span[0] != math.prod(shape) * item_bytes:
        raise BadCheckpoint(
            "header", f"{path}: tensor {name!r:.80} of shape {shape} does not fit its {span[1] - span[0]} bytes."
        )
    return TensorEntry(torch_dtype, tuple(shape))


def _are_sizes(value: Any) -> TypeGuard[list[int]]:  # noqa: ANN401 - untrusted JSON
    return isinstance(value, list) and len(value) <= 8 and all(type(v) is int and 0 <= v < 2**48 for v in value)


def _check_layout(path: Path, content: dict[str, Any], entries: dict[str, TensorEntry], data_bytes: int) -> None:
    """Check that the tensors fill the data without gap or overlap."""
    end = 0
    for begin, stop in sorted(tuple(content[name]["data_offsets"]) for name in entries):
        if begin != end:
            raise BadCheckpoint("header", f"{path}: expected a tensor at byte {end} of the data, but found {begin}.")
        end = stop
    if end != data_bytes:
        reason = "truncated" if end > data_bytes else "header"
        raise BadCheckpoint(reason, f"{path}: expected {end} bytes of tensors, but the file has {data_bytes}.")
