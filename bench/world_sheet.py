"""What the world looks like: twelve scenes on one sheet, each chosen by what it has, not by how it looks.

For each kind of scene it is the first seed of val that has it (mist: of train): front camera, its classes, and the
labelled scan from above, under a line that says which scene it is. Those of the unseen town are not from the `ood`
split but from the seeds that are free for play, made with that split's settings.

    python bench/world_sheet.py world.jpg
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image, ImageDraw

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.drawing import BACKGROUND, FAINT, TEXT, font, legible
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.render import bird_view
from clip2scene_training.world import Drive, WorldConfig, motion
from clip2scene_training.world.appearance import appearance
from clip2scene_training.world.splits import EVERY, FRAMES, SPLITS
from clip2scene_training.world.town import Town, plan

PLAY = range(200_000, 200_400)
"""Seeds of no split."""
NEAR_M = 25.0
"""A side road so near counts as a crossing."""
SKY = (70, 130, 180)
TITLE_PX, PAD_PX, VIEW_PX = 30, 8, (352, 198)

Wanted = Callable[[Town, "Place"], bool]


@dataclass(frozen=True)
class Place:
    """Light, and where the vehicle is: `zones` beside it, whether a side road is near, works, a bend."""

    weather: str
    zones: tuple[str, str]
    crossing: bool
    works: bool
    bend: bool


@dataclass(frozen=True)
class Kind:
    """One tile: its title, the split whose settings it has, and what must be there."""

    title: str
    split: str
    wanted: Wanted


KINDS = (
    Kind("day, urban", "val", lambda town, here: here.weather == "clear" and "urban" in here.zones),
    Kind("crossing", "val", lambda town, here: here.crossing),
    Kind("road works", "val", lambda town, here: here.works),
    Kind("car park", "val", lambda town, here: "parking" in here.zones),
    Kind("night", "val", lambda town, here: here.weather == "night"),
    Kind("dusk", "val", lambda town, here: here.weather == "dusk"),
    Kind("suburb, bend", "val", lambda town, here: "suburb" in here.zones and here.bend),
    Kind("park, overcast", "val", lambda town, here: here.weather == "overcast" and "park" in here.zones),
    Kind("mist", "train", lambda town, here: here.weather == "mist"),
    Kind("unseen: boulevard, night", "ood", lambda town, here: town.median_m > 2.5 and here.weather == "night"),
    Kind("unseen: old town, cobbled", "ood", lambda town, here: town.plan.cobbled),
    Kind("unseen: crossing, fog", "ood", lambda town, here: here.crossing and here.weather == "fog"),
)


def main() -> int:
    """Choose, drive, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="JPEG or PNG")
    parser.add_argument("--json", type=Path, help="which scenes they are")
    args = parser.parse_args()
    chosen = draw(args.out)
    if args.json:
        args.json.write_text(json.dumps(chosen, indent=2) + "\n")
    return 0


def draw(path: Path) -> list[dict[str, object]]:
    """Write the sheet; return title, seed and split of each scene."""
    tiles, chosen = [], []
    for kind in KINDS:
        seed, key, config = choose(kind, {c["seed"] for c in chosen})
        what = {"title": kind.title, "seed": seed, "key_frame": key, "settings": kind.split}
        chosen.append(what)
        tiles.append(tile(kind, seed, key, config))
    rows = [np.hstack(tiles[i : i + 3]) for i in range(0, len(tiles), 3)]
    sheet = Image.fromarray(np.vstack([*rows, legend(rows[0].shape[1])]))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=86)
    return chosen


def choose(kind: Kind, taken: set[object]) -> tuple[int, int, WorldConfig]:
    """Return the first free seed and key frame that have what is wanted, and the settings to drive with."""
    split = SPLITS[kind.split]
    for seed in PLAY if kind.split == "ood" else split.seeds:
        if seed in taken:
            continue
        town, weather = plan(seed, split.config), appearance(seed, split.config.weather).kind
        for key in range(1, FRAMES):
            if kind.wanted(town, _place(key, split.config, town, weather)):
                return seed, key, split.config
    raise LookupError(f"No scene of `{kind.split}` has {kind.title}.")


def _place(key: int, config: WorldConfig, town: Town, weather: str) -> Place:
    here = float(motion.ego(town).along(np.float64(key * EVERY / config.lidar.rate_hz)))
    block = next(b for b in town.blocks if b.start_m <= here + 8.0 < b.end_m)
    return Place(weather, block.zones, town.meets_side_road(here + 8.0, margin_m=NEAR_M), block.works is not None,
                 abs(block.curvature) > 0)  # fmt: skip


def tile(kind: Kind, seed: int, key: int, config: WorldConfig) -> Array:
    """Return the scene's title, its front image over that image's classes, and the scan from above."""
    frame = Drive(seed, config).frame(key * EVERY, with_images=True)
    palette = load_class_set("world").palette
    view = frame.views[[v.name for v in frame.views].index("cam_front")]
    colors = palette.copy()
    colors[UNKNOWN] = SKY
    width, height = VIEW_PX
    pictures = [Image.fromarray(a).resize(VIEW_PX, how) for a, how in (
        (view.image, Image.Resampling.BICUBIC), (colors[view.labels], Image.Resampling.NEAREST))]  # fmt: skip
    size = 2 * height + PAD_PX
    weather = appearance(seed, config.weather).kind
    made = Image.new("RGB", (width + size + 3 * PAD_PX, size + TITLE_PX + 2 * PAD_PX), BACKGROUND)
    pen = ImageDraw.Draw(made)
    pen.text((PAD_PX, 6), kind.title, fill=TEXT, font=font(19))
    where = "play, as ood" if kind.split == "ood" else kind.split
    says = f"seed {seed} ({where}), frame {key} · {weather} · {config.lidar.beams} beams · {len(frame.scan)} points"
    pen.text((made.width - PAD_PX, 9), says, fill=FAINT, font=font(15), anchor="ra")
    for i, picture in enumerate(pictures):
        made.paste(picture, (PAD_PX, TITLE_PX + PAD_PX + i * (height + PAD_PX)))
    above = bird_view(frame.scan.points, frame.labels, legible(palette), size, 35.0)
    made.paste(Image.fromarray(above), (width + 2 * PAD_PX, TITLE_PX + PAD_PX))
    return np.asarray(made)


def legend(width: int) -> Array:
    """Return a strip with the classes' colours and names."""
    strip = Image.new("RGB", (width, 70), BACKGROUND)
    pen = ImageDraw.Draw(strip)
    for i, (name, color) in enumerate(_colors()):
        x, y = PAD_PX + (i % 8) * (width // 8), 8 + 30 * (i // 8)
        pen.rounded_rectangle((x, y, x + 20, y + 20), radius=4, fill=color)
        pen.text((x + 28, y + 10), name, fill=TEXT, font=font(16), anchor="lm")
    return np.asarray(strip)


def _colors() -> Iterator[tuple[str, tuple[int, ...]]]:
    classes = load_class_set("world")
    for name, color in zip(classes.names, legible(classes.palette), strict=False):
        yield name, tuple(int(v) for v in color)
    yield "sky (images)", SKY


if __name__ == "__main__":
    sys.exit(main())
