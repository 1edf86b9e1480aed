"""How hard is the world: how far do methods get that do not look at shapes in context?

Four of them learn from scenes of `train` and are judged on `val` by one mIoU over all of it: the most frequent class;
gradient-boosted trees on a point's (z, range, intensity, ring); trees on 20 hand-made features of a point's
neighbourhood; trees on a pixel's (r, g, b, row). Each has a limit that was set before any method was trained: a world
in which they get farther measures nothing. The trees get every benefit of doubt: of six ways to weigh rare classes
against frequent ones, the one that is best on `val` counts.

    python bench/world_floor.py --ceiling 70 --json floor.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and scikit-learn start their threads

import numpy as np
from world_features import NAMES as FEATURES
from world_features import features, neighbourhood

from clip2scene_ros.frame import UNKNOWN, Array, Frame
from clip2scene_ros.metrics import confusion, iou, mean_iou
from clip2scene_training.world import Drive, Label
from clip2scene_training.world.splits import EVERY, SPLITS

POINT_LIMIT, FEATURE_SHARE, PIXEL_LIMIT = 30.0, 0.6, 25.0
"""mIoU that trees on single points stay under, share of the ceiling on features, mIoU on single pixels."""
CEILING = Path("docs/world1/ceiling.json")
KEYS = (1, 4)
"""Key frames taken of each scene: 2.25 s apart, some 18 m."""
PER_CLASS = 9000
"""Samples of each class to learn from, and to be judged on (the counts are then scaled back)."""
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""Tried powers of the classes' true frequencies as prior: 0 all classes alike, 1 as they occur."""


@dataclass(frozen=True)
class Size:
    """How much is generated and learned.

    Attributes:
        train, val: scenes for points; of every second one, images are made too.
        iterations: of boosting at most; it stops early when nothing is gained.
    """

    train: int = 56
    val: int = 30
    iterations: int = 300


FAST = Size(train=10, val=6, iterations=40)


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows to learn from or to be judged on.

    Attributes:
        x: (S, F) float32.
        y: (S,) uint8 class.
        total: (C,) how many rows of each class there were before sampling.
    """

    x: Array
    y: Array
    total: Array

    def columns(self, which: list[int]) -> Samples:
        """Return the same rows with some of their columns."""
        return Samples(self.x[:, which], self.y, self.total)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = measure(FAST if args.fast else Size(), read_ceiling(args.ceiling))
    report(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if all(result["checks"].values()) else 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `bench/world.py` has too."""
    parser.add_argument("--fast", action="store_true", help="few scenes, few trees: an impression")
    parser.add_argument("--ceiling", type=float, help=f"mIoU of the ceiling in percent (default: from {CEILING})")


def read_ceiling(given: float | None) -> float | None:
    """Return the ceiling's mIoU on `val` in percent, None where it was not measured yet."""
    path = Path(__file__).resolve().parent.parent / CEILING
    if given is not None or not path.is_file():
        return given
    miou = json.loads(path.read_text())["miou"]
    return None if miou is None else float(miou)


def measure(size: Size, ceiling: float | None) -> dict[str, Any]:
    """Generate, learn, judge; return figures and checks. mIoU in percent."""
    started = time.process_time()
    rng = np.random.default_rng(1)
    train, val = (gather(name, count, rng) for name, count in (("train", size.train), ("val", size.val)))
    generated = time.process_time() - started
    single = [FEATURES.index(name) for name in ("z", "range", "intensity")] + [len(FEATURES)]
    hand_made = list(range(len(FEATURES)))
    floors = {
        "majority": majority(train["points"], val["points"]),
        "point": trees(train["points"].columns(single), val["points"].columns(single), size),
        "features": trees(train["points"].columns(hand_made), val["points"].columns(hand_made), size, FEATURES),
        "pixel": trees(train["pixels"], val["pixels"], size, ("r", "g", "b", "row")),
    }
    result = {
        "floors": floors, "ceiling": ceiling, "generate_s": generated, "all_s": time.process_time() - started,
        "scenes": {"train": size.train, "val": size.val},
    }  # fmt: skip
    return {**result, "checks": checks(floors, ceiling)}


def checks(floors: dict[str, Any], ceiling: float | None) -> dict[str, bool]:
    """Return what must hold, by its sentence; the one against the ceiling only where that is known."""
    found = {
        f"trees on single points stay under {POINT_LIMIT:g} mIoU": floors["point"]["miou"] < POINT_LIMIT,
        f"trees on single pixels stay under {PIXEL_LIMIT:g} mIoU": floors["pixel"]["miou"] < PIXEL_LIMIT,
    }
    if ceiling is not None:
        limit = FEATURE_SHARE * ceiling
        found[f"trees on features stay under 60 % of the ceiling, {limit:.1f} mIoU"] = (
            floors["features"]["miou"] < limit
        )
    return found


def gather(split: str, scenes: int, rng: np.random.Generator) -> dict[str, Samples]:
    """Return samples of points (20 features and the ring) and of pixels of a split's first scenes."""
    frames: list[tuple[Frame, float]] = []
    pixels: list[tuple[Array, Array]] = []
    for position, seed in enumerate(SPLITS[split].seeds[:scenes]):
        drive = Drive(seed, SPLITS[split].config)
        height = drive.config.lidar_position_m[2]
        for key in KEYS:
            with_images = key == KEYS[0] and position % 2 == 0
            frame = drive.frame(key * EVERY, with_images=with_images)
            frames.append((frame, height))
            pixels += [_pixels(view.image, view.labels) for view in frame.views]
    return {"points": _points(frames, rng), "pixels": _drawn(pixels, rng)}


def _pixels(image: Array, labels: Array) -> tuple[Array, Array]:
    """Return (P, 4) uint8-range rows r, g, b, row of an image's labelled pixels, and their classes."""
    v, u = np.nonzero(labels != UNKNOWN)
    row = np.round(255 * v / len(labels))
    return np.column_stack([image[v, u], row]).astype(np.uint8), labels[v, u]


def _drawn(parts: list[tuple[Array, Array]], rng: np.random.Generator) -> Samples:
    x, y = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    total = np.bincount(y, minlength=len(Label))
    kept = np.flatnonzero(rng.random(len(y)) < _chance(total)[y])
    return Samples(x[kept].astype(np.float32), y[kept], total)


def _points(frames: list[tuple[Frame, float]], rng: np.random.Generator) -> Samples:
    total = np.sum([np.bincount(frame.labels, minlength=len(Label)) for frame, _ in frames], axis=0)
    rows, classes = [], []
    for frame, height in frames:
        scan = frame.scan
        kept = np.flatnonzero(rng.random(len(scan)) < _chance(total)[frame.labels])
        found = features(neighbourhood(scan.points, scan.intensity, kept), height)
        rows.append(np.column_stack([found, scan.ring[kept]]).astype(np.float32))
        classes.append(frame.labels[kept])
    return Samples(np.concatenate(rows), np.concatenate(classes), total)


def _chance(total: Array) -> Array:
    """Return (C,) the probability with which a row of each class is drawn."""
    return np.minimum(1.0, PER_CLASS / np.maximum(total, 1))


def majority(train: Samples, val: Samples) -> dict[str, Any]:
    """Return the score of always saying the most frequent class."""
    return _score(val, np.full(len(val.y), np.argmax(train.total), np.uint8))


def trees(train: Samples, val: Samples, size: Size, names: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the score of boosted trees, and with `names` how much of it each column carries."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        learning_rate=0.15, max_iter=size.iterations, max_leaf_nodes=31, min_samples_leaf=30, l2_regularization=1.0,
        early_stopping=True, validation_fraction=0.1, n_iter_no_change=12, random_state=0,
    )  # fmt: skip
    started = time.process_time()
    model.fit(train.x, train.y)
    drawn = np.bincount(train.y, minlength=len(Label))
    scores = {}
    chances = model.predict_proba(val.x)
    for exponent in EXPONENTS:  # learned on drawn rows: undo the drawing, put the tried prior in
        prior = (train.total[model.classes_] ** exponent) / drawn[model.classes_]
        scores[exponent] = _score(val, model.classes_[np.argmax(chances * prior, axis=1)])
    best = max(scores, key=lambda exponent: scores[exponent]["miou"])
    result = {
        **scores[best], "prior_exponent": best, "by_exponent": {str(e): s["miou"] for e, s in scores.items()},
        "rows": len(train.y), "iterations": int(model.n_iter_), "fit_s": time.process_time() - started,
    }  # fmt: skip
    if names:
        prior = (train.total[model.classes_] ** best) / drawn[model.classes_]
        result["loss_without"] = _importance(model, prior, val, names)
    return result


def _importance(model: Any, prior: Array, val: Samples, names: tuple[str, ...]) -> dict[str, float]:  # noqa: ANN401
    """Return by how much the mIoU falls when a column is shuffled, largest first [percent]."""
    rng = np.random.default_rng(2)
    some = rng.permutation(len(val.y))[:12_000]
    part = Samples(val.x[some], val.y[some], val.total)

    def score(x: Array) -> float:
        return float(_score(part, model.classes_[np.argmax(model.predict_proba(x) * prior, axis=1)])["miou"])

    whole, lost = score(part.x), {}
    for column, name in enumerate(names):
        x = part.x.copy()
        x[:, column] = rng.permutation(x[:, column])
        lost[name] = round(whole - score(x), 2)
    return dict(sorted(lost.items(), key=lambda item: -item[1]))


def _score(val: Samples, predicted: Array) -> dict[str, Any]:
    """Return mIoU and IoU per class in percent, over all rows that the judged ones stand for."""
    matrix = confusion(val.y, predicted, len(Label))
    scaled = matrix * (val.total / np.maximum(matrix.sum(axis=1), 1))[:, None]
    return {
        "miou": 100 * mean_iou(scaled),
        "iou": {
            label.name.lower(): None if np.isnan(v) else round(100 * float(v), 1)
            for label, v in zip(Label, iou(scaled), strict=True)
        },
    }


def report(result: dict[str, Any]) -> None:
    """Print the figures."""
    floors, ceiling = result["floors"], result["ceiling"]
    limit = "60 % of the ceiling" if ceiling is None else f"{FEATURE_SHARE * ceiling:.1f}"
    limits = {"majority": "-", "point": f"{POINT_LIMIT:g}", "features": limit, "pixel": f"{PIXEL_LIMIT:g}"}
    scenes = result["scenes"]
    print(f"difficulty floor, mIoU on {scenes['val']} scenes of val, learned from {scenes['train']} of train\n")
    print(f"{'':22}" + "".join(f"{name:>12}" for name in floors))
    print(f"{'mIoU':22}" + "".join(f"{floor['miou']:12.1f}" for floor in floors.values()))
    print(f"{'has to stay under':22}" + "".join(f"{limits[name][:12]:>12}" for name in floors))
    for label in (label.name.lower() for label in Label):
        cells = (floor["iou"][label] for floor in floors.values())
        print(f"{label:22}" + "".join(f"{'absent':>12}" if v is None else f"{v:12.1f}" for v in cells))
    for name in ("point", "features", "pixel"):
        floor = floors[name]
        print(f"\n{name}: {floor['rows']} rows, {floor['iterations']} iterations, {floor['fit_s']:.0f} s; mIoU by")
        print("  power of the prior: " + ", ".join(f"{k} {v:.1f}" for k, v in floor["by_exponent"].items()))
        if "loss_without" in floor:
            print("  lost without: " + ", ".join(f"{k} {v:.1f}" for k, v in list(floor["loss_without"].items())[:8]))
    print(f"\nCPU seconds: {result['generate_s']:.0f} to generate, {result['all_s']:.0f} in all\n")
    for name, passed in result["checks"].items():
        print(f"{'ok  ' if passed else 'FAIL'} {name}")


if __name__ == "__main__":
    sys.exit(main())
