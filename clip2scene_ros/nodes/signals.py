"""Ctrl-C and SIGTERM for a program of several stages, each of which leaves something worth keeping."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TypeVar

from clip2scene_ros import terminal

ECHO_S = 1.0
"""`ros2 launch` and the terminal both send a signal for one Ctrl-C."""


Item = TypeVar("Item")


class Signals:
    """SIGINT and SIGTERM, noted: a stage ends for them between two scans, and the report is written all the same."""

    def __init__(self) -> None:
        self._asked, self._answered, self._last_s = 0, 0, float("-inf")
        self._kind: type[KeyboardInterrupt] = KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        if time.monotonic() - self._last_s > ECHO_S:
            self._asked += 1
        self._last_s = time.monotonic()
        self._kind = terminal.Terminated if number == signal.SIGTERM else KeyboardInterrupt

    @property
    def pending(self) -> bool:
        """Return whether a signal waits for an answer."""
        return self._asked > self._answered

    @property
    def exit_code(self) -> int:
        """Return 0, or what a program ended by the last signal returns."""
        codes = {True: terminal.TERMINATED, False: terminal.INTERRUPTED}
        return codes[self._kind is terminal.Terminated] if self._asked else terminal.OK

    def check(self) -> None:
        """Raise KeyboardInterrupt where one waits."""
        if self.pending:
            raise self._kind

    def answer(self) -> None:
        """Take note that a stage has ended for it: only another one ends the next."""
        self._answered = self._asked

    def until_asked(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items until a signal comes."""
        for item in items:
            yield item
            if self.pending:
                self.answer()
                return
