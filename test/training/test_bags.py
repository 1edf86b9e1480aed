"""A bag as a data set: any frame in any order equals the one recorded; the world's comes back bit for bit."""

from __future__ import annotations

import os

import numpy as np
import pytest
from small_street import scan_and_labels, write_street

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.errors import BadBag, BadDataset
from clip2scene_training.datasets.bags import BagDataset
from clip2scene_training.datasets.cache import load_frame, save_frame
from clip2scene_training.world.bag import write_bag
from clip2scene_training.world.config import LidarConfig, WorldConfig
from clip2scene_training.world.drive import Drive

SMALL = WorldConfig(duration_s=0.15, image_hz=2.0, lidar=LidarConfig(columns=90), image_width=64, image_height=36)


def test_the_worlds_frames_come_back_from_its_bag_bit_for_bit(tmp_path):
    write_bag(tmp_path / "drive.mcap", 3, SMALL.duration_s, config=SMALL)
    dataset = BagDataset(tmp_path / "drive.mcap", tmp_path / "cache", class_set=load_class_set("world"))
    drive = Drive(3, SMALL)
    assert len(dataset) == len(drive) == 3
    assert dataset.scenes == ["drive.mcap"] * 3
    for index in (2, 0, 1):
        frame, expected = dataset[index], drive.frame(index)
        assert np.array_equal(frame.labels, expected.labels)
        assert np.array_equal(frame.instances, expected.instances)
        assert np.array_equal(frame.scan.points, expected.scan.points)
        assert np.array_equal(frame.scan.ring, expected.scan.ring)
        assert frame.scan.stamp_ns == expected.scan.stamp_ns
        assert frame.views == ()


def test_bags_with_and_without_truth_and_images_are_read_in_any_order(tmp_path):
    paths = [write_street(tmp_path / "a.mcap", clouds=3), write_street(tmp_path / "b.mcap", clouds=2, truth=False)]
    dataset = BagDataset(paths, tmp_path / "cache", with_images=True)
    assert dataset.scenes == ["a.mcap"] * 3 + ["b.mcap"] * 2
    assert dataset[4].labels is None
    assert [view.name for view in dataset[0].views] == ["cam_front"]
    assert dataset[0].views[0].image.shape == (90, 160, 3)
    scan, labels = scan_and_labels(2)
    assert np.array_equal(dataset[2].labels, labels)
    assert np.array_equal(dataset[-3].scan.points, scan.points)
    with pytest.raises(IndexError):
        dataset[5]
    with pytest.raises(BadBag, match="expected ground truth"):
        BagDataset(paths, tmp_path / "cache", class_set=load_class_set("world"))


def test_bags_of_one_name_are_drives_of_their_own(tmp_path):
    (tmp_path / "monday").mkdir()
    (tmp_path / "tuesday").mkdir()
    monday, tuesday = (write_street(tmp_path / day / "drive.mcap", clouds=2) for day in ("monday", "tuesday"))
    both = BagDataset([monday, tuesday], tmp_path / "cache")
    assert both.scenes == ["drive.mcap"] * 2 + ["drive.mcap (2)"] * 2
    digests = {BagDataset(bags, tmp_path / "cache").digest for bags in ([monday], [tuesday], [monday, tuesday], [])}
    assert len(digests) == 4
    assert BagDataset([monday, tuesday], tmp_path / "cache").digest == both.digest


def test_a_bag_is_read_once_and_again_when_it_changed(tmp_path, monkeypatch):
    path = write_street(tmp_path / "a.mcap", clouds=3)
    BagDataset(path, tmp_path / "cache")
    monkeypatch.setattr(BagDataset, "_read", lambda self, path: pytest.fail("read again"))
    assert len(BagDataset([path], tmp_path / "cache")) == 3
    monkeypatch.undo()
    os.remove(path)
    write_street(path, clouds=2)
    assert len(BagDataset(path, tmp_path / "cache")) == 2
    with pytest.raises(BadBag, match="nowhere"):
        BagDataset(tmp_path / "nowhere.mcap", tmp_path / "cache")


@pytest.mark.parametrize("what", ["bag_*_000001.npz", "bag_*.json"])
def test_what_was_deleted_for_being_damaged_is_made_again(tmp_path, what):
    path = write_street(tmp_path / "a.mcap", clouds=3)
    BagDataset(path, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob(what)
    content = file.read_bytes()
    file.write_bytes(b"damaged")
    if file.suffix == ".npz":
        with pytest.raises(BadDataset, match=rf"{file.name} is not a frame .* delete it"):
            BagDataset(path, tmp_path / "cache")[1]
        file.unlink()
    assert len(BagDataset(path, tmp_path / "cache")) == 3
    assert file.read_bytes() == content


def test_a_frame_without_its_images_does_not_open_their_file_and_damage_is_named(tmp_path):
    frame = Drive(3, SMALL).frame(0, with_images=True)
    stem = tmp_path / "frame"
    save_frame(stem, frame)
    seen = load_frame(stem, with_images=True)
    for view, expected in zip(seen.views, frame.views, strict=True):
        assert np.array_equal(view.image, expected.image)
        assert np.array_equal(view.labels, expected.labels)
        assert np.array_equal(view.camera.distortion, expected.camera.distortion)
        assert (view.name, view.stamp_ns) == (expected.name, expected.stamp_ns)
    views = tmp_path / "frame.views.npz"
    views.write_bytes(b"damaged")
    assert np.array_equal(load_frame(stem).labels, frame.labels)
    with pytest.raises(BadDataset, match=r"frame\.views\.npz"):
        load_frame(stem, with_images=True)
