"""The training cache: one file for a frame's scan and one for its views, so that any frame is read alone.

The files are uncompressed .npz: reading one costs little more than copying its bytes, and nothing in it is run.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array, CameraModel, Frame, Scan, View

Arrays = dict[str, Array]


def user_cache(name: str) -> Path:
    """Return a folder of this package in the user's cache ($XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clip2scene_ros" / name


def save_frame(stem: Path, frame: Frame) -> None:
    """Write a frame to `<stem>.npz`, and its views, where it has any, to `<stem>.views.npz` before that."""
    if frame.views:
        _save(_views_path(stem), _view_arrays(frame.views))
    _save(_scan_path(stem), _scan_arrays(frame))


def is_saved(stem: Path, *, with_images: bool = False) -> bool:
    """Return whether a frame, and its views if asked for, are there."""
    return _scan_path(stem).is_file() and (not with_images or _views_path(stem).is_file())


def load_frame(stem: Path, *, with_images: bool = False) -> Frame:
    """Read what `save_frame` wrote; the views' file is opened only if they are asked for, and if there is one.

    Raises:
        BadDataset: a file is missing or damaged.
    """
    path = _scan_path(stem)
    try:
        found = _load(path)
        stamp_ns, frame_id = int(found["stamp_ns"]), str(found["frame_id"])
        scan = Scan(
            found["points"],
            found["intensity"],
            stamp_ns,
            frame_id,
            ring=found.get("ring"),
            time_ns=found.get("time_ns"),
        )
        path = _views_path(stem)
        views = _views(_load(path)) if with_images and path.is_file() else ()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadDataset("cache", f"{path} is not a frame of this data set ({error}); delete it.") from error
    return Frame(scan, views, found.get("world_from_lidar"), found.get("labels"), found.get("instances"))


def _scan_path(stem: Path) -> Path:
    """Return the file that is written last: where it is, the frame is complete."""
    return stem.with_name(f"{stem.name}.npz")


def _views_path(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.views.npz")


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with whole_file(path) as file:
        present: dict[str, Any] = {name: value for name, value in arrays.items() if value is not None}
        np.savez(file, **present)


def _load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _scan_arrays(frame: Frame) -> dict[str, Any]:
    scan = frame.scan
    return {
        "points": scan.points, "intensity": scan.intensity, "ring": scan.ring, "time_ns": scan.time_ns,
        "stamp_ns": np.int64(scan.stamp_ns), "frame_id": np.array(scan.frame_id, "U"),
        "world_from_lidar": frame.world_from_lidar, "labels": frame.labels, "instances": frame.instances,
    }  # fmt: skip


def _view_arrays(views: tuple[View, ...]) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for v, view in enumerate(views):
        arrays |= {
            f"{v}.name": np.array(view.name, "U"), f"{v}.image": view.image, f"{v}.labels": view.labels,
            f"{v}.matrix": view.camera.matrix, f"{v}.lens": np.array(view.camera.distortion_model, "U"),
            f"{v}.distortion": view.camera.distortion, f"{v}.camera_from_lidar": view.camera_from_lidar,
            f"{v}.stamp_ns": np.int64(view.stamp_ns),
        }  # fmt: skip
    return arrays


def _views(found: Arrays) -> tuple[View, ...]:
    return tuple(_view(found, v) for v in range(sum(name.endswith(".name") for name in found)))


def _view(found: Arrays, v: int) -> View:
    image = found[f"{v}.image"]
    camera = CameraModel(
        image.shape[1], image.shape[0], found[f"{v}.matrix"], str(found[f"{v}.lens"]), found[f"{v}.distortion"]
    )
    placed, stamp_ns = found[f"{v}.camera_from_lidar"], int(found[f"{v}.stamp_ns"])
    return View(str(found[f"{v}.name"]), image, camera, placed, stamp_ns, found.get(f"{v}.labels"))
