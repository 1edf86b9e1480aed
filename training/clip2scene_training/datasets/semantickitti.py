"""SemanticKITTI: Velodyne scans of KITTI odometry with a label per point.

Format: http://semantic-kitti.org/dataset.html. A scan is (N, 4) float32 x y z reflectance [0, 1]; a label is uint32,
class in the low 16 bits, instance in the high ones; poses are those of the left grey camera, `Tr` is
camera_from_lidar.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Array, Frame, Scan
from clip2scene_ros.geometry import check_rigid, compose, invert
from clip2scene_training.datasets.arrays import read_array

TRAIN_SEQUENCES = ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")
VALIDATION_SEQUENCES = ("08",)
SCAN_PERIOD_NS = 100_000_000
"""The LiDAR turns ten times a second: stamps where times.txt is missing."""


class SemanticKittiDataset:
    """Scans of SemanticKITTI, sequence by sequence in order.

    Args:
        root: the folder that holds `sequences/`, or `dataset/sequences/` as the archives unpack.
        sequences: names such as `08`.

    Raises:
        BadDataset: no such sequence, or one without scans.
    """

    def __init__(self, root: Path | str, sequences: Iterable[str] = TRAIN_SEQUENCES) -> None:
        self.root = Path(root)
        self.class_set: ClassSet = load_class_set("semantickitti")
        folder = self.root / "dataset" / "sequences"
        self._sequences = folder if folder.is_dir() else self.root / "sequences"
        self._scans: list[Path] = []
        self._poses: dict[Path, Array | None] = {}
        self._stamps: dict[Path, Array | None] = {}
        for name in sequences:
            self._add(self._sequences / name)

    def __len__(self) -> int:
        """Return the number of scans."""
        return len(self._scans)

    def __getitem__(self, index: int) -> Frame:
        """Read one scan.

        Labels are of class set `semantickitti`; labels, instances and pose are None where the sequence has none
        (the test sequences).

        Raises:
            BadDataset: a file is missing, of the wrong size, or shorter than the sequence.
        """
        path = self._scans[index]
        folder, number = path.parent.parent, int(path.stem)
        points, reflectance = read_velodyne(path)
        stamps = self._stamps[folder]
        scan = Scan(
            points=points,
            intensity=reflectance,
            stamp_ns=number * SCAN_PERIOD_NS if stamps is None else int(_row(stamps, number, folder / "times.txt")),
            frame_id="velodyne",
        )
        poses = self._poses[folder]
        label_path = folder / "labels" / f"{path.stem}.label"
        labels, instances = self._labels(label_path, len(scan)) if label_path.exists() else (None, None)
        return Frame(
            scan=scan,
            world_from_lidar=None if poses is None else _row(poses, number, folder / "poses.txt"),
            labels=labels,
            instances=instances,
        )

    def _labels(self, path: Path, points: int) -> tuple[Array, Array]:
        raw, instances = read_labels(path)
        if len(raw) != points:
            raise BadDataset("size", f"{path}: expected a label for each of {points} points, but got {len(raw)}.")
        return self.class_set.from_benchmark(raw), instances

    def _add(self, folder: Path) -> None:
        scans = sorted((folder / "velodyne").glob("*.bin"))
        if not scans:
            raise BadDataset("missing_sequence", f"Expected scans in {folder / 'velodyne'}, but found none.")
        self._scans += scans
        calibration, poses = folder / "calib.txt", folder / "poses.txt"
        known = calibration.exists() and poses.exists()
        self._poses[folder] = read_poses(poses, read_calibration(calibration)["Tr"]) if known else None
        times = folder / "times.txt"
        self._stamps[folder] = np.rint(_numbers(times, 1)[:, 0] * 1e9).astype(np.int64) if times.exists() else None


def read_velodyne(path: Path | str) -> tuple[Array, Array]:
    """Return (N, 3) float32 points [m] and (N,) float32 reflectance in [0, 1] of a KITTI scan.

    Raises:
        BadDataset: no such file, or not rows of four float32.
    """
    rows = read_array(Path(path), np.dtype("<f4"), 4)
    return np.ascontiguousarray(rows[:, :3]), np.ascontiguousarray(rows[:, 3])


def read_labels(path: Path | str) -> tuple[Array, Array]:
    """Return (N,) uint16 raw class ids and (N,) uint16 instances (0: none) of a .label file.

    Raises:
        BadDataset: no such file, or not a uint32 a point.
    """
    raw = read_array(Path(path), np.dtype("<u4"))
    return (raw & 0xFFFF).astype(np.uint16), (raw >> 16).astype(np.uint16)


def read_calibration(path: Path | str) -> dict[str, Array]:
    """Return the (3, 4) float64 matrices of a KITTI calib.txt by name, `Tr` as a checked (4, 4) camera_from_lidar.

    Raises:
        BadDataset: no such file, or a line that is not `name: 12 numbers`, or no `Tr`.
        BadCalibration: `Tr` is no rigid motion.
    """
    matrices: dict[str, Array] = {}
    for line in _text(Path(path)).splitlines():
        name, _, numbers = line.partition(":")
        if numbers.strip():
            matrices[name.strip()] = _matrix(numbers.split(), f"{path}, {name.strip()}")
    if "Tr" not in matrices:
        raise BadDataset(
            "calibration", f"{path}: expected a line `Tr: ...`, but found {', '.join(matrices) or 'none'}."
        )
    matrices["Tr"] = check_rigid(matrices["Tr"], f"{path}, Tr")
    return matrices


def read_poses(path: Path | str, camera_from_lidar: Array) -> Array:
    """Return (M, 4, 4) float64 world_from_lidar, the world being the first scan's LiDAR frame turned as at the start.

    Args:
        path: poses.txt, a row of 12 numbers per scan: world_from_camera.
        camera_from_lidar: (4, 4) `Tr`.

    Raises:
        BadDataset: no such file, or a row that is not 12 numbers.
    """
    rows = _numbers(Path(path), 12)
    lidar_from_camera = invert(camera_from_lidar)
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows.reshape(-1, 3, 4)
    return np.stack([compose(lidar_from_camera, pose, camera_from_lidar) for pose in poses])


def _row(table: Array, number: int, path: Path) -> Any:  # noqa: ANN401 - a stamp or a pose
    if number >= len(table):
        raise BadDataset("short", f"{path} has {len(table)} rows, but scan {number} needs one.")
    return table[number]


def _numbers(path: Path, columns: int) -> Array:
    rows = [line.split() for line in _text(path).splitlines() if line.strip()]
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), columns)
    except ValueError as error:
        raise BadDataset("malformed", f"{path}: expected {columns} numbers in each line: {error}.") from error


def _matrix(numbers: list[str], where: str) -> Array:
    try:
        return np.array(numbers, dtype=np.float64).reshape(3, 4)
    except ValueError as error:
        raise BadDataset("malformed", f"{where}: expected 12 numbers: {error}.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset("missing_file", f"Cannot read {path}: {error}.") from error
