"""When a node's row is published: each period, and at once where it says something else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from conftest import until
from diagnostic_msgs.msg import DiagnosticArray

from clip2scene_ros.nodes import bulletin
from clip2scene_ros.nodes.bulletin import LOOK_S, Bulletin, Row, grown


class Stage:
    """A node that publishes into a list, a clock that is turned by hand, a row that can be changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, period_s: float = 1.0) -> None:
        self.now_s, self.row, self.published = 100.0, Row(0, "10.0 Hz", {"lost": "0", "kept": "0"}), []
        self.errors: list[str] = []
        monkeypatch.setattr(bulletin.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(bulletin, "report", lambda node, task, row: (row.level, row.message))
        node: Any = SimpleNamespace(
            create_publisher=lambda kind, topic, depth: SimpleNamespace(publish=self.published.append),
            create_timer=lambda every_s, call, clock: setattr(self, "every_s", every_s),
            context=SimpleNamespace(ok=lambda: True),
            get_logger=lambda: SimpleNamespace(error=lambda text, **_: self.errors.append(text)),
        )
        self.bulletin = Bulletin(node, "task", period_s, self.look, lambda key: key == "lost")

    def look(self) -> Row:
        if self.row.level > 2:
            raise RuntimeError("no row")
        return self.row

    def pass_s(self, seconds: float) -> list[tuple[int, str]]:
        """Let that time pass; return what was published in it."""
        before = len(self.published)
        for _ in range(round(seconds / self.every_s)):
            self.now_s += self.every_s
            self.bulletin.look()
        return self.published[before:]


def test_nothing_new_is_told_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.bulletin.look()
    assert stage.pass_s(10.0) == [(0, "10.0 Hz")] * 10
    assert Stage(monkeypatch, period_s=0.1).every_s == 0.1


def test_a_number_is_no_news_but_a_level_and_a_word_are_told_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, period_s=60.0)
    stage.bulletin.look()
    for row, told in [
        (Row(0, "9.7 Hz", {}), False),
        (Row(1, "no images of cam_1", {}), True),
        (Row(1, "no images of cam_2", {}), True),
        (Row(1, "no scan for 2.1 s", {}), True),
        (Row(1, "no scan for 2.3 s", {}), False),
        (Row(2, "no scan for 2.3 s", {}), True),
    ]:
        stage.row = row
        assert stage.pass_s(LOOK_S) == ([(row.level, row.message)] if told else [])


def test_a_counter_of_faults_that_grew_is_a_warning_until_a_whole_period_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch)
    stage.bulletin.look()
    stage.row = Row(0, "10.0 Hz", {"lost": "3", "kept": "5"})
    (first, *rest) = stage.pass_s(3.0)
    assert first == (1, "10.0 Hz; since the last report: lost +3")
    assert rest == [first, (0, "10.0 Hz"), (0, "10.0 Hz"), (0, "10.0 Hz")]
    stage.row = Row(2, "a bad cloud", {"lost": "9"})
    assert stage.pass_s(LOOK_S) == [(2, "a bad cloud")]


def test_counters_that_begin_anew_have_grown_by_what_they_show() -> None:
    assert grown({"a": 5, "b": 2, "c": 4}, {"a": 3, "b": 7, "c": 4}) == {"a": 2, "b": 2}


def test_a_row_that_cannot_be_made_is_logged_and_the_next_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.row = Row(3, "", {})
    assert stage.pass_s(1.0) == []
    assert "no row" in stage.errors[0]
    stage.row = Row(1, "again", {})
    assert stage.pass_s(LOOK_S) == [(1, "again")]


def test_a_row_reaches_whoever_listens_before_the_node_ends(context, spin) -> None:
    from rclpy.node import Node

    heard: list[tuple[int, str, str]] = []
    ear, mouth = Node("ear", context=context), Node("mouth", namespace="car", context=context)

    def hear(message: DiagnosticArray) -> None:
        (status,) = message.status
        heard.append((status.level[0], status.name, status.message))

    subscription = ear.create_subscription(DiagnosticArray, "/diagnostics", hear, 10)
    spin(ear)
    told = Bulletin(mouth, "dying", 60.0, lambda: Row(2, "no checkpoint", {"state": "unconfigured"}), lambda key: False)
    until(lambda: ear.count_publishers("/diagnostics") and mouth.count_subscribers("/diagnostics"), "they meet")
    told.farewell()
    mouth.destroy_node()
    until(lambda: heard, "the last row")
    assert heard[-1] == (2, "car/mouth: dying", "no checkpoint")
    assert subscription.topic_name == "/diagnostics"
