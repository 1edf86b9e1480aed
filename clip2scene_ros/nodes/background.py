"""Work of seconds inside a callback, while which the node goes on taking clouds.

An executor of one thread calls nothing else until a callback returns, and a parameter's callback must say at its end
whether the value is good. So the work gets a thread, and the callback itself does what cannot wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from rclpy.subscription import Subscription

Result = TypeVar("Result")
THREAD = "segment-background"
POLL_S = 0.005
"""How long a cloud may lie before it is looked for: little against a LiDAR's period."""


def meanwhile(work: Callable[[], Result], attend: Callable[[], None], alive: Callable[[], bool]) -> Result:
    """Return what `work` returns, or raise what it raises; until then call `attend` every few milliseconds.

    Args:
        work: done in a thread of its own, which cannot be interrupted.
        attend: must not raise.
        alive: where it says no, the work is left alone.

    Raises:
        InterruptedError: the node ended before the work was done.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # raised again where it can be answered
            done.set_exception(error)

    finished = threading.Event()
    done.add_done_callback(lambda _: finished.set())
    threading.Thread(target=run, name=THREAD, daemon=True).start()
    while not finished.wait(POLL_S):
        if not alive():
            raise InterruptedError("The node ended before the change was ready.")
        attend()
    return done.result()


def at_work() -> bool:
    """Return whether work that was left alone still goes on."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def take_all(subscription: Subscription[Any], receive: Callable[[Any, Any], None]) -> None:
    """Hand over the messages that lie in a subscription's queue, as the executor would."""
    with subscription.handle:
        while (taken := subscription.handle.take_message(subscription.msg_type, subscription.raw)) is not None:
            receive(*taken)
