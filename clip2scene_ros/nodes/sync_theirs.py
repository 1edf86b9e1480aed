"""message_filters' own synchronisers where a collector wants one: the same sets, with an account of what came."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.frame import NS_PER_S
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.nodes.logs import QUIET_S
from clip2scene_ros.nodes.sync_filter import WATCH_S, MessageSet, synchronize
from clip2scene_ros.nodes.sync_inputs import Filter, InputWatch, Message, SimpleFilter
from clip2scene_ros.sync_sets import CameraAccount, MatchedView, ScanSet, SyncAccount


class _Door(SimpleFilter):
    """Counts what an input brings, and lets pass what theirs can take: a stamp below zero would block it for ever."""

    def __init__(self, source: Filter, heard: Callable[[], None]) -> None:
        super().__init__()
        self.sub, self.topic = getattr(source, "sub", None), str(getattr(source, "topic", "lidar"))
        self.received, self.refused, self._heard = 0, 0, heard
        source.registerCallback(self._pass)

    def _pass(self, message: Message) -> None:
        self._heard()
        self.received += 1
        if stamp_of(message) <= 0:
            self.refused += 1
        else:
            self.signalMessage(message)


class TheirSynchronizer:
    """Calls back with complete sets alone, as message_filters finds them; one dead camera means none.

    Args:
        fs: the LiDAR's filter, then one for each camera.
        cameras: their names.
        config: `policy`, `queue_size` and `slop_ms`.
        node: gives the timer that looks for silent topics.
        on_set: gets each set; what it raises is logged.
        silence_s: a topic without a message for so long is named in the log, a camera is called silent [s].

    Raises:
        BadConfig: message_filters is not installed, or cannot do what is asked for.
    """

    def __init__(
        self,
        fs: Sequence[Filter],
        cameras: Sequence[str],
        config: SyncConfig,
        *,
        node: Node,
        on_set: Callable[[MessageSet], None],
        silence_s: float,
    ) -> None:
        self._node, self._on_set, self._cameras = node, on_set, tuple(cameras)
        self._silence_ns = round(silence_s * NS_PER_S)
        self._heard_ns = [time.monotonic_ns()] * len(fs)
        self._doors = [_Door(each, partial(self._hear, i)) for i, each in enumerate(fs)]
        self._watch = InputWatch(node, self._doors, silence_s, time.monotonic_ns())
        self._theirs = synchronize(self._doors, cameras, config)
        self._theirs.registerCallback(self._hand_over)
        self._sets = 0
        self._max_dt_ns: Counter[str] = Counter()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(WATCH_S, lambda: self._watch.check(time.monotonic_ns()), clock=steady)

    def close(self) -> None:
        """Stop the timer; the inputs are their owner's."""
        self._node.destroy_timer(self._timer)

    def flush(self) -> None:
        """Do nothing: what is not complete makes no set."""

    def account(self) -> SyncAccount:
        """Return what became of everything that came in: what is in no set and no queue was dropped as `unmatched`."""
        held = [len(queue) for queue in getattr(self._theirs, "queues", [[]] * len(self._doors))]
        lidar, now_ns = self._doors[0], time.monotonic_ns()
        return SyncAccount(
            received=lidar.received,
            full=self._sets,
            partial=0,
            waiting=held[0],
            dropped=self._dropped(0, held[0]),
            time_jumps=0,
            max_waited_ns=0,
            cameras={
                name: CameraAccount(
                    received=self._doors[i].received,
                    matched=self._sets,
                    reused=0,
                    held=held[i],
                    dropped=self._dropped(i, held[i]),
                    missing={},
                    max_dt_ns=self._max_dt_ns[name],
                    time_jumps=0,
                    silent=now_ns - self._heard_ns[i] > self._silence_ns,
                )
                for i, name in enumerate(self._cameras, start=1)
            },
        )

    def misfits(self) -> list[str]:
        """Return who cannot be heard now for their quality of service."""
        return self._watch.misfits()

    def _hear(self, position: int) -> None:
        self._heard_ns[position] = time.monotonic_ns()
        self._watch.heard(position, self._heard_ns[position])

    def _dropped(self, position: int, held: int) -> dict[str, int]:
        door = self._doors[position]
        counts = {"zero_stamp": door.refused, "unmatched": door.received - door.refused - self._sets - held}
        return {reason: count for reason, count in counts.items() if count > 0}

    def _hand_over(self, scan: Message, *views: Message) -> None:
        scan_ns, found = stamp_of(scan), {}
        for name, view in zip(self._cameras, views, strict=True):
            dt_ns = stamp_of(view) - scan_ns
            self._max_dt_ns[name] = max(self._max_dt_ns[name], abs(dt_ns))
            found[name] = MatchedView(stamp_of(view), view, dt_ns, reused=False)
        self._sets += 1
        try:
            self._on_set(ScanSet(scan_ns, self._doors[0].topic, scan, found, {}, None))
        except Exception as error:  # their lock is held: what is raised here would block all that comes for ever
            text = f"A callback raised {type(error).__name__}: {error}"
            self._node.get_logger().error(text, throttle_duration_sec=QUIET_S)
