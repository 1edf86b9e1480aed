"""sensor_msgs/Image -> RGB: every encoding that cameras publish, every size checked before memory is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage, short
from clip2scene_ros.frame import Array
from clip2scene_ros.io.image_colours import demosaic, in_bands, rgb_from_yuv
from clip2scene_ros.io.image_header import DEFAULT_LIMITS, check_size
from clip2scene_ros.io.untrusted import attribute, flat_bytes, integer, text

UINT32_MAX = 2**32 - 1

# Bytes of a channel, channels, and where R, G and B stand. OpenCV's nameless 3 and 4 channels are BGR and BGRA.
PACKED: dict[str, tuple[int, int, tuple[int, int, int]]] = {
    "rgb8": (1, 3, (0, 1, 2)),
    "bgr8": (1, 3, (2, 1, 0)),
    "8UC3": (1, 3, (2, 1, 0)),
    "rgba8": (1, 4, (0, 1, 2)),
    "bgra8": (1, 4, (2, 1, 0)),
    "8UC4": (1, 4, (2, 1, 0)),
    "mono8": (1, 1, (0, 0, 0)),
    "8UC1": (1, 1, (0, 0, 0)),
    "rgb16": (2, 3, (0, 1, 2)),
    "bgr16": (2, 3, (2, 1, 0)),
    "16UC3": (2, 3, (2, 1, 0)),
    "rgba16": (2, 4, (0, 1, 2)),
    "bgra16": (2, 4, (2, 1, 0)),
    "16UC4": (2, 4, (2, 1, 0)),
    "mono16": (2, 1, (0, 0, 0)),
}
# Row and column of the first red pixel.
BAYER = {"rggb": (0, 0), "grbg": (0, 1), "gbrg": (1, 0), "bggr": (1, 1)}
# Where Y, U and V stand in the four bytes that two pixels share.
YUV_422 = {"uyvy": (1, 0, 2), "yuv422": (1, 0, 2), "yuyv": (0, 1, 3), "yuv422_yuy2": (0, 1, 3)}
# Pixels across and down that share a colour, and where U and V stand in the plane of colours.
YUV_PLANES = {"nv12": (2, 0, 1), "nv21": (2, 1, 0), "nv24": (1, 0, 1)}


@dataclass(frozen=True)
class Layout:
    """How the bytes of an encoding lie.

    Attributes:
        item: bytes of a channel.
        row_bytes: fewest bytes a row takes.
        rows: rows of `step` bytes that the message holds, the colour planes' included.
        read: from (rows, step) uint8, big-endian, top and bottom to rows top..bottom of the picture as RGB.
    """

    item: int
    row_bytes: int
    rows: int
    read: Callable[[Array, bool, int, int], Array]


def decode_raw(message: Any, limits: ImageLimits = DEFAULT_LIMITS) -> Array:  # noqa: ANN401 - rclpy or rosbags message
    """Return (H, W, 3) uint8 RGB of a sensor_msgs/Image in one of the encodings that docs/images.md lists.

    16-bit channels keep their high byte, alpha is dropped, YUV is BT.601 of limited range, Bayer mosaics are
    interpolated. The message is never changed.

    Raises:
        BadImage: encoding, empty, too_many_pixels, size, step, data_short, data_long, attribute, not_integer,
            out_of_range, data_type.
    """
    encoding = text(message, "encoding", "encoding", BadImage)
    width = integer(message, "width", 0, UINT32_MAX, BadImage)
    height = integer(message, "height", 0, UINT32_MAX, BadImage)
    step = integer(message, "step", 0, UINT32_MAX, BadImage)
    layout = layout_of(encoding, width, height)
    check_size(width, height, limits)
    data = flat_bytes(attribute(message, "data", BadImage), BadImage)
    step = _checked_step(layout, f"{encoding} of {width}x{height}", step, height, len(data))
    # Some drivers call bytes big-endian; only where there are two does it mean anything.
    big_endian = layout.item == 2 and bool(integer(message, "is_bigendian", 0, 1, BadImage))
    rows: Array = np.ndarray((layout.rows, step), np.uint8, data)
    return in_bands(width, height, partial(layout.read, rows, big_endian))


def is_depth(encoding: str) -> bool:
    """Return whether this encoding holds distances (REP 118) or other numbers that are no brightness."""
    return encoding == "16UC1" or encoding.startswith(("16SC", "32SC", "32FC", "64FC"))


def bayer_red(encoding: str) -> tuple[int, int] | None:
    """Return row and column of the first red pixel of a Bayer encoding, or None where it is no such encoding."""
    pattern = encoding.removeprefix("bayer_").removesuffix("16").removesuffix("8")
    return BAYER.get(pattern) if encoding in (f"bayer_{pattern}8", f"bayer_{pattern}16") else None


def layout_of(encoding: str, width: int, height: int) -> Layout:
    """Return how an image of this encoding and size lies in memory.

    Raises:
        BadImage: encoding, size.
    """
    red, pairs = bayer_red(encoding), (width + 1) // 2
    if encoding in PACKED:
        item, channels, _ = PACKED[encoding]
        return Layout(item, width * channels * item, height, partial(_read_packed, width, encoding))
    if red is not None:
        if 1 in (width, height):
            raise BadImage("size", f"Expected a mosaic of at least 2x2 pixels, but got {width}x{height} of {encoding}.")
        item = 2 if encoding.endswith("16") else 1
        return Layout(item, width * item, height, partial(_read_bayer, width, item, red))
    if encoding in YUV_422:
        return Layout(1, 4 * pairs, height, partial(_read_422, width, YUV_422[encoding]))
    if encoding in YUV_PLANES:
        share, *order_uv = YUV_PLANES[encoding]
        row_bytes, colour_rows = (2 * pairs, (height + 1) // 2) if share == 2 else (width, 2 * height)
        read = partial(_read_planes, width, height, share, order_uv)
        return Layout(1, row_bytes, height + colour_rows, read)
    if is_depth(encoding):
        raise BadImage(
            "encoding",
            f"Expected a picture, but got {short(encoding)}, distances by REP 118; choose the camera's colour topic, "
            "or let a grey camera say mono16.",
        )
    raise BadImage("encoding", f"Expected an encoding of {', '.join(known_encodings())}, but got {short(encoding)}.")


def known_encodings() -> tuple[str, ...]:
    """Return every encoding that `decode_raw` reads."""
    mosaics = (f"bayer_{pattern}{bits}" for bits in (8, 16) for pattern in BAYER)
    return (*PACKED, *mosaics, *YUV_422, *YUV_PLANES)


def _checked_step(layout: Layout, what: str, step: int, height: int, length: int) -> int:
    """Return the bytes from row to row, or raise BadImage (step, data_short, data_long)."""
    tight = layout.row_bytes * layout.rows
    if layout.rows > height and step * height == length == tight:
        return layout.row_bytes  # planes without padding whose step counts all of them, as older depthai drivers say
    if step < layout.row_bytes:
        raise BadImage(
            "step",
            f"Expected step >= {layout.row_bytes} bytes ({what}), but got {step}; width, encoding or step is wrong in "
            "the driver.",
        )
    if not 0 <= length - step * layout.rows < step:
        raise BadImage(
            "data_short" if length < step * layout.rows else "data_long",
            f"Expected {step * layout.rows} bytes ({what}, {layout.rows} rows of step {step}), but got {length}; "
            "height, encoding or step is wrong in the driver, or the message was cut.",
        )
    return step


def _read_packed(width: int, encoding: str, rows: Array, big_endian: bool, top: int, bottom: int) -> Array:
    item, channels, order = PACKED[encoding]
    pixels = rows[top:bottom, : width * channels * item].reshape(bottom - top, width, channels, item)
    high = pixels[..., 0 if big_endian else item - 1]
    return high[..., list(order)]


def _read_bayer(
    width: int, item: int, red: tuple[int, int], rows: Array, big_endian: bool, top: int, bottom: int
) -> Array:
    mosaic = rows[:, : width * item]
    if item == 1:
        return demosaic(mosaic, red, top, bottom)
    deep = demosaic(mosaic.view(">u2" if big_endian else "<u2"), red, top, bottom)
    return (deep >> 8).astype(np.uint8)


def _read_422(width: int, order: tuple[int, int, int], rows: Array, _: bool, top: int, bottom: int) -> Array:
    y, u, v = order
    part = rows[top:bottom, : (width + 1) // 2 * 4]
    return rgb_from_yuv(part[:, y::2][:, :width], part[:, u::4], part[:, v::4], across=2, down=1)


def _read_planes(
    width: int, height: int, share: int, order: list[int], rows: Array, _: bool, top: int, bottom: int
) -> Array:
    if share == 2:
        colours = rows[height + top // 2 : height + (bottom + 1) // 2, : (width + 1) // 2 * 2]
    else:  # a row of colours takes two rows' steps
        colours = rows[height + 2 * top : height + 2 * bottom].reshape(bottom - top, -1)[:, : 2 * width]
    u, v = (colours[:, place::2] for place in order)
    return rgb_from_yuv(rows[top:bottom, :width], u, v, across=share, down=share)
