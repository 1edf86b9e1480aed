from __future__ import annotations

import itertools
import tracemalloc
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage
from clip2scene_ros.io.image import decode_raw
from clip2scene_ros.io.image_raw import PACKED, known_encodings

PATTERNS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}  # the first 2x2 pixels, row by row


def message(encoding: str, width: int, height: int, step: int, data: bytes, **changes: Any) -> SimpleNamespace:
    fields = {"encoding": encoding, "width": width, "height": height, "step": step, "is_bigendian": 0, "data": data}
    return SimpleNamespace(**{**fields, **changes})


def packed(encoding: str, rows: np.ndarray, width: int, pad: int = 0, **changes: Any) -> SimpleNamespace:
    """Return a message of (H, ...) rows with `pad` bytes of rubbish behind each."""
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1).view(np.uint8)
    padded = np.concatenate([flat, np.full((len(rows), pad), 0xEE, np.uint8)], axis=1)
    return message(encoding, width, len(rows), padded.shape[1], padded.tobytes(), **changes)


def random(seed: int, *shape: int, deep: bool = False) -> np.ndarray:
    kind = np.uint16 if deep else np.uint8
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max, shape, dtype=kind, endpoint=True)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb16", "RGB"), ("bgr16", "BGR"), ("rgba16", "RGBA"), ("bgra16", "BGRA"), ("16UC3", "BGR"), ("16UC4", "BGRA")],
)
def test_16_bit_colours_keep_their_high_byte(encoding: str, channels: str, order: str) -> None:
    deep = random(1, 5, 7, len(channels), deep=True)
    image = decode_raw(packed(encoding, deep.astype(order + "u2"), 7, 3, is_bigendian=int(order == ">")))
    for k, name in enumerate("RGB"):
        assert np.array_equal(image[..., k], deep[..., channels.index(name)] // 256)


def test_opencv_s_nameless_four_channels_are_bgra() -> None:
    pixels = random(2, 4, 5, 4)
    assert np.array_equal(decode_raw(packed("8UC4", pixels, 5)), pixels[..., [2, 1, 0]])


def slow_demosaic(mosaic: np.ndarray, pattern: str) -> np.ndarray:
    """Give each pixel its own colour, and of others the exact mean over the 3x3 pixels around it, mirrored."""
    height, width = mosaic.shape
    mirror = lambda i, n: -i if i < 0 else 2 * n - 2 - i if i >= n else i  # noqa: E731
    colour_of = lambda v, u: "RGB".index(pattern[v % 2 * 2 + u % 2])  # noqa: E731
    rgb = np.empty((height, width, 3), mosaic.dtype)
    for v, u in itertools.product(range(height), range(width)):
        seen: list[list[int]] = [[], [], []]
        for dv, du in itertools.product((-1, 0, 1), (-1, 0, 1)):
            value = int(mosaic[mirror(v + dv, height), mirror(u + du, width)])
            seen[colour_of(v + dv, u + du)].append(value)
        seen[colour_of(v, u)] = [int(mosaic[v, u])]
        rgb[v, u] = [int(Fraction(sum(values), len(values)) + Fraction(1, 2)) for values in seen]
    return rgb


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (2, 2), (3, 2), (65, 4), (67, 3)])
@pytest.mark.parametrize("name", PATTERNS)
def test_bayer_equals_a_slow_mean_of_neighbours(name: str, size: tuple[int, int]) -> None:
    mosaic = random(3, *size)
    image = decode_raw(packed(f"bayer_{name}8", mosaic, size[1], pad=5))
    assert np.array_equal(image, slow_demosaic(mosaic, PATTERNS[name]))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", PATTERNS)
def test_deep_bayer_is_interpolated_before_it_loses_its_low_byte(name: str, order: str) -> None:
    mosaic = random(4, 7, 9, deep=True)
    sent = packed(f"bayer_{name}16", mosaic.astype(order + "u2"), 9, pad=3, is_bigendian=int(order == ">"))
    assert np.array_equal(decode_raw(sent), slow_demosaic(mosaic, PATTERNS[name]) // 256)


@pytest.mark.parametrize("name", PATTERNS)
def test_bayer_of_one_colour_is_exact_to_the_border(name: str) -> None:
    colour = np.array([200, 90, 31], np.uint8)
    sites = np.array(["RGB".index(letter) for letter in PATTERNS[name]]).reshape(2, 2)
    mosaic = colour[np.tile(sites, (35, 4))]
    assert np.array_equal(decode_raw(packed(f"bayer_{name}8", mosaic, 8)), np.broadcast_to(colour, (70, 8, 3)))


@pytest.mark.parametrize("name", PATTERNS)
def test_bayer_of_linear_gradients_is_exact_inside(name: str) -> None:
    v, u = np.mgrid[:70, :20]
    scene = np.stack([v + 3 * u, 2 * v + u + 5, 250 - v - 2 * u], axis=-1).astype(np.uint8)
    sites = np.array(["RGB".index(letter) for letter in PATTERNS[name]]).reshape(2, 2)
    mosaic = np.take_along_axis(scene, np.tile(sites, (35, 10))[..., None], axis=-1)[..., 0]
    image = decode_raw(packed(f"bayer_{name}8", mosaic, 20))
    assert np.array_equal(image[1:-1, 1:-1], scene[1:-1, 1:-1])


def test_a_mosaic_needs_four_pixels() -> None:
    for width, height in ((1, 4), (4, 1), (1, 1)):
        with pytest.raises(BadImage, match="2x2") as error:
            decode_raw(message("bayer_rggb8", width, height, width, bytes(width * height)))
        assert error.value.reason == "size"


def bt601(y: float, u: float, v: float) -> list[float]:
    """Return R, G, B by the definition: Kr 0.299, Kb 0.114, Y 16..235, U and V 16..240 about 128 (ITU-R BT.601-7)."""
    light = max(0.0, y - 16) * 255 / 219
    red = light + 2 * (1 - 0.299) * (v - 128) * 255 / 224
    blue = light + 2 * (1 - 0.114) * (u - 128) * 255 / 224
    green = (light - 0.299 * red - 0.114 * blue) / 0.587
    return [min(255.0, max(0.0, value)) for value in (red, green, blue)]


def yuv_pixels(encoding: str, data: bytes, step: int, width: int, height: int) -> np.ndarray:
    """Return (H, W, 3) Y, U, V by the byte addresses of the V4L2 pages."""
    found = np.empty((height, width, 3), int)
    for v, u in itertools.product(range(height), range(width)):
        pair = v * step + u // 2 * 4
        if encoding in ("uyvy", "yuv422"):
            at = (v * step + 2 * u + 1, pair, pair + 2)
        elif encoding in ("yuyv", "yuv422_yuy2"):
            at = (v * step + 2 * u, pair + 1, pair + 3)
        elif encoding == "nv24":  # lines of colour are twice as long
            at = (v * step + u, height * step + v * 2 * step + 2 * u, height * step + v * 2 * step + 2 * u + 1)
        else:
            first = (height + v // 2) * step + u // 2 * 2
            at = (v * step + u, first, first + 1) if encoding == "nv12" else (v * step + u, first + 1, first)
        found[v, u] = [data[place] for place in at]
    return found


YUV_SIZES = {  # step and bytes of w x h
    "422": lambda w, h, pad: (step := (w + 1) // 2 * 4 + pad, step * h),
    "420": lambda w, h, pad: (step := (w + 1) // 2 * 2 + pad, step * (h + (h + 1) // 2)),
    "444": lambda w, h, pad: (step := w + pad, step * 3 * h),
}
YUV = {"uyvy": "422", "yuv422": "422", "yuyv": "422", "yuv422_yuy2": "422", "nv12": "420", "nv21": "420", "nv24": "444"}


@pytest.mark.parametrize("pad", [0, 6, 13])
@pytest.mark.parametrize(("width", "height"), [(6, 4), (7, 5), (1, 1), (3, 67), (2, 130)])
@pytest.mark.parametrize("encoding", YUV)
def test_yuv_equals_bt_601_by_its_definition(encoding: str, width: int, height: int, pad: int) -> None:
    step, size = YUV_SIZES[YUV[encoding]](width, height, pad)
    data = random(5, size).tobytes()
    image = decode_raw(message(encoding, width, height, step, data, is_bigendian=1))
    pixels = yuv_pixels(encoding, data, step, width, height)
    expected = np.array([[bt601(*pixel) for pixel in row] for row in pixels])
    assert np.abs(image - expected).max() < 0.75  # half a level of rounding, and OpenCV's 1.164 for 255/219


@pytest.mark.parametrize(
    ("yuv", "rgb"),
    [
        ((235, 128, 128), (255, 255, 255)),
        ((16, 128, 128), (0, 0, 0)),
        ((81, 90, 240), (255, 0, 0)),
        ((145, 54, 34), (0, 255, 0)),
        ((41, 240, 110), (0, 0, 255)),
        ((0, 128, 128), (0, 0, 0)),
        ((255, 128, 128), (255, 255, 255)),
    ],
)
def test_yuv_of_colour_bars(yuv: tuple[int, int, int], rgb: tuple[int, int, int]) -> None:
    y, u, v = yuv
    for encoding, data in (("uyvy", [u, y, v, y]), ("yuyv", [y, u, y, v]), ("nv24", [y, y, u, v, u, v])):
        image = decode_raw(message(encoding, 2, 1, len(data) if encoding != "nv24" else 2, bytes(data)))
        assert np.abs(image.astype(int) - rgb).max() <= 1


def test_planes_whose_step_counts_all_of_them_are_read_as_tight() -> None:
    data = random(6, 8 * 6 * 3 // 2).tobytes()
    right = decode_raw(message("nv12", 8, 6, 8, data))
    assert np.array_equal(decode_raw(message("nv12", 8, 6, 12, data)), right)


@pytest.mark.parametrize("encoding", YUV)
def test_yuv_that_lacks_a_byte_is_refused(encoding: str) -> None:
    step, size = YUV_SIZES[YUV[encoding]](7, 5, 2)
    for reason, changes in (
        ("data_short", {"data": bytes(size - 1)}),
        ("data_long", {"data": bytes(size + step)}),
        ("step", {"step": 6}),
    ):
        with pytest.raises(BadImage, match=f"{encoding} of 7x5") as error:
            decode_raw(message(encoding, 7, 5, **{"step": step, "data": bytes(size), **changes}))
        assert error.value.reason == reason


def test_every_encoding_is_refused_before_memory_is_taken() -> None:
    limits = ImageLimits(max_pixels=178_000_000)
    tracemalloc.start()
    for encoding in known_encodings():
        for width, height, step in (
            (20_000, 20_000, 2**31),
            (2**32 - 1, 2**32 - 1, 2**32 - 1),
            (13_000, 13_000, 2**20),
        ):
            with pytest.raises(BadImage):
                decode_raw(message(encoding, width, height, step, bytes(100)), limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("encoding", ["rgb8", "mono16", "bayer_rggb8", "bayer_gbrg16", "uyvy", "nv12", "nv24"])
def test_memory_stays_near_that_of_the_picture(encoding: str) -> None:
    data = bytes(800 * 1000 * 3)
    step = {"rgb8": 3000, "mono16": 2000, "uyvy": 2000, "bayer_gbrg16": 2000}.get(encoding, 1000)
    rows = {"nv12": 1200, "nv24": 2400}.get(encoding, 800)
    tracemalloc.start()
    decode_raw(message(encoding, 1000, 800, step, data[: step * rows]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 800 * 1000 * 3 + 6_000_000


@pytest.mark.parametrize(
    "buffer", [np.zeros((20, 60), np.uint8), np.zeros(2400, np.uint8)[::2], memoryview(bytes(2400))[::2]]
)
def test_buffers_that_are_not_flat_are_refused(buffer: object) -> None:
    with pytest.raises(BadImage) as error:
        decode_raw(message("rgb8", 20, 20, 60, buffer))
    assert error.value.reason == "data_type"


def test_every_packed_encoding_gives_one_colour() -> None:
    assert len(known_encodings()) == len(set(known_encodings())) == 30
    for encoding, (item, channels, order) in PACKED.items():
        pixel = np.zeros((channels, item), np.uint8)
        for value, place in zip((10, 20, 30), order, strict=True):
            pixel[place, -1] = value
        image = decode_raw(message(encoding, 1, 1, pixel.size, pixel.tobytes()))
        assert image.tolist() == [[[30, 30, 30] if channels == 1 else [10, 20, 30]]]


def test_depth_is_refused_with_the_way_out() -> None:
    for encoding in ("16UC1", "32FC1", "16SC1", "64FC1"):
        with pytest.raises(BadImage, match=r"REP 118.*colour topic") as error:
            decode_raw(message(encoding, 1, 1, 8, bytes(8)))
        assert error.value.reason == "encoding"
