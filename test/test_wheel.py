"""The wheel, one command after the other on one drive: collect, inspect, pretrain, compare, segment, evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import clip2scene
from small_street import write_clip, write_street, write_student

from clip2scene_ros import terminal
from clip2scene_ros.compare import pictures as compare_pictures
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.offline import LABELS
from clip2scene_ros.report.evaluation import sha256_of
from clip2scene_ros.student.checkpoint import load_checkpoint
from clip2scene_ros.teacher.openclip import open_clip

NOBODY = "no point and no pixel was labelled by a person"


def test_what_was_collected_becomes_a_student_that_drives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")
    pytest.importorskip("lightning_fabric", reason="lightning-fabric is not installed (extra `train`)")
    monkeypatch.setattr(compare_pictures, "SHOT_PX", 64)
    monkeypatch.setattr(compare_pictures, "BIRD_PX", 64)
    bag, shards, new = write_street(tmp_path / "drive.mcap", 9), tmp_path / "shards", tmp_path / "new.safetensors"
    clip, old = write_clip(tmp_path / "clip.safetensors"), write_student(tmp_path / "old.safetensors")
    sees = ("--clip.checkpoint", clip, "--clip.device", "cpu", "--text.cache", "")

    def run(*words: str | Path, code: int = 0) -> str:
        done = clip2scene(*words)
        assert done.returncode == code, f"{words[0]}: {done.stderr}"
        return done.stdout

    free = ("--choice.min-interval-s", "0", "--shards.min-free-gb", "0")
    collected = run("collect", bag, "--out", shards, "--classes", "world", "--vehicle", "car-7", *sees, *free)
    assert "8 frames kept" in collected
    assert "8 records verified, 0 shards or records damaged" in run("inspect", shards)

    small = ("--network.width", "0.25", "--sweeps.count", "1", "--batch-size", "1", "--steps", "3")
    run("pretrain", shards, "--out", new, "--labels", tmp_path / "features", *sees, *small)
    _, card = load_checkpoint(new)
    assert card.notice.startswith(f"learned from the labels of small that car-7 has collected; {NOBODY}")

    compared = clip2scene("compare", old, new, bag, "--out", tmp_path / "compared", "--teacher", "none")
    assert compared.returncode in (terminal.OK, terminal.WORSE), compared.stderr
    told = json.loads((tmp_path / "compared" / "report.json").read_text())
    assert [told["checkpoints"][name]["sha256"] for name in "AB"] == [sha256_of(old), sha256_of(new)]

    run("segment", bag, "--out", tmp_path / "labelled.mcap", "--checkpoint", new)
    with BagReader(tmp_path / "labelled.mcap") as labelled:
        assert labelled.topics[LABELS][1] == 9
    run("evaluate", bag, "--out", tmp_path / "results", "--checkpoint", new)
    report = json.loads((tmp_path / "results" / "report.json").read_text())
    assert report["frames"] == 9
    assert report["weights_sha256"] == sha256_of(new)
    assert any(NOBODY in note for note in report["notes"])
    assert 0 <= report["miou"] <= 1
