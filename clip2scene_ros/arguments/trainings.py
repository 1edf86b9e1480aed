"""The sub-commands that train. Each reads its own options, in the training code that it loads."""

from __future__ import annotations

from typing import Any

TRAININGS = {
    "finetune": "train with labels",
    "pretrain": "train without labels",
    "ablate": "train and judge baselines, rivals and every part of the method",
    "train-clip": "train a small CLIP from scratch on captioned rendered photos",
}
"""Sub-command -> what it does."""


def add_training_commands(commands: Any) -> None:  # noqa: ANN401 - argparse does not publish the type of sub-parsers
    """Add a sub-command for each of `TRAININGS`, with neither options nor help here."""
    for name, does in TRAININGS.items():
        commands.add_parser(name, help=f"{does}; `{name} --help` lists its options", add_help=False, allow_abbrev=False)
