"""report.json of `clip2scene label`: what was counted, and what that says of calibration, words and teacher."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from clip2scene_ros import __version__
from clip2scene_ros.label.account import Account, share
from clip2scene_ros.label.verdict import conclusion, findings
from clip2scene_ros.metrics import accuracy, mean_iou
from clip2scene_ros.report.alignment import alignment_entry
from clip2scene_ros.report.evaluation import hardware
from clip2scene_ros.report.format import ious, number, plain
from clip2scene_ros.student.checkpoint import current_versions
from clip2scene_ros.teacher.labeler import Evidence
from clip2scene_ros.teacher.teachers import Teacher

FORMAT = "clip2scene-labels/1"
RESIDENT_IN_MB = 1024 if sys.platform != "darwin" else 1024**2
"""`ru_maxrss` counts KiB, on macOS bytes."""


def build_label_report(
    account: Account, teacher: Teacher, *, command: str, data_sha256: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of report.json; docs/label.md tells every key.

    Args:
        account: what was counted.
        teacher: who labelled.
        command: the command line.
        data_sha256: of the bag.
        settings: name -> value.
    """
    found = findings(account, teacher.notice)
    left_out = [f"{count} {what}." for what, count in account.left_out.items()]
    return {
        "format": FORMAT,
        "conclusion": conclusion(found),
        "findings": [{"about": each.about, "state": each.state, "sentences": list(each.sentences)} for each in found],
        "teacher": teacher.describe(),
        "notes": [*([_sentence(teacher.notice)] if teacher.notice else []), *left_out],
        "frames": account.frames,
        "images": account.images,
        "seconds_per_image": _rounded(share(account.looking_s, account.images)),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RESIDENT_IN_MB),
        "points": _points(account),
        "agreement": _agreement(account.evidence),
        "ground_told": number(account.ground_told),
        "absorbed_pixels": _rounded(share(account.pixels.winners[-1], account.pixels.total)),
        "classes": _classes(account),
        "alignment": {name: alignment_entry(fit.judge()) for name, fit in sorted(account.fits.items())},
        "score": _score(account),
        "left_out": dict(account.left_out),
        "data_sha256": data_sha256,
        "settings": plain(settings, "settings"),
        "versions": {"clip2scene_ros": __version__, "numpy": np.__version__, **current_versions()},
        "hardware": hardware(),
        "command": command,
    }


def _points(account: Account) -> dict[str, Any]:
    evidence = account.evidence
    return {
        "total": evidence.points,
        "in_image": _rounded(share(evidence.in_image, evidence.points)),
        "seen": _rounded(share(evidence.visible, evidence.points)),
        "hidden": _rounded(share(evidence.hidden, evidence.points)),
        "labelled": _rounded(share(int(account.points[:255].sum()), evidence.points)),
        "sky_leak": _rounded(share(evidence.absorbed, evidence.visible)),
    }


def _agreement(evidence: Evidence) -> dict[str, Any]:
    return {
        "cameras": _rounded(share(evidence.cameras_agree, evidence.cameras_compared)),
        "cameras_compared": evidence.cameras_compared,
        "sweeps": _rounded(share(evidence.sweeps_agree, evidence.sweeps_compared)),
        "sweeps_compared": evidence.sweeps_compared,
    }


def _classes(account: Account) -> dict[str, Any]:
    known = int(account.points[:255].sum())
    return {
        name: {
            "points": _rounded(share(account.points[i], known)),
            "pixels": _rounded(share(account.pixels.winners[i], account.pixels.total)),
            "confidence": _rounded(share(account.confidence[i], account.points[i])),
        }
        for i, name in enumerate(account.class_set.names)
    }


def _score(account: Account) -> dict[str, Any] | None:
    if account.matrix is None:
        return None
    matrix = account.matrix
    labelled = int(matrix[:, :-1].sum())
    return {
        "miou": number(mean_iou(matrix)),
        "accuracy": number(accuracy(matrix)),
        "precision": _rounded(share(np.trace(matrix[:, :-1]), labelled)),
        "coverage": _rounded(share(labelled, matrix.sum())),
        "iou": ious(matrix, account.class_set.names),
        "points": matrix.sum(axis=1).tolist(),
        "confusion": matrix.tolist(),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else number(value)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
