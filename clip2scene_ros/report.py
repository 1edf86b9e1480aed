"""report.json: what was measured, on which data, with which weights, by which command."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.files import whole_file
from clip2scene_ros.latency import percentiles
from clip2scene_ros.metrics import iou, mean_iou
from clip2scene_ros.offline import Evaluation
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT

DIGITS = 6


def build_report(
    evaluation: Evaluation, *, data_sha256: str, weights_sha256: str, world: dict[str, Any] | None, command: str
) -> dict[str, Any]:
    """Return the content of report.json.

    Args:
        evaluation: labels against ground truth.
        data_sha256: of the bag, see `sha256_of`.
        weights_sha256: of the checkpoint file.
        world: which drive of the synthetic world the data are (`BagFile.world`), or None.
        command: the command line that makes this report again.

    Returns:
        `miou` and `iou` (class name -> value, None where a class neither occurs nor is predicted),
        `frames`, `points` (with ground truth), `latency_ms`, the hashes, `world`, `command`.
    """
    matrix = evaluation.matrix
    return {
        "miou": _number(mean_iou(matrix)),
        "iou": {n: _number(v) for n, v in zip(evaluation.class_set.names, iou(matrix), strict=True)},
        "frames": evaluation.frames,
        "points": int(matrix.sum()),
        "latency_ms": {name: _number(value, 3) for name, value in percentiles(evaluation.latency_ms).items()},
        "data_sha256": data_sha256,
        "weights_sha256": weights_sha256,
        "world": world,
        "command": command,
    }


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write `report` as JSON, whole or not at all."""
    with whole_file(path) as stream:
        stream.write((json.dumps(report, indent=2) + "\n").encode())


def headline(report: dict[str, Any]) -> str:
    """Return the one line that sums the report up."""
    mean = "none" if report["miou"] is None else f"{100 * report['miou']:.1f}"
    return f"mIoU {mean} over {report['frames']} scans, {report['points']} points with ground truth"


def table(report: dict[str, Any]) -> str:
    """Return the report as lines for a terminal: a class a line, the mean, the latency."""
    width = max(map(len, report["iou"]))
    rows = [f"  {name:<{width}}  {_percent(value)}" for name, value in report["iou"].items()]
    latency = "  ".join(f"{n} {'none' if v is None else f'{v:.1f}'}" for n, v in report["latency_ms"].items())
    return "\n".join(["IoU [%]", *rows, headline(report), f"latency [ms]: {latency}"])


def weights_sha256(config: SegmenterConfig) -> str:
    """Return the SHA-256 of the checkpoint file that `config` names."""
    return file_sha256(config.checkpoint or DEMO_CHECKPOINT)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder: over the lines `hash  relative/path` of its files, by path."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p.parent.name != "__pycache__"):
        digest.update(f"{file_sha256(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return digest.hexdigest()


def _number(value: float, digits: int = DIGITS) -> float | None:
    """Return a JSON number: NaN, which JSON lacks, becomes null."""
    return None if math.isnan(value) else round(float(value), digits)


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:6.1f}"
