"""Opens rosbag2 folders and lone files, mcap and sqlite3, plain and compressed, without ROS."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadBag
from clip2scene_ros.io.bag_messages import Message, typestore

MCAP_MAGIC = b"\x89MCAP0\r\n"
IDL_SEPARATOR = "=" * 80 + "\n"
CLASS_SET_TOPIC = "/ground_truth/class_set"
WORLD_TOPIC = "/world"
WORLD_KEYS = {"version", "seed", "seconds"}
STRING = "std_msgs/msg/String"


Bag = TypeVar("Bag", bound="BagFile")


class BagFile:
    """A bag being read, message by message: a context manager.

    Args:
        path: a rosbag2 folder (with metadata.yaml), or one .mcap or .db3 file.

    Raises:
        BadBag: on entering: no such path, no bag, truncated, of unknown compression or unknown message types.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._reader: Reader | None = None
        self._types = typestore()

    def __enter__(self: Bag) -> Bag:
        """Open the bag and learn its message definitions."""
        if not self.path.exists():
            raise BadBag("missing", f"No bag at {self.path}; expected a rosbag2 folder, or an .mcap or .db3 file.")
        try:
            reader = Reader(self.path)
            reader.open()
        except Exception as error:  # truncated files fail in a dozen ways inside the storage libraries
            raise BadBag("unreadable", f"{self.path}: {_what_is_wrong(self.path, error)}") from error
        try:
            self._types = _definitions(reader.connections, self.path)
        except BadBag:
            reader.close()
            raise
        self._reader = reader
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the bag."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Return message type and count of each topic, sorted by name."""
        counts: dict[str, tuple[str, int]] = {}
        for connection in sorted(self._open_reader().connections, key=lambda c: c.topic):
            before = counts.get(connection.topic, ("", 0))[1]
            counts[connection.topic] = (connection.msgtype, before + connection.msgcount)
        return counts

    @property
    def latched(self) -> set[str]:
        """Return the topics that were offered transient-local, such as /tf_static."""
        qos = (
            (c.topic, q) for c in self._open_reader().connections for q in getattr(c.ext, "offered_qos_profiles", ())
        )
        return {topic for topic, q in qos if q.durability is QosDurability.TRANSIENT_LOCAL}

    @property
    def types(self) -> Typestore:
        """Return the message definitions of this bag, ROS's own where it carries none."""
        return self._types

    @property
    def duration_s(self) -> float:
        """Return the seconds between the first and the last message."""
        reader = self._open_reader()
        return max(0, reader.end_time - reader.start_time) / 1e9 if reader.message_count else 0.0

    def require(self, topic: str, msgtype: str = "") -> None:
        """Raise BadBag unless the bag has `topic`, of type `msgtype` when that is given."""
        topics = self.topics
        if topic not in topics:
            found = ", ".join(f"{name} ({kind})" for name, (kind, _) in topics.items()) or "no topics at all"
            raise BadBag("missing_topic", f"{self.path}: expected topic {topic}, but found {found}.")
        if msgtype and topics[topic][0] != msgtype:
            raise BadBag("topic_type", f"{self.path}: expected {topic} to be {msgtype}, but it is {topics[topic][0]}.")

    def raw(
        self, topics: Collection[str] | None = None, *, at_ns: int | None = None
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """Yield `(topic, type, recording stamp [ns], CDR bytes)` in the order of recording.

        Args:
            topics: only these; None: every topic.
            at_ns: only what was recorded at this very time [ns].

        Raises:
            BadBag: a topic is not there, or the bag's bytes are damaged.
        """
        for topic in topics or ():
            self.require(topic)
        wanted = [c for c in self._open_reader().connections if topics is None or c.topic in topics]
        if not wanted:
            return
        stop_ns = None if at_ns is None else at_ns + 1
        messages = self._open_reader().messages(wanted, start=at_ns, stop=stop_ns)
        while True:
            try:
                connection, stamp_ns, data = next(messages)
            except StopIteration:
                return
            except Exception as error:
                raise BadBag("corrupt", f"{self.path} is damaged, reading stopped: {error}") from error
            yield connection.topic, connection.msgtype, stamp_ns, data

    def messages(self, topic: str) -> Iterator[tuple[int, Message]]:
        """Yield `(recording stamp [ns], message)` of one topic.

        Raises:
            BadBag: the topic is not there, its type is unknown, or a message is damaged.
        """
        for _, msgtype, stamp_ns, data in self.raw((topic,)):
            yield stamp_ns, self.decode(topic, msgtype, data)

    def decode(self, topic: str, msgtype: str, data: bytes) -> Message:
        """Return the message that `data` serialises; `topic` is named in errors.

        Raises:
            BadBag: the type is unknown, or the bytes do not fit it.
        """
        if msgtype not in self._types.types:
            raise BadBag("unknown_type", f"{self.path}: {topic} is of type {msgtype}, whose definition is unknown.")
        try:
            return self._types.deserialize_cdr(data, msgtype)
        except Exception as error:  # generated decoders raise whatever slicing short bytes raises
            raise BadBag("message", f"{self.path}: a message on {topic} does not fit {msgtype}: {error}.") from error

    def class_set(self) -> ClassSet | None:
        """Return the class set of the bag's ground truth, or None where it says none."""
        if CLASS_SET_TOPIC not in self.topics:
            return None
        self.require(CLASS_SET_TOPIC, STRING)
        return next((ClassSet.from_json(message.data) for _, message in self.messages(CLASS_SET_TOPIC)), None)

    def world(self) -> dict[str, Any] | None:
        """Return which drive of the synthetic world this is, or None if it is none.

        That is `version`, `seed`, `seconds`, and `settings` where some are not the usual ones.
        """
        if self.topics.get(WORLD_TOPIC, ("", 0))[0] != STRING:
            return None
        try:
            said = next((json.loads(message.data) for _, message in self.messages(WORLD_TOPIC)), None)
        except (ValueError, RecursionError):  # a topic of somebody else that has the same name
            return None
        return said if isinstance(said, dict) and said.keys() - {"settings"} == WORLD_KEYS else None

    def _open_reader(self) -> Reader:
        if self._reader is None:
            raise BadBag("closed", f"The bag {self.path} is not open; read inside `with BagReader(...)`.")
        return self._reader


def _definitions(connections: list[Connection], path: Path) -> Typestore:
    """Return the types as the bag defines them; types it does not define are taken from ROS."""
    store = get_typestore(Stores.EMPTY)
    try:
        for connection in connections:
            store.register({k: v for k, v in _parse(connection.msgdef, connection.msgtype) if k not in store.types})
    except Exception as error:
        raise BadBag("definition", f"{path}: cannot read its message definitions: {error}.") from error
    if any(connection.msgtype not in store.types for connection in connections):
        ros = typestore().fielddefs
        store.register({name: fields for name, fields in ros.items() if name not in store.types})
    return store


def _parse(definition: MessageDefinition, msgtype: str) -> Iterable[tuple[str, Any]]:
    if definition.format is MessageDefinitionFormat.MSG:
        return get_types_from_msg(definition.data, msgtype).items()
    types: dict[str, Any] = {}
    if definition.format is MessageDefinitionFormat.IDL:
        for part in definition.data.split(IDL_SEPARATOR):
            types.update(get_types_from_idl(part.split("\n", 1)[1] if part.startswith("IDL: ") else part))
    return types.items()


def _what_is_wrong(path: Path, error: Exception) -> str:
    """Say in a sentence what was expected and what was found."""
    if path.is_dir():
        if not (path / "metadata.yaml").exists():
            return "expected a rosbag2 folder, but found no metadata.yaml in it (`ros2 bag reindex` can make one)."
        return f"cannot read this rosbag2 folder: {error}"
    if path.suffix == ".mcap":
        with path.open("rb") as stream:
            if stream.read(len(MCAP_MAGIC)) != MCAP_MAGIC:
                return "expected an mcap file, but its first bytes are those of something else."
            stream.seek(-len(MCAP_MAGIC), 2)
            if stream.read() != MCAP_MAGIC:
                return "this mcap file is truncated: its end is missing (`mcap recover` can save what is there)."
    return f"expected a ROS 2 bag (a folder, .mcap or .db3), but: {error}"
