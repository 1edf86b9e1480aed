"""A damaged, foreign or hostile shard is an error that names the place; never a wrong frame, never a file on disk."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from shard_frames import ROOMY, bits, frame_of, write_frames

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.io import shard_index
from clip2scene_ros.io.shard_record import pack_record, sealed
from clip2scene_ros.io.shard_tar import END, header, pack_member
from clip2scene_ros.io.shards import Provenance, ShardReader

FLIPS = 100


def read_all(folder: Path) -> list[object]:
    reader = ShardReader(folder)
    return [bits(record.frame) for record in reader]


def flip(shard: Path, offset: int, bit: int) -> None:
    """Flip a bit as an ageing disk does: neither size nor time of the file change."""
    before = shard.stat()
    shard.chmod(0o644)
    with shard.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
    os.utime(shard, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_flipped_bit_is_found_and_its_place_named(tmp_path: Path) -> None:
    write_frames(tmp_path, 3)
    read_all(tmp_path)  # which leaves an index
    reader = ShardReader(tmp_path)
    shard, rng = reader.paths[0], random.Random(1)
    for _ in range(FLIPS):
        entry = reader.where(rng.randrange(3))[1]
        member = rng.choice(entry.members)
        at, bit = rng.randrange(member.offset, member.end), rng.randrange(8)
        flip(shard, at, bit)
        with pytest.raises(BadDataset) as found:
            read_all(tmp_path)
        for word in (str(shard), f"record {entry.key}", f"member {member.name} "):
            assert word in str(found.value)
        flip(shard, at, bit)
    assert len(read_all(tmp_path)) == 3


def test_without_an_index_every_flipped_bit_is_found_as_well(tmp_path: Path) -> None:
    keys = write_frames(tmp_path, 2)
    shard, rng = tmp_path / "shard_000000.tar", random.Random(2)
    size = shard.stat().st_size
    places = [(rng.randrange(size), rng.randrange(8)) for _ in range(FLIPS // 2)]
    for at, bit in [*places, (0, 0), (130, 1), (148, 2), (155, 5), (size - 1, 0), (size - 1024, 7)]:
        (tmp_path / "shard_000000.index.json").unlink(missing_ok=True)
        flip(shard, at, bit)
        with pytest.raises(BadDataset) as found:
            read_all(tmp_path)
        assert str(shard) in str(found.value)
        assert any(key in str(found.value) for key in keys) or at < 512 or at >= size - 1024
        flip(shard, at, bit)


def test_a_truncated_shard_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    write_frames(tmp_path, 2)
    shard = tmp_path / "shard_000000.tar"
    content = shard.read_bytes()
    shard.chmod(0o644)
    for cut in [*range(0, len(content), 1536), len(content) - 1, len(content) - 512, len(content) - 1024]:
        shard.write_bytes(content[:cut])
        with pytest.raises(BadDataset, match=r"shard_000000\.tar") as found:
            ShardReader(tmp_path)
        assert found.value.reason in ("truncated", "header")
    shard.write_bytes(content + b"\0")
    with pytest.raises(BadDataset, match="something else"):
        ShardReader(tmp_path)


# ---- the index


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"[" * 100_000,
        lambda content: b"{}",
        lambda content: content.replace(b'"of": [', b'"of": [1'),
        lambda content: content.replace(b'"points.npy", 6', b'"points.npy", 7'),
        lambda content: content.replace(b"frame.json", b"../../etc"),
        lambda content: json.dumps({**json.loads(content), "records": []}).encode(),
        lambda content: json.dumps({**json.loads(content), "records": [["x", 0, []]]}).encode(),
        lambda content: json.dumps({**json.loads(content), "records": [["x", 0, [["frame.json", -5]]]]}).encode(),
        None,
    ],
)
def test_an_index_that_is_not_right_is_made_again(spoil: Callable[[bytes], bytes] | None, tmp_path: Path) -> None:
    write_frames(tmp_path, 3)
    expected = read_all(tmp_path)
    index = tmp_path / "shard_000000.index.json"
    right = index.read_bytes()
    if spoil is None:
        index.unlink()
    else:
        assert spoil(right) != right
        index.write_bytes(spoil(right))
    assert read_all(tmp_path) == expected
    assert index.read_bytes() == right


def test_an_index_saves_the_walk_through_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = write_frames(tmp_path, 3)
    ShardReader(tmp_path)

    def walked(source: object) -> None:
        raise AssertionError

    monkeypatch.setattr(shard_index, "entries", walked)
    assert ShardReader(tmp_path).keys == keys


def test_an_index_of_another_state_of_the_shard_is_not_believed(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", 3)
    write_frames(tmp_path / "b", 3, first=5)
    expected = read_all(tmp_path / "b")
    ShardReader(tmp_path / "a")
    os.replace(tmp_path / "b" / "shard_000000.tar", tmp_path / "a" / "shard_000000.tar")
    assert read_all(tmp_path / "a") == expected


# ---- foreign and hostile files


def tar_of(*members: tarfile.TarInfo, form: int = tarfile.USTAR_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
    return file.getvalue()


def named(name: str, size: int = 4, **values: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    for attribute, value in values.items():
        setattr(member, attribute, value)
    return member


def record(key: str = "k", **changes: bytes | None) -> bytes:
    """Return a record that is right but for some members, sealed by someone who knows the format."""
    frame, labels, _ = frame_of(0)
    members = pack_record(frame, labels, Provenance("v"), 0)
    members.pop("checksum.json")
    members |= {name.replace("__", "."): content for name, content in changes.items()}
    members = sealed({name: content for name, content in members.items() if content is not None})
    return b"".join(pack_member(f"{key}.{name}", content) for name, content in members.items())


def told(**changes: object) -> bytes:
    frame = pack_record(frame_of(0)[0], None, Provenance("v"), 0)["frame.json"]
    return json.dumps({**json.loads(frame), **changes}).encode()


def lying(shape: str) -> bytes:
    """Return .npy of three floats that claims to be more."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00v\x00" + text.ljust(117).encode() + b"\n" + bytes(12)


PICKLE = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\ncos\n"
BOMB = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\0\0\0\1\0\0\x08\x02\0\0\0"
HOSTILE = {
    "nothing": b"",
    "zeros": bytes(3000),
    "noise": random.Random(3).randbytes(20_000),
    "gzip": gzip.compress(record() + END, mtime=0),
    "no shard": tar_of(named("a/b.txt"), named("c.txt")),
    "a path out": tar_of(named("../../evil.frame.json")),
    "an absolute path": tar_of(named("/tmp/evil.frame.json")),
    "a link": tar_of(named("k.frame.json", 0, type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": tar_of(named("k.frame.json", 0, type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "a device": tar_of(named("k.frame.json", 0, type=tarfile.CHRTYPE)),
    "a folder": tar_of(named("k.frame.json", 0, type=tarfile.DIRTYPE)),
    "pax": tar_of(named("k.frame.json", pax_headers={"path": "../../evil"}), form=tarfile.PAX_FORMAT),
    "a long name": tar_of(named("k" * 300 + ".frame.json"), form=tarfile.GNU_FORMAT),
    "another owner": tar_of(named("k.frame.json", uid=7)),
    "a huge size": header("k.frame.json", 10) + b"0123456789" + header("k.points.npy", 7 * 10**9) + bytes(2000),
    "a size beyond the end": header("k.frame.json", 10_000_000) + bytes(4096),
    "no first member": pack_member("k.points.npy", b"1") + END,
    "a member twice": pack_member("k.frame.json", b"{}") + pack_member("k.ring.npy", b"") * 2 + END,
    "two keys in a record": pack_member("k.frame.json", b"{}") + pack_member("j.checksum.json", b"{}") + END,
    "a key twice": record() * 2 + END,
    "a record without an end": record()[: -1024 * 3] + END,
    "no checksums": pack_member("k.frame.json", b"{}") + pack_member("k.checksum.json", b"{}") + END,
    "checksums of others": record("a")[:-2048] + record("b") + END,
    "checksums of fewer members": pack_member("k.frame.json", b"{}")
    + pack_member("k.checksum.json", sealed({})["checksum.json"])
    + END,
    "no format": record(frame__json=b"{}") + END,
    "no JSON": record(frame__json=b"[" * 100_000) + END,
    "JSON, but no mapping": record(frame__json=b"[]") + END,
    "a pose of text": record(frame__json=told(world_from_lidar="up")) + END,
    "a pose of NaN": record(frame__json=told(world_from_lidar=[[float("nan")] * 4] * 4)) + END,
    "an infinite stamp": record(frame__json=told(stamp_ns=float("inf"))) + END,
    "members that are none": record(frame__json=told(members=[{}])) + END,
    "no views": record(frame__json=told(views=7)) + END,
    "no class set": record(frame__json=told(provenance={"class_set": {"classes": []}})) + END,
    "no points": record(points__npy=None) + END,
    "a huge array": record(points__npy=lying("(99999999999, 3)")) + END,
    "a pickle": record(points__npy=PICKLE) + END,
    "other lengths": record(ring__npy=lying("(1,)")) + END,
    "an image that is none": record(view0__png=b"\x89PNG\r\n\x1a\n" + bytes(50)) + END,
    "an image that fills the memory": record(view0__png=BOMB + bytes(50)) + END,
    "no image": record(view0__png=None) + END,
    "classes that are none": record(view1__truth__png=b"\x89PNG\r\n\x1a\n" + bytes(50)) + END,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_no_file_does_more_than_raise(what: str, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "shard_000000.tar").write_bytes(HOSTILE[what])
    with pytest.raises(BadDataset, match=r"shard_000000\.tar"):
        read_all(folder)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left <= {"shards", "shards/shard_000000.tar", "shards/shard_000000.index.json"}


def test_a_record_that_is_right_is_read(tmp_path: Path) -> None:
    """Else the tests above would pass whatever is wrong with their records."""
    (tmp_path / "shard_000000.tar").write_bytes(record() + END)
    assert read_all(tmp_path) == [bits(frame_of(0)[0])]


def test_a_record_in_two_shards_is_refused(tmp_path: Path) -> None:
    write_frames(tmp_path, 2, ROOMY)
    (tmp_path / "shard_000001.tar").write_bytes((tmp_path / "shard_000000.tar").read_bytes())
    with pytest.raises(BadDataset, match=r"shard_000000\.tar, .*shard_000001\.tar: remove the copy"):
        ShardReader(tmp_path)


def test_what_is_no_shard_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="found none"):
        ShardReader(tmp_path)
    with pytest.raises(BadDataset, match="No such file"):
        ShardReader(tmp_path / "absent")
    (tmp_path / "shard_000000.tar").mkdir()
    with pytest.raises(BadDataset, match="Cannot read"):
        ShardReader(tmp_path)


def test_mangled_shards_raise_nothing_but_their_own_error(tmp_path: Path) -> None:
    good, rng = record("a") + record("b") + END, random.Random(4)
    shard = tmp_path / "shard_000000.tar"
    for _ in range(150):
        content = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            start = rng.randrange(len(content))
            kind = rng.randrange(4)
            if kind == 0:
                del content[start : start + rng.choice((1, 512, 1024))]
            elif kind == 1:
                content[start:start] = rng.randbytes(rng.choice((1, 512)))
            elif kind == 2:
                content[start : start + 4] = rng.randbytes(4)
            else:
                content += content[start // 512 * 512 : start // 512 * 512 + 512 * rng.randrange(1, 9)]
        shard.write_bytes(content)
        with pytest.raises(BadDataset):
            read_all(tmp_path)
