"""The grammar of `clip2scene ablate`; it imports next to nothing, so that `--help` is quick."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clip2scene_ros.config import ClipConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.share import share_file
from clip2scene_ros.terminal import say

if TYPE_CHECKING:
    from clip2scene_training.ablation.plan import Plan
    from clip2scene_training.ablation.rows import AblationRow, Rows

EXAMPLES = """\
examples:
  clip2scene ablate                                             # all rows, 4 minutes each: a night
  clip2scene ablate --rows teacher filled paper best ceiling
  clip2scene ablate --rows paper best --seeds 0 1 2 --samples 800
  clip2scene ablate --split test                                # the same students, judged once more"""
FROM_BUDGET = 0


def parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(
        prog="clip2scene ablate",
        description="Train and judge the rows of config/ablation.yaml on streets of the world: baselines, rivals, the\n"
        "paper's method and each of its parts. Every row is a process of its own; what is finished is kept, and the\n"
        "same command goes on where it stopped. The report says which goals are reached.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--rows", nargs="+", default=[], metavar="NAME", help="these alone, and those that they are made of; else all")
    add("--list", action="store_true", help="say which rows there are, and end")
    add("--seeds", nargs="+", type=int, metavar="N", help="of training, for all these rows; else each row's own")
    add("--out", type=Path, default=Path("runs/ablate"), metavar="DIR", help="keeps all results (%(default)s)")
    add("--split", choices=("val", "test", "ood"), default="val",
        help="scenes that judge; look at `test` and `ood` once, at the end (%(default)s)")  # fmt: skip
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", type=float, default=240.0, metavar="S",
                        help="seconds that a row may take; how many scans each learns from is tried once "
                        "(%(default)g)")  # fmt: skip
    length.add_argument("--samples", type=int, default=FROM_BUDGET, metavar="N", help="say that number instead")
    add("--scenes", type=int, default=0, metavar="N", help="first ones of split train to learn from; 0: all 200")
    add("--judged-scenes", type=int, default=0, metavar="N", help="first ones of the split that judges; 0: all")
    add("--judged-frames", type=int, default=2, metavar="N", help="of each of these, of 8 (%(default)s)")
    add("--clip", default="tiny", metavar="FILE", help="whose eyes and words: a checkpoint; the shipped one by default")
    add("--threads", type=int, default=2, help="CPU threads of a row; another number sums in another order")
    add("--file", type=Path, metavar="YAML", help="other rows than those of config/ablation.yaml")
    add("--cache", type=Path, default=Path("runs/world"), metavar="DIR", help="keeps streets (%(default)s)")
    add("--labels", type=Path, default=Path("runs/labels"), metavar="DIR", help="keeps pseudo-labels (%(default)s)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command and print the table; 1 where a row failed."""
    args = parser().parse_args(argv)
    from clip2scene_training.ablation.rows import load_rows

    source = args.file or share_file("config/ablation.yaml")
    rows = load_rows(source)
    chosen = rows.chosen(args.rows)
    if args.seeds is not None:
        if min(args.seeds) < 0:
            raise BadConfig("seeds", f"Expected --seeds of 0 or more, but got {min(args.seeds)}.")
        chosen = [replace(row, seeds=tuple(args.seeds)) for row in chosen]
    if args.list:
        say("\n".join(f"{row.name:22} {row.shows}" for row in chosen))
        return 0
    return _run(args, rows, chosen, source, shlex.join(["clip2scene", "ablate", *argv]))


def _run(args: argparse.Namespace, rows: Rows, chosen: list[AblationRow], source: Path, command: str) -> int:
    from clip2scene_training.ablation import report as reports
    from clip2scene_training.ablation.ablate import ablate, finished_before, keep_rows
    from clip2scene_training.teachers import shipped_or_other

    args.out = args.out.resolve()  # rows note where their files are
    shipped_or_other(ClipConfig(checkpoint=args.clip, device="cpu"))  # the folder is not to be of a CLIP that is not
    args.out.mkdir(parents=True, exist_ok=True)
    plan = _plan(args, rows, chosen)
    plan.save(args.out)
    keep_rows(args.out, source)
    results = finished_before(args.out, plan, rows, args.split)  # the report is of all, whatever is asked for now
    try:
        ablate(args.out, plan, rows, chosen, args.split, results=results)
    finally:  # after Ctrl-C, too: what is finished is told
        if results.found or results.failed:
            report = reports.build(results, rows, plan, args.split, command)
            paths = reports.write(args.out, report)
            say(f"{reports.text(report)}\n{paths[1]}")
    return 1 if results.failed else 0


def _plan(args: argparse.Namespace, rows: Rows, chosen: list[AblationRow]) -> Plan:
    """Return what all rows share; how many scans they learn from is that of the folder, if it has one."""
    from clip2scene_training.ablation.ablate import samples_within
    from clip2scene_training.ablation.plan import PLAN, Plan, read_plan

    if args.samples < 0 or args.budget <= 0 or args.judged_frames < 1 or min(args.scenes, args.judged_scenes) < 0:
        raise BadConfig("options", "Expected positive numbers for --samples, --budget, --scenes and --judged-*.")
    plan = Plan(
        args.samples, args.scenes, args.judged_scenes, args.judged_frames, args.clip, args.threads,
        str(args.cache.resolve()), str(args.labels.resolve()),
    )  # fmt: skip
    if args.samples != FROM_BUDGET:
        return plan
    if (args.out / PLAN).is_file():
        return replace(plan, samples=read_plan(args.out).samples)
    return replace(plan, samples=samples_within(args.budget, plan, rows, chosen))
