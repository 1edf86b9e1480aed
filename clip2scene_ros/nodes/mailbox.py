"""A mailbox for one scan and the worker that empties it: the newest scan wins, none piles up.

No ROS here. The callback that puts never waits for the worker, so the DDS queue is always drained
and a slow network costs old scans, not a growing delay.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Mailbox(Generic[Item]):
    """Holds the newest item until it is taken."""

    def __init__(self) -> None:
        self._item: Item | None = None
        self._errands: deque[Callable[[], None]] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> Item | None:
        """Leave `item` for the worker; return the item it superseded, or None. A closed box returns `item`."""
        with self._changed:
            if self._closed:
                return item
            superseded, self._item = self._item, item
            self._changed.notify()
            return superseded

    def ask(self, errand: Callable[[], None]) -> None:
        """Leave something to do for whoever takes: at once where it waits, else before it gets the next item."""
        with self._changed:
            self._errands.append(errand)
            self._changed.notify()

    def take(self) -> Item | None:
        """Do all errands, wait for an item and return it, or return None once the box is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._errands or self._item is not None)
                if not self._errands:
                    item, self._item = self._item, None
                    return item
                errand = self._errands.popleft()
            errand()

    def close(self) -> Item | None:
        """Wake the taker for good; return the item that nobody took, or None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            item, self._item = self._item, None
            return item


class Worker(Generic[Item]):
    """A thread that does `work` on the newest item.

    Args:
        work: called with each item, in this worker's thread.
        on_error: called with whatever `work` raises; the worker goes on with the next item.
    """

    def __init__(self, work: Callable[[Item], None], on_error: Callable[[Exception], None]) -> None:
        self._work = work
        self._on_error = on_error
        self._mailbox: Mailbox[Item] = Mailbox()
        self._thread = threading.Thread(target=self._run, name="segment-worker", daemon=True)
        self._thread.start()

    def put(self, item: Item) -> Item | None:
        """Leave `item` for the worker; return the item it superseded, or None."""
        return self._mailbox.put(item)

    def ask(self, errand: Callable[[], None]) -> None:
        """Have the thread do something between two items, soon; it must not raise."""
        self._mailbox.ask(errand)

    def stop(self, timeout_s: float) -> tuple[bool, Item | None]:
        """End the thread after the item at hand; return whether it ended in time, and the item that nobody took."""
        left_over = self._mailbox.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive(), left_over

    def _run(self) -> None:
        while (item := self._mailbox.take()) is not None:
            try:
                self._work(item)
            except Exception as error:  # a dead worker would be a silent node; every error is counted instead
                self._on_error(error)
            del item  # the cloud's memory is not held while waiting for the next one
