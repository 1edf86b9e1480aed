"""The whole chain from nothing: photos, a small CLIP, streets, its labels of them, a student, what both are worth.

python bench/chain.py              # hours on two cores; goes on where it was stopped
python bench/chain.py --quick      # a tenth of everything

Nothing that is shipped is used, and no ground truth but to judge: the student by the streets of val, on the points that
the labels of its teacher name and on the others. `test/training/test_chain.py` is the last part of it, in minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from clip2scene_ros import cli
from clip2scene_training.config import TrainClipConfig
from clip2scene_training.pretrain_config import PRESETS
from clip2scene_training.world.splits import SPLITS

TENTH = 0.1


def main() -> int:
    """Run the chain, print its table, and return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/chain"), help="keeps everything (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the photos, of the streets and of all steps")
    parser.add_argument("--seed", type=int, default=0, help="of both trainings")
    parser.add_argument("--workers", type=int, default=1, help="processes beside this one")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    args = parser.parse_args()
    folder = args.out / f"{'quick' if args.quick else 'full'}_{args.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    for name, words in commands(args, folder).items():
        started = time.monotonic()
        if code := cli.main([str(word) for word in words]):
            return code
        seconds[name] = round(time.monotonic() - started, 1)
    report = json.loads((folder / "student.training" / "report.json").read_text())
    print(f"\n{text(report)}\n" + ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items()))
    if args.json:
        args.json.write_text(json.dumps({"tables": report["tables"], "miou": report["miou"], "seconds": seconds}))
    return 0


def commands(args: argparse.Namespace, folder: Path) -> dict[str, list[Any]]:
    """Return the commands of the chain, in order; each goes on where it was stopped."""
    share = TENTH if args.quick else 1.0
    clip, learns = TrainClipConfig(), PRESETS["best"]

    def some(count: int) -> int:
        return max(1, round(share * count))

    def streets(split: str) -> str:
        seeds = SPLITS[split].seeds
        return f"{seeds[0]}:{seeds[0] + some(len(seeds))}"

    model = folder / "clip.safetensors"
    photos = ["--photos", some(clip.photos), "--steps", some(clip.steps), "--cache", folder / "photos"]
    world = ["--world-seeds", streets("train"), "--val-world-seeds", streets("val"), "--cache", folder / "world"]
    labels = ["--labels", folder / "labels", "--clip.checkpoint", model, "--text.cache", folder / "text"]
    how = ["--preset", "best", "--steps", some(learns.steps), "--workers", args.workers]
    again = ["--seed", args.seed, "--resume"]
    return {
        "clip": ["train-clip", "--out", model, *photos, "--workers", max(1, args.workers), *again],
        "student": ["pretrain", "--out", folder / "student.safetensors", *world, *labels, *how, *again],
    }


def text(report: dict[str, Any]) -> str:
    """Return the tables of a report of pretraining as lines."""
    lines = []
    for title, table in report["tables"].items():
        rows = [table["columns"], *([_cell(value) for value in row] for row in table["rows"])]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [title, *("  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) for row in rows)]
    return "\n".join(lines)


def _cell(value: float | str | None) -> str:
    if isinstance(value, float):
        return f"{value:.1f}"
    return "-" if value is None else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
