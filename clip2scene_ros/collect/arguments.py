"""The options of `clip2scene collect`; like `arguments` it imports next to nothing."""

from __future__ import annotations

import argparse

from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.label.arguments import add_dotted, given
from clip2scene_ros.settings import with_settings


def add_collect_options(parser: argparse.ArgumentParser) -> None:
    """Add where the cameras sit, and every setting of CollectConfig by its dotted name."""
    parser.add_argument(
        "--calibration",
        default="",
        metavar="FILE",
        help="calibration file instead of the bag's camera_info and /tf_static",
    )
    add_dotted(parser, "settings", CollectConfig())


def read_collect_settings(args: argparse.Namespace) -> None:
    """Set `args.collect`; what the settings are not allowed to be is wrong usage."""
    try:
        args.collect = with_settings(CollectConfig(), given(args, CollectConfig()))
    except BadConfig as error:
        args.parser.error(str(error))
