"""The options of `clip2scene label`; like `arguments` it imports next to nothing."""

from __future__ import annotations

import argparse
from typing import Any

from clip2scene_ros.config import DenseConfig, LabelConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.settings import settings_of, with_settings


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add the teacher, the choice of scans, and every setting of LabelConfig and DenseConfig by its dotted name."""
    parser.add_argument(
        "--teacher",
        default="",
        metavar="FOLDER",
        help="label images of another segmenter instead of CLIP's; `bag` takes the bag's topics CAMERA/labels",
    )
    parser.add_argument("--every", type=_count, default=1, metavar="N", help="label each N-th scan with images (1)")
    parser.add_argument("--max-frames", type=_count, default=0, metavar="N", help="and no more than N of them")
    add_dotted(parser, "settings", LabelConfig())
    add_dotted(parser, "dense features (where not given, the model's own)", DenseConfig(), "dense.")


def add_dotted(parser: argparse.ArgumentParser, title: str, config: object, prefix: str = "") -> None:
    """Add an option `--clip.model` for every setting of nested settings; those not given stay None."""
    group = parser.add_argument_group(title)
    for name, default, field in settings_of(config, prefix):
        choices = field.metadata["choices"]
        shown = "" if default == "" else f" ({default})"
        group.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_yes_or_no if isinstance(default, bool) else type(default),
            nargs="?" if isinstance(default, bool) else None,
            const=True if isinstance(default, bool) else None,
            choices=choices or None,
            metavar=None if choices else {str: "TEXT", int: "N", float: "X", bool: "yes|no"}[type(default)],
            help=field.metadata["why"].replace("%", "%%") + shown.replace("%", "%%"),
        )


def read_label_settings(args: argparse.Namespace) -> None:
    """Set `args.label` and `args.dense`; what they are not allowed to be is wrong usage."""
    try:
        args.label = with_settings(LabelConfig(), given(args, LabelConfig()))
        args.dense = {
            name.removeprefix("dense."): value for name, value in given(args, DenseConfig(), "dense.").items()
        }
        with_settings(DenseConfig(), args.dense)
    except BadConfig as error:
        args.parser.error(str(error))


def given(args: argparse.Namespace, config: object, prefix: str = "") -> dict[str, Any]:
    """Return the settings that were given, by their dotted names."""
    values = {name: getattr(args, name) for name, _, _ in settings_of(config, prefix)}
    return {name: value for name, value in values.items() if value is not None}


def _yes_or_no(text: str) -> bool:
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"expected yes or no, but got {text}")
    return known[text.lower()]


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, but got {text}")
    return int(text)
