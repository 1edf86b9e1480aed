"""A node's row on /diagnostics: once a period, and at once where it says something else than before."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.duration import Duration
from rclpy.node import Node

from clip2scene_ros.nodes.logs import QUIET_S

LOOK_S = 0.25
"""How often the node looks at itself: a fault is told after that time, whatever the period of reports."""

FAREWELL_S = 0.5
"""How long the last row of a node that ends is waited for."""

NUMBERS = re.compile(r"(?<!\w)\d[\d.]*(?!\w)")


@dataclass(frozen=True)
class Row:
    """What a node says of itself.

    Attributes:
        level: OK 0, WARN 1, ERROR 2.
        message: one line that says why.
        values: all else, by key.
    """

    level: int
    message: str
    values: dict[str, str]


class Bulletin:
    """Publishes a node's row in every lifecycle state, by the steady clock; nothing leaves its callback.

    A counter of faults that grew since the last report makes OK a WARN, and is named.

    Args:
        node: whose row it is.
        task: the row's name is `NODE: TASK`.
        period_s: time between two reports where nothing changes [s].
        look: returns the row of this moment.
        is_fault: says which keys of the row count what ought not to happen.
    """

    def __init__(
        self, node: Node, task: str, period_s: float, look: Callable[[], Row], is_fault: Callable[[str], bool]
    ) -> None:
        self._node, self._task, self._look, self._is_fault = node, task, look, is_fault
        self._every_s = min(LOOK_S, period_s)
        self._period_s, self._due_s = period_s, time.monotonic()
        self._counts: dict[str, int] = {}
        self._said: tuple[int, str] | None = None
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # reports go on while a simulated clock stands still
        node.create_timer(self._every_s, self.look, clock=steady)

    def look(self) -> None:
        """Publish the row of this moment where a report is due, or where it says something new."""
        try:
            row, now_s = self._look(), time.monotonic()
            counts = {key: int(value) for key, value in row.values.items() if self._is_fault(key)}
            row = with_news(row, grown(counts, self._counts))
            said, due = (row.level, NUMBERS.sub("", row.message)), now_s > self._due_s - self._every_s / 2
            if due:
                self._due_s, self._counts = now_s + self._period_s, counts
            if due or said != self._said:
                self._said = said
                self._publisher.publish(report(self._node, self._task, row))
        except Exception as error:  # it would end the process
            if self._node.context.ok():
                self._node.get_logger().error(f"Cannot report: {error}", throttle_duration_sec=QUIET_S)

    def farewell(self) -> None:
        """Publish the row of this moment and wait until all who listen have it: the process is about to end."""
        self._said = None
        self.look()
        self._publisher.wait_for_all_acked(Duration(seconds=FAREWELL_S))


def grown(counts: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each counter grew; one that went back began anew."""
    steps = {key: n - before.get(key, 0) if n >= before.get(key, 0) else n for key, n in counts.items()}
    return {key: n for key, n in steps.items() if n}


def with_news(row: Row, news: Mapping[str, int]) -> Row:
    """Return the row with what went wrong since the last report; an error's row says enough."""
    warn, error = DiagnosticStatus.WARN[0], DiagnosticStatus.ERROR[0]
    if not news or row.level >= error:
        return row
    text = ", ".join(f"{key} +{n}" for key, n in news.items())
    return Row(max(row.level, warn), f"{row.message}; since the last report: {text}", row.values)


def report(node: Node, task: str, row: Row) -> DiagnosticArray:
    """Return the message for /diagnostics; its row has the namespace, since two vehicles share that topic."""
    name = node.get_fully_qualified_name().lstrip("/")
    status = DiagnosticStatus(
        level=bytes([row.level]),
        name=f"{name}: {task}",
        message=row.message,
        hardware_id=name,
        values=[KeyValue(key=key, value=value) for key, value in row.values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = node.get_clock().now().to_msg()
    return array
