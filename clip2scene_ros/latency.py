"""Times of stages from a monotonic clock, and the percentiles that reports quote."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np

NAMES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def percentiles(ms: Iterable[float]) -> dict[str, float]:
    """Return p50, p95, p99 and max of some durations.

    By nearest rank (the smallest value that at least this share of the values does not exceed), so
    each figure was really measured; nothing is interpolated between a good case and a bad one.

    Args:
        ms: durations [ms], in any order.

    Returns:
        `{"p50": ..., "p95": ..., "p99": ..., "max": ...}` [ms], NaN where nothing was measured.
    """
    values = np.fromiter(ms, dtype=np.float64)
    if not len(values):
        return dict.fromkeys((*NAMES, "max"), float("nan"))
    ranked = np.quantile(values, list(NAMES.values()), method="inverted_cdf")
    return {**dict(zip(NAMES, map(float, ranked), strict=True)), "max": float(values.max())}


class Stopwatch:
    """Measures consecutive stages; the system clock may jump, this does not.

    Example:
        >>> watch = Stopwatch()
        >>> _ = watch.lap("preprocess")
        >>> sorted(watch.total())
        ['preprocess', 'total']
    """

    def __init__(self) -> None:
        self._start = self._last = time.monotonic_ns()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> float:
        """End the stage that runs now; return its duration [ms]. A repeated name adds up."""
        now = time.monotonic_ns()
        duration_ms, self._last = (now - self._last) / 1e6, now
        self._laps[stage] = self._laps.get(stage, 0.0) + duration_ms
        return duration_ms

    def total(self) -> dict[str, float]:
        """Return the durations by stage [ms], in order, and `total` since the watch was made."""
        return {**self._laps, "total": (time.monotonic_ns() - self._start) / 1e6}
