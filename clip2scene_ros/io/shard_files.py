"""The file that a shard is while it is written, how it is finished, and how one is mended that never was."""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from clip2scene_ros.errors import BadDataset, CannotStore
from clip2scene_ros.io.shard_index import UNFINISHED, whole_entries
from clip2scene_ros.io.shard_reader import read_members
from clip2scene_ros.io.shard_tar import END, ByteSource, Entry

READ_ONLY = 0o444
WRITABLE = 0o644
_REASONS = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
    errno.ENOTDIR: "read_only",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mended:
    """What was done to a shard that its writer did not finish.

    Attributes:
        shard: as it is called now, or was called, where nothing was kept.
        kept: whole records.
        lost: records that were cut off: one that was being written, more after a power cut.
        cut: bytes that were cut off.
    """

    shard: Path
    kept: int
    lost: int
    cut: int


class GrowingShard:
    """A shard that is being written, `shard_000000.tar.partial`: what was appended stays, whatever comes after.

    Attributes:
        path: the file.
        size: bytes of the whole records.
        records: how many.
        broken: nobody knows any more what the disk has of it, since the disk failed.
    """

    def __init__(self, path: Path) -> None:
        """Make the file; OSError where that cannot be done."""
        self.path, self.size, self.records, self.broken = path, 0, 0, False
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, WRITABLE)
        sync_folder(path.parent)

    def append(self, record: bytes) -> None:
        """Write a record behind the others; on an error, or Ctrl-C, the file is as before."""
        at, rest = self.size, memoryview(record)
        try:
            while rest:
                written = os.pwrite(self._file, rest, at)
                at, rest = at + written, rest[written:]
        except BaseException:
            self.broken = True
            os.ftruncate(self._file, self.size)
            self.broken = False
            raise
        self.size, self.records = at, self.records + 1

    def sync(self) -> None:
        """Have all that was appended survive a power cut."""
        self.broken = True  # a sync that failed may have thrown away what it was to write, and the next would not say
        os.fsync(self._file)
        self.broken = False

    def finish(self) -> Path:
        """Give the shard its end and its name, never to be changed again."""
        try:
            return _finish(self._file, self.path, self.size)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is; the next writer will mend it."""
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            os.close(descriptor)


def mend(folder: Path) -> list[Mended]:
    """Finish the shards of a folder that their writers left unfinished, each up to its last whole record.

    Only headers are read, and the records at the end until one is found whole: a killed process damages no other. What
    else a power cut damaged is found when it is read.

    Raises:
        OSError: the folder cannot be read or written.
    """
    return [_mended(folder / name) for name in sorted(os.listdir(folder)) if UNFINISHED.fullmatch(name)]


def cannot_store(folder: Path, error: OSError) -> CannotStore:
    """Return the error that a failing disk means to who collects."""
    reason = _REASONS.get(error.errno or 0, "io")
    what = {
        "full": "the disk is full; make room, or delete old shards",
        "read_only": "it cannot be written; mount it writable, or choose another folder",
        "io": "the disk fails; replace it, or choose another folder",
    }[reason]
    return CannotStore(reason, f"{folder}: {what} ({error.strerror}).")


def sync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mended(path: Path) -> Mended:
    os.chmod(path, WRITABLE)  # its writer may have ended between its last two steps
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        source = ByteSource(descriptor, os.fstat(descriptor).st_size)
        found, _ = whole_entries(source)
        end = found[-1].end if found else 0
        torn = source.read(end, len(END) + 1) not in (b"", END)
        lost = int(torn)
        while found and not _is_whole(source, path, found[-1]):
            found, lost = found[:-1], lost + 1
        end = found[-1].end if found else 0
        shard = _finish(descriptor, path, end) if found else path
    finally:
        os.close(descriptor)
    cut = source.size - end if lost else 0
    if not found:
        path.unlink()
    if lost:
        _log.warning("%s: kept %d records, cut off %d bytes: %d records lost.", shard, len(found), cut, lost)
    return Mended(shard, len(found), lost, cut)


def _is_whole(source: ByteSource, path: Path, entry: Entry) -> bool:
    try:
        read_members(source, path, entry)
    except BadDataset:
        return False
    return True


def _finish(descriptor: int, path: Path, size: int) -> Path:
    """Cut a shard at `size`, add the end, make it read-only and rename it."""
    os.ftruncate(descriptor, size)
    os.ftruncate(descriptor, size + len(END))  # zeros that take no space: also a full disk lets a shard be finished
    os.fsync(descriptor)
    os.fchmod(descriptor, READ_ONLY)
    finished = path.with_suffix("")
    os.rename(path, finished)
    sync_folder(path.parent)
    return finished
