"""Ctrl-C and SIGTERM while a node starts: at any moment the process ends cleanly."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

import rclpy

from clip2scene_ros.nodes.background import meanwhile

Result = TypeVar("Result")


class Stopped(BaseException):
    """A signal interrupted the loading.

    Not KeyboardInterrupt: where that passes through a C extension's own Python code, CPython ends the process by SIGINT
    in the end, although it was caught.
    """


class StopSignal:
    """What SIGINT and SIGTERM do: interrupt the imports, and end the wait for a student, both of which take seconds.

    Everything else ends by itself, since rclpy shuts the context down; an exception raised inside its C++ code comes
    out as another one, with a traceback. There a signal is only noted, for `check` to raise.
    """

    def __init__(self) -> None:
        self._asked = False
        self._importing = True  # from the start of the process on
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if self._importing:
            self._importing = False  # launch and terminal both send one, and the second must not interrupt the way out
            raise Stopped

    def check(self) -> None:
        """Raise Stopped when a signal came before rclpy listened, or where its exception was swallowed."""
        if self._asked:
            raise Stopped

    def init_ros(self, args: list[str]) -> None:
        """Start rclpy, which from then on listens for signals as well."""
        self._importing = False
        rclpy.init(args=args)
        self.check()

    def load(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, interruptibly.

        In another thread: an exception that a signal raises inside torch's import may pass through C++ code that ends
        the process over it.
        """
        self.check()
        try:
            loaded = meanwhile(work, lambda: None, lambda: not self._asked)
        except InterruptedError as interrupted:
            raise Stopped from interrupted
        self.check()
        return loaded
