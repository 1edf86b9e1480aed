"""Other people's calibration files, read into what `calibration.save_calibration` writes.

nuScenes: the tables `sensor`, `calibrated_sensor`, `sample_data` and, to choose a scene, `sample` and `scene`
(https://www.nuscenes.org/nuscenes#data-format). Quaternions there are w x y z. `ego_pose` is not needed: a calibration
holds where sensors sit, not where the vehicle was.

KITTI: `calib.txt` of the odometry and object benchmarks, or the folder of a raw drive's date with
`calib_cam_to_cam.txt` and `calib_velo_to_cam.txt` (A. Geiger et al., "Vision meets Robotics", IJRR 2013, section IV).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadCalibration, short
from clip2scene_ros.frame import Array, CameraModel
from clip2scene_ros.geometry import check_rigid, compose, invert, pose_from_quaternion
from clip2scene_ros.io.calibration import check_camera

LIDAR = "LIDAR_TOP"
KITTI_CAMERAS = 4

Rig = dict[str, tuple[CameraModel, Array]]
Record = dict[str, Any]


def from_nuscenes(tables: Path, scene: str = "", lidar: str = LIDAR) -> Rig:
    """Return camera name (`cam_front`) -> model and camera_from_lidar of a nuScenes folder of tables.

    Args:
        tables: the folder with `calibrated_sensor.json`, such as `v1.0-mini`.
        scene: whose calibration; needed where scenes of several vehicles or days differ.
        lidar: channel of the LiDAR.

    Raises:
        BadCalibration: missing, json, form, scene, several (calibrations differ between scenes), and what
            `check_camera` and `pose_from_quaternion` find.
    """
    channels = {r["token"]: r["channel"] for r in _table(tables, "sensor", "token", "channel")}
    placed = {
        r["token"]: r
        for r in _table(
            tables, "calibrated_sensor", "token", "sensor_token", "translation", "rotation", "camera_intrinsic"
        )
    }
    samples = _samples(tables, scene) if scene else None
    used: dict[str, dict[str, tuple[int, int]]] = {}
    needed = ("calibrated_sensor_token", "sample_token", "width", "height")
    for data in _table(tables, "sample_data", *needed):
        if samples is None or data["sample_token"] in samples:
            record = placed.get(data["calibrated_sensor_token"])
            if record is None or record["sensor_token"] not in channels:
                raise BadCalibration("form", f"{tables}: sample_data names a calibrated_sensor or sensor not there.")
            used.setdefault(channels[record["sensor_token"]], {})[record["token"]] = (data["width"], data["height"])
    base_from = {channel: _only(tables, channel, tokens, placed) for channel, tokens in used.items()}
    if lidar not in base_from:
        raise BadCalibration("form", f"{tables}: expected the sensor {lidar}, but found {', '.join(sorted(used))}.")
    return {
        channel.lower(): (
            _nuscenes_camera(tables, channel, placed, tokens),
            compose(invert(base_from[channel]), base_from[lidar]),
        )
        for channel, tokens in sorted(used.items())
        if channel.startswith("CAM")
    }


def from_kitti(path: Path, image_size: tuple[int, int] | None = None) -> Rig:
    """Return camera name (`image_2`) -> model of its rectified images and camera_from_lidar.

    Args:
        path: `calib.txt` of a sequence, the file of an object frame, or the folder of a raw drive's date.
        image_size: width and height [px] of the images; only raw drives tell it themselves.

    Raises:
        BadCalibration: missing, form, image_size (not given), and what `check_rigid` and `check_camera` find.
    """
    if path.is_dir():
        numbers = _kitti_numbers(path / "calib_cam_to_cam.txt")
        velo = _kitti_numbers(path / "calib_velo_to_cam.txt")
        tr = np.hstack([_shaped(velo, "R", (3, 3), path), _shaped(velo, "T", (3, 1), path)])
        rectify, projection, size = "R_rect_00", "P_rect_0{}", "S_rect_0{}"
    else:
        numbers = _kitti_numbers(path)
        name = next((name for name in ("Tr_velo_to_cam", "Tr_velo_cam", "Tr") if name in numbers), "Tr")
        tr = _shaped(numbers, name, (3, 4), path)
        rectify, projection, size = next((n for n in ("R0_rect", "R_rect") if n in numbers), ""), "P{}", ""
    turn = np.eye(4)
    if rectify:
        turn[:3, :3] = _shaped(numbers, rectify, (3, 3), path)
    rectified_from_lidar = compose(_exact(turn, f"{path}: {rectify}"), _exact(tr, f"{path}: velodyne to camera"))
    rig: Rig = {}
    for number in range(KITTI_CAMERAS):
        if projection.format(number) in numbers:
            p = _shaped(numbers, projection.format(number), (3, 4), path)
            given = _shaped(numbers, size.format(number), (2,), path) if size else image_size
            if given is None:
                raise BadCalibration("image_size", f"{path} does not tell the images' size: give it (--image-size).")
            width, height = (int(side) for side in given)
            camera = check_camera(width, height, p[:, :3], "none", [], f"{path}: {projection.format(number)}")
            shift = np.eye(4)
            shift[:3, 3] = np.linalg.solve(p[:, :3], p[:, 3])
            rig[f"image_{number}"] = (camera, compose(shift, rectified_from_lidar))
    if not rig:
        raise BadCalibration("form", f"{path}: expected projections such as {projection.format(2)}, but found none.")
    return rig


def _table(folder: Path, name: str, *keys: str) -> list[Record]:
    path = folder / f"{name}.json"
    if not path.is_file():
        raise BadCalibration("missing", f"Expected the nuScenes table {path}: is {folder} the folder of the tables?")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadCalibration("json", f"{path} is not valid JSON: {str(error)[:200]}.") from error
    if not isinstance(records, list) or not all(isinstance(r, dict) and all(key in r for key in keys) for r in records):
        raise BadCalibration("form", f"{path}: expected a list of records with {', '.join(keys)}.")
    return records


def _samples(tables: Path, scene: str) -> set[str]:
    scenes = {r["name"]: r["token"] for r in _table(tables, "scene", "name", "token")}
    if scene not in scenes:
        raise BadCalibration("scene", f"{tables} has no scene {short(scene)}; it has {', '.join(sorted(scenes)[:20])}.")
    return {r["token"] for r in _table(tables, "sample", "token", "scene_token") if r["scene_token"] == scenes[scene]}


def _only(tables: Path, channel: str, tokens: dict[str, tuple[int, int]], placed: dict[str, Record]) -> Array:
    """Return base_from_sensor, if all records of a channel agree."""
    poses = [_nuscenes_pose(placed[token]) for token in tokens]
    if any(np.abs(pose - poses[0]).max() > 1e-9 for pose in poses):
        raise BadCalibration(
            "several", f"{tables}: {channel} is calibrated in {len(poses)} ways; name a scene (--scene scene-0061)."
        )
    return poses[0]


def _nuscenes_pose(record: Record) -> Array:
    where = f"calibrated_sensor {record['token']}"
    quaternion = record["rotation"]
    if not isinstance(quaternion, list) or len(quaternion) != 4:
        raise BadCalibration("shape", f"{where}: expected four numbers w x y z, but got {short(quaternion)}.")
    w, x, y, z = quaternion
    return pose_from_quaternion(record["translation"], (x, y, z, w), where)


def _nuscenes_camera(
    tables: Path, channel: str, placed: dict[str, Record], tokens: dict[str, tuple[int, int]]
) -> CameraModel:
    token, (width, height) = next(iter(tokens.items()))
    return check_camera(width, height, placed[token]["camera_intrinsic"], "none", [], f"{tables}: {channel}")


def _kitti_numbers(path: Path) -> dict[str, Array]:
    """Return name -> its numbers; lines that hold something else (a date) are left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BadCalibration("missing", f"Expected the KITTI calibration {path}: {error.strerror}.") from error
    found = {}
    for line in lines:
        name, _, rest = line.partition(":" if ":" in line else " ")
        try:
            found[name.strip()] = np.array([float(word) for word in rest.split()])
        except ValueError:
            continue
    return found


def _shaped(numbers: dict[str, Array], name: str, shape: tuple[int, ...], path: Path) -> Array:
    if name not in numbers:
        raise BadCalibration("form", f"{path}: expected a line `{name}:`, but found {', '.join(numbers) or 'none'}.")
    if numbers[name].size != np.prod(shape):
        raise BadCalibration("shape", f"{path}: expected {np.prod(shape)} numbers in {name}, got {numbers[name].size}.")
    return numbers[name].reshape(shape)


def _exact(matrix: Array, where: str) -> Array:
    """Return the rigid motion that a matrix typed with few digits means."""
    pose = check_rigid(matrix, where)
    u, _, v = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = u @ v
    return pose
