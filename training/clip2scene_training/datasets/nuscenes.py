"""nuScenes key frames, read from its own v1.0 tables: no devkit.

Format: https://www.nuscenes.org/nuscenes#data-format. Quaternions there are w x y z, stamps microseconds,
LiDAR files (N, 5) float32 x y z intensity [0, 255] ring.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Array, CameraModel, Frame, Scan, View
from clip2scene_ros.geometry import compose, invert, pose_from_quaternion
from clip2scene_ros.io.image import decode_compressed
from clip2scene_training.datasets.arrays import read_array

LIDAR = "LIDAR_TOP"
LIDAR_COLUMNS = 5
MICROSECOND_NS = 1000

Record = dict[str, Any]


class NuScenesDataset:
    """The key frames of nuScenes, scene by scene in the order of time.

    Args:
        root: the folder with `samples/` and the tables' folder.
        version: the tables' folder: `v1.0-mini`, `v1.0-trainval`, `v1.0-test`.
        scenes: names of scenes (`scene-0061`); None takes all.
        images: False leaves the cameras out, for what only needs the scan.

    Raises:
        BadDataset: missing or malformed tables, or a scene that is not there.
    """

    def __init__(
        self,
        root: Path | str,
        version: str = "v1.0-mini",
        *,
        scenes: Collection[str] | None = None,
        images: bool = True,
    ) -> None:
        self.root = Path(root)
        self.class_set: ClassSet = load_class_set("nuscenes")
        self._images = images
        self._tables = self.root / version
        self._channels = self._channel_of_calibration()
        self._calibrations = self._by_token("calibrated_sensor")
        self._poses = self._by_token("ego_pose")
        self._lidarseg = {r["sample_data_token"]: r["filename"] for r in self._read("lidarseg", needed=False)}
        self._samples = self._in_order(scenes)
        self._data = self._key_data({sample["token"] for sample in self._samples})

    def __len__(self) -> int:
        """Return the number of key frames."""
        return len(self._samples)

    def __getitem__(self, index: int) -> Frame:
        """Read one key frame.

        Views carry the ego motion from the scan's stamp to their own. Labels are of class set `nuscenes`, or
        None where nuScenes-lidarseg is not installed.

        Raises:
            BadDataset: a file is missing or of the wrong size.
            BadImage: an image cannot be decoded.
        """
        sample = self._samples[index]
        data = self._data[sample["token"]]
        if LIDAR not in data:
            raise BadDataset("missing_record", f"{self._tables}: sample {sample['token']} has no key frame of {LIDAR}.")
        record = data[LIDAR]
        scan = self._scan(record)
        world_from_lidar = self._world_from_sensor(record)
        cameras = sorted(channel for channel in data if channel.startswith("CAM_")) if self._images else []
        return Frame(
            scan=scan,
            views=tuple(self._view(channel, data[channel], world_from_lidar) for channel in cameras),
            world_from_lidar=world_from_lidar,
            labels=self._labels(record["token"], len(scan)),
        )

    def _scan(self, record: Record) -> Scan:
        points, intensity, ring = read_lidar(self.root / record["filename"])
        return Scan(points, intensity, int(record["timestamp"]) * MICROSECOND_NS, LIDAR.lower(), ring=ring)

    def _view(self, channel: str, record: Record, world_from_lidar: Array) -> View:
        path = self.root / record["filename"]
        calibration = self._calibrations[record["calibrated_sensor_token"]]
        try:
            image = decode_compressed(path.read_bytes())
        except OSError as error:
            raise BadDataset("missing_file", f"Cannot read {path}: {error.strerror}.") from error
        height, width = image.shape[:2]
        return View(
            name=channel.lower(),
            image=image,
            camera=CameraModel(width, height, np.array(calibration["camera_intrinsic"], dtype=np.float64)),
            camera_from_lidar=compose(invert(self._world_from_sensor(record)), world_from_lidar),
            stamp_ns=int(record["timestamp"]) * MICROSECOND_NS,
        )

    def _world_from_sensor(self, record: Record) -> Array:
        """Return sensor -> vehicle -> world, both at the record's own stamp."""
        world_from_ego = _pose(self._poses[record["ego_pose_token"]])
        return compose(world_from_ego, _pose(self._calibrations[record["calibrated_sensor_token"]]))

    def _labels(self, token: str, points: int) -> Array | None:
        if token not in self._lidarseg:
            return None
        path = self.root / self._lidarseg[token]
        raw = read_array(path, np.dtype(np.uint8))
        if len(raw) != points:
            raise BadDataset("size", f"{path}: expected a label for each of {points} points, but got {len(raw)}.")
        return self.class_set.from_benchmark(raw)

    def _in_order(self, scenes: Collection[str] | None) -> list[Record]:
        """Return the wanted scenes' samples, scene by scene in the order of time."""
        names = {record["token"]: record["name"] for record in self._read("scene")}
        absent = sorted(set(scenes or ()) - set(names.values()))
        if absent:
            raise BadDataset("missing_scene", f"{self._tables} has no {absent[0]}; it has {len(names)} scenes.")
        samples = [r for r in self._read("sample") if scenes is None or names[r["scene_token"]] in scenes]
        return sorted(samples, key=lambda r: (names[r["scene_token"]], r["timestamp"]))

    def _key_data(self, samples: set[str]) -> dict[str, dict[str, Record]]:
        """Return sample token -> channel -> key-frame record."""
        data: dict[str, dict[str, Record]] = {token: {} for token in samples}
        for record in self._read("sample_data"):
            if record["is_key_frame"] and record["sample_token"] in samples:
                data[record["sample_token"]][self._channels[record["calibrated_sensor_token"]]] = record
        return data

    def _channel_of_calibration(self) -> dict[str, str]:
        channels = {record["token"]: record["channel"] for record in self._read("sensor")}
        return {r["token"]: channels[r["sensor_token"]] for r in self._read("calibrated_sensor")}

    def _by_token(self, table: str) -> dict[str, Record]:
        return {record["token"]: record for record in self._read(table)}

    def _read(self, table: str, *, needed: bool = True) -> list[Record]:
        path = self._tables / f"{table}.json"
        if not needed and not path.exists():
            return []
        try:
            records = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadDataset("missing_table", f"Expected the nuScenes table {path}: {error.strerror}.") from error
        except ValueError as error:
            raise BadDataset("malformed_table", f"{path} is not valid JSON: {error}.") from error
        if not isinstance(records, list):
            raise BadDataset(
                "malformed_table", f"{path}: expected a list of records, but got {type(records).__name__}."
            )
        return records


def read_lidar(path: Path | str) -> tuple[Array, Array, Array]:
    """Return (N, 3) float32 points [m], (N,) float32 intensity in [0, 1] and (N,) uint16 ring of a LIDAR_TOP file.

    Raises:
        BadDataset: no such file, or not rows of five float32.
    """
    rows = read_array(Path(path), np.dtype("<f4"), LIDAR_COLUMNS)
    return np.ascontiguousarray(rows[:, :3]), rows[:, 3] / np.float32(255.0), rows[:, 4].astype(np.uint16)


def _pose(record: Record) -> Array:
    w, x, y, z = record["rotation"]
    return pose_from_quaternion(record["translation"], (x, y, z, w), f"nuScenes record {record['token']}")
