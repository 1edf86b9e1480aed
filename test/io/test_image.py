from __future__ import annotations

import array
import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage
from clip2scene_ros.io.image import decode_compressed, decode_raw, encode_jpeg


def picture(height: int = 40, width: int = 60) -> np.ndarray:
    """Return a smooth picture that JPEG keeps well."""
    v, u = np.mgrid[:height, :width]
    return np.stack([u * 4, v * 6, (u + v) * 2], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_claiming(width: int, height: int, body: bytes = b"") -> bytes:
    """Return a small PNG whose header declares this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    """Return a JPEG with the size in its frame header replaced."""
    raw = bytearray(encode_jpeg(picture()))
    at = raw.index(b"\xff\xc0") + 5
    raw[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(raw)


def reason_of(data: Any, limits: ImageLimits | None = None) -> str:
    with pytest.raises(BadImage) as error:
        decode_compressed(data) if limits is None else decode_compressed(data, limits)
    return error.value.reason


def test_png_comes_back_exactly() -> None:
    assert np.array_equal(decode_compressed(encoded(Image.fromarray(picture()), "PNG")), picture())


def test_jpeg_comes_back_nearly() -> None:
    back = decode_compressed(encode_jpeg(picture(), 95))
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - picture()).mean() < 2


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview, lambda b: array.array("B", b)])
def test_any_container_of_bytes_is_read(container: Callable[[bytes], object]) -> None:
    png = encoded(Image.fromarray(picture()), "PNG")
    assert np.array_equal(decode_compressed(container(png)), picture())
    assert np.array_equal(decode_compressed(np.frombuffer(png, np.uint8)), picture())


def test_grey_pictures_become_rgb() -> None:
    grey = picture()[..., 0]
    assert np.array_equal(decode_compressed(encoded(Image.fromarray(grey), "PNG")), np.repeat(grey[..., None], 3, -1))


def test_real_jpegs_equal_pillows_own_reading(shared_data: Callable[[str], Path]) -> None:
    path = next(shared_data("data/nuscenes").glob("*CAM_BACK__*.jpg"))
    with Image.open(path) as image:
        assert np.array_equal(decode_compressed(path.read_bytes()), np.array(image))


BOMBS = {
    "png 20000x20000": png_claiming(20_000, 20_000),
    "png 10000x10000": png_claiming(10_000, 10_000),
    "png 2^31-1": png_claiming(2**31 - 1, 2**31 - 1),
    "jpeg 65500x65500": jpeg_claiming(65_500, 65_500),
    "jpeg 8001x8000": jpeg_claiming(8_001, 8_000),
    "png with a body": png_claiming(20_000, 20_000, bytes(5_000_000)),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BOMBS)
def test_declared_giants_are_refused_before_decoding(name: str) -> None:
    assert reason_of(BOMBS[name]) == "too_many_pixels"
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        reason_of(BOMBS[name])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1e-3
    tracemalloc.start()
    reason_of(BOMBS[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_too_many_bytes_are_refused_before_they_are_looked_at() -> None:
    data = bytearray(32_000_001)
    tracemalloc.start()
    start = time.process_time()
    assert reason_of(data) == "too_many_bytes"
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 0.01
    assert peak < 1_000_000


def test_a_giant_of_allowed_bytes_is_not_copied_to_be_refused() -> None:
    data = bytearray(png_claiming(20_000, 20_000)) + bytes(30_000_000)
    tracemalloc.start()
    assert reason_of(data) == "too_many_pixels"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_limits_can_be_set() -> None:
    png = encoded(Image.fromarray(picture()), "PNG")
    assert reason_of(png, ImageLimits(max_pixels=2399)) == "too_many_pixels"
    assert reason_of(png, ImageLimits(max_bytes=len(png) - 1)) == "too_many_bytes"
    assert decode_compressed(png, ImageLimits(max_pixels=2400, max_bytes=len(png))).shape == (40, 60, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_pictures_are_refused(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    assert reason_of(data[: int(len(data) * share)]) == "truncated"


def test_animated_pictures_are_refused() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    assert reason_of(encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])) == "animated"


def test_pictures_without_pixels_are_refused() -> None:
    assert reason_of(png_claiming(0, 0)) in ("empty", "format")
    assert reason_of(jpeg_claiming(0, 0)) in ("empty", "format")
    assert reason_of(jpeg_claiming(0, 10)) in ("empty", "format")


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8\xff", b"GIF89a" + bytes(100), b"II*\0" + bytes(100), bytes(1000)]
)
def test_what_is_no_jpeg_or_png_is_refused(data: bytes) -> None:
    assert reason_of(data) == "format"


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "WEBP", "PPM"])
def test_other_formats_are_refused(kind: str) -> None:
    assert reason_of(encoded(Image.fromarray(picture()), kind)) == "format"


@pytest.mark.parametrize("data", [None, "jpeg", 3, [1, 2], np.zeros((2, 2), np.uint8), np.zeros(4)])
def test_what_are_no_bytes_is_refused(data: object) -> None:
    assert reason_of(data) == "data_type"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_pictures_raise_only_bad_image() -> None:
    rng = np.random.default_rng(1)
    whole = [encode_jpeg(picture()), encoded(Image.fromarray(picture()), "PNG")]
    refused = 0
    for i in range(600):
        data = bytearray(whole[i % 2])
        for at in rng.integers(0, min(len(data), 200), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        try:
            assert decode_compressed(data, ImageLimits(max_pixels=1_000_000)).shape[2] == 3
        except BadImage:
            refused += 1
    assert refused > 200


def raw(encoding: str, pixels: np.ndarray, pad: int = 0, **changes: Any) -> SimpleNamespace:
    """Return a sensor_msgs/Image-like object of (H, W, C) uint8 or uint16 pixels with padded rows."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).view(np.uint8)
    padded = np.concatenate([rows, np.full((height, pad), 0xEE, np.uint8)], axis=1)
    message = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=padded.shape[1], is_bigendian=0, data=padded.tobytes()
    )
    vars(message).update(changes)
    return message


@pytest.mark.parametrize("pad", [0, 1, 13])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("8UC3", [2, 1, 0]), ("rgba8", [0, 1, 2, 0]), ("bgra8", [2, 1, 0, 1])],
)
def test_raw_colours_with_padded_rows(encoding: str, channels: list[int], pad: int) -> None:
    image = decode_raw(raw(encoding, np.ascontiguousarray(picture()[..., channels]), pad))
    assert np.array_equal(image, picture())
    assert image.flags.c_contiguous


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_raw_grey(encoding: str) -> None:
    grey = np.ascontiguousarray(picture()[..., :1])
    assert np.array_equal(decode_raw(raw(encoding, grey, 3)), np.repeat(grey, 3, -1))


@pytest.mark.parametrize("order", ["<", ">"])
def test_raw_16_bit_grey_keeps_its_high_byte(order: str) -> None:
    deep = np.random.default_rng(2).integers(0, 65536, (5, 7), dtype=np.uint16)
    image = decode_raw(raw("mono16", deep.astype(order + "u2"), 2, is_bigendian=int(order == ">")))
    assert np.array_equal(image, np.repeat((deep // 256).astype(np.uint8)[..., None], 3, -1))


@pytest.mark.parametrize(
    "encoding", ["bayer_rgbg8", "bayer_rggb", "yuv420", "16UC1", "32FC1", "8UC2", "", "RGB8", "h264"]
)
def test_other_encodings_are_refused_by_name(encoding: str) -> None:
    with pytest.raises(BadImage, match=repr(encoding)) as error:
        decode_raw(raw(encoding, picture()))
    assert error.value.reason == "encoding"


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("step", {"step": 0}),
        ("step", {"step": 179}),
        ("data_short", {"step": 181}),
        ("data_short", {"step": 2**32 - 1}),
        ("step", {"width": 61}),
        ("data_short", {"height": 41}),
        ("data_long", {"height": 39}),
        ("data_short", {"data": bytes(7199)}),
        ("data_type", {"data": None}),
        ("empty", {"width": 0}),
        ("empty", {"height": 0}),
        ("too_many_pixels", {"width": 2**31, "height": 2**31}),
        ("out_of_range", {"width": -1}),
        ("out_of_range", {"height": 2**40}),
        ("not_integer", {"step": None}),
        ("not_integer", {"width": "60"}),
        ("encoding", {"encoding": None}),
        ("encoding", {"encoding": "x" * 10_000_000}),
    ],
)
def test_raw_images_that_contradict_themselves_are_refused(reason: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BadImage) as error:
        decode_raw(SimpleNamespace(**{**vars(raw("rgb8", picture())), **changes}))
    assert error.value.reason == reason


def test_what_is_no_message_is_refused() -> None:
    for thing in (None, 3, SimpleNamespace(encoding="rgb8")):
        with pytest.raises(BadImage) as error:
            decode_raw(thing)
        assert error.value.reason == "attribute"


def test_raw_messages_are_not_changed() -> None:
    message = raw("bgr8", picture(), 5)
    before = message.data
    decode_raw(message)[:] = 0
    assert message.data == before
