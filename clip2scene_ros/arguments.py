"""The command line's grammar: sub-commands, options, help with examples to copy. It imports next to nothing."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, get_type_hints

from clip2scene_ros import __version__
from clip2scene_ros.calibrate.arguments import add_calibrate_options
from clip2scene_ros.collect.arguments import add_collect_options, read_collect_settings
from clip2scene_ros.compare.arguments import add_checkpoints, add_compare_options
from clip2scene_ros.config import SegmenterConfig, settings_of, with_settings
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.label.arguments import add_label_options, read_label_settings

DEMO_SECONDS, WORLD_SECONDS, LONGEST_DRIVE_S = 8.0, 10.0, 3600.0
WORLD_SEED = 200_000
"""Streets from here on are learned from by nobody: training takes those from 0 on, its validation from 100 000 on."""

WORLD_SPLITS, WORLD_RIGS = ("train", "val", "test", "ood"), ("nuscenes", "unseen")
WORLD_WEATHER = ("any", "clear", "hazy", "overcast", "dusk", "night", "fog", "night_or_fog")
"""Spelt out here, so that `--help` need not load the world; a test keeps them equal to it."""

DEMO_SEED = 200_005
"""The first of these streets on which all 15 classes are met within `DEMO_SECONDS`."""

OVERVIEW = """\
examples:
  clip2scene demo                                  a synthetic drive, segmented live, scored, pictured
  clip2scene world drive.mcap --seconds 10         write a drive of the synthetic world as a bag
  clip2scene inspect drive.mcap                    what a bag, shards, checkpoint or class set holds
  clip2scene segment my_bag --out labelled.mcap    label every cloud of a bag
  clip2scene evaluate drive.mcap --out results     mIoU, IoU per class, latency, a picture
  clip2scene compare old.safetensors new.safetensors my_bag --out compared    is the new one better on this drive?
  clip2scene label my_bag --out labels             words for every point, by CLIP, and a page to judge them by
  clip2scene calibrate --check my_bag              do cameras and LiDAR fit, and what is wrong if not
  clip2scene collect my_bag --out shards           what is worth keeping of a drive, labelled, to learn from

`clip2scene COMMAND --help` tells more.
exit codes: 0 done, 1 bad input or a failure, 2 wrong usage, 130 Ctrl-C, 143 SIGTERM; 3 `compare`: B is worse,
`calibrate --check`: something is wrong (4: it cannot be told).
Errors are one line; CLIP2SCENE_DEBUG=1 adds the traceback."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the parsed command line; wrong usage exits with code 2 and a line that says what was wrong.

    Commands that segment have `args.segmenter`, a SegmenterConfig; `label` has `args.label`, a LabelConfig, and
    `args.dense`, those settings of DenseConfig that were given; commands that train have their own options in
    `args.rest`.
    """
    args, rest = _parser().parse_known_args(arguments)
    args.rest = rest
    if args.command in ("finetune", "pretrain", "ablate", "train-clip"):
        return args
    if rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    names = [name for name, _, _ in settings_of(SegmenterConfig())]
    if hasattr(args, names[0]):
        try:
            args.segmenter = with_settings(SegmenterConfig(), {name: getattr(args, name) for name in names})
        except BadConfig as error:
            args.parser.error(str(error))
    if args.command == "label":
        read_label_settings(args)
    if args.command == "collect":
        read_collect_settings(args)
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clip2scene",
        description="LiDAR semantic segmentation: a scan in, a label for every point out.",
        epilog=OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clip2scene {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_add_demo, _add_world, _add_segment, _add_evaluate, _add_compare, _add_label, _add_collect,
                _add_inspect, _add_calibrate, _add_export, _add_finetune, _add_pretrain, _add_ablate,
                _add_train_clip):  # fmt: skip
        add(commands)
    return parser


def _add_demo(commands: Any) -> None:  # noqa: ANN401 - argparse does not publish the type of sub-parsers
    parser = _command(
        commands,
        "demo",
        "show the whole path: a synthetic drive, segmented live, scored, pictured",
        "Write a short drive of the synthetic world (kept for the next time), play it over DDS into the real\n"
        "segmentation node in a second process, record its labels, score them against the ground truth and draw\n"
        "one picture. Without --checkpoint the student is the shipped one that learned without labels.",
        ("demo", "demo --out my_demo --seconds 4", "demo --viewer"),
    )
    parser.add_argument("--out", type=Path, default=Path("demo_out"), metavar="DIR", help="folder (%(default)s)")
    _add_drive(parser, DEMO_SEED, DEMO_SECONDS)
    parser.add_argument(
        "--viewer",
        action="store_true",
        default=os.environ.get("VIEWER", "0") not in ("", "0"),
        help="then open the labelled scans in the browser (extra `viewer`); VIEWER=1 does the same",
    )
    _add_settings(parser)


def _add_world(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "world",
        "write a drive of the synthetic world as a bag",
        "Write a drive of the synthetic world as a rosbag2 file: clouds, images, calibration, odometry and\n"
        "the true class of every point. The same seed and options make the same drive.",
        (
            "world drive.mcap",
            "world drive.mcap --seed 3 --seconds 20",
            "world night.mcap --weather night --rig unseen --calibration-error 0.5",
            "world ood.mcap --split ood",
        ),
    )
    parser.add_argument("output", type=Path, metavar="OUT.mcap")
    _add_drive(parser, WORLD_SEED, WORLD_SECONDS)
    group = parser.add_argument_group("world")
    group.add_argument(
        "--split", choices=WORLD_SPLITS, help="a scene of the benchmark: that of --seed, or the first; always 6 s"
    )
    group.add_argument("--rig", choices=WORLD_RIGS, help="nuScenes' sensors, or other ones mounted otherwise")
    group.add_argument("--weather", choices=WORLD_WEATHER, help="light and air; `any` draws them by seed")
    group.add_argument("--calibration-error", type=float, metavar="DEG", help="of each camera's reported direction (0)")
    group.add_argument("--odometry-drift", type=float, metavar="SHARE", help="typical error of the distance (0.005)")
    _add_overwrite(parser)


def _add_segment(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "segment",
        "label every cloud of a bag into a new bag",
        "Label every cloud of a bag (rosbag2 folder, .mcap or .db3). The new bag holds the old one's messages and\n"
        "for each cloud one on /clip2scene_segment/labels (x, y, z, class_id, probability, entropy) with the same\n"
        "stamp, frame and points in the same order. /clip2scene_segment/class_set tells the names of the classes.\n"
        "After Ctrl-C the new bag holds what was labelled until then.",
        (
            "segment my_bag --out labelled.mcap",
            "segment my_bag --out labelled.mcap --topic /ouster/points --labels-only --rgb",
            "segment my_bag --out labelled.mcap --classes 'road,street;car,van;person,pedestrian'",
        ),
    )
    _add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="OUT.mcap, OUT.db3 or a new folder")
    parser.add_argument("--labels-only", action="store_true", help="leave out the messages of the old bag")
    parser.add_argument("--rgb", action="store_true", help="also write /clip2scene_segment/labels_rgb, for RViz")
    _add_overwrite(parser)
    _add_settings(parser)


def _add_evaluate(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "evaluate",
        "score the labels of a bag that has ground truth",
        "Segment a bag that has ground truth (/ground_truth/points) and write report.json (miou, iou per class,\n"
        "latency percentiles, hashes of data and weights, the command), report.html and evaluation.png into a folder.",
        (
            "evaluate drive.mcap --out results",
            "evaluate drive.mcap --out results --checkpoint my_student.safetensors --overwrite",
        ),
    )
    _add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made when it is not there")
    _add_overwrite(parser)
    _add_settings(parser)


def _add_compare(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "compare",
        "tell which of two checkpoints is better on a drive, with ground truth or without",
        "Let two checkpoints label the same scans, in turns, and compare them: mIoU where the bag has ground truth,\n"
        "agreement with a teacher that sees the images, stability over registered scans, calibration, latency. One is\n"
        "called better only where the 95 % interval of the difference excludes 0. The folder gets report.json and\n"
        "report.html, with pictures of where the two differ most. Exit code 3: B is worse by the measure of --gate.",
        (
            "compare old.safetensors new.safetensors drive.mcap --out compared",
            "compare old.safetensors new.safetensors my_bag --out compared --teacher none --gate stability",
            "compare a.safetensors b.safetensors my_bag --out compared --teacher my_segmentations "
            "--classes 'road,street;car,van'",
        ),
    )
    add_checkpoints(parser)
    _add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made when it is not there")
    add_compare_options(parser)
    _add_overwrite(parser)
    _add_settings(parser, "checkpoint")


def _add_label(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "label",
        "let CLIP label a bag by words, and judge the labels on one page",
        "Look at the images of a bag with CLIP, or take what another segmenter said of them (--teacher), and carry\n"
        "the classes over to the points. The folder gets labels.mcap (the bag with labels of each scan that has\n"
        "images, as `segment` writes them, confidence as probability), report.json, and report.html: the page that\n"
        "tells whether calibration, words or CLIP is at fault. After Ctrl-C they hold what was labelled until then.",
        (
            "label my_bag --out labels",
            "label my_bag --out labels --every 10 --classes 'road,street;car,van;person'",
            "label my_bag --out labels --clip.checkpoint tiny --classes world",
            "label my_bag --out labels --clip.model ViT-L-14 --dense.scales 0.5,1 --labeler.sweeps 5",
            "label my_bag --out labels --teacher my_segmentations",
        ),
    )
    _add_bag(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made when it is not there")
    _add_overwrite(parser)
    add_label_options(parser)


def _add_collect(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "collect",
        "keep what is worth it of a bag, labelled by CLIP, as shards to learn from",
        "Do with a bag what collect_node does on the vehicle: match images to scans, choose frames by motion and by\n"
        "what they show, have the teacher label them, and append them to shards. The same bag and settings give the\n"
        "same shards. After Ctrl-C they hold what was collected until then.",
        (
            "collect my_bag --out shards",
            "collect my_bag --out shards --choice.min-motion-m 5 --choice.min-novelty 0.05 --vehicle car-7",
            "collect my_bag --out shards --classes 'road,street;car,van;person' --shards.images drop",
            "inspect shards --out sheet.jpg",
        ),
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, .mcap or .db3")
    parser.add_argument(
        "--topic", default="", help="its PointCloud2 topics, `/top,/rear`; not needed where there is one"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of shards, made where there is none"
    )
    parser.add_argument("--append", action="store_true", help="add to shards that are there")
    add_collect_options(parser)


def _add_inspect(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "inspect",
        "print what a bag, collected shards, a checkpoint or a class set holds",
        "Print what a file holds: a bag's topics, duration and cloud fields; a checkpoint's card; a class set; of\n"
        "shards (a folder, or one .tar) counts, bytes, classes and coverage, with every checksum verified.",
        (
            "inspect my_bag",
            "inspect my_shards --out sheet.jpg",
            "inspect student.safetensors",
            "inspect config/classes/nuscenes.yaml",
        ),
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--out", type=Path, metavar="SHEET.jpg", help="of shards: frames with their labels, as a picture"
    )
    _add_overwrite(parser)


def _add_calibrate(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "calibrate",
        "do a bag's cameras and LiDAR fit; or convert a calibration file",
        "`--check BAG` lays the scans' edges of depth on the images' edges of brightness, camera by camera, and says\n"
        "what is likely wrong where they do not meet: a camera turned or shifted, a transform the wrong way round,\n"
        "two cameras mixed up, another image size, distortion or focal length, stamps that are apart.\n"
        "Exit code 0: all fit, 3: something is wrong, 4: it cannot be told.\n"
        "`--from-nuscenes` and `--from-kitti` write a calibration file (docs/calibration.md).",
        (
            "calibrate --check my_bag --out check",
            "calibrate --check my_bag --calibration vehicle.yaml",
            "calibrate --from-nuscenes v1.0-mini --scene scene-0061 --out vehicle.yaml",
            "calibrate --from-kitti sequences/00/calib.txt --image-size 1241x376 --out vehicle.yaml",
        ),
    )
    add_calibrate_options(parser)
    _add_overwrite(parser)


def _add_export(commands: Any) -> None:  # noqa: ANN401
    parser = _command(
        commands,
        "export",
        "write a checkpoint in the layout of the paper's code, or read such weights",
        "`--layout torchsparse` writes a checkpoint's tensors under the names and in the shapes of CLIP2Scene's\n"
        "SPVCNN (TorchSparse 1.4), as safetensors. `--layout clip2scene` reads such a file and writes a checkpoint;\n"
        "one that we did not write must be told its classes, voxel size and intensities. What became of every\n"
        "tensor is printed.",
        (
            "export student.safetensors --layout torchsparse --out official.safetensors",
            "export official.safetensors --layout clip2scene --out student.safetensors --class-set nuscenes "
            "--voxel-size-m 0.1 --intensity-max 255",
        ),
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--layout", required=True, choices=("torchsparse", "clip2scene"), help="of what is written")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.safetensors")
    parser.add_argument("--class-set", default="", metavar="TEXT", help="what the weights' text embeddings are of")
    parser.add_argument("--voxel-size-m", type=float, metavar="X", help="edge of a voxel [m]")
    parser.add_argument(
        "--intensity-max", type=float, metavar="X", help="brightest intensity that the weights were shown"
    )
    _add_overwrite(parser)


def _add_finetune(commands: Any) -> None:  # noqa: ANN401
    commands.add_parser(
        "finetune", help="train with labels; `finetune --help` lists its options", add_help=False, allow_abbrev=False
    )


def _add_pretrain(commands: Any) -> None:  # noqa: ANN401
    commands.add_parser(
        "pretrain",
        help="train without labels; `pretrain --help` lists its options",
        add_help=False,
        allow_abbrev=False,
    )


def _add_ablate(commands: Any) -> None:  # noqa: ANN401
    commands.add_parser(
        "ablate",
        help="train and judge baselines, rivals and every part of the method; `ablate --help` lists its options",
        add_help=False,
        allow_abbrev=False,
    )


def _add_train_clip(commands: Any) -> None:  # noqa: ANN401
    commands.add_parser(
        "train-clip",
        help="train a small CLIP from scratch on captioned rendered photos; `train-clip --help` lists its options",
        add_help=False,
        allow_abbrev=False,
    )


def _command(
    commands: Any,  # noqa: ANN401
    name: str,
    summary: str,
    description: str,
    examples: tuple[str, ...],
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog="examples:\n" + "\n".join(f"  clip2scene {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    parser.set_defaults(parser=parser)
    return parser


def _add_bag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, .mcap or .db3")
    parser.add_argument("--topic", default="", help="its PointCloud2 topic; not needed where there is only one")


def _add_drive(parser: argparse.ArgumentParser, seed: int, seconds: float) -> None:
    parser.add_argument("--seed", type=_seed, default=seed, help="of the world (%(default)s)")
    parser.add_argument("--seconds", type=_seconds, default=seconds, help="length of the drive (%(default)s)")


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace the output of an earlier run")


def _add_settings(parser: argparse.ArgumentParser, without: str = "") -> None:
    """Add an option for every setting of the segmenter; names, defaults and reasons come from `config.py`."""
    group = parser.add_argument_group("segmenter")
    kinds = get_type_hints(SegmenterConfig)
    for name, default, field in settings_of(SegmenterConfig()):
        if name == without:
            parser.set_defaults(**{name: default})
            continue
        shown = "" if default == "" else f" ({default})"
        group.add_argument(
            *(["--classes"] if name == "class_set" else []),
            f"--{name.replace('_', '-')}",
            dest=name,
            type=kinds[name],
            default=default,
            choices=field.metadata["choices"] or None,
            metavar=None if field.metadata["choices"] else {str: "TEXT", int: "N", float: "X"}[kinds[name]],
            help=field.metadata["why"].replace("%", "%%") + shown,
        )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.0 < value <= LONGEST_DRIVE_S:
        raise argparse.ArgumentTypeError(f"expected seconds up to {LONGEST_DRIVE_S:g}, but got {text}")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {2**31 - 1}, but got {text}")
    return int(text)
