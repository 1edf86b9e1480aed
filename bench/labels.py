"""What are a teacher's labels of points worth, and what does each step of the labeler bring?

Three looks at one frame of each of some scenes of the world: the confidence that a label needs, each step alone, and
what wrong calibrations and stamps cost. Choices are made on val; test is only for the report, with the threshold
that val chose.

    python bench/labels.py --noise 0.3 --json out.json
    python bench/labels.py --clip runs/tiny_clip.safetensors
    python bench/labels.py --clip runs/tiny_clip.safetensors --split test --threshold 0.35
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from labels_errors import Change, as_it_is, late, rotated, shifted, standing_still, way_of
from labels_score import Curve, Score
from labels_teachers import NoisyTruth, Remembering
from tqdm import tqdm

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import ClipConfig, LabelerConfig, TextConfig
from clip2scene_ros.frame import Array, Frame, PseudoLabels
from clip2scene_ros.significance import MIN_SCENES, compare
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_ros.teacher.teachers import ClipTeacher, Teacher
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.scoring_table import seen_by_a_camera
from clip2scene_training.world.splits import SPLITS

FRAMES, MIDDLE = 3, 1
"""Of a scene; the one in the middle is judged, the others say how the vehicle moved, and vote."""
EVERY = 5
"""Sweeps between them: 0.25 s."""
RESAMPLES = 2_000


@dataclass(frozen=True)
class Row:
    """One way to label.

    Attributes:
        name: as printed.
        changed: settings that differ from the baseline's.
        frames: what is wrong with the frames.
        against: the row that it is compared with.
    """

    name: str
    changed: dict[str, Any]
    frames: Change = as_it_is
    against: str = "baseline"


STEPS = (
    Row("baseline", {}),
    Row("no visibility", {"visibility": False}),
    Row("one camera", {"vote": "first"}),
    Row("no ego motion", {}, standing_still),
    Row("no point time", {"point_time": False}),
    Row("range weight", {"range_weight": True}),
    Row("incidence weight", {"incidence_weight": True}),
    Row("confidence weight", {"confidence_weight": True}),
    Row("ground", {"ground": True}),
    Row("clusters", {"clusters": True}),
    Row("columns", {"columns": True}),
    Row("ground, clusters", {"ground": True, "clusters": True}, against="ground"),
    Row("ground, columns, clusters", {"ground": True, "columns": True, "clusters": True}, against="ground, clusters"),
    Row("surest 70 %", {"keep": 0.7}),
    Row("sweeps", {"sweeps": 1}),
    Row("sweeps, range", {"sweeps": 1, "range_weight": True}, against="sweeps"),
    Row("sweeps, incidence", {"sweeps": 1, "incidence_weight": True}, against="sweeps"),
    Row("sweeps, confidence", {"sweeps": 1, "confidence_weight": True}, against="sweeps"),
    Row("sweeps, ground, clusters", {"sweeps": 1, "ground": True, "clusters": True}, against="sweeps"),
)
ERRORS = (
    *(Row(f"rotated by {d} deg", {}, rotated(d)) for d in (0.5, 1.0, 2.0)),
    *(Row(f"shifted by {m} m", {}, shifted(m)) for m in (0.1, 0.3)),
    *(Row(f"stamps off by {ms} ms", {}, late(ms / 1000)) for ms in (50, 100, 200)),
)


@dataclass(frozen=True)
class Scene:
    """The frames of one scene, and which points of the middle one a camera sees."""

    frames: list[Frame]
    seen: Array


def main() -> int:
    """Print the tables."""
    args = _arguments()
    torch.set_num_threads(1)
    started = time.process_time()
    teacher = Remembering(_teacher(args))
    names = teacher.class_set.names
    scenes = list(tqdm(_scenes(args), total=args.scenes, desc="scenes", leave=False))
    print(f"{teacher.describe()}; {len(scenes)} scenes of {args.split}")
    curve = _curve(scenes, teacher)
    if args.threshold is None:
        _print_curve(curve)
    threshold = curve.best() if args.threshold is None else args.threshold
    print(f"a label needs a confidence of {threshold}\n\n{HEAD}")
    scores: dict[str, Score] = {}
    for row in (*STEPS, *ERRORS):
        used = scenes[: args.sweep_scenes] if row.changed.get("sweeps") else scenes
        scores[row.name] = score(used, teacher, row, threshold)
        print(_line(row, scores), flush=True)
    for name in ("baseline", "ground, clusters", "ground, columns, clusters"):
        _print_details(name, scores[name].details(names))
    print(f"{time.process_time() - started:.0f} CPU-s")
    if args.json:
        found = {
            "teacher": teacher.describe(), "split": args.split, "scenes": len(scenes),
            "threshold": threshold, "curve": curve.rows(), "classes": list(names),
            "rows": {row.name: _row(row, scores, names) for row in (*STEPS, *ERRORS)},
        }  # fmt: skip
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1))
    return 0


def score(scenes: Sequence[Scene], teacher: Teacher, row: Row, threshold: float) -> Score:
    """Label the middle frame of each scene; a step of the labeler also with absorbers that compete."""
    total, config = Score(len(teacher.class_set), threshold), LabelerConfig(**row.changed)
    for number, scene in enumerate(scenes):
        way = way_of(scene.frames)
        draws = [np.random.default_rng([number, k]) for k in range(len(scene.frames))]
        frames = [row.frames(frame, way, rng) for frame, rng in zip(scene.frames, draws, strict=True)]
        competing = _labels(frames, teacher, replace(config, absorbers="compete")) if row in STEPS else None
        total.add(frames[MIDDLE], _labels(frames, teacher, config), competing, scene.seen)
    return total


def _labels(frames: list[Frame], teacher: Teacher, config: LabelerConfig) -> PseudoLabels:
    """Return the labels of the middle frame; only sweeps that vote are looked at."""
    if not config.sweeps:
        frames = [frame if k == MIDDLE else replace(frame, views=()) for k, frame in enumerate(frames)]
    return next(islice(Labeler(teacher, config).label(frames), MIDDLE, None)).labels


def _curve(scenes: Sequence[Scene], teacher: Teacher) -> Curve:
    curve = Curve(len(teacher.class_set))
    for scene in scenes:
        curve.add(scene.frames[MIDDLE], _labels(scene.frames, teacher, LabelerConfig()), scene.seen)
    return curve


def _scenes(args: argparse.Namespace) -> Iterator[Scene]:
    split = SPLITS[args.split]
    split = replace(split, seeds=split.seeds[: args.scenes])
    data = WorldDataset(split, FRAMES, args.cache, every=EVERY, workers=args.workers, with_images=True)
    for start in range(0, len(data), FRAMES):
        frames = [data[start + k] for k in range(FRAMES)]
        points = points_at_stamp(frames[MIDDLE], frames[:MIDDLE] + frames[MIDDLE + 1 :])
        yield Scene(frames, seen_by_a_camera(frames[MIDDLE], points))


def _teacher(args: argparse.Namespace) -> Teacher:
    classes = load_class_set("world")
    if args.clip is None:
        return NoisyTruth(classes, args.noise)
    clip = ClipConfig(checkpoint=str(args.clip), device="cpu")
    return ClipTeacher.load(classes, clip, text=TextConfig(cache=""))


HEAD = (
    f"{'':26}{'covered':>8}{'of seen':>8}{'precise':>8}{'mIoU':>7}{'competing':>10}{'no thr.':>8}{'ECE':>6}"
    "  mIoU against its reference, and both without a threshold"
)


def _line(row: Row, scores: dict[str, Score]) -> str:
    n = {key: 100 * value for key, value in scores[row.name].numbers().items()}
    return (
        f"{row.name:26}{n['coverage']:8.1f}{n['coverage_seen']:8.1f}{n['precision']:8.1f}{n['miou']:7.1f}"
        f"{n.get('miou_competing', math.nan):10.1f}{n['miou_no_threshold']:8.1f}{n['ece']:6.1f}  "
        f"{_differences(row, scores)}"
    )


def _differences(row: Row, scores: dict[str, Score]) -> str:
    """Return the paired differences of mIoU on seen points, with their intervals; ~ where there may be none."""
    mine, other = scores[row.name], scores[row.against]
    count = len(mine.seen)
    if row.name == row.against or count < MIN_SCENES:
        return ""
    pairs = ((mine.seen, other.seen), (mine.unsure, other.unsure))
    found = [compare(np.stack(a), np.stack(b[:count]), resamples=RESAMPLES) for a, b in pairs]
    texts = [
        f"{'' if c.differs else '~'}{100 * c.difference:+.1f} [{100 * c.low:+.1f}, {100 * c.high:+.1f}]" for c in found
    ]
    return f"{', '.join(texts)} {row.against} ({count})"


def _row(row: Row, scores: dict[str, Score], names: tuple[str, ...]) -> dict[str, Any]:
    found = scores[row.name]
    return {**found.numbers(), "against": row.against, "differences": _differences(row, scores),
            "settings": row.changed, **found.details(names), "confusion": sum(found.seen).tolist()}  # fmt: skip


def _print_curve(curve: Curve) -> None:
    print(f"\n{'confidence':>10}{'of seen':>9}{'precise':>9}{'mIoU':>7}")
    for row in curve.rows():
        print(f"{row['threshold']:10.2f}{100 * row['coverage_seen']:9.1f}{100 * row['precision']:9.1f}"
              f"{100 * row['miou']:7.1f}")  # fmt: skip


def _print_details(name: str, details: dict[str, Any]) -> None:
    print(f"\n{name}: " + ", ".join(f"{band} {100 * value:.1f}" for band, value in details["miou_by_distance"].items()))
    print("  " + ", ".join(f"{name} {100 * value:.0f}" for name, value in details["iou"].items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="CLIP weights (.safetensors); without them the true pixels teach")
    parser.add_argument("--noise", type=float, default=0.0, help="share of blocks of the true pixels that are wrong")
    parser.add_argument("--split", choices=("val", "train", "test"), default="val")
    parser.add_argument("--threshold", type=float, help="confidence that a label needs; by default chosen here")
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--sweep-scenes", type=int, default=12, help="of which the rows with sweeps see all images")
    parser.add_argument("--cache", type=Path, default=Path("runs/world_images"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.split == "test" and args.threshold is None:
        parser.error("--split test needs the --threshold that was chosen on val")
    return args


if __name__ == "__main__":
    raise SystemExit(main())
