"""The views of one camera that are held for scans, and whether it is worth waiting for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.sync_sets import CameraAccount, MatchedView, ViewData

NS_PER_MS = 1_000_000

JUMP_NS = 1_000_000_000
"""A stamp this far behind the newest of its stream is a looped bag or a reset clock, nothing late."""

PERIODS_REMEMBERED = 10
PERIODS_NEEDED = 3
"""Gaps between arrivals before their mean is taken for the camera's period."""


@dataclass
class _Held(Generic[ViewData]):
    payload: ViewData
    matched: bool = False


class CameraStream(Generic[ViewData]):
    """Holds the newest arrivals of a camera, by stamp.

    Times on the stamps' side are the views' own stamps, or those of scans: then the camera's offset is added here.

    Args:
        offset_ns: exposure after the scan's stamp [ns].
        slop_ns: a view farther than this from a scan's stamp and the offset does not belong to it [ns].
        config: how many views are held, and after how long a camera is silent.
    """

    def __init__(self, offset_ns: int, slop_ns: int, config: SyncConfig) -> None:
        self.offset_ns, self.slop_ns = offset_ns, slop_ns
        self.newest_ns: int | None = None
        self._size, self._silent_periods = config.view_queue_size, config.silent_periods
        self._patience_ns = round(config.wait_ms * NS_PER_MS)
        self._held: dict[int, _Held[ViewData]] = {}  # in the order of arrival
        self._stamps: list[int] = []  # the same, sorted
        self._heard_ns: int | None = None
        self._arrivals_ns: deque[int] = deque(maxlen=PERIODS_REMEMBERED + 1)
        self._received = self._matched = self._reused = self._max_dt_ns = self._time_jumps = 0
        self._dropped: Counter[str] = Counter()
        self._missing: Counter[str] = Counter()

    def put(self, stamp_ns: int, payload: ViewData, horizon_ns: int | None, clock_ns: int | None) -> None:
        """Take a view; it is counted, and dropped where it cannot serve a scan.

        Args:
            stamp_ns: of the view [ns].
            payload: opaque.
            horizon_ns: only scans later than this can come, None where any can [ns].
            clock_ns: the time of arrival, None where no clock is told [ns].
        """
        self._received += 1
        if stamp_ns <= 0:
            self._dropped["zero_stamp"] += 1
        elif stamp_ns in self._held:
            self._dropped["duplicate_stamp"] += 1
        else:
            self._note_arrival(clock_ns)
            if self.newest_ns is not None and stamp_ns < self.newest_ns - JUMP_NS:
                self._time_jumps += 1
                self.forget()
            self.newest_ns = stamp_ns if self.newest_ns is None else max(self.newest_ns, stamp_ns)
            if horizon_ns is not None and stamp_ns <= self._useless_until(horizon_ns):
                self._dropped["late"] += 1
            else:
                self._hold(stamp_ns, payload)

    def passed(self, scan_ns: int) -> bool:
        """Return whether no view can come any more, in order, that is nearer to the scan than those held."""
        return self.newest_ns is not None and self.newest_ns >= scan_ns + self.offset_ns

    def nearest(self, scan_ns: int) -> MatchedView[ViewData] | None:
        """Return the view nearest to the scan, of two equally near the earlier; None where all are too far."""
        target_ns = scan_ns + self.offset_ns
        i = bisect_left(self._stamps, target_ns)
        around = self._stamps[max(0, i - 1) : i + 1]
        if not around:
            return None
        stamp_ns = min(around, key=lambda stamp: abs(stamp - target_ns))
        dt_ns = stamp_ns - target_ns
        if abs(dt_ns) > self.slop_ns:
            return None
        held = self._held[stamp_ns]
        return MatchedView(stamp_ns, held.payload, dt_ns, reused=held.matched)

    def count_match(self, view: MatchedView[ViewData]) -> None:
        """Note that a set has this view, which `nearest` gave."""
        self._held[view.stamp_ns].matched = True
        self._reused += view.reused
        self._matched += not view.reused
        self._max_dt_ns = max(self._max_dt_ns, abs(view.dt_ns))

    def count_miss(self, reason: str) -> None:
        """Note that a set has no view of this camera."""
        self._missing[reason] += 1

    def prune(self, horizon_ns: int) -> None:
        """Let go of what only scans up to `horizon_ns` could use."""
        for stamp_ns in self._stamps[: bisect_right(self._stamps, self._useless_until(horizon_ns))]:
            self._let_go(stamp_ns, "unmatched")

    def forget(self) -> None:
        """Let go of everything: time went back, and what is held belongs to a time that is over."""
        for stamp_ns in list(self._stamps):
            self._let_go(stamp_ns, "time_jump")
        self.newest_ns = None

    def restart_clock(self) -> None:
        """Forget all times of arrival: the clock that gave them went back."""
        self._heard_ns = None
        self._arrivals_ns.clear()

    def expect(self, clock_ns: int | None) -> None:
        """Let the silence of a camera that never spoke count from now."""
        if self._heard_ns is None:
            self._heard_ns = clock_ns

    def silent(self, clock_ns: int | None) -> bool:
        """Return whether the camera has sent nothing for too long; never without a clock."""
        if clock_ns is None or self._heard_ns is None:
            return False
        return clock_ns - self._heard_ns > max(self._patience_ns, self._silent_periods * self._period_ns())

    def account(self, clock_ns: int | None) -> CameraAccount:
        """Return a copy of the counts."""
        return CameraAccount(
            received=self._received,
            matched=self._matched,
            reused=self._reused,
            held=sum(not held.matched for held in self._held.values()),
            dropped=dict(self._dropped),
            missing=dict(self._missing),
            max_dt_ns=self._max_dt_ns,
            time_jumps=self._time_jumps,
            silent=self.silent(clock_ns),
        )

    def __len__(self) -> int:
        """Return how many views are held."""
        return len(self._held)

    def _note_arrival(self, clock_ns: int | None) -> None:
        if clock_ns is None:
            return
        if self.silent(clock_ns):
            self._arrivals_ns.clear()  # the pause is no period
        self._heard_ns = clock_ns
        self._arrivals_ns.append(clock_ns)

    def _period_ns(self) -> float:
        gaps = len(self._arrivals_ns) - 1
        if gaps < PERIODS_NEEDED:
            return float(self._patience_ns)
        return (self._arrivals_ns[-1] - self._arrivals_ns[0]) / gaps

    def _useless_until(self, horizon_ns: int) -> int:
        return horizon_ns + self.offset_ns - self.slop_ns

    def _hold(self, stamp_ns: int, payload: ViewData) -> None:
        self._held[stamp_ns] = _Held(payload)
        insort(self._stamps, stamp_ns)
        if len(self._held) > self._size:
            self._let_go(next(iter(self._held)), "unmatched")

    def _let_go(self, stamp_ns: int, reason: str) -> None:
        del self._stamps[bisect_left(self._stamps, stamp_ns)]
        if not self._held.pop(stamp_ns).matched:
            self._dropped[reason] += 1
