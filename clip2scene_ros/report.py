"""report.json: what was measured, on which data, with which weights, by which command."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import Array
from clip2scene_ros.latency import percentiles
from clip2scene_ros.metrics import iou, mean_iou

DIGITS = 6
CHUNK_BYTES = 1 << 20


def build_report(
    matrix: Array,
    class_set: ClassSet,
    *,
    frames: int,
    latency_ms: Iterable[float],
    data_sha256: str,
    weights_sha256: str,
    world: dict[str, Any] | None,
    command: str,
) -> dict[str, Any]:
    """Return the content of report.json.

    Args:
        matrix: (C, C + 1) int64 counts from `metrics.confusion`, summed over all frames.
        class_set: the C classes.
        frames: number of scans in `matrix`.
        latency_ms: one duration per scan [ms].
        data_sha256: of the bag, see `sha256_of`.
        weights_sha256: of the checkpoint file.
        world: what made the data when that was the synthetic world (its seed), else None.
        command: the command line that makes this report again.

    Returns:
        `miou` and `iou` (class name -> value, None where a class neither occurs nor is predicted),
        `frames`, `points` (with ground truth), `latency_ms`, the hashes, `world`, `command`.
    """
    values = {name: _number(value) for name, value in zip(class_set.names, iou(matrix), strict=True)}
    return {
        "miou": _number(mean_iou(matrix)),
        "iou": values,
        "frames": frames,
        "points": int(matrix.sum()),
        "latency_ms": {name: _number(value, 3) for name, value in percentiles(latency_ms).items()},
        "data_sha256": data_sha256,
        "weights_sha256": weights_sha256,
        "world": world,
        "command": command,
    }


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write `report` as JSON, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def table(report: dict[str, Any]) -> str:
    """Return the report as lines for a terminal: a class a line, the mean, the latency."""
    width = max(map(len, report["iou"]))
    rows = [
        f"  {name:<{width}}  {'absent' if value is None else f'{100 * value:6.1f}'}"
        for name, value in report["iou"].items()
    ]
    latency = "  ".join(f"{name} {_shown(value)}" for name, value in report["latency_ms"].items())
    mean = "none" if report["miou"] is None else f"{100 * report['miou']:.1f}"
    return "\n".join(
        [
            "IoU [%]",
            *rows,
            f"mIoU {mean} over {report['frames']} scans, {report['points']} points with ground truth",
            f"latency [ms]: {latency}",
        ]
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's files: over the lines `hash  relative/path`, sorted by path."""
    if path.is_file():
        return _sha256_of_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{_sha256_of_file(file)}  {file.relative_to(path).as_posix()}\n".encode())
    return digest.hexdigest()


def _sha256_of_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _number(value: float, digits: int = DIGITS) -> float | None:
    """Return a JSON number: NaN, which JSON lacks, becomes null."""
    return None if math.isnan(value) else round(float(value), digits)


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"
