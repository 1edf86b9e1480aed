"""Does the student learn one real scan by heart at the resolution of the street, not only coarsely?

Trains on the single SemanticKITTI scan of ../shared/data and scores it on the same points: a check of network, labels
and metric on real data, no measure of quality. The unit test does the same at 0.4 m.

    python bench/overfit_kitti.py --voxel-size 0.2 --steps 250
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.frame import Frame, Scan
from clip2scene_ros.metrics import accuracy, confusion, iou, mean_iou
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training.config import AugmentConfig, FinetuneConfig
from clip2scene_training.finetune import finetune

SCAN = Path(__file__).resolve().parents[2] / "shared" / "data" / "semantickitti" / "000000"
GOAL = 0.80
MIN_POINTS = 100


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxel-size", type=float, default=0.2)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    classes = load_class_set("semantickitti")
    rows = np.fromfile(SCAN.with_suffix(".bin"), dtype="<f4").reshape(-1, 4)
    labels = classes.from_benchmark(np.fromfile(SCAN.with_suffix(".label"), dtype="<u4"))
    frame = Frame(Scan(np.ascontiguousarray(rows[:, :3]), np.ascontiguousarray(rows[:, 3])), labels=labels)
    config = FinetuneConfig(
        class_set="semantickitti",
        notice="one scan learned by heart",
        network=NetworkConfig(preset=arguments.preset, voxel_size_m=arguments.voxel_size),
        augment=AugmentConfig(turn="none", flip=False, scale=0.0, intensity=0.0),
        steps=arguments.steps,
        batch_size=1,
        learning_rate=0.01,
        weight_decay=0.0,
        balance=0.0,
        threads=arguments.threads,
        save_every=arguments.steps,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "kitti.safetensors"
        finetune([frame], [], config, out)
        segmentation = Segmenter.load(SegmenterConfig(checkpoint=str(out), device="cpu")).segment(frame.scan)
    seconds = time.monotonic() - started
    matrix = confusion(labels, segmentation.class_id, len(classes))
    for name, value, points in zip(classes.names, iou(matrix), matrix.sum(axis=1), strict=True):
        if points:
            print(f"{name:16} {points:7d} points  IoU {100 * value:5.1f}" + (" (rare)" if points < MIN_POINTS else ""))
    mean = mean_iou(matrix, MIN_POINTS)
    print(
        f"mIoU {100 * mean:.1f} over classes with at least {MIN_POINTS} points, accuracy {100 * accuracy(matrix):.1f}"
    )
    print(f"{arguments.preset}, {arguments.voxel_size} m, {arguments.steps} steps, {seconds:.0f} s")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"miou": mean, "seconds": seconds, "steps": arguments.steps}) + "\n")
    if not mean >= GOAL:
        raise SystemExit(f"mIoU {100 * mean:.1f} is below {100 * GOAL:.0f}")


if __name__ == "__main__":
    main()
