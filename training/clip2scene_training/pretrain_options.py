"""The grammar of `clip2scene pretrain`; it imports next to nothing, so that `--help` is quick."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.settings import with_settings
from clip2scene_ros.terminal import say
from clip2scene_training.options import add_data, add_output, add_settings, bags, check_output, given, splits, streets
from clip2scene_training.pretrain_config import PRESETS, PretrainConfig

if TYPE_CHECKING:
    from clip2scene_training.datasets.shards import ShardLabels
    from clip2scene_training.pseudo_labels import SceneFrames

EXAMPLES = """\
examples:
  clip2scene pretrain --preset best --clip.checkpoint tiny --out runs/student.safetensors
  clip2scene pretrain drives/*.mcap --classes 'road, street; car, van; person' --out runs/mine.safetensors
  clip2scene pretrain shards/monday shards/tuesday --clip.checkpoint my_clip.safetensors --out runs/week.safetensors
  clip2scene pretrain drives/*.mcap --teacher my_segmentations --out runs/theirs.safetensors --resume
  clip2scene pretrain --world-seeds 0:20 --val-world-seeds 100000:100004 --clip.checkpoint tiny --steps 300 \\
      --preset paper --optimizer adamw --learning-rate 0.004 --out runs/quick.safetensors"""
DENSE = "dense."


def parser() -> argparse.ArgumentParser:
    """Return the command's parser: the data, the preset, every setting of PretrainConfig and DenseConfig."""
    parser = argparse.ArgumentParser(
        prog="clip2scene pretrain",
        description="Train a student without labels: CLIP, or another 2D segmenter, looks at the images of drives,\n"
        "and the student learns from that. The checkpoint is the very file that `segment` and the node load.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = "drives with images to learn, or folders of shards with labels; none takes scenes of the world"
    add_data(parser, "data", what, nargs="*", default=[])
    parser.add_argument(
        "--labels", type=Path, default=Path("runs/labels"), metavar="DIR",
        help="folder that keeps pseudo-labels and features (%(default)s)",
    )  # fmt: skip
    add_output(parser)
    parser.add_argument(
        "--preset",
        default="best",
        metavar="NAME",
        help=f"choice of all settings, which those that are given replace: {', '.join(PRESETS)} (%(default)s)",
    )
    add_settings(parser, PretrainConfig(), "settings (defaults without a preset: the paper's method, mended)")
    add_settings(parser, DenseConfig(), "dense features (where not given, the model's own)", DENSE)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command and print what the validation data say, and where the report is."""
    args = parser().parse_args(argv)
    config, dense = settings(args)
    from clip2scene_ros.student.points import check_range
    from clip2scene_training.pretrain import pretrain
    from clip2scene_training.teachers import TeacherSettings, shipped_or_other

    check_range(config.min_range_m, config.max_range_m)
    folder = check_output(args, config.device, config.clip.device)
    # what is quickly seen to be wrong is told before the long work: the data, then the words' CLIP
    splits(args)
    shards = shards_of(args.data)
    if not shards:
        check_bags([*args.data, *(args.val_data or [])])
    if args.data and TeacherSettings.of(config).is_noisy:
        raise BadConfig(
            "teacher", f"Teacher {config.teacher!r} sees the true pixels that streets of the world have, but "
            f"{args.data[0]} was given, which has none: expected no data, or another teacher."
        )  # fmt: skip
    shipped_or_other(replace(config.clip, device="cpu"))
    train, val = drives(args, config, shards)
    from clip2scene_ros.report.evaluation import table

    command = shlex.join(["clip2scene", "pretrain", *argv])
    report = pretrain(
        train, val, config, args.out,
        dense=dense, bags=args.data, cache=args.labels, resume=args.resume, command=command,
    )  # fmt: skip
    if report:  # one of several processes that torchrun has started writes it
        worth = report["labels_miou"]
        said = "" if worth is None else f"labels of the teacher, where it has given some: mIoU {100 * worth:.1f}\n"
        judged = f"{table(report)}\n" if report["frames"] else ""
        say(f"{judged}{said}{args.out}\n{folder / 'report.html'}")
    return 0


def settings(args: argparse.Namespace) -> tuple[PretrainConfig, dict[str, Any]]:
    """Return the preset with what the command line gives in its place, and the settings of dense features given.

    Raises:
        BadConfig: no such preset, or as `with_settings`.
    """
    if args.preset not in PRESETS:
        raise BadConfig("preset", f"Expected a preset of {', '.join(PRESETS)}, but got {args.preset!r}.")
    base = PRESETS[args.preset]
    config = with_settings(base, given(args, base))
    dense = given(args, DenseConfig(), DENSE)
    with_settings(DenseConfig(), dense)
    return config, dense


def shards_of(paths: Sequence[Path]) -> list[Path]:
    """Return the folders of shards that are to be learned; none where `paths` are bags.

    Raises:
        BadConfig: both.
    """
    from clip2scene_training.datasets.shards import shards_among

    found = [shards_among([path]) for path in paths]
    if any(found) and not all(found):
        bag = next(path for path, shards in zip(paths, found, strict=True) if not shards)
        raise BadConfig(
            "data",
            f"Expected bags or shards to learn, but got both: {bag} is no folder of shards. "
            f"`clip2scene collect {bag}` makes shards of a bag.",
        )
    return [each for shards in found for each in shards]


def check_bags(paths: Sequence[Path]) -> None:
    """Open each bag: a broken one is told before anything else is.

    Raises:
        BadBag: it cannot be read, or has no clouds, or several to choose from.
    """
    from clip2scene_ros.io.bag_frames import BagTopics, points_topic
    from clip2scene_ros.io.bag_reader import BagReader

    for path in paths:
        with BagReader(path) as bag:
            points_topic(bag, BagTopics())


def drives(
    args: argparse.Namespace, config: PretrainConfig, shards: Sequence[Path] = ()
) -> tuple[SceneFrames, SceneFrames]:
    """Return the frames to learn and those to be judged by; beside bags and shards none, unless they are given."""
    from clip2scene_training.datasets.bags import BagDataset
    from clip2scene_training.teachers import TeacherSettings

    learned, judged = splits(args)
    labels = collected(args, config, shards) if shards else None
    train: SceneFrames
    if labels is not None:
        train = labels
    elif args.data:
        train = BagDataset(args.data, args.cache, with_images=True)
    else:
        train = streets(learned, args.world_seeds, args.cache, config.classes, with_images=True)
    if args.data and not (args.val_data or args.val_world_seeds or args.val_split):
        return train, BagDataset([], args.cache)
    if labels is not None and not config.teacher:
        classes = labels.class_set
    else:
        classes = TeacherSettings.of(config, bags=args.data).class_set
    if args.val_data:
        return train, bags(args.val_data, classes, args.cache, with_images=True)
    return train, streets(judged, args.val_world_seeds, args.cache, classes, with_images=True)


def collected(args: argparse.Namespace, config: PretrainConfig, shards: Sequence[Path]) -> ShardLabels:
    """Return collected frames with the labels that lie there; images only where features of pixels are read.

    Raises:
        BadDataset: damaged shards, or such without labels; BadClassSet: `--classes` asks for other classes.
    """
    from clip2scene_training.datasets.shards import ShardDataset, ShardLabels
    from clip2scene_training.teachers import check_classes

    labels = ShardLabels(ShardDataset(shards, with_images=config.losses.reads_pixels))
    check_classes(args.classes or "", labels.class_set, labels.where)
    return labels
