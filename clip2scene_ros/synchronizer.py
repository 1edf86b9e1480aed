"""Matches the views of any number of cameras to the scans of one or several LiDARs, scan by scan.

Every scan makes one set, with the nearest view of each camera, or is dropped and counted with a reason; a camera that
is dead, late or slow costs its own view and nothing else. No ROS, no threads, no clock: stamps order what comes, and
where waiting shall have an end `advance` tells the time of a steady clock. docs/sync.md has the guarantees.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import Generic

from clip2scene_ros.camera_stream import JUMP_NS, NS_PER_MS, CameraStream
from clip2scene_ros.config import SyncConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.sync_sets import ScanData, ScanSet, SyncAccount, ViewData

MAX_MS = 60_000.0
"""Slops and offsets beyond it are typing errors."""

PATIENCE = 4
"""As many scans in a row that are too late, in order among themselves, are a bag shorter than JUMP_NS that loops;
networks that reorder do so by fewer."""


@dataclass
class _Waiting(Generic[ScanData]):
    stamp_ns: int
    source: str
    payload: ScanData
    arrived_ns: int

    def __lt__(self, other: _Waiting[ScanData]) -> bool:
        return (self.stamp_ns, self.source) < (other.stamp_ns, other.source)


@dataclass
class _Lidar:
    """What is remembered of a source: its newest stamp, the last one of which a set was made, what came too late."""

    newest_ns: int | None = None
    done_ns: int | None = None
    behind: int = 0
    behind_ns: int = 0


class Synchronizer(Generic[ScanData, ViewData]):
    """Takes scans and views in the order of their arrival, gives sets to whoever iterates over it.

        sync.add_view("front", stamp_ns, image)
        sync.add_scan(stamp_ns, "lidar", cloud)
        for ready in sync:  # after every call; what is not taken is dropped when `queue_size` more are ready
            ...

    Iteration ends when nothing more is ready and may be taken up again. Stamps are integers [ns]. Not thread-safe.

    Args:
        config: slops, offsets, queue sizes and waiting; `policy` is not looked at here.
        cameras: their names; a set is full when it has a view of each.

    Raises:
        BadConfig: two cameras of one name, a slop or offset of one that there is not, more views demanded than cameras.
    """

    def __init__(self, config: SyncConfig, cameras: Sequence[str]) -> None:
        if len(set(cameras)) < len(cameras):
            raise BadConfig("cameras", f"Expected cameras of different names, but got {', '.join(cameras)}.")
        slops = by_camera("slops_ms", config.slops_ms, cameras, config.slop_ms, low_ms=0.0)
        offsets = by_camera("offsets_ms", config.offsets_ms, cameras, 0.0)
        if config.min_views > len(cameras):
            text = f"Setting `min_views` expects at most the number of cameras, {len(cameras)}, but got"
            raise BadConfig("range", f"{text} {config.min_views}: every scan would be dropped.")
        self._wait_ns = round(config.wait_ms * NS_PER_MS)
        self._queue_size, self._min_views = config.queue_size, config.min_views
        self._cameras: dict[str, CameraStream[ViewData]] = {
            name: CameraStream(offsets[name], slops[name], config) for name in cameras
        }
        self._lidars: dict[str, _Lidar] = {}
        self._waiting: list[_Waiting[ScanData]] = []
        self._ready: deque[ScanSet[ScanData, ViewData]] = deque()
        self._clock_ns: int | None = None
        self._received = self._full = self._partial = self._time_jumps = self._max_waited_ns = 0
        self._dropped: Counter[str] = Counter()

    def add_scan(self, stamp_ns: int, source: str, payload: ScanData) -> None:
        """Take a scan of the LiDAR `source`; its payload comes out in the set as it is."""
        stamp_ns = index(stamp_ns)
        self._received += 1
        lidar = self._lidars.setdefault(source, _Lidar())
        if reason := self._refuse(lidar, stamp_ns, source):
            self._dropped[reason] += 1
            return
        lidar.newest_ns = stamp_ns if lidar.newest_ns is None else max(lidar.newest_ns, stamp_ns)
        insort(self._waiting, _Waiting(stamp_ns, source, payload, self._clock_ns or 0))
        for camera in self._cameras.values():
            camera.expect(self._clock_ns)
        if len(self._waiting) > self._queue_size:
            self._finish(1, "queue_full")
        self._expire()
        self._settle()

    def add_view(self, camera: str, stamp_ns: int, payload: ViewData) -> None:
        """Take a view; its payload comes out in the sets that have it as it is.

        Raises:
            BadConfig: the camera is none of those that were named at the start.
        """
        if camera not in self._cameras:
            names = ", ".join(self._cameras) or "no camera at all"
            raise BadConfig("unknown_camera", f"Expected a view of {names}, but got one of {camera!r}.")
        self._cameras[camera].put(index(stamp_ns), payload, self._horizon_ns(), self._clock_ns)
        self._settle()

    def advance(self, now_ns: int) -> None:
        """Say what time it is by a steady clock [ns]: scans that waited long enough are ready now.

        Without this call no time passes: a scan waits until its views came, `queue_size` is exceeded, or `flush`. That
        is the way for bags; a bag's own times of recording will do as well. A clock that goes back starts anew: what
        waits, waits from then.
        """
        if self._clock_ns is None or now_ns < self._clock_ns:
            for scan in self._waiting:
                scan.arrived_ns = now_ns
            for camera in self._cameras.values():
                camera.restart_clock()
                camera.expect(now_ns)
        self._clock_ns = now_ns
        self._expire()
        self._settle()

    def flush(self) -> None:
        """Make sets of all scans that wait, with the views there are: the end of a bag, or of a node."""
        self._finish(len(self._waiting), "flush")

    def __iter__(self) -> Iterator[ScanSet[ScanData, ViewData]]:
        """Yield the sets that are ready and that nobody took yet, each once."""
        while self._ready:
            ready = self._ready.popleft()
            self._full += ready.full
            self._partial += not ready.full
            yield ready

    def account(self) -> SyncAccount:
        """Return what became of everything that came in."""
        return SyncAccount(
            received=self._received,
            full=self._full,
            partial=self._partial,
            waiting=len(self._waiting) + len(self._ready),
            dropped=dict(+self._dropped),
            time_jumps=self._time_jumps,
            max_waited_ns=self._max_waited_ns,
            cameras={name: camera.account(self._clock_ns) for name, camera in self._cameras.items()},
        )

    def _refuse(self, lidar: _Lidar, stamp_ns: int, source: str) -> str:
        """Return why a scan makes no set, or an empty string; a jump of time is dealt with on the way."""
        if stamp_ns <= 0:
            return "zero_stamp"
        if lidar.newest_ns is not None and stamp_ns < lidar.newest_ns - JUMP_NS:
            self._start_anew()
        if any(scan.stamp_ns == stamp_ns and scan.source == source for scan in self._waiting):
            return "duplicate_stamp"
        if lidar.done_ns is None or stamp_ns > lidar.done_ns:
            lidar.behind = 0
            return ""
        lidar.behind = lidar.behind + 1 if stamp_ns > lidar.behind_ns else 1
        lidar.behind_ns = stamp_ns
        if lidar.behind >= PATIENCE:
            self._start_anew()
            return ""
        return "duplicate_stamp" if stamp_ns == lidar.done_ns else "out_of_order"

    def _start_anew(self) -> None:
        """Empty all queues: time went back, and what they hold belongs to a time that is over."""
        self._time_jumps += 1
        self._dropped["time_jump"] += len(self._waiting)
        self._waiting.clear()
        for lidar in self._lidars.values():
            lidar.newest_ns, lidar.done_ns, lidar.behind = None, None, 0
        for camera in self._cameras.values():
            camera.forget()

    def _settle(self) -> None:
        """Make sets of the scans, oldest first, for which no nearer view can come from any camera that is not silent.

        What holds for a scan holds for all older ones, so the first that has to wait ends the search.
        """
        while self._waiting:
            stamp_ns = self._waiting[0].stamp_ns
            if not all(c.passed(stamp_ns) or c.silent(self._clock_ns) for c in self._cameras.values()):
                return
            self._finish(1, "")

    def _expire(self) -> None:
        """Make sets of the scans that waited long enough, and of those before them, which may have come later."""
        clock_ns = self._clock_ns
        if clock_ns is None:
            return
        over = (n for n, scan in enumerate(self._waiting, 1) if clock_ns - scan.arrived_ns >= self._wait_ns)
        self._finish(max(over, default=0), "timeout")

    def _finish(self, count: int, cause: str) -> None:
        """Make sets of the oldest scans; `cause` is why what is still missing was not waited for."""
        for scan in self._waiting[:count]:
            self._lidars[scan.source].done_ns = scan.stamp_ns
            self._make_set(scan, cause)
        if count:
            del self._waiting[:count]
            horizon_ns = self._horizon_ns()
            for camera in self._cameras.values():
                if horizon_ns is not None:
                    camera.prune(horizon_ns)

    def _make_set(self, scan: _Waiting[ScanData], cause: str) -> None:
        nearest = {name: camera.nearest(scan.stamp_ns) for name, camera in self._cameras.items()}
        views = {name: view for name, view in nearest.items() if view is not None}
        missing = {name: self._why_missing(name, scan, cause) for name in nearest if name not in views}
        if len(views) < self._min_views:
            self._dropped["too_few_views"] += 1
            return
        for name, view in views.items():
            self._cameras[name].count_match(view)
        for name, reason in missing.items():
            self._cameras[name].count_miss(reason)
        waited_ns = None if self._clock_ns is None else self._clock_ns - scan.arrived_ns
        self._max_waited_ns = max(self._max_waited_ns, waited_ns or 0)
        self._ready.append(ScanSet(scan.stamp_ns, scan.source, scan.payload, views, missing, waited_ns))
        if len(self._ready) > self._queue_size:
            self._ready.popleft()
            self._dropped["not_taken"] += 1

    def _why_missing(self, camera: str, scan: _Waiting[ScanData], cause: str) -> str:
        stream = self._cameras[camera]
        if stream.passed(scan.stamp_ns):
            return "no_match"
        return "silent" if stream.silent(self._clock_ns) else cause

    def _horizon_ns(self) -> int | None:
        """Return the stamp that all scans to come are later than, None where none is known [ns]."""
        done = [lidar.done_ns for lidar in self._lidars.values()]
        return min((stamp_ns for stamp_ns in done if stamp_ns is not None), default=None) if None not in done else None


def by_camera(
    setting: str, text: str, cameras: Sequence[str], default_ms: float, low_ms: float = -MAX_MS
) -> dict[str, int]:
    """Return nanoseconds by camera from `front: 61.7, left: -20` [ms].

    Args:
        setting: name of the setting, for errors.
        text: as the user wrote it; may be empty.
        cameras: all there are.
        default_ms: of those that the text does not name [ms].
        low_ms: smallest value allowed [ms].

    Raises:
        BadConfig: not of that form, or of a camera that there is not.
    """
    values = dict.fromkeys(cameras, default_ms)
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not colon or not low_ms <= number <= MAX_MS:
            expected = f"`camera: milliseconds, ...` in [{low_ms:g}, {MAX_MS:g}]"
            raise BadConfig("range", f"Setting `{setting}` expects {expected}, but got {part!r}.")
        if name not in values:
            raise BadConfig("choice", f"Setting `{setting}` expects one of {', '.join(cameras)}, but got {name!r}.")
        values[name] = number
    return {name: round(number * NS_PER_MS) for name, number in values.items()}
