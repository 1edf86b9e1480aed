"""What the photographer takes: a sheet of photos with their captions, or one thing of a kind after the other.

python bench/photo_sheet.py photos.png --photos 40
python bench/photo_sheet.py cones.png --subject cone
"""

from __future__ import annotations

import argparse
import os
import textwrap
from itertools import count, islice
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from PIL import Image, ImageDraw

from clip2scene_ros.drawing import BACKGROUND, TEXT, font
from clip2scene_training.photos import PhotoConfig
from clip2scene_training.photos.photographer import photo, subject_of
from clip2scene_training.photos.words import SUBJECTS

TILE_PX, TEXT_PX, PAD_PX = 192, 48, 6


def main() -> int:
    """Take photos, write captions below them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="JPEG or PNG")
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--first", type=int, default=2_000_000_000, help="seed; this one is neither learned nor judged")
    parser.add_argument("--subject", choices=[*SUBJECTS], help="only photos of this")
    parser.add_argument("--close-ups", type=float, default=PhotoConfig().close_ups)
    args = parser.parse_args()
    config = PhotoConfig(close_ups=args.close_ups)
    seeds = (s for s in count(args.first) if args.subject in (None, subject_of(s, config)))
    rows = -(-args.photos // args.columns)
    step = TILE_PX + PAD_PX, TILE_PX + TEXT_PX + PAD_PX
    sheet = Image.new("RGB", (args.columns * step[0] + PAD_PX, rows * step[1] + PAD_PX), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for k, seed in enumerate(islice(seeds, args.photos)):
        image, text = photo(seed, config)
        x, y = PAD_PX + k % args.columns * step[0], PAD_PX + k // args.columns * step[1]
        sheet.paste(Image.fromarray(image).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC), (x, y))
        pen.text((x, y + TILE_PX + 2), "\n".join(textwrap.wrap(text, 27)[:3]), fill=TEXT, font=font(12))
    sheet.save(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
