"""Images <-> arrays: compressed (JPEG, PNG) and raw, with every limit checked before a pixel is decoded."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage, short
from clip2scene_ros.frame import Array
from clip2scene_ros.io.untrusted import attribute, flat_bytes, integer, text

DEFAULT_LIMITS = ImageLimits()
UINT32_MAX = 2**32 - 1

MODES = ("RGB", "L", "P", "RGBA", "LA", "1")  # not CMYK: its ink convention differs from camera to camera
ENCODINGS: dict[str, tuple[int, int, tuple[int, int, int]]] = {  # bytes per channel, channels, where R G B stand
    "rgb8": (1, 3, (0, 1, 2)),
    "bgr8": (1, 3, (2, 1, 0)),
    "8UC3": (1, 3, (2, 1, 0)),  # OpenCV's order
    "rgba8": (1, 4, (0, 1, 2)),
    "bgra8": (1, 4, (2, 1, 0)),
    "mono8": (1, 1, (0, 0, 0)),
    "8UC1": (1, 1, (0, 0, 0)),
    "mono16": (2, 1, (0, 0, 0)),
}


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
    """Return (H, W, 3) uint8 RGB of a JPEG or PNG. EXIF rotation is ignored: calibration is of the sensor.

    Raises:
        BadImage: too_many_bytes, too_many_pixels, empty, format, mode (CMYK, 16 bit), animated, truncated,
            data_type.
    """
    view = flat_bytes(data, BadImage)
    if len(view) > limits.max_bytes:
        raise BadImage("too_many_bytes", f"Expected at most {limits.max_bytes} bytes, but got {len(view)}.")
    try:
        image = Image.open(io.BufferedReader(_BytesFile(view)), formats=("JPEG", "PNG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage("too_many_pixels", f"Expected at most {limits.max_pixels} pixels. {error}") from error
    except Exception as error:  # Pillow's parsers raise what their inner loops raise
        raise BadImage("format", f"Expected a JPEG or PNG, but got {bytes(view[:8])!r}....") from error
    _check_pixels(*image.size, limits)
    if image.mode not in MODES:
        raise BadImage("mode", f"Expected an 8-bit grey or RGB picture, but got mode {image.mode}.")
    if getattr(image, "n_frames", 1) > 1:
        raise BadImage("animated", f"Expected one picture, but got {getattr(image, 'n_frames', 1)} frames.")
    try:
        return np.array(image.convert("RGB"))
    except Exception as error:
        raise BadImage("truncated", f"The picture cannot be decoded to its end: {str(error)[:100]}.") from error


def _check_pixels(width: int, height: int, limits: ImageLimits) -> None:
    if width < 1 or height < 1:
        raise BadImage("empty", f"Expected a picture with pixels, but got {width}x{height}.")
    if width * height > limits.max_pixels:
        raise BadImage("too_many_pixels", f"Expected at most {limits.max_pixels} pixels, but got {width}x{height}.")


def decode_raw(message: Any, limits: ImageLimits = DEFAULT_LIMITS) -> Array:  # noqa: ANN401 - rclpy or rosbags message
    """Return (H, W, 3) uint8 RGB of a sensor_msgs/Image; mono16 keeps its high byte.

    Raises:
        BadImage: encoding (named; Bayer and YUV are not converted), empty, too_many_pixels, step, data_short,
            data_long, attribute, not_integer, out_of_range, data_type.
    """
    encoding = text(message, "encoding", "encoding", BadImage)
    if encoding not in ENCODINGS:
        raise BadImage("encoding", f"Expected an encoding of {', '.join(ENCODINGS)}, but got {short(encoding)}.")
    item, channels, order = ENCODINGS[encoding]
    width = integer(message, "width", 0, UINT32_MAX, BadImage)
    height = integer(message, "height", 0, UINT32_MAX, BadImage)
    step = integer(message, "step", 0, UINT32_MAX, BadImage)
    _check_pixels(width, height, limits)
    data = flat_bytes(attribute(message, "data", BadImage), BadImage)
    if step < width * channels * item:
        raise BadImage("step", f"Expected step >= {width * channels * item} ({width} px {encoding}), but got {step}.")
    if len(data) < step * height:
        raise BadImage("data_short", f"Expected {step * height} bytes (step {step} x {height}), but got {len(data)}.")
    if len(data) >= step * (height + 1):
        raise BadImage("data_long", f"Expected {step * height} bytes (step {step} x {height}), but got {len(data)}.")
    pixels = np.ndarray((height, width, channels * item), np.uint8, data, 0, (step, channels * item, 1))
    if item == 2:  # the high byte is the first where the message is big-endian
        pixels = pixels[..., :1] if integer(message, "is_bigendian", 0, 1, BadImage) else pixels[..., 1:]
    return np.ascontiguousarray(pixels[..., list(order)])


def encode_jpeg(image: Array, quality: int = 90) -> bytes:
    """Return (H, W, 3) uint8 RGB as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=quality)
    return file.getvalue()
