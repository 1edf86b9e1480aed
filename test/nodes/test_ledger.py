"""The ledger closes every scan once, under threads, and its times are those that were given."""

from __future__ import annotations

import threading

import pytest

from clip2scene_ros.nodes.ledger import Ledger, Times

MS = 1_000_000


def times(pipeline_ms: float) -> Times:
    return Times(pipeline_ms=pipeline_ms, overhead_ms=1.0, processing_ms={"inference": 5.0, "total": 7.0})


def test_received_is_labelled_plus_dropped_plus_pending_whatever_the_threads_do():
    ledger = Ledger()

    def scans(k: int) -> None:
        for i in range(500):
            ledger.receive(i)
            if i % 3 == 0:
                ledger.drop("superseded")
            elif i % 3 == 1:
                ledger.label(times(1.0), i)
            elif i % 2:
                ledger.fail("internal_error", f"{k}", i)

    threads = [threading.Thread(target=scans, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    account = ledger.account(1000)
    each = [i for i in range(500) if i % 3 == 2]
    assert account.received == 2000
    assert account.dropped == {"superseded": 4 * 167, "internal_error": 4 * sum(i % 2 for i in each)}
    assert account.labelled == 4 * 167
    assert account.pending == 4 * sum(i % 2 == 0 for i in each)


def test_rates_are_intervals_over_time():
    ledger = Ledger()
    for i in range(11):
        ledger.receive(i * 100 * MS)
        if i % 2 == 0:
            ledger.label(times(3.0), i * 100 * MS)
    account = ledger.account(1500 * MS)
    assert account.rate_in_hz == pytest.approx(10.0)
    assert account.rate_out_hz == pytest.approx(5.0)
    assert account.silence_s == pytest.approx(0.5)


def test_cyclic_time_is_the_time_between_labels():
    ledger = Ledger()
    assert ledger.label(times(1.0), 100 * MS) is None
    assert ledger.label(times(1.0), 150 * MS) == pytest.approx(50.0)


def test_percentiles_and_stages_come_from_the_scans():
    ledger = Ledger()
    for ms in range(1, 101):
        ledger.label(times(float(ms)), ms)
    account = ledger.account(0)
    assert account.pipeline_ms["p50"] == 50.0
    assert account.pipeline_ms["p99"] == 99.0
    assert account.processing_ms == {"inference": 5.0, "total": 7.0}


def test_the_last_error_is_kept_with_its_age():
    ledger = Ledger()
    assert ledger.account(0).last_error_age_s is None
    ledger.fail("bad_cloud.truncated", "too short", 2_000 * MS)
    account = ledger.account(5_000 * MS)
    assert (account.last_error, account.last_error_age_s) == ("too short", pytest.approx(3.0))
