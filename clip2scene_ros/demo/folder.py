"""The demo's folder: the drive, its labels, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.evaluation import Labelled
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.offline import recorded_labels
from clip2scene_ros.report.evaluation import sha256_of, write_report
from clip2scene_ros.truth import truth_frames

DRIVE, CARD, LABELLED = "drive.mcap", "drive.json", "labelled.mcap"
REPORT, PAGE, PICTURE = "report.json", "report.html", "demo.png"


class DemoFolder:
    """The folder of a demo: the drive is kept from run to run, the results are replaced.

    Args:
        path: made when it is not there.

    Raises:
        BadConfig: the folder holds something that no demo has put there; it is left as it is.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_dir():
            raise BadConfig("output", f"{path} is a file: expected a folder for the demo (--out DIR).")
        known = {DRIVE, CARD, LABELLED, REPORT, PAGE, PICTURE}
        if path.is_dir() and not (path / CARD).exists():
            strange = sorted(p.name for p in path.iterdir() if p.name in known)
            if strange:
                raise BadConfig(
                    "exists", f"{path / strange[0]} was not made by the demo: choose another folder (--out DIR)."
                )
        path.mkdir(parents=True, exist_ok=True)
        self.drive, self.labelled = path / DRIVE, path / LABELLED
        self.report, self.page, self.picture = path / REPORT, path / PAGE, path / PICTURE
        self._card = path / CARD

    def keep_or_write_drive(self, world: dict[str, Any], write: Callable[[Path], None]) -> bool:
        """Return True when the drive of an earlier run is this very drive, byte for byte; else write it anew.

        Args:
            world: what makes the drive: seed, length, version; JSON values.
            write: writes the drive at a path where no file is.
        """
        if self._is_drive_of(world):
            return True
        self._card.write_text(json.dumps({"world": world, "sha256": ""}) + "\n", encoding="utf-8")  # the folder is ours
        self.drive.unlink(missing_ok=True)
        write(self.drive)
        write_report(self._card, {"world": world, "sha256": sha256_of(self.drive)})
        return False

    def clear_results(self) -> None:
        """Remove the results of an earlier run, which must not stand beside half of a new one."""
        for path in (self.labelled, self.report, self.page, self.picture):
            path.unlink(missing_ok=True)

    def _is_drive_of(self, world: dict[str, Any]) -> bool:
        try:
            card = json.loads(self._card.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if not isinstance(card, dict) or card.get("world") != world or not self.drive.is_file():
            return False
        return bool(card.get("sha256") == sha256_of(self.drive))


@contextmanager
def labelled_frames(folder: DemoFolder, class_set: ClassSet, *, images: bool = True) -> Iterator[Iterator[Labelled]]:
    """Open the drive and its labels and return the frames that have labels, with their ground truth."""
    with BagReader(folder.drive) as drive, BagReader(folder.labelled) as labels:
        yield recorded_labels(labels, truth_frames(drive, class_set, images=images))
