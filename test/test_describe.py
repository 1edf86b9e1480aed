"""`clip2scene inspect` tells what bags, weights and class sets hold; shards are in test_shard_report.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.numpy
from command_line import clip2scene, one_line_error
from small_street import write_street, write_student

from clip2scene_ros.report.evaluation import sha256_of
from clip2scene_ros.teacher.clip import METADATA_KEY as CLIP
from clip2scene_ros.teacher.teachers import TINY_CLIP


def test_inspect_tells_what_a_bag_holds(tmp_path: Path) -> None:
    run = clip2scene("inspect", write_street(tmp_path / "drive.mcap"))
    assert run.returncode == 0, run.stderr
    for words in (
        "0.250 s",
        "/points",
        "sensor_msgs/msg/PointCloud2",
        "intensity    float32 @12",
        "600 points",
        "version boxes",
        "car",
    ):
        assert words in run.stdout


def test_inspect_tells_what_a_checkpoint_and_a_class_set_hold(tmp_path: Path, project: Path) -> None:
    student = write_student(tmp_path / "random.safetensors")
    run = clip2scene("inspect", student)
    assert run.returncode == 0, run.stderr
    for words in ("random weights, for tests only", "none: learned with labels", "preset tiny", sha256_of(student)):
        assert words in run.stdout
    run = clip2scene("inspect", project / "config" / "classes" / "world.yaml")
    assert "class set world: 15 classes" in run.stdout
    assert "#ebeb" not in run.stdout


def test_inspect_tells_what_a_clip_is() -> None:
    run = clip2scene("inspect", TINY_CLIP)
    assert run.returncode == 0, run.stderr
    for words in ("CLIP ", "name: tiny_clip", "'embed_dim': 128", "scales 1, 2", "captions", sha256_of(TINY_CLIP)):
        assert words in run.stdout


def test_a_clip_whose_card_is_damaged_is_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({}, tmp_path / "clip.safetensors", {CLIP: '{"format": 1}'})
    one_line_error(clip2scene("inspect", tmp_path / "clip.safetensors"), "clip.safetensors: its card")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.mcap", None, ("There is no",)),
        ("notes.txt", b"hello", ("expected a bag",)),
        ("broken.safetensors", b"\xff" * 40, ("broken.safetensors",)),
        ("broken.yaml", b"classes: [", ("not valid YAML",)),
        ("folder", b"", ("metadata.yaml",)),
    ],
)
def test_inspect_refuses_in_one_line(name: str, content: bytes | None, words: tuple[str, ...], tmp_path: Path) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    one_line_error(clip2scene("inspect", tmp_path / name), *words)
