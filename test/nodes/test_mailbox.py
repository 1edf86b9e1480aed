"""The mailbox keeps the newest item, and the worker outlives every error."""

from __future__ import annotations

import threading

from clip2scene_ros.nodes.mailbox import Mailbox, Worker

WAIT_S = 5.0


def test_newest_wins_and_the_superseded_item_comes_back():
    box: Mailbox[int] = Mailbox()
    assert [box.put(i) for i in (1, 2, 3)] == [None, 1, 2]
    assert box.take() == 3


def test_closing_wakes_the_taker_and_returns_what_nobody_took():
    box: Mailbox[int] = Mailbox()
    taken: list[int | None] = []
    thread = threading.Thread(target=lambda: taken.append(box.take()))
    thread.start()
    assert box.close() is None
    thread.join(WAIT_S)
    assert taken == [None]
    full: Mailbox[int] = Mailbox()
    full.put(7)
    assert full.close() == 7
    assert full.take() is None
    assert full.put(8) == 8


def test_while_the_worker_is_busy_only_the_newest_item_waits():
    started, go_on, done = threading.Event(), threading.Event(), threading.Event()
    seen: list[int] = []

    def work(item: int) -> None:
        seen.append(item)
        started.set()
        assert go_on.wait(WAIT_S)
        if item == 99:
            done.set()

    worker = Worker(work, lambda error: None)
    worker.put(0)
    assert started.wait(WAIT_S)
    superseded = [worker.put(i) for i in (*range(1, 50), 99)]
    go_on.set()
    assert done.wait(WAIT_S)
    assert seen == [0, 99]
    assert superseded == [None, *range(1, 50)]
    assert worker.stop(WAIT_S) == (True, None)


def test_an_error_is_handed_on_and_the_next_item_is_worked_on():
    errors: list[Exception] = []
    done = threading.Event()

    def work(item: int) -> None:
        if item == 1:
            raise ValueError("one")
        done.set()

    worker = Worker(work, errors.append)
    worker.put(1)
    while not errors:
        assert not done.wait(0.001)
    worker.put(2)
    assert done.wait(WAIT_S)
    assert [str(e) for e in errors] == ["one"]
    worker.stop(WAIT_S)


def test_stop_says_when_the_work_at_hand_does_not_end():
    go_on, started = threading.Event(), threading.Event()

    def work(item: int) -> None:
        started.set()
        go_on.wait(WAIT_S)

    worker = Worker(work, lambda error: None)
    worker.put(1)
    assert started.wait(WAIT_S)
    worker.put(2)
    assert worker.stop(0.02) == (False, 2)
    go_on.set()
    assert worker.stop(WAIT_S) == (True, None)
