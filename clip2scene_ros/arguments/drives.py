"""The sub-commands about drives of the synthetic world, and how a drive is asked for."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from clip2scene_ros.arguments.shared import add_overwrite, add_settings, command

DEMO_SECONDS, WORLD_SECONDS, LONGEST_DRIVE_S = 8.0, 10.0, 3600.0
WORLD_SEED = 200_000
"""Streets from here on are learned from by nobody: training takes those from 0 on, its validation from 100 000 on."""

WORLD_SPLITS, WORLD_RIGS = ("train", "val", "test", "ood"), ("nuscenes", "unseen")
WORLD_WEATHER = ("any", "clear", "hazy", "overcast", "dusk", "night", "fog", "night_or_fog")
"""Spelt out here, so that `--help` need not load the world; a test keeps them equal to it."""

DEMO_SEED = 200_005
"""The first of these streets on which all 15 classes are met within `DEMO_SECONDS`."""


def add_drive_commands(commands: Any) -> None:  # noqa: ANN401 - argparse does not publish the type of sub-parsers
    """Add `demo` and `world`."""
    _add_demo(commands)
    _add_world(commands)


def _add_demo(commands: Any) -> None:  # noqa: ANN401
    parser = command(
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
    add_settings(parser)


def _add_world(commands: Any) -> None:  # noqa: ANN401
    parser = command(
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
    parser.set_defaults(seed=None, seconds=None)  # which a split decides, where it is asked for
    group = parser.add_argument_group("world")
    group.add_argument(
        "--split", choices=WORLD_SPLITS, help="a scene of the benchmark, 6 s long: that of --seed, else the first"
    )
    group.add_argument("--rig", choices=WORLD_RIGS, help="nuScenes' sensors, or other ones mounted otherwise")
    group.add_argument("--weather", choices=WORLD_WEATHER, help="light and air; `any` draws them by seed")
    group.add_argument("--calibration-error", type=float, metavar="DEG", help="of each camera's reported direction (0)")
    group.add_argument("--odometry-drift", type=float, metavar="SHARE", help="typical error of the distance (0.005)")
    add_overwrite(parser)


def _add_drive(parser: argparse.ArgumentParser, seed: int, seconds: float) -> None:
    parser.add_argument("--seed", type=_seed, default=seed, help=f"of the world ({seed})")
    parser.add_argument("--seconds", type=_seconds, default=seconds, help=f"length of the drive ({seconds:g})")


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
