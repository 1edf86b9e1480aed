"""The whole chain from nothing: photos, a small CLIP, streets, its labels of them, a student, what both are worth.

python bench/chain.py              # hours on two cores; goes on where it was stopped
python bench/chain.py --share 0.1  # of the photos, of the streets and of all steps; 0.02 only shows that all parts meet
python bench/chain.py --device cuda --students tiny 34 spvcnn --steps 20000 --table 24000     # where a GPU can be had

With `--table` the rows of `clip2scene ablate` follow: each learns from so many scans by the eyes of the CLIP just made,
with the first of the networks. Nothing that is shipped is used, and no ground truth but to judge: the students by the
streets of val, on the points that the labels of their teacher name and on the others. `test/training/test_chain.py` is
the last part of it, in minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import yaml

from clip2scene_ros import cli
from clip2scene_ros.files import whole_file
from clip2scene_ros.share import share_file
from clip2scene_training.config import TrainClipConfig
from clip2scene_training.pretrain_config import PRESETS
from clip2scene_training.world.splits import SPLITS

STUDENTS = {
    "tiny": {},
    "14a": {"network.preset": "14a"},
    "34": {"network.preset": "34"},
    "spvcnn": {"network.architecture": "spvcnn", "network.preset": "paper", "network.voxel_size_m": 0.1},
}
"""Networks by name, as settings."""


def main() -> int:
    """Run the chain, print its tables, and return an exit code."""
    args = parser().parse_args()
    folder = args.out / f"share{args.share:g}_seed{args.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"seconds": {}}
    for name, words in commands(args, folder).items():
        started = time.monotonic()
        if code := cli.main([str(word) for word in words]):
            return code
        found["seconds"][name] = round(time.monotonic() - started, 1)
        if name in args.students:
            report = json.loads((folder / f"{name}.training" / "report.json").read_text())
            found[name] = {key: report[key] for key in ("tables", "miou")}
            print(f"\n{name}\n{text(report)}")
    print(", ".join(f"{name} {s:.0f} s" for name, s in found["seconds"].items()))
    if args.json:
        args.json.write_text(json.dumps(found))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the grammar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, default=Path("runs/chain"), help="keeps everything (%(default)s)")
    add("--share", type=float, default=1.0, help="of the photos, of the streets and of all steps (%(default)g)")
    add("--seed", type=int, default=0, help="of all trainings")
    add("--workers", type=int, default=1, help="processes beside this one")
    add("--device", default="cpu", help="of all trainings; on `cuda` networks learn in bf16 (%(default)s)")
    add("--students", nargs="+", choices=STUDENTS, default=["tiny"], help="networks that learn, one after another")
    add("--steps", type=int, default=PRESETS["best"].steps, help="of each student (%(default)s)")
    add("--table", type=int, default=0, metavar="SCANS", help="that each row of the ablation learns from; 0: no table")
    add("--json", type=Path, help="also write the figures to a file")
    return parser


def commands(args: argparse.Namespace, folder: Path) -> dict[str, list[Any]]:
    """Return the commands of the chain, in order; each goes on where it was stopped."""
    clip = TrainClipConfig()

    def some(count: int) -> int:
        return max(1, round(args.share * count))

    def streets(split: str) -> str:
        seeds = SPLITS[split].seeds
        return f"{seeds[0]}:{seeds[0] + some(len(seeds))}"

    model, labels = folder / "clip.safetensors", folder / "labels"
    photos = ["--photos", some(clip.photos), "--steps", some(clip.steps), "--cache", folder / "photos"]
    world = ["--world-seeds", streets("train"), "--val-world-seeds", streets("val"), "--cache", folder / "world"]
    eyes = ["--labels", labels, "--clip.checkpoint", model, "--clip.device", args.device]
    how = ["--preset", "best", "--steps", some(args.steps), "--workers", args.workers]
    precise = ["--precision", "bf16"] if args.device.startswith("cuda") else []
    again = ["--seed", args.seed, "--device", args.device, "--resume"]
    run = {"clip": ["train-clip", "--out", model, *photos, "--workers", max(1, args.workers), *again]}
    for name in args.students:
        network = [word for key, value in STUDENTS[name].items() for word in (f"--{key.replace('_', '-')}", value)]
        out = ["pretrain", "--out", folder / f"{name}.safetensors"]
        run[name] = [*out, *world, *eyes, "--text.cache", folder / "text", *how, *precise, *network, *again]
    if args.table:
        rows = rows_for(args, folder / "rows.yaml")
        kept = ["--cache", folder / "world", "--labels", labels, "--clip", model, "--out", folder / "table"]
        for split in ("val", "test", "ood"):
            run[f"table on {split}"] = [
                "ablate", "--file", rows, "--samples", some(args.table), "--split", split, *kept,
                "--scenes", some(len(SPLITS["train"].seeds)), "--judged-scenes", some(len(SPLITS[split].seeds)),
            ]  # fmt: skip
    return run


def rows_for(args: argparse.Namespace, path: Path) -> Path:
    """Write the rows of the ablation for a device and the first of the networks, and return the file."""
    rows = yaml.safe_load(share_file("config/ablation.yaml").read_text(encoding="utf-8"))
    rows["common"] |= {"device": args.device, "clip.device": args.device, **STUDENTS[args.students[0]]}
    with whole_file(path) as stream:
        stream.write(yaml.safe_dump(rows, sort_keys=False).encode())
    return path


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
