"""How many frames a second does training learn, and how much of the time does it wait for them?

The shipped size learns frames of the world's training split from the cache, with 0, 1 and 2 worker processes in turn;
each run starts from scratch, and its first step, which waits for the workers to start, is not counted.

    python bench/training.py --steps 40 --json bench/out/training.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from clip2scene_training.config import FinetuneConfig
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.finetune import finetune
from clip2scene_training.world.splits import SPLITS

LIMIT = 0.10
"""Share of a step that may be spent waiting at two workers."""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=4, help="of the training split")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the training process")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache", type=Path, default=Path("runs/world"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = replace(SPLITS["train"], seeds=SPLITS["train"].seeds[: arguments.scenes])
    dataset = WorldDataset(split, cache_dir=arguments.cache)
    base = FinetuneConfig()
    config = replace(
        base,
        network=replace(base.network, preset=arguments.preset),
        steps=arguments.steps,
        batch_size=arguments.batch,
        device=arguments.device,
        threads=arguments.threads,
        save_every=arguments.steps,
    )
    cores = len(os.sched_getaffinity(0))
    print(
        f"{arguments.preset}, batch {arguments.batch}, {arguments.device}, {arguments.threads} threads, {cores} cores"
    )
    print("workers   frames/s   ms a step   waiting")
    rows = [measure(dataset, replace(config, workers=workers)) for workers in arguments.workers]
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"rows": rows, "cores": cores}, indent=2) + "\n")
    waiting = {row["workers"]: row["waiting"] for row in rows}
    if waiting.get(2, 0.0) > LIMIT:
        raise SystemExit(f"waits for {100 * waiting[2]:.1f} % of the time at two workers, over {100 * LIMIT:.0f} %")


def measure(dataset: WorldDataset, config: FinetuneConfig) -> dict[str, Any]:
    """Train for a few steps; print and return what a step takes."""
    with tempfile.TemporaryDirectory() as folder:
        pace = finetune(dataset, [], config, Path(folder) / "student.safetensors")["training"]
    row = {
        "workers": config.workers,
        "frames_per_s": pace["steps"] * config.batch_size / pace["seconds"],
        "step_ms": 1000 * pace["seconds"] / pace["steps"],
        "waiting": pace["waited_s"] / pace["seconds"],
    }
    print(f"{row['workers']:7}   {row['frames_per_s']:8.2f}   {row['step_ms']:9.0f}   {100 * row['waiting']:5.1f} %")
    return row


if __name__ == "__main__":
    main()
