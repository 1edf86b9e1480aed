"""The teacher in a process of its own, at low priority: jobs go in, what became of them comes out.

The process ends when its pipe does, however its parent ended, and finishes its shards then. SIGTERM and SIGINT make it
give up the frame that the teacher looks at, nothing more: a frame that is being appended is finished.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.collect.modesty import give_memory_back, take_what_is_left
from clip2scene_ros.collect.sets import Job, Outcome
from clip2scene_ros.errors import CannotStore, Clip2SceneError

if TYPE_CHECKING:
    from clip2scene_ros.collect.recorder import Recorder  # torch comes with it

_log = logging.getLogger(__name__)

RETRY_S = 0.5
"""How often a frame is offered to a disk that had no room for it."""

WATCH_S = 0.2
"""How often a process that loads looks whether its parent is still there."""


@dataclass(frozen=True)
class Settings:
    """What the process is to do.

    Attributes:
        config: of teacher, choice and shards.
        folder: where shards go.
        lidars: their names.
        nice: added to the process's niceness.
        threads: of torch; 0 leaves it to torch.
    """

    config: CollectConfig
    folder: Path
    lidars: tuple[str, ...]
    nice: int = 19
    threads: int = 1


@dataclass(frozen=True)
class Ready:
    """The teacher is loaded and the folder open; `text` describes the teacher."""

    text: str


@dataclass(frozen=True)
class Failed:
    """The process cannot work; `text` says why."""

    text: str


@dataclass(frozen=True)
class Paused:
    """There is no room for the frame in hand; it is tried again."""

    text: str


@dataclass(frozen=True)
class Said:
    """Something for the log."""

    level: int
    text: str


@dataclass(frozen=True)
class Finish:
    """Asks for all shards to be finished; the next job begins others."""


@dataclass(frozen=True)
class Finished:
    """They are; or `text` says why one is not."""

    text: str = ""


@dataclass(frozen=True)
class Student:
    """Tells what the class ids of the student's labels mean: the JSON of its class set."""

    class_set: str


Report = Ready | Failed | Paused | Said | Finished | Outcome


class RecorderProcess:
    """The other process, as its parent sees it.

    Args:
        settings: what it is to do.
    """

    def __init__(self, settings: Settings) -> None:
        spawn = multiprocessing.get_context("spawn")  # a forked child would hold the folder's lock, and ROS's threads
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=serve, args=(theirs, settings), name="collect-recorder", daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """Return its process id."""
        return self._process.pid

    def runs(self) -> bool:
        """Return whether it has not ended."""
        return self._process.is_alive()

    def send(self, message: Job | Finish | Student) -> bool:
        """Give it something to do; return whether it still runs."""
        try:
            self._pipe.send(message)
        except OSError:
            return False
        return True

    def hear(self, timeout_s: float) -> Report | None:
        """Return what it says within the time, or None.

        Raises:
            EOFError: it has ended.
        """
        try:
            if not self._pipe.poll(timeout_s):
                return None
            said: Report = self._pipe.recv()
        except OSError as error:
            raise EOFError from error
        return said

    def give_up(self) -> None:
        """Have it leave the frame in hand."""
        if self._process.is_alive():
            self._process.terminate()

    def close(self, timeout_s: float) -> bool:
        """End it: shards are finished, the frame in hand is given up; return whether it ended in time."""
        self._pipe.close()
        self.give_up()
        self._process.join(timeout_s)
        return not self._process.is_alive()


class _GivenUp(BaseException):
    """Raised by a signal while the teacher looks at a frame."""


class _Signals:
    """SIGTERM and SIGINT: while `interruptible` they raise, else they are noted."""

    def __init__(self) -> None:
        self.interruptible = self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self.interruptible:
            self.interruptible = False
            raise _GivenUp


class _ToParent(logging.Handler):
    def __init__(self, pipe: Connection) -> None:
        super().__init__(logging.WARNING)
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._pipe.send(Said(record.levelno, record.getMessage()))
        except OSError:  # the parent has ended: nobody reads it
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        pass


def serve(pipe: Connection, settings: Settings) -> None:
    """Run the process: load the teacher, then do jobs until the pipe ends."""
    os.nice(settings.nice)
    give_memory_back()
    logging.getLogger("clip2scene_ros").addHandler(_ToParent(pipe))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until a shard is open, SIGTERM ends it as it ends any process
    try:
        _load_and_work(pipe, settings)
    except (EOFError, OSError):
        return  # the parent has ended, or closed the pipe
    except Exception as error:
        text = str(error) if isinstance(error, Clip2SceneError) else "".join(traceback.format_exception_only(error))
        pipe.send(Failed(text.strip()))


def _load_and_work(pipe: Connection, settings: Settings) -> None:
    loaded = threading.Event()
    threading.Thread(target=_end_with_parent, args=(pipe, loaded), daemon=True).start()
    import torch

    from clip2scene_ros.collect.recorder import Recorder
    from clip2scene_ros.collect.teacher import load_teacher

    if settings.threads:
        torch.set_num_threads(settings.threads)
    teacher = load_teacher(settings.config)
    loaded.set()
    take_what_is_left(settings.nice)  # not before: on a busy machine loading would take for ever
    signals = _Signals()
    recorder = Recorder(settings.folder, settings.lidars, teacher, settings.config)
    try:
        pipe.send(Ready(f"{teacher.describe()}{f'; {teacher.notice}' if teacher.notice else ''}"))
        while True:
            if not pipe.poll(settings.config.shards.sync_s):
                recorder.sync()  # frames that no other follows are to survive a power cut as well
            message = pipe.recv()
            if isinstance(message, Job):
                signals.asked = False
                pipe.send(_do(recorder, message, pipe, signals))
            elif isinstance(message, Student):
                _know_student(recorder, message.class_set)
            else:
                pipe.send(_finish(recorder))
    finally:
        _finish(recorder)


def _end_with_parent(pipe: Connection, loaded: threading.Event) -> None:
    """End the process when its parent does while the teacher is loading, which may take a minute.

    Nothing is asked for before the parent has heard that it is ready, so what can be read is the pipe's end.
    """
    try:
        while not loaded.wait(WATCH_S):
            if pipe.poll():
                os._exit(1)
    except OSError:
        os._exit(1)


def _know_student(recorder: Recorder, class_set: str) -> None:
    try:
        recorder.know_student(class_set)
    except Clip2SceneError as error:
        _log.error("The student's class set cannot be read, so nobody asks it: %s", error)


def _finish(recorder: Recorder) -> Finished:
    try:
        recorder.close()
    except Exception as error:  # said, not raised: the frames are safe, the next start mends the shard
        return Finished(str(error))
    return Finished()


def _do(recorder: Recorder, job: Job, pipe: Connection, signals: _Signals) -> Outcome:
    """Do a job; a frame for which there is no room is held, and tried again until there is."""
    try:
        signals.interruptible = True
        try:
            prepared = recorder.prepare(job)
        finally:
            signals.interruptible = False
    except _GivenUp:
        return Outcome(reason="stopped")
    except Exception as error:  # one frame's error must not end the drive
        return Outcome(reason="internal_error", text=f"{type(error).__name__}: {error}")
    if isinstance(prepared, Outcome):
        return prepared
    while True:
        try:
            recorder.open()
            return recorder.store(prepared)
        except CannotStore as error:
            if signals.asked or pipe.poll(0):  # asked to finish, or the parent has ended
                return Outcome(reason=f"store.{error.reason}", text=str(error))
            pipe.send(Paused(str(error)))
            pipe.poll(RETRY_S)
