"""Writes rosbag2 files that `ros2 bag play` and Foxglove open, on `rosbags`, without ROS."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.serde import SerdeError
from rosbags.typesys.store import Typestore

from clip2scene_ros.errors import BadBag
from clip2scene_ros.io.bag_messages import Message, typestore

METADATA_VERSION: Final = 8
"""The newest that Humble still reads: version 9 writes QoS as YAML lists, which Humble's parser refuses."""

LONE_FILES = {".mcap": "mcap", ".db3": "sqlite3"}
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
COMPRESSIONS = ("none", "zstd")

Result = TypeVar("Result")


class BagWriter:
    """A bag being written: a context manager.

    A path that ends in `.mcap` (or `.db3`) becomes that one file, indexed and with a summary; any other path
    becomes a rosbag2 folder with metadata.yaml. The bag grows in a folder `NAME.*.partial` beside the path and is
    moved there, complete with its index, when the block ends: also on an exception and on Ctrl-C, with what was
    written until then. If nothing was written before an exception, no bag is left.

    Args:
        path: where the bag shall be.
        storage: `mcap` or `sqlite3`; given by the suffix for a lone file.
        compression: `none`, or `zstd` (mcap chunks, which every viewer reads; messages with sqlite3).
        overwrite: replace a bag that is there, once the new one is complete.

    Raises:
        BadBag: the path exists, is no place for a bag, or storage and compression are unknown.
    """

    def __init__(
        self, path: Path | str, *, storage: str = "mcap", compression: str = "none", overwrite: bool = False
    ) -> None:
        self.path = Path(path)
        self.storage = LONE_FILES.get(self.path.suffix, storage)
        if self.storage not in STORAGES:
            raise BadBag("storage", f"Expected storage `mcap` or `sqlite3` for {self.path}, but got {storage!r}.")
        if compression not in COMPRESSIONS:
            raise BadBag("compression", f"Expected compression `none` or `zstd`, but got {compression!r}.")
        _check_free(self.path, overwrite)
        self._overwrite = overwrite
        self._lone = self.path.suffix in LONE_FILES
        self._compression = compression
        self._connections: dict[str, Connection] = {}
        self._count = 0
        self._partial: Path | None = None
        self._writer: Writer | None = None
        # One thread does all the writing: Ctrl-C is raised in the main thread, so it never cuts a record in two.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bag_writer")
        self._pending: Future[None] | None = None

    def __enter__(self) -> BagWriter:
        """Make the partial folder and start the bag in it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._partial = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.", suffix=".partial", dir=self.path.parent))
        except OSError as error:
            raise BadBag("write", f"Cannot write a bag at {self.path}: {error}.") from error
        name = self.path.stem if self._lone else self.path.name
        self._writer = Writer(self._partial / name, version=METADATA_VERSION, storage_plugin=STORAGES[self.storage])
        if self._compression == "zstd":
            mode = CompressionMode.STORAGE if self.storage == "mcap" else CompressionMode.MESSAGE
            self._writer.set_compression(mode, CompressionFormat.ZSTD)
        self._call(self._writer.open)
        return self

    def write(self, topic: str, message: Message, stamp_ns: int, *, latched: bool = False) -> None:
        """Append a `rosbags` message to `topic`, which is added on its first message.

        Args:
            topic: name with its leading slash.
            message: what `bag_messages` makes, or any other message of the typestore.
            stamp_ns: time of recording [ns].
            latched: the topic is offered transient-local, as /tf_static must be; said on the first message.

        Raises:
            BadBag: the message does not fit its type, the topic has another type, or the disk is full.
        """
        msgtype = message.__msgtype__
        try:
            data = typestore().serialize_cdr(message, msgtype)
        except (SerdeError, AttributeError, TypeError, ValueError) as error:
            raise BadBag("message", f"Message for {topic} does not fit its type {msgtype}: {error}.") from error
        self.write_raw(topic, msgtype, data, stamp_ns, latched=latched)

    def write_raw(
        self,
        topic: str,
        msgtype: str,
        data: bytes | memoryview,
        stamp_ns: int,
        *,
        latched: bool = False,
        types: Typestore | None = None,
    ) -> None:
        """Append a serialised (CDR) message; `types` holds the definition when it is none of ROS's own.

        Raises:
            BadBag: as `write`.
        """
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._add(topic, msgtype, latched, types or typestore())
        if connection.msgtype != msgtype:
            raise BadBag("topic_type", f"Topic {topic} in {self.path} is {connection.msgtype}, but got {msgtype}.")
        self._wait()
        writer = self._open_writer()
        self._pending = self._thread.submit(writer.write, connection, int(stamp_ns), data)
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the index and move the bag to its place, whatever happened in the block."""
        try:
            if kind is None or self._count:
                self._finish(failed=kind is not None)
            if self._partial is not None:  # still there after an error or a second Ctrl-C: what was written is kept
                shutil.rmtree(self._partial, ignore_errors=True)
        finally:
            self._thread.shutdown()

    def _finish(self, failed: bool) -> None:
        try:
            self._wait()
        except BadBag:
            if not failed:
                raise
        writer = self._open_writer()
        source = self._call(lambda: _close(writer, self._lone))
        try:
            _check_free(self.path, self._overwrite)
            _move(source, self.path)
        except (BadBag, OSError) as error:
            raise BadBag("write", f"The finished bag lies in {source}; it could not be moved: {error}") from error

    def _add(self, topic: str, msgtype: str, latched: bool, types: Typestore) -> Connection:
        if msgtype not in types.types:
            raise BadBag("unknown_type", f"Topic {topic}: message type {msgtype} is not known; pass its definition.")
        writer = self._open_writer()
        connection = self._call(
            lambda: writer.add_connection(topic, msgtype, typestore=types, offered_qos_profiles=[_qos(latched)])
        )
        self._connections[topic] = connection
        return connection

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise BadBag("closed", f"The bag {self.path} is not open; write inside `with BagWriter(...)`.")
        return self._writer

    def _wait(self) -> None:
        """Wait for the last write, and raise what went wrong there."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._result(pending)

    def _call(self, function: Callable[[], Result]) -> Result:
        """Run `function` in the writing thread, after what is under way there."""
        return self._result(self._thread.submit(function))

    def _result(self, future: Future[Result]) -> Result:
        try:
            return future.result()
        except (WriterError, OSError) as error:
            raise BadBag("write", f"Cannot write the bag {self.path} (so far in {self._partial}): {error}.") from error


def _check_free(path: Path, overwrite: bool) -> None:
    """Refuse a path in use; only what is a bag may be replaced, so that no folder is lost by a slip."""
    if not path.exists():
        return
    if not overwrite:
        raise BadBag("exists", f"{path} exists; choose another name or ask for it to be overwritten.")
    is_bag = (path / "metadata.yaml").is_file() if path.is_dir() else path.suffix in LONE_FILES
    if not is_bag:
        raise BadBag("exists", f"{path} exists and is no bag, so it is not overwritten; choose another name.")


def _close(writer: Writer, lone: bool) -> Path:
    """Write index and metadata; return the finished file or folder."""
    storage = writer.storage
    if storage is None:
        raise WriterError("the bag was never opened")
    file = storage.path
    writer.close()
    return file if lone else writer.path


def _move(source: Path, target: Path) -> None:
    """Put the finished bag in its place; an older bag goes only when the new one is there."""
    if target.is_dir():
        older = source.with_name(source.name + ".older")  # in the partial folder, which is removed afterwards
        target.rename(older)
    source.replace(target)


def _qos(latched: bool) -> Qos:
    """Return what a publisher of this topic offers; players and recorders follow it."""
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=QosTime(0, 0),
        lifespan=QosTime(0, 0),
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=QosTime(0, 0),
        avoid_ros_namespace_conventions=False,
    )
