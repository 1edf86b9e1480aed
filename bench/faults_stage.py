"""What bench/faults.py needs of a stage: a node that runs, a vehicle, and an ear for what the node says of itself."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from faults_drive import Drive
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.nodes.process import RunningNode
from clip2scene_ros.nodes.transport import use_profile

READY_S = 120.0
TOLD_S = 20.0
"""How long a report is waited for that names a fault: longer than it may take."""
LIMIT_S = 1.0
LEVELS = ("OK", "WARN", "ERROR", "STALE")
OK, WARN, ERROR = 0, 1, 2
CHOICES = ("dropped.standing", "dropped.too_soon")
COUNTS = ("dropped.", "scans_dropped.", "images_left_out.", "sets_partial", "lost_before_arrival", "zero_stamps")
COUNTS_OF_A_TOPIC = (".lost", ".jumped_ahead")


@dataclass(frozen=True)
class Report:
    """A row of /diagnostics as it came.

    Attributes:
        at_s: when [s, monotonic].
        level: OK 0, WARN 1, ERROR 2.
        message: its line.
        values: the rest.
    """

    at_s: float
    level: int
    message: str
    values: dict[str, str]


@dataclass
class Seen:
    """What became of a fault.

    Attributes:
        fault: its name.
        node: which node met it.
        how: what was done.
        told_s: from the fault to the first report that names it [s]; None where none did.
        level: of that report.
        said: its line, or the row that names it.
        lost: what was counted while it lasted.
        recovered_s: from its end to the first report that is well again [s]; None where there was none.
        held: whether all that was expected came true, however long it took.
        late: what took longer than it may, or empty.
    """

    fault: str
    node: str
    how: str
    told_s: float | None = None
    level: str = ""
    said: str = ""
    lost: str = "nothing"
    recovered_s: float | None = None
    held: bool = True
    late: str = ""

    def tell(self, began_s: float, told: Report | None) -> None:
        """Note the report that names the fault."""
        if told is None:
            return
        self.told_s, self.level, self.said = max(0.0, told.at_s - began_s), LEVELS[told.level], told.message
        if self.told_s > LIMIT_S:
            self.late = f"told after {self.told_s:.2f} s"

    def row(self) -> dict[str, Any]:
        """Return it for the JSON."""
        return asdict(self)


def wait(condition: Callable[[], object], what: str, timeout_s: float = READY_S) -> None:
    """Wait for a condition, or raise TimeoutError."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.005)


class Ear:
    """A node that hears the rows of one node, and its labels, and can change its lifecycle state.

    Args:
        node: what it listens with.
        name: of the node to hear.
    """

    def __init__(self, node: Node, name: str) -> None:
        self.node, self.reports, self.labels = node, list[Report](), list[tuple[int, int]]()
        self._row = f"{node.get_namespace().strip('/')}/{name}:"
        node.create_subscription(DiagnosticArray, "/diagnostics", self._hear, 50)
        best_effort = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(PointCloud2, f"{name}/labels", self._labelled, best_effort, raw=True)
        self._change = node.create_client(ChangeState, f"{name}/change_state")

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._row):
                values = {value.key: value.value for value in status.values}
                self.reports.append(Report(time.monotonic(), status.level[0], status.message, values))

    def _labelled(self, data: bytes) -> None:
        self.labels.append((cdr_stamp_ns(data), time.monotonic_ns()))

    def report(self, wanted: Callable[[Report], bool], since_s: float, timeout_s: float = TOLD_S) -> Report | None:
        """Return the first report after a moment that is as wanted, or None when none comes in time."""
        end_s, position = time.monotonic() + timeout_s, 0
        while time.monotonic() < end_s:
            for report in self.reports[position:]:
                position += 1
                if report.at_s > since_s and wanted(report):
                    return report
            time.sleep(0.005)
        return None

    def transition(self, number: int) -> bool:
        """Ask for a transition; return whether it succeeded."""
        wait(self._change.service_is_ready, "the node's lifecycle service")
        answer = self._change.call_async(ChangeState.Request(transition=Transition(id=number)))
        wait(answer.done, f"transition {number}")
        return bool(answer.result().success)


@dataclass
class Stage:
    """A running node with its vehicle.

    Attributes:
        name: of the node, for the table.
        running: its process.
        ear: hears it.
        drive: the vehicle.
        hold: faults are kept up so many times as long as usual.
    """

    name: str
    running: RunningNode
    ear: Ear
    drive: Drive
    hold: float = 1.0

    def well(self) -> None:
        """Wait until the node says OK, twice: what was before is over."""
        since_s = time.monotonic()
        for _ in range(2):
            report = self.ear.report(is_well, since_s, READY_S)
            self.running.check()
            if report is None:
                raise TimeoutError(f"{self.name} does not get well: {self.ear.reports[-1:]}")
            since_s = report.at_s

    def meet(
        self,
        fault: str,
        how: str,
        make: Callable[[], float | None],
        named: Callable[[Report], bool],
        mend: Callable[[], object] = lambda: None,
        *,
        well: Callable[[Report], bool] | None = None,
        lasts_s: float = 1.5,
    ) -> Seen:
        """Make a fault, wait until a report names it, keep it up for a while, mend it, wait until all is well.

        Args:
            fault: its name.
            how: what `make` does, in words.
            make: makes it; returns when it really began where that was not at the call [s, monotonic].
            named: says whether a report names it.
            mend: ends it.
            well: says whether a report is well again; None: its level is OK.
            lasts_s: how long it is kept up after it was told.
        """
        seen = Seen(fault, self.name, how)
        self.well()
        before = self.ear.reports[-1].values
        began_s = time.monotonic()
        began_s = make() or began_s
        told = self.ear.report(named, began_s)
        seen.tell(began_s, told)
        time.sleep(self.hold * lasts_s)
        ended_s = time.monotonic()
        mend()
        back = self.ear.report(well or is_well, ended_s, READY_S)
        if back is not None:
            seen.recovered_s = back.at_s - ended_s
            seen.lost = losses(before, back.values)
        self.running.check()
        seen.held = told is not None and back is not None
        return seen


def is_well(report: Report) -> bool:
    """Return whether the node works and has nothing to complain of."""
    return report.level == OK and report.values.get("state") == "active"


def says(*words: str) -> Callable[[Report], bool]:
    """Return a test whether a report is no OK and its line has all these words."""
    return lambda report: report.level > OK and all(word in report.message for word in words)


def losses(before: dict[str, str], after: dict[str, str]) -> str:
    """Return which counters of losses grew, and by how much."""
    grown = {
        key: int(value) - int(before.get(key, 0))
        for key, value in after.items()
        if (key.startswith(COUNTS) and key not in CHOICES) or key.endswith(COUNTS_OF_A_TOPIC) or ".missing." in key
    }
    return ", ".join(f"{key} {n}" for key, n in grown.items() if n > 0) or "nothing"


@contextlib.contextmanager
def network(name: str, namespace: str) -> Iterator[Node]:
    """Yield a node of this process that spins in a thread."""
    use_profile()
    context = Context()
    rclpy.init(context=context)
    node = Node(name, namespace=namespace, context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        with contextlib.suppress(ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin, name="ear", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown(timeout_sec=2.0)
        context.try_shutdown()
        thread.join(2.0)
        node.destroy_node()
