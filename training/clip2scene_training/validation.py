"""How good is a student in training? Its checkpoint is loaded and asked as a user would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.frame import Array
from clip2scene_ros.offline import Labelled, evaluate
from clip2scene_ros.report import build_report, sha256_of, write_report
from clip2scene_ros.report_page import write_page
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training.batching import FrameDataset
from clip2scene_training.config import FinetuneConfig
from clip2scene_training.pictures import comparison

SHOWN = 3
"""Scans of which there are pictures, evenly spread over the frames looked at."""


def judge(
    out: Path, dataset: FrameDataset, data_sha256: str, config: FinetuneConfig, command: str, frames: int = 0
) -> tuple[dict[str, Any], list[Array]]:
    """Return the report of a checkpoint, and pictures of a few scans.

    Args:
        out: the checkpoint.
        dataset: frames that were not learned from; may be empty. Where it has `scenes`, the name of each frame's
            scene, the report tells scenes apart.
        data_sha256: hash of the frames looked at, where it is known.
        config: settings of the training.
        command: noted in the report.
        frames: how many to look at, evenly spread; 0 looks at all.
    """
    segmenter = Segmenter.load(
        SegmenterConfig(
            checkpoint=str(out),
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
    evaluation = evaluate(labelled(), segmenter.class_set, scenes=scenes)
    report = build_report(
        evaluation,
        data_sha256=data_sha256,
        weights_sha256=sha256_of(out),
        world=None,
        command=command,
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
