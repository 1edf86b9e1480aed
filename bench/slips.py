"""How soon does the watch see that a camera slipped, how often is it wrong, and does the check name the cause?

    python bench/slips.py watch runs/slips --split val     # 3 minutes of driving; thresholds were chosen on these
    python bench/slips.py watch runs/slips --split test    # 4 others, one by night and one in fog
    python bench/slips.py mend runs/slips                  # turned, then put right: how long is it left out?
    python bench/slips.py causes drive.mcap                # a bag of `clip2scene world`, made wrong in every way
    python bench/slips.py causes bent.mcap --distorted     # one whose lenses are distorted
    python bench/slips.py real ../shared/data              # a nuScenes key frame and a KITTI frame

`--json FILE` after any of them keeps what is printed.

A minute is one drive with a look a second at each of six cameras; a slip is there from its first second on. Every
camera gets each slip once, with a sign that alternates from camera to camera.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from slips_bags import DISTORTED, FAULTS, spoil
from slips_data import minute

from clip2scene_ros.alignment import AXES, turned
from clip2scene_ros.alignment_fit import FITS, SLIPPED
from clip2scene_ros.calibrate.check import check
from clip2scene_ros.calibrate.sights import gather_sights, sizes
from clip2scene_ros.calibrate.watch import CalibrationWatch
from clip2scene_ros.collect.recorder import fit_of
from clip2scene_ros.collect.sets import RawSet
from clip2scene_ros.collect.slips import Slips
from clip2scene_ros.frame import Array, Frame
from clip2scene_ros.io.bags import BagReader

MINUTES = {
    "val": ((100_000, "any"), (100_001, "any"), (100_002, "night_or_fog")),
    "test": ((300_000, "any"), (300_001, "any"), (300_002, "night"), (300_003, "fog")),
}
MENDED = {"turned from the start, for 20 s": (0, 20), "turned after a minute, for a minute": (60, 60)}
"""Name -> for how many seconds a camera is right, then turned, before it is put right."""
AFTERWARDS_S = 60
DEGREES, METRES = (0.5, 1.0, 2.0), (0.1, 0.3)


def slips() -> dict[str, Array]:
    """Return name -> (4, 4) really_there_from_calibrated, the identity first."""
    found = {"none": np.eye(4)}
    for axis in AXES:
        found |= {f"{axis} {degrees:g} deg": turned(axis, np.radians(degrees)) for degrees in DEGREES}
    for row, axis in enumerate("xyz"):
        for metres in METRES:
            found[f"{axis} {metres:g} m"] = np.eye(4)
            found[f"{axis} {metres:g} m"][row, 3] = metres
    return found


def slipped(frame: Frame, slip: Array) -> Frame:
    """Return the frame with every camera's calibration wrong, to alternating sides."""
    back = np.linalg.inv(slip)
    views = tuple(
        replace(view, camera_from_lidar=(slip if k % 2 else back) @ view.camera_from_lidar)
        for k, view in enumerate(frame.views)
    )
    return replace(frame, views=views)


def watch(args: argparse.Namespace) -> dict[str, Any]:
    """Return for each slip in how many camera-minutes it was seen, and after how many seconds."""
    seen: dict[str, list[float | None]] = {name: [] for name in slips()}
    ends: dict[str, int] = {}
    cpu_s, looks = 0.0, 0
    for seed, weather in MINUTES[args.split]:
        frames = list(minute(seed, weather, args.cache))
        for name, slip in slips().items():
            started = time.process_time()
            first, watcher, count = _minute(frames, slip)
            cpu_s, looks = cpu_s + time.process_time() - started, looks + count
            seen[name] += first
            if name == "none":
                for camera in watcher.cameras:
                    state = watcher.state(camera)
                    ends[state] = ends.get(state, 0) + 1
        print(f"{seed} {weather} done", flush=True)
    minutes = len(seen["none"])
    false = sum(each is not None for each in seen["none"])
    return {
        "split": args.split,
        "camera_minutes": minutes,
        "false_alarms": false,
        "false_alarms_per_camera_hour_at_most_95": round((3.0 if not false else np.nan) * 60 / minutes, 1),
        "state_after_a_minute_without_slip": ends,
        "ms_cpu_a_view": round(1000 * cpu_s / looks, 1),
        "slips": {name: _row(times) for name, times in seen.items() if name != "none"},
    }


def _minute(frames: list[Frame], slip: Array) -> tuple[list[float | None], CalibrationWatch, int]:
    watcher, count = CalibrationWatch(), 0
    first: dict[str, float | None] = {view.name: None for view in frames[0].views}
    for frame in frames:
        count += len(watcher.add(slipped(frame, slip)))
        seconds = (frame.scan.stamp_ns - frames[0].scan.stamp_ns) / 1e9
        for camera in first:
            if first[camera] is None and watcher.state(camera) == SLIPPED:
                first[camera] = seconds
    return list(first.values()), watcher, count


def _row(times: list[float | None]) -> dict[str, Any]:
    known = [each for each in times if each is not None]
    return {
        "seen": len(known),
        "of": len(times),
        "median_s": float(np.median(known)) if known else None,
        "longest_s": max(known, default=None),
    }


def mend(args: argparse.Namespace) -> dict[str, Any]:
    """Return for turns that are put right again from when to when the collector leaves those cameras out."""
    turns = {name: slip for name, slip in slips().items() if name.endswith((" 0.5 deg", " 1 deg"))}
    outs: dict[str, dict[str, list[Array]]] = {way: {name: [] for name in turns} for way in MENDED}
    for seed, weather in MINUTES[args.split]:
        frames = list(minute(seed, weather, args.cache))
        for way, (right_s, turned_s) in MENDED.items():
            for name, slip in turns.items():
                outs[way][name].append(_left_out(frames, slip, right_s, turned_s))
        print(f"{seed} {weather} done", flush=True)
    return {"split": args.split} | {
        way: {name: _mended(np.concatenate(each), *MENDED[way]) for name, each in outs[way].items()} for way in MENDED
    }


def _left_out(frames: list[Frame], slip: Array, right_s: int, turned_s: int) -> Array:
    """Return (cameras, seconds) bool: does the collector leave it out? The drive begins anew when it is over."""
    watcher, known = CalibrationWatch(), Slips()
    cameras = [view.name for view in frames[0].views]
    found = np.zeros((len(cameras), right_s + turned_s + AFTERWARDS_S), dtype=bool)
    for second in range(found.shape[1]):
        frame = frames[second % len(frames)]
        watcher.add(slipped(frame, slip if right_s <= second < right_s + turned_s else np.eye(4)))
        raw = RawSet(frame.scan.stamp_ns, "lidar", b"")
        known.learn(raw, {camera: fit_of(watcher.judgement(camera)) for camera in watcher.cameras})
        found[:, second] = [camera in known.fits and known.fits[camera].slipped for camera in cameras]
    return found


def _mended(out: Array, right_s: int, turned_s: int) -> dict[str, Any]:
    """Return the figures of (cameras, seconds): see `_left_out`."""
    before, during, after = np.split(out, [right_s, right_s + turned_s], axis=1)
    seen = during.any(axis=1)
    first = during.argmax(axis=1)
    gaps = [bool((~row[at:]).any()) for row, at in zip(during[seen], first[seen], strict=True)]
    rows = after[during[:, -1]]  # still out when it is put right
    back = AFTERWARDS_S - rows[:, ::-1].argmax(axis=1)
    back = np.where(rows.any(axis=1), back, 0)[~rows[:, -1]]
    return {
        "cameras": len(out),
        "left_out_before_it_slipped": int(before.any(axis=1).sum()),
        "left_out": int(seen.sum()),
        "after_median_longest_s": _median_longest(first[seen]),
        "came_back_while_turned": sum(gaps),
        "out_when_put_right": len(rows),
        "back_within_40_s": int((back <= 40).sum()),
        f"back_within_{AFTERWARDS_S}_s": len(back),
        "back_after_median_longest_s": _median_longest(back),
        "left_out_anew": int((np.diff(after.astype(int), axis=1) > 0).any(axis=1).sum()),
    }


def _median_longest(seconds: Array) -> list[float]:
    return [float(np.median(seconds)), float(seconds.max())] if len(seconds) else []


def causes(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the check says of each fault: right cameras blamed for the right cause, others blamed at all."""
    logging.disable(logging.WARNING)
    found = {}
    for name, fault in (DISTORTED if args.distorted else FAULTS).items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "wrong.mcap"
            spoil(args.bag, path, fault)
            with BagReader(path) as bag:
                sights = gather_sights(bag)
                named = dict.fromkeys(sizes(bag), "size")
            words = {}
            for each in check(sights):
                named[each.name] = each.cause.kind if each.state in (SLIPPED, FITS) else each.state
                words[each.name] = each.in_words
        meant = fault.cameras or tuple(named)
        found[name] = {
            "expected": fault.kind,
            "named": {camera: named[camera] for camera in meant if camera in named},
            "others_blamed": [
                c for c, kind in named.items() if c not in meant and kind not in ("as calibrated", "unknown")
            ],
            "others_unknown": [c for c, kind in named.items() if c not in meant and kind == "unknown"],
            "words": {camera: words.get(camera, "") for camera in meant if camera in words},
        }
        print(name, json.dumps(found[name]), flush=True)
    return found


def real(args: argparse.Namespace) -> dict[str, Any]:
    """Return the best turn that the score finds on real frames, with and without slips."""
    from slips_real import real_frames

    from clip2scene_ros.alignment import EdgePair, depth_edges
    from clip2scene_ros.alignment_fit import ANGLES_DEG, judge

    found: dict[str, Any] = {}
    for source, frames in real_frames(args.data).items():
        rows: dict[str, Any] = {}
        pairs = [(view, EdgePair(depth_edges(frame.scan), view)) for frame in frames for view in frame.views]
        for name, slip in slips().items():
            scores = [
                pair.turned_scores(np.radians(ANGLES_DEG), np.linalg.inv(slip) @ view.camera_from_lidar)
                for view, pair in pairs
            ]
            each = [judge(one[None]) for one in scores]
            together = judge(np.array(scores))  # as if one camera had seen all: they slip alike here
            rows[name] = {
                "views": len(scores),
                "together": together.state,
                "turn_deg": [round(float(x), 2) for x in together.turn_deg],
                "alone": {state: sum(j.state == state for j in each) for state in ("fits", "slipped", "unknown")},
            }
            print(source, name, json.dumps(rows[name]), flush=True)
        started = time.process_time()
        edges = depth_edges(frames[0].scan)
        for view, _ in pairs:
            EdgePair(edges, view).turned_scores(np.radians(ANGLES_DEG))
        rows["ms_cpu_a_view"] = round(1000 * (time.process_time() - started) / len(pairs), 1)
        print(source, rows["ms_cpu_a_view"], "ms a view, depth edges once a scan included", flush=True)
        found[source] = rows
    return found


def main() -> None:
    """Run one part and write its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True)
    for part, function in (("watch", watch), ("mend", mend), ("causes", causes), ("real", real)):
        sub = parts.add_parser(part)
        sub.set_defaults(run=function)
        sub.add_argument("--json", type=Path, help="also write what is printed")
        if part in ("watch", "mend"):
            sub.add_argument("cache", type=Path)
            sub.add_argument("--split", choices=MINUTES, default="val")
        elif part == "causes":
            sub.add_argument("bag", type=Path)
            sub.add_argument("--distorted", action="store_true")
        else:
            sub.add_argument("data", type=Path, help="folder with nuscenes and kitti")
    args = parser.parse_args()
    text = json.dumps(args.run(args), indent=2)
    print(text)
    if args.json:
        args.json.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
