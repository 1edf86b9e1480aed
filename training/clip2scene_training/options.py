"""The grammar of `clip2scene finetune`; it imports next to nothing, so that `--help` is quick."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip2scene_ros.config import settings_of, with_settings
from clip2scene_ros.errors import BadConfig
from clip2scene_training.config import FinetuneConfig

if TYPE_CHECKING:
    from clip2scene_training.batching import FrameDataset

EXAMPLES = """\
examples:
  clip2scene finetune --world-seeds 0:160 --val-world-seeds 100000:100016 --out runs/demo.safetensors
  clip2scene finetune --out runs/wide.safetensors --network.width 1.5 --steps 3000 --resume"""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser: the data, and every setting of FinetuneConfig under its dotted name."""
    parser = argparse.ArgumentParser(
        prog="clip2scene finetune",
        description="Train a student with labels; the checkpoint is the very file that `segment` and the node load.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--world-seeds", default="0:160", metavar="A:B", help="streets to learn (%(default)s)")
    parser.add_argument("--val-world-seeds", default="100000:100016", metavar="A:B", help="judged by (%(default)s)")
    parser.add_argument("--sweeps", type=int, default=6, metavar="N", help="sweeps of each street (%(default)s)")
    parser.add_argument("--cache", type=Path, default=Path("runs/world"), help="keeps the streets (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="checkpoint to write (.safetensors)")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    group = parser.add_argument_group("settings")
    for name, default, field in settings_of(FinetuneConfig()):
        help_text = f"{field.metadata['why']} ({default})".replace("%", "%%")
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="X", help=help_text)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command and print the report of the validation streets."""
    args = parser().parse_args(argv)
    given = {name: getattr(args, name) for name, _, _ in settings_of(FinetuneConfig())}
    given = {name: text for name, text in given.items() if text is not None}
    config = with_settings(FinetuneConfig(), parsed(given))
    if args.sweeps < 1:
        raise BadConfig("sweeps", f"Expected at least one sweep of each street, but got --sweeps {args.sweeps}.")
    seeds, val_seeds = seed_range(args.world_seeds), seed_range(args.val_world_seeds)
    from clip2scene_ros.report import table
    from clip2scene_training.finetune import finetune

    train, val = (streets(chosen, args.sweeps, args.cache) for chosen in (seeds, val_seeds))
    command = shlex.join(["clip2scene", "finetune", *argv])
    sys.stdout.write(table(finetune(train, val, config, args.out, resume=args.resume, command=command)) + "\n")
    return 0


def streets(seeds: range, sweeps: int, cache: Path) -> FrameDataset:
    """Return the frames of some streets of the world, generated where they are not in the cache."""
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    from clip2scene_training.datasets.world import WorldDataset

    with tqdm(desc=f"streets {seeds.start}:{seeds.stop}", unit="street") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return WorldDataset(seeds, sweeps, cache, progress=show)


def parsed(given: dict[str, str]) -> dict[str, Any]:
    """Turn the text of settings into their types; what does not parse is left for `with_settings` to refuse."""
    kinds = {name: type(default) for name, default, _ in settings_of(FinetuneConfig())}
    values: dict[str, Any] = {}
    for name, text in given.items():
        try:
            values[name] = {"true": True, "false": False}[text] if kinds[name] is bool else kinds[name](text)
        except (KeyError, ValueError):
            values[name] = text
    return values


def seed_range(text: str) -> range:
    """Return the seeds of `A:B`, B excluded.

    Raises:
        BadConfig: not two whole numbers with A < B.
    """
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise BadConfig("seeds", f"Expected seeds as A:B with A below B (0:160), but got {text!r}.")
    return range(int(first), int(last))
