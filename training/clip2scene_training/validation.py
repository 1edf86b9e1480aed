"""How good is a student in training? Its checkpoint is loaded and asked as a user would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from lightning_fabric import Fabric
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.evaluation import Groups, Labelled, evaluate
from clip2scene_ros.frame import Array
from clip2scene_ros.metrics import distance_bands
from clip2scene_ros.report.evaluation import build_report, sha256_of, write_report
from clip2scene_ros.report.page import write_page
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training.batching import FrameDataset
from clip2scene_training.config import TrainingConfig
from clip2scene_training.pictures import comparison
from clip2scene_training.state import TrainState

SHOWN = 3
"""Scans of which there are pictures, evenly spread over the frames looked at."""


class Judged(Protocol):
    """A run with data to be judged by."""

    @property
    def val_dataset(self) -> FrameDataset:
        """Frames not learned from; may be empty. Where it has `scenes`, a name for each, scenes are told apart."""

    @property
    def val_sha256(self) -> str:
        """Hash of `val_dataset`, empty if that is."""

    @property
    def config(self) -> TrainingConfig:
        """Settings."""

    @property
    def out(self) -> Path:
        """The checkpoint."""

    @property
    def command(self) -> str:
        """Noted in the report."""


def look(
    fabric: Fabric, run: Judged, state: TrainState[Any], frames: int = 0, groups: Groups = distance_bands
) -> tuple[dict[str, Any], list[Array]]:
    """Judge the saved checkpoint by `frames` of the validation data, 0 for all; note and return report and pictures."""
    report, pictures = judge(run, frames, groups)
    state.look(state.step * run.config.batch_size, report["miou"])
    if report["miou"] is not None:
        fabric.log_dict({"miou": report["miou"]}, state.step)
    board = cast(TensorBoardLogger, fabric.logger)
    for number, picture in enumerate(pictures):
        board.experiment.add_image(f"validation/{number}", picture, state.step, dataformats="HWC")
    return report, pictures


def judge(run: Judged, frames: int = 0, groups: Groups = distance_bands) -> tuple[dict[str, Any], list[Array]]:
    """Return the report of a checkpoint, and pictures of a few scans.

    Args:
        run: what is judged, and by what.
        frames: how many to look at, evenly spread; 0 looks at all.
        groups: points that are also scored on their own.
    """
    config, dataset = run.config, run.val_dataset
    segmenter = Segmenter.load(
        SegmenterConfig(
            checkpoint=str(run.out),
            device=config.device,
            threads=config.threads,
            min_range_m=config.min_range_m,
            max_range_m=config.max_range_m,
        )
    )
    chosen, pictures = spread(len(dataset), frames or len(dataset)), []
    shown = {chosen[i] for i in spread(len(chosen), SHOWN)}

    def labelled() -> Iterator[Labelled]:
        for number in tqdm(chosen, "validation", unit="scan", leave=False, disable=not chosen):
            frame = dataset[number]
            segmentation = segmenter.segment(frame.scan)
            if number in shown and frame.labels is not None:
                pictures.append(comparison(frame, segmentation, segmenter.class_set))
            yield frame, segmentation

    names = getattr(dataset, "scenes", None)
    scenes = None if names is None else [names[number] for number in chosen]
    evaluation = evaluate(labelled(), segmenter.class_set, scenes=scenes, groups=groups)
    report = build_report(
        evaluation,
        data_sha256="" if frames else run.val_sha256,
        weights_sha256=sha256_of(run.out),
        world=None,
        command=run.command,
        seeds=[config.seed],
        settings=asdict(config),
        notes=[f"{segmenter.card.notice}."],
    )
    return report, pictures


def curves(points: Sequence[dict[str, float | None]]) -> dict[str, Any]:
    """Return the looks at the validation data (`state.TrainState.curve`) as the curves of a report."""
    percent = [[point["samples"], None if (miou := point["miou"]) is None else 100 * miou] for point in points]
    loss = [[point["samples"], point["loss"]] for point in points]
    return {
        "Validation": {"x": "samples learned", "y": "mIoU [%]", "lines": {"validation data": percent}},
        "Training": {"x": "samples learned", "y": "mean loss since the look before", "lines": {"loss": loss}},
    }


def write_results(folder: Path, report: dict[str, Any], pictures: Sequence[Array]) -> None:
    """Write report.json and report.html, with pictures of validation scans, into a folder."""
    captions = (f"Prediction, truth and errors, scan {number} of those shown" for number in range(1, len(pictures) + 1))
    write_page(folder / "report.html", report, dict(zip(captions, pictures, strict=True)))
    write_report(folder / "report.json", report)


def spread(length: int, count: int) -> list[int]:
    """Return at most `count` numbers below `length`, evenly spread.

    >>> spread(10, 4), spread(3, 5), spread(0, 2)
    ([0, 3, 6, 9], [0, 1, 2], [])
    """
    return [int(i) for i in np.linspace(0, length - 1, min(length, count)).round()] if length else []
