"""Plays the clouds of a bag into the live node over DDS and records the labels in a bag."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from clip2scene_ros.io.bag_frames import CLOUD, BagTopics, points_topic
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.bags import BagWriter, string_message
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.process import RunningNode, start_node
from clip2scene_ros.offline import CLASS_SET, LABELS, play_clouds

__all__ = ["Replay", "RunningNode", "play_and_record", "start_node"]


@dataclass
class Replay:
    """What a replay did.

    Attributes:
        sent: clouds sent.
        labelled: clouds whose labels came back.
        missing: stamps whose labels did not come [ns].
        duplicates: label clouds beyond the first of a stamp.
        out_of_order: label clouds older than one before them.
        latency_ms: from sending a cloud to receiving its labels [ms], in order.
        class_set: JSON of the node's class set.
    """

    sent: int = 0
    labelled: int = 0
    missing: list[int] = field(default_factory=list)
    duplicates: int = 0
    out_of_order: int = 0
    latency_ms: list[float] = field(default_factory=list)
    class_set: str = ""


def play_and_record(
    bag_in: Path | str,
    bag_out: Path | str | None,
    *,
    topic: str = "",
    namespace: str = "",
    rate_hz: float = 0.0,
    timeout_s: float = 10.0,
    discovery_s: float = 60.0,
    keep_messages: bool = True,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
    check: Callable[[], None] = lambda: None,
) -> Replay:
    """Send every cloud of a bag to the live node and record the labels.

    Args:
        bag_in: the bag to play.
        bag_out: the bag to write: labels, class set and, with `keep_messages`, the other messages of `bag_in`, under
            the topics of the default name (`offline.LABELS`) whatever the node's namespace is; None records nothing.
        topic: the clouds' topic in the bag; empty takes the only one.
        namespace: namespace of the live node.
        rate_hz: clouds a second; 0 sends the next cloud when the labels of the last have come (lock-step).
        timeout_s: how long to wait for the labels of one cloud [s].
        discovery_s: how long to wait for the node, its start included [s].
        keep_messages: see `bag_out`.
        overwrite: replace `bag_out`.
        progress: called with clouds sent and clouds in all.
        check: called while waiting; raises when the node has died (`RunningNode.check`).

    Raises:
        BadBag: `bag_in` has no such clouds or is damaged, or `bag_out` cannot be written.
        NodeFailed: no node answered within `discovery_s`, or what `check` raises.
    """
    arrived: queue.SimpleQueue[tuple[bytes, int]] = queue.SimpleQueue()
    writer: AbstractContextManager[BagWriter | None] = nullcontext()
    if bag_out is not None:
        writer = BagWriter(bag_out, overwrite=overwrite)
    with (
        BagReader(bag_in) as bag,
        writer as out,
        Peer(namespace, lambda data, stamp_ns: arrived.put((data, stamp_ns)), check) as peer,
    ):
        points = points_topic(bag, BagTopics(points=topic))
        player = _Player(peer, out, arrived, rate_hz, timeout_s, discovery_s)
        total = bag.topics[points][1]
        for stamp_ns, data in play_clouds(bag, points, out if keep_messages else None):
            player.play(data, stamp_ns)
            progress(len(player.recorded_ns), total)
        return player.finish()


class _Player:
    """Sends clouds in lock-step or at a rate, and writes the labels under the recording stamps of their clouds."""

    def __init__(
        self,
        peer: Peer,
        out: BagWriter | None,
        arrived: queue.SimpleQueue[tuple[bytes, int]],
        rate_hz: float,
        timeout_s: float,
        discovery_s: float,
    ) -> None:
        self.recorded_ns: dict[int, int] = {}
        self._peer, self._out, self._arrived = peer, out, arrived
        self._period_s = 1.0 / rate_hz if rate_hz > 0 else 0.0
        self._timeout_s, self._discovery_s = timeout_s, discovery_s
        self._next_s = 0.0
        self._sent = 0
        self._class_set = ""

    def play(self, data: bytes, stamp_ns: int) -> None:
        if not self._sent:
            self._greet(stamp_ns)
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        sent_stamp = self._peer.send(data)
        self._sent += 1
        self._next_s += self._period_s
        self.recorded_ns[sent_stamp] = stamp_ns
        if not self._period_s:
            self._peer.wait_for_labels(sent_stamp, self._timeout_s)
        self._write_arrived()

    def finish(self) -> Replay:
        if self._sent and self._period_s:
            self._peer.wait_for_labels(next(reversed(self.recorded_ns)), self._timeout_s)
        self._write_arrived()
        stamps = [stamp for stamp, _ in self._peer.labels]
        seen = set(stamps)
        return Replay(
            sent=self._sent,
            labelled=len(seen & self.recorded_ns.keys()),
            missing=[stamp for stamp in self.recorded_ns if stamp not in seen],
            duplicates=len(stamps) - len(seen),
            out_of_order=sum(later < earlier for earlier, later in itertools.pairwise(stamps)),
            latency_ms=self._peer.latencies_ms(),
            class_set=self._class_set,
        )

    def _greet(self, stamp_ns: int) -> None:
        self._peer.greet(self._discovery_s)
        self._class_set = self._peer.class_set(self._timeout_s)
        if self._out is not None:
            self._out.write(CLASS_SET, string_message(self._class_set), stamp_ns, latched=True)
        self._next_s = time.monotonic()

    def _write_arrived(self) -> None:
        while not self._arrived.empty():
            data, stamp = self._arrived.get()
            if self._out is not None and stamp in self.recorded_ns:
                self._out.write_raw(LABELS, CLOUD, data, self.recorded_ns[stamp])
