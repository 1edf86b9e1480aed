"""The segmentation node's row on /diagnostics: rate, latency, drops, losses, last error and what is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node
from rclpy.time import Time

from clip2scene_ros.config import DiagnosticsConfig
from clip2scene_ros.nodes.ledger import Account, Ledger
from clip2scene_ros.nodes.pipeline import Pipeline

RECENT_ERROR_S = 10.0


@dataclass(frozen=True)
class Condition:
    """What the node knows of itself beside the ledger.

    Attributes:
        state: lifecycle state.
        loaded: one line about the student, its notice included; empty before it is loaded.
        failure: why the last configuration failed, or empty.
        lost: scans that never reached the node.
        lost_exact: whether `lost` comes from sequence numbers.
        period_ms: the LiDAR's period, 0 while unknown.
        time_jumps: how often the stamps jumped back.
        zero_stamps: scans whose stamp was zero.
    """

    state: str
    loaded: str = ""
    failure: str = ""
    lost: int = 0
    lost_exact: bool = False
    period_ms: float = 0.0
    time_jumps: int = 0
    zero_stamps: int = 0


def judge(account: Account, condition: Condition, config: DiagnosticsConfig, lost_before: int = 0) -> tuple[int, str]:
    """Return the level (OK 0, WARN 1, ERROR 2) and one line that says why.

    Args:
        account: what became of the scans.
        condition: the node's own state.
        config: limits.
        lost_before: scans lost up to the last report; only new losses are worth a warning.
    """
    ok, warn, error = (DiagnosticStatus.OK[0], DiagnosticStatus.WARN[0], DiagnosticStatus.ERROR[0])
    if condition.failure:
        return error, condition.failure
    if condition.state != "active":
        return ok, f"{condition.state}: waiting for a lifecycle transition"
    if account.last_error_age_s is not None and account.last_error_age_s < RECENT_ERROR_S:
        return error, account.last_error
    if account.silence_s is None:
        return warn, "no scan has arrived yet"
    if account.silence_s > config.silence_s:
        return warn, f"no scan for {account.silence_s:.1f} s"
    if condition.lost > lost_before:
        return warn, f"{condition.lost - lost_before} scans were lost before they arrived: see the log for the cure"
    limit_ms = config.max_latency_ms or condition.period_ms
    if limit_ms and account.pipeline_ms["p50"] > limit_ms:
        return warn, f"labels take {account.pipeline_ms['p50']:.0f} ms, more than {limit_ms:.0f} ms"
    return ok, f"{account.rate_out_hz:.1f} Hz"


def rows(account: Account, condition: Condition) -> dict[str, str]:
    """Return every value of the report as text, by key."""
    values: dict[str, object] = {
        "state": condition.state,
        "loaded": condition.loaded or "nothing",
        "received": account.received,
        "labelled": account.labelled,
        "pending": account.pending,
        "dropped": sum(account.dropped.values()),
        **{f"dropped.{reason}": count for reason, count in sorted(account.dropped.items())},
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


def report(name: str, level: int, message: str, values: dict[str, str], now: Time) -> DiagnosticArray:
    """Return the message for /diagnostics."""
    status = DiagnosticStatus(
        level=bytes([level]),
        name=f"{name}: segmentation",
        message=message,
        hardware_id=name,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = now.to_msg()
    return array


class Reporter:
    """Publishes the node's row in every lifecycle state, once a period of the steady clock.

    Attributes:
        loaded: one line about the student, or empty.
        failure: why the last configuration failed, or empty.
        pipeline: the running pipeline, or None.
    """

    def __init__(self, node: Node, state: Callable[[], str], config: DiagnosticsConfig, ledger: Ledger) -> None:
        self.loaded = ""
        self.failure = ""
        self.pipeline: Pipeline | None = None
        self._node, self._state, self._config, self._ledger = node, state, config, ledger
        self._lost_before = 0
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # reports go on while a simulated clock stands still
        node.create_timer(config.period_s, self.report, clock=steady)

    def report(self) -> None:
        """Publish the state of this moment."""
        account, condition = self._ledger.account(time.monotonic_ns()), self._condition()
        level, message = judge(account, condition, self._config, self._lost_before)
        self._lost_before = condition.lost
        name = self._node.get_name()
        self._publisher.publish(report(name, level, message, rows(account, condition), self._node.get_clock().now()))

    def _condition(self) -> Condition:
        pipeline = self.pipeline
        if pipeline is None:
            return Condition(self._state(), self.loaded, self.failure)
        return Condition(
            state=self._state(),
            loaded=self.loaded,
            failure=self.failure,
            lost=pipeline.losses.lost,
            lost_exact=pipeline.losses.exact,
            period_ms=pipeline.losses.period_ns / 1e6,
            time_jumps=pipeline.order.jumps,
            zero_stamps=pipeline.order.zero_stamps,
        )
