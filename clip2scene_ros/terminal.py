"""What every sub-command shares at the terminal: progress, interruption, exit codes, one-line errors."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from clip2scene_ros.errors import Clip2SceneError, NodeFailed

OK, BAD_INPUT, BAD_USAGE, WORSE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
DEBUG_VARIABLE = "CLIP2SCENE_DEBUG"
EXTRAS = {
    "rclpy": "ros",
    "sensor_msgs": "ros",
    "trimesh": "train",
    "embreex": "train",
    "lightning": "train",
    "lightning_fabric": "train",
    "tensorboard": "train",
    "viser": "viewer",
}
"""Module that an optional part needs -> the extra that installs it."""

Item = TypeVar("Item")


def run(command: Callable[[], int]) -> int:
    """Run one sub-command and return its exit code; no exception and no traceback leaves.

    0 done, 1 bad input or a failure, 3 what was compared is worse, 130 Ctrl-C, 143 SIGTERM (argparse itself exits with
    2 on bad usage).
    CLIP2SCENE_DEBUG=1 prints the traceback as well.
    """
    logging.basicConfig(format="clip2scene: %(levelname)s: %(message)s")
    try:
        return command()
    except KeyboardInterrupt as interrupt:
        close_bars()
        complain(f"interrupted{f': {interrupt}' if str(interrupt) else '.'}")
        return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED
    except Exception as error:
        close_bars()
        complain(f"error: {explain(error)}")
        if os.environ.get(DEBUG_VARIABLE) == "1":
            traceback.print_exc()
        return BAD_INPUT


def explain(error: Exception) -> str:
    """Return the one line that tells a user what went wrong and what to do about it."""
    if isinstance(error, NodeFailed):
        return str(error)  # with the lines of the node's log
    if isinstance(error, Clip2SceneError):
        return " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        extra = EXTRAS[(error.name or "").split(".")[0]]
        return f"this needs the Python package `{error.name}`: pip install '.[{extra}]' in the source folder."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    text = " ".join(str(error).split()) or "no message"
    hint = "" if os.environ.get(DEBUG_VARIABLE) == "1" else f" ({DEBUG_VARIABLE}=1 shows where)"
    return f"unexpected {type(error).__name__}: {text}{hint}"


def say(text: str = "") -> None:
    """Print a result on stdout; where its reader has seen enough (`| head`), the command goes on unheard."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def close_bars() -> None:
    """End the lines of progress bars that an error has left open; it has a line of its own."""
    if (module := sys.modules.get("tqdm")) is not None:
        for bar in list(getattr(module.tqdm, "_instances", ())):
            bar.close()


def complain(text: str) -> None:
    """Print a message for the user on stderr, below a progress bar that may be open."""
    print(f"clip2scene: {text}", file=sys.stderr, flush=True)


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as cleanly as Ctrl-C does."""


class Progress:
    """Progress bars on stderr that stop between two items on Ctrl-C, so that the item in hand is finished.

    Silent with `quiet` and where stderr is not a terminal. A second Ctrl-C stops at once.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.silent = quiet or not sys.stderr.isatty()

    def __call__(self, items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
        """Yield `items` under a bar; raise KeyboardInterrupt between two of them when asked to stop."""
        from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

        with _Stop() as stop, tqdm(total=total, desc=title, disable=self.silent, file=sys.stderr) as bar:
            for item in items:
                yield item
                bar.update()
                stop.check()

    @contextmanager
    def counter(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar while the block runs, and give it `(done, total)` to call: for work that counts by itself."""
        from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

        with tqdm(desc=title, disable=self.silent, file=sys.stderr) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield show


class _Stop:
    """Turns the first SIGINT or SIGTERM into a request that `check` answers."""

    def __init__(self) -> None:
        self._request: type[KeyboardInterrupt] | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> _Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _ask(self, number: int, _: FrameType | None) -> None:
        kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self._request is not None:
            raise kind
        self._request = kind

    def check(self) -> None:
        if self._request is not None:
            raise self._request


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back while the block runs, and raise them after it: for code that swallows them.

    Nothing is held back in other threads than the first, which no signal interrupts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _Stop() as stop:
        yield
    stop.check()


def raise_on_sigterm() -> None:
    """Make SIGTERM end the program like Ctrl-C: files are closed, the exit code is 143."""

    def stop(_: int, __: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, stop)
