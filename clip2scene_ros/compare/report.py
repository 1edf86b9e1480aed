"""report.json of `clip2scene compare`: what was counted of two checkpoints, and who is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip2scene_ros import __version__
from clip2scene_ros.compare.account import BINS, Account
from clip2scene_ros.compare.measures import (
    AGAINST,
    Findings,
    Measure,
    calibrated_against,
    duration_s,
)
from clip2scene_ros.compare.pairs import WITHIN_M
from clip2scene_ros.compare.words import conclusion, notes, units
from clip2scene_ros.frame import UNKNOWN, Array
from clip2scene_ros.latency import percentiles
from clip2scene_ros.metrics import iou
from clip2scene_ros.report.evaluation import hardware
from clip2scene_ros.report.format import number, plain
from clip2scene_ros.student.checkpoint import current_versions

FORMAT = "clip2scene-compare/1"

Report = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """How a comparison was made.

    Attributes:
        checkpoints: `A` and `B`: `path`, `sha256`, `description` and `notice` of each.
        teacher: what it says of itself, and what must be shown with it; empty without one.
        missing: why there is no ground truth (`miou`), or no teacher (`agreement`).
        settings: name -> value.
        data_sha256: of the bag.
        world: which drive of the synthetic world it is, or None.
        total: scans of the bag.
        command: the command line.
    """

    checkpoints: Mapping[str, Mapping[str, str]]
    teacher: str
    missing: dict[str, str]
    settings: Mapping[str, Any]
    data_sha256: str
    world: dict[str, Any] | None
    total: int
    command: str


def build_compare_report(account: Account, found: Findings, made: Made) -> Report:
    """Return the content of report.json; docs/compare.md tells every key.

    Args:
        account: what was counted.
        found: what was concluded of it.
        made: how.
    """
    said = notes(account, found, made.checkpoints, made.teacher, made.missing)
    said += [f"{account.scans} of {made.total} scans were compared."] if account.scans < made.total else []
    return {
        "format": FORMAT,
        "conclusion": conclusion(found),
        "gate": {"measure": found.gate, "judged": found.judged, "worse": found.worse},
        "measures": {name: _measure(name, each) for name, each in found.measures.items()},
        "checkpoints": {side: dict(each) for side, each in made.checkpoints.items()},
        "teacher": made.teacher,
        "notes": said,
        "scans": account.scans,
        "duration_s": round(duration_s(account), 3),
        "classes": _classes(account, found),
        "between": _between(account),
        "calibration": _calibration(account),
        "stability": {"within_m": WITHIN_M, "pairs": account.pairs, "of_one_thing": account.one_thing},
        "latency_ms": {
            side: {name: number(value, 3) for name, value in percentiles(ms).items()}
            for side, ms in zip("AB", account.latency_ms, strict=True)
        },
        "left_out": dict(account.left_out),
        "data_sha256": made.data_sha256,
        "world": made.world,
        "settings": plain(made.settings, "settings"),
        "versions": {"clip2scene_ros": __version__, "numpy": np.__version__, **current_versions()},
        "hardware": hardware(),
        "command": made.command,
    }


def _measure(name: str, each: Measure) -> dict[str, Any]:
    """Return a measure in JSON: shares from 0 to 1, of latencies milliseconds and the quotient of B by A."""
    quotient = name == "latency"
    ends = (None, None, None) if each.found is None else units(name, each.found)
    return {
        "title": each.title,
        "a": _rounded(each.a, 3 if quotient else 6),
        "b": _rounded(each.b, 3 if quotient else 6),
        "ratio" if quotient else "difference": _rounded(ends[0]),
        "low": _rounded(ends[1]),
        "high": _rounded(ends[2]),
        "blocks": each.found.scenes if each.found else 0,
        "higher_is_better": each.higher_is_better,
        "better": each.better,
        "why": each.why,
    }


def _classes(account: Account, found: Findings) -> dict[str, Any]:
    taught = [[number(float(value)) for value in iou(matrix)] for matrix in account.teacher]
    known = np.maximum(account.points[:, :UNKNOWN].sum(axis=1), 1)
    judged = [_measure("", each) for each in found.classes]
    keys = ("a", "b", "difference", "low", "high", "better")
    return {
        name: {
            "points": [number(float(share)) for share in account.points[:, i] / known],
            "true_points": int(account.truth[0, i].sum()),
            "iou": {key: judged[i][key] for key in keys} if judged else None,
            "iou_with_teacher": [each[i] for each in taught] if account.teacher.any() else None,
        }
        for i, name in enumerate(account.class_set.names)
    }


def _between(account: Account) -> dict[str, Any]:
    total = int(account.between.sum())
    same = number(int(np.trace(account.between[:-1, :-1])) / total) if total else None
    return {"same": same, "points": total, "matrix": account.between.tolist()}


def _calibration(account: Account) -> dict[str, Any]:
    against = calibrated_against(account)
    if not against:
        return {"against": "", "A": [], "B": []}
    sums: Array = np.sum(account.rows[against], axis=0).reshape(2, 3, BINS)
    return {"against": AGAINST[against], **{side: _bins(each) for side, each in zip("AB", sums, strict=True)}}


def _bins(sums: Array) -> list[list[float | None]]:
    """Return [mean probability, share that is right, points] of each bin that has points."""
    return [[number(p / n), number(r / n), int(n)] for n, p, r in sums.T if n]


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else number(value, digits)
