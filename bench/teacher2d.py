"""How well does a CLIP tell the classes of the world's images apart, pixel by pixel, knowing only words?

Dense features of every image of some scenes of val, the nearest class's words, one confusion matrix over all labelled
pixels: IoU by class. Sky absorbs; a pixel given to it is wrong for its class. What is chosen is chosen on val; test is
for what has been chosen.

    python bench/teacher2d.py runs/tiny_clip.safetensors
    python bench/teacher2d.py runs/tiny_clip.safetensors --scales 1 '1, 2' --affinity qk identity --json out.json
    python bench/teacher2d.py runs/clip/seed?.safetensors --split test
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from clip2scene_ros import metrics
from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.config import ClipConfig, DenseConfig, TextConfig
from clip2scene_ros.frame import Array, View
from clip2scene_ros.teacher.classify import classify
from clip2scene_ros.teacher.clip import Clip, load_clip
from clip2scene_ros.teacher.dense import DenseClip
from clip2scene_ros.teacher.teachers import known_templates
from clip2scene_ros.teacher.text import ClassVectors, class_vectors, encode_words, words_of
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.world.splits import EVERY, FRAMES, SPLITS


def main() -> int:
    """Print a row for each read-out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+", help="CLIP weights (.safetensors), such as of three seeds")
    parser.add_argument("--split", choices=[*SPLITS], default="val")
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--frames", type=int, default=2, help="of each scene, all cameras of each")
    parser.add_argument("--cache", type=Path, default=Path("runs/world_images"))
    parser.add_argument("--scales", nargs="+", default=[])
    parser.add_argument("--affinity", nargs="+", default=[])
    parser.add_argument("--read-out", nargs="+", default=[])
    parser.add_argument("--mode", nargs="+", default=[])
    parser.add_argument("--overlap", nargs="+", type=float, default=[])
    parser.add_argument("--combine", nargs="+", default=["max"])
    parser.add_argument("--all-templates", action="store_true", help="not only those whose words it has learned")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    classes = load_class_set("world")
    split = SPLITS[args.split]
    data = WorldDataset(replace(split, seeds=split.seeds[: args.scenes]), args.frames, args.cache,
                        every=EVERY * FRAMES // args.frames, workers=args.threads, with_images=True)  # fmt: skip
    rows = [row for path in args.checkpoints for row in _rows(path, classes, data, args)]
    for settings in dict.fromkeys(row["settings"] for row in rows if len(args.checkpoints) > 1):
        scores = [100 * row["miou"] for row in rows if row["settings"] == settings]
        print(f"mean of {len(scores)}, {settings}: mIoU {np.mean(scores):.1f} [{min(scores):.1f}, {max(scores):.1f}]")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"split": args.split, "frames": len(data), "rows": rows}, indent=1))
    return 0


def _rows(path: Path, classes: ClassSet, data: WorldDataset, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Judge one checkpoint in every way that was asked for; print as it goes."""
    clip = load_clip(ClipConfig(checkpoint=str(path), device="cpu"))
    rows = []
    for dense, combine in product(_read_outs(clip.card.dense, args), args.combine):
        vectors = _vectors(clip, classes, combine, everything=args.all_templates)
        started = time.process_time()
        matrix, images = judge(clip, dense, vectors, data)
        seconds = (time.process_time() - started) / images
        rows.append({"checkpoint": path.name, **_row(matrix, dense, combine, seconds, classes)})
        print(f"{path.stem} {rows[-1]['text']}", flush=True)
    return rows


def judge(
    clip: Clip, config: DenseConfig, vectors: ClassVectors, data: WorldDataset, class_ids: Array | None = None
) -> tuple[Array, int]:
    """Return the confusion matrix of all images, (C, C + 1), and how many they were.

    `class_ids` (256,) says which class of the vectors each of the world's is, where they are not the same.
    """
    dense, count = DenseClip(clip, config), len(vectors.class_set)
    total, images = np.zeros((count, count + 1), np.int64), 0
    for frame in tqdm(data, desc="frames", leave=False):
        views: tuple[View, ...] = frame.views
        images += len(views)
        for seen, view in zip(dense.look([v.image for v in views]), views, strict=True):
            found, _ = classify(seen, vectors, config).labels()
            truth = view.labels if class_ids is None else class_ids[view.labels]
            total += metrics.confusion(truth.ravel(), found.ravel(), count)
    return total, images


def _vectors(clip: Clip, classes: ClassSet, combine: str, *, everything: bool) -> ClassVectors:
    """Return the class vectors, by default from the sentences whose every word the model has learned."""
    config = TextConfig(combine=combine, cache="")
    known = None if everything else known_templates(clip)
    return class_vectors(encode_words(clip, words_of(classes), config), classes, config, known)


def _read_outs(own: DenseConfig, args: argparse.Namespace) -> list[DenseConfig]:
    """Return the model's own settings, varied in every way that was asked for."""
    names = ("scales", "affinity", "read_out", "mode", "overlap")
    axes = [getattr(args, name) or [getattr(own, name)] for name in names]
    return [replace(own, **dict(zip(names, values, strict=True))) for values in product(*axes)]


def _row(matrix: Array, dense: DenseConfig, combine: str, seconds: float, classes: ClassSet) -> dict[str, Any]:
    score = metrics.iou(matrix)
    iou = {name: round(float(value), 4) for name, value in zip(classes.names, score, strict=True)}
    recall = np.diag(matrix[:, :-1]) / np.maximum(matrix.sum(1), 1)
    title = f"{dense.read_out} {dense.affinity} {dense.mode} x{dense.scales} overlap {dense.overlap} {combine}"
    text = f"{title}: mIoU {100 * metrics.mean_iou(matrix):.1f} accuracy {100 * metrics.accuracy(matrix):.1f} | "
    text += " ".join(f"{name} {100 * iou[name]:.0f}" for name in classes.names) + f" | {seconds:.2f} CPU-s/image"
    return {
        "text": text, "settings": title, "miou": metrics.mean_iou(matrix), "accuracy": metrics.accuracy(matrix),
        "iou": iou, "recall": dict(zip(classes.names, recall.round(4).tolist(), strict=True)),
        "cpu_s_per_image": seconds, "confusion": matrix.tolist(),
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
