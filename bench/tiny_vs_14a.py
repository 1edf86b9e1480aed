"""How much does `tiny` give up? Both networks learn the same frames in the same steps and face the same streets.

Everything but the preset is equal: seeds, order, augmentation, learning rate, voxels. Goal: tiny's mIoU is at least
0.85 of MinkUNet14A's. About 15 minutes on two quiet cores; both numbers rise with more steps.

    python bench/tiny_vs_14a.py --steps 700 --json bench/out/tiny_vs_14a.json
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from clip2scene_training.config import FinetuneConfig
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.finetune import finetune
from clip2scene_training.options import seed_range

GOAL = 0.85


def main() -> None:
    """Train both, print both and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--train", default="0:160", help="seeds of the streets learned")
    parser.add_argument("--val", default="100000:100016", help="seeds of the streets judged on")
    parser.add_argument("--sweeps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("runs/world"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    train, val = (
        WorldDataset(seed_range(s), arguments.sweeps, arguments.cache) for s in (arguments.train, arguments.val)
    )
    config = FinetuneConfig(
        steps=arguments.steps, batch_size=arguments.batch, threads=arguments.threads, save_every=arguments.steps
    )
    results = {preset: learn(preset, config, train, val) for preset in ("tiny", "14a")}
    for name in results["tiny"]["iou"]:
        values = (results[preset]["iou"][name] for preset in results)
        print(f"{name:22}" + "".join(f"{'absent':>8}" if v is None else f"{100 * v:8.1f}" for v in values))
    for preset, report in results.items():
        print(f"{preset}: mIoU {100 * report['miou']:.1f}, {report['train_s']:.0f} s")
    ratio = results["tiny"]["miou"] / results["14a"]["miou"]
    print(f"tiny / 14a after {arguments.steps} steps of {arguments.batch} scans: {ratio:.3f}, goal {GOAL}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"ratio": ratio, "reports": results}, indent=2) + "\n")
    if not ratio >= GOAL:
        raise SystemExit(f"{ratio:.3f} is below {GOAL}")


def learn(preset: str, config: FinetuneConfig, train: WorldDataset, val: WorldDataset) -> dict[str, Any]:
    """Train one preset and return its report with the seconds it took."""
    config = replace(config, network=replace(config.network, preset=preset))
    started = time.monotonic()
    report = finetune(train, val, config, Path("runs") / f"tiny_vs_14a_{preset}.safetensors")
    return {**report, "train_s": time.monotonic() - started}


if __name__ == "__main__":
    main()
