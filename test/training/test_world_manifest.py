"""The manifest tells an unchanged frame, one that differs in last bits, and another one from each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import CameraModel, Frame, Scan, View
from clip2scene_training.world import manifest
from clip2scene_training.world.manifest import CHANGED, EXACT, WITHIN, compare, fingerprint
from clip2scene_training.world.splits import FRAMES, SPLITS, Split

KEY = ("test", 300_000, 0)


@pytest.fixture
def frame() -> Frame:
    rng = np.random.default_rng(5)
    count = 3000
    scan = Scan(
        (np.rint(rng.normal(0, 1000, (count, 3))) / 100).astype(np.float32),
        rng.random(count, dtype=np.float32),
        ring=rng.integers(0, 32, count).astype(np.uint16),
    )
    views = tuple(
        View(name, rng.integers(0, 255, (9, 16, 3)).astype(np.uint8), CameraModel(16, 9, np.eye(3)), np.eye(4),
             labels=rng.integers(0, 15, (9, 16)).astype(np.uint8))
        for name in ("cam_front", "cam_back")
    )  # fmt: skip
    labels = rng.integers(0, 15, count).astype(np.uint8)
    return Frame(scan, views, np.eye(4), labels, rng.integers(0, 9, count).astype(np.uint16))


def with_points(frame: Frame, points: np.ndarray) -> Frame:
    return replace(frame, scan=replace(frame.scan, points=points.astype(np.float32)))


def state(there: Frame, here: Frame) -> str:
    return compare(KEY, fingerprint(there), fingerprint(here)).state


def test_the_same_frame_is_exact(frame: Frame) -> None:
    assert state(frame, with_points(frame, frame.scan.points + 1e-5)) == EXACT


def test_what_last_bits_do_is_within_tolerance(frame: Frame) -> None:
    labels = frame.labels.copy()
    labels[:2] = (labels[:2] + 1) % 15  # two rays pass an edge
    points = frame.scan.points + np.random.default_rng(6).normal(0, 0.02, (3000, 3))
    assert state(frame, replace(with_points(frame, points), labels=labels)) == WITHIN


@pytest.mark.parametrize("change", ["labels", "points", "image", "cameras"])
def test_another_frame_is_changed(frame: Frame, change: str) -> None:
    view = frame.views[0]
    other = {
        "labels": replace(frame, labels=np.where(np.arange(3000) < 30, 3, frame.labels).astype(np.uint8)),
        "points": with_points(frame, frame.scan.points + [0.1, 0, 0]),
        "image": replace(frame, views=(replace(view, image=view.image // 8 * 8), frame.views[1])),
        "cameras": replace(frame, views=frame.views[:1]),
    }[change]
    assert state(frame, other) == CHANGED


@pytest.mark.parametrize("what", ["instances", "ring", "intensity", "pixel labels"])
def test_every_part_of_a_frame_is_in_a_checksum(frame: Frame, what: str) -> None:
    scan, view = frame.scan, frame.views[1]
    other = {
        "instances": replace(frame, instances=frame.instances[::-1].copy()),
        "ring": replace(frame, scan=replace(scan, ring=scan.ring[::-1].copy())),
        "intensity": replace(frame, scan=replace(scan, intensity=scan.intensity[::-1].copy())),
        "pixel labels": replace(frame, views=(frame.views[0], replace(view, labels=view.labels[::-1].copy()))),
    }[what]
    assert state(frame, other) == WITHIN


@pytest.fixture
def small_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two splits of one scene each, driven without a world: the frame of a key is drawn from the key."""
    for name in manifest.FROZEN:
        monkeypatch.setitem(SPLITS, name, Split(name, SPLITS[name].seeds[:1], SPLITS[name].config))

    def scene(job: tuple[str, int, tuple[int, ...]]) -> list[tuple[manifest.Key, manifest.Fingerprint]]:
        split, seed, numbers = job
        return [
            (
                (split, seed, i),
                manifest.Fingerprint(f"{seed}", f"{i}", (100 + i,) * 15, (0.0, 1.0, 2.0), ((9.0, 8.0, 7.5),)),
            )
            for i in numbers
        ]

    monkeypatch.setattr(manifest, "_scene", scene)


@pytest.mark.usefixtures("small_splits")
def test_a_written_manifest_is_read_back_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    manifest.write_manifest(path)
    assert set(manifest.read_manifest(path)) == set(manifest.key_frames())
    assert len(manifest.key_frames()) == 2 * FRAMES
    assert {row.state for row in manifest.check_manifest(path=path)} == {EXACT}
    content = json.loads(path.read_text())
    content["splits"]["test"]["scenes"]["300000"][2][0] = "another scan"
    content["splits"]["test"]["scenes"]["300000"][2][2][3] += 50
    path.write_text(json.dumps(content))
    states = {row.key: row.state for row in manifest.check_manifest(path=path)}
    assert [key for key, is_ in states.items() if is_ != EXACT] == [("test", 300_000, 2)]
    assert states["test", 300_000, 2] == CHANGED
    assert [row.state for row in manifest.check_manifest([("ood", 400_000, 2)], path=path)] == [EXACT]
    with pytest.raises(BadDataset, match="no frame"):
        manifest.check_manifest([("test", 1, 0)], path=path)


@pytest.mark.usefixtures("small_splits")
@pytest.mark.parametrize(
    ("edit", "reason"),
    [(("world", "world-99"), "version"), (("splits", {}), "settings"), (("splits", [1]), "manifest")],
)
def test_a_manifest_of_another_world_is_refused(tmp_path: Path, edit: tuple[str, object], reason: str) -> None:
    path = tmp_path / "world.json"
    manifest.write_manifest(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, edit[0]: edit[1]}))
    with pytest.raises(BadDataset) as raised:
        manifest.read_manifest(path)
    assert raised.value.reason == reason


def test_the_frozen_world_is_still_what_it_was() -> None:
    if not manifest.default_path().is_file():
        pytest.skip("the world is not frozen yet: there is no manifest of this version")
    keys = [("test", 300_000, 0), ("test", 300_020, 5), ("ood", 400_010, 3)]
    wrong = [row for row in manifest.check_manifest(keys) if row.state == CHANGED]
    assert not wrong
