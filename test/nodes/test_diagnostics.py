"""When the node warns, and what it says of losses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import cloud, until

from clip2scene_ros.config import DiagnosticsConfig, SegmentNodeConfig
from clip2scene_ros.frame import Segmentation
from clip2scene_ros.nodes.diagnostics import Condition, judge, rows
from clip2scene_ros.nodes.ledger import Ledger, Times
from clip2scene_ros.nodes.pipeline import Pipeline
from clip2scene_ros.settings import with_settings

MS = 1_000_000
ACTIVE = Condition(state="active", loaded="a student", period_ms=100.0, topic="/points", active_s=100.0)


def at_10_hz(pipeline_ms: float = 20.0) -> Ledger:
    ledger = Ledger()
    for k in range(10):
        ledger.receive(k * 100 * MS)
        ledger.label(Times(pipeline_ms, 1.0, {"total": pipeline_ms}), k * 100 * MS + 1)
    return ledger


@pytest.mark.parametrize(
    ("ledger", "now_ms", "condition", "level", "said"),
    [
        (at_10_hz(), 950, ACTIVE, 0, "10.0 Hz"),
        (at_10_hz(), 950, Condition(state="inactive"), 0, "inactive"),
        (at_10_hz(), 950, Condition(state="unconfigured", failure="no file"), 2, "no file"),
        (Ledger(), 950, ACTIVE, 1, "no scan for 100.0 s: nothing publishes `/points`"),
        (at_10_hz(), 4000, ACTIVE, 1, "no scan for 3.1 s"),
        (at_10_hz(), 4000, replace(ACTIVE, publishers=2), 1, "2 publish `/points`"),
        (at_10_hz(), 4000, replace(ACTIVE, active_s=1.0), 0, "10.0 Hz"),
        (at_10_hz(150.0), 950, ACTIVE, 1, "150 ms, more than 100 ms"),
        (at_10_hz(), 950, replace(ACTIVE, misfit="`driver` on `/points` offers less"), 1, "`driver` on `/points`"),
    ],
)
def test_level_and_reason(ledger: Ledger, now_ms: int, condition: Condition, level: int, said: str):
    got, text = judge(ledger.account(now_ms * MS), condition, DiagnosticsConfig())
    assert got == level
    assert said in text


def test_an_error_is_an_error_for_ten_seconds():
    ledger = at_10_hz()
    ledger.fail("bad_cloud.truncated", "too short", 950 * MS)
    patient = with_settings(DiagnosticsConfig(), {"silence_s": 100.0})
    assert judge(ledger.account(1_000 * MS), ACTIVE, patient) == (2, "too short")
    assert judge(ledger.account(12_000 * MS), ACTIVE, patient)[0] == 0


def test_an_overload_is_over_as_soon_as_it_is():
    ledger = at_10_hz(150.0)
    for k in range(10, 16):
        ledger.receive(k * 100 * MS)
        ledger.label(Times(20.0, 1.0, {"total": 20.0}), k * 100 * MS + 1)
    account = ledger.account(1_550 * MS)
    assert account.pipeline_ms["p50"] == 150.0
    assert judge(account, ACTIVE, DiagnosticsConfig())[0] == 0


def test_rows_add_up():
    ledger = at_10_hz()
    for reason in ("superseded", "superseded", "out_of_order"):
        ledger.receive(0)
        ledger.drop(reason)
    values = rows(ledger.account(0), ACTIVE)
    assert (values["received"], values["labelled"], values["dropped"], values["pending"]) == ("13", "10", "3", "0")
    assert (values["dropped.superseded"], values["dropped.out_of_order"]) == ("2", "1")
    assert values["loaded"] == "a student"


class Log:
    """Keeps warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def error(self, text: str, **_: object) -> None:
        self.errors.append(text)


@pytest.fixture
def pipeline() -> Callable[[Log], Pipeline]:
    """Return a function that makes a pipeline whose student knows nothing and whose labels go nowhere."""
    made: list[Pipeline] = []

    def make(log: Log, alive: Callable[[], bool] = lambda: True, **changed: Callable[..., object]) -> Pipeline:
        student = SimpleNamespace(segment=lambda scan: Segmentation.unknown(len(scan)))
        does = {"wanted": lambda: True, "publish": lambda *_: None, "publish_times": lambda *_: None}
        outputs = SimpleNamespace(**(does | changed))
        made.append(Pipeline(student, outputs, SegmentNodeConfig(), Ledger(), "/lidar/top", log, alive))
        return made[-1]

    yield make
    for p in made:
        assert p.stop(5.0)


@pytest.mark.parametrize("numbered", [True, False], ids=["sequence numbers", "stamps"])
def test_losses_are_logged_with_topic_size_qos_and_cure(pipeline, numbered: bool):
    log = Log()
    node = pipeline(log)
    arrived = [k for k in range(1, 60) if k < 20 or k % 4]
    for k in arrived:
        info = {"publication_sequence_number": k if numbered else None}
        node.receive(cloud(k * 100 * MS, points=100), info)
    assert node.losses.lost == 59 - len(arrived)
    assert len(log.warnings) == 1
    for part in ("/lidar/top", "0.00 MB", "best_effort, depth 2", "fastdds.xml", "points.reliability: reliable"):
        assert part in log.warnings[0]


def test_every_scan_that_arrives_is_closed(pipeline):
    node = pipeline(Log())
    for k in range(1, 40):
        node.receive(cloud(k * MS, points=10), {})
    ledger = node._ledger
    until(lambda: ledger.account(0).pending == 0, "all scans are closed")
    account = ledger.account(0)
    assert account.received == 39 == account.labelled + account.dropped.get("superseded", 0)
    assert node._logger.errors == []


def boom(*_: object) -> bool:
    raise OSError("the network is gone")


@pytest.mark.parametrize("where", ["wanted", "publish"])
def test_no_error_leaves_callback_or_worker(pipeline, where: str):
    log = Log()
    node = pipeline(log, **{where: boom})
    for k in (1, 2):
        node.receive(cloud(k * MS, points=10), {})
        until(lambda k=k: node._ledger.account(0).dropped == {"internal_error": k}, f"error {k} is counted")
    assert log.errors == ["OSError: the network is gone"] * 2


def test_a_scan_whose_times_cannot_be_told_is_labelled_all_the_same(pipeline):
    log = Log()
    node = pipeline(log, publish_times=boom)
    for k in (1, 2):
        node.receive(cloud(k * MS, points=10), {})
        until(lambda k=k: len(log.errors) == k, f"error {k} is told")
    account = node._ledger.account(0)
    assert (account.labelled, account.dropped, account.pending) == (2, {}, 0)


def test_errors_after_the_end_of_ros_are_counted_and_not_told(pipeline):
    log = Log()
    node = pipeline(log, alive=lambda: False, publish=boom)
    node.receive(cloud(MS, points=10), {})
    until(lambda: node._ledger.account(0).dropped == {"deactivated": 1}, "the scan is counted")
    assert log.errors == []
