"""Reads shards: any record by its number, all in order, with every byte that is read checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.io.shard_index import find_entries, shard_paths
from clip2scene_ros.io.shard_record import Members, Record, read_seal, unpack_record
from clip2scene_ros.io.shard_tar import BLOCK, CHECKSUM, ByteSource, Entry, Member, header, padded


class ShardReader:
    """The records of a folder of shards, or of one shard, by number.

    A shard that is still being written is read as far as it is whole; what comes behind is in `torn`.

    Args:
        path: a folder with `shard_*.tar`, or one such file.

    Attributes:
        paths: the shards, in order.
        keys: name of each record.
        torn: unfinished shard -> bytes behind its last whole record.

    Raises:
        BadDataset: missing, no_shards; truncated, header, order, duplicate, end: a finished shard is not whole.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.torn = Path(path), dict[Path, int]()
        self.paths = shard_paths(self.path)
        self._entries: list[tuple[Path, Entry]] = []
        for shard in self.paths:
            found, torn = find_entries(shard)
            self._entries += [(shard, entry) for entry in found]
            if torn:
                self.torn[shard] = torn
        self.keys = [entry.key for _, entry in self._entries]
        for before, key in pairwise(sorted(self.keys)):
            if key == before:
                where = ", ".join(str(shard) for shard, entry in self._entries if entry.key == key)
                raise BadDataset("duplicate", f"Record {key} is in {where}: remove the copy.")

    def __len__(self) -> int:
        """Return the number of whole records."""
        return len(self._entries)

    def __getitem__(self, index: int) -> Record:
        """Return a record with its images."""
        return self.record(index)

    def __iter__(self) -> Iterator[Record]:
        """Yield all records in order."""
        return (self.record(index) for index in range(len(self)))

    def record(self, index: int, *, images: bool = True) -> Record:
        """Return a record; without images these are not read, nor checked.

        Raises:
            BadDataset: checksum, header, ...: a byte of what is read is not what was written; the text names shard,
                record and member.
        """
        shard, entry = self._at(index)
        wanted = [m.name for m in entry.members if images or not m.name.startswith("view")]
        members = self.members(index, *wanted)
        try:
            return unpack_record(entry.key, members, images=images)
        except BadDataset as error:
            raise BadDataset(error.reason, f"{shard}: record {entry.key}: {error}.") from error

    def members(self, index: int, *names: str) -> Members:
        """Return the content of members, of all where none is named, each checked.

        Raises:
            BadDataset: as `record`.
        """
        shard, entry = self._at(index)
        with _opened(shard) as source:
            return read_members(source, shard, entry, names)

    def checksum(self, index: int) -> str:
        """Return 64 hex digits that stand for all that a record holds, without reading all of it."""
        shard, entry = self._at(index)
        with _opened(shard) as source:
            content = _content(shard, entry, entry.members[-1], source)
        _sums(shard, entry, content)
        return hashlib.sha256(content).hexdigest()

    def where(self, index: int) -> tuple[Path, Entry]:
        """Return the shard of a record and its place there."""
        return self._at(index)

    def _at(self, index: int) -> tuple[Path, Entry]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected a record in 0..{len(self) - 1}, but got {index}.")
        return self._entries[index]


def read_members(source: ByteSource, shard: Path, entry: Entry, names: Sequence[str] = ()) -> Members:
    """Return the content of a record's members, of all where none is named, each checked.

    Raises:
        BadDataset: checksum, header, padding, io.
    """
    found: Members = {}
    sums = _sums(shard, entry, _content(shard, entry, entry.members[-1], source))
    for member in entry.members[:-1]:
        if not names or member.name in names:
            content = _content(shard, entry, member, source)
            if hashlib.sha256(content).hexdigest() != sums[member.name]:
                raise _damaged("checksum", shard, entry, member.name, "its bytes do not fit their SHA-256")
            found[member.name] = content
    return found


@contextmanager
def _opened(shard: Path) -> Iterator[ByteSource]:
    """Open a shard for some reads: nothing stays open, so that readers may be pickled, forked and shared."""
    try:
        descriptor = os.open(shard, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if shard.suffix != ".partial":
            raise BadDataset("missing", f"Cannot read {shard}: it was there when its folder was read.") from None
        descriptor = os.open(shard.with_suffix(""), os.O_RDONLY | os.O_CLOEXEC)  # finished since
    try:
        yield ByteSource(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _content(shard: Path, entry: Entry, member: Member, source: ByteSource) -> bytes:
    """Return a member's content, its header and padding being exactly what they must be."""
    try:
        raw = source.read(member.offset, BLOCK + padded(member.size))
    except OSError as error:
        raise _damaged("io", shard, entry, member.name, f"{error.strerror}") from error
    if raw[:BLOCK] != header(f"{entry.key}.{member.name}", member.size):
        raise _damaged("header", shard, entry, member.name, "its header is not what was written")
    content, padding = raw[BLOCK : BLOCK + member.size], raw[BLOCK + member.size :]
    if padding != bytes(padded(member.size) - member.size):
        raise _damaged("padding", shard, entry, member.name, "the bytes behind it are not zero")
    return content


def _sums(shard: Path, entry: Entry, content: bytes) -> dict[str, str]:
    """Return member -> SHA-256 of a record, of exactly the members that the shard has of it."""
    try:
        sums = read_seal(content)
    except BadDataset as error:
        raise _damaged("checksum", shard, entry, CHECKSUM, str(error)) from error
    if list(sums) != [member.name for member in entry.members[:-1]]:
        raise _damaged("checksum", shard, entry, CHECKSUM, "it is of other members than the record has")
    return sums


def _damaged(reason: str, shard: Path, entry: Entry, member: str, why: str) -> BadDataset:
    return BadDataset(reason, f"{shard}: record {entry.key}, member {member} is damaged: {why}.")
