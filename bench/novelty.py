"""Does `choice.min_novelty` tell a street that was not seen before from the one just driven?

    python bench/novelty.py runs/slips            # the minutes with val seeds of bench/slips.py, a frame every 2 s

Of each minute every second frame counts as kept. Then the novelty of its other frames, which are 2 s from a kept one,
is compared with that of the frames of another minute: by the features of the shipped CLIP, and by the shares of the
classes that it gives the points, which is what teachers without features are left with. 1 tells them apart always, 0.5
never. 30 s of CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from slips import MINUTES
from slips_data import minute

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.collect.choice import Look, Novelty
from clip2scene_ros.collect.config import ChoiceConfig
from clip2scene_ros.collect.recorder import features_of
from clip2scene_ros.config import ClipConfig
from clip2scene_ros.frame import Array
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.teachers import TINY, ClipTeacher

CAMERAS, EVERY = 3, 2
ANY = ChoiceConfig(min_novelty=1e-9)


def looks(labeler: Labeler, seed: int, weather: str, cache: Path) -> list[Look]:
    """Return what the frames of a minute show."""
    found = []
    for number, frame in enumerate(minute(seed, weather, cache)):
        if number % EVERY == 0:
            (labelled,) = labeler.label([replace(frame, views=frame.views[:CAMERAS])])
            found.append(Look(labelled.labels.class_id, features_of(labelled)))
    return found


def novelties(kept: list[Look], others: list[Look], classes: int) -> Array:
    """Return how new each of the others is."""
    novelty = Novelty(ANY, classes)
    for look in kept:
        novelty.keep(look)
    return np.array([novelty.novelty(look) for look in others])


def told_apart(new: Array, old: Array) -> float:
    """Return how often, of a new and an old frame, the new one is called the newer."""
    return float((new[:, None] > old).mean() + (new[:, None] == old).mean() / 2)


def measure(cache: Path) -> dict[str, Any]:
    """Return the figures of each pair of minutes."""
    classes = load_class_set("world")
    labeler, started = (
        Labeler(ClipTeacher.load(classes, ClipConfig(checkpoint=TINY, device="cpu"))),
        time.process_time(),
    )
    minutes = {f"{seed} {weather}": looks(labeler, seed, weather, cache) for seed, weather in MINUTES["val"]}
    rows = []
    for here, there in permutations(minutes, 2):
        row: dict[str, Any] = {"driven": here, "new": there}
        for kind in ("features", "shares"):
            shown = {
                name: each if kind == "features" else [Look(look.labels) for look in each]
                for name, each in minutes.items()
            }
            old = novelties(shown[here][::2], shown[here][1::2], len(classes))
            new = novelties(shown[here][::2], shown[there], len(classes))
            row |= {kind: round(told_apart(new, old), 3), f"{kind}_old": median(old), f"{kind}_new": median(new)}
        rows.append(row)
    mean = {kind: round(float(np.mean([row[kind] for row in rows])), 3) for kind in ("features", "shares")}
    return {"rows": rows, "mean": mean, "cpu_s": round(time.process_time() - started, 1)}


def median(values: Array) -> float:
    """Return the median with four digits."""
    return round(float(np.median(values)), 4)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--json", type=Path, help="also write what is printed")
    args = parser.parse_args()
    result = measure(args.cache)
    for row in result["rows"]:
        print(json.dumps(row))
    print(json.dumps({"mean": result["mean"], "cpu_s": result["cpu_s"]}))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
