"""Which image and ground truth belongs to which scan, and how to hold no more of them than needed."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_ros.io.stamps import cdr_stamp_ns

MAX_WAITING_SCANS = 40
"""A scan waits for its images for at most this many others (2 s at 20 Hz): then the bag is not in order of time."""

MAX_HELD_BYTES = 512 * 2**20
"""Images and ground truth held for scans that come later; beyond it the oldest is let go."""

Key = tuple[str, int]
"""Topic and header stamp [ns]: what a message is known by."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bundle:
    """A scan's bytes with those of its images and ground truth: topic -> (stamp [ns], bytes)."""

    scan: bytes
    parts: dict[str, tuple[int, bytes]]


def match(
    scans: list[int], images: dict[str, list[int]], truth: dict[str, list[int]], tolerance_ns: int
) -> list[list[Key]]:
    """Return for every scan the keys of what belongs to it, all stamps given in [ns].

    Of each image topic that is the one nearest to the scan, if no farther than the tolerance; of each
    ground-truth topic the one of equal stamp.
    """
    sorted_images = {topic: np.unique(stamps) for topic, stamps in images.items() if stamps}
    labelled = {topic: set(stamps) for topic, stamps in truth.items()}
    wanted = []
    for stamp_ns in scans:
        nearest = [(topic, _nearest(stamps, stamp_ns)) for topic, stamps in sorted_images.items()]
        keys = [(topic, t) for topic, t in nearest if abs(t - stamp_ns) <= tolerance_ns]
        wanted.append(keys + [(topic, stamp_ns) for topic, stamps in labelled.items() if stamp_ns in stamps])
    return wanted


def _nearest(stamps: Array, stamp_ns: int) -> int:
    i = int(np.searchsorted(stamps, stamp_ns))
    around = stamps[max(0, i - 1) : i + 1]
    return int(around[np.argmin(np.abs(around - stamp_ns))])


def gather(messages: Iterator[tuple[str, bytes]], scan_topic: str, wanted: list[list[Key]]) -> Iterator[Bundle]:
    """Yield a bundle per scan as soon as all it wants has come, holding only what later scans still want.

    Args:
        messages: topic and CDR bytes, in the order of recording.
        scan_topic: the topic whose n-th message wants `wanted[n]`.
        wanted: what `match` returned.
    """
    shelf = _Shelf(wanted)
    waiting: deque[tuple[bytes, list[Key]]] = deque()
    coming = iter(wanted)
    for topic, data in messages:
        if topic == scan_topic:
            waiting.append((data, next(coming)))
        else:
            shelf.put((topic, cdr_stamp_ns(data)), data)
        while waiting and (len(waiting) > MAX_WAITING_SCANS or shelf.has(waiting[0][1])):
            yield _bundle(shelf, *waiting.popleft())
    while waiting:
        yield _bundle(shelf, *waiting.popleft())


def _bundle(shelf: _Shelf, scan: bytes, keys: list[Key]) -> Bundle:
    parts = {
        topic: (stamp_ns, shelf.held[topic, stamp_ns]) for topic, stamp_ns in keys if (topic, stamp_ns) in shelf.held
    }
    shelf.done_with(keys)
    return Bundle(scan, parts)


class _Shelf:
    """Holds messages until the last scan that wants them is done."""

    def __init__(self, wanted: list[list[Key]]) -> None:
        self.held: dict[Key, bytes] = {}
        self._uses: dict[Key, int] = {}
        self._bytes = 0
        for keys in wanted:
            for key in keys:
                self._uses[key] = self._uses.get(key, 0) + 1

    def put(self, key: Key, data: bytes) -> None:
        if key in self.held or self._uses.get(key, 0) < 1:
            return
        self.held[key] = data
        self._bytes += len(data)
        while self._bytes > MAX_HELD_BYTES:
            oldest = next(iter(self.held))
            _log.warning("The bag is far from the order of time: a message on %s at %d is left out.", *oldest)
            self._drop(oldest)

    def has(self, keys: list[Key]) -> bool:
        return all(key in self.held for key in keys)

    def done_with(self, keys: list[Key]) -> None:
        for key in keys:
            self._uses[key] -= 1
            if self._uses[key] < 1:
                self._drop(key)

    def _drop(self, key: Key) -> None:
        self._uses[key] = 0
        self._bytes -= len(self.held.pop(key, b""))
