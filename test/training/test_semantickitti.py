"""SemanticKITTI scans, labels, poses: real files where they are, written ones for every layout and fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.errors import BadCalibration, BadDataset
from clip2scene_ros.geometry import transform
from clip2scene_training.datasets.semantickitti import (
    SemanticKittiDataset,
    read_calibration,
    read_labels,
    read_poses,
    read_velodyne,
)

TR = "Tr: 0 -1 0 0.1 0 0 -1 -0.2 1 0 0 -0.3"


def write_sequence(folder: Path, scans: int = 3, *, labels: bool = True, poses: bool = True) -> Path:
    (folder / "velodyne").mkdir(parents=True)
    (folder / "labels").mkdir()
    random = np.random.default_rng(0)
    for i in range(scans):
        random.normal(size=(10, 4)).astype("<f4").tofile(folder / "velodyne" / f"{i:06d}.bin")
        if labels:
            raw = np.array([0, 10, 40, 252, 259, 99, 71, 44, 30, 81], "<u4") + (np.arange(10, dtype="<u4") << 16)
            raw.tofile(folder / "labels" / f"{i:06d}.label")
    if poses:
        (folder / "calib.txt").write_text(f"P0: {' '.join('1' * 12)}\n{TR}\n")
        rows = [f"1 0 0 0 0 1 0 0 0 0 1 {i}" for i in range(scans)]  # the camera drives along its z
        (folder / "poses.txt").write_text("\n".join(rows) + "\n")
        (folder / "times.txt").write_text("\n".join(f"{0.1037 * i:e}" for i in range(scans)))
    return folder


@pytest.mark.parametrize("above", ["sequences", "dataset/sequences"])
def test_scans_come_with_labels_instances_stamps_and_poses(tmp_path: Path, above: str) -> None:
    write_sequence(tmp_path / above / "00")
    write_sequence(tmp_path / above / "08", scans=2)
    dataset = SemanticKittiDataset(tmp_path, ("00", "08"))
    assert len(dataset) == 5
    frame = dataset[2]
    assert frame.labels is not None
    assert frame.instances is not None
    assert frame.world_from_lidar is not None
    names = ["?" if i == 255 else dataset.class_set.names[i] for i in frame.labels]
    assert names == ["?", "car", "road", "car", "other vehicle", "?", "trunk", "parking", "person", "traffic sign"]
    assert frame.instances.tolist() == list(range(10))
    assert frame.scan.stamp_ns == 207_400_000
    # the camera looks along the LiDAR's x: two metres further on, in the LiDAR's own axes
    np.testing.assert_allclose(frame.world_from_lidar[:3, 3], [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(frame.world_from_lidar[:3, :3], np.eye(3), atol=1e-12)


def test_test_sequences_have_neither_labels_nor_poses(tmp_path: Path) -> None:
    write_sequence(tmp_path / "sequences" / "11", labels=False, poses=False)
    frame = SemanticKittiDataset(tmp_path, ("11",))[1]
    assert (frame.labels, frame.instances, frame.world_from_lidar) == (None, None, None)
    assert frame.scan.stamp_ns == 100_000_000


def test_faults_are_named(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "sequences" / "00")
    with pytest.raises(BadDataset, match="sequences/99/velodyne, but found none"):
        SemanticKittiDataset(tmp_path, ("99",))
    np.zeros(9, "<u4").tofile(folder / "labels" / "000000.label")
    with pytest.raises(BadDataset, match="10 points, but got 9"):
        _ = SemanticKittiDataset(tmp_path, ("00",))[0]
    for size in (36, 163):  # a whole number too few or three bytes too many
        (folder / "velodyne" / "000001.bin").write_bytes(bytes(size))
        with pytest.raises(BadDataset, match=f"rows of 4 float32, 16 bytes, but got {size}"):
            _ = SemanticKittiDataset(tmp_path, ("00",))[1]
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(BadDataset, match=r"poses\.txt has 1 rows, but scan 2 needs one"):
        _ = SemanticKittiDataset(tmp_path, ("00",))[2]
    (folder / "poses.txt").write_text("1 0 0\n")
    with pytest.raises(BadDataset, match="expected 12 numbers"):
        SemanticKittiDataset(tmp_path, ("00",))
    (folder / "calib.txt").write_text("P0: 1 2 3\n")
    with pytest.raises(BadDataset, match="P0: expected 12 numbers"):
        read_calibration(folder / "calib.txt")
    (folder / "calib.txt").write_text("Tr: " + "2 " * 12)
    with pytest.raises(BadCalibration):
        read_calibration(folder / "calib.txt")
    (folder / "calib.txt").write_text("P0: " + "2 " * 12)
    with pytest.raises(BadDataset, match="expected a line `Tr"):
        read_calibration(folder / "calib.txt")
    with pytest.raises(BadDataset, match="Cannot read"):
        read_velodyne(tmp_path / "absent.bin")


def test_real_scan_and_labels_fit_each_other(shared_data: Callable[[str], Path], tmp_path: Path) -> None:
    source = shared_data("data/semantickitti")
    for kind, suffix in (("velodyne", "bin"), ("labels", "label")):
        (tmp_path / "sequences" / "00" / kind).mkdir(parents=True)
        (tmp_path / "sequences" / "00" / kind / f"000000.{suffix}").symlink_to(source / f"000000.{suffix}")
    dataset = SemanticKittiDataset(tmp_path, ("00",))
    frame = dataset[0]
    assert len(frame.scan) == 123_389
    assert 0.0 <= frame.scan.intensity.min() < frame.scan.intensity.max() <= 1.0
    raw, instances = read_labels(source / "000000.label")
    assert frame.labels is not None
    np.testing.assert_array_equal(frame.labels == 255, np.isin(raw, [0, 1, 52, 99]))
    road = frame.scan.points[frame.labels == dataset.class_set.index("road")]
    building = frame.scan.points[frame.labels == dataset.class_set.index("building")]
    assert np.median(road[:, 2]) == pytest.approx(-1.73, abs=0.2)  # the Velodyne is mounted 1.73 m above the road
    assert np.median(building[:, 2]) > 0
    cars = instances[frame.labels == dataset.class_set.index("car")]
    assert len(np.unique(cars)) > 3


def test_real_poses_bring_successive_scans_together(shared_data: Callable[[str], Path]) -> None:
    source = shared_data("data/kitti_odometry")
    poses = read_poses(source / "poses_00_gt.txt", read_calibration(source / "calib.txt")["Tr"])
    assert poses.shape == (4541, 4, 4)
    first, second = (read_velodyne(source / f"0000{n}.bin")[0].astype(np.float64) for n in (94, 95))

    def grid_overlap(second_from_first: np.ndarray) -> float:
        def cells(points: np.ndarray) -> set[tuple[int, ...]]:
            high = points[(np.linalg.norm(points, axis=1) < 40) & (points[:, 2] > -1.0)]
            return set(map(tuple, np.floor(high / 0.3).astype(int).tolist()))

        moved, there = cells(transform(second_from_first, first)), cells(second)
        return len(moved & there) / len(moved | there)

    true = np.linalg.inv(poses[95]) @ poses[94]
    assert -1.0 < true[0, 3] < -0.3  # one tenth of a second ahead in a street
    assert grid_overlap(true) > 1.3 * grid_overlap(np.eye(4))
    assert grid_overlap(true) > 1.3 * grid_overlap(np.linalg.inv(true))
