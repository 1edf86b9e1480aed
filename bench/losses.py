"""How long do the losses of learning without labels take, forward and backward?

Random pairs of points and pixels in random cells; a GPU where there is one is timed as well. On a busy machine CPU
time tells more than the clock.

    python bench/losses.py --pairs 60000 --dim 64 --json bench/out/losses.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from clip2scene_training.config import OFFICIAL_LOSSES, SpaceTimeConfig
from clip2scene_training.consistency import cosine_loss, space_time_loss
from clip2scene_training.semantic import semantic_loss, text_logits
from clip2scene_training.switching import generator_for

CLASSES = 16


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60_000)
    parser.add_argument("--dim", type=int, default=64, help="length of the embeddings")
    parser.add_argument("--cells", type=int, default=30_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for name, work in losses(arguments.pairs, arguments.dim, arguments.cells, device).items():
            rows.append({"loss": name, "device": device, **timed(work, device, arguments.repeats)})
            print("{loss:34} {device:5} {clock_ms:7.1f} ms, {cpu_ms:7.1f} ms of CPU time".format(**rows[-1]))
    if arguments.json:
        arguments.json.write_text(json.dumps({**vars(arguments), "json": None, "rows": rows}, indent=1))


def losses(pairs: int, dim: int, cells: int, device: str) -> dict[str, Callable[[], Tensor]]:
    """Return what is timed, by name: each makes a loss whose gradient reaches points and pixels."""
    generator = torch.Generator().manual_seed(0)
    points, pixels = (
        torch.randn(pairs, dim, generator=generator).to(device).requires_grad_() for _ in ("point", "pixel")
    )
    text = functional.normalize(torch.randn(CLASSES, dim, generator=generator), dim=1).to(device)
    cell = torch.randint(cells, (pairs,), generator=generator).to(device)
    labels = torch.randint(CLASSES, (pairs,), generator=generator).to(device)

    def space_time(config: SpaceTimeConfig) -> Callable[[], Tensor]:
        return lambda: space_time_loss(points, pixels, text, cell, labels, config, generator=generator_for(0, 0))

    return {
        "spatial-temporal, default": space_time(SpaceTimeConfig()),
        "spatial-temporal, as released": space_time(OFFICIAL_LOSSES.space_time),
        "cosine": lambda: cosine_loss(points, pixels),
        "semantic, cross entropy": lambda: semantic_loss(text_logits(points, text), labels),
        "semantic, equation 1 as printed": lambda: semantic_loss(text_logits(points, text), labels, "eq1"),
    }


def timed(work: Callable[[], Tensor], device: str, repeats: int) -> dict[str, float]:
    """Return median times of `work` and its way back [ms]."""
    clock, cpu = [], []
    for turn in range(repeats + 2):
        began = time.perf_counter(), time.process_time()
        work().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        if turn >= 2:  # the first turns warm up
            clock.append(1e3 * (time.perf_counter() - began[0]))
            cpu.append(1e3 * (time.process_time() - began[1]))
    return {"clock_ms": statistics.median(clock), "cpu_ms": statistics.median(cpu)}


if __name__ == "__main__":
    main()
