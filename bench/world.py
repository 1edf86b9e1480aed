"""Is the world hard, real-looking, rich, cheap, and still the one that was frozen?

Prints, each against its limit: the difficulty floor (bench/world_floor.py), the realism sheet (bench/world_realism.py),
how many things and points of each class the splits have and how many of them are far or hidden, and what a frame costs
on one core. Exits with 1 where a check fails. `--manifest` writes or checks the frozen world's checksums instead.

    python bench/world.py --json world.json
    python bench/world.py floor --fast
    python bench/world.py --manifest check --scenes 2
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import world_floor
import world_realism
import world_sheet
from tqdm import tqdm

from clip2scene_training.world import Drive, Label, WorldConfig
from clip2scene_training.world.classes import THINGS
from clip2scene_training.world.manifest import (
    CHANGED,
    EXACT,
    WITHIN,
    check_manifest,
    default_path,
    key_frames,
    write_manifest,
)
from clip2scene_training.world.splits import EVERY, FRAMES, SPLITS
from clip2scene_training.world.visibility import hidden_share

LIMITS_S = {"32 beams, 6 cameras": 1.2, "64 beams, 4 cameras": 1.8, "sweep without cameras": 0.4}
"""CPU seconds a frame."""
INSTANCES, POINTS = 30, 2000
"""At least so many of each class (instances: of things) in `test`."""
SEEN_POINTS, FAR_M, HIDDEN = 5, 15.0, 0.1
"""A thing counts in a frame from so many points on; it is far, or partly hidden, from there on."""
FAR_SHARE, HIDDEN_SHARE = 0.5, 0.2
PARTS = ("floor", "realism", "counts", "cost")


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    world_floor.add_arguments(parser)
    world_realism.add_arguments(parser)
    parser.add_argument("--sheet", type=Path, help="also draw the contact sheet of twelve scenes")
    parser.add_argument("--manifest", choices=("check", "write"), help="only this: the frozen key frames' checksums")
    parser.add_argument("--workers", type=int, default=1, help="processes for the manifest (default: %(default)s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.manifest:
        return manifest(args)
    if args.sheet:
        world_sheet.draw(args.sheet)
    results = {part: MEASURES[part](args) for part in args.parts or ([] if args.sheet else PARTS)}
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(all(result["checks"].values()) for result in results.values()) else 1


def manifest(args: argparse.Namespace) -> int:
    """Write or check the manifest."""
    bar = tqdm(unit="scene", disable=None)

    def progress(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    every, path = args.scenes is None, default_path()
    if args.manifest == "write":
        path = path if every else Path(f"{path.stem}.{args.scenes}_scenes.json")
        write_manifest(path, scenes=args.scenes, workers=args.workers, progress=progress)
        bar.close()
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        return 0
    rows = check_manifest(None if every else key_frames(args.scenes), workers=args.workers, progress=progress)
    bar.close()
    states = Counter(row.state for row in rows)
    print(f"{len(rows)} frames: " + ", ".join(f"{states[state]} {state}" for state in (EXACT, WITHIN, CHANGED)))
    for row in rows:
        if row.state != EXACT:
            print(f"  {row.key[0]} {row.key[1]} frame {row.key[2]}: {row.state}: {row.why}")
    return 1 if states[CHANGED] else 0


def floor(args: argparse.Namespace) -> dict[str, Any]:
    """Measure the difficulty floor."""
    size = world_floor.FAST if args.fast else world_floor.Size()
    result = world_floor.measure(size, world_floor.read_ceiling(args.ceiling))
    world_floor.report(result)
    return result


def realism(args: argparse.Namespace) -> dict[str, Any]:
    """Compare with real scans."""
    result = world_realism.measure(args.scenes or (6 if args.fast else world_realism.SCENES), args.out)
    world_realism.report(result)
    return result


def counts(args: argparse.Namespace) -> dict[str, Any]:
    """Count things and points in the key frames of val, test and ood, without images."""
    scenes = args.scenes or (4 if args.fast else None)
    found = {name: count(name, scenes) for name in ("val", "test", "ood")}
    print(f"\n{'':22}" + "".join(f"{name + ' points':>14}{'things':>8}{'scenes':>8}" for name in found))
    for label in (label.name.lower() for label in Label):
        cells = (split["classes"][label] for split in found.values())
        print(f"{label:22}" + "".join(f"{c['points']:14,}{c['instances']:8}{c['scenes']:8}" for c in cells))
    for name, split in found.items():
        print(f"{name}: {split['things']} sights of things, {100 * split['far']:.0f} % beyond {FAR_M:g} m, ", end="")
        print(f"partly hidden {100 * split['hidden']:.0f} %; {split['returns']:.0f} returns a scan")
    result = {"splits": found, "checks": _count_checks(found, complete=scenes is None)}
    print_checks(result["checks"])
    return result


def count(split: str, scenes: int | None) -> dict[str, Any]:
    """Return points, things and scenes of each class, and how many sights of things are far or hidden."""
    points, returns = np.zeros((len(Label), 0), int), []
    instances: Counter[Label] = Counter()
    sights: list[tuple[bool, bool]] = []
    for seed in SPLITS[split].seeds[:scenes]:
        drive, here, seen = Drive(seed, SPLITS[split].config), np.zeros(len(Label), int), set()
        for key in range(FRAMES):
            frame = drive.frame(key * EVERY)
            here += np.bincount(frame.labels, minlength=len(Label))
            returns.append(len(frame.scan))
            hidden = hidden_share(drive, frame)
            ids, first, number = np.unique(frame.instances, return_index=True, return_counts=True)
            for which, at, n in zip(ids.tolist(), first, number, strict=True):
                if which and n >= SEEN_POINTS:
                    away = float(np.linalg.norm(frame.scan.points[frame.instances == which].mean(axis=0)))
                    sights.append((away > FAR_M, hidden.get(which, 0.0) >= HIDDEN))
                    seen.add((which, Label(frame.labels[at])))
        instances.update(label for _, label in seen)
        points = np.column_stack([points, here])
    return {
        "classes": {
            label.name.lower(): {
                "points": int(points[label].sum()), "scenes": int((points[label] > 0).sum()),
                "instances": instances[label],
            }
            for label in Label
        },
        "things": len(sights), "far": float(np.mean([f for f, _ in sights])),
        "hidden": float(np.mean([h for _, h in sights])), "returns": float(np.mean(returns)),
    }  # fmt: skip


def _count_checks(found: dict[str, Any], *, complete: bool) -> dict[str, bool]:
    checks = {}
    if complete:  # of some scenes there cannot be enough
        classes = found["test"]["classes"]
        few = [label.name.lower() for label in Label if classes[label.name.lower()]["points"] < POINTS]
        rare = [label.name.lower() for label in sorted(THINGS) if classes[label.name.lower()]["instances"] < INSTANCES]
        checks[f"test has {POINTS} points of every class{_but(few)}"] = not few
        checks[f"test has {INSTANCES} instances of every class of things{_but(rare)}"] = not rare
    for name, split in found.items():
        checks[f"{name}: at least half of the things are beyond {FAR_M:g} m"] = split["far"] >= FAR_SHARE
        checks[f"{name}: at least 20 % are partly hidden"] = split["hidden"] >= HIDDEN_SHARE
    return checks


def _but(names: list[str]) -> str:
    return f" (not {', '.join(names)})" if names else ""


def cost(args: argparse.Namespace) -> dict[str, Any]:
    """Measure CPU seconds, which other processes on the machine do not change much."""
    from clip2scene_training.world.rigs import with_rig

    scenes = args.scenes or (2 if args.fast else 8)
    near = SPLITS["val"].config
    tasks: dict[str, tuple[WorldConfig, bool]] = {
        "32 beams, 6 cameras": (near, True),
        "64 beams, 4 cameras": (with_rig(SPLITS["ood"].config, "unseen"), True),
        "sweep without cameras": (near, False),
    }
    seconds: dict[str, float] = {}
    build = []
    for name, (config, images) in tasks.items():
        spent = []
        for seed in SPLITS["val"].seeds[:scenes]:
            drive, took = timed(lambda seed=seed, config=config: Drive(seed, config))  # type: ignore[misc]
            build.append(took)
            drive.frame(0, with_images=images)  # things that move are made ready when first met
            spent += [timed(lambda i=i: drive.frame(i * EVERY, with_images=images))[1] for i in (2, 4)]  # noqa: B023
        seconds[name] = float(np.median(spent))
    result = {"cpu_s": seconds, "build_s": float(np.median(build)), "checks": {}}
    print(f"\nCPU seconds, median of {2 * scenes} frames of val; a scene {result['build_s']:.2f} s once")
    for name, took in seconds.items():
        result["checks"][f"{name}: {took:.2f} s, limit {LIMITS_S[name]} s"] = took <= LIMITS_S[name]
    print_checks(result["checks"])
    return result


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` returns, and the CPU seconds that it took."""
    started = time.process_time()
    return work(), time.process_time() - started


def print_checks(checks: dict[str, bool]) -> None:
    """Print one line for each."""
    for says, passed in checks.items():
        print(f"{'ok  ' if passed else 'FAIL'} {says}")


MEASURES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "floor": floor, "realism": realism, "counts": counts, "cost": cost,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
