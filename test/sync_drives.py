"""Events for synchroniser tests: arbitrary ones from hypothesis, and drives with a known truth."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import strategies as st
from sync_oracle import Oracle, Outcome, Settings

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.synchronizer import Synchronizer

MS = 1_000_000
CAMERAS = ("front", "left", "rear")

Event = tuple[str, int, str]
"""`("scan", stamp_ns, source)`, `("view", stamp_ns, camera)`, `("now", now_ns, "")` or `("flush", 0, "")`."""


@dataclass
class Case:
    """Settings in both forms."""

    config: SyncConfig
    settings: Settings

    def synchronizer(self) -> Synchronizer[int, int]:
        return Synchronizer(self.config, self.settings.cameras)

    def oracle(self) -> Oracle:
        return Oracle(self.settings)


def case(
    cameras: tuple[str, ...] = CAMERAS,
    offset_ms: dict[str, float] | None = None,
    slop_ms: dict[str, float] | None = None,
    queue: int = 10,
    views: int = 30,
    wait_ms: float = 150.0,
    silent: float = 5.0,
    least: int = 0,
) -> Case:
    offset_ms, slop_ms = offset_ms or {}, slop_ms or {}
    config = SyncConfig(
        offsets_ms=", ".join(f"{name}: {ms}" for name, ms in offset_ms.items()),
        slops_ms=", ".join(f"{name}: {ms}" for name, ms in slop_ms.items()),
        queue_size=queue,
        view_queue_size=views,
        wait_ms=wait_ms,
        silent_periods=silent,
        min_views=least,
    )
    settings = Settings(
        cameras=cameras,
        offset={name: round(offset_ms.get(name, 0.0) * MS) for name in cameras},
        slop={name: round(slop_ms.get(name, 50.0) * MS) for name in cameras},
        waiting_scans=queue,
        held_views=views,
        wait=round(wait_ms * MS),
        silent_periods=silent,
        min_views=least,
    )
    return Case(config, settings)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Small queues and short waiting, so that every limit is met within few events."""
    cameras = CAMERAS[: draw(st.integers(0, 3))]
    return case(
        cameras=cameras,
        offset_ms={name: draw(st.sampled_from((0, 0, 30, -30, 55))) for name in cameras},
        slop_ms={name: draw(st.sampled_from((50, 20, 0, 120))) for name in cameras},
        queue=draw(st.integers(1, 4)),
        views=draw(st.integers(1, 5)),
        wait_ms=draw(st.sampled_from((0, 40, 100, 250))),
        silent=draw(st.sampled_from((1.0, 2.0, 5.0))),
        least=draw(st.integers(0, len(cameras))),
    )


STRANGE = (-30, -30, -120, -900, -1500, -4000, 3_600_000)
"""Steps of the stamps that no drive should have [ms]."""


@st.composite
def events(draw: st.DrawFn, cameras: tuple[str, ...]) -> list[Event]:
    """Anything that may ever come: time runs on most of the way, stamps scatter, repeat, are zero and jump."""
    names = (("scan", "top"), ("scan", "top"), ("scan", "rear"), ("now", ""), *(("view", name) for name in cameras * 2))
    steps = st.tuples(
        st.sampled_from(names),
        st.sampled_from((0, 0, 10, 10, 10, 20, 20, 40, 40, 60, 100) * 3 + STRANGE),
        st.sampled_from((5, 10, 20, 20, 60, 60, 300, -100)),
        st.integers(0, 50),
    )
    found: list[Event] = []
    now, stamp = draw(st.integers(0, 5_000)), 5_000
    for (kind, name), forward, passed, zero in draw(st.lists(steps, min_size=draw(st.integers(0, 40)), max_size=80)):
        if kind == "now":
            now = max(now + passed, 0)
            found.append(("now", now * MS, ""))
        else:
            stamp = max(stamp + forward, 1)
            found.append((kind, stamp * MS if zero else 0, name))
    return [*found, ("flush", 0, "")]


@st.composite
def cases_with_events(draw: st.DrawFn) -> tuple[Case, list[Event]]:
    chosen = draw(cases())
    return chosen, draw(events(chosen.settings.cameras))


def feed(sync: Synchronizer[int, int] | Oracle, event: Event, number: int = 0) -> None:
    """Give one event; payloads are its number."""
    kind, at, name = event
    payload = () if isinstance(sync, Oracle) else (number,)
    if kind == "scan":
        sync.add_scan(at, name, *payload)
    elif kind == "view":
        sync.add_view(name, at, *payload)
    elif kind == "now":
        sync.advance(at)
    else:
        sync.flush()


def outcomes(sync: Synchronizer[int, int]) -> list[Outcome]:
    """Take what is ready, in the oracle's form."""
    return [
        (ready.source, ready.stamp_ns, {name: view.stamp_ns for name, view in ready.views.items()}, ready.missing)
        for ready in sync
    ]


def play(sync: Synchronizer[int, int], played: Iterable[Event]) -> list[Outcome]:
    """Give all events and return all outcomes."""
    out: list[Outcome] = []
    for number, event in enumerate(played):
        feed(sync, event, number)
        out += outcomes(sync)
    return out


@dataclass
class Drive:
    """Streams of steady rate with jitter, each message with its time of arrival; nothing is lost or out of order."""

    seed: int = 0
    seconds: float = 10.0
    lidar_hz: float = 10.0
    camera_hz: float = 12.0
    cameras: tuple[str, ...] = CAMERAS
    jitter_ms: float = 2.0
    delay_ms: float = 30.0
    start_s: float = 100.0

    def arrivals(self) -> list[tuple[int, Event]]:
        """Return `(arrival_ns, event)` of scans and views by arrival."""
        rng = random.Random(self.seed)
        streams = [("scan", "top", self.lidar_hz)] + [("view", name, self.camera_hz) for name in self.cameras]
        found: list[tuple[int, Event]] = []
        for kind, name, hz in streams:
            phase, last = self.start_s + rng.random() / hz, 0
            jitter = [rng.uniform(-1, 1) * self.jitter_ms * MS for _ in range(int(self.seconds * hz))]
            for stamp in sorted(round((phase + i / hz) * 1e9 + noise) for i, noise in enumerate(jitter)):
                last = max(last + 1, stamp + round(rng.uniform(0.2, 1.0) * self.delay_ms * MS))
                found.append((last, (kind, stamp, name)))
        return sorted(found)

    def live(self) -> list[Event]:
        """Return the events with the clock told before each."""
        return [event for at, message in self.arrivals() for event in (("now", at, ""), message)]
