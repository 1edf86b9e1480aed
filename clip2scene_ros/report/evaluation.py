"""report.json: what was measured, on which data, with which weights, by which command.

One format for everything that measures. Nothing in it depends on when it was made: the same command on the same
machine gives the same report but for latencies. It holds a confusion matrix for each scene, so that two reports can
be compared (`significance`) without the data.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clip2scene_ros import __version__
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.errors import BadReport, short
from clip2scene_ros.evaluation import Evaluation
from clip2scene_ros.files import whole_file
from clip2scene_ros.latency import percentiles
from clip2scene_ros.metrics import accuracy, mean_iou
from clip2scene_ros.report.format import FORMAT, Report, ious, number, plain, validate
from clip2scene_ros.student.checkpoint import current_versions, file_sha256
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT


def build_report(
    evaluation: Evaluation,
    *,
    data_sha256: str,
    weights_sha256: str,
    world: dict[str, Any] | None,
    command: str,
    seeds: Sequence[int] = (),
    settings: Mapping[str, Any] | None = None,
    curves: Mapping[str, Any] | None = None,
    tables: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Report:
    """Return the content of report.json; docs/reports.md tells every key.

    Args:
        evaluation: labels against ground truth.
        data_sha256: of the bag, see `sha256_of`.
        weights_sha256: of the checkpoint file.
        world: which drive of the synthetic world the data are (`BagFile.world`), or None.
        command: the command line that makes this report again.
        seeds: of the training and of what else was drawn.
        settings: name -> value, as far as the reader needs them.
        curves: title -> `{"x": axis, "y": axis, "lines": {name: [[x, y], ...]}}`.
        tables: title -> `{"columns": [name, ...], "rows": [[value, ...], ...]}`.
        notes: sentences that must be read with the numbers.

    Raises:
        BadReport: a setting holds what JSON cannot, or a curve or table has another form.
    """
    report: Report = {
        "format": FORMAT,
        **_counted(evaluation),
        "data_sha256": data_sha256,
        "weights_sha256": weights_sha256,
        "world": world,
        "seeds": [int(seed) for seed in seeds],
        "settings": plain(settings or {}, "settings"),
        "curves": plain(curves or {}, "curves"),
        "tables": plain(tables or {}, "tables"),
        "notes": list(notes),
        "versions": {"clip2scene_ros": __version__, "numpy": np.__version__, **current_versions()},
        "hardware": hardware(),
        "command": command,
    }
    validate(report, "this report")
    return report


def _counted(evaluation: Evaluation) -> Report:
    """Return what a report says of the labels and the ground truth themselves."""
    matrix, names = evaluation.matrix, evaluation.class_set.names
    values = ious(matrix, names)
    return {
        "miou": number(mean_iou(matrix)),
        "accuracy": number(accuracy(matrix)),
        "iou": values,
        "absent": [name for name, value in values.items() if value is None],
        "frames": evaluation.frames,
        "points": int(matrix.sum()),
        "latency_ms": {name: number(value, 3) for name, value in percentiles(evaluation.latency_ms).items()},
        "groups": {
            name: {"miou": number(mean_iou(part)), "points": int(part.sum()), "iou": ious(part, names)}
            for name, part in evaluation.groups.items()
        },
        "confusion": {"classes": list(names), "matrix": matrix.tolist()},
        "scenes": {name: part.ravel().tolist() for name, part in sorted(evaluation.scenes.items())},
    }


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write `report` as JSON, whole or not at all; a list of numbers stands on one line."""
    text = json.dumps(report, indent=2, allow_nan=False)
    text = re.sub(r"\[\n[\s\d.,eE+-]+\]", lambda found: f"[{' '.join(found[0][1:-1].split())}]", text)
    with whole_file(path) as stream:
        stream.write((text + "\n").encode())


def read_report(path: Path) -> Report:
    """Read what `write_report` wrote of a report.

    Raises:
        BadReport: not there, damaged, of another version, or its numbers contradict each other.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadReport("missing", f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise BadReport("json", f"{path} is not valid JSON: {error}.") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        found = short(report.get("format", "no `format`")) if isinstance(report, dict) else "no mapping"
        raise BadReport("format", f"{path}: expected a report of format {FORMAT!r}, but got {found}; make it again.")
    validate(report, str(path))
    return report


def hardware() -> dict[str, Any]:
    """Return what computes here: CPU model, cores that this process may use, GPU or None."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _cpu_model(), "cores": usable, "gpu": gpu}


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


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:6.1f}"
