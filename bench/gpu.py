"""What does a whole frame cost on a GPU with the pure-PyTorch operations, and are its labels those of the CPU?

At 34 and 120 thousand points, in fp32 and fp16: the time of each stage (CUDA events), the whole frame from scan
to labels, peak memory, and the share of points that get the CPU's label (targets 99.9 % in fp32, 99.5 % in fp16).
This is the baseline that a faster engine will be judged against.

    python bench/gpu.py --json gpu.json
    python bench/gpu.py --device cpu --repeats 2      # a smoke run of the script itself; measures no GPU
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from clouds import lidar_scan
from torch import Tensor, nn

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.frame import Scan
from clip2scene_ros.student.checkpoint import CheckpointCard
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_ros.student.sparse import SparseTensor, collate, fuse
from clip2scene_ros.student.voxelization import voxelize

SIZES = ((34_000, 32), (120_000, 64))
TARGETS = {"fp32": 0.999, "fp16": 0.995}
NO_GPU = "NO GPU WAS MEASURED: the times below are of the CPU and only show that the script runs."
Result = TypeVar("Result")


@dataclass(frozen=True)
class Row:
    """One size and precision; times are medians [ms]."""

    points: int
    voxels: int
    precision: str
    stages_ms: dict[str, float]
    frame_ms: dict[str, float]
    peak_mib: float
    agreement: float
    target: float


class Watch:
    """Times calls on a device: by CUDA events there, by the clock on the CPU."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self.ms: dict[str, list[float]] = {}

    def run(self, stage: str, call: Callable[[], Result]) -> Result:
        """Return what `call` returns and note how long it took."""
        start = time.perf_counter()
        if self._cuda:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            result = call()
            end.record()
            end.synchronize()
            elapsed = begin.elapsed_time(end)
        else:
            result = call()
            elapsed = 1e3 * (time.perf_counter() - start)
        self.ms.setdefault(stage, []).append(elapsed)
        return result


def main() -> int:
    """Print the table; exit with 1 if the GPU's labels are not the CPU's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--checkpoint", help="default: the demo checkpoint, or random weights where there is none")
    parser.add_argument("--preset", default="14a", help="network of the random weights")
    parser.add_argument("--voxel-size", type=float, default=0.1, help="voxels of the random weights [m]")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("No CUDA device here; `--device cpu` runs the script without one.")
        return 2
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}" + ("" if device.type == "cuda" else f"\n{NO_GPU}"))
    network, card, source = student(arguments)
    print(f"weights: {source}")
    rows = [
        measure(network, card, device, points, beams, precision, arguments.repeats)
        for points, beams in SIZES
        for precision in TARGETS
    ]
    print_table(rows)
    if arguments.json:
        report = {"device": name, "gpu_measured": device.type == "cuda", "torch": str(torch.__version__)}
        arguments.json.write_text(
            json.dumps({**report, "weights": source, "rows": [asdict(r) for r in rows]}, indent=1)
        )
    return int(any(row.agreement < row.target for row in rows))


def student(arguments: argparse.Namespace) -> tuple[nn.Module, CheckpointCard, str]:
    """Return a network with its card: of a checkpoint, or with random weights and norms that have seen a scan."""
    path = arguments.checkpoint or (str(DEMO_CHECKPOINT) if DEMO_CHECKPOINT.is_file() else "")
    if path:
        from clip2scene_ros.student.checkpoint import file_sha256, load_checkpoint, load_weights

        state, card = load_checkpoint(path)
        network = build_network(card.network)
        load_weights(network, state)
        return network, card, f"{Path(path).name}, sha256 {file_sha256(path)}"
    torch.manual_seed(0)
    config = NetworkConfig(preset=arguments.preset, voxel_size_m=arguments.voxel_size)
    network, classes = build_network(config), load_class_set("world")
    card = CheckpointCard(config, classes, torch.randn(len(classes), config.embedding_dim), temperature=0.1)
    for seed in range(3):
        points, intensity = lidar_scan(8_000, seed=seed)
        with torch.no_grad():
            network(as_tensor(points, intensity, card, torch.device("cpu"), torch.float32))
    return network, card, f"random, {config.preset}, {config.voxel_size_m} m voxels"


def as_tensor(
    points: np.ndarray, intensity: np.ndarray, card: CheckpointCard, device: torch.device, dtype: torch.dtype
) -> SparseTensor:
    """Voxelize on the CPU, as the live student does, and move to the device."""
    voxels = voxelize(points, card.network.voxel_size_m)
    feats = torch.from_numpy(intensity).index_select(0, voxels.first).unsqueeze(1)
    return collate([voxels.coords], [feats.to(dtype)]).to(device)


def measure(
    network: nn.Module,
    card: CheckpointCard,
    device: torch.device,
    points: int,
    beams: int,
    precision: str,
    repeats: int,
) -> Row:
    """Measure one size at one precision."""
    xyz, intensity = lidar_scan(points, beams)
    scan = Scan(xyz, intensity)

    def segmenter(where: str, exactness: str) -> Segmenter:
        config = SegmenterConfig(device=where, precision=exactness)
        return Segmenter(network, card, card.class_set, card.class_vectors, config)

    expected = segmenter("cpu", "fp32").segment(scan).class_id
    tested = segmenter(str(device), precision)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    frame_ms: list[float] = []
    for turn in range(repeats + 3):
        start = time.perf_counter()
        found = tested.segment(scan).class_id
        if turn >= 3:  # the first frames load kernels
            frame_ms.append(1e3 * (time.perf_counter() - start))
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else float("nan")
    voxels, stages = stage_times(network, card, device, precision, scan, repeats)
    return Row(
        points=points,
        voxels=voxels,
        precision=precision if device.type == "cuda" else f"{precision} (as fp32)",
        stages_ms=stages,
        frame_ms={"p50": statistics.median(frame_ms), "p95": float(np.percentile(frame_ms, 95)), "max": max(frame_ms)},
        peak_mib=peak,
        agreement=float((found == expected).mean()),
        target=TARGETS[precision],
    )


@torch.inference_mode()
def stage_times(
    network: nn.Module, card: CheckpointCard, device: torch.device, precision: str, scan: Scan, repeats: int
) -> tuple[int, dict[str, float]]:
    """Return the number of voxels and the median time of each stage, each run on its own [ms]."""
    dtype = torch.float16 if precision == "fp16" and device.type == "cuda" else torch.float32
    fused, watch = fuse(network).to(device, dtype), Watch(device)
    class_vectors = card.class_vectors.T.to(device)
    voxels = 0
    for turn in range(repeats + 3):
        if turn == 3:
            watch = Watch(device)
        start = time.perf_counter()
        cells = voxelize(scan.points, card.network.voxel_size_m)
        feats = torch.from_numpy(scan.intensity).index_select(0, cells.first).unsqueeze(1)
        watch.ms.setdefault("voxelize (CPU)", []).append(1e3 * (time.perf_counter() - start))
        x = watch.run("upload", lambda c=cells, f=feats: collate([c.coords], [f.to(dtype)]).to(device))
        watch.run("maps + network", lambda t=x: fused(t))
        vectors = watch.run("network, maps ready", lambda t=x: fused(t))
        watch.run("scores + download", lambda v=vectors: score(v, class_vectors))
        voxels = len(cells)
    stages = {stage: statistics.median(times) for stage, times in watch.ms.items()}
    stages["maps"] = stages.pop("maps + network") - stages["network, maps ready"]
    return voxels, stages


def score(vectors: Tensor, class_vectors: Tensor) -> Tensor:
    """Return (V, C) scores on the CPU."""
    return (torch.nn.functional.normalize(vectors.float(), dim=1) @ class_vectors).cpu()


def print_table(rows: list[Row]) -> None:
    """Print one block a row."""
    for row in rows:
        frame = ", ".join(f"{name} {value:.1f}" for name, value in row.frame_ms.items())
        stages = ", ".join(f"{name} {value:.2f}" for name, value in row.stages_ms.items())
        verdict = "ok" if row.agreement >= row.target else "TOO LOW"
        print(f"{row.points} points, {row.voxels} voxels, {row.precision}")
        print(f"  scan to labels ms: {frame}; peak {row.peak_mib:.0f} MiB")
        print(f"  stages ms: {stages}")
        print(f"  labels as on the CPU: {100 * row.agreement:.3f} % (target {100 * row.target:.1f} %) {verdict}")


if __name__ == "__main__":
    sys.exit(main())
