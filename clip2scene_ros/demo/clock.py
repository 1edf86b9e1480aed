"""The demo's stages, each with its seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class StageClock:
    """Measures the stages of a run and tells their seconds.

    Attributes:
        seconds: duration of each finished stage [s], by name, in order.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Measure stages; `tell` is called with a line when one has ended."""
        self.seconds: dict[str, float] = {}
        self._tell, self._start = tell, time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Run one stage; what the block says of it is told with its seconds."""
        start, notes = time.monotonic(), list[str]()
        yield notes.append
        self.seconds[name] = time.monotonic() - start
        self._tell(f"{name:<8} {self.seconds[name]:6.1f} s  {', '.join(notes)}")

    def total(self) -> None:
        """Tell the seconds since the clock was made."""
        self._tell(f"{'total':<8} {time.monotonic() - self._start:6.1f} s")
