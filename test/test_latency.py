"""Percentiles by nearest rank and a stopwatch that never goes backwards."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.latency import Stopwatch, percentiles


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_percentiles_are_measured_values_of_the_right_rank(values):
    result = percentiles(values)
    ranked = sorted(values)
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        rank = -(-share * len(values) // 100)
        assert result[name] == ranked[rank - 1]
    assert result["max"] == ranked[-1]


def test_percentiles_of_1_to_100():
    shuffled = np.random.default_rng(0).permutation(np.arange(1, 101))
    assert percentiles(float(v) for v in shuffled) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}


def test_percentiles_of_nothing_are_nan():
    result = percentiles([])
    assert sorted(result) == ["max", "p50", "p95", "p99"]
    assert all(math.isnan(v) for v in result.values())


def test_stopwatch_reads_the_monotonic_clock(monkeypatch):
    ticks = iter([0, 2_000_000, 5_000_000, 6_000_000, 10_000_000])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(ticks))
    watch = Stopwatch()
    assert watch.lap("preprocess") == 2.0
    assert watch.lap("inference") == 3.0
    assert watch.lap("preprocess") == 1.0
    assert watch.total() == pytest.approx({"preprocess": 3.0, "inference": 3.0, "total": 10.0})
