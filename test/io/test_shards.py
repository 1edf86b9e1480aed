"""What is written into shards is read back bit by bit, by us and by anyone who knows tar, npy, JPEG, PNG and JSON."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tarfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shard_frames import CLASSES, PROVENANCE, ROOMY, bare, bits, frame_of, write_frames

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Frame
from clip2scene_ros.io.shards import Provenance, ShardReader, ShardWriter


def test_what_is_read_is_what_was_written_bit_by_bit(tmp_path: Path) -> None:
    keys = write_frames(tmp_path, 5)
    reader = ShardReader(tmp_path)
    assert reader.keys == keys
    assert len(reader) == 5
    for i in (3, 0, 4, 1, 2, -1):
        frame, labels, _ = frame_of(i % 5)
        record = reader[i]
        assert bits(record.frame) == bits(frame)
        assert bits(record.labels) == bits(labels)
        assert record.provenance == PROVENANCE
        assert record.key == keys[i]
        assert record.cameras == ("cam_0", "cam_1")
    assert [record.key for record in reader] == keys
    assert record.frame.scan.points.flags.writeable
    with pytest.raises(IndexError, match=r"0\.\.4"):
        reader[5]


@pytest.mark.parametrize("points", [0, 1, 40])
def test_what_a_frame_lacks_it_lacks_when_it_is_read(points: int, tmp_path: Path) -> None:
    frame = frame_of(0, points)[0]
    variants = [bare(frame), replace(bare(frame), labels=frame.labels), replace(frame, world_from_lidar=None), frame]
    with ShardWriter(tmp_path, Provenance("a"), ROOMY) as writer:
        for each in variants:
            writer.append(each)
    for record, each in zip(ShardReader(tmp_path), variants, strict=True):
        assert bits(record.frame) == bits(each)
        assert record.labels is None
        assert record.provenance == Provenance("a")


def test_any_tar_reader_finds_records_in_the_form_of_webdataset(tmp_path: Path) -> None:
    """Files of a sample follow each other and share the name up to the first dot; what follows tells how to decode."""
    keys = write_frames(tmp_path, 3)
    samples: dict[str, dict[str, bytes]] = defaultdict(dict)
    with tarfile.open(tmp_path / "shard_000000.tar") as tar:
        for member in tar:
            assert member.isreg()
            key, _, name = member.name.partition(".")
            assert key in (list(samples)[-1:] or [key]) or key not in samples
            samples[key][name] = tar.extractfile(member).read()
    assert list(samples) == keys
    for i, sample in enumerate(samples.values()):
        frame, labels, encoded = frame_of(i)
        scan = frame.scan
        arrays = {
            "points": scan.points, "intensity": scan.intensity, "ring": scan.ring, "time_ns": scan.time_ns,
            "class_id": labels.class_id, "confidence": labels.confidence, "truth": frame.labels,
            "instances": frame.instances,
        }  # fmt: skip
        for name, array in arrays.items():
            found = np.load(io.BytesIO(sample[f"{name}.npy"]), allow_pickle=False)
            assert bits(found) == bits(array)
        assert sample["view0.jpg"] == encoded["cam_0"]  # as it came
        assert np.array_equal(Image.open(io.BytesIO(sample["view1.png"])), frame.views[1].image)
        assert np.array_equal(Image.open(io.BytesIO(sample["view1.truth.png"])), frame.views[1].labels)
        told = json.loads(sample["frame.json"])
        assert told["stamp_ns"] == scan.stamp_ns
        assert told["world_from_lidar"] == frame.world_from_lidar.tolist()
        assert told["views"][1]["distortion"] == frame.views[1].camera.distortion.tolist()
        source = told["provenance"]
        assert (source["vehicle"], source["model_sha256"]) == ("car-7", "ab" * 32)
        assert source["class_set_sha256"] == hashlib.sha256(CLASSES.to_json().encode()).hexdigest()
        sums = json.loads(sample["checksum.json"])["members"]
        assert sums == {n: hashlib.sha256(c).hexdigest() for n, c in sample.items() if n != "checksum.json"}


def test_for_privacy_no_pixel_is_kept_but_all_else_is(tmp_path: Path) -> None:
    write_frames(tmp_path, 1, replace(ROOMY, images="drop"))
    frame, labels, _ = frame_of(0)
    record = ShardReader(tmp_path)[0]
    assert bits(record.frame) == bits(replace(frame, views=()))
    assert bits(record.labels) == bits(labels)
    assert record.cameras == ("cam_0", "cam_1")
    with tarfile.open(tmp_path / "shard_000000.tar") as tar:
        assert not [name for name in tar.getnames() if "view" in name]


def test_images_that_nobody_asks_for_are_not_read(tmp_path: Path) -> None:
    write_frames(tmp_path, 1)
    reader = ShardReader(tmp_path)
    place = next(m for m in reader.where(0)[1].members if m.name == "view0.jpg").offset
    shard = reader.paths[0]
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[place + 600] ^= 1
    shard.write_bytes(content)
    reader = ShardReader(tmp_path)
    assert bits(reader.record(0, images=False).frame) == bits(replace(frame_of(0)[0], views=()))
    with pytest.raises(BadDataset, match=r"view0\.jpg"):
        reader.record(0)


def test_a_reader_goes_to_other_processes(tmp_path: Path) -> None:
    write_frames(tmp_path, 2)
    reader = ShardReader(tmp_path)
    bits(reader[0])
    assert bits(pickle.loads(pickle.dumps(reader))[1].frame) == bits(reader[1].frame)


def test_one_shard_is_read_as_well_as_a_folder_of_them(tmp_path: Path) -> None:
    keys = write_frames(tmp_path, 5, replace(ROOMY, max_shard_frames=2))
    assert ShardReader(tmp_path).keys == keys
    assert ShardReader(tmp_path / "shard_000001.tar").keys == keys[2:4]


def _other(frame: Frame, what: str) -> tuple[Frame, dict[str, bytes]]:
    scan, view = frame.scan, frame.views[0]
    return {
        "points": (replace(frame, scan=replace(scan, points=scan.points.astype(np.float64))), {}),
        "time_ns": (replace(frame, scan=replace(scan, time_ns=scan.time_ns.astype(np.int32))), {}),
        "world_from_lidar": (replace(frame, world_from_lidar=np.full((4, 4), np.nan)), {}),
        "matrix": (replace(frame, views=(replace(view, camera=replace(view.camera, matrix=np.eye(2))),)), {}),
        "pixels": (replace(frame, views=(replace(view, image=view.image.astype(np.float32)),)), {}),
        "GIF": (frame, {"cam_0": b"GIF89a..."}),
        "JPEG": (frame, {"cam_0": b"\xff\xd8\xff but no more"}),
        "pixels of cam_1": (frame, {"cam_1": frame_with_larger_image()}),
    }[what]


def frame_with_larger_image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (10, 10)).save(file, "PNG")
    return file.getvalue()


REFUSED = ("points", "time_ns", "world_from_lidar", "matrix", "pixels", "GIF", "JPEG", "pixels of cam_1")


@pytest.mark.parametrize("what", REFUSED)
def test_what_could_not_be_read_back_is_not_written(what: str, tmp_path: Path) -> None:
    good = frame_of(0)[0]
    frame, encoded = _other(frame_of(1)[0], what)
    with ShardWriter(tmp_path, PROVENANCE, ROOMY) as writer:
        writer.append(good)
        with pytest.raises(BadDataset, match="JPEG or PNG" if what == "GIF" else what):
            writer.append(frame, encoded=encoded)
        writer.append(good)
    assert [bits(record.frame) for record in ShardReader(tmp_path)] == [bits(good)] * 2
