"""The real frames for `slips.py real`: one nuScenes key frame with six images, one KITTI frame with one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from clip2scene_ros.frame import CameraModel, Frame, Scan, View


def real_frames(data: Path) -> dict[str, list[Frame]]:
    """Return source -> frames, of those that are there."""
    found = {}
    if (data / "nuscenes").is_dir():
        found["nuscenes"] = [_flat(data / "nuscenes")]
    if (data / "kitti").is_dir():
        found["kitti"] = [_kitti(data / "kitti")]
    return found


def _flat(folder: Path) -> Frame:
    """Return the key frame; its images lie beside the tables, not in the folders that these name."""
    frame = json.loads((folder / "info.json").read_text(encoding="utf-8"))["data_list"][0]
    rows = np.fromfile(folder / frame["lidar_points"]["lidar_path"], "<f4").reshape(-1, 5)
    views = []
    for name, image in frame["images"].items():
        pixels = np.asarray(Image.open(folder / image["img_path"]).convert("RGB"))
        matrix = np.array(image["cam2img"], dtype=np.float64)[:3, :3]
        camera = CameraModel(pixels.shape[1], pixels.shape[0], matrix)
        views.append(View(name.lower(), pixels, camera, np.array(image["lidar2cam"], dtype=np.float64)))
    scan = Scan(np.ascontiguousarray(rows[:, :3]), rows[:, 3] / np.float32(255), ring=rows[:, 4].astype(np.uint16))
    return Frame(scan, tuple(views))


def _kitti(folder: Path) -> Frame:
    image = json.loads((folder / "info.json").read_text(encoding="utf-8"))["data_list"][0]["images"]["CAM2"]
    rows = np.fromfile(folder / "000008.bin", "<f4").reshape(-1, 4)
    pixels = np.asarray(Image.open(folder / image["img_path"]).convert("RGB"))
    matrix = np.array(image["cam2img"], dtype=np.float64)[:3, :3]
    camera = CameraModel(pixels.shape[1], pixels.shape[0], matrix)
    view = View("cam_2", pixels, camera, np.array(image["lidar2cam"], dtype=np.float64))
    return Frame(Scan(np.ascontiguousarray(rows[:, :3]), rows[:, 3].copy()), (view,))
