"""Does any image, however broken, raise anything but BadImage, take long, or cost memory?

Half are valid JPEG and PNG files with bytes changed, cut, doubled or with sizes rewritten; half are raw messages in any
encoding with up to three values changed. A good picture in between must always come out the same. Exit code 1 where
one of the promises is broken.

    python bench/fuzz_images.py --count 100000 --seed 0
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage
from clip2scene_ros.frame import Array
from clip2scene_ros.io.image import decode_compressed_message, decode_raw
from clip2scene_ros.io.image_raw import known_encodings, layout_of

OUT = Path(__file__).resolve().parent / "out" / "fuzz_images.json"
LIMITS = ImageLimits(max_pixels=1_000_000, max_bytes=200_000)
GOOD_EVERY = 100
MAX_P99_MS = 100.0
MAX_GROWTH_MB = 100.0

EVIL: list[Any] = [
    0,
    1,
    2,
    3,
    255,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**64,
    -1,
    None,
    "",
    0.5,
    [],
    (),
    object(),
]
EVIL_DATA: list[Any] = [None, "x", 3, [1], np.zeros(4), np.zeros((2, 2), np.uint8), np.zeros(8, np.uint8)[::2], b""]
NAMES = [*known_encodings(), "16UC1", "32FC1", "RGB8", "", "x" * 300, "\ud800"]
FORMATS = [
    "",
    "jpeg",
    "png",
    "bgr8; jpeg compressed bgr8",
    "bayer_rggb8; png compressed ",
    "16UC1; compressedDepth",
    "h264",
]


@dataclass
class Report:
    """What came of a run."""

    reasons: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    bad_after: int = 0
    times_ms: list[float] = field(default_factory=list)


def picture(mode: str, rng: random.Random) -> Image.Image:
    """Return a small picture of this mode, flat or noise."""
    size = (rng.randint(1, 24), rng.randint(1, 24))
    if mode == "I;16":
        return Image.fromarray(np.frombuffer(rng.randbytes(2 * size[0] * size[1]), np.uint16).reshape(size))
    if mode in ("P", "1") or rng.random() < 0.5:
        return Image.new("RGB", size, rng.choice(("red", "black", "teal"))).convert(mode)
    return Image.frombytes(mode, size, rng.randbytes(size[0] * size[1] * len(mode)))


def seeds(rng: random.Random) -> list[bytes]:
    """Return valid files of every kind."""
    files = []
    for kind, modes in (("JPEG", ("RGB", "L", "CMYK")), ("PNG", ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"))):
        for mode in modes * 3:
            file = io.BytesIO()
            options = {"progressive": rng.random() < 0.4} if kind == "JPEG" else {}
            picture(mode, rng).save(file, format=kind, **options)
            files.append(file.getvalue())
    return files


def mended(data: bytes) -> bytes:
    """Return a PNG with the right checksums, so that what was changed reaches the decoder."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + min(length, len(data) - at - 12)]
        out += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        at += 8 + len(body)
    return bytes(out)


def broken_file(rng: random.Random, files: list[bytes]) -> bytes:
    """Return a file with bytes changed, cut out, doubled or put in."""
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        at = rng.randrange(min(len(data), rng.choice((40, 200, 10**6))) or 1) if data else 0
        kind = rng.randrange(6)
        if kind <= 1 and data:
            data[at] = rng.choice((0, 1, 8, 127, 255, rng.getrandbits(8)))
        elif kind == 2:
            data[at : at + 4] = struct.pack(">I", rng.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1, rng.getrandbits(32))))
        elif kind == 3:
            del data[at : at + rng.choice((1, 4, 50, 10**6))]
        elif kind == 4:
            data[at:at] = data[at : at + rng.choice((1, 20, 200))] * rng.choice((1, 2, 50))
        else:
            data[at:at] = rng.choice((b"\xff\xd9", b"\xff\xda", b"\xff" * 100, b"\xff\xd8\xff", rng.randbytes(9)))
    return mended(bytes(data)) if data[:4] == b"\x89PNG" and rng.random() < 0.7 else bytes(data)


def broken_raw(rng: random.Random) -> SimpleNamespace:
    """Return a raw image that fits its size, with up to three values changed."""
    encoding = rng.choice(known_encodings())
    width, height = rng.randint(2, 12), rng.randint(2, 12)
    layout = layout_of(encoding, width, height)
    step = layout.row_bytes + rng.choice((0, 0, 1, 7))
    data = rng.randbytes(step * layout.rows)
    message = SimpleNamespace(
        encoding=encoding, width=width, height=height, step=step, is_bigendian=rng.choice((0, 1, True)), data=data
    )
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        name = rng.choice(("encoding", "width", "height", "step", "is_bigendian", "data", "cut"))
        if name == "cut":
            message.data = data[: rng.randint(0, len(data))] + rng.randbytes(rng.choice((0, 1, 50)))
        else:
            values = {"encoding": NAMES + EVIL, "data": EVIL_DATA}.get(name, EVIL)
            setattr(message, name, rng.choice(values) if rng.random() < 0.8 else rng.randint(0, 30))
    if rng.random() < 0.02:
        del message.step
    return message


def good_image() -> tuple[SimpleNamespace, Array]:
    """Return a message and the picture that it must always be read as."""
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return SimpleNamespace(format="rgb8; png compressed bgr8", data=file.getvalue()), pixels


def one(rng: random.Random, files: list[bytes]) -> Array:
    """Decode the next image."""
    if rng.random() < 0.5:
        return decode_raw(broken_raw(rng), LIMITS)
    note = rng.choice(FORMATS) if rng.random() < 0.3 else ""
    return decode_compressed_message(SimpleNamespace(format=note, data=broken_file(rng, files)), LIMITS)


def fuzz(count: int, seed: int) -> Report:
    """Decode `count` images, most of them broken, with a good one after each hundred."""
    rng, report = random.Random(seed), Report()
    files, (good, expected) = seeds(rng), good_image()
    for i in range(count):
        start = time.process_time()
        try:
            image = one(rng, files)
            wrong = image.dtype != np.uint8 or image.shape[2:] != (3,) or image.size > 3 * LIMITS.max_pixels
            reason = "WRONG" if wrong else "decoded"
        except BadImage as error:
            reason = error.reason
        except Exception as error:
            reason = "UNEXPECTED"
            report.unexpected.append(f"#{i}: {type(error).__name__}: {str(error)[:200]}")
        report.times_ms.append((time.process_time() - start) * 1e3)
        report.reasons[reason] += 1
        if i % GOOD_EVERY == 0:
            report.bad_after += not np.array_equal(decode_compressed_message(good, LIMITS), expected)
    report.bad_after += report.reasons["WRONG"]
    return report


def peak_mb() -> float:
    """Return the largest memory this process has had [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Run, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="images to try (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="first seed (default %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes (default %(default)s)")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
    fuzz(1000, args.seed - 1)  # whatever is loaded lazily is loaded now
    before, start = peak_mb(), time.perf_counter()
    report = fuzz(args.count, args.seed)
    seconds, growth = time.perf_counter() - start, peak_mb() - before
    p50, p99 = (float(q) for q in np.percentile(report.times_ms, (50, 99)))
    slowest = max(report.times_ms)
    for reason, number in report.reasons.most_common():
        print(f"{number:9d}  {reason}")
    print(f"{args.count} images in {seconds:.1f} s, seed {args.seed}")
    print(f"one p50 {p50:.3f} ms, p99 {p99:.2f} ms, max {slowest:.1f} ms of CPU; peak memory grew by {growth:.1f} MB")
    print(f"other exceptions: {len(report.unexpected)}; good pictures read wrongly: {report.bad_after}")
    print(*report.unexpected[:10], sep="\n")
    figures = {
        "count": args.count,
        "seed": args.seed,
        "reasons": dict(report.reasons),
        "unexpected": len(report.unexpected),
        "good_read_wrongly": report.bad_after,
        "cpu_ms": {"p50": p50, "p99": p99, "max": slowest},
        "peak_growth_mb": growth,
        "seconds": seconds,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(bool(report.unexpected) or report.bad_after > 0 or p99 > MAX_P99_MS or growth > MAX_GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
