"""What is there without learning in 3D? The teacher's labels, the same carried to all points, and geometry alone.

One frame of each of some scenes of the world, every row on the same points: those that a camera sees, those that none
sees, and all. Differences are paired, 95 % of a bootstrap over scenes; `~`: 0 is within.

    python bench/baselines.py --json out.json
    python bench/baselines.py --split test
    python bench/baselines.py --scenes 10 --clip runs/tiny_clip.safetensors
    python bench/baselines.py --noise 0.3
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from labels_teachers import NoisyTruth, Remembering
from tqdm import tqdm

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import ClipConfig, LabelerConfig, TextConfig
from clip2scene_ros.frame import Array, PseudoLabels
from clip2scene_ros.metrics import BANDS_M
from clip2scene_ros.significance import MIN_SCENES
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.teachers import TINY, ClipTeacher, Teacher
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.fill import fill_unseen
from clip2scene_training.geometry_only import label_by_geometry
from clip2scene_training.scoring_table import ALL, SIGHTS, JudgedFrame, Row, compare_rows, judged_frames
from clip2scene_training.world.splits import SPLITS

FRAMES, MIDDLE, EVERY = 3, 1, 5
"""As `labels.py`: of three frames 0.25 s apart the middle one is judged; the others say how the vehicle moved."""
RULES = LabelerConfig(ground=True, clusters=True)
REACHES_M = (1.0, 5.0)
RESAMPLES = 2_000
TEACHER = "teacher's labels"
PLACES = (*SIGHTS, ALL)

Predict = Callable[[JudgedFrame], Array]


def main() -> int:
    """Print the table."""
    args = _arguments()
    torch.set_num_threads(1)
    started = time.process_time()
    teacher = Remembering(_teacher(args))
    names = teacher.class_set.names
    rows = {name: Row(names) for name in _predictions(teacher)}
    split = replace(SPLITS[args.split], seeds=SPLITS[args.split].seeds[: args.scenes])
    data = WorldDataset(split, FRAMES, args.cache, every=EVERY, workers=args.workers, with_images=True)
    points = 0
    for judged in tqdm(judged_frames(data, (MIDDLE,)), total=len(split.seeds), desc="scenes", leave=False):
        points += len(judged.points)
        for name, predict in _predictions(teacher).items():
            rows[name].add(judged, predict(judged))
    seen = int(rows[TEACHER].matrix("seen").sum()) / max(int(rows[TEACHER].matrix().sum()), 1)
    print(f"{teacher.describe()}; {len(split.seeds)} scenes of {args.split}, {points} points, {100 * seen:.1f} % seen")
    differences = {name: _differences(row, rows[TEACHER]) for name, row in rows.items() if name != TEACHER}
    _print(rows, differences)
    print(f"{time.process_time() - started:.0f} CPU-s")
    if args.json:
        found = {
            "teacher": teacher.describe(), "split": args.split, "seeds": [*split.seeds], "seen": seen,
            "rows": {name: {**row.numbers(), "against the teacher": differences.get(name), **row.to_json()}
                     for name, row in rows.items()},
        }  # fmt: skip
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found) + "\n")
    return 0


def _predictions(teacher: Teacher) -> dict[str, Predict]:
    """Return each row's way to class ids."""

    def plain(judged: JudgedFrame) -> PseudoLabels:
        return _labels(judged, teacher, LabelerConfig())

    def ruled(judged: JudgedFrame) -> PseudoLabels:
        return _labels(judged, teacher, RULES)

    def filled(make: Callable[[JudgedFrame], PseudoLabels], reach_m: float) -> Predict:
        return lambda judged: fill_unseen(judged.points, make(judged), reach_m).class_id

    return {
        TEACHER: lambda judged: plain(judged).class_id,
        **{f"filled within {reach:g} m": filled(plain, reach) for reach in REACHES_M},
        "filled": filled(plain, float("inf")),
        "ground, clusters": lambda judged: ruled(judged).class_id,
        "ground, clusters, filled": filled(ruled, float("inf")),
        "geometry alone": lambda judged: label_by_geometry(judged.points, teacher.class_set).class_id,
    }


def _labels(judged: JudgedFrame, teacher: Teacher, config: LabelerConfig) -> PseudoLabels:
    """Return what the labeler says of a judged frame; its neighbours tell the motion, nobody looks at them."""
    near = [(-1, judged.before), (0, judged.frame), (1, judged.after)]
    frames = [(place, frame if not place else replace(frame, views=())) for place, frame in near if frame is not None]
    found = Labeler(teacher, config).label(frame for _, frame in frames)
    return next(each.labels for (place, _), each in zip(frames, found, strict=True) if not place)


def _teacher(args: argparse.Namespace) -> Teacher:
    classes = load_class_set("world")
    if args.noise is not None:
        return NoisyTruth(classes, args.noise)
    return ClipTeacher.load(classes, ClipConfig(checkpoint=args.clip, device="cpu"), text=TextConfig(cache=""))


def _differences(row: Row, other: Row) -> dict[str, Any] | None:
    """Return the paired differences of mIoU with their intervals, by place; None where the scenes are too few."""
    if len(row.scenes) < MIN_SCENES:
        return None
    found = {place: compare_rows(row, other, place, resamples=RESAMPLES) for place in PLACES}
    return {place: [c.difference, c.low, c.high] for place, c in found.items()}


def _print(rows: dict[str, Row], differences: dict[str, Any]) -> None:
    bands = list(BANDS_M)
    print(
        f"\n{'mIoU [%]':26}" + "".join(f"{name:>9}" for name in (*PLACES, *bands, "labelled")) + "  all, against them"
    )
    for name, row in rows.items():
        values = [row.miou(place) for place in PLACES] + [row.miou(ALL, band) for band in bands]
        cells = "".join(f"{100 * value:9.1f}" for value in (*values, row.numbers()["labelled"][ALL]))
        found = differences.get(name)
        change = "" if found is None else _interval(*found[ALL])
        print(f"{name:26}{cells}  {change}")
    for place in PLACES:
        print(f"\nIoU [%], {place}\n{'':26}" + "".join(f"{n[:8]:>9}" for n in rows[TEACHER].classes))
        for name, row in rows.items():
            shares = row.numbers()["iou"][place].values()
            print(f"{name:26}" + "".join(f"{'-':>9}" if v is None else f"{100 * v:9.1f}" for v in shares))


def _interval(difference: float, low: float, high: float) -> str:
    return f"{'~' if low <= 0 <= high else ''}{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default=TINY, help="CLIP weights (.safetensors); by default the shipped one")
    parser.add_argument("--noise", type=float, help="the true pixels teach, this share of their blocks being wrong")
    parser.add_argument("--split", choices=tuple(SPLITS), default="val")
    parser.add_argument("--scenes", type=int, help="the first ones of the split; by default all")
    parser.add_argument("--cache", type=Path, default=Path("runs/world_images"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
