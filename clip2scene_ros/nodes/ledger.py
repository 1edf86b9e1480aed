"""The ledger of the live node: what became of every scan, and how long it took.

No ROS here. The callback, the worker and the diagnostics timer write and read it from their own threads.
Every scan that arrives is entered once as received and leaves once, as labelled or as dropped with a reason.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass

from clip2scene_ros.latency import percentiles

WINDOW = 600
"""Scans over which latency percentiles are taken: a minute at 10 Hz."""

RATE_WINDOW = 50

RECENT = 10
"""Scans whose latency says how it is now."""


@dataclass(frozen=True)
class Times:
    """How long one labelled scan took [ms], all from a monotonic clock.

    Attributes:
        pipeline_ms: from the entry of the subscription's callback until the labels were published.
        overhead_ms: the part of `pipeline_ms` that was neither the segmenter nor waiting for an earlier scan.
        processing_ms: the segmenter's stages, by name (preprocess, inference, postprocess, total).
    """

    pipeline_ms: float
    overhead_ms: float
    processing_ms: dict[str, float]


@dataclass(frozen=True)
class Account:
    """A copy of the ledger at one moment."""

    received: int
    labelled: int
    dropped: dict[str, int]
    clipped_points: int
    rate_in_hz: float
    rate_out_hz: float
    silence_s: float | None
    pipeline_ms: dict[str, float]
    recent_ms: float
    overhead_ms: dict[str, float]
    processing_ms: dict[str, float]
    last_error: str
    last_error_age_s: float | None

    @property
    def pending(self) -> int:
        """Return the scans that are neither labelled nor dropped yet."""
        return self.received - self.labelled - sum(self.dropped.values())


class Ledger:
    """Counts scans; times are given by the caller [ns, monotonic], so tests need no clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._labelled = 0
        self._dropped: Counter[str] = Counter()
        self._clipped_points = 0
        self._arrivals: deque[int] = deque(maxlen=RATE_WINDOW)
        self._departures: deque[int] = deque(maxlen=RATE_WINDOW)
        self._times: deque[Times] = deque(maxlen=WINDOW)
        self._last_error = ""
        self._last_error_ns: int | None = None

    def receive(self, now_ns: int) -> None:
        """Enter a scan that arrived."""
        with self._lock:
            self._received += 1
            self._arrivals.append(now_ns)

    def drop(self, reason: str) -> None:
        """Close a scan that gets no labels."""
        with self._lock:
            self._dropped[reason] += 1

    def label(self, times: Times, now_ns: int, clipped_points: int = 0) -> float | None:
        """Close a scan whose labels were published; return the time since the labels before it [ms], or None."""
        with self._lock:
            before = self._departures[-1] if self._departures else None
            self._labelled += 1
            self._clipped_points += clipped_points
            self._departures.append(now_ns)
            self._times.append(times)
        return None if before is None else (now_ns - before) / 1e6

    def fail(self, reason: str, text: str, now_ns: int) -> None:
        """Close a scan that an error ended, and keep the error's text."""
        with self._lock:
            self._dropped[reason] += 1
            self._last_error, self._last_error_ns = text, now_ns

    def account(self, now_ns: int) -> Account:
        """Return a copy of everything at this moment."""
        with self._lock:
            times = list(self._times)
            stages = times[-1].processing_ms if times else ()
            return Account(
                received=self._received,
                labelled=self._labelled,
                dropped=dict(self._dropped),
                clipped_points=self._clipped_points,
                rate_in_hz=_rate_hz(self._arrivals),
                rate_out_hz=_rate_hz(self._departures),
                silence_s=(now_ns - self._arrivals[-1]) / 1e9 if self._arrivals else None,
                pipeline_ms=percentiles(t.pipeline_ms for t in times),
                recent_ms=percentiles(t.pipeline_ms for t in times[-RECENT:])["p50"],
                overhead_ms=percentiles(t.overhead_ms for t in times),
                processing_ms={s: percentiles(t.processing_ms.get(s, 0.0) for t in times)["p50"] for s in stages},
                last_error=self._last_error,
                last_error_age_s=None if self._last_error_ns is None else (now_ns - self._last_error_ns) / 1e9,
            )


def _rate_hz(moments_ns: deque[int]) -> float:
    if len(moments_ns) < 2 or moments_ns[-1] <= moments_ns[0]:
        return 0.0
    return (len(moments_ns) - 1) * 1e9 / (moments_ns[-1] - moments_ns[0])
