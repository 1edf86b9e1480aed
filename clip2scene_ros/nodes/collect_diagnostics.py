"""The collecting node's row on /diagnostics: counts, queue, disk, what the synchroniser did, labels a minute."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus

from clip2scene_ros.collect.rig import RigCondition
from clip2scene_ros.collect.sets import CollectAccount, Fit
from clip2scene_ros.frame import NS_PER_S
from clip2scene_ros.sync_sets import SyncAccount

RECENT_ERROR_S = 10.0
GB = 1e9

DROPPED = "dropped."
CHOICES = ("standing", "too_soon", "hour_full", "familiar", "deactivated", "stopped")
NO_FAULTS = {f"{DROPPED}{reason}" for reason in CHOICES}
FAULTS = (DROPPED, "scans_dropped.", "images_left_out.", "images_bad.", "time_jumps")
FAULTS_OF_A_TOPIC = (".lost", ".jumped_ahead")


@dataclass(frozen=True)
class Condition:
    """What the node knows at a moment.

    Attributes:
        state: lifecycle state.
        loaded: one line about the teacher, empty before it is loaded.
        failure: why the last configuration failed, or empty.
        account: of the sets, None unless active.
        rig: where the sensors are, None unless active.
        sync: of scans and views, None unless active.
        waited_ms: percentiles of the time that the newest scans waited for their views [ms].
        inputs: counts of each topic, by name.
        misfit: publishers whose quality of service does not fit, or empty.
        paused: why nothing can be stored, or empty.
        last_error: of a frame that failed, or empty.
        error_age_s: how long ago that was [s].
        kept_a_minute: frames kept within the last minute.
        worker_deaths: how often the teacher's process ended by itself.
        silence_s: time without a set [s].
        disk_free_gb: free space [GB], negative where it is unknown.
        triggers: how often `~/keep` was called.
    """

    state: str
    loaded: str = ""
    failure: str = ""
    account: CollectAccount | None = None
    rig: RigCondition | None = None
    sync: SyncAccount | None = None
    waited_ms: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    misfit: str = ""
    paused: str = ""
    last_error: str = ""
    error_age_s: float = 0.0
    kept_a_minute: int = 0
    worker_deaths: int = 0
    silence_s: float = 0.0
    disk_free_gb: float = -1.0
    triggers: int = 0


def judge(condition: Condition, silence_s: float) -> tuple[int, str]:
    """Return the level (OK 0, WARN 1, ERROR 2) and one line that says why.

    Args:
        condition: the node's.
        silence_s: WARN after this long without a scan [s].
    """
    ok, warn, error = (DiagnosticStatus.OK[0], DiagnosticStatus.WARN[0], DiagnosticStatus.ERROR[0])
    if condition.failure:
        return error, condition.failure
    if condition.account is None or condition.sync is None:
        return ok, f"{condition.state}: waiting for a lifecycle transition"
    if condition.paused:
        return error, f"collecting is paused until there is room: {condition.paused}"
    if condition.last_error and condition.error_age_s < RECENT_ERROR_S:
        return error, condition.last_error
    if condition.misfit:
        return warn, condition.misfit
    if condition.silence_s > silence_s:
        return warn, f"no scan for {condition.silence_s:.1f} s"
    if condition.rig is not None and condition.rig.problems:
        return warn, condition.rig.problems[0]
    silent = [name for name, camera in condition.sync.cameras.items() if camera.silent or not camera.received]
    if silent:
        return warn, f"no images of {', '.join(silent)}: frames are kept without them"
    if condition.account.slips:
        return warn, f"{'; '.join(condition.account.slips)}: its images are left out until it fits again"
    return ok, f"{condition.account.kept} frames kept, {condition.kept_a_minute} in the last minute"


def rows(condition: Condition) -> dict[str, str]:
    """Return every value of the report as text, by key."""
    values: dict[str, object] = {
        "state": condition.state,
        "loaded": condition.loaded or "nothing",
        "kept_a_minute": condition.kept_a_minute,
        "paused": condition.paused or "no",
        "last_error": condition.last_error or "none",
        "worker_deaths": condition.worker_deaths,
        "disk_free_gb": f"{condition.disk_free_gb:.3f}",
        "triggers": condition.triggers,
    }
    if condition.account is not None:
        a = condition.account
        values |= {
            "received": a.received,
            "kept": a.kept,
            "kept_by_trigger": a.triggered,
            "dropped": sum(a.dropped.values()),
            **{f"{DROPPED}{reason}": count for reason, count in sorted(a.dropped.items())},
            "waiting": a.waiting,
            "remembered": a.remembered,
            "at_worker": a.at_worker,
            "held_mb": f"{a.held_bytes / 1e6:.1f}",
            "kept_mb": f"{a.kept_bytes / 1e6:.1f}",
            **{f"images_left_out.{what}": count for what, count in sorted(a.images_left_out.items())},
            **_fit_rows(a.fits),
        }
    if condition.rig is not None:
        values["ego_motion"] = condition.rig.motion
        values |= {f"refused.{what}": count for what, count in sorted(condition.rig.refused.items())}
        values |= {f"problem.{i}": text for i, text in enumerate(condition.rig.problems)}
    if condition.sync is not None:
        values |= _sync_rows(condition.sync) | condition.inputs
        values |= {f"waited_{name}_ms": f"{ms:.1f}" for name, ms in condition.waited_ms.items()}
    return {key: str(value) for key, value in values.items()}


def is_fault(key: str) -> bool:
    """Return whether a value of the report counts what ought not to happen."""
    if key in NO_FAULTS or key.endswith((".dropped.unmatched", ".dropped.late")):
        return False  # a camera may be faster than its LiDAR, and slower to arrive
    return key.startswith(FAULTS) or key.endswith(FAULTS_OF_A_TOPIC) or ".dropped." in key


def _fit_rows(fits: dict[str, Fit]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, fit in sorted(fits.items()):
        values |= {
            f"{name}.calibration": fit.text if fit.slipped else fit.state,
            f"{name}.calibration_score": f"{fit.score:.3f}",
            f"{name}.calibration_views": fit.views,
            f"{name}.calibration_since": f"{fit.since_ns / NS_PER_S:.3f}",
        }
    return values


def disk_free_gb(folder: Path) -> float:
    """Return the free space of the disk that a folder is, or will be, on [GB]; -1 where it cannot be told."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return -1.0
    return disk.f_bavail * disk.f_frsize / GB


def age_s(then_s: float) -> float:
    """Return the time since a moment of the monotonic clock [s]."""
    return time.monotonic() - then_s


def _sync_rows(account: SyncAccount) -> dict[str, object]:
    values: dict[str, object] = {
        "scans": account.received,
        "sets_full": account.full,
        "sets_partial": account.partial,
        "scans_waiting": account.waiting,
        **{f"scans_dropped.{reason}": count for reason, count in sorted(account.dropped.items())},
        "time_jumps": account.time_jumps,
    }
    for name, camera in account.cameras.items():
        values |= {
            f"{name}.received": camera.received,
            f"{name}.matched": camera.matched,
            f"{name}.silent": str(camera.silent).lower(),
            **{f"{name}.dropped.{reason}": count for reason, count in sorted(camera.dropped.items())},
            **{f"{name}.missing.{reason}": count for reason, count in sorted(camera.missing.items())},
        }
    return values
