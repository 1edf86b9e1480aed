"""Images <-> arrays: the door for compressed pictures and raw camera images, with every limit checked before decoding.

A camera's calibration is of the sensor's rows and columns as they were sent, so EXIF orientation is ignored: a rotated
picture would no longer fit its camera_info.
"""

from __future__ import annotations

import io
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage, short
from clip2scene_ros.frame import Array
from clip2scene_ros.io.image_colours import demosaic, in_bands
from clip2scene_ros.io.image_header import DEFAULT_LIMITS, check_header, check_size
from clip2scene_ros.io.image_raw import bayer_red, decode_raw, is_depth
from clip2scene_ros.io.untrusted import attribute, flat_bytes, text

__all__ = ["decode_compressed", "decode_compressed_message", "decode_raw", "encode_jpeg", "picture_size"]

ENDS = (b"\xff\xd9", b"IEND")
"""What a JPEG or PNG ends with."""
TAIL_BYTES = 1024
"""Drivers put some bytes behind it."""

GREY_MODES = ("L", "LA", "1", "I", "I;16")  # the last two: 16 bit
MODES = ("RGB", "RGBA", "P", "CMYK", *GREY_MODES)


class _BytesFile(io.RawIOBase):
    """A file over bytes that are not copied: a refused image costs no memory."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        chunk = self._data[self._at : self._at + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, len(self._data))[whence])
        return self._at

    def tell(self) -> int:
        return self._at


def decode_compressed(data: Any, limits: ImageLimits = DEFAULT_LIMITS) -> Array:  # noqa: ANN401 - any bytes-like
    """Return (H, W, 3) uint8 RGB of a JPEG or PNG.

    Grey and palettes become RGB, alpha is dropped, 16-bit channels keep their high byte, CMYK becomes RGB without a
    colour profile. What stands behind the picture is ignored.

    Raises:
        BadImage: too_many_bytes, too_many_pixels, too_many_scans, empty, format, mode, animated, checksum, truncated,
            data_type.
    """
    return _pixels(_open(data, limits))


def picture_size(data: Any, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[int, int]:  # noqa: ANN401
    """Return width and height of a JPEG or PNG [px], decoding it only where it does not seem to end.

    Raises:
        BadImage: as `decode_compressed`; damage between beginning and end goes unseen.
    """
    image = _open(data, limits)
    if not any(end in bytes(flat_bytes(data, BadImage)[-TAIL_BYTES:]) for end in ENDS):
        _pixels(image)
    return image.size


def decode_compressed_message(message: Any, limits: ImageLimits = DEFAULT_LIMITS) -> Array:  # noqa: ANN401
    """Return (H, W, 3) uint8 RGB of a sensor_msgs/CompressedImage.

    Its bytes say what they are; `format` (as image_transport writes it, such as `rgb8; jpeg compressed bgr8`) only
    tells depth, which is refused, and Bayer mosaics that were compressed as they are.

    Raises:
        BadImage: as `decode_compressed`; encoding (depth), attribute.
    """
    note = text(message, "format", "format", BadImage)
    encoding, _, codec = (part.strip() for part in note.partition(";"))
    if "compressedDepth" in note or is_depth(encoding):
        raise BadImage(
            "encoding", f"Expected a picture, but got format {short(note)}: depth; choose the camera's colour topic."
        )
    image = _open(attribute(message, "data", BadImage), limits)
    pixels, red = _pixels(image), bayer_red(encoding)
    if red is None or image.mode not in GREY_MODES or not codec.endswith("compressed") or min(image.size) < 2:
        return pixels
    return in_bands(*image.size, partial(demosaic, pixels[..., 0], red))


def _open(data: Any, limits: ImageLimits) -> Image.Image:  # noqa: ANN401
    """Return the picture, undecoded."""
    view = flat_bytes(data, BadImage)
    if len(view) > limits.max_bytes:
        raise BadImage(
            "too_many_bytes", f"Expected at most {limits.max_bytes} bytes (ImageLimits.max_bytes), but got {len(view)}."
        )
    check_header(view, limits)
    try:
        image = Image.open(io.BufferedReader(_BytesFile(view)), formats=("JPEG", "PNG"))
    except Exception as error:  # Pillow's parsers raise what their inner loops raise
        raise BadImage("format", f"Expected a JPEG or PNG, but its header is damaged: {str(error)[:100]}.") from error
    check_size(*image.size, limits)
    if image.mode not in MODES or (image.mode == "CMYK" and "adobe" not in image.info):
        raise BadImage(
            "mode",
            f"Expected grey, RGB, or CMYK with Adobe's marker (which says that ink is inverted), but got {image.mode}.",
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise BadImage("animated", f"Expected one picture, but got {frames}; send each in a message of its own.")
    return image


def _pixels(image: Image.Image) -> Array:
    """Return (H, W, 3) uint8 RGB."""
    try:
        image.load()
        return in_bands(*image.size, lambda top, bottom: _rgb(image.crop((0, top, image.width, bottom))))
    except Exception as error:
        raise BadImage("truncated", f"The picture cannot be decoded to its end: {str(error)[:100]}.") from error


def _rgb(image: Image.Image) -> Array:
    if image.mode.startswith("I"):  # Pillow would clip 16-bit grey at 255
        return (np.asarray(image)[..., None] >> 8).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


def encode_jpeg(image: Array, quality: int = 90) -> bytes:
    """Return (H, W, 3) uint8 RGB as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality)
    return file.getvalue()
