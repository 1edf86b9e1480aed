"""Ends and beginnings, for bench/faults.py: cycles of the lifecycle, and Ctrl-C at random moments."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults_stage import READY_S, Ear, Seen, Stage, wait
from lifecycle_msgs.msg import Transition

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.nodes.process import RunningNode

SEGMENT = re.compile(r"/dev/shm/fastdds_[0-9a-f]{16}\b")
WARM_UP = 3
"""Cycles after which nothing may grow any more: the first ones fill allocators and caches."""
GROWTH_MB = 2.0
END_S = 2.0


@dataclass
class Footprint:
    """What a process holds on to."""

    rss_mb: float
    threads: int
    files: int
    subscriptions: int


def footprint(stage: Stage) -> Footprint:
    """Return what the node's process holds now, and how often the network knows it as a subscriber."""
    process = Path(f"/proc/{stage.running.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    node = stage.ear.node
    topics = ("points", "cam_front/image/compressed", "cam_left/image/compressed", "odom")
    subscriptions = sum(node.count_subscribers(node.resolve_topic_name(topic)) for topic in topics)
    rss_mb = int(status["VmRSS"].split()[0]) / 1024
    return Footprint(rss_mb, int(status["Threads"]), len(os.listdir(process / "fd")), subscriptions)


def cycles(stage: Stage, count: int) -> Seen:
    """Deactivate and activate a node that works, again and again."""
    seen = Seen(f"{count} activate/deactivate cycles", stage.name, "under 10 Hz, a scan through in every cycle")
    prints, took_s, done = [], [], "labelled" if stage.name == "segment_node" else "received"
    for _ in range(count + WARM_UP):
        began_s = time.monotonic()
        stopped = stage.ear.transition(Transition.TRANSITION_DEACTIVATE)
        started = stage.ear.transition(Transition.TRANSITION_ACTIVATE)
        activated_s = time.monotonic()
        if not (stopped and started) or stage.ear.report(works(done, stage.ear), activated_s, READY_S) is None:
            seen.held = False
            break
        took_s.append(time.monotonic() - began_s)
        prints.append(footprint(stage))
    if not seen.held or not prints[WARM_UP:]:
        return seen
    first, last = prints[WARM_UP], prints[-1]
    grown_mb = last.rss_mb - first.rss_mb
    seen.lost = (
        f"memory {grown_mb:+.1f} MB ({first.rss_mb:.0f} to {last.rss_mb:.0f}), threads {first.threads} to "
        f"{last.threads}, open files {first.files} to {last.files}, subscriptions {first.subscriptions} to "
        f"{last.subscriptions}"
    )
    seen.lost += f"; a cycle took {sorted(took_s)[len(took_s) // 2]:.2f} s (p50)"
    same = (first.threads, first.subscriptions) == (last.threads, last.subscriptions) and last.files <= first.files
    seen.held = same and grown_mb <= GROWTH_MB
    return seen


def works(counter: str, ear: Ear) -> Callable[[object], bool]:
    """Return a test whether a report is of an active node whose counter is not what it was at the test's making."""
    before = ear.reports[-1].values.get(counter, "0")
    return lambda report: report.values.get("state") == "active" and report.values.get(counter, before) != before  # type: ignore[attr-defined]


@dataclass
class Ends:
    """What a campaign of signals found."""

    codes: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    frames: int = 0
    wrong: list[str] = field(default_factory=list)


def sigints(
    name: str, start: Callable[[Path], RunningNode], count: int, folder: Path, *, seed: int, span_s: float
) -> Seen:
    """End a node by Ctrl-C at random moments from the beginning of its main on.

    Args:
        name: of the node.
        start: starts it, its shards in that folder, in a process group of its own.
        count: how often.
        folder: for shards.
        seed: of the moments.
        span_s: a moment is at most so long after the beginning of `main` [s].
    """
    rng, ends, shards = random.Random(seed), Ends(), folder / "shards"
    for number in range(count):
        node = start(shards)
        try:
            wait(lambda node=node: in_main(node), "the process is in the node's main")
            time.sleep(rng.uniform(0.0, span_s))
            end(node, ends, group=number % 2 == 1)
        finally:
            node.stop()
        check_shards(shards, ends)
    seen = Seen(
        f"{count} SIGINTs", name, f"at random moments of its first {span_s:g} s, under 10 Hz; every second one "
    )
    seen.how += "to the whole process group"
    codes = sorted(set(ends.codes))
    seen.lost = f"exit codes {codes}, at most {max(ends.took_s):.2f} s (p50 {sorted(ends.took_s)[count // 2]:.2f} s)"
    seen.lost += f"; {len(ends.wrong)} tracebacks, torn files or segments left behind"
    seen.lost += f"; {ends.frames} frames kept, all readable" if ends.frames else ""
    seen.said = "; ".join(ends.wrong[:3])
    seen.held = codes == [0] and not ends.wrong
    if max(ends.took_s) > END_S:
        seen.late = f"an end took {max(ends.took_s):.2f} s"
    return seen


def end(node: RunningNode, ends: Ends, *, group: bool) -> None:
    """Send SIGINT and see what the process leaves."""
    pid = node.process.pid
    children = children_of(pid)
    own = shared_files(pid) - shared_files(os.getpid())
    began_s = time.monotonic()
    (os.killpg if group else os.kill)(pid, signal.SIGINT)
    try:
        ends.codes.append(node.process.wait(30.0))
    except subprocess.TimeoutExpired:
        ends.wrong.append("it did not end within 30 s")
        os.killpg(pid, signal.SIGKILL)
        ends.codes.append(node.process.wait())
    ends.took_s.append(time.monotonic() - began_s)
    wait(lambda: all(map(ended, children)), "its children end", 30.0)
    log = node.log_file.read_text(errors="replace")
    ends.wrong += [f"{word} in the log: {log[-300:]}" for word in ("Traceback", "[ERROR]") if word in log]
    ends.wrong += [f"{name} is left" for name in own if Path(name).exists()]


def check_shards(shards: Path, ends: Ends) -> None:
    """Read what was collected: nothing may be torn or unfinished; then put it away."""
    if not shards.exists():
        return
    torn = [path.name for path in shards.rglob("*.partial")]
    ends.wrong += [f"{name} is unfinished" for name in torn]
    try:
        ends.frames += sum(1 for shard in sorted(shards.rglob("*.tar")) for _ in ShardReader(shard))
    except BadDataset as error:
        ends.wrong.append(str(error))
    for path in sorted(shards.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def in_main(node: RunningNode) -> bool:
    """Return whether the process has its handler for SIGTERM: before that, signals are Python's own affair."""
    node.check()
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def shared_files(pid: int) -> set[str]:
    """Return the segments of DDS in shared memory that a process has mapped; its ports belong to everybody."""
    return set(SEGMENT.findall(Path(f"/proc/{pid}/maps").read_text()))


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _read(task / "children").split()]


def ended(pid: int) -> bool:
    """Return whether a process has ended, whether or not anybody has asked how."""
    status = _read(Path(f"/proc/{pid}/stat"))
    return not status or status.rpartition(")")[2].split()[0] == "Z"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended
        return ""
