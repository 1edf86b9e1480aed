"""Does `clip2scene compare` find the worse student, and how long do differences of two students live along a drive?

The shipped student against itself with noise on its weights, on a street of the synthetic world that it did not learn
from: each measure of B against A with its interval, and the correlation of B minus A between scans so many apart, of
the share of right points, of stability, and of the IoU of classes that nearly every scan has. Blocks of the bootstrap
must be longer than that lives.

    python bench/compare_noise.py --out runs/compare
    python bench/compare_noise.py --out runs/compare_long --seed 100005 --seconds 20 --noise 0.2 --no-teacher
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from clip2scene_ros.compare.account import Account
from clip2scene_ros.compare.drive import compare_drive, truth_table
from clip2scene_ros.compare.measures import Findings, findings
from clip2scene_ros.compare.words import compare_table, difference
from clip2scene_ros.config import ClipConfig, SegmenterConfig
from clip2scene_ros.frame import Array
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.metrics import iou_of
from clip2scene_ros.student.checkpoint import load_checkpoint, save_checkpoint
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT
from clip2scene_ros.teacher.teachers import TINY, ClipTeacher
from clip2scene_ros.vocabulary import load_segmenter
from clip2scene_training.world.bag import write_bag

LAGS = (1, 10, 20, 40, 60)
POINTS, OFTEN = 20, 0.8
"""A class is followed that has more than so many true points in more than this share of the scans."""


def main() -> int:
    """Write the drive, spoil the student, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for drive and checkpoints")
    parser.add_argument("--seed", type=int, default=100_003, help="of the street, by default one of val")
    parser.add_argument("--seconds", type=float, default=1.6)
    parser.add_argument("--noise", type=float, nargs="+", default=[0.1, 0.2, 0.4], help="standard deviations")
    parser.add_argument("--no-teacher", action="store_true", help="leave out the agreement with the tiny CLIP")
    parser.add_argument("--json", type=Path, help="also write the figures")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    drive, figures = args.out / "drive.mcap", {}
    write_bag(drive, args.seed, args.seconds, overwrite=True)
    for noise in args.noise:
        account = compared(drive, spoilt(args.out / f"noise_{noise:g}.safetensors", noise), not args.no_teacher)
        found, lives = findings(account, {}), correlations(account)
        same = float(np.trace(account.between[:-1, :-1]) / account.between.sum())
        print(f"noise {noise:g}\n{compare_table(found, same)}\ncorrelation of B - A: {json.dumps(lives)}\n", flush=True)
        figures[f"{noise:g}"] = {"measures": in_words(found), "same": same, "correlation": lives}
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def spoilt(path: Path, noise: float) -> Path:
    """Write the shipped student with normal noise, seed 0, of so many standard deviations of each tensor."""
    state, card = load_checkpoint(DEMO_CHECKPOINT)
    generator = torch.Generator().manual_seed(0)
    for name, weight in state.items():
        if weight.ndim >= 2:
            state[name] = weight + noise * weight.std() * torch.randn(weight.shape, generator=generator)
    save_checkpoint(path, state, card)
    return path


def compared(drive: Path, b: Path, with_teacher: bool) -> Account:
    """Return what was counted of the shipped student and `b` on a drive."""
    students = load_segmenter(SegmenterConfig()), load_segmenter(SegmenterConfig(checkpoint=str(b)))
    class_set = students[0].class_set
    teacher = ClipTeacher.load(class_set, ClipConfig(checkpoint=TINY)) if with_teacher else None
    account = Account(class_set)
    with BagReader(drive) as bag:
        compare_drive(bag, students, account, truth=truth_table(bag, students)[0], teacher=teacher)
    return account


def in_words(found: Findings) -> dict[str, str]:
    """Return each measure of B against A."""
    return {name: difference(name, each) for name, each in found.measures.items()}


def correlations(account: Account) -> dict[str, list[float]]:
    """Return what -> correlation of B minus A at each of `LAGS`, as far as the drive is that long."""
    tally = np.stack(account.rows["miou"], axis=1).astype(np.float64)
    tally = tally.reshape(2, tally.shape[1], 3, -1)
    steady = np.stack(account.rows["stability"], axis=1).astype(np.float64)
    right = tally[:, :, 0].sum(axis=-1) / tally[:, :, 1].sum(axis=-1)
    each, true = iou_of(tally), tally[0, :, 1]
    lines = {"right points": right, "stability": steady[..., 0] / steady[..., 1]}
    for i, name in enumerate(account.class_set.names):
        there = true[:, i] > POINTS
        if there.mean() > OFTEN:
            lines[name] = each[:, there, i]
    return {name: [_correlation(b - a, lag) for lag in LAGS if 4 * lag <= len(a)] for name, (a, b) in lines.items()}


def _correlation(values: Array, lag: int) -> float:
    apart = values - values.mean()
    return round(float((apart[:-lag] * apart[lag:]).mean() / (apart**2).mean()), 2)


if __name__ == "__main__":
    raise SystemExit(main())
