"""The folder of an evaluation: report.json, report.html and the picture of the scan that shows most."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from clip2scene_ros.errors import BadConfig

if TYPE_CHECKING:
    from clip2scene_ros.evaluation import Evaluation
    from clip2scene_ros.report.format import Report

CAPTION = "The scan with most camera views and most classes"


def check_free(overwrite: bool, *paths: Path) -> None:
    """Raise BadConfig where an output exists and may not be replaced."""
    for path in paths:
        if path.exists() and not overwrite:
            raise BadConfig(
                "exists", f"{path} exists: choose another name, or pass --overwrite (to a node `-p overwrite:=true`)."
            )


def check_folder(path: Path, overwrite: bool, *names: str) -> None:
    """Raise BadConfig where a folder for results cannot be written, or holds files that may not be replaced."""
    nearest = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    if not nearest.is_dir():
        raise BadConfig("output", f"{nearest} is a file: expected a folder for the results (--out DIR).")
    if not os.access(nearest, os.W_OK):
        raise BadConfig("output", f"{nearest} may not be written: choose another folder for the results (--out DIR).")
    check_free(overwrite, *(path / name for name in names))


class ReportFolder:
    """Where an evaluation is written.

    Args:
        path: of the folder; made when the report is written.
        overwrite: replace what an earlier run left.

    Attributes:
        report, page, picture: the files.

    Raises:
        BadConfig: it is a file, or holds a report that may not be replaced.
    """

    def __init__(self, path: Path, overwrite: bool) -> None:
        names = ("report.json", "report.html", "evaluation.png")
        check_folder(path, overwrite, *names)
        self.report, self.page, self.picture = (path / name for name in names)

    def write(self, result: Evaluation, report: Report, title: str, notice: str) -> list[Path]:
        """Write the files and return them; without a scan that has ground truth there is no picture."""
        from clip2scene_ros.render import save_png, summary_picture  # torch comes with the report
        from clip2scene_ros.report.evaluation import headline, write_report
        from clip2scene_ros.report.page import write_page

        self.report.parent.mkdir(parents=True, exist_ok=True)
        self.picture.unlink(missing_ok=True)
        pictures: dict[str, Path] = {}
        if result.example is not None:
            frame, segmentation = result.example
            footer = f"{headline(report)}; {notice}."
            save_png(self.picture, summary_picture(frame, segmentation, result.class_set, title, footer))
            pictures = {CAPTION: self.picture}
        write_report(self.report, report)
        write_page(self.page, report, pictures)
        return [self.report, self.page, *pictures.values()]
