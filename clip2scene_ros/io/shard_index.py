"""Which shards there are, and where their records lie: a small file beside each shard, made when it is missing.

The index only saves the walk from header to header. Nothing is believed because of it: what is read at a place that it
tells is checked like everything else.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.io.shard_tar import CHECKSUM, END, FIRST, NAME, ByteSource, Entry, Member, entries

FINISHED = re.compile(r"shard_(\d{6})\.tar")
UNFINISHED = re.compile(r"shard_(\d{6})\.tar\.partial")
MAX_INDEX = 1 << 28
_log = logging.getLogger(__name__)


def is_shards(path: Path) -> bool:
    """Return whether `path` is a shard, or a folder with some."""
    try:
        return path.suffix == ".tar" or path.name.endswith(".tar.partial") or bool(path.is_dir() and shards_in(path))
    except OSError:
        return False


def shards_in(folder: Path) -> list[Path]:
    """Return the shards of a folder, finished or not, in the order of their numbers; none in any other folder."""
    names = (name for name in os.listdir(folder) if FINISHED.fullmatch(name) or UNFINISHED.fullmatch(name))
    return [folder / name for name in sorted(names)]


def shard_paths(path: Path) -> list[Path]:
    """Return the shards of a folder, in the order of their numbers, or the one file.

    Raises:
        BadDataset: missing, no_shards.
    """
    try:
        found = shards_in(path) if path.is_dir() else [path]
        path.stat()
    except OSError as error:
        raise BadDataset("missing", f"Cannot read {path}: {error.strerror}.") from error
    if not found:
        raise BadDataset("no_shards", f"{path}: expected shards (shard_000000.tar, ...), but found none.")
    return found


def find_entries(shard: Path) -> tuple[list[Entry], int]:
    """Return the records of a shard and, where it is unfinished, the bytes behind the last whole one.

    Raises:
        BadDataset: the shard is finished, but not whole, or not a shard at all.
    """
    try:
        descriptor = os.open(shard, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            source = ByteSource(descriptor, status.st_size)
            if UNFINISHED.fullmatch(shard.name):
                found, _ = whole_entries(source)
                return found, status.st_size - (found[-1].end if found else 0)
            return _finished(shard, source, [status.st_size, status.st_mtime_ns]), 0
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadDataset("io", f"Cannot read {shard}: {error.strerror}.") from error


def whole_entries(source: ByteSource) -> tuple[list[Entry], BadDataset | None]:
    """Return the records from the start that are whole, and what stands behind them if that is not the end."""
    found: list[Entry] = []
    try:
        for entry in entries(source):
            found.append(entry)
    except BadDataset as error:
        return found, error
    return found, None


def index_path(shard: Path) -> Path:
    """Return the index of a shard."""
    return shard.with_suffix(".index.json")


def _finished(shard: Path, source: ByteSource, of: list[int]) -> list[Entry]:
    stored = _stored(index_path(shard), of)
    found, error = whole_entries(source) if stored is None else (stored, None)
    if error is not None:
        kind = "it is not one of our shards" if not found and error.reason == "header" else "it is damaged"
        raise BadDataset(error.reason, f"{shard}: {kind}: {error}.")
    _check_end(shard, source, found[-1].end if found else 0)
    if stored is None:
        _store(index_path(shard), of, found)
    return found


def _check_end(shard: Path, source: ByteSource, end: int) -> None:
    """Check that behind the last record there is the end of the tar and nothing more.

    Raises:
        BadDataset: truncated, end.
    """
    tail = source.read(end, len(END) + 1)
    if tail != END:
        reason, what = ("truncated", "it ends") if len(tail) < len(END) else ("end", "something else stands")
        raise BadDataset(reason, f"{shard}: expected the end of the tar behind byte {end}, but there {what}.")


def _store(path: Path, of: list[int], found: list[Entry]) -> None:
    rows = [[entry.key, entry.offset, [[m.name, m.size] for m in entry.members]] for entry in found]
    try:
        with whole_file(path) as stream:
            stream.write(_sealed(of, rows))
    except OSError as error:  # a folder that is read-only, or full, is read all the same
        _log.info("%s is not kept: %s.", path, error.strerror)


def _sealed(of: list[int], rows: Any) -> bytes:  # noqa: ANN401 - of a JSON that anyone may have written
    """Return the index of the shard with this size and time of change, with a checksum of its own."""
    sha256 = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return json.dumps({"of": of, "records": rows, "sha256": sha256}).encode()


def _stored(path: Path, of: list[int]) -> list[Entry] | None:
    """Return the records of an index, None where it is missing, damaged, or of another state of the shard."""
    try:
        if path.stat().st_size > MAX_INDEX:
            return None
        content = path.read_bytes()
        told = json.loads(content)
        if told["of"] != of or _sealed(of, told["records"]) != content:
            return None
        return _entries(told["records"], of[0])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _entries(rows: Any, size: int) -> list[Entry]:  # noqa: ANN401 - of a JSON that anyone may have written
    """Return what an index tells, if it has no gaps; ValueError otherwise."""
    found, at = [], 0
    for key, offset, members in rows:
        listed = []
        if offset != at:
            raise ValueError("gap")
        for name, length in members:
            if NAME.fullmatch(f"{key}.{name}") is None or type(length) is not int or not 0 <= length <= size:
                raise ValueError("member")
            listed.append(Member(name, at, length))
            at = listed[-1].end
        if (listed[0].name, listed[-1].name) != (FIRST, CHECKSUM):
            raise ValueError("order")
        found.append(Entry(key, tuple(listed)))
    if at + len(END) != size:
        raise ValueError("end")
    return found
