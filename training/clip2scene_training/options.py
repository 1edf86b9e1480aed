"""The grammar of `clip2scene finetune`; it imports next to nothing, so that `--help` is quick."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip2scene_ros.errors import BadConfig
from clip2scene_ros.settings import Config, settings_of, with_settings
from clip2scene_ros.terminal import say
from clip2scene_training.config import FinetuneConfig

if TYPE_CHECKING:
    from clip2scene_ros.classes import ClassSet
    from clip2scene_training.datasets.bags import BagDataset
    from clip2scene_training.datasets.world import WorldDataset

EXAMPLES = """\
examples:
  clip2scene finetune --out runs/student.safetensors --workers 1 --eval-every 500
  clip2scene finetune --world-seeds 0:20 --val-world-seeds 100000:100004 --out runs/quick.safetensors --steps 200
  clip2scene finetune --data drives/*.mcap --val-data later.mcap --out runs/mine.safetensors --resume"""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser: the data, and every setting of FinetuneConfig under its dotted name."""
    parser = argparse.ArgumentParser(
        prog="clip2scene finetune",
        description="Train a student with labels; the checkpoint is the very file that `segment` and the node load.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_data(parser, "--data", "learn bags with ground truth instead", nargs="+")
    add_output(parser)
    add_settings(parser, FinetuneConfig())
    return parser


def add_data(parser: argparse.ArgumentParser, bags: str, help_text: str, **how: Any) -> None:  # noqa: ANN401
    """Add which drives are learned and which ones judge; `bags` names the option for bags to learn."""
    parser.add_argument("--split", metavar="NAME", help="scenes of the world to learn (train)")
    parser.add_argument("--val-split", metavar="NAME", help="scenes of the world to be judged by (val)")
    learned, judged = parser.add_mutually_exclusive_group(), parser.add_mutually_exclusive_group()
    learned.add_argument("--world-seeds", metavar="A:B", help="other seeds than the split's, B excluded")
    judged.add_argument("--val-world-seeds", metavar="A:B", help="other seeds than the split's to be judged by")
    learned.add_argument(bags, type=Path, metavar="BAG", help=help_text, **how)
    judged.add_argument("--val-data", nargs="+", type=Path, metavar="BAG", help="be judged by bags instead")
    parser.add_argument("--cache", type=Path, help="folder that keeps frames (runs/world, for bags the user's cache)")


def splits(args: argparse.Namespace) -> tuple[str, str]:
    """Return the names of the splits that are learned and judged by, where no bags are.

    Args:
        args: the command line, with `add_data`.

    Raises:
        BadConfig: a split is named beside bags that take its place.
    """
    for option, name, paths in (("--split", args.split, args.data), ("--val-split", args.val_split, args.val_data)):
        if name is not None and paths:
            raise BadConfig(
                "split", f"{option} {name} names scenes of the world, but {paths[0]} was given, too: leave one out."
            )
    return args.split or "train", args.val_split or "val"


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add where the checkpoint goes, and what becomes of one that is there."""
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="checkpoint to write (.safetensors)")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument("--overwrite", action="store_true", help="replace the checkpoint of an earlier run")


def check_output(args: argparse.Namespace, *devices: str) -> Path:
    """Return the folder of a training, once its checkpoint may be written and can be: before the long work.

    Args:
        args: the command line, with `add_output`.
        devices: names of devices that will be asked for.

    Raises:
        BadConfig: the checkpoint is there already, or has nothing beside it to go on from, or is a folder; a device
            is not there.
        OSError: the folder cannot be made.
    """
    from clip2scene_ros.student.segmenter import choose_device
    from clip2scene_training.running import STATE, training_folder

    for device in devices:
        choose_device(device)
    if args.out.is_file() and not (args.resume or args.overwrite):
        raise BadConfig(
            "exists", f"{args.out} exists: choose another name, --resume to go on, or --overwrite to replace it."
        )
    folder = training_folder(args.out)
    if args.out.is_file() and not args.overwrite and not (folder / STATE).exists():
        raise BadConfig(
            "no_state", f"{args.out} exists, but what its run would go on from, {folder / STATE}, does not: choose "
            "another name, or --overwrite to replace it by a new run."
        )  # fmt: skip
    return folder


def main(argv: Sequence[str]) -> int:
    """Run the command and print what the validation data say, and where the report is."""
    args = parser().parse_args(argv)
    config = given_settings(args, FinetuneConfig())
    from clip2scene_ros.student.points import check_range
    from clip2scene_training.finetune import finetune

    check_range(config.min_range_m, config.max_range_m)
    folder = check_output(args, config.device)
    learned, judged = splits(args)
    train, val = (
        bags(paths, config.class_set, args.cache) if paths else streets(split, seeds, args.cache, config.class_set)
        for paths, split, seeds in (
            (args.data, learned, args.world_seeds),
            (args.val_data, judged, args.val_world_seeds),
        )
    )
    from clip2scene_ros.report.evaluation import table

    command = shlex.join(["clip2scene", "finetune", *argv])
    report = finetune(train, val, config, args.out, resume=args.resume, command=command)
    say(f"{table(report)}\n{args.out}\n{folder / 'report.html'}")
    return 0


def bags(
    paths: Sequence[Path], class_set: str | ClassSet, cache: Path | None, *, with_images: bool = False
) -> BagDataset:
    """Return the labelled frames of some bags, their labels in terms of a class set."""
    from clip2scene_ros.classes import load_class_set
    from clip2scene_training.datasets.bags import BagDataset

    wanted = load_class_set(class_set) if isinstance(class_set, str) else class_set
    return BagDataset(paths, cache, class_set=wanted, with_images=with_images)


def streets(
    name: str, seeds: str | None, cache: Path | None, class_set: str | ClassSet, *, with_images: bool = False
) -> WorldDataset:
    """Return the frames of a split of the world, generated where they are not in the cache.

    Args:
        name: of the split.
        seeds: `A:B` to take other scenes than the split's, None for its own.
        cache: where frames are kept; None takes `runs/world`.
        class_set: in whose terms the labels are wanted; they are given in those of `world`.
        with_images: camera images as well.

    Raises:
        BadConfig: no such split, seeds that are no range, or other classes than the world's.
    """
    chosen = None if seeds is None else seed_range(seeds)
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    from clip2scene_ros.classes import load_class_set
    from clip2scene_training.datasets.world import WorldDataset
    from clip2scene_training.world.splits import SPLITS

    if name not in SPLITS:
        raise BadConfig("split", f"Expected a split of {', '.join(SPLITS)}, but got {name!r}.")
    wanted = load_class_set(class_set) if isinstance(class_set, str) else class_set
    if wanted.names != load_class_set("world").names:
        raise BadConfig(
            "class_set",
            f"The streets of the world have the classes of `world`, not of {wanted.name!r}: leave `class_set` as it "
            "is, or give bags (--data and --val-data).",
        )
    split = SPLITS[name] if chosen is None else replace(SPLITS[name], seeds=chosen)
    with tqdm(desc=f"scenes of {name}", unit="scene") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return WorldDataset(split, cache_dir=cache or Path("runs/world"), with_images=with_images, progress=show)


def add_settings(parser: argparse.ArgumentParser, config: object, title: str = "settings", prefix: str = "") -> None:
    """Add every setting of `config` by its dotted name, with its reason and default."""
    group = parser.add_argument_group(title)
    for name, default, field in settings_of(config, prefix):
        help_text = f"{field.metadata['why']} ({default})".replace("%", "%%")
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="X", help=help_text)


def given_settings(args: argparse.Namespace, config: Config) -> Config:
    """Return `config` with the settings that the command line gives; raises BadConfig as `with_settings` does."""
    return with_settings(config, given(args, config))


def given(args: argparse.Namespace, config: object, prefix: str = "") -> dict[str, Any]:
    """Return the settings of `config` that the command line gives, by their names without `prefix`."""
    found = {name.removeprefix(prefix): getattr(args, name) for name, _, _ in settings_of(config, prefix)}
    return parsed({name: text for name, text in found.items() if text is not None}, config)


def parsed(given: dict[str, str], config: object | None = None) -> dict[str, Any]:
    """Turn the text of settings into their types; what does not parse is left for `with_settings` to refuse.

    Args:
        given: by dotted name.
        config: whose settings they are; FinetuneConfig when omitted.
    """
    kinds = {name: type(default) for name, default, _ in settings_of(config or FinetuneConfig())}
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
