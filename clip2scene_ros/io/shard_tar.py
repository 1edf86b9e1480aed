"""The bytes of a shard: plain tar (ustar), so that any tar and any WebDataset reader can read it.

Of all that tar allows only one form is written and only that is read: regular files whose header is, byte for byte,
the one that `header` makes of a name and a size. Links, paths, other owners and a flipped bit are all just not that.
Source: POSIX.1-1988 (ustar), section 10.1.1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from clip2scene_ros.errors import BadDataset, short

BLOCK = 512
END = bytes(2 * BLOCK)
"""What stands behind the last record of a finished shard."""

MAX_MEMBER = 1 << 28
"""Bytes of one member: a cloud of 20 million points."""

CHECKSUM = "checksum.json"
"""The last member of a record: where it is whole, the record is."""

FIRST = "frame.json"

KEY = r"[A-Za-z0-9][A-Za-z0-9_-]{0,75}"
EXTENSION = (
    r"frame\.json|(?:points|intensity|ring|time_ns|class_id|confidence|truth|instances)\.npy"
    r"|view\d{1,2}\.(?:jpg|png|truth\.png)|checksum\.json"
)
NAME = re.compile(rf"({KEY})\.({EXTENSION})")


@dataclass(frozen=True)
class Member:
    """One file in the tar: `name` without the key, `offset` of its header, `size` of its content [bytes]."""

    name: str
    offset: int
    size: int

    @property
    def end(self) -> int:
        """Return the offset behind the member's padding."""
        return self.offset + BLOCK + padded(self.size)


@dataclass(frozen=True)
class Entry:
    """Where one record lies: its members in the order of the file, `checksum.json` last."""

    key: str
    members: tuple[Member, ...]

    @property
    def offset(self) -> int:
        """Return the offset of the record's first byte."""
        return self.members[0].offset

    @property
    def end(self) -> int:
        """Return the offset behind the record's last byte."""
        return self.members[-1].end


class ByteSource:
    """A file that is read by position; `pread` of a descriptor, so that any number of threads may share it."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor, self.size = descriptor, size

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes, fewer where the file ends; OSError where the disk fails."""
        parts = []
        while count > 0 and (part := os.pread(self.descriptor, count, offset)):
            parts.append(part)
            offset, count = offset + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def padded(size: int) -> int:
    """Return `size` rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def header(name: str, size: int) -> bytes:
    """Return the 512 bytes before a member's content: a regular file of nobody, of no time, that all may read."""
    fields = (
        name.encode().ljust(100, b"\0"),
        b"0000644\0",
        b"0000000\0" * 2,
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        b"0",
        bytes(100),
        b"ustar\x0000",
        bytes(247),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def pack_member(name: str, content: bytes) -> bytes:
    """Return a member: header, content, padding."""
    return header(name, len(content)) + content + bytes(padded(len(content)) - len(content))


def parse_header(block: bytes) -> tuple[str, str, int]:
    """Return key, member and size that a header tells.

    Raises:
        BadDataset: header: it is not one that `header` makes.
    """
    raw = block[:100].rstrip(b"\0").decode("ascii", "replace")
    found = NAME.fullmatch(raw)
    digits = block[124:135]
    size = int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else -1
    if found is None or not 0 <= size <= MAX_MEMBER or header(raw, size) != block:
        raise BadDataset("header", f"a header for {short(raw)} that no writer of shards makes")
    return found[1], found[2], size


def entries(source: ByteSource) -> Iterator[Entry]:
    """Yield the whole records from the start on; only headers are read.

    Raises:
        BadDataset: header, order, truncated, as soon as what follows is neither a whole record nor the end
            of the shard; the text says where.
    """
    at = 0
    while at < source.size and source.read(at, len(END)) != END[: source.size - at]:
        entry = _entry(source, at)
        yield entry
        at = entry.end


def _entry(source: ByteSource, start: int) -> Entry:
    key, members, at = "", list[Member](), start
    while not members or members[-1].name != CHECKSUM:
        block = source.read(at, BLOCK)
        behind = f"record {key}, behind member {members[-1].name}" if members else "the start of a record"
        if len(block) < BLOCK:
            raise BadDataset("truncated", f"{behind}: the file ends at byte {source.size}")
        try:
            owner, name, size = parse_header(block)
        except BadDataset as error:
            raise BadDataset("header", f"{behind}, at byte {at}: {error}") from error
        if (name == FIRST) != (not members) or owner != (key or owner) or name in {m.name for m in members}:
            raise BadDataset("order", f"{behind}, at byte {at}: did not expect {owner}.{name}")
        member = Member(name, at, size)
        if member.end > source.size:
            raise BadDataset("truncated", f"record {owner}, member {name}: the file ends at byte {source.size}")
        key, at = owner, member.end
        members.append(member)
    return Entry(key, tuple(members))
