"""Is our sparse convolution as fast as spconv's on the CPU?

Kernel map and convolution, forward, float32, on a LiDAR-like scan of about 24 thousand voxels, both in the
same run and on the same voxels. A ratio of 1.0 is spconv's time. Both outputs are compared with what spconv
gives on one thread: on two, spconv 2.3.8 itself gives other numbers from run to run on the machines tried.

    python bench/sparse.py --threads 1 2 --json sparse.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import spconv.pytorch as spconv
import torch
from clouds import lidar_scan
from torch import Tensor

from clip2scene_ros.student.sparse import SparseConv3d, SparseTensor
from clip2scene_ros.student.voxelization import voxelize

VOXEL_SIZE_M = 0.1
LIMIT = 1.1
TOLERANCE = 1e-5
WHOLE, ALONE, WAY_DOWN_AND_UP = "map + convolution k3", "convolution k3 alone", "map + k2 down + k2 up"
CHANNELS = ((1, 32), (32, 32), (64, 64), (96, 96), (128, 96))


@dataclass(frozen=True)
class Row:
    """One line of the table; times are medians [ms]."""

    what: str
    channels: str
    threads: int
    ours_ms: float
    spconv_ms: float
    ratio: float
    our_error: float
    spconv_error: float


@dataclass(frozen=True)
class Pair:
    """The same work done by both."""

    ours: Callable[[], Tensor]
    spconv: Callable[[], Tensor]

    def compare(self, what: str, channels: str, threads: int, repeats: int) -> Row:
        """Return median milliseconds, taken turn by turn so that a busy machine slows both, and largest errors."""
        torch.set_num_threads(1)
        reference = self.spconv().clone()
        torch.set_num_threads(threads)
        times: tuple[list[float], list[float]] = ([], [])
        errors = [0.0, 0.0]
        for turn in range(repeats + 2):
            for side, call in enumerate((self.ours, self.spconv)):
                start = time.perf_counter()
                result = call()
                if turn >= 2:  # the first turns warm up
                    times[side].append(1e3 * (time.perf_counter() - start))
                errors[side] = max(errors[side], (result - reference).abs().max().item())
        ours_ms, spconv_ms = (statistics.median(side) for side in times)
        return Row(what, channels, threads, ours_ms, spconv_ms, ours_ms / spconv_ms, *errors)


@dataclass(frozen=True)
class Scan:
    """The same voxels for both: ours as they are, spconv's shifted to be non-negative."""

    coords: Tensor
    shifted: Tensor
    shape: list[int]


def main() -> int:
    """Print the table; exit with 1 if a ratio with map is over the limit or our result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--points", type=int, default=32_000, help="32000 make 24 thousand voxels")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    scan = make_scan(arguments.points)
    print(f"{len(scan.coords)} voxels of {VOXEL_SIZE_M} m, {processor()}, torch {torch.__version__}")
    rows = []
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        rows += compare(scan, threads, arguments.repeats)
    print_table(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    worst = max((row for row in rows if row.what != ALONE), key=lambda row: row.ratio)
    print(
        f"worst ratio with map {worst.ratio:.2f} ({worst.what} {worst.channels}, {worst.threads} threads), "
        f"limit {LIMIT}"
    )
    wrong = max(row.our_error for row in rows) > TOLERANCE
    return int(worst.ratio > LIMIT or wrong)


def make_scan(points: int) -> Scan:
    """Return a street scan's voxels in both forms."""
    voxels = voxelize(lidar_scan(points, beams=64)[0], VOXEL_SIZE_M)
    coords = torch.nn.functional.pad(voxels.coords, (1, 0))
    low = coords.min(0).values & ~1  # even, so that halving groups the same voxels
    shifted = coords - low
    shape = [(int(edge) + 2) & ~1 for edge in shifted.max(0).values[1:]]
    return Scan(coords, shifted.contiguous(), shape)


@torch.inference_mode()
def compare(scan: Scan, threads: int, repeats: int) -> list[Row]:
    """Time map and convolution together, convolution alone, and the way down and up."""
    rows = []
    for fan_in, fan_out in CHANNELS:
        torch.manual_seed(0)
        feats, layer = torch.randn(len(scan.coords), fan_in), SparseConv3d(fan_in, fan_out)
        theirs = spconv.SubMConv3d(fan_in, fan_out, 3, bias=False, indice_key="k3")
        theirs.weight.data = layer.kernel.reshape(3, 3, 3, fan_in, fan_out).permute(4, 2, 1, 0, 3).contiguous()
        ready, their_ready = SparseTensor(feats, scan.coords), fresh_spconv(scan, feats)
        their_ready.indice_dict = theirs(their_ready).indice_dict  # its result holds the map, its input does not
        whole = Pair(
            lambda f=feats, c=layer: c(SparseTensor(f, scan.coords)).feats,
            lambda f=feats, c=theirs: c(fresh_spconv(scan, f)).features,
        )
        alone = Pair(
            lambda x=ready, c=layer: c(x).feats,
            lambda x=their_ready, c=theirs: c(x).features,
        )
        for what, pair in ((WHOLE, whole), (ALONE, alone)):
            rows.append(pair.compare(what, f"{fan_in}->{fan_out}", threads, repeats))
    for channels in (32, 96):
        rows.append(down_and_up(scan, channels).compare(WAY_DOWN_AND_UP, f"{channels}", threads, repeats))
    return rows


def down_and_up(scan: Scan, channels: int) -> Pair:
    """Return the map, the k = 2 strided convolution and the transposed one back."""
    torch.manual_seed(0)
    down, up = SparseConv3d(channels, channels, 2, 2), SparseConv3d(channels, channels, 2, 2, transposed=True)
    their_down = spconv.SparseConv3d(channels, channels, 2, stride=2, bias=False, indice_key="k2")
    their_up = spconv.SparseInverseConv3d(channels, channels, 2, bias=False, indice_key="k2")
    for mine, theirs in ((down, their_down), (up, their_up)):
        weight = mine.kernel.reshape(2, 2, 2, channels, channels).permute(4, 0, 1, 2, 3)
        theirs.weight.data = weight.contiguous()
    feats = torch.randn(len(scan.coords), channels)
    return Pair(
        lambda: up(down(SparseTensor(feats, scan.coords))).feats,
        lambda: their_up(their_down(fresh_spconv(scan, feats))).features,
    )


def fresh_spconv(scan: Scan, feats: Tensor) -> spconv.SparseConvTensor:
    """Return spconv's tensor without any map."""
    return spconv.SparseConvTensor(feats, scan.shifted, scan.shape, 1)


def print_table(rows: list[Row]) -> None:
    """Print all rows."""
    print("                                                        median ms                  largest error")
    print(f"{'what':<24}{'channels':>10}{'threads':>9}{'ours':>9}{'spconv':>9}{'ratio':>8}{'ours':>10}{'spconv':>10}")
    for r in rows:
        print(
            f"{r.what:<24}{r.channels:>10}{r.threads:>9}{r.ours_ms:>9.1f}{r.spconv_ms:>9.1f}{r.ratio:>8.2f}"
            f"{r.our_error:>10.1e}{r.spconv_error:>10.1e}"
        )


def processor() -> str:
    """Return the CPU's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
