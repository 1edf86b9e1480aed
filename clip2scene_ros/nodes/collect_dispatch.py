"""Between the node's callbacks and the teacher's process: a thread that carries one set at a time, and waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger

from clip2scene_ros.collect.collector import Collector
from clip2scene_ros.collect.process import (
    Failed,
    Finish,
    Finished,
    Paused,
    Ready,
    RecorderProcess,
    Report,
    Said,
    Settings,
    Student,
)
from clip2scene_ros.collect.rig import FileRig, RigCondition
from clip2scene_ros.collect.sets import CollectAccount, Job, Outcome, RawSet, Rig
from clip2scene_ros.collect.tf_rig import TfRig
from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.nodes.logs import QUIET_S

POLL_S = 0.1
AGAIN_S = 5.0
"""A process that died is started again, and not more often than this."""
MINUTE_S = 60.0


def start_recorder(settings: Settings, alive: Callable[[], bool] = lambda: True) -> tuple[RecorderProcess, str]:
    """Return the teacher's process, ready to work, and what its teacher says of itself.

    Raises:
        NodeFailed: it cannot work; the text says why.
    """
    process = RecorderProcess(settings)
    try:
        while alive():
            said = process.hear(POLL_S)
            if isinstance(said, Ready):
                return process, said.text
            if isinstance(said, Failed):
                raise NodeFailed("teacher", said.text)
    except EOFError as error:
        raise NodeFailed("teacher", "The teacher's process ended while it was loading.") from error
    process.close(POLL_S)
    raise NodeFailed("teacher", "Interrupted while the teacher was loading.")


class Dispatcher:
    """Gives the collector's sets to the teacher's process; callbacks never wait for either.

    Attributes:
        process: the teacher's, or None while there is none.
        paused: why nothing can be stored at the moment, or empty.
        last_error: the last frame's that failed, or empty.
        failed_s: when that was [s, monotonic].
        deaths: how often the process ended by itself.
    """

    def __init__(
        self,
        collector: Collector,
        process: RecorderProcess,
        start: Callable[[], RecorderProcess],
        logger: RcutilsLogger,
    ) -> None:
        """Start the thread.

        Args:
            collector: chooses and holds; nobody else may call it.
            process: ready to work.
            start: makes another one, ready; raises NodeFailed where it cannot.
            logger: the node's.
        """
        self.process: RecorderProcess | None = process
        self.paused = self.last_error = ""
        self.failed_s, self.deaths = 0.0, 0
        self._collector, self._start, self._logger = collector, start, logger
        self._kept_s: deque[float] = deque()
        self._class_set = ""
        self._told = False
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="collect-dispatch", daemon=True)
        self._thread.start()

    def add(self, raw: RawSet) -> None:
        """Take a set."""
        with self._changed:
            self._collector.add(raw)
            self._changed.notify()

    def add_student(self, stamp_ns: int, labels: bytes) -> None:
        """Take a label cloud of the student."""
        with self._changed:
            self._collector.add_student(stamp_ns, labels)

    def tell(self, learn: Callable[..., None], *message: object) -> None:
        """Have the rig learn something; the thread asks it for other things."""
        with self._changed:
            learn(*message)

    def condition(self, rig: FileRig | TfRig) -> RigCondition:
        """Return what the rig says of itself."""
        with self._changed:
            return rig.condition()

    def know_student(self, class_set: str) -> None:
        """Take the JSON of the student's class set."""
        with self._changed:
            self._class_set, self._told = class_set, False

    def sizes(self, rig: Rig, raw: RawSet) -> dict[str, tuple[int, int]]:
        """Return camera -> width and height of its calibration [px]; the thread asks the rig, too."""
        with self._changed:
            cameras = rig.place(raw).cameras
        return {name: (model.width, model.height) for name, (model, _) in cameras.items()}

    def trigger(self) -> int:
        """Keep the seconds around now; see `Collector.trigger`."""
        with self._changed:
            found = self._collector.trigger()
            self._changed.notify()
            return found

    def account(self) -> CollectAccount:
        """Return what became of all sets."""
        with self._changed:
            return self._collector.account()

    def kept_a_minute(self) -> int:
        """Return how many frames were kept within the last minute."""
        with self._changed:
            while self._kept_s and time.monotonic() - self._kept_s[0] > MINUTE_S:
                self._kept_s.popleft()
            return len(self._kept_s)

    def stop(self, reason: str, timeout_s: float, *, give_up: bool = False) -> bool:
        """Drop what waits, have the frame in hand finished, or given up, and the shards; return whether all that was.

        Args:
            reason: why sets that wait are dropped.
            timeout_s: how long the frame in hand may take, and the shards again.
            give_up: do not wait for the frame in hand.
        """
        with self._changed:
            self._stopping = True
            self._collector.end(reason)
            self._changed.notify_all()
        if give_up and self.process is not None:
            self.process.give_up()
        self._thread.join(timeout_s)
        if self._thread.is_alive() and self.process is not None:
            self.process.give_up()
            self._thread.join(timeout_s)
        return not self._thread.is_alive() and self._finish(timeout_s)

    def _finish(self, timeout_s: float) -> bool:
        if self.process is None or not self.process.send(Finish()):
            return True  # a process that died has finished nothing; the next one mends it
        end_s = time.monotonic() + timeout_s
        while (left_s := end_s - time.monotonic()) > 0:
            said = self._hear(left_s)
            if isinstance(said, Finished):
                if said.text:
                    self._logger.error(f"A shard stays unfinished until the next start: {said.text}")
                return True
            if self.process is None:
                return True
        return False

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._collector.waits)
                if self._stopping:
                    return
            if self.process is not None and not self.process.runs():
                self._died()
            if self.process is None and not self._start_again():
                continue
            with self._changed:
                job = self._collector.take()
            if job is None:
                continue
            outcome = self._ask(job)
            with self._changed:
                self._collector.done(job, outcome)
                if not outcome.reason and not job.look:
                    self._kept_s.append(time.monotonic())

    def _ask(self, job: Job) -> Outcome:
        """Return what the process did with a job."""
        process = self.process
        if process is None:
            return Outcome(reason="worker_died")
        with self._changed:
            student, self._told = "" if self._told else self._class_set, True
        if student:
            process.send(Student(student))
        process.send(job)  # where that fails, so does hearing of it
        while self.process is not None:
            said = self._hear(POLL_S)
            if isinstance(said, Outcome):
                self.paused = ""
                if said.text:
                    self._fail(f"A frame is not kept ({said.reason}): {said.text}")
                return said
        return Outcome(reason="worker_died")

    def _hear(self, timeout_s: float) -> Report | None:
        if self.process is None:
            return None
        try:
            said = self.process.hear(timeout_s)
        except EOFError:
            self._died()
            return None
        if isinstance(said, Paused):
            if not self.paused:
                self._logger.warning(f"Collecting is paused until there is room: {said.text}")
            self.paused = said.text
        elif isinstance(said, Said):
            tell = self._logger.error if said.level >= logging.ERROR else self._logger.warning
            tell(said.text, throttle_duration_sec=QUIET_S)
        return said

    def _died(self) -> None:
        if self.process is not None:
            self.process.close(POLL_S)
        self.process, self.deaths, self._told = None, self.deaths + 1, False
        if not self._stopping:
            self._fail("The teacher's process ended by itself; it is started again with the next frame.")

    def _start_again(self) -> bool:
        try:
            self.process = self._start()
        except Exception as error:  # a thread that ends would be a silent node
            self._fail(f"The teacher's process cannot be started again: {error}")
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, AGAIN_S)
            return False
        return True

    def _fail(self, text: str) -> None:
        self.last_error, self.failed_s = text, time.monotonic()
        self._logger.error(text, throttle_duration_sec=QUIET_S)
