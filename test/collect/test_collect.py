"""`clip2scene collect` as its user meets it: a bag in, shards out that everything else here reads."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import clip2scene
from shard_frames import bits
from small_street import (
    BASE_FROM_CAMERA,
    BASE_FROM_LIDAR,
    CAMERA,
    START_NS,
    STEP_NS,
    scan_and_labels,
    write_street,
)

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.collect import recorder
from clip2scene_ros.collect.sets import Job, Outcome
from clip2scene_ros.collect.teacher import dense_of
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import Segmentation
from clip2scene_ros.io.bag_messages import odometry_message
from clip2scene_ros.io.bags import BagReader, BagWriter, cloud_message, string_message
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.io.pointcloud import pack
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.offline import CLASS_SET, LABELS
from clip2scene_ros.teacher.label_folder import write_classes, write_teacher_image

WORLD = load_class_set("world")
CLOUDS = 12
ALL = ("--choice.min-interval-s", "0", "--shards.min-free-gb", "0")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_street(tmp_path_factory.mktemp("street") / "drive.mcap", CLOUDS)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return label images for the street: the lower half `driveable surface`, the upper `car`."""
    folder = tmp_path_factory.mktemp("seen")
    ids = np.full((90, 160), WORLD.index("car"), np.uint8)
    ids[45:] = WORLD.index("driveable surface")
    write_classes(folder, WORLD)
    for i in range(0, CLOUDS, 3):
        write_teacher_image(folder, "cam_front", START_NS + i * STEP_NS, ids)
    return folder


def collect(bag: Path, out: Path, seen: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return clip2scene("collect", bag, "--out", out, "--teacher", seen, *ALL, *words)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


def test_frames_with_their_labels_are_in_shards_that_inspect_calls_whole(
    street: Path, seen: Path, tmp_path: Path
) -> None:
    done = collect(street, tmp_path, seen, "--vehicle", "car-7")
    assert done.returncode == 0, done.stderr
    assert f"{CLOUDS - 1} frames kept of {CLOUDS - 1} sets" in done.stdout
    assert "too_few_views 1" in done.stdout  # the last scan is 100 ms from the last image
    reader = ShardReader(tmp_path)
    with BagReader(street) as bag:
        for record, expected in zip(reader, bag.frames(), strict=False):
            assert bits(record.frame.scan) == bits(expected.scan)
            assert record.provenance.vehicle == "car-7"
            (view,) = record.frame.views
            np.testing.assert_array_equal(view.image, expected.views[0].image)
            np.testing.assert_allclose(view.camera_from_lidar, expected.views[0].camera_from_lidar, atol=1e-12)
            assert record.labels is not None
            known = record.labels.class_id != 255
            assert known.mean() > 0.5
            assert set(record.labels.class_id[known]) <= {WORLD.index("car"), WORLD.index("driveable surface")}
    inspected = clip2scene("inspect", tmp_path)
    assert inspected.returncode == 0
    assert f"{CLOUDS - 1} records verified, 0 shards or records damaged" in inspected.stdout
    assert "(0 unfinished)" in inspected.stdout


def test_labels_are_those_of_clip2scene_label(street: Path, seen: Path, tmp_path: Path) -> None:
    from clip2scene_ros.io.pointcloud import unpack_labels

    collect(street, tmp_path / "shards", seen)
    assert clip2scene("label", street, "--out", tmp_path / "labels", "--teacher", seen).returncode == 0
    with BagReader(tmp_path / "labels" / "labels.mcap") as bag:
        labels = [unpack_labels(message)[1].class_id for _, message in bag.messages(LABELS)]
    for record, expected in zip(ShardReader(tmp_path / "shards"), labels, strict=False):
        assert record.labels is not None
        np.testing.assert_array_equal(record.labels.class_id, expected)


def test_the_same_bag_makes_the_same_shards_byte_by_byte(street: Path, seen: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert collect(street, tmp_path / name, seen, "--shards.max-shard-frames", "4").returncode == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one")) == 3


def test_for_privacy_images_are_dropped_and_labels_are_kept(street: Path, seen: Path, tmp_path: Path) -> None:
    assert collect(street, tmp_path, seen, "--shards.images", "drop").returncode == 0
    (shard,) = contents(tmp_path).values()
    assert b"\xff\xd8\xff" not in shard
    record = ShardReader(tmp_path)[0]
    assert record.frame.views == ()
    assert record.cameras == ("cam_front",)
    assert record.labels is not None
    assert (record.labels.class_id != 255).any()


def test_pretraining_reads_what_was_collected(street: Path, seen: Path, tmp_path: Path) -> None:
    from clip2scene_training.datasets.shards import ShardDataset, ShardLabels

    collect(street, tmp_path, seen)
    dataset = ShardDataset(tmp_path, with_images=True)
    assert len(dataset) == CLOUDS - 1
    assert len(set(dataset.scenes)) == 1
    assert len(ShardLabels(dataset)) == len(dataset)


def test_motion_of_the_odometry_chooses_frames(street: Path, seen: Path, tmp_path: Path) -> None:
    moving = tmp_path / "moving.mcap"
    with BagReader(street) as bag, BagWriter(moving) as out:
        for i in range(-4, CLOUDS + 4):
            pose, at = np.eye(4), START_NS + i * STEP_NS
            pose[0, 3] = i * 0.75
            out.write("/odom", odometry_message(pose, at), at)
        for topic, msgtype, at, data in bag.raw():
            out.write(topic, bag.decode(topic, msgtype, data), at, latched=topic in bag.latched)
    done = collect(moving, tmp_path / "shards", seen)
    stamps = [(record.frame.scan.stamp_ns - START_NS) // STEP_NS for record in ShardReader(tmp_path / "shards")]
    assert stamps == [0, 3, 6, 9], done.stdout
    poses = [record.frame.world_from_lidar for record in ShardReader(tmp_path / "shards")]
    assert [pose[0, 3] for pose in poses if pose is not None] == pytest.approx([0.9 + 0.75 * i for i in (0, 3, 6, 9)])


def test_a_calibration_file_places_the_cameras_instead_of_the_bag(street: Path, seen: Path, tmp_path: Path) -> None:
    camera_from_lidar = np.linalg.inv(BASE_FROM_CAMERA) @ BASE_FROM_LIDAR
    camera_from_lidar[0, 3] += 0.25
    save_calibration(tmp_path / "rig.yaml", {"cam_front": (CAMERA, camera_from_lidar)})
    assert collect(street, tmp_path / "shards", seen, "--calibration", tmp_path / "rig.yaml").returncode == 0
    (view,) = ShardReader(tmp_path / "shards")[0].frame.views
    np.testing.assert_allclose(view.camera_from_lidar, camera_from_lidar, atol=1e-9)
    wrong = collect(street, tmp_path / "more", seen, "--calibration", tmp_path / "none.yaml")
    assert wrong.returncode == 1
    assert "none.yaml" in wrong.stderr


def test_with_clip_the_features_of_images_tell_what_is_new(street: Path, tmp_path: Path) -> None:
    words = ("--clip.checkpoint", "tiny", "--classes", "world", "--text.cache", "", *ALL)
    kept = {}
    for least in ("0", "0.0001"):
        done = clip2scene("collect", street, "--out", tmp_path / least, *words, "--choice.min-novelty", least)
        assert done.returncode == 0, done.stderr
        kept[least] = [(r.frame.scan.stamp_ns - START_NS) // STEP_NS for r in ShardReader(tmp_path / least)]
    assert kept["0"] == list(range(CLOUDS - 1))
    images = [round(i / 3) for i in kept["0"]]  # each image has one colour, and goes with the scans that are nearest
    firsts = [images.index(k) for k in sorted(set(images))]
    assert kept["0.0001"] == firsts[: len(kept["0.0001"])]
    assert 1 < len(kept["0.0001"]) < len(images)


def test_where_student_and_teacher_agree_nothing_is_kept(street: Path, seen: Path, tmp_path: Path) -> None:
    collect(street, tmp_path / "all", seen)
    taught = {r.frame.scan.stamp_ns: r.labels.class_id for r in ShardReader(tmp_path / "all") if r.labels is not None}
    with_student = tmp_path / "student.mcap"
    contrary = START_NS + 4 * STEP_NS
    with BagReader(street) as bag, BagWriter(with_student) as out:
        out.write(CLASS_SET, string_message(WORLD.to_json()), START_NS, latched=True)
        for topic, msgtype, at, data in bag.raw():
            out.write(topic, bag.decode(topic, msgtype, data), at, latched=topic in bag.latched)
            if topic == "/points" and at in taught:
                ids = np.zeros_like(taught[at]) if at == contrary else taught[at]
                n = len(ids)
                segmentation = Segmentation(ids, np.ones(n, np.float32), np.zeros(n, np.float32))
                scan, _ = scan_and_labels((at - START_NS) // STEP_NS)
                out.write(LABELS, cloud_message(pack(scan, segmentation), at, "lidar_top"), at)
    done = collect(with_student, tmp_path / "some", seen, "--choice.min-disagreement", "0.2")
    assert done.returncode == 0, done.stderr
    assert [record.frame.scan.stamp_ns for record in ShardReader(tmp_path / "some")] == [contrary]
    assert "familiar 10" in done.stdout
    missing = collect(street, tmp_path / "none", seen, "--choice.min-disagreement", "0.2")
    assert missing.returncode == 1
    assert LABELS in missing.stderr


def test_a_cloud_that_cannot_be_read_costs_itself(seen: Path, tmp_path: Path) -> None:
    bag = write_street(tmp_path / "drive.mcap", CLOUDS, broken=4)
    done = collect(bag, tmp_path / "shards", seen)
    assert done.returncode == 0
    assert "bad_cloud." in done.stdout
    assert len(ShardReader(tmp_path / "shards")) == CLOUDS - 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--choice.min-novelty", "2"), 2, "choice.min_novelty"),
        (("--choice.no-such", "2"), 2, "--choice.no-such"),
        (("--vehicle", "my car"), 1, "vehicle"),
        (("--labeler.sweeps", "2"), 1, "labeler.sweeps"),
        (("--sync.policy", "exact_time"), 1, "sync.policy"),
        (("--topic", "/nothing"), 1, "/nothing"),
        (("--sync.offsets-ms", "rear: 3"), 1, "rear"),
        (("--choice.max-per-hour", "0.5"), 2, "max-per-hour"),
    ],
)
def test_wrong_arguments_are_named(
    street: Path, seen: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    done = collect(street, tmp_path / "shards", seen, *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not list(tmp_path.rglob("*.tar"))


def test_dense_settings_are_checked() -> None:
    assert dense_of("short_side_px: 224, scales: '0.5,1'") == {"short_side_px": 224, "scales": "0.5,1"}
    assert dense_of("") == {}
    for wrong in ("short_side_px", "short_side_px: tall", "no_such: 1", "{", "- 1"):
        with pytest.raises(BadConfig):
            dense_of(wrong)


def test_a_broken_bag_and_one_without_cameras_are_named(street: Path, seen: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(street.read_bytes()[:20_000])
    done = collect(broken, tmp_path / "shards", seen)
    assert (done.returncode, "broken.mcap" in done.stderr) == (1, True)
    scan, _ = scan_and_labels(0)
    with BagWriter(tmp_path / "blind.mcap") as out:
        from clip2scene_ros.io.pointcloud import pack_points

        out.write("/points", cloud_message(pack_points(scan), START_NS, "lidar_top"), START_NS)
    done = collect(tmp_path / "blind.mcap", tmp_path / "shards", seen)
    assert (done.returncode, "camera_info" in done.stderr) == (1, True)
    assert not (tmp_path / "shards").exists()


def test_shards_that_are_there_are_added_to_only_when_asked(street: Path, seen: Path, tmp_path: Path) -> None:
    assert collect(street, tmp_path, seen).returncode == 0
    again = collect(street, tmp_path, seen)
    assert (again.returncode, "--append" in again.stderr) == (1, True)
    assert collect(street, tmp_path, seen, "--append").returncode == 0
    assert len(ShardReader(tmp_path)) == 2 * (CLOUDS - 1)


def test_a_full_quota_ends_it_with_what_was_kept_as_whole_shards(street: Path, seen: Path, tmp_path: Path) -> None:
    done = collect(street, tmp_path, seen, "--shards.quota-gb", "0.0001")
    assert done.returncode == 1
    assert "quota_gb" in done.stderr
    assert "store.quota 1" in done.stdout
    kept = len(ShardReader(tmp_path))
    assert 0 < kept < CLOUDS - 1
    assert f"{kept} frames kept" in done.stdout
    assert not list(tmp_path.glob("*.partial"))


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Press Ctrl-C in the middle of the third frame."""
    record, count = recorder.Recorder.record, iter(range(100))

    def press(self: recorder.Recorder, job: Job) -> Outcome:
        if next(count) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return record(self, job)

    monkeypatch.setattr(recorder.Recorder, "record", press)
    return


@pytest.mark.usefixtures("interrupted")
def test_ctrl_c_leaves_whole_shards_with_the_frame_in_hand(street: Path, seen: Path, tmp_path: Path) -> None:
    done = collect(street, tmp_path, seen)
    assert done.returncode == 130
    assert "3 frames kept of 3 sets" in done.stdout
    assert len(ShardReader(tmp_path)) == 3
    assert not list(tmp_path.glob("*.partial"))
