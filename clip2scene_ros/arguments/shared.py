"""What sub-commands have in common: help with examples, the bag, `--overwrite`, the segmenter's settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_type_hints

from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.settings import settings_of, with_settings


def command(
    commands: Any,  # noqa: ANN401
    name: str,
    summary: str,
    description: str,
    examples: tuple[str, ...],
) -> argparse.ArgumentParser:
    """Add a sub-command whose help has examples to copy, and return its parser."""
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


def add_bag(parser: argparse.ArgumentParser) -> None:
    """Add the bag that is read, and which of its clouds."""
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, .mcap or .db3")
    parser.add_argument("--topic", default="", help="its PointCloud2 topic; not needed where there is only one")


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add what allows to replace the output of an earlier run."""
    parser.add_argument("--overwrite", action="store_true", help="replace the output of an earlier run")


def add_settings(parser: argparse.ArgumentParser, without: str = "") -> None:
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


def read_settings(args: argparse.Namespace) -> None:
    """Set `args.segmenter` where the sub-command has these options; what they may not be is wrong usage."""
    names = [name for name, _, _ in settings_of(SegmenterConfig())]
    if not hasattr(args, names[0]):
        return
    try:
        args.segmenter = with_settings(SegmenterConfig(), {name: getattr(args, name) for name in names})
    except BadConfig as error:
        args.parser.error(str(error))
