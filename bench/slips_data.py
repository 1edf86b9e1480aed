"""Continuous minutes of driving for `slips.py`: a frame a second with six images, points at the scan's stamp."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from clip2scene_ros.frame import Frame
from clip2scene_training.datasets.cache import is_saved, load_frame, save_frame
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.drive import Drive
from clip2scene_training.world.version import WORLD_VERSION

SECONDS = 60
EVERY_SWEEPS = 20


def minute(seed: int, weather: str, cache: Path) -> Iterator[Frame]:
    """Yield a frame a second of one drive through the world, kept in the cache for the next time.

    The drive is longer than a scene of the splits, so its street is none of theirs, whatever the seed.

    Args:
        seed: of the world.
        weather: as in `WorldConfig`.
        cache: folder, made when it is not there.
    """
    cache.mkdir(parents=True, exist_ok=True)
    stems = [cache / f"minute_{WORLD_VERSION}_{seed}_{weather}_{i:02d}" for i in range(SECONDS)]
    drive = None
    for number, stem in enumerate(stems):
        if not is_saved(stem, with_images=True):
            drive = drive or Drive(seed, WorldConfig(duration_s=float(SECONDS + 1), weather=weather))
            save_frame(stem, _frame(drive, number * EVERY_SWEEPS))
        yield load_frame(stem, with_images=True)


def _frame(drive: Drive, index: int) -> Frame:
    frame = drive.frame(index, with_images=True)
    points = drive.points_at_stamp(frame.scan).astype(np.float32)
    return replace(frame, scan=replace(frame.scan, points=points, time_ns=None))


def main() -> None:
    """Fill the cache."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--weather", default="any")
    args = parser.parse_args()
    for seed in args.seeds:
        count = sum(1 for _ in minute(seed, args.weather, args.cache))
        print(f"{seed} {args.weather}: {count} frames", flush=True)


if __name__ == "__main__":
    main()
