"""Writes shards: what was appended survives a killed process, and after `sync_s` a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from clip2scene_ros.config import ShardsConfig
from clip2scene_ros.errors import BadConfig, CannotStore, short
from clip2scene_ros.frame import Frame, PseudoLabels
from clip2scene_ros.io.shard_files import GrowingShard, Mended, cannot_store, mend
from clip2scene_ros.io.shard_index import FINISHED, shards_in
from clip2scene_ros.io.shard_record import Provenance, pack_record
from clip2scene_ros.io.shard_tar import END, pack_member

LOCK = "writer.lock"
MB, GB = 1e6, 1e9
VEHICLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
DEFAULTS = ShardsConfig()


class ShardWriter:
    """Appends records to the shards of a folder, which it alone may write; any thread may call it.

    Unfinished shards that an earlier writer left are mended first. A frame that is refused costs that frame only: when
    the disk has room again, the next one is written. Nothing is ever deleted.

    Args:
        folder: where shards go; made when absent.
        provenance: of all records of this writer.
        config: sizes, limits, loss window, privacy.
        clock_ns: the wall clock of records [ns]; one that a bag gives makes the same shards again.

    Attributes:
        mended: what was found unfinished.
        written: records appended.
        refused: records that were not, by reason.

    Raises:
        BadConfig: vehicle: its name would not fit into a record's.
        CannotStore: locked: another process writes the folder; full, read_only, io.
    """

    def __init__(
        self,
        folder: str | Path,
        provenance: Provenance,
        config: ShardsConfig = DEFAULTS,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if not VEHICLE.fullmatch(provenance.vehicle):
            raise BadConfig(
                "vehicle",
                "Expected a vehicle's name of at most 32 letters, digits, `-` and `_`, but got "
                f"{short(provenance.vehicle)}.",
            )
        self.folder, self.provenance, self.config = Path(folder), provenance, config
        self.written, self.refused = 0, Counter[str]()
        self._clock_ns = clock_ns
        self._guard = threading.Lock()
        self._shard: GrowingShard | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.folder)
        except OSError as error:
            raise cannot_store(self.folder, error) from error
        try:
            self.mended: list[Mended] = mend(self.folder)
            names = map(FINISHED.fullmatch, os.listdir(self.folder))
            self._number = 1 + max((int(name[1]) for name in names if name), default=-1)
            self._bytes = self._counted()
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise cannot_store(self.folder, error) from error
            raise
        began = datetime.fromtimestamp(clock_ns() / 1e9, timezone.utc).strftime("%Y%m%dT%H%M%S")
        self._drive = f"{provenance.vehicle}-{began}-{self._number:06d}"
        self._part, self._in_part = 0, 0
        self._stamp_ns: int | None = None
        self._synced_s = time.monotonic()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(
        self, frame: Frame, labels: PseudoLabels | None = None, *, encoded: Mapping[str, bytes] | None = None
    ) -> str:
        """Write one record and return its name; a killed process does not lose it any more.

        Frames are of one drive while their stamps ascend; one that does not begins the next part of it.

        Args:
            frame: what is to be kept.
            labels: of its points.
            encoded: camera -> the JPEG or PNG as it came, kept instead of a PNG made of the pixels.

        Raises:
            CannotStore: quota, free_space, full, read_only, io, closed; counted. Only `io` of a sync may cost earlier
                frames, those of the last `sync_s`.
            BadDataset: dtype, numbers, image, views: the frame is not what `Frame` says that it is.
        """
        keep = self.config.images == "keep"
        members = pack_record(frame, labels, self.provenance, self._clock_ns(), encoded=encoded, images=keep)
        with self._guard:
            self._follow(frame.scan.stamp_ns)
            key = f"{self._drive}-{self._part:03d}_{self._in_part:06d}"
            record = b"".join(pack_member(f"{key}.{name}", content) for name, content in members.items())
            try:
                self._check_room(len(record) + len(END))
                self._write(record)
            except OSError as error:
                refusal = cannot_store(self.folder, error)
                self.refused[refusal.reason] += 1
                raise refusal from error
            except CannotStore as refusal:
                self.refused[refusal.reason] += 1
                raise
            self.written, self._in_part = self.written + 1, self._in_part + 1
        return key

    def sync(self) -> None:
        """Have all records survive a power cut; `append` does it every `sync_s`, a timer may when frames stay out.

        Raises:
            CannotStore: io, full: those of the last `sync_s` may be lost.
        """
        with self._guard:
            try:
                self._sync()
            except OSError as error:
                raise cannot_store(self.folder, error) from error

    def close(self) -> None:
        """Finish the last shard and let others write the folder.

        Raises:
            CannotStore: full, read_only, io: the shard stays unfinished; the next writer mends it.
        """
        with self._guard:
            try:
                self._finish()
            except OSError as error:
                raise cannot_store(self.folder, error) from error
            finally:
                lock, self._lock = self._lock, -1
                if lock >= 0:
                    os.close(lock)

    def _follow(self, stamp_ns: int) -> None:
        """Begin another part where time does not go on."""
        if self._stamp_ns is not None and stamp_ns <= self._stamp_ns:
            self._part, self._in_part = self._part + 1, 0
        self._stamp_ns = stamp_ns

    def _check_room(self, size: int) -> None:
        if self._lock < 0:
            raise CannotStore("closed", f"The writer of {self.folder} is closed: make another one.")
        quota, floor = self.config.quota_gb * GB, self.config.min_free_gb * GB
        if quota and self._bytes + size > quota:
            self._bytes = self._counted()  # old shards may have been taken away
            if self._bytes + size > quota:
                raise CannotStore(
                    "quota",
                    f"{self.folder} holds {self._bytes / GB:.3f} GB of the {self.config.quota_gb:g} GB that it may "
                    "(quota_gb): move old shards away, or raise it.",
                )
        disk = os.statvfs(self.folder)
        free = disk.f_bavail * disk.f_frsize
        if floor and free - size < floor:
            raise CannotStore(
                "free_space",
                f"{self.folder}: {free / GB:.3f} GB of the disk are free, and {self.config.min_free_gb:g} GB are to "
                "stay so (min_free_gb): make room, or lower it.",
            )

    def _write(self, record: bytes) -> None:
        if self._shard is not None and self._shard.broken:
            self._shard.abandon()
            self._shard = None
        if self._shard is not None and (
            self._shard.records >= self.config.max_shard_frames
            or self._shard.size + len(record) > self.config.max_shard_mb * MB
        ):
            self._finish()
        if self._shard is None:
            self._number += 1
            self._shard = GrowingShard(self.folder / f"shard_{self._number - 1:06d}.tar.partial")
        self._shard.append(record)
        self._bytes += len(record)
        if time.monotonic() - self._synced_s >= self.config.sync_s:
            self._sync()

    def _sync(self) -> None:
        if self._shard is not None and not self._shard.broken:
            self._shard.sync()
        self._synced_s = time.monotonic()

    def _finish(self) -> None:
        shard, self._shard = self._shard, None
        if shard is None:
            return
        if shard.broken or not shard.records:
            shard.abandon()  # the next writer will see what is left of it
        else:
            shard.finish()
            self._synced_s = time.monotonic()

    def _counted(self) -> int:
        """Return the bytes of all shards."""
        return sum(shard.stat().st_size for shard in shards_in(self.folder))


def _locked(folder: Path) -> int:
    """Return the descriptor that holds the folder's lock; the kernel gives it up when the process ends, however.

    Raises:
        CannotStore: locked: another writer holds it.
        OSError: it cannot be opened.
    """
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise CannotStore(
            "locked", f"{folder} is being written by process {holder}: stop that one, or choose another folder."
        ) from error
    with suppress(OSError):  # on a full disk the lock holds all the same, it just names nobody
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock
