"""The collector: of all that comes in, what is worth keeping goes to the teacher and into shards.

A set that is chosen waits for the worker; a set that is not is remembered for a while, since a trigger may still want
it. All of it is bounded, and every set is accounted for. No ROS, no threads and no clock: stamps alone decide, so a
drive and its bag give the same.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from clip2scene_ros.collect.choice import Choice
from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.collect.sets import CollectAccount, Job, Outcome, Placed, RawSet, Rig
from clip2scene_ros.collect.slips import Slips
from clip2scene_ros.frame import NS_PER_S

MB = 1e6
STUDENT_HELD = 20
"""Label clouds of the student that wait for their scans: it is ahead of the teacher by no more."""
SETTLED_NS = NS_PER_S // 2
"""So long after a set all poses of its time have come: it is placed then, however long it waits for the worker."""
LOOKS_HELD = 16
"""Sets that wait for a look at their calibration, one a second: a slow teacher is ahead of the watch for a while."""


@dataclass(eq=False)
class _Held:
    """A set in hand, and why it will have been dropped when nothing keeps it."""

    raw: RawSet
    reason: str = ""
    triggered: bool = False
    placed: Placed | None = None


class Collector:
    """Chooses sets, holds them for the worker, remembers the others for a trigger. Not thread-safe.

        collector.add(raw)
        while (job := collector.take()) is not None:
            collector.done(job, recorder.record(job))

    Args:
        config: thresholds and bounds.
        rig: where the sensors are.
    """

    def __init__(self, config: CollectConfig, rig: Rig) -> None:
        self._config, self._rig = config, rig
        self._before_ns = round(config.buffer.before_s * NS_PER_S)
        self._after_ns = round(config.buffer.after_s * NS_PER_S)
        self._choices: dict[str, Choice] = {}
        self._newest_ns: dict[str, int] = {}
        self._keep_until_ns: dict[str, int] = {}
        self._waiting: deque[_Held] = deque()
        self._remembered: deque[_Held] = deque()
        self._at_worker: dict[int, _Held] = {}
        self._students: OrderedDict[int, bytes] = OrderedDict()
        self._looks: deque[RawSet] = deque(maxlen=LOOKS_HELD)
        self._slips = Slips()
        self._received = self._kept = self._triggered = self._kept_bytes = self._jobs = 0
        self._held_bytes = self._max_held_bytes = 0
        self._dropped, self._left_out = Counter[str](), Counter[str]()

    def add(self, raw: RawSet) -> None:
        """Take a set: choose it, or remember it for a while."""
        self._received += 1
        self._hold(raw.size)
        self._follow(raw)
        pose = self._rig.pose(raw)
        if self._config.calibration.watch and self._slips.due(raw, pose):
            self._looks.append(raw)
        if raw.stamp_ns <= self._keep_until_ns.get(raw.source, -1):
            self._waiting.append(_Held(raw, triggered=True))
        elif reason := self._choice(raw.source).refuse(raw.stamp_ns, pose):
            self._remember(_Held(raw, reason))
        else:
            self._wait(_Held(raw))
        self._place(raw)
        self._bound()

    def add_student(self, stamp_ns: int, labels: bytes) -> None:
        """Take a serialised label cloud of the student; it waits for the scan of its stamp."""
        self._students[stamp_ns] = labels
        while len(self._students) > STUDENT_HELD:
            self._students.popitem(last=False)

    def trigger(self) -> int:
        """Keep the seconds before and after the newest scan of each LiDAR, whatever they show.

        Returns:
            how many sets of before are kept by it; -1 when nothing has come yet.
        """
        if not self._newest_ns:
            return -1
        self._keep_until_ns = {source: newest + self._after_ns for source, newest in self._newest_ns.items()}
        for held in (*self._remembered, *self._waiting, *self._at_worker.values()):
            held.triggered = held.triggered or self._recent(held.raw)
        found = [held for held in self._remembered if held.triggered]
        self._remembered = deque(held for held in self._remembered if not held.triggered)
        self._waiting = deque(sorted([*self._waiting, *found], key=lambda held: held.raw.stamp_ns))
        return sum(held.triggered for held in self._waiting)

    def take(self) -> Job | None:
        """Return the next set for the worker, or None; what the watch wants to see comes first, since it is quick."""
        if self._looks:
            raw = self._looks.popleft()
            return Job(0, raw, self._rig.place(raw), look=True)
        if not self._waiting:
            return None
        held = self._waiting.popleft()
        self._held_bytes -= held.raw.size
        self._jobs += 1
        self._at_worker[self._jobs] = held
        student = self._students.pop(held.raw.stamp_ns, b"")
        placed = self._slips.without(held.raw.source, held.placed or self._rig.place(held.raw))
        return Job(self._jobs, held.raw, placed, student, held.triggered)

    @property
    def waits(self) -> bool:
        """Return whether there is something to take."""
        return bool(self._waiting or self._looks)

    def done(self, job: Job, outcome: Outcome) -> None:
        """Note what the worker did; a set that was not worth keeping is remembered for a trigger."""
        if job.look:
            self._slips.learn(job.raw, outcome.fits)
            return
        held = self._at_worker.pop(job.number)
        self._left_out.update(f"{camera}: {reason}" for camera, reason in outcome.left_out.items())
        if not outcome.reason:
            self._kept, self._kept_bytes = self._kept + 1, self._kept_bytes + outcome.size
            self._triggered += held.triggered
            return
        if not held.triggered:
            self._choice(job.raw.source).take_back(job.raw.stamp_ns)
        held.reason = outcome.reason
        if outcome.reason == "familiar":
            self._hold(held.raw.size)
            if held.triggered and not job.triggered:  # while the worker looked at it
                self._waiting.appendleft(held)
            else:
                self._remember(held)
            self._bound()
        else:
            self._dropped[outcome.reason] += 1

    def end(self, reason: str) -> int:
        """Drop all that is not at the worker: what waits for `reason`, the rest for its own; return how many waited."""
        waited = len(self._waiting)
        self._dropped.update([reason] * waited + [held.reason for held in self._remembered])
        self._waiting.clear()
        self._looks.clear()
        self._remembered.clear()
        self._held_bytes = 0
        self._keep_until_ns.clear()
        return waited

    def account(self) -> CollectAccount:
        """Return what became of all sets."""
        return CollectAccount(
            received=self._received,
            kept=self._kept,
            triggered=self._triggered,
            dropped=Counter(self._dropped),
            waiting=len(self._waiting),
            remembered=len(self._remembered),
            at_worker=len(self._at_worker),
            held_bytes=self._held_bytes,
            max_held_bytes=self._max_held_bytes,
            kept_bytes=self._kept_bytes,
            images_left_out=Counter(self._left_out),
            fits=self._slips.fits,
        )

    def _choice(self, source: str) -> Choice:
        return self._choices.setdefault(source, Choice(self._config.choice))

    def _hold(self, size: int) -> None:
        self._held_bytes += size

    def _drop(self, held: _Held) -> None:
        self._held_bytes -= held.raw.size
        self._dropped[held.reason] += 1

    def _follow(self, raw: RawSet) -> None:
        """Let time go on: what is older than a trigger reaches is forgotten; a trigger ends where time goes back."""
        newest = self._newest_ns.get(raw.source, raw.stamp_ns)
        if raw.stamp_ns < newest:
            self._keep_until_ns.pop(raw.source, None)
        self._newest_ns[raw.source] = raw.stamp_ns
        kept: deque[_Held] = deque()
        for held in self._remembered:
            if self._recent(held.raw):
                kept.append(held)
            else:
                self._drop(held)
        self._remembered = kept

    def _place(self, newest: RawSet) -> None:
        """Place what waits while the poses of its time are remembered."""
        for held in self._waiting:
            if held.placed is None and abs(newest.stamp_ns - held.raw.stamp_ns) >= SETTLED_NS:
                held.placed = self._rig.place(held.raw)

    def _recent(self, raw: RawSet) -> bool:
        """Return whether a trigger that came now would keep it."""
        return 0 <= self._newest_ns[raw.source] - raw.stamp_ns <= self._before_ns

    def _wait(self, held: _Held) -> None:
        self._waiting.append(held)
        ordinary = [each for each in self._waiting if not each.triggered]
        if len(ordinary) > self._config.buffer.queue_size:
            self._overflow(ordinary[0], "queue_full")

    def _overflow(self, held: _Held, reason: str) -> None:
        self._waiting.remove(held)
        held.reason = reason
        if not held.triggered:
            self._choice(held.raw.source).take_back(held.raw.stamp_ns)
        self._remember(held)

    def _remember(self, held: _Held) -> None:
        if self._before_ns and self._recent(held.raw):
            self._remembered.append(held)
        else:
            self._drop(held)

    def _bound(self) -> None:
        """Keep to the memory: looks go first, then what is only remembered, then what waits, triggered sets last."""
        while (
            self._looks and self._held_bytes + sum(raw.size for raw in self._looks) > self._config.buffer.memory_mb * MB
        ):
            self._looks.popleft()
        while self._held_bytes > self._config.buffer.memory_mb * MB:
            if self._remembered:
                self._drop(self._remembered.popleft())
                continue
            held = next((each for each in self._waiting if not each.triggered), self._waiting[0])
            self._waiting.remove(held)
            held.reason = "memory_full"
            self._drop(held)
        self._max_held_bytes = max(self._max_held_bytes, self._held_bytes)
