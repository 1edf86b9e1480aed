"""What does the synthetic world cost on one core, and does it look like a street?

Prints the medians of building a scene, of a LiDAR-only sweep and of a full frame (LiDAR and six 320x180 cameras)
against their limits, the class shares of the points beside those of nuScenes, the returns per ring and ranges beside
the real nuScenes scan where that is at hand, and checks; draws a contact sheet. Exits with 1 where a check fails.

    python bench/world.py --seeds 0:24 --sheet sheet.png --json world.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import UNKNOWN, Frame
from clip2scene_ros.geometry import project, visible
from clip2scene_ros.render import bird_view, save_png
from clip2scene_training.world import Drive, Label, WorldConfig

FULL_LIMIT_S, SWEEP_LIMIT_S = 1.2, 0.4
SWEEPS = (0, 25, 50, 75)
SCAN = "data/nuscenes/n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin"

NUSCENES_PERCENT = {
    Label.BARRIER: 1.0, Label.BICYCLE: 0.02, Label.BUS: 0.5, Label.CAR: 4.5, Label.CONSTRUCTION_VEHICLE: 0.2,
    Label.MOTORCYCLE: 0.05, Label.PEDESTRIAN: 0.3, Label.TRAFFIC_CONE: 0.1, Label.TRAILER: 0.6, Label.TRUCK: 2.0,
    Label.DRIVEABLE_SURFACE: 38.0, Label.SIDEWALK: 9.0, Label.TERRAIN: 9.0, Label.MANMADE: 21.0, Label.VEGETATION: 14.0,
}  # fmt: skip
"""Rough shares of labelled points in nuScenes-lidarseg, rounded: a guide for the eye, not a benchmark's figure."""


def main() -> int:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0:24", metavar="A:B", help="scenes, B excluded (default: %(default)s)")
    parser.add_argument("--full", type=int, default=6, metavar="N", help="scenes of which images are made")
    parser.add_argument("--sheet", type=Path, help="PNG of images, labels and bird's-eye views")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    low, high = (int(v) for v in args.seeds.split(":"))
    result, rows = measure(range(low, high), args.full)
    report(result)
    if args.sheet:
        save_png(args.sheet, np.vstack(rows))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if all(result["checks"].values()) else 1


def measure(seeds: range, full: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Drive through the scenes; return figures and the rows of the contact sheet."""
    build, sweeps, frames, counts, rings, ranges, agree, rows = [], [], [], [], [], [], [], []
    for position, seed in enumerate(seeds):
        started = time.perf_counter()
        drive = Drive(seed, WorldConfig(duration_s=4.0))
        build.append(time.perf_counter() - started)
        drive.frame(1)  # things that move are made ready when first met
        for index in SWEEPS:
            started = time.perf_counter()
            frame = drive.frame(index)
            sweeps.append(time.perf_counter() - started)
            counts.append(np.bincount(frame.labels, minlength=len(Label)))
            rings.append(np.bincount(frame.scan.ring, minlength=drive.config.lidar.beams))
            ranges.append(np.linalg.norm(frame.scan.points, axis=1))
        if position < full:
            drive.frame(SWEEPS[1], with_images=True)
            started = time.perf_counter()
            frame = drive.frame(SWEEPS[2], with_images=True)
            frames.append(time.perf_counter() - started)
            agree.append(agreement(drive, frame))
            rows.append(sheet_row(frame))
    result: dict[str, Any] = {
        "build_s": float(np.median(build)),
        "sweep_s": float(np.median(sweeps)),
        "frame_s": float(np.median(frames)),
        "ring_returns": np.mean(rings, axis=0).round().astype(int).tolist(),
        "range_percentiles_m": np.percentile(np.concatenate(ranges), [10, 25, 50, 75, 90, 99]).round(1).tolist(),
        "pixel_agreement": float(np.mean(agree)),
        **class_figures(np.reshape(counts, (len(build), len(SWEEPS), len(Label)))),
    }
    result["checks"] = checks(result)
    return result, rows


def class_figures(counts: np.ndarray) -> dict[str, Any]:
    """Return what the points' classes say, from (scenes, sweeps, classes) counts."""
    share = counts.sum(axis=(0, 1)) / counts.sum()
    scenes = (counts.sum(axis=1) > 0).sum(axis=0)
    return {
        "returns": float(counts.sum(axis=2).mean()),
        "percent": {label.name.lower(): round(100 * float(share[label]), 3) for label in Label},
        "scenes_with": {label.name.lower(): int(scenes[label]) for label in Label},
    }


def checks(result: dict[str, Any]) -> dict[str, bool]:
    """Return what must hold, by its sentence."""
    percent = result["percent"]
    return {
        f"a full frame takes at most {FULL_LIMIT_S} s": result["frame_s"] <= FULL_LIMIT_S,
        f"a sweep takes at most {SWEEP_LIMIT_S} s": result["sweep_s"] <= SWEEP_LIMIT_S,
        "all 15 classes occur": all(result["scenes_with"].values()),
        "classes above 5 % in nuScenes are within 0.5 to 2 times their share there": all(
            0.5 < percent[label.name.lower()] / there < 2 for label, there in NUSCENES_PERCENT.items() if there > 5
        ),
        "at least 90 % of visible points fall on pixels of their class": result["pixel_agreement"] >= 0.9,
    }


def agreement(drive: Drive, frame: Frame) -> float:
    """Return the share of visible points that fall on a pixel of their class."""
    points, same = drive.points_at_stamp(frame.scan).astype(np.float32), []
    for view in frame.views:
        uv, depth, inside = project(points, view)
        seen = visible(uv, depth, inside, view.camera)
        u, v = np.rint(uv[seen]).astype(int).T
        same.append(view.labels[v, u] == frame.labels[seen])
    return float(np.concatenate(same).mean())


def sheet_row(frame: Frame) -> np.ndarray:
    """Return six images, their labels, and the labelled scan from above."""
    palette = load_class_set("world").palette
    palette[UNKNOWN] = (70, 130, 180)
    views = {v.name: v for v in frame.views}
    names = (("cam_front_left", "cam_front", "cam_front_right"), ("cam_back_left", "cam_back", "cam_back_right"))
    pictures = np.vstack([np.hstack([views[n].image for n in row]) for row in names])
    labels = np.vstack([np.hstack([palette[views[n].labels] for n in row]) for row in names])
    return np.hstack([pictures, labels, bird_view(frame.scan.points, frame.labels, palette, len(pictures), 40.0)])


def report(result: dict[str, Any]) -> None:
    """Print the figures."""
    print(f"scene  {1000 * result['build_s']:7.0f} ms  once")
    print(f"sweep  {1000 * result['sweep_s']:7.0f} ms  limit {1000 * SWEEP_LIMIT_S:.0f} ms")
    print(f"frame  {1000 * result['frame_s']:7.0f} ms  limit {1000 * FULL_LIMIT_S:.0f} ms, six cameras")
    print(
        f"\n{result['returns']:.0f} returns a sweep\n\n{'class':22} {'here %':>7} {'nuScenes about':>14} {'scenes':>7}"
    )
    for label, percent in NUSCENES_PERCENT.items():
        name = label.name.lower()
        print(f"{name:22} {result['percent'][name]:7.2f} {percent:14.2f} {result['scenes_with'][name]:7d}")
    print("\nreturns per ring  " + " ".join(map(str, result["ring_returns"])))
    real = Path(__file__).resolve().parents[2] / "shared" / SCAN
    if real.is_file():
        cloud = np.fromfile(real, np.float32).reshape(-1, 5)
        away = np.linalg.norm(cloud[:, :3], axis=1)
        cloud, away = cloud[away > 2.9], away[away > 2.9]  # nearer is the recording car itself
        print("  a real scan     " + " ".join(map(str, np.bincount(cloud[:, 4].astype(int), minlength=32))))
        print(f"range 10 25 50 75 90 99 %  {result['range_percentiles_m']}")
        print(f"  a real scan              {np.percentile(away, [10, 25, 50, 75, 90, 99]).round(1).tolist()}")
    print(f"\nvisible points on pixels of their class: {100 * result['pixel_agreement']:.1f} %\n")
    for name, passed in result["checks"].items():
        print(f"{'ok  ' if passed else 'FAIL'} {name}")


if __name__ == "__main__":
    sys.exit(main())
