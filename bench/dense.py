"""What do dense CLIP features of a rig's images cost: time per image and peak memory, in windows and whole?

A ViT-B/16 with random weights (time does not depend on them) looks at noise of the cameras' size. Each mode runs in a
process of its own, for its own peak of memory. On a busy machine read the CPU time, not the wall time.

    python bench/dense.py --images 6 --threads 2 --json bench/out/dense.json
    python bench/dense.py --device cuda --repeat 5
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clip2scene_ros.config import ClipConfig, DenseConfig
from clip2scene_ros.teacher.clip import load_clip
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.windows import scaled_size, tile

COLUMNS = ("wall_s", "cpu_s", "gflop", "gflops", "peak_mb", "model_mb")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="ViT-B-16")
    parser.add_argument("--modes", nargs="+", choices=("windows", "whole"), default=["windows", "whole"])
    parser.add_argument("--images", type=int, default=6, help="looked at in one call")
    parser.add_argument("--size", type=int, nargs=2, default=(900, 1600), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--affinity", default="naclip")
    parser.add_argument("--batch", type=int, default=DenseConfig().batch)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=1, help="the fastest counts")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        rows = {mode: pool.apply(measure, (mode, vars(arguments))) for mode in arguments.modes}
    where = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else f"CPU, {arguments.threads} threads"
    height, width = arguments.size
    print(
        f"{arguments.model} (random weights), {arguments.affinity}, {arguments.images} images of {width}x{height}, "
        f"{where}"
    )
    print(f"{'per image':10}" + "".join(f"{name:>10}" for name in ("passes", *COLUMNS)))
    for mode, row in rows.items():
        print(f"{mode:10}{row['passes']:10d}" + "".join(f"{row[name]:10.1f}" for name in COLUMNS))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        command = {name: value for name, value in vars(arguments).items() if name != "json"}
        arguments.json.write_text(json.dumps({"where": where, "command": command, "rows": rows}, indent=1))


def measure(mode: str, arguments: dict[str, Any]) -> dict[str, float]:
    """Return seconds per image, their arithmetic, and the peak of memory of this process [MB]."""
    torch.set_num_threads(arguments["threads"])
    clip = load_clip(ClipConfig(model=arguments["model"], random_weights=True, device=arguments["device"]))
    config = replace(DenseConfig(), mode=mode, affinity=arguments["affinity"], batch=arguments["batch"])
    dense = DenseClip(clip, config)
    cuda = clip.device.type == "cuda"
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*arguments["size"], 3), dtype=np.uint8) for _ in range(arguments["images"])]
    model_mb = peak_mb(cuda)
    if cuda:
        dense.look(images)  # kernels are chosen at the first call
    timings = []
    for _ in range(arguments["repeat"]):
        started, cpu_started = time.monotonic(), time.process_time()
        seen = dense.look(images)
        if cuda:
            torch.cuda.synchronize()
        timings.append((time.monotonic() - started, time.process_time() - cpu_started))
    wall_s, cpu_s = (seconds / len(images) for seconds in min(timings))
    passes, gflop = arithmetic(clip.model.visual, tuple(arguments["size"]), config)
    busy_s = wall_s if cuda else cpu_s
    row = {"passes": passes, "wall_s": wall_s, "cpu_s": cpu_s, "gflop": gflop, "gflops": gflop / busy_s}
    return row | {"peak_mb": peak_mb(cuda), "model_mb": model_mb, "patches": seen[0].features[..., 0].numel()}


def arithmetic(visual: Any, size: tuple[int, int], config: DenseConfig) -> tuple[int, float]:  # noqa: ANN401
    """Return the passes through the tower for one image, and their multiplications and additions [1e9]."""
    patch, width = visual.patch_size, visual.conv1.out_channels
    scaled = scaled_size(size, config.short_side_px, 1.0)
    filled = (-(-scaled[0] // patch[0]) * patch[0], -(-scaled[1] // patch[1]) * patch[1])
    tiling = tile(filled, patch, visual.image_size, config)
    tokens = 1 + tiling.window[0] // patch[0] * (tiling.window[1] // patch[1])
    blocks = len(visual.transformer.resblocks)
    # A block: 12 width^2 weights a token; scores and their sums, width each, for every pair of tokens.
    flop = blocks * (2 * 12 * width**2 * tokens + 4 * width * tokens**2)
    flop += 2 * tokens * width * (3 * patch[0] * patch[1] + visual.output_dim)
    return len(tiling.corners), len(tiling.corners) * flop / 1e9


def peak_mb(cuda: bool) -> float:
    """Return the most memory that this process has had."""
    if cuda:
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
