from __future__ import annotations

import io
import struct
import time
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage
from clip2scene_ros.io.image import decode_compressed, decode_compressed_message, decode_raw, encode_jpeg


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    v, u = np.mgrid[:height, :width]
    return np.stack([u * 4, v * 6, (u + v) * 2], axis=-1).astype(np.uint8)


def file_of(image: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, format=kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(pixels: np.ndarray, kind: int) -> bytes:
    """Return (H, W, C) uint8 or uint16 as a PNG of this colour type, written by hand."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(f">u{pixels.itemsize}").reshape(height, -1).view(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, kind, 0, 0, 0)
    body = zlib.compress(np.insert(rows, 0, 0, axis=1).tobytes())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def refused(data: Any, limits: ImageLimits | None = None) -> BadImage:
    with pytest.raises(BadImage) as error:
        decode_compressed(data, limits or ImageLimits())
    return error.value


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_pngs_of_every_kind(kind: int, channels: int, depth: type) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(depth).max, (70, 5, channels), depth, endpoint=True)
    high = (pixels >> (8 * (pixels.itemsize - 1))).astype(np.uint8)
    expected = np.repeat(high[..., :1], 3, -1) if channels < 3 else high[..., :3]  # alpha is dropped, not blended
    assert np.array_equal(decode_compressed(png(pixels, kind)), expected)


@pytest.mark.parametrize("colours", [2, 7, 200])
def test_palettes_with_a_transparent_colour(colours: int) -> None:
    index = np.random.default_rng(1).integers(0, colours, (9, 11), dtype=np.uint8)
    palette = np.random.default_rng(2).integers(0, 256, (colours, 3), dtype=np.uint8)
    image = Image.fromarray(index)
    image.putpalette(palette.tobytes())
    assert np.array_equal(decode_compressed(file_of(image, "PNG", transparency=1)), palette[index])


def test_black_and_white_pngs() -> None:
    bits = np.random.default_rng(3).random((9, 11)) < 0.5
    assert np.array_equal(
        decode_compressed(file_of(Image.fromarray(bits), "PNG")), np.repeat(bits[..., None] * 255, 3, -1)
    )


def test_grey_jpegs() -> None:
    grey = picture()[..., 2]
    image = decode_compressed(file_of(grey, "JPEG", quality=95))
    assert np.ptp(image.astype(int), axis=-1).max() == 0
    assert np.abs(image[..., 0].astype(int) - grey).max() <= 4


CMYK = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (10, 200, 30, 40), (90, 20, 160, 100), (0, 0, 0, 255)]


def rgb_of_ink(c: int, m: int, y: int, k: int) -> np.ndarray:
    return np.array([(255 - ink) * (255 - k) / 255 for ink in (c, m, y)])


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("ink", CMYK)
def test_cmyk_jpegs(ink: tuple[int, int, int, int], progressive: bool) -> None:
    data = file_of(Image.new("CMYK", (20, 70), ink), "JPEG", quality=100, progressive=progressive)
    assert np.abs(decode_compressed(data) - rgb_of_ink(*ink)).max() <= 2


@pytest.mark.parametrize("ink", CMYK)
def test_ycck_jpegs(ink: tuple[int, int, int, int]) -> None:
    """Adobe's YCCK: YCbCr (JFIF's, full range) of the inks, and K, all kept inverted as in its CMYK."""
    c, m, y, k = ink
    light = 0.299 * c + 0.587 * m + 0.114 * y
    ycc = (light, 128 + (y - light) / 1.772, 128 + (c - light) / 1.402)
    stored = [*(max(0, min(255, round(value))) for value in ycc), 255 - k]
    # Pillow inverts what it writes; the marker's last byte then turns CMYK into YCCK.
    data = bytearray(file_of(Image.new("CMYK", (16, 16), tuple(255 - value for value in stored)), "JPEG", quality=100))
    transform = data.index(b"Adobe") + 11
    assert data[transform] == 0
    data[transform] = 2
    assert np.abs(decode_compressed(data) - rgb_of_ink(*ink)).max() <= 3


def test_cmyk_that_does_not_say_how_it_holds_ink_is_refused() -> None:
    data = file_of(Image.new("CMYK", (16, 16)), "JPEG").replace(b"Adobe", b"Nobody"[:5])
    error = refused(data)
    assert error.reason == "mode"
    assert "Adobe" in str(error)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_does_not_turn_the_sensor(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    plain = decode_compressed(file_of(picture(), kind))
    assert np.array_equal(decode_compressed(file_of(picture(), kind, exif=exif)), plain)


@pytest.mark.parametrize("rubbish", [bytes(5000), b"\xff" * 5000, b"\xff\xd8\xff\xda" * 3, b"IEND"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_what_stands_behind_the_picture_is_ignored(kind: str, rubbish: bytes) -> None:
    whole = file_of(picture(), kind)
    assert np.array_equal(decode_compressed(whole + rubbish), decode_compressed(whole))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pictures_cut_anywhere_are_refused_unless_every_pixel_is_there(kind: str) -> None:
    whole = file_of(np.random.default_rng(4).integers(0, 256, (40, 60, 3), dtype=np.uint8), kind)
    for end in [*range(0, len(whole) - 40, 97), *range(len(whole) - 40, len(whole))]:
        if kind == "JPEG" and end >= len(whole) - 2:  # only the mark of the end is lost
            assert np.array_equal(decode_compressed(whole[:end]), decode_compressed(whole))
        else:
            assert refused(whole[:end]).reason in ("truncated", "format"), end


def test_any_changed_bit_of_a_png_is_noticed() -> None:
    whole = file_of(picture(), "PNG")
    rng = np.random.default_rng(5)
    for at in rng.integers(8, len(whole), 300):
        data = bytearray(whole)
        data[at] ^= 1 << rng.integers(8)
        assert refused(data).reason in ("checksum", "truncated", "format", "too_many_pixels", "empty"), at


def jpeg_with_frame(marker: int, bits: int = 8, channels: int = 3, size: tuple[int, int] = (40, 60)) -> bytes:
    data = bytearray(encode_jpeg(picture()))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4], data[at + 9] = marker, bits, channels
    data[at + 5 : at + 9] = struct.pack(">HH", *size)
    return bytes(data)


@pytest.mark.parametrize(("marker", "bits", "channels"), [(0xC1, 12, 3), (0xC3, 8, 3), (0xC9, 8, 3), (0xC0, 8, 2)])
def test_unusual_jpegs_are_refused_by_what_they_are(marker: int, bits: int, channels: int) -> None:
    error = refused(jpeg_with_frame(marker, bits, channels))
    assert error.reason == "mode"
    assert f"{channels} of {bits} bits" in str(error)


@pytest.mark.parametrize("size", [(0, 0), (0, 60), (40, 0)])
def test_jpegs_without_pixels_are_refused(size: tuple[int, int]) -> None:
    assert refused(jpeg_with_frame(0xC0, size=size)).reason == "empty"


def slow_jpegs() -> dict[str, tuple[str, bytes]]:
    """Return small files that keep Pillow busy for seconds to days."""
    whole = encode_jpeg(picture())
    scans = file_of(Image.new("RGB", (2000, 2000)), "JPEG", progressive=True)
    last = scans[scans.rindex(b"\xff\xda") : -2]
    return {
        "fill bytes": ("format", whole[:2] + b"\xff" * 4_000_000 + whole[2:]),
        "segments": ("format", whole[:2] + b"\xff\xfe\0\2" * 1_000_000 + whole[2:]),
        "scans": ("too_many_scans", scans[:-2] + last * 100_000 + b"\xff\xd9"),
        "chunks": ("format", file_of(picture(), "PNG")[:33] + chunk(b"IDAT", b"") * 200_000),
    }


@pytest.mark.parametrize("name", ["fill bytes", "segments", "scans", "chunks"])
def test_small_files_cannot_take_long(name: str) -> None:
    reason, data = slow_jpegs()[name]
    start = time.process_time()
    assert refused(data).reason == reason
    assert time.process_time() - start < 1.0


def test_progressive_jpegs_of_full_size_are_read() -> None:
    limits = ImageLimits(max_pixels=2400)
    whole = file_of(picture(), "JPEG", progressive=True)
    assert decode_compressed(whole, limits).shape == (40, 60, 3)


def compressed(data: bytes, note: str) -> SimpleNamespace:
    return SimpleNamespace(format=note, data=data)


@pytest.mark.parametrize(
    "note",
    ["", "jpeg", "png", "bgr8; jpeg compressed bgr8", "rgb8; png compressed ", "rgb8; jpeg compressed rgb8", "h264"],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_s_own_colours_count_whatever_its_format_says(kind: str, note: str) -> None:
    data = file_of(picture(), kind)
    assert np.array_equal(decode_compressed_message(compressed(data, note)), decode_compressed(data))


@pytest.mark.parametrize("note", ["16UC1; compressedDepth", "32FC1; compressedDepth png", "16UC1; png compressed "])
def test_compressed_depth_is_refused(note: str) -> None:
    with pytest.raises(BadImage, match="colour topic") as error:
        decode_compressed_message(compressed(bytes(12) + file_of(picture(), "PNG"), note))
    assert error.value.reason == "encoding"
    assert note in str(error.value)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_mosaic_that_was_compressed_as_it_is_becomes_colours(bits: int) -> None:
    mosaic = np.random.default_rng(6).integers(0, 256, (70, 8), dtype=np.uint8)
    step = bits // 8 * 8
    deep = mosaic.astype(f"<u{bits // 8}") << (bits - 8)
    fields = {"encoding": f"bayer_grbg{bits}", "width": 8, "height": 70, "step": step, "is_bigendian": 0}
    expected = decode_raw(SimpleNamespace(**fields, data=deep.tobytes()))
    image = decode_compressed_message(compressed(file_of(deep, "PNG"), f"bayer_grbg{bits}; png compressed "))
    assert np.abs(image.astype(int) - expected).max() <= bits // 16  # 16 bit: the low byte is gone before the mean


def test_a_mosaic_that_its_sender_turned_grey_or_coloured_stays_so() -> None:
    grey = np.ascontiguousarray(picture()[..., 2])
    image = decode_compressed_message(compressed(file_of(grey, "PNG"), "bayer_rggb8; jpeg compressed mono8"))
    assert np.array_equal(image, np.repeat(grey[..., None], 3, -1))
    image = decode_compressed_message(compressed(file_of(picture(), "PNG"), "bayer_rggb8; jpeg compressed "))
    assert np.array_equal(image, picture())


def test_what_is_no_compressed_image_is_refused() -> None:
    for thing, reason in (
        (None, "attribute"),
        (SimpleNamespace(format="jpeg"), "attribute"),
        (compressed(b"", "jpeg"), "format"),
        (SimpleNamespace(format="x" * 10_000, data=b""), "format"),
        (SimpleNamespace(format=None, data=b""), "format"),
    ):
        with pytest.raises(BadImage) as error:
            decode_compressed_message(thing)
        assert error.value.reason == reason
