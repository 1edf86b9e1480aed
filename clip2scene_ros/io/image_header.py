"""What a JPEG or PNG claims, checked before it is decoded.

Pillow reads any header, however long it takes: 45 s for 4 MB of JPEG fill bytes, 24 s for a million empty segments,
half a second at 16 megapixels for each 31 bytes of an empty progressive scan. It skips the checksums of a PNG's pixels.
"""

from __future__ import annotations

import re
import zlib
from itertools import islice

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage

DEFAULT_LIMITS = ImageLimits()

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
MARKER = re.compile(rb"\xff{1,64}([^\x00\xff])", re.DOTALL)  # fill bytes are legal, but no writer needs many
SCAN = re.compile(rb"\xff\xda")  # inside a scan, 255 is always followed by 0 or a restart marker
END, START_OF_SCAN = 0xD9, 0xDA
HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # lossless, hierarchical, arithmetic
MAX_SEGMENTS = 2_000  # a colour profile and EXIF may take some hundreds
MAX_SCANS = 20  # of a picture of max_pixels; a progressive RGB has 10, a CMYK 18. Smaller pictures may have more
MAX_CHUNKS = 100_000  # libpng's have 8 KiB


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raise BadImage (empty, too_many_pixels) unless the picture has pixels, and no more than allowed."""
    if width < 1 or height < 1:
        raise BadImage("empty", f"Expected a picture with pixels, but got {width}x{height}; see the camera's driver.")
    if width * height > limits.max_pixels:
        raise BadImage(
            "too_many_pixels",
            f"Expected at most {limits.max_pixels} pixels (ImageLimits.max_pixels), but got {width}x{height}.",
        )


def check_header(data: memoryview, limits: ImageLimits) -> None:
    """Raise BadImage unless these are a JPEG or PNG that may be decoded.

    Raises:
        BadImage: format, empty, too_many_pixels, mode, too_many_scans, truncated, checksum.
    """
    if data[: len(PNG_START)] == PNG_START:
        _check_png(data, limits)
    elif data[: len(JPEG_START)] == JPEG_START:
        _check_jpeg(data, limits)
    else:
        raise BadImage(
            "format",
            f"Expected a JPEG or PNG, but got bytes that begin with {bytes(data[:8])!r}; choose jpeg or png where the "
            "images are compressed.",
        )


def _check_png(data: memoryview, limits: ImageLimits) -> None:
    at = len(PNG_START)
    for _ in range(MAX_CHUNKS):
        length, name = int.from_bytes(data[at : at + 4], "big"), bytes(data[at + 4 : at + 8])
        if at == len(PNG_START):
            if name != b"IHDR" or length != 13:
                raise BadImage("format", f"Expected a PNG that begins with its header, but got a chunk {name!r}.")
            width, height = (int.from_bytes(data[at + k : at + k + 4], "big") for k in (8, 12))
            check_size(width, height, limits)
        end = at + 12 + length
        if end > len(data):
            raise _truncated(f"its chunk {name!r} ends at byte {end}", data)
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise BadImage(
                "checksum",
                f"Expected a PNG as it was written, but the checksum of its chunk {name!r} at byte {at} differs: "
                "bytes were changed on the way or on disk.",
            )
        if name == b"IEND":
            return
        at = end
    raise BadImage("format", f"Expected a PNG of at most {MAX_CHUNKS} chunks, but got more; write it with larger ones.")


def _check_jpeg(data: memoryview, limits: ImageLimits) -> None:
    at, pixels = 2, 0
    for _ in range(MAX_SEGMENTS):
        found = MARKER.match(data, at)
        if found is None or found[1][0] == END:
            raise BadImage("format", f"Expected a JPEG segment at byte {at}, but got {bytes(data[at : at + 8])!r}.")
        marker, at = found[1][0], found.end()
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            raise _truncated(f"a segment ends at byte {at + length}", data)
        if marker in (*HUFFMAN_FRAMES, *OTHER_FRAMES):
            pixels = max(pixels, _check_frame(marker, bytes(data[at + 2 : at + 8]), limits))
        if marker == START_OF_SCAN:
            return _check_scans(data, pixels, limits)
        at += length
    raise BadImage("format", f"Expected at most {MAX_SEGMENTS} segments before a JPEG's first scan, but got more.")


def _check_frame(marker: int, frame: bytes, limits: ImageLimits) -> int:
    """Return the pixels that a frame header declares: bits, height, width, number of channels."""
    if len(frame) < 6:
        raise BadImage("truncated", f"Expected a JPEG frame header, but got only {len(frame)} bytes of it.")
    bits, channels = frame[0], frame[5]
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    check_size(width, height, limits)
    if marker in OTHER_FRAMES or bits != 8 or channels not in (1, 3, 4):
        raise BadImage(
            "mode",
            "Expected a baseline or progressive JPEG of 1, 3 or 4 channels of 8 bits, but got "
            f"{channels} of {bits} bits, frame type SOF{marker - 0xC0}; set the camera to plain JPEG.",
        )
    return width * height


def _check_scans(data: memoryview, pixels: int, limits: ImageLimits) -> None:
    """Bound the decoder's time: a scan of 31 bytes may cost as much as the whole picture."""
    allowed = MAX_SCANS * limits.max_pixels // max(1, pixels)
    scans = sum(1 for _ in islice(SCAN.finditer(data), allowed + 1))
    if scans > allowed:
        raise BadImage(
            "too_many_scans",
            f"Expected at most {allowed} scans in a JPEG of {pixels} pixels, but got more; save it as baseline.",
        )


def _truncated(what: str, data: memoryview) -> BadImage:
    return BadImage(
        "truncated",
        f"Expected a whole picture, but {what} and only {len(data)} bytes came: the rest was lost by the driver, the "
        "network or the disk.",
    )
