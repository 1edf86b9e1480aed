"""What does a small image tower learn against the frozen text of a real CLIP, instead of a text tower of its own?

The rows are those of OpenAI's ViT-B/16 for 171 COCO-Stuff names. Each phrase of a caption becomes the name of the thing
in it; phrases about things that have no row (cones, barriers, trailers, machines, poles) are left out, and so are their
classes when val's pixels are judged. Nothing of it is shipped.

    python bench/frozen_text.py ../shared/data/clip_text --steps 2000
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from teacher2d import judge

from clip2scene_ros import metrics
from clip2scene_ros.classes import ClassSet, SemanticClass, load_class_set
from clip2scene_ros.config import ClipConfig, TextConfig
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.teacher.clip import load_clip
from clip2scene_ros.teacher.text import WordRows, class_vectors, load_rows
from clip2scene_training.config import TowersConfig, TrainClipConfig
from clip2scene_training.contrastive import JOINTS
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.photos.config import PhotoConfig
from clip2scene_training.photos.corpus import PhotoCorpus
from clip2scene_training.photos.words import KINDS
from clip2scene_training.train_clip import train_clip
from clip2scene_training.world.splits import EVERY, FRAMES, SPLITS

NAMES = {
    "car": "car", "van": "car", "pickup": "truck", "truck": "truck", "bus": "bus", "bicycle": "bicycle",
    "cyclist": "bicycle", "motorcycle": "motorcycle", "scooter": "motorcycle", "biker": "motorcycle",
    "person": "person", "people": "person", "road": "road", "sidewalk": "pavement", "grass": "grass", "dirt": "dirt",
    "building": "building-other", "house": "house", "warehouse": "building-other", "wall": "wall-concrete",
    "fence": "fence", "traffic light": "traffic light", "sign": "stop sign", "bench": "bench", "tree": "tree",
    "bush": "bush", "hedge": "bush", "sky": "sky-other",
}  # fmt: skip
"""What each kind of thing is called in the rows; kinds that are not here have no row."""


class NamedPhotos:
    """A corpus whose captions are names of rows, joined by commas; photos of nothing that has one are left out."""

    def __init__(self, corpus: PhotoCorpus) -> None:
        self._corpus = corpus
        images, captions = corpus.load()
        named = [named_things(caption) for caption in captions]
        kept = [k for k, names in enumerate(named) if names]
        self._images, self._captions = images[kept], [", ".join(named[k]) for k in kept]

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self._captions)

    def load(self) -> tuple[Array, list[str]]:
        """Return the images and their captions."""
        return self._images, self._captions

    def sha256(self) -> str:
        """Return the corpus's hash: what is left out depends on nothing else."""
        return self._corpus.sha256()


def named_things(caption: str) -> list[str]:
    """Return the rows' names of the things in a caption, in its order, each once."""
    kind_of = {word: kind for kind in reversed(KINDS) for word in KINDS[kind].words}
    found = []
    for phrase in JOINTS.split(caption):
        words = [word for word in kind_of if f" {word} " in f" {phrase} "]
        if words and kind_of[max(words, key=len)] in NAMES:
            found.append(NAMES[kind_of[max(words, key=len)]])
    return list(dict.fromkeys(found))


def named_classes(rows: WordRows) -> tuple[ClassSet, Array]:
    """Return the world's classes that have rows, and (256,) the class id of each of the world's in it."""
    world = load_class_set("world")
    classes: list[SemanticClass] = []
    table = np.full(256, UNKNOWN, np.uint8)
    for number, one in enumerate(world.classes):
        kinds = [kind for kind, about in KINDS.items() if about.label is not None and int(about.label) == number]
        prompts = dict.fromkeys(NAMES[kind] for kind in kinds if NAMES.get(kind) in rows.words)
        if prompts:
            table[number] = len(classes)
            classes.append(replace(one, prompts=tuple(prompts)))
    return replace(world, classes=tuple(classes), absorbers=("sky-other", "clouds")), table


def main() -> int:
    """Train, then judge on val."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="folder with coco_multi.npy and classes.json")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=Path, default=Path("runs/photos"))
    parser.add_argument("--images", type=Path, default=Path("runs/world_images"))
    parser.add_argument("--scenes", type=int, default=30)
    parser.add_argument("--out", type=Path, default=Path("runs/clip/frozen_text.safetensors"))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = load_rows(args.rows / "coco_multi.npy", f"{args.rows / 'classes.json'}#coco_stuff_171")
    config = TrainClipConfig(
        towers=TowersConfig(embedding=rows.rows.shape[2]), steps=args.steps, seed=args.seed, threads=1,
        learning_rate=args.learning_rate,
    )  # fmt: skip
    photos = NamedPhotos(PhotoCorpus(config.photos, PhotoConfig(), args.photos))
    train_clip(photos, None, config, args.out, resume=args.resume, rows=rows)
    classes, table = named_classes(rows)
    clip = load_clip(ClipConfig(checkpoint=str(args.out), device="cpu"))
    split = SPLITS["val"]
    data = WorldDataset(replace(split, seeds=split.seeds[: args.scenes]), 2, args.images, every=EVERY * FRAMES // 2,
                        workers=1, with_images=True)  # fmt: skip
    torch.set_num_threads(1)
    vectors = class_vectors(rows, classes, TextConfig())
    matrix, images = judge(clip, replace(clip.card.dense, scales="1, 2"), vectors, data, table)
    scores = " ".join(f"{n} {100 * v:.0f}" for n, v in zip(classes.names, metrics.iou(matrix), strict=True))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"classes": classes.names, "images": images, "confusion": matrix.tolist()}))
    print(f"{len(classes)} classes, {images} images: mIoU {100 * metrics.mean_iou(matrix):.1f} | {scores}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
