"""How does our synchroniser do beside ROS's message_filters, on the same streams in the same run?

    python bench/sync.py --seconds 20 --json sync.json

Prints the version of message_filters, a table of streams, and the defects of each, what is a bug apart from what is
design. message_filters comes with ROS and is not on PyPI: where it is absent ours is measured alone. `--messages`
of random faults at last show that the memory is bounded.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sync_probes import MS, PROBES, message, ours, theirs, version

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.latency import percentiles
from clip2scene_ros.nodes.sync_filter import ScanSynchronizer
from clip2scene_ros.nodes.sync_inputs import SimpleFilter
from clip2scene_ros.synchronizer import Synchronizer

try:
    import message_filters
except ImportError:
    message_filters = None

START_NS = 100 * 10**9


@dataclass(frozen=True)
class Streams:
    """A LiDAR and six cameras; jitter of 2 ms, messages come 5 ms after their stamp but where it is said.

    Attributes:
        name: for the table.
        lidar_hz, camera_hz: rates; `slow` cameras have the LiDAR's.
        in_phase: all cameras expose with the LiDAR; else each at a phase of its own.
        slop_ms, queue_size: settings.
        loss: share of the last camera's views that are lost.
        slow: cameras with the LiDAR's rate, half a period out of phase.
        late_ms: how much later the last camera's views come.
    """

    name: str
    lidar_hz: float = 10.0
    camera_hz: float = 12.0
    in_phase: bool = False
    slop_ms: float = 50.0
    queue_size: int = 10
    loss: float = 0.0
    slow: int = 0
    late_ms: float = 0.0


BASE = Streams("10 Hz, six cameras at 12 Hz, phases random")
CASES = (
    replace(BASE, name="10 Hz, six cameras at 12 Hz, in phase", in_phase=True),
    BASE,
    replace(BASE, name="the same, slop 100 ms", slop_ms=100.0),
    replace(BASE, name="20 Hz, six cameras at 12 Hz", lidar_hz=20.0),
    replace(BASE, name="in phase, one camera loses 5 %", in_phase=True, loss=0.05),
    replace(BASE, name="in phase, one camera loses 20 %", in_phase=True, loss=0.2),
    replace(BASE, name="in phase, one camera dead", in_phase=True, loss=1.0),
    replace(BASE, name="the same, queues of 50", in_phase=True, loss=1.0, queue_size=50),
    replace(BASE, name="10 Hz, six cameras at 30 Hz", camera_hz=30.0),
    Streams("5 Hz, 1 camera out of phase, 5 at 30 Hz, 1 late", 5.0, 30.0, False, 90.0, 10, 0.0, 1, 250.0),
)


def arrivals(case: Streams, seconds: float, seed: int = 0) -> list[tuple[int, int, Any]]:
    """Return `(arrival_ns, stream, message)` in order; stream 0 is the LiDAR."""
    rng = random.Random(seed)
    found: list[tuple[int, int, int]] = []
    for stream in range(7):
        slow = 0 < stream <= case.slow
        hz = case.lidar_hz if stream == 0 or slow else case.camera_hz
        phase = 0.0 if stream == 0 or case.in_phase else 0.5 / hz if slow else rng.random() / hz
        for i in range(int(seconds * hz)):
            stamp = START_NS + round((phase + i / hz) * 1e9 + rng.gauss(0.0, 2.0) * MS)
            if stream < 6 or rng.random() >= case.loss:
                found.append((stamp + round((5.0 + (case.late_ms if stream == 6 else 0.0)) * MS), stream, stamp))
    return [(arrived, stream, message(stamp)) for arrived, stream, stamp in sorted(found)]


def measure(case: Streams, seconds: float, own: bool) -> dict[str, Any]:
    """Feed one synchroniser and return what came out of it and what it cost."""
    now_ns = 0
    filters = [SimpleFilter() for _ in range(7)]
    if own:
        config = SyncConfig(queue_size=case.queue_size, slop_ms=case.slop_ms)
        names = [f"camera_{i}" for i in range(6)]
        sync: Any = ScanSynchronizer(filters, names, config, now_ns=lambda: now_ns)
    else:
        sync = message_filters.ApproximateTimeSynchronizer(filters, case.queue_size, case.slop_ms / 1000)
    sets: list[tuple[int, tuple[Any, ...]]] = []
    sync.registerCallback(lambda *msgs: sets.append((now_ns, msgs)))
    longest_s, messages = 0.0, arrivals(case, seconds)
    started = time.process_time()
    for arrived, stream, msg in messages:
        now_ns, before = arrived, time.process_time()
        filters[stream].signalMessage(msg)
        longest_s = max(longest_s, time.process_time() - before)
    cpu_s = time.process_time() - started
    scans = sum(stream == 0 for _, stream, _ in messages)
    return {"scans": scans, "cpu_ms": 1000 * cpu_s / scans, "longest_ms": 1000 * longest_s, **quality(sets)}


def quality(sets: list[tuple[int, tuple[Any, ...]]]) -> dict[str, Any]:
    """Return how many sets came, how complete and how near they are, and how long after the scan's stamp."""
    distances = [
        abs(view.stamp_ns - scan.stamp_ns) / MS for _, (scan, *views) in sets for view in views if view is not None
    ]
    return {
        "sets": len(sets),
        "full": sum(None not in msgs for _, msgs in sets),
        "views": len(distances),
        "mean_dt_ms": statistics.fmean(distances) if distances else None,
        "latency_ms": percentiles((now - msgs[0].stamp_ns) / MS for now, msgs in sets),
    }


def table(seconds: float) -> list[dict[str, Any]]:
    """Measure and print all cases."""
    print(
        f"{'':50} {'sets (full) of scans':>22} {'mean dt':>8} {'p50, p95 latency':>17} {'CPU/scan':>9} {'longest':>8}"
    )
    rows = []
    for case in CASES:
        for own in (False, True) if message_filters else (True,):
            row = {
                "case": case.name,
                "who": "clip2scene_ros" if own else "message_filters",
                **measure(case, seconds, own),
            }
            rows.append(row)
            sets = f"{row['sets']} ({row['full']}) of {row['scans']}"
            near = "-" if row["mean_dt_ms"] is None else f"{row['mean_dt_ms']:.0f} ms"
            latency = f"{row['latency_ms']['p50']:.0f}, {row['latency_ms']['p95']:.0f} ms" if row["sets"] else "-"
            name = f"  {row['who']}"
            if own == (message_filters is None):
                print(case.name)
            print(f"{name:50} {sets:>22} {near:>8} {latency:>17} {row['cpu_ms']:6.2f} ms {row['longest_ms']:5.1f} ms")
    return rows


def defects(their_version: str) -> list[dict[str, Any]]:
    """Probe and print the defects, bugs first."""
    found = []
    for probe in PROBES:
        row: dict[str, Any] = {"kind": probe.kind, "what": probe.what, "ours": probe.present(ours)}
        text = "not measured: message_filters is not installed"
        if message_filters:
            row["theirs"] = probe.present(theirs)
            state = {True: "still present", False: "fixed", None: "no such feature"}[row["theirs"]]
            text = f"{state} in {their_version}"
        found.append(row)
        print(f"{probe.kind:6} {probe.what}")
        print(f"       message_filters: {text}; clip2scene_ros: {'present' if row['ours'] else 'not there'}")
    return found


def endurance(messages: int) -> dict[str, Any]:
    """Feed messages with random faults and print how the memory grew after the first tenth."""
    rng, names = random.Random(0), [f"camera_{i}" for i in range(6)]
    sync: Synchronizer[None, bytes] = Synchronizer(SyncConfig(), names)
    now, sets, before = 0, 0, 0
    started = time.process_time()
    for number in range(messages):
        if number == messages // 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        now += 12 * MS
        stamp = START_NS + now % (600 * 10**9) + rng.choice((0,) * 20 + (-40, 40, -300, -2000, 3_600_000)) * MS
        stream = rng.randrange(7)
        sync.advance(now)
        if stream == 6:
            sync.add_scan(stamp, "lidar", None)
        elif stream or number // 50_000 % 2:  # camera_0 dies and returns
            sync.add_view(names[stream], stamp if rng.random() > 0.001 else 0, bytes(10_000))
        sets += sum(1 for _ in sync)
    cpu_s = time.process_time() - started
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    held = sum(camera.held for camera in sync.account().cameras.values())
    print(f"{messages} messages: {sets} sets, peak memory grew by {grown_mb:.1f} MB after the first tenth, ", end="")
    print(f"{1e6 * cpu_s / messages:.1f} us a message; dropped {sync.account().dropped}; {held} views held")
    return {"messages": messages, "sets": sets, "grown_mb": grown_mb, "us_a_message": 1e6 * cpu_s / messages}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of data a case")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of the endurance run, 0 leaves it out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    their_version = version(message_filters) if message_filters else ""
    print(f"message_filters {their_version or 'is not installed (it comes with ROS, not from PyPI): ours alone'}")
    result = {
        "message_filters": their_version,
        "streams": table(arguments.seconds),
        "defects": defects(their_version),
        "endurance": endurance(arguments.messages) if arguments.messages else None,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
