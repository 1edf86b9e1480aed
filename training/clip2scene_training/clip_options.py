"""The grammar of `clip2scene train-clip`; it imports next to nothing, so that `--help` is quick."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from clip2scene_ros.errors import BadConfig
from clip2scene_ros.terminal import say
from clip2scene_training.config import TrainClipConfig
from clip2scene_training.options import add_settings, check_output, given_settings

EXAMPLES = """\
examples:
  clip2scene train-clip --out runs/tiny_clip.safetensors
  clip2scene train-clip --out runs/quick.safetensors --photos 2000 --steps 500
  clip2scene train-clip --out runs/wide.safetensors --towers.width 64 --towers.blocks 3,4,6,3 --device cuda --resume"""


def parser() -> argparse.ArgumentParser:
    """Return the command's parser: where things are kept, and every setting of TrainClipConfig by its dotted name."""
    parser = argparse.ArgumentParser(
        prog="clip2scene train-clip",
        description="Train a small CLIP from scratch on captioned rendered photos, which are made first. The model is\n"
        "one of open_clip's, for `clip2scene label --clip.checkpoint`.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/photos"), help="folder that keeps photos (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that take photos (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="model to write (.safetensors)")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument("--overwrite", action="store_true", help="replace the model of an earlier run")
    add_settings(parser, TrainClipConfig())
    return parser


def main(argv: Sequence[str]) -> int:
    """Run the command and print what became of it."""
    args = parser().parse_args(argv)
    config = given_settings(args, TrainClipConfig())
    if args.workers < 1:
        raise BadConfig("workers", f"Expected --workers of at least 1, but got {args.workers}.")
    from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

    from clip2scene_ros.teacher.openclip import open_clip
    from clip2scene_training.photos.corpus import HELD_OUT, PhotoCorpus
    from clip2scene_training.train_clip import train_clip

    folder = check_output(args, config.device)
    open_clip()

    def corpus(count: int, first: int) -> PhotoCorpus:
        with tqdm(desc="photos", unit="shard") as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return PhotoCorpus(count, config.photo, args.cache, first=first, workers=args.workers, progress=show)

    photos = corpus(config.photos, 0)
    held_out = corpus(config.held_out, HELD_OUT) if config.held_out else None
    command = shlex.join(["clip2scene", "train-clip", *argv])
    report = train_clip(photos, held_out, config, args.out, resume=args.resume, command=command)
    last = report["curve"][-1] if report["curve"] else {}
    say(
        f"{report['parameters'] / 1e6:.2f} million parameters, {report['bytes'] / 1e6:.2f} MB, "
        f"{report['pairs']} pairs in {report['seconds']:.0f} s, held-out captions found: {last.get('found', 0):.0%}\n"
        f"{args.out}\n{folder / 'report.json'}"
    )
    return 0
