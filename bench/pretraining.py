"""CPU time of a step of pretraining on the world's streets, by preset: one thread, the shipped CLIP, network `tiny`.

    python bench/pretraining.py
    python bench/pretraining.py --presets best --scenes 8 --steps 20 --json bench/out/pretraining.json

Streets, pseudo-labels and features are made first, which is not counted. Each preset runs twice, with one step and with
some more: what these take more is counted, half of it with predictions among the labels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from clip2scene_ros.config import ClipConfig
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.pretrain import pretrain
from clip2scene_training.pretrain_config import PRESETS, PretrainConfig
from clip2scene_training.world.splits import SPLITS


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=[*PRESETS], choices=[*PRESETS])
    parser.add_argument("--scenes", type=int, default=4, help="of the training split")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=2, help="key frames a step")
    parser.add_argument("--cache", type=Path, default=Path("runs/world"))
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    split = replace(SPLITS["train"], seeds=SPLITS["train"].seeds[: args.scenes])
    dataset = WorldDataset(split, cache_dir=args.cache, with_images=True)
    rows = []
    for preset in args.presets:
        config = replace(PRESETS[preset], clip=ClipConfig(checkpoint="tiny", device="cpu"), batch_size=args.batch)
        cpu_s(dataset, replace(config, steps=1), args.labels)  # makes what there is to make
        once, more = (cpu_s(dataset, replace(config, steps=n), args.labels) for n in (1, 1 + args.steps))
        step_s = (more - once) / args.steps
        rows.append({"preset": preset, "step_cpu_s": step_s, "key_frames_per_cpu_s": args.batch / step_s})
        print(f"{preset:10} {step_s:6.2f} CPU s a step of {args.batch}, {args.batch / step_s:5.2f} key frames a CPU s")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"batch": args.batch, "rows": rows}, indent=2) + "\n")


def cpu_s(dataset: WorldDataset, config: PretrainConfig, labels: Path) -> float:
    """Return the CPU time of a whole run."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pretrain(dataset, None, config, Path(folder) / "student.safetensors", cache=labels)
    return time.process_time() - started


if __name__ == "__main__":
    main()
