"""The synchroniser a second time, slow and plain: flat lists, everything searched anew at every step.

It says what docs/sync.md promises, in the words of that page; the tests compare the real one with it event by event.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

JUMP = 1_000_000_000
BEHIND_IN_A_ROW = 4

Outcome = tuple[str, int, dict[str, int], dict[str, str]]
"""Source, stamp, camera -> stamp of its view, camera -> why it has none."""


@dataclass
class Settings:
    cameras: tuple[str, ...]
    offset: dict[str, int]
    slop: dict[str, int]
    waiting_scans: int
    held_views: int
    wait: int
    silent_periods: float
    min_views: int = 0


@dataclass
class Scan:
    source: str
    stamp: int
    arrived: int | None


@dataclass
class Oracle:
    settings: Settings
    now: int | None = None
    waiting: list[Scan] = field(default_factory=list)
    held: list[tuple[str, int]] = field(default_factory=list)  # camera, stamp, in the order of arrival
    newest_view: dict[str, int] = field(default_factory=dict)
    newest_scan: dict[str, int] = field(default_factory=dict)
    done: dict[str, int | None] = field(default_factory=dict)
    behind: dict[str, list[int]] = field(default_factory=dict)
    heard: dict[str, list[int]] = field(default_factory=dict)  # times of arrival since the camera last returned
    missed_since: dict[str, int] = field(default_factory=dict)
    dropped: list[tuple[str, int, str]] = field(default_factory=list)
    out: list[Outcome] = field(default_factory=list)
    jumps: int = 0

    def add_scan(self, stamp: int, source: str) -> None:
        self.done.setdefault(source, None)
        reason = self._reason(stamp, source)
        if reason:
            self.dropped.append((source, stamp, reason))
            return
        self.newest_scan[source] = max(stamp, self.newest_scan.get(source, stamp))
        self.waiting.append(Scan(source, stamp, self.now))
        self.waiting.sort(key=lambda scan: (scan.stamp, scan.source))
        if self.now is not None:
            for camera in self.settings.cameras:
                if not self.heard.get(camera):
                    self.missed_since.setdefault(camera, self.now)
        if len(self.waiting) > self.settings.waiting_scans:
            self._send(1, "queue_full")
        self._look()

    def add_view(self, camera: str, stamp: int) -> None:
        if stamp > 0 and self.newest_view.get(camera, stamp) - stamp > JUMP and (camera, stamp) not in self.held:
            self.held = [view for view in self.held if view[0] != camera]
            del self.newest_view[camera]
        if stamp > 0 and (camera, stamp) not in self.held:
            if self.now is not None:
                if self.silent(camera):
                    self.heard[camera] = []
                self.heard.setdefault(camera, []).append(self.now)
            self.newest_view[camera] = max(stamp, self.newest_view.get(camera, stamp))
            if self._can_serve(camera, stamp):
                self.held.append((camera, stamp))
                mine = [view for view in self.held if view[0] == camera]
                if len(mine) > self.settings.held_views:
                    self.held.remove(mine[0])
        self._look()

    def advance(self, now: int) -> None:
        if self.now is None or now < self.now:
            self.heard, self.missed_since = {}, dict.fromkeys(self.settings.cameras, now)
            for scan in self.waiting:
                scan.arrived = now
        self.now = now
        self._look()

    def flush(self) -> None:
        self._send(len(self.waiting), "flush")

    def silent(self, camera: str) -> bool:
        heard = self.heard.get(camera) or []
        if self.now is None or not (heard or camera in self.missed_since):
            return False
        gaps = [b - a for a, b in pairwise(heard)][-10:]
        period = sum(gaps) / len(gaps) if len(gaps) >= 3 else self.settings.wait
        since = heard[-1] if heard else self.missed_since[camera]
        return self.now - since > max(self.settings.wait, self.settings.silent_periods * period)

    def _reason(self, stamp: int, source: str) -> str:
        if stamp <= 0:
            return "zero_stamp"
        if source in self.newest_scan and self.newest_scan[source] - stamp > JUMP:
            self._jump()
        if any((scan.source, scan.stamp) == (source, stamp) for scan in self.waiting):
            return "duplicate_stamp"
        done = self.done[source]
        if done is None or stamp > done:
            self.behind[source] = []
            return ""
        before = self.behind.get(source, [])
        self.behind[source] = [*before, stamp] if not before or stamp > before[-1] else [stamp]
        if len(self.behind[source]) == BEHIND_IN_A_ROW:
            self._jump()
            return ""
        return "duplicate_stamp" if stamp == done else "out_of_order"

    def _jump(self) -> None:
        """A LiDAR's time went back: all begins anew, but for the times of arrival."""
        self.jumps += 1
        self.dropped += [(scan.source, scan.stamp, "time_jump") for scan in self.waiting]
        self.waiting, self.held, self.newest_view, self.newest_scan, self.behind = [], [], {}, {}, {}
        self.done = dict.fromkeys(self.done)

    def _can_serve(self, camera: str, stamp: int) -> bool:
        """Whether a scan may still come, or wait, to which this view could belong."""
        latest_scan = stamp - self.settings.offset[camera] + self.settings.slop[camera]
        return not self.done or any(done is None or latest_scan > done for done in self.done.values())

    def _decided(self, scan: Scan) -> bool:
        return all(
            self.newest_view.get(camera, -1) >= scan.stamp + self.settings.offset[camera] or self.silent(camera)
            for camera in self.settings.cameras
        )

    def _look(self) -> None:
        if self.now is not None:
            over = [i for i, scan in enumerate(self.waiting) if self.now - scan.arrived >= self.settings.wait]
            if over:
                self._send(over[-1] + 1, "timeout")
        while self.waiting and self._decided(self.waiting[0]):
            self._send(1, "nothing")

    def _send(self, count: int, cause: str) -> None:
        for scan in self.waiting[:count]:
            self.done[scan.source] = scan.stamp
            views, missing = {}, {}
            for camera in self.settings.cameras:
                target = scan.stamp + self.settings.offset[camera]
                near = [s for name, s in self.held if name == camera and abs(s - target) <= self.settings.slop[camera]]
                if near:
                    views[camera] = min(near, key=lambda s: (abs(s - target), s))
                elif self.newest_view.get(camera, -1) >= target:
                    missing[camera] = "no_match"
                else:
                    missing[camera] = "silent" if self.silent(camera) else cause
            if len(views) < self.settings.min_views:
                self.dropped.append((scan.source, scan.stamp, "too_few_views"))
            else:
                self.out.append((scan.source, scan.stamp, views, missing))
        self.waiting = self.waiting[count:]
        self.held = [view for view in self.held if self._can_serve(*view)]
