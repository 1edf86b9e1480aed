"""The command line's grammar: sub-commands, options, help with examples to copy. It imports next to nothing."""

from __future__ import annotations

import argparse

from clip2scene_ros import __version__
from clip2scene_ros.arguments.bags import add_bag_commands
from clip2scene_ros.arguments.drives import add_drive_commands
from clip2scene_ros.arguments.files import add_file_commands
from clip2scene_ros.arguments.shared import read_settings
from clip2scene_ros.arguments.trainings import TRAININGS, add_training_commands
from clip2scene_ros.collect.arguments import read_collect_settings
from clip2scene_ros.label.arguments import read_label_settings

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
    if args.command in TRAININGS:
        return args
    if rest:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    read_settings(args)
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
    for add in (add_drive_commands, add_bag_commands, add_file_commands, add_training_commands):
        add(commands)
    return parser
