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

__all__ = ["Player", "Replay", "RunningNode", "play_and_record", "start_node"]

Arrived = queue.SimpleQueue[tuple[bytes, int]]
"""Label clouds as they came (CDR), each with its stamp [ns]."""

LONGEST_NAP_S = 0.1
"""A bag may have gaps of minutes, in which Ctrl-C and the death of the node must not go unseen."""


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
    rate: float = 0.0,
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
        rate: times the recorded pace; 0 sends the next cloud when the labels of the last have come (lock-step).
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
    arrived: Arrived = queue.SimpleQueue()
    writer = _recording(bag_out, overwrite)
    with (
        BagReader(bag_in) as bag,
        writer as out,
        Peer(namespace, lambda data, stamp_ns: arrived.put((data, stamp_ns)), check) as peer,
    ):
        points = points_topic(bag, BagTopics(points=topic))
        peer.greet(discovery_s)
        player = Player(peer, out, arrived, rate, timeout_s)
        total = bag.topics[points][1]
        for stamp_ns, data in play_clouds(bag, points, out if keep_messages else None):
            player.play(data, stamp_ns)
            progress(len(player.sent), total)
        return player.finish(timeout_s)


def _recording(bag_out: Path | str | None, overwrite: bool) -> AbstractContextManager[BagWriter | None]:
    return nullcontext() if bag_out is None else BagWriter(bag_out, overwrite=overwrite)


class Player:
    """Sends clouds in lock-step or at a rate, and writes the labels under the recording stamps of their clouds.

    Args:
        peer: has greeted the node.
        out: gets class set and labels; None records nothing.
        arrived: where the peer puts labels (CDR) and their stamp [ns].
        rate: times the recorded pace; 0 waits for the labels of each cloud before the next is sent.
        timeout_s: how long to wait for labels and class set [s].
        settled: says whether the node has dealt with that many clouds: then there is nothing to wait for.

    Attributes:
        sent: stamps of the clouds sent, in order [ns].
        class_set: JSON of the node's class set.

    Raises:
        NodeFailed: the node does not say its class set.
    """

    def __init__(
        self,
        peer: Peer,
        out: BagWriter | None,
        arrived: Arrived,
        rate: float,
        timeout_s: float,
        settled: Callable[[int], bool] = lambda sent: False,
    ) -> None:
        self.sent: list[int] = []
        self.class_set = peer.class_set(timeout_s)
        self._peer, self._out, self._arrived = peer, out, arrived
        self._rate, self._timeout_s, self._settled = rate, timeout_s, settled
        self._recorded_ns: dict[int, int] = {}
        self._first_ns, self._start_s = 0, 0.0

    def play(self, data: bytes, stamp_ns: int) -> None:
        """Send a cloud (CDR), recorded at `stamp_ns` [ns], when it is due."""
        if not self.sent:
            self._first_ns, self._start_s = stamp_ns, time.monotonic()
            if self._out is not None:
                self._out.write(CLASS_SET, string_message(self.class_set), stamp_ns, latched=True)
        if self._rate:
            self._wait_until(self._start_s + (stamp_ns - self._first_ns) / 1e9 / self._rate)
        sent_stamp = self._peer.send(data)
        self.sent.append(sent_stamp)
        self._recorded_ns[sent_stamp] = stamp_ns
        if not self._rate:
            self._wait_for_last(self._timeout_s)
        self._write_arrived()

    def finish(self, timeout_s: float) -> Replay:
        """Wait for the labels that are under way, at most `timeout_s` [s]; return what became of the clouds."""
        if self.sent and self._rate:
            self._wait_for_last(timeout_s)
        self._write_arrived()
        stamps = [stamp for stamp, _ in self._peer.labels]
        seen = set(stamps)
        return Replay(
            sent=len(self.sent),
            labelled=len(seen & self._recorded_ns.keys()),
            missing=[stamp for stamp in self._recorded_ns if stamp not in seen],
            duplicates=len(stamps) - len(seen),
            out_of_order=sum(later < earlier for earlier, later in itertools.pairwise(stamps)),
            latency_ms=self._peer.latencies_ms(),
            class_set=self.class_set,
        )

    def _wait_for_last(self, timeout_s: float) -> None:
        last, count = self.sent[-1], len(self.sent)
        self._peer.wait(lambda: self._peer.is_labelled(last) or self._settled(count), timeout_s)

    def _wait_until(self, due_s: float) -> None:
        while (left_s := due_s - time.monotonic()) > 0:
            self._peer.check()
            time.sleep(min(left_s, LONGEST_NAP_S))

    def _write_arrived(self) -> None:
        while not self._arrived.empty():
            data, stamp = self._arrived.get()
            if self._out is not None and stamp in self._recorded_ns:
                self._out.write_raw(LABELS, CLOUD, data, self._recorded_ns[stamp])
