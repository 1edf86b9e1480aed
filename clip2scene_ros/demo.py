"""The demo's folder and stages; `cli.py` hands in what lies on other floors (the world, the live node)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.metrics import distance_bands
from clip2scene_ros.offline import Evaluation, Labelled, evaluate, recorded_labels, truth_frames
from clip2scene_ros.report import build_report, sha256_of, weights_sha256, write_report
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT

if TYPE_CHECKING:
    from clip2scene_ros.demo_teacher import Lesson

STUDENT = DEMO_CHECKPOINT.with_name("student.safetensors")
"""The demo's student, which learned without labels; `--checkpoint` takes any other."""
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


class StageClock:
    """Measures the stages of a run and tells their seconds.

    Attributes:
        seconds: duration of each finished stage [s], by name, in order.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Measure stages; `tell` is called with a line when one has ended."""
        self.seconds: dict[str, float] = {}
        self._tell, self._start = tell, time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Run one stage; what the block says of it is told with its seconds."""
        start, notes = time.monotonic(), list[str]()
        yield notes.append
        self.seconds[name] = time.monotonic() - start
        self._tell(f"{name:<8} {self.seconds[name]:6.1f} s  {', '.join(notes)}")

    def total(self) -> None:
        """Tell the seconds since the clock was made."""
        self._tell(f"{'total':<8} {time.monotonic() - self._start:6.1f} s")


def score(
    folder: DemoFolder,
    class_set: ClassSet,
    latency_ms: list[float],
    *,
    drive: dict[str, Any],
    config: SegmenterConfig,
    notice: str,
    command: str,
    lesson: Lesson | None = None,
) -> tuple[Evaluation, dict[str, Any]]:
    """Compare the recorded labels with the drive's ground truth; return the evaluation and its report.

    Args:
        folder: holds the drive and the labelled bag.
        class_set: of the labels.
        latency_ms: measured while the labels were recorded [ms].
        drive: what made the drive, for the report.
        config: names the weights.
        notice: what the report says of them.
        command: the command line.
        lesson: what a teacher has labelled of the drive; then the student is also scored on the same points.
    """
    with labelled_frames(folder, class_set, images=lesson is None) as labelled:
        watched = labelled if lesson is None else lesson.watch(labelled)
        result = evaluate(watched, class_set, groups=distance_bands if lesson is None else lesson.groups)
    result.latency_ms = latency_ms
    report = build_report(
        result,
        data_sha256=sha256_of(folder.drive),
        weights_sha256=weights_sha256(config),
        world=drive,
        command=command,
        tables=None if lesson is None else {"The teacher's labels and the student": lesson.table(result)},
        notes=[f"{notice}.", *([] if lesson is None else [f"{lesson.notice}."])],
    )
    return result, report


@contextmanager
def labelled_frames(folder: DemoFolder, class_set: ClassSet, *, images: bool = True) -> Iterator[Iterator[Labelled]]:
    """Open the drive and its labels and return the frames that have labels, with their ground truth."""
    with BagReader(folder.drive) as drive, BagReader(folder.labelled) as labels:
        yield recorded_labels(labels, truth_frames(drive, class_set, images=images))
