"""What a crash, a full disk or a second writer may cost, and what it may not."""

from __future__ import annotations

import errno
import logging
import os
import random
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from shard_frames import PROVENANCE, ROOMY, STEP_NS, bits, frame_of, write_frames

from clip2scene_ros.errors import BadConfig, CannotStore
from clip2scene_ros.frame import Frame
from clip2scene_ros.io import shard_writer
from clip2scene_ros.io.shard_files import GrowingShard, mend
from clip2scene_ros.io.shards import ShardReader, ShardWriter


class Killed(BaseException):
    """The process is no more: nothing that handles errors sees it in a real kill, nor may it matter here."""


def frames_in(folder: Path) -> list[object]:
    return [bits(record.frame) for record in ShardReader(folder)]


def made(*numbers: int) -> list[object]:
    return [bits(frame_of(i)[0]) for i in numbers]


def left_by_a_crash(folder: Path, count: int) -> Path:
    """Return the unfinished shard of a writer that was killed after `count` frames."""
    writer = ShardWriter(folder, PROVENANCE, ROOMY)
    for i in range(count):
        frame, labels, encoded = frame_of(i)
        writer.append(frame, labels, encoded=encoded)
    os.close(writer._lock)
    writer._shard.abandon()
    return folder / "shard_000000.tar.partial"


# ---- crashes


def test_a_shard_cut_anywhere_keeps_every_whole_record(tmp_path: Path) -> None:
    partial = left_by_a_crash(tmp_path / "first", 3)
    content = partial.read_bytes()
    ends = [entry.end for _, entry in (ShardReader(partial).where(i) for i in range(3))]
    assert ends[-1] == len(content)
    rng = random.Random(0)
    cuts = [*range(0, len(content) + 1, 512), *(rng.randrange(len(content)) for _ in range(20))]
    for number, cut in enumerate(cuts):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / partial.name).write_bytes(content[:cut])
        (mended,) = mend(folder)
        whole = sum(end <= cut for end in ends)
        assert mended.kept == whole
        assert mended.lost == int(cut not in (0, *ends))
        assert mended.cut == cut - ([0, *ends][whole])
        names = [path.name for path in folder.iterdir()]
        assert names == (["shard_000000.tar"] if whole else [])
        if whole:
            assert frames_in(folder) == made(*range(whole))
        shutil.rmtree(folder)


def test_the_next_writer_goes_on_where_the_killed_one_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    partial = left_by_a_crash(tmp_path, 2)
    with partial.open("ab") as file:
        file.write(partial.read_bytes()[:3000])  # the start of a third
    assert len(ShardReader(tmp_path)) == 2  # a reader needs no mending, and does none
    assert ShardReader(tmp_path).torn == {partial: 3000}
    with caplog.at_level(logging.WARNING):
        write_frames(tmp_path, 2, first=3)
    assert "kept 2 records, cut off 3000 bytes: 1 records lost" in caplog.text
    assert sorted(path.name for path in tmp_path.glob("*.tar*")) == ["shard_000000.tar", "shard_000001.tar"]
    assert frames_in(tmp_path) == made(0, 1, 3, 4)


@pytest.mark.parametrize("junk", [bytes(512), bytes(1024), bytes(5000), b"\xff" * 700, b"#" * 7])
def test_what_a_power_cut_left_behind_the_records_is_cut_off(junk: bytes, tmp_path: Path) -> None:
    with left_by_a_crash(tmp_path, 2).open("ab") as file:
        file.write(junk)
    (mended,) = mend(tmp_path)
    assert (mended.kept, mended.lost) == (2, int(len(junk) != 1024))  # 1024 zeros are the end of a tar
    assert frames_in(tmp_path) == made(0, 1)


def test_a_last_record_whose_bytes_never_reached_the_disk_is_cut_off(tmp_path: Path) -> None:
    partial = left_by_a_crash(tmp_path, 3)
    entry = ShardReader(partial).where(2)[1]
    points = entry.members[1]
    with partial.open("r+b") as file:
        file.seek(points.offset + 512)
        file.write(bytes(points.size))
    (mended,) = mend(tmp_path)
    assert (mended.kept, mended.lost, mended.cut) == (2, 1, entry.end - entry.offset)
    assert frames_in(tmp_path) == made(0, 1)


def test_a_process_may_be_killed_before_any_step_of_finishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ("ftruncate", "fsync", "fchmod", "rename", "open", "close")
    real = {name: getattr(os, name) for name in steps}
    done = 0
    for kill_at in range(20):
        folder, count = tmp_path / str(kill_at), 0
        left_by_a_crash(folder, 2)

        def step(name: str, *args: object, at: int = kill_at) -> object:
            nonlocal count
            count += 1
            if count > at:
                raise Killed
            return real[name](*args)

        with monkeypatch.context() as patch:
            for name in steps:
                patch.setattr(os, name, lambda *args, name=name: step(name, *args))
            try:
                mend(folder)  # it finishes the shard as its writer would
                done += 1
            except Killed:
                pass
        monkeypatch.setattr(os, "open", lambda path, *args: as_a_user(real["open"], path, *args))
        mended = mend(folder)
        monkeypatch.setattr(os, "open", real["open"])
        assert sum(each.lost for each in mended) == 0
        assert frames_in(folder) == made(0, 1)
        assert [path.name for path in folder.glob("*.tar*")] == ["shard_000000.tar"]
        if done:
            break
    assert kill_at > 6


def as_a_user(opened: Callable[..., int], path: Path, flags: int, *mode: int) -> int:
    """Open as who is not the administrator, for whom alone read-only files are writable."""
    if flags & os.O_RDWR and not Path(path).stat().st_mode & 0o200:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return opened(path, flags, *mode)


def test_ctrl_c_within_a_write_leaves_the_shard_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = os.pwrite, iter([False, True, False])

    def interrupted(file: int, data: bytes, at: int) -> int:
        if next(calls, False):
            real(file, data[:2000], at)
            raise KeyboardInterrupt
        return real(file, data, at)

    with ShardWriter(tmp_path, PROVENANCE, ROOMY) as writer:
        monkeypatch.setattr(os, "pwrite", interrupted)
        writer.append(frame_of(0)[0])
        with pytest.raises(KeyboardInterrupt):
            writer.append(frame_of(1)[0])
        assert (tmp_path / "shard_000000.tar.partial").stat().st_size == writer._shard.size
        writer.append(frame_of(2)[0])
    assert len(ShardReader(tmp_path)) == 2


def test_frames_are_written_to_the_disk_once_in_the_time_that_may_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, synced = [0.0], list[float]()
    monkeypatch.setattr(shard_writer.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(GrowingShard, "sync", lambda self: synced.append(clock[0]))
    with ShardWriter(tmp_path, PROVENANCE, replace(ROOMY, sync_s=1.0)) as writer:
        for i in range(40):
            clock[0] = i / 8
            writer.append(frame_of(i, views=0)[0])
        assert synced == [1.0, 2.0, 3.0, 4.0]
        writer.sync()
        assert synced[4:] == [clock[0]]


# ---- shards


def test_shards_are_finished_at_their_size_and_never_touched_again(tmp_path: Path) -> None:
    write_frames(tmp_path, 7, replace(ROOMY, max_shard_frames=3))
    one = (tmp_path / "shard_000002.tar").stat().st_size
    assert not list(tmp_path.glob("*.partial"))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.tar")}
    assert len(before) == 3
    write_frames(tmp_path, 4, replace(ROOMY, max_shard_mb=2.5 * one / 1e6), first=7)
    after = {path.name: path.read_bytes() for path in sorted(tmp_path.glob("*.tar"))}
    assert before.items() < after.items()
    assert list(after) == [f"shard_{number:06d}.tar" for number in range(5)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*.tar")} == {0o444}
    assert frames_in(tmp_path) == made(*range(11))


def test_where_time_does_not_go_on_another_part_of_the_drive_begins(tmp_path: Path) -> None:
    frame = frame_of(0)[0]
    with ShardWriter(tmp_path, PROVENANCE, ROOMY) as writer:
        keys = [writer.append(at(frame, stamp)) for stamp in (0, 0, 5, 6, 2, 3, -4)]
    parts = [key.rpartition("_")[0] for key in keys]
    assert [parts.index(part) for part in parts] == [0, 1, 1, 1, 4, 4, 6]
    assert sorted(keys) == keys == ShardReader(tmp_path).keys


def at(frame: Frame, stamp: int) -> Frame:
    return replace(frame, scan=replace(frame.scan, stamp_ns=stamp * STEP_NS))


# ---- who may write


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, PROVENANCE, ROOMY):
        with pytest.raises(CannotStore, match=f"process {os.getpid()}") as refused:
            ShardWriter(tmp_path, PROVENANCE, ROOMY)
        assert refused.value.reason == "locked"
    with ShardWriter(tmp_path, PROVENANCE, ROOMY) as writer:
        writer.append(frame_of(0)[0])
    writer.close()
    with pytest.raises(CannotStore, match="is closed"):
        writer.append(frame_of(1)[0])
    assert frames_in(tmp_path) == made(0)


@pytest.mark.parametrize("vehicle", ["", "../car", "a" * 33, "Wagen 7", "wägen", "-x"])
def test_a_vehicle_has_a_name_that_files_can_have(vehicle: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="vehicle"):
        ShardWriter(tmp_path, replace(PROVENANCE, vehicle=vehicle), ROOMY)
    assert not list(tmp_path.iterdir())


# ---- room


def test_over_its_quota_a_folder_gets_nothing_until_there_is_room(tmp_path: Path) -> None:
    write_frames(tmp_path, 4, replace(ROOMY, max_shard_frames=1))
    size = (tmp_path / "shard_000000.tar").stat().st_size
    with ShardWriter(tmp_path, PROVENANCE, replace(ROOMY, quota_gb=5.5 * size / 1e9)) as writer:
        writer.append(*frame_of(4)[:2])
        for _ in range(2):
            with pytest.raises(CannotStore, match="quota_gb"):
                writer.append(*frame_of(5)[:2])
        (tmp_path / "shard_000001.tar").unlink()  # a person makes room
        writer.append(*frame_of(6)[:2])
        assert (writer.written, dict(writer.refused)) == (2, {"quota": 2})
    assert frames_in(tmp_path)[:3] == made(0, 2, 3)


def test_free_space_that_is_to_stay_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, free = os.statvfs, [2_000_000]

    def statvfs(path: Path) -> object:
        return os.statvfs_result([1, 1, *list(real(path))[2:4], free[0], *list(real(path))[5:]])

    monkeypatch.setattr(os, "statvfs", statvfs)
    with ShardWriter(tmp_path, PROVENANCE, replace(ROOMY, min_free_gb=0.001)) as writer:
        writer.append(frame_of(0)[0])
        free[0] = 1_000_000
        with pytest.raises(CannotStore, match="min_free_gb") as refused:
            writer.append(frame_of(1)[0])
        assert refused.value.reason == "free_space"
        free[0] = 2_000_000
        writer.append(frame_of(2)[0])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 256 KiB, which only an administrator can make."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
        made = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_costs_the_frames_that_come_while_it_is_full(small_disk: Path) -> None:
    with ShardWriter(small_disk, PROVENANCE, ROOMY) as writer:
        kept = fill(writer, 0)
        ballast = small_disk / "ballast"
        for i in (100, 101):
            with pytest.raises(CannotStore, match="the disk is full"):
                writer.append(*frame_of(i)[:2])
        assert frames_in(small_disk) == [bits(plain(i)) for i in kept]
    assert frames_in(small_disk) == [bits(plain(i)) for i in kept]  # and a shard is finished on a full disk
    with pytest.raises(OSError, match="No space"), ballast.open("wb") as file:
        file.write(bytes(100_000))
    with ShardWriter(small_disk, PROVENANCE, ROOMY) as writer:
        with pytest.raises(CannotStore):
            writer.append(*frame_of(102)[:2])
        ballast.unlink()
        (small_disk / "shard_000000.tar").unlink()
        again = fill(writer, 200)
    assert len(again) >= len(kept) - 1
    assert frames_in(small_disk) == [bits(plain(i)) for i in again]


def plain(i: int) -> Frame:
    return frame_of(i)[0]


def fill(writer: ShardWriter, first: int) -> list[int]:
    kept = []
    with suppress(CannotStore):
        for i in range(first, first + 90):
            writer.append(*frame_of(i)[:2])
            kept.append(i)
    assert 5 < len(kept) < 90
    assert set(writer.refused) == {"full"}
    return kept


def test_a_folder_below_a_file_is_not_blamed_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotStore, match=r"cannot be written.*another folder"):
        ShardWriter(tmp_path / "file" / "shards", PROVENANCE, ROOMY)


def test_a_disk_that_turns_read_only_is_said_to_be(small_disk: Path) -> None:
    with ShardWriter(small_disk, PROVENANCE, ROOMY) as writer:
        writer.append(frame_of(0)[0])
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(CannotStore, match="cannot be written") as refused:
        ShardWriter(small_disk, PROVENANCE, ROOMY)
    assert refused.value.reason == "read_only"
    assert frames_in(small_disk) == made(0)  # without its index, which cannot be kept there


@pytest.mark.parametrize(
    ("call", "number", "reason"),
    [("pwrite", errno.EIO, "io"), ("pwrite", errno.EDQUOT, "full"), ("pwrite", errno.EROFS, "read_only")]
    + [("fsync", errno.EIO, "io"), ("ftruncate", errno.EIO, "io"), ("open", errno.ENOSPC, "full")],
)
def test_a_failing_disk_costs_no_frame_that_was_written(
    call: str, number: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    # each frame is synced, and each second one finishes a shard: so every call happens
    writer = ShardWriter(tmp_path, PROVENANCE, replace(ROOMY, sync_s=0.0, max_shard_frames=2))
    kept = [0, 1]
    for i in kept:
        writer.append(*frame_of(i)[:2])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(CannotStore, match=os.strerror(number)) as refused:
            writer.append(*frame_of(2)[:2])
        assert refused.value.reason == reason
    assert dict(writer.refused) == {reason: 1}
    for i in (3, 4, 5):
        writer.append(*frame_of(i)[:2])
    writer.close()
    ShardWriter(tmp_path, PROVENANCE, ROOMY).close()
    found = frames_in(tmp_path)
    expected = [bits(plain(i)) for i in (0, 1, 3, 4, 5)]
    assert [each for each in found if each in expected] == expected
    assert not list(tmp_path.glob("*.partial"))


def test_a_shard_that_could_not_be_synced_gets_no_more_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may have dropped what it could not write, and the next sync of that file would not say so."""

    def failing(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with ShardWriter(tmp_path, PROVENANCE, replace(ROOMY, sync_s=0.0)) as writer:
        writer.append(frame_of(0)[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(CannotStore, match="the disk fails"):
                writer.append(frame_of(1)[0])
        writer.append(frame_of(2)[0])
    assert frames_in(tmp_path / "shard_000001.tar") == made(2)
    assert frames_in(tmp_path / "shard_000000.tar.partial")[:1] == made(0)
