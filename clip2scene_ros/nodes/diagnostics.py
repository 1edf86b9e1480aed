"""The segmentation node's row on /diagnostics: rate, latency, drops, losses, last error and what is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import DiagnosticsConfig
from clip2scene_ros.nodes.arrivals import silence_advice
from clip2scene_ros.nodes.bulletin import Bulletin, Row
from clip2scene_ros.nodes.compatibility import QosWatch
from clip2scene_ros.nodes.ledger import Account, Ledger
from clip2scene_ros.nodes.pipeline import NO_SUBSCRIBER, Pipeline
from clip2scene_ros.nodes.transport import PROFILE
from clip2scene_ros.share import share_file

RECENT_ERROR_S = 10.0

DROPPED = "dropped."
NO_FAULTS = {f"{DROPPED}{reason}" for reason in (NO_SUBSCRIBER, "deactivated")}
FAULTS = ("lost_before_arrival", "clipped_points", "time_jumps", "zero_stamps")


@dataclass(frozen=True)
class Condition:
    """What the node knows of itself beside the ledger.

    Attributes:
        state: lifecycle state.
        loaded: one line about the student, its notice included; empty before it is loaded.
        failure: why the last configuration failed, or empty.
        class_set: name of the class list in force, empty where nothing is loaded.
        classes: how many classes it has.
        lost: scans that never reached the node.
        lost_exact: whether `lost` comes from sequence numbers.
        period_ms: the LiDAR's period, 0 while unknown.
        time_jumps: how often the stamps jumped, back or ahead.
        zero_stamps: scans whose stamp was zero.
        topic: full name of the input topic, empty unless active.
        publishers: how many publish on it.
        active_s: time since the activation [s].
        misfit: peers whose quality of service does not fit, or empty.
    """

    state: str
    loaded: str = ""
    failure: str = ""
    class_set: str = ""
    classes: int = 0
    lost: int = 0
    lost_exact: bool = False
    period_ms: float = 0.0
    time_jumps: int = 0
    zero_stamps: int = 0
    topic: str = ""
    publishers: int = 0
    active_s: float = 0.0
    misfit: str = ""

    def silence_s(self, account: Account) -> float:
        """Return the time without a scan since the last one or the activation, whichever was later [s]."""
        return self.active_s if account.silence_s is None else min(self.active_s, account.silence_s)


def judge(account: Account, condition: Condition, config: DiagnosticsConfig) -> tuple[int, str]:
    """Return the level (OK 0, WARN 1, ERROR 2) and one line that says why.

    Args:
        account: what became of the scans.
        condition: the node's own state.
        config: limits.
    """
    ok, warn, error = (DiagnosticStatus.OK[0], DiagnosticStatus.WARN[0], DiagnosticStatus.ERROR[0])
    if condition.failure:
        return error, condition.failure
    if condition.state != "active":
        return ok, f"{condition.state}: waiting for a lifecycle transition"
    if account.last_error_age_s is not None and account.last_error_age_s < RECENT_ERROR_S:
        return error, account.last_error
    if condition.misfit:
        return warn, condition.misfit
    silence_s = condition.silence_s(account)
    if account.silence_s is None or silence_s > config.silence_s:
        publishers = f"{condition.publishers} publish" if condition.publishers else "nothing publishes"
        return warn, f"no scan for {silence_s:.1f} s: {publishers} `{condition.topic}`"
    limit_ms = config.max_latency_ms or condition.period_ms
    if limit_ms and account.recent_ms > limit_ms:
        return warn, f"labels take {account.recent_ms:.0f} ms, more than {limit_ms:.0f} ms"
    return ok, f"{account.rate_out_hz:.1f} Hz"


def rows(account: Account, condition: Condition) -> dict[str, str]:
    """Return every value of the report as text, by key."""
    values: dict[str, object] = {
        "state": condition.state,
        "loaded": condition.loaded or "nothing",
        "class_set": condition.class_set or "none",
        "classes": condition.classes,
        "received": account.received,
        "labelled": account.labelled,
        "pending": account.pending,
        "dropped": sum(account.dropped.values()),
        **{f"{DROPPED}{reason}": count for reason, count in sorted(account.dropped.items())},
        "lost_before_arrival": condition.lost,
        "lost_known_by": "sequence numbers" if condition.lost_exact else "gaps between stamps (estimate)",
        "lidar_period_ms": f"{condition.period_ms:.1f}",
        "rate_in_hz": f"{account.rate_in_hz:.2f}",
        "rate_out_hz": f"{account.rate_out_hz:.2f}",
        **{f"pipeline_latency_{name}_ms": f"{ms:.2f}" for name, ms in account.pipeline_ms.items()},
        **{f"overhead_{name}_ms": f"{ms:.2f}" for name, ms in account.overhead_ms.items()},
        **{f"processing_{stage}_p50_ms": f"{ms:.2f}" for stage, ms in account.processing_ms.items()},
        "clipped_points": account.clipped_points,
        "time_jumps": condition.time_jumps,
        "zero_stamps": condition.zero_stamps,
        "last_error": account.last_error or "none",
    }
    return {key: str(value) for key, value in values.items()}


def is_fault(key: str) -> bool:
    """Return whether a value of the report counts what ought not to happen."""
    return key in FAULTS or (key.startswith(DROPPED) and key not in NO_FAULTS)


class Reporter:
    """Knows what the node's row is made of.

    Attributes:
        loaded: one line about the student, or empty.
        failure: why the last configuration failed, or empty.
        class_set: the classes in force, or None.
        pipeline: the running pipeline, or None.
        watch: finds peers that do not fit while the node is active, or None.
        bulletin: publishes the row.
    """

    def __init__(self, node: Node, state: Callable[[], str], config: DiagnosticsConfig, ledger: Ledger) -> None:
        self.loaded = ""
        self.failure = ""
        self.class_set: ClassSet | None = None
        self.pipeline: Pipeline | None = None
        self.watch: QosWatch | None = None
        self._node, self._state, self._config, self._ledger = node, state, config, ledger
        self._told = False
        self.bulletin = Bulletin(node, "segmentation", config.period_s, self._row, is_fault)

    def _row(self) -> Row:
        account, condition = self._ledger.account(time.monotonic_ns()), self._condition()
        self._tell_of_silence(account, condition)
        return Row(*judge(account, condition, self._config), rows(account, condition))

    def _tell_of_silence(self, account: Account, condition: Condition) -> None:
        """Log, once a silence, that a topic has publishers and yet nothing comes: DDS loses large clouds in silence."""
        silent = condition.silence_s(account) > self._config.silence_s and condition.publishers > 0
        if silent and not self._told:
            text = silence_advice(condition.topic, condition.publishers, str(share_file(PROFILE)))
            self._node.get_logger().warning(text)
        self._told = silent

    def _condition(self) -> Condition:
        pipeline, class_set = self.pipeline, self.class_set
        name, classes = (class_set.name or "(no name)", len(class_set)) if class_set is not None else ("", 0)
        mine = Condition(self._state(), self.loaded, self.failure, name, classes)
        if pipeline is None:
            return mine
        return replace(
            mine,
            lost=pipeline.losses.lost,
            lost_exact=pipeline.losses.exact,
            period_ms=pipeline.losses.period_ns / 1e6,
            time_jumps=pipeline.order.jumps + pipeline.ahead.count,
            zero_stamps=pipeline.order.zero_stamps,
            topic=pipeline.topic,
            publishers=self._node.count_publishers(pipeline.topic),
            active_s=(time.monotonic_ns() - pipeline.started_ns) / 1e9,
            misfit="; ".join(self.watch.check()) if self.watch is not None else "",
        )
