"""The options of `clip2scene compare`; like `arguments` it imports next to nothing."""

from __future__ import annotations

import argparse

NO_TEACHER, TINY_TEACHER, BAG_TEACHER = "none", "tiny", "bag"
"""What `--teacher` says for nobody, for the small CLIP that comes with the package, and for topics of the bag."""

MEASURES = ("miou", "agreement", "stability", "calibration", "latency")
"""By falling worth: the first of the first three that a bag allows decides, unless a gate names another."""


def add_checkpoints(parser: argparse.ArgumentParser) -> None:
    """Add the two checkpoints, which come before the bag."""
    for name, which in (("A", "the one that is there"), ("B", "the one that may take its place")):
        parser.add_argument(
            name.lower(), metavar=name, help=f"a checkpoint (.safetensors), {which}; '' is the shipped one"
        )


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """Add the teacher and the gate."""
    parser.add_argument(
        "--teacher",
        default="",
        metavar="WHO",
        help="whose labels both are compared with: `tiny`, a CLIP as .safetensors, `ViT-B-16 openai`, a folder of "
        "label images, `bag` for its topics CAMERA/labels, or `none`; where not given `tiny` for drives of the "
        "synthetic world, else none",
    )
    parser.add_argument(
        "--gate",
        choices=MEASURES,
        default="",
        help="the measure that decides the exit code (miou; without ground truth agreement; without teacher stability)",
    )
