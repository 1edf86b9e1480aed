"""The synchroniser as a ROS filter: it chains with message_filters where that is installed, and needs it nowhere.

    lidar, front = Subscriber(node, PointCloud2, "points", 5), Subscriber(node, Image, "front/image", 5)
    both = synchronize([lidar, front], ["front"], SyncConfig(slop_ms=50.0), node)
    both.registerCallback(lambda cloud, image: ...)  # image is None where the camera gave none

message_filters' own synchronisers are there for the asking, by `policy`.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.timer import Timer

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.nodes.logs import QUIET_S
from clip2scene_ros.nodes.sync_inputs import Filter, InputWatch, Message, SimpleFilter
from clip2scene_ros.sync_sets import ScanSet, SyncAccount
from clip2scene_ros.synchronizer import Synchronizer

TICK_S = 0.02
"""How often it is asked whether a scan waited long enough: waits are exceeded by no more."""

WATCH_S = 1.0

MessageSet = ScanSet[Message, Message]


def synchronize(
    fs: Sequence[Filter], cameras: Sequence[str], config: SyncConfig, node: Node | None = None
) -> Filter:  # fmt: skip
    """Return a filter that calls back with `(scan, *views)`, the views in the order of `cameras`.

    Args:
        fs: the LiDARs' filters, then one for each camera.
        cameras: their names.
        config: `policy` says whose synchroniser it is. message_filters' own take one LiDAR and heed only `queue_size`
            and `slop_ms`; they call back with complete sets alone.
        node: gives the timer without which waiting ends only when the next message comes.

    Raises:
        BadConfig: message_filters is asked for and not installed, or cannot do what is asked for.
    """
    if config.policy == "scan_keyed":
        return ScanSynchronizer(fs, cameras, config, node=node)
    theirs = message_filters(config, len(fs) - len(cameras))
    made: Filter
    if config.policy == "exact_time":
        made = theirs.TimeSynchronizer(list(fs), config.queue_size)
    else:
        made = theirs.ApproximateTimeSynchronizer(list(fs), config.queue_size, config.slop_ms / 1000)
    return made


def message_filters(config: SyncConfig, lidars: int) -> ModuleType:
    """Return ROS's message_filters, for the policy that `config` asks for.

    Raises:
        BadConfig: it is not installed, and the text says how to; or it cannot do what is asked for.
    """
    policy = config.policy
    if lidars != 1 or config.offsets_ms or config.slops_ms:
        limits = "one LiDAR, no offsets_ms and no slops_ms"
        text = f"Setting `policy: {policy}` expects {limits}, but got {lidars} LiDARs, "
        raise BadConfig("policy", f"{text}{config.offsets_ms!r} and {config.slops_ms!r}; `scan_keyed` takes them.")
    try:
        return importlib.import_module("message_filters")
    except ImportError as error:
        raise BadConfig(
            "no_message_filters",
            f"Setting `policy: {policy}` needs ROS's message_filters ({error}), which is not on PyPI: install "
            "`ros-$ROS_DISTRO-message-filters` with apt and source ROS 2, or set `policy: scan_keyed`, which needs "
            "nothing.",
        ) from error


class ScanSynchronizer(SimpleFilter):
    """Calls back once for every scan, with None in the place of each view that is missing.

    Callbacks run one after the other, in the order of the sets, in whatever thread brought the last message or the
    time-out, and never with a lock held: they may take as long as they like, feed this filter, and raise. Sets that
    come meanwhile wait, at most `queue_size` of them; older ones are dropped and counted as `not_taken`.

    Attributes:
        callback_errors: how often a callback raised.
        headerless: messages without a stamp, which are dropped.
    """

    def __init__(
        self,
        fs: Sequence[Filter],
        cameras: Sequence[str],
        config: SyncConfig,
        *,
        node: Node | None = None,
        on_set: Callable[[MessageSet], None] | None = None,
        silence_s: float = 2.0,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Connect the inputs.

        Args:
            fs: the LiDARs' filters, then one for each camera.
            cameras: their names.
            config: slops, offsets, queue sizes and waiting.
            node: gives the timer that ends waiting, and logs silent topics and quality of service that does not fit.
            on_set: gets each set before the registered callbacks: it tells what is missing and why.
            silence_s: a topic without a message for so long is named in the log [s].
            now_ns: a steady clock [ns].
        """
        super().__init__()
        self.callback_errors = self.headerless = 0
        self._cameras, self._on_set, self._now_ns = tuple(cameras), on_set, now_ns
        self._sync: Synchronizer[Message, Message] = Synchronizer(config, cameras)
        self._lock = threading.Lock()
        self._calling_back = False
        self._logger = node.get_logger() if node is not None else get_logger("scan_synchronizer")
        self._node, self._watch = node, None if node is None else InputWatch(node, fs, silence_s, now_ns())
        self._timers: list[Timer] = []
        self.connectInput(fs)
        if node is not None:
            steady = Clock(clock_type=ClockType.STEADY_TIME)  # waiting ends while a simulated clock stands still
            for period_s, call in ((TICK_S, self.tick), (WATCH_S, self._look)):
                self._timers.append(node.create_timer(period_s, call, clock=steady))

    def connectInput(self, fs: Sequence[Filter]) -> None:
        """Take messages from these filters: the LiDARs', then one for each camera.

        Raises:
            BadConfig: fewer filters than cameras and a LiDAR.
        """
        self._lidars = len(fs) - len(self._cameras)
        if self._lidars < 1:
            names = ", ".join(self._cameras)
            raise BadConfig("inputs", f"Expected filters of a LiDAR and of {names}, but got {len(fs)} filters.")
        self._sources = [str(getattr(f, "topic", f"lidar_{i}")) for i, f in enumerate(fs[: self._lidars])]
        self.input_connections = [f.registerCallback(self.add, position) for position, f in enumerate(fs)]

    def add(self, msg: Message, position: int) -> None:
        """Take a message of the filter at that position; nothing that callbacks raise comes out."""
        now_ns = self._now_ns()
        try:
            stamp_ns = stamp_of(msg)
        except AttributeError:
            self.headerless += 1
            text = f"Expected messages with a header, but got {type(msg).__name__}: they are dropped."
            self._logger.error(text, throttle_duration_sec=QUIET_S)
            return
        with self._lock:
            if self._watch is not None:
                self._watch.heard(position, now_ns)
            self._sync.advance(now_ns)
            if position < self._lidars:
                self._sync.add_scan(stamp_ns, self._sources[position], msg)
            else:
                self._sync.add_view(self._cameras[position - self._lidars], stamp_ns, msg)
        self._call_back()

    def tick(self) -> None:
        """End the waiting of scans that waited long enough."""
        with self._lock:
            self._sync.advance(self._now_ns())
        self._call_back()

    def flush(self) -> None:
        """Call back with all that waits, as it is."""
        with self._lock:
            self._sync.flush()
        self._call_back()

    def account(self) -> SyncAccount:
        """Return what became of everything that came in."""
        with self._lock:
            return self._sync.account()

    def misfits(self) -> list[str]:
        """Return who cannot be heard now for their quality of service."""
        return [] if self._watch is None else self._watch.misfits()

    def close(self) -> None:
        """Stop the timers; the inputs are their owner's."""
        for timer in self._timers:
            if self._node is not None:
                self._node.destroy_timer(timer)
        self._timers.clear()

    def _call_back(self) -> None:
        """Hand over what is ready, unless a callback is at it: then that one's thread goes on when it is done."""
        while True:
            with self._lock:
                ready = None if self._calling_back else next(iter(self._sync), None)
                if ready is None:
                    return
                self._calling_back = True
            try:
                self._hand_over(ready)
            finally:
                with self._lock:
                    self._calling_back = False

    def _hand_over(self, ready: MessageSet) -> None:
        views = [ready.views[name].payload if name in ready.views else None for name in self._cameras]
        calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        if self._on_set is not None:
            calls.append((self._on_set, (ready,)))
        calls += [(cb, (ready.payload, *views, *args)) for cb, args in list(self.callbacks.values())]
        for cb, arguments in calls:
            try:
                cb(*arguments)
            except Exception as error:  # the caller is an executor: it would end the process
                self.callback_errors += 1
                text = f"A callback raised {type(error).__name__}: {error}"
                self._logger.error(text, throttle_duration_sec=QUIET_S)

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.check(self._now_ns())
