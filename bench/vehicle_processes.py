"""What processes cost: memory and CPU time of a process and its children from /proc, and the slope of a memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PROC = Path("/proc")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
BLOCK = 6
"""Samples that are drawn together, a minute of them: a memory that lies above its trend stays there for a while."""
DRAWS = 2000


def children(pid: int) -> list[int]:
    """Return all descendants of a process but Python's own resource tracker."""
    parents: dict[int, list[int]] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, look = [], [pid]
    while look:
        new = parents.get(look.pop(), [])
        look += new
        found += new
    return [one for one in found if "resource_tracker" not in _command(one)]


def memory_mb(pid: int) -> dict[str, float]:
    """Return the resident memory of a process, and its parts [MB]; empty where it has ended.

    `shmem` is what it has touched of segments that it shares with other processes: the transport's.
    """
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return {}
    names = {"VmRSS": "rss", "RssAnon": "anon", "RssFile": "file", "RssShmem": "shmem"}
    told = {key: value for key, _, value in (line.partition(":") for line in lines) if key in names}
    return {names[key]: int(value.split()[0]) / 1024 for key, value in told.items()}


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used [s]; 0 where it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


@dataclass
class Watched:
    """A process and its children, looked at now and then.

    Attributes:
        pid: of the process.
        samples: `(seconds, memory of the process, memory of its children)`, memory by part [MB].
        cpu: pid -> CPU time at the first and at the last look [s].
    """

    pid: int
    samples: list[tuple[float, dict[str, float], dict[str, float]]] = field(default_factory=list)
    cpu: dict[int, tuple[float, float]] = field(default_factory=dict)

    def look(self, at_s: float) -> None:
        """Take a sample."""
        kids = children(self.pid)
        own, others = memory_mb(self.pid), [memory_mb(kid) for kid in kids]
        if not own:
            return
        together = {name: sum(other.get(name, 0.0) for other in others) for name in own}
        self.samples.append((at_s, own, together))
        for pid in (self.pid, *kids):
            now = cpu_s(pid)
            self.cpu[pid] = (self.cpu.get(pid, (now,))[0], max(now, self.cpu.get(pid, (now, now))[1]))

    def cpu_share(self, *, children: bool) -> float:
        """Return the share of a core between the first and the last look, of the process or of its children."""
        if len(self.samples) < 2:
            return float("nan")
        used = sum(last - first for pid, (first, last) in self.cpu.items() if (pid != self.pid) == children)
        return used / (self.samples[-1][0] - self.samples[0][0])

    def grown(self, from_s: float, *, children: bool, part: str = "rss") -> dict[str, float | list[float]]:
        """Return the memory at `from_s` and at the end, the difference [MB], and the slope since then [MB/h]."""
        chosen = [(at_s, (kids if children else own)[part]) for at_s, own, kids in self.samples if at_s >= from_s]
        if not chosen:
            return {}
        slope, low, high = slope_mb_h([at_s for at_s, _ in chosen], [mb for _, mb in chosen])
        return {
            "from_s": chosen[0][0],
            "from_mb": chosen[0][1],
            "end_mb": chosen[-1][1],
            "grown_mb": chosen[-1][1] - chosen[0][1],
            "slope_mb_h": slope,
            "interval_mb_h": [low, high],
        }


def slope_mb_h(seconds: Sequence[float], mb: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Return the least-squares slope and its 95 % interval [MB/h], NaN of fewer than three samples.

    The interval is that of a moving-block bootstrap of the residuals: samples that follow each other are not
    independent, and the textbook's interval would be far too narrow.
    """
    hours, values = np.asarray(seconds, float) / 3600, np.asarray(mb, float)
    count = len(hours)
    if count < 3:
        return (float("nan"),) * 3
    centred = hours - hours.mean()
    slope = float(centred @ values / (centred @ centred))
    residuals = values - values.mean() - slope * centred
    block = max(1, min(BLOCK, count // 4))
    starts = np.random.default_rng(seed).integers(0, count - block + 1, (DRAWS, -(-count // block)))
    drawn = (starts[..., None] + np.arange(block)).reshape(DRAWS, -1)[:, :count]
    low, high = np.percentile(slope + residuals[drawn] @ centred / (centred @ centred), (2.5, 97.5))
    return slope, float(low), float(high)
