"""What all rows of an ablation share: how much is learned, from which streets, and by which they are judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.files import whole_file
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.scoring_table import JudgedFrame, judged_frames
from clip2scene_training.validation import spread
from clip2scene_training.world.splits import FRAMES, SPLITS

PLAN, ROWS = "plan.json", "rows.yaml"
"""What a folder of an ablation holds of its beginning: the plan, and the file of its rows."""
CLASSES = "world"


@dataclass(frozen=True)
class Plan:
    """What may not change between the rows of one folder.

    Attributes:
        samples: scans that each row learns from, each sweep being one.
        scenes: of the train split, its first ones; 0 takes all.
        judged_scenes: of the split that rows are judged by; 0 takes all.
        judged_frames: of each of these, evenly spread.
        clip: checkpoint of the CLIP, `tiny` being the shipped one.
        threads: of the CPU, since another number sums in another order.
        cache: folder that keeps streets.
        labels: folder that keeps pseudo-labels.
    """

    samples: int
    scenes: int
    judged_scenes: int
    judged_frames: int
    clip: str
    threads: int
    cache: str
    labels: str

    def save(self, folder: Path) -> None:
        """Write the plan into an ablation's folder, or find the same there.

        Raises:
            BadConfig: `plan`: the folder is of another one; the text names what differs.
        """
        if (folder / PLAN).is_file():
            kept, mine = read_plan(folder).shared, self.shared
            differs = [name for name, value in mine.items() if kept[name] != value]
            if differs:
                name = differs[0]
                raise BadConfig(
                    "plan",
                    f"{folder} holds rows with `{name}` {kept[name]!r}, but {mine[name]!r} was asked for: rows of "
                    "different plans cannot be compared. Choose another --out, or leave that as it was.",
                )
        with whole_file(folder / PLAN) as stream:
            stream.write((json.dumps(asdict(self), indent=2) + "\n").encode())

    @property
    def shared(self) -> dict[str, Any]:
        """Return what results depend on: all but where things are kept."""
        return {name: value for name, value in asdict(self).items() if name not in ("cache", "labels")}

    @property
    def classes(self) -> str:
        """Return the classes of the truth, as the setting `classes` takes them."""
        return CLASSES

    @property
    def class_set(self) -> ClassSet:
        """Return the classes of the truth."""
        return load_class_set(self.classes)

    @cached_property
    def learned(self) -> WorldDataset:
        """Return the streets to learn from, generated where they are not in the cache."""
        return self._streets("train", self.scenes)

    def judged(self, split: str) -> Iterator[JudgedFrame]:
        """Yield the frames that rows are judged by."""
        return judged_frames(self._streets(split, self.judged_scenes), spread(FRAMES, self.judged_frames))

    def _streets(self, name: str, scenes: int) -> WorldDataset:
        split = SPLITS[name]
        split = replace(split, seeds=split.seeds[:scenes]) if scenes else split
        return WorldDataset(split, cache_dir=self.cache, workers=1, with_images=True)


def read_plan(folder: Path) -> Plan:
    """Read the plan of an ablation's folder.

    Raises:
        BadConfig: `plan`: there is none, or it is damaged.
    """
    try:
        content: dict[str, Any] = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        return Plan(**content)
    except (OSError, ValueError, TypeError) as error:
        raise BadConfig("plan", f"{folder / PLAN} does not hold the plan of an ablation ({error}).") from error
