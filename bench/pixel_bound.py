"""How much could the small CLIP's image tower learn if every pixel of the photos were labelled? A bound for captions.

The tower of `train-clip` with a linear layer on its cells, told what share of each cell belongs to which class, for as
many crops as asked for. What it then knows of photos that it has not seen, and of val, is what better captions or
losses could reach at most with this tower, these photos and these steps; on the world's own images of train instead of
photos, what other photos could. Nothing that is shipped comes from here.

    python bench/pixel_bound.py
    python bench/pixel_bound.py --source world --steps 500
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros import metrics
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.teacher.openclip import open_clip
from clip2scene_ros.teacher.resnet import CELL_PX, image_and_cells
from clip2scene_ros.teacher.tokenizer import WordTokenizer
from clip2scene_training.clip_towers import build, card_of, parameter_groups
from clip2scene_training.config import TrainClipConfig
from clip2scene_training.contrastive import framed, relit
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.finetune import one_cycle
from clip2scene_training.parallel import in_processes
from clip2scene_training.photos.captions import vocabulary
from clip2scene_training.photos.config import PhotoConfig
from clip2scene_training.photos.corpus import HELD_OUT, PhotoCorpus
from clip2scene_training.photos.photographer import kinds_of
from clip2scene_training.photos.words import KINDS, NAMES
from clip2scene_training.train_clip import BETAS, batch_of, normalized
from clip2scene_training.world.splits import EVERY, FRAMES, SPLITS

SKY = 15
"""Class of what absorbs, after the world's 15."""
CLASS_OF_KIND = np.array([SKY if KINDS[n].label is None else int(KINDS[n].label) for n in NAMES], np.uint8)  # type: ignore[arg-type]
BLOCK = 512
"""Photos whose pixels are kept in one file."""


def main() -> int:
    """Train, and print IoU on held-out photos and on val."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=["photos", "world"], default="photos")
    parser.add_argument("--photos", type=int, default=10_240, help="photos, or windows of the world's images")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--width", type=int, default=16, help="of the tower")
    parser.add_argument("--scenes", type=int, default=10, help="of val, 2 frames each")
    parser.add_argument("--cache", type=Path, default=Path("runs"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    config = TrainClipConfig(steps=args.steps, seed=args.seed, threads=args.threads)
    config = replace(config, towers=replace(config.towers, width=args.width))
    learned = photos_of(0, args.photos, args) if args.source == "photos" else windows(args)
    words = WordTokenizer(vocabulary(), config.towers.context)
    net = Cells(build(config.towers, words).visual, config)
    seconds = train(net, *learned, config)
    rows = {"held-out photos": score(net, *photos_of(HELD_OUT, BLOCK, args)), "val": score(net, *world("val", args))}
    names, crops = load_class_set("world").names, args.steps * config.batch_size * config.views
    print(f"{args.source}, width {args.width}, {crops:,} crops of {args.photos:,}, {seconds:.0f} CPU s")
    for name, iou in rows.items():
        each = " ".join(f"{c} {100 * v:.0f}" for c, v in zip(names, iou, strict=True))
        print(f"{name}: mIoU {100 * np.nanmean(iou):.1f} | {each}")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({name: iou.tolist() for name, iou in rows.items()}, indent=1))
    return 0


class Cells(nn.Module):
    """The image tower with 16 scores of each cell; its words are not used."""

    def __init__(self, visual: Any, config: TrainClipConfig) -> None:  # noqa: ANN401 - one of open_clip's
        super().__init__()
        self.visual, self.head = visual, nn.Linear(config.towers.embedding, SKY + 1)
        self.card = card_of(config, Path("bound"), WordTokenizer(vocabulary(), config.towers.context))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (B, 16, h, w) scores of (B, 3, H, W) pixels in [0, 1]."""
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            _, cells = image_and_cells(self.visual, normalized(pixels, self.card))
        grid = (pixels.shape[2] // CELL_PX, pixels.shape[3] // CELL_PX)
        scores: Tensor = self.head(cells.float()).transpose(1, 2).unflatten(2, grid)
        return scores


def train(net: Cells, images: Array, classes: Array, config: TrainClipConfig) -> float:
    """Take all steps as `train_clip` does; return CPU seconds."""
    optimizer = torch.optim.AdamW(parameter_groups(net, config.weight_decay), config.learning_rate, betas=BETAS)
    eye = torch.eye(SKY + 1, dtype=torch.uint8) * 255
    started = time.process_time()
    for step in tqdm(range(config.steps), "training", mininterval=5):
        rng = np.random.default_rng([config.seed, 2, step])
        chosen = batch_of(len(images), config.batch_size, step, config.seed)
        both = torch.cat([torch.from_numpy(images[chosen]), eye[classes[chosen].astype(np.int64)]], dim=3)
        cut = framed(both, config, rng)
        share = functional.avg_pool2d(cut[:, 3:], CELL_PX)
        loss = -(share * net(relit(cut[:, :3], config, rng)).log_softmax(1)).sum(1).mean()
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * one_cycle(step / config.steps, config.warmup)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), config.clip_norm)
        optimizer.step()
    return time.process_time() - started


@torch.no_grad()
def score(net: Cells, images: Array, classes: Array) -> Array:
    """Return (15,) IoU over all labelled pixels, scales 1 and 2 together as the shipped CLIP is read."""
    net.eval()
    count, size = SKY, images.shape[1:3]
    total = np.zeros((count, count + 1), np.int64)
    for start in range(0, len(images), 8):
        pixels = torch.from_numpy(images[start : start + 8]).permute(0, 3, 1, 2).float() / 255
        seen = torch.zeros(len(pixels), SKY + 1, *size)
        for scale in (1, 2):
            wanted = [max(1, round(scale * n / CELL_PX)) * CELL_PX for n in size]
            fine = functional.interpolate(pixels, wanted, mode="bilinear", antialias=True)
            seen += functional.interpolate(net(fine).softmax(1), size, mode="bilinear")
        truth, found = classes[start : start + 8].copy(), seen.argmax(1).numpy().astype(np.uint8)
        truth[truth == SKY], found[found == SKY] = UNKNOWN, UNKNOWN
        total += metrics.confusion(truth.ravel(), found.ravel(), count)
    return metrics.iou(total)


def photos_of(first: int, count: int, args: argparse.Namespace) -> tuple[Array, Array]:
    """Return photos (N, H, W, 3) and the class of each of their pixels (N, H, W); 15 for the sky."""
    images, _ = PhotoCorpus(count, PhotoConfig(), args.cache / "photos", first=first, workers=args.threads).load()
    folder = args.cache / "photo_kinds"
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [(seed, min(BLOCK, first + count - seed)) for seed in range(first, first + count, BLOCK)]
    files = [folder / f"{seed:010d}_{size}.npy" for seed, size in blocks]
    jobs = [(file, *block) for file, block in zip(files, blocks, strict=True) if not file.exists()]
    in_processes(keep_kinds, jobs, args.threads, len(files), lambda done, total: None)
    return images, CLASS_OF_KIND[np.concatenate([np.load(file) for file in files])]


def keep_kinds(file: Path, first: int, count: int) -> None:
    """Write what the pixels of some photos show."""
    with whole_file(file) as out:
        np.save(out, np.stack([kinds_of(seed) for seed in range(first, first + count)]))


def world(name: str, args: argparse.Namespace, scenes: int = 0) -> tuple[Array, Array]:
    """Return images of a split and the classes of their pixels, 255 for sky and what nothing is known of."""
    split = SPLITS[name]
    chosen = replace(split, seeds=split.seeds[: scenes or args.scenes])
    data = WorldDataset(chosen, 2, args.cache / "world_images", every=EVERY * FRAMES // 2, workers=args.threads,
                        with_images=True)  # fmt: skip
    views = [view for frame in data for view in frame.views]
    return np.stack([view.image for view in views]), np.stack(
        [view.labels for view in views if view.labels is not None]
    )


def windows(args: argparse.Namespace) -> tuple[Array, Array]:
    """Return windows of the size of a photo, anywhere in the images of 60 scenes of train."""
    images, classes = world("train", args, 60)
    rng, size = np.random.default_rng(args.seed), PhotoConfig().size_px
    picks = rng.integers(0, (len(images), images.shape[1] - size + 1, images.shape[2] - size + 1), (args.photos, 3))
    cut = [(k, slice(y, y + size), slice(x, x + size)) for k, y, x in picks]
    return np.stack([images[each] for each in cut]), np.minimum(np.stack([classes[each] for each in cut]), SKY)


if __name__ == "__main__":
    open_clip()  # beside CPU-only torch it is imported with care
    raise SystemExit(main())
