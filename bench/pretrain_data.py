"""CPU time that a sample for pretraining takes to make: K sweeps of 34 000 points, six images, one thread.

    python bench/pretrain_data.py
    python bench/pretrain_data.py --points 34000 --samples 10 --json pretrain_data.json

The frames are read from memory, the pseudo-labels from files, as in training.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from clouds import lidar_scan

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.frame import CameraModel, Frame, Scan, View
from clip2scene_ros.teacher.external import LabelImage
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_training.config import ImageAugmentConfig, PretrainDataConfig, SweepsConfig
from clip2scene_training.pretrain_loader import PretrainSamples
from clip2scene_training.pseudo_labels import make_pseudo_labels

WIDTH, HEIGHT, FOCAL_PX = 320, 180, 253.0
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[FOCAL_PX, 0, 160], [0, FOCAL_PX, 90], [0, 0, 1.0]]))
STEP_M, STEP_NS = 0.4, 50_000_000
FRAMES = 10


class Noise:
    """A teacher that sees noise in patches."""

    notice = "noise"

    def __init__(self) -> None:
        self.class_set: ClassSet = load_class_set("nuscenes")

    def see(self, frame: Frame) -> list[LabelImage]:
        """Return noise for each view."""
        rng, count = np.random.default_rng(frame.scan.stamp_ns), len(self.class_set)
        found = []
        for _ in frame.views:
            patches = rng.integers(0, count, (HEIGHT // 20, WIDTH // 20)).astype(np.uint8)
            found.append(LabelImage(patches.repeat(20, 0).repeat(20, 1), np.full((HEIGHT, WIDTH), 0.5, "f4"), count))
        return found

    def describe(self) -> str:
        """Return its name."""
        return "noise"


def make_labeler() -> Labeler:
    """Return a labeler of noise."""
    return Labeler(Noise())


@dataclass
class Street:
    """A drive in memory."""

    frames: list[Frame]
    scenes: list[str]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]


def street(points: int) -> Street:
    """Return scans of one street, with six cameras around."""
    rng, frames = np.random.default_rng(0), []
    for i in range(FRAMES):
        xyz, intensity = lidar_scan(points, seed=i)
        times = np.linspace(0, STEP_NS, len(xyz), endpoint=False).astype(np.int64)
        scan = Scan(xyz.astype(np.float32), intensity.astype(np.float32), i * STEP_NS, "lidar", time_ns=times)
        pose = np.eye(4)
        pose[0, 3] = STEP_M * i
        views = []
        for angle in np.radians([0, 55, -55, 110, -110, 180]):
            c, s = np.cos(angle), np.sin(angle)
            placed = np.array([[s, -c, 0, 0], [0, 0, -1, -0.3], [c, s, 0, 0], [0, 0, 0, 1.0]])
            image = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            views.append(View(f"{np.degrees(angle):.0f}", image, CAMERA, placed, scan.stamp_ns))
        frames.append(Frame(scan, tuple(views), pose))
    return Street(frames, ["street"] * FRAMES)


def median_ms(samples: PretrainSamples, count: int) -> float:
    """Return the median CPU time of a sample [ms]: others may share the machine."""
    taken = []
    for epoch in range(count + 1):
        started = time.process_time()
        samples[epoch, FRAMES - 1]
        taken.append(1e3 * (time.process_time() - started))
    return float(np.median(taken[1:]))


def main() -> None:
    """Print, and write if asked, the time of a sample in several settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=34_000, help="of each sweep")
    parser.add_argument("--samples", type=int, default=10, help="whose median is taken")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    none = ImageAugmentConfig(give="none")
    settings = {
        "3 sweeps, 6 crops": PretrainDataConfig(),
        "3 sweeps, pairs alone": PretrainDataConfig(images=none),
        "1 sweep, pairs alone": PretrainDataConfig(images=none, sweeps=SweepsConfig(count=1)),
        "3 sweeps, pairs alone, times of points ignored": PretrainDataConfig(
            images=none, sweeps=SweepsConfig(point_time=False)
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        frames = make_pseudo_labels(street(args.points), make_labeler, "noise", Path(folder))
        found = {name: median_ms(PretrainSamples(frames, config, 0), args.samples) for name, config in settings.items()}
    for name, ms in found.items():
        print(f"{name:50s} {ms:7.1f} ms")
    if args.json:
        args.json.write_text(json.dumps({"points": args.points, "median_ms": found}, indent=1))


if __name__ == "__main__":
    main()
