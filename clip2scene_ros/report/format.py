"""The form of report.json: its keys, and the checks that its numbers agree. docs/reports.md tells what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadReport, short
from clip2scene_ros.frame import Array
from clip2scene_ros.metrics import iou, mean_iou

FORMAT = "clip2scene-report/1"
DIGITS = 6
KEYS: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "miou": (float, int, type(None)),
    "accuracy": (float, int, type(None)),
    "iou": (dict,),
    "absent": (list,),
    "frames": (int,),
    "points": (int,),
    "latency_ms": (dict,),
    "groups": (dict,),
    "confusion": (dict,),
    "scenes": (dict,),
    "data_sha256": (str,),
    "weights_sha256": (str,),
    "world": (dict, type(None)),
    "seeds": (list,),
    "settings": (dict,),
    "curves": (dict,),
    "tables": (dict,),
    "notes": (list,),
    "versions": (dict,),
    "hardware": (dict,),
    "command": (str,),
}
"""The keys of a report, in their order, with the types of their values."""

Report = dict[str, Any]


def validate(report: Report, where: str) -> None:
    """Raise BadReport, naming the report by `where`, unless all keys are there and their numbers agree."""
    for key, types in KEYS.items():
        if key not in report or not isinstance(report[key], types) or isinstance(report[key], bool):
            kinds = " or ".join("null" if each is type(None) else each.__name__ for each in types)
            got = short(report[key]) if key in report else "nothing"
            raise BadReport("form", f"{where}: expected `{key}` to be {kinds}, but got {got}.")
    _validate_numbers(report, where)
    _validate_extras(report, where)


def plain(value: Any, where: str) -> Any:  # noqa: ANN401 - any tree of settings
    """Return `value` in JSON's own types: NumPy becomes Python, a path its text, NaN and infinities null."""
    if isinstance(value, Mapping):
        return {str(key): plain(each, f"{where}.{key}") for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), where)
    if isinstance(value, list | tuple):
        return [plain(each, where) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | type(None)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise BadReport("value", f"Expected text, numbers, lists or mappings in `{where}`, but got {type(value).__name__}.")


def ious(matrix: Array, names: Sequence[str]) -> dict[str, float | None]:
    """Return name -> IoU, None where the class is absent."""
    return {name: number(value) for name, value in zip(names, iou(matrix), strict=True)}


def number(value: float, digits: int = DIGITS) -> float | None:
    """Return a JSON number: NaN, which JSON lacks, becomes null."""
    return None if math.isnan(value) else round(float(value), digits)


def _validate_numbers(report: Report, where: str) -> None:
    names, rows = report["confusion"].get("classes"), report["confusion"].get("matrix")
    if not isinstance(names, list) or not names or list(report["iou"]) != names:
        raise BadReport("classes", f"{where}: expected the classes of `iou` in `confusion.classes`.")
    matrix = _counts(rows, (len(names), len(names) + 1), f"{where}: `confusion.matrix`")
    size = matrix.size
    scenes = [_counts(flat, (size,), f"{where}: scene {name!r}") for name, flat in report["scenes"].items()]
    if scenes and not np.array_equal(np.sum(scenes, axis=0), matrix.ravel()):
        raise BadReport("sum", f"{where}: the matrices of `scenes` do not add up to `confusion.matrix`.")
    if report["miou"] != number(mean_iou(matrix)) or report["iou"] != ious(matrix, names):
        raise BadReport("sum", f"{where}: `miou` and `iou` are not those of `confusion.matrix`.")


def _validate_extras(report: Report, where: str) -> None:
    for title, curve in report["curves"].items():
        lines = curve.get("lines") if isinstance(curve, dict) else None
        if not isinstance(lines, dict) or not all(_is_line(points) for points in lines.values()):
            raise BadReport(
                "curves",
                f"{where}: expected curve {title!r} as {{x, y, lines: {{name: [[x, y], ...]}}}}, y null if none.",
            )
    for title, table in report["tables"].items():
        columns, rows = (table.get("columns"), table.get("rows")) if isinstance(table, dict) else (None, None)
        if (
            not isinstance(columns, list)
            or not isinstance(rows, list)
            or not all(isinstance(row, list) and len(row) == len(columns) for row in rows)
        ):
            raise BadReport("tables", f"{where}: expected table {title!r} as {{columns: [...], rows: [[...], ...]}}.")


def _is_line(points: Any) -> bool:  # noqa: ANN401 - untrusted JSON
    """Return whether these are [x, y] pairs of numbers; y may be null where there is none."""
    return isinstance(points, list) and all(
        isinstance(pair, list)
        and len(pair) == 2
        and isinstance(pair[0], float | int)
        and isinstance(pair[1], float | int | type(None))
        for pair in points
    )


def _counts(value: Any, shape: tuple[int, ...], where: str) -> Array:  # noqa: ANN401 - untrusted JSON
    try:
        counts = np.array(value)
    except ValueError:  # rows of different lengths
        counts = np.empty(0)
    if counts.shape != shape or counts.dtype.kind != "i" or (counts < 0).any():
        raise BadReport("counts", f"{where}: expected numbers of points in the shape {shape}.")
    return counts
