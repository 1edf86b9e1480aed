"""`clip2scene inspect SHARDS` counts what is there, finds what is damaged, and draws what was collected."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import clip2scene
from PIL import Image
from shard_frames import PROVENANCE, ROOMY, frame_of, write_frames

from clip2scene_ros.classes import parse_words
from clip2scene_ros.errors import BadConfig, BadDataset
from clip2scene_ros.frame import PseudoLabels
from clip2scene_ros.io.shards import ShardReader, ShardWriter
from clip2scene_ros.shard_report import describe_survey, survey
from clip2scene_ros.shard_sheet import write_sheet


def flip(shard: Path, offset: int) -> None:
    shard.chmod(0o644)
    content = bytearray(shard.read_bytes())
    content[offset] ^= 4
    shard.write_bytes(content)


def test_everything_is_counted(tmp_path: Path) -> None:
    write_frames(tmp_path, 5, replace(ROOMY, max_shard_frames=2))
    labels = [frame_of(i)[1] for i in range(5)]
    found = survey(tmp_path)
    assert len(found.records) == 5
    assert (found.points, found.views, found.with_truth, found.damaged, found.torn) == (200, 10, 5, [], {})
    assert dict(found.cameras) == {"cam_0": 5, "cam_1": 5}
    all_ids = np.concatenate([each.class_id for each in labels])
    assert [found.class_points[c] for c in (0, 1, 2, 255)] == [int((all_ids == c).sum()) for c in (0, 1, 2, 255)]
    assert [found.class_frames[c] for c in range(3)] == [sum(c in each.class_id for each in labels) for c in range(3)]
    assert found.labelled == int((all_ids != 255).sum())
    sure = np.concatenate([each.confidence for each in labels])[all_ids != 255]
    assert found.confidence == pytest.approx(float(sure.sum()), rel=1e-5)
    sizes = {"tar headers and padding": 0}
    for shard in tmp_path.glob("*.tar"):
        with tarfile.open(shard) as tar:
            for member in tar:
                name = member.name.partition(".")[2]
                kind = "views" + name[len("view0") :] if name.startswith("view") else name
                sizes[kind] = sizes.get(kind, 0) + member.size
                sizes["tar headers and padding"] += 512 + -member.size % 512
    assert dict(found.member_bytes) == sizes
    assert found.shard_bytes == sum(shard.stat().st_size for shard in tmp_path.glob("*.tar"))
    assert found.shard_bytes == sum(sizes.values()) + 3 * 1024  # each shard has its end


def test_what_is_damaged_or_torn_is_named_and_the_rest_counted(tmp_path: Path) -> None:
    keys = write_frames(tmp_path, 6, replace(ROOMY, max_shard_frames=2))
    place = next(m for m in ShardReader(tmp_path).where(3)[1].members if m.name == "view1.png")
    flip(tmp_path / "shard_000001.tar", place.offset + 600)
    third = tmp_path / "shard_000002.tar"
    third.chmod(0o644)
    third.write_bytes(third.read_bytes()[:-700])
    partial = tmp_path / "shard_000003.tar.partial"
    partial.write_bytes(
        (tmp_path / "shard_000000.tar").read_bytes()[:-1024].replace(b"000000-000_", b"000000-009_")[:99]
    )
    found = survey(tmp_path)
    text = describe_survey(found)
    assert len(found.records) == 3
    assert f"record {keys[3]}, member view1.png is damaged" in text
    assert "shard_000002.tar: expected the end" in text
    assert "torn tail, or being written: shard_000003.tar.partial, 99 bytes" in text
    with pytest.raises(BadDataset, match="2 shards or records are damaged"):
        found.check()


def test_a_copy_of_a_shard_is_not_counted_again(tmp_path: Path) -> None:
    keys = write_frames(tmp_path, 2)
    (tmp_path / "shard_000001.tar").write_bytes((tmp_path / "shard_000000.tar").read_bytes())
    found = survey(tmp_path)
    assert len(found.records) == 2
    assert all(f"record {key} is in" in text for key, text in zip(keys, found.damaged, strict=True))


def test_class_sets_that_differ_are_not_counted_together(tmp_path: Path) -> None:
    write_frames(tmp_path, 1)
    with ShardWriter(tmp_path, replace(PROVENANCE, class_set=parse_words("bus; tree")), ROOMY) as writer:
        writer.append(frame_of(1)[0])
    assert "not counted together" in describe_survey(survey(tmp_path))


@pytest.mark.parametrize(("views", "size"), [(0, (344, 344)), (1, (648, 344)), (2, (648, 454))])
def test_the_sheet_shows_scans_and_views(views: int, size: tuple[int, int], tmp_path: Path) -> None:
    write_frames(tmp_path, 3, views=views)
    write_sheet(tmp_path / "sheet.jpg", survey(tmp_path))
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.size == (2 * size[0] + 4, 2 * size[1] + 4)


def test_the_sheet_has_the_colours_of_the_labels(tmp_path: Path) -> None:
    frame, labels, _ = frame_of(0, points=3000, views=0)
    pictures = []
    for class_id in (0, 1):
        one = PseudoLabels(np.full_like(labels.class_id, class_id), labels.confidence)
        with ShardWriter(tmp_path / str(class_id), PROVENANCE, ROOMY) as writer:
            writer.append(frame, one)
        write_sheet(tmp_path / "sheet.jpg", survey(tmp_path / str(class_id)))
        pictures.append(np.asarray(Image.open(tmp_path / "sheet.jpg"), np.float64)[60:280, 60:280].mean(axis=(0, 1)))
    colours = PROVENANCE.class_set.palette[:2].astype(np.float64)
    moved, expected = pictures[1] - pictures[0], colours[1] - colours[0]
    assert moved @ expected > 0.9 * np.linalg.norm(moved) * np.linalg.norm(expected) > 0


def test_a_sheet_is_a_jpeg_of_something(tmp_path: Path) -> None:
    (tmp_path / "shard_000000.tar").write_bytes(bytes(1024))
    found = survey(tmp_path)
    with pytest.raises(BadConfig, match=r"sheet\.jpg"):
        write_sheet(tmp_path / "sheet.png", found)
    with pytest.raises(BadDataset, match="no whole record"):
        write_sheet(tmp_path / "sheet.jpg", found)
    assert not list(tmp_path.glob("sheet*"))


def test_the_command_inspects_a_folder_and_a_shard(tmp_path: Path) -> None:
    keys = write_frames(tmp_path, 3)
    run = clip2scene("inspect", tmp_path, "--out", tmp_path / "sheet.jpg")
    assert run.returncode == 0, run.stderr
    for words in ("3 records in 1 shards", "3 records verified", "car-7 (3)", "points.npy", "wall", "sheet.jpg"):
        assert words in run.stdout
    flip(tmp_path / "shard_000000.tar", 3000)
    run = clip2scene("inspect", tmp_path / "shard_000000.tar")
    assert keys[0] in run.stdout
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "1 shards or records are damaged" in run.stderr
