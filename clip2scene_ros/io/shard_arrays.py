"""Arrays as .npy and pixels as .png, of exactly the types that a record has; nothing in them is run or guessed."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Array
from clip2scene_ros.io.image_header import check_header

LIMITS = ImageLimits()

COLUMNS: dict[str, tuple[str, int]] = {
    "points": ("<f4", 3),
    "intensity": ("<f4", 0),
    "ring": ("<u2", 0),
    "time_ns": ("<i8", 0),
    "class_id": ("|u1", 0),
    "confidence": ("<f4", 0),
    "truth": ("|u1", 0),
    "instances": ("<u2", 0),
}
"""Type of each array and its columns, 0 where it has one dimension; each has a row for each point."""

_HEAD = 128
_MAGIC = b"\x93NUMPY\x01\x00" + (_HEAD - 10).to_bytes(2, "little")

_FAST = 1  # level of zlib: higher ones take three times as long for the same bytes of camera images


def pack_array(name: str, array: Array, points: int) -> bytes:
    """Return an array as .npy, bit by bit what it was.

    Raises:
        BadDataset: dtype: it is not of the type and shape that a frame's array of this name has.
    """
    dtype, shape = _expected(name, points)
    if array.dtype != dtype or array.shape != shape:
        raise BadDataset("dtype", f"Expected `{name}` of {dtype} {shape}, but got {array.dtype} {array.shape}.")
    return _head(dtype, shape) + np.ascontiguousarray(array).tobytes()


def unpack_array(name: str, content: bytes, points: int) -> Array:
    """Return what `pack_array` packed, in memory of its own.

    Raises:
        BadDataset: array: it is not what `pack_array` makes of as many points; nothing was allocated for it.
    """
    dtype, shape = _expected(name, points)
    head = _head(dtype, shape)
    if not content.startswith(head) or len(content) != _HEAD + math.prod(shape) * dtype.itemsize:
        raise BadDataset("array", f"expected .npy of {dtype} {shape}, but got {len(content)} bytes of something else")
    array: Array = np.frombuffer(content, dtype, offset=_HEAD).reshape(shape).copy()
    return array


def count_points(content: bytes) -> int:
    """Return of how many points a `points.npy` is, by its length; `unpack_array` then checks it."""
    dtype, columns = COLUMNS["points"]
    row = np.dtype(dtype).itemsize * columns
    return max(0, len(content) - _HEAD) // row


def pack_pixels(image: Array) -> bytes:
    """Return (H, W, 3) uint8 RGB or (H, W) uint8 as .png, which loses nothing.

    Raises:
        BadDataset: dtype: it is neither.
    """
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)):
        raise BadDataset("dtype", f"Expected pixels of uint8 (H, W, 3) or (H, W), but got {image.dtype} {image.shape}.")
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG", compress_level=_FAST)
    return file.getvalue()


def unpack_classes(content: bytes) -> Array:
    """Return (H, W) uint8 of the .png that `pack_pixels` made of it.

    Raises:
        BadDataset: picture: it is not such a one.
        BadImage: the picture is too large or damaged.
    """
    check_header(memoryview(content), LIMITS)
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            if image.mode != "L":
                raise BadDataset("picture", f"expected 8 bit grey, but got mode {image.mode}")
            return np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise BadDataset("picture", f"expected a grey .png, but got {error}") from error


def _expected(name: str, points: int) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    dtype, columns = COLUMNS[name]
    return np.dtype(dtype), (points, columns) if columns else (points,)


def _head(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> bytes:
    """Return the header of .npy 1.0, byte for byte the same whichever numpy reads or writes it."""
    text = f"{{'descr': '{dtype.str}', 'fortran_order': False, 'shape': {shape}, }}"
    return _MAGIC + text.ljust(_HEAD - len(_MAGIC) - 1).encode() + b"\n"
