"""Does any PointCloud2, however broken, raise anything but BadCloud, take long, or cost memory?

Three in four clouds are valid ones with up to three values changed, the rest are random throughout. A good cloud
in between must always come out the same. Exit code 1 where one of the promises is broken.

    python bench/fuzz_clouds.py --count 1000000 --seed 0
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadCloud
from clip2scene_ros.frame import Scan
from clip2scene_ros.io.pointcloud import pack_points, parse

OUT = Path(__file__).resolve().parent / "out" / "fuzz_clouds.json"
GOOD_EVERY = 100
MAX_P99_MS = 1.0
MAX_GROWTH_MB = 50.0

SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}
NAMES = ["x", "y", "z", "intensity", "i", "reflectivity", "ring", "line", "t", "time", "timestamp", "rgb", "_", "tag"]
EVIL_INTEGERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    255,
    256,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63,
    2**64,
    10**40,
    -1,
    -(2**31),
]
EVIL_VALUES: list[Any] = [None, "", "x", b"\0", 0.5, float("nan"), float("inf"), [], {}, (), object(), True, 1j]
EVIL_NAMES: list[Any] = ["", "\0", "x" * 300, "x", "\ud800", "_", None, 3, b"x"]
EVIL_DATA: list[Any] = [
    None,
    "bytes",
    3,
    [1, 2, 3],
    np.zeros(4),
    np.zeros((2, 2), np.uint8),
    np.zeros(8, np.uint8)[::2],
]


@dataclass
class Report:
    """What came of a run."""

    reasons: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    bad_after: int = 0
    times_ms: list[float] = field(default_factory=list)


def point_field(name: str, offset: int, datatype: int, count: int = 1) -> SimpleNamespace:
    """Return one field of a message."""
    return SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)


def random_cloud(rng: random.Random) -> SimpleNamespace:
    """Return a valid cloud of 0 to 48 points in a random layout with random bits in it."""
    fields, offset = [], rng.choice((0, 0, 1, 4))
    xyz = rng.choice((7, 7, 8))
    for name in ["x", "y", "z", *rng.sample(NAMES[3:], rng.randint(0, 4))]:
        datatype = xyz if name in "xyz" else rng.randint(1, 8)
        fields.append(point_field(name, offset, datatype))
        offset += SIZES[datatype] + rng.choice((0, 0, 0, 1, 3))
    width, height = rng.randint(0, 16), rng.choice((1, 1, 1, 2, 3))
    point_step = offset + rng.choice((0, 0, 3))
    row_step = width * point_step + (rng.choice((0, 0, 5)) if height > 1 else 0)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=rng.randint(0, 2**31 - 1), nanosec=5), frame_id="lidar"),
        height=height,
        width=width,
        fields=fields,
        is_bigendian=rng.random() < 0.2,
        point_step=point_step,
        row_step=row_step,
        data=rng.randbytes(row_step * height),
        is_dense=rng.random() < 0.5,
    )


def evil(rng: random.Random) -> Any:  # noqa: ANN401
    """Return a value that a header should not hold."""
    return rng.choice(EVIL_INTEGERS) if rng.random() < 0.75 else rng.choice(EVIL_VALUES)


def mutate(cloud: SimpleNamespace, rng: random.Random) -> None:
    """Break (or at times only change) one thing."""
    kind = rng.randrange(8)
    if kind == 0:
        setattr(cloud, rng.choice(("height", "width", "point_step", "row_step")), evil(rng))
    elif kind == 1 and isinstance(cloud.fields, list) and cloud.fields:
        setattr(rng.choice(cloud.fields), rng.choice(("offset", "datatype", "count")), evil(rng))
    elif kind == 2 and isinstance(cloud.fields, list) and cloud.fields:
        rng.choice(cloud.fields).name = rng.choice(EVIL_NAMES + NAMES)
    elif kind == 3 and isinstance(cloud.fields, list) and cloud.fields:
        cloud.fields = cloud.fields * rng.choice((0, 2, 40)) if rng.random() < 0.5 else cloud.fields[1:]
    elif kind == 4:
        cloud.data = cloud.data[: rng.randint(0, len(cloud.data))] + rng.randbytes(rng.choice((0, 1, 100)))
    elif kind == 5:
        setattr(cloud.header.stamp, rng.choice(("sec", "nanosec")), evil(rng))
    elif kind == 6:
        name = rng.choice(("data", "fields", "is_bigendian", "header"))
        setattr(cloud, name, rng.choice(EVIL_DATA + EVIL_VALUES))
        cloud.header = cloud.header if hasattr(cloud.header, "stamp") else SimpleNamespace(stamp=SimpleNamespace())
    elif rng.random() < 0.5:
        cloud.__dict__.pop(rng.choice(("data", "fields", "width", "is_bigendian", "row_step")), None)


def pure_noise(rng: random.Random) -> SimpleNamespace:
    """Return a cloud whose every number is random, small enough to look right at times."""
    number = lambda: rng.choice((rng.randint(0, 64), rng.randint(0, 64), rng.getrandbits(32), evil(rng)))  # noqa: E731
    fields = [point_field(rng.choice(NAMES), number(), rng.randint(0, 9), number()) for _ in range(rng.randint(0, 6))]
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=number(), nanosec=number()), frame_id=rng.choice(EVIL_NAMES)),
        height=number(),
        width=number(),
        fields=fields,
        is_bigendian=rng.choice((True, False, 0, 1, 2, None)),
        point_step=number(),
        row_step=number(),
        data=rng.randbytes(rng.randint(0, 512)),
        is_dense=None,
    )


def malformed(rng: random.Random) -> SimpleNamespace:
    """Return the next cloud to try."""
    if rng.random() < 0.25:
        return pure_noise(rng)
    cloud = random_cloud(rng)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        # An earlier mutation took away what this one changes.
        with contextlib.suppress(AttributeError, TypeError, KeyError):
            mutate(cloud, rng)
    return cloud


def good_cloud() -> tuple[SimpleNamespace, Scan]:
    """Return a message and the scan that it must always be read as."""
    points = np.array(struct.unpack("<6f", struct.pack("<6f", 1, 2, 3, -4, 5e-3, 6e3)), np.float32).reshape(2, 3)
    scan = Scan(points, np.array([0.25, 1.0], np.float32), 7 * 10**9 + 8, "lidar")
    layout = pack_points(scan)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=7, nanosec=8), frame_id="lidar")
    shape = {"height": 1, "width": 2, "point_step": layout.point_step, "row_step": layout.row_step}
    cloud = SimpleNamespace(header=header, fields=list(layout.fields), is_bigendian=False, data=layout.data, **shape)
    return cloud, scan


def fuzz(count: int, seed: int) -> Report:
    """Parse `count` malformed clouds, with a good one after each hundred."""
    rng, report, limits = random.Random(seed), Report(), CloudLimits()
    good, expected = good_cloud()
    for i in range(count):
        cloud = malformed(rng)
        start = time.perf_counter()
        try:
            parse(cloud, limits)
            reason = "accepted"
        except BadCloud as error:
            reason = error.reason
        except Exception as error:
            reason = "UNEXPECTED"
            report.unexpected.append(f"#{i}: {type(error).__name__}: {str(error)[:200]}")
        report.times_ms.append((time.perf_counter() - start) * 1e3)
        report.reasons[reason] += 1
        if i % GOOD_EVERY == 0:
            scan = parse(good, limits)
            same = np.array_equal(scan.points, expected.points) and np.array_equal(scan.intensity, expected.intensity)
            report.bad_after += not (same and scan.stamp_ns == expected.stamp_ns)
    return report


def peak_mb() -> float:
    """Return the largest memory this process has had [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Run, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000, help="clouds to try (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="first seed (default %(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes (default %(default)s)")
    args = parser.parse_args()
    chunk = 10_000  # keeps our own list of times out of the memory figure
    fuzz(1000, args.seed - 1)  # whatever is loaded lazily is loaded now
    before, start = peak_mb(), time.perf_counter()
    reasons: Counter[str] = Counter()
    unexpected: list[str] = []
    times = np.empty(args.count, np.float32)
    bad_after = 0
    for done in range(0, args.count, chunk):
        report = fuzz(min(chunk, args.count - done), args.seed + done)
        times[done : done + len(report.times_ms)] = report.times_ms
        reasons += report.reasons
        unexpected += report.unexpected
        bad_after += report.bad_after
    seconds = time.perf_counter() - start
    growth = peak_mb() - before - times.nbytes / 2**20
    p50, p99 = (float(q) for q in np.percentile(times, (50, 99)))
    for reason, number in reasons.most_common():
        print(f"{number:9d}  {reason}")
    print(
        f"{args.count} clouds in {seconds:.1f} s ({args.count / seconds:.0f}/s, generation included), seed {args.seed}"
    )
    print(f"parse p50 {p50:.4f} ms, p99 {p99:.4f} ms, max {times.max():.2f} ms; peak memory grew by {growth:.1f} MB")
    print(f"other exceptions: {len(unexpected)}; good clouds read wrongly: {bad_after}")
    print(*unexpected[:10], sep="\n")
    figures = {
        "count": args.count,
        "seed": args.seed,
        "reasons": dict(reasons),
        "unexpected": len(unexpected),
        "good_read_wrongly": bad_after,
        "parse_ms": {"p50": p50, "p99": p99, "max": float(times.max())},
        "peak_growth_mb": growth,
        "per_second": args.count / seconds,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(bool(unexpected) or bad_after > 0 or p99 > MAX_P99_MS or growth > MAX_GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())
