"""Calibration: YAML files and CameraInfo messages into camera models and extrinsics, refusing what cannot be right.

A calibration file, every name spelt out so that no direction has to be guessed:

    base_frame: base_link
    lidar:
      frame: lidar_top
      base_from_lidar: {translation: [0.94, 0.0, 1.84], quaternion: [0.0, 0.0, -0.7071, 0.7071]}   # optional
    cameras:
      cam_front:
        width: 1600
        height: 900
        matrix: [[1266.4, 0.0, 816.3], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]]
        distortion_model: plumb_bob        # none, plumb_bob, rational_polynomial, equidistant
        distortion: [-0.1, 0.01, 0.0, 0.0, 0.0]
        camera_from_lidar: {translation: [x, y, z], quaternion: [x, y, z, w]}   # or a 4x4 matrix
        # or base_from_camera: ..., which needs lidar.base_from_lidar

Camera frames are optical (x right, y down, z forward).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from clip2scene_ros.errors import BadCalibration, short
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array, CameraModel
from clip2scene_ros.geometry import check_rigid, compose, invert, pose_from_quaternion, quaternion_from_matrix
from clip2scene_ros.io.untrusted import attribute, integer, text
from clip2scene_ros.lens import COEFFICIENTS

MAX_FILE_BYTES = 1_000_000
MAX_SIDE_PX = 65535
MODEL_NAMES = {"": "none", "fisheye": "equidistant"}  # what some drivers write instead
TOP_KEYS = {"base_frame", "lidar", "cameras"}
LIDAR_KEYS = {"frame", "base_from_lidar"}
CAMERA_KEYS = {
    *("frame", "width", "height", "matrix", "distortion_model", "distortion", "camera_from_lidar", "base_from_camera")
}


def check_camera(
    width: Any,  # noqa: ANN401 - from a file or a message
    height: Any,  # noqa: ANN401
    matrix: Any,  # noqa: ANN401
    model: Any,  # noqa: ANN401
    distortion: Any,  # noqa: ANN401
    where: str,
) -> CameraModel:
    """Return a camera model, or say what keeps these numbers from being one; `where` is named in errors.

    Raises:
        BadCalibration: size, shape, not_finite, focal_length, matrix, principal_point, distortion_model, distortion.
    """
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MAX_SIDE_PX:
            raise BadCalibration("size", f"{where}: expected width and height in 1..{MAX_SIDE_PX}, got {short(side)}.")
    k = _numbers(matrix, where, "matrix")
    if k.size != 9:
        raise BadCalibration("shape", f"{where}: expected a 3x3 matrix, but got {k.size} numbers.")
    k = k.reshape(3, 3)
    if not (k[0, 0] > 0 and k[1, 1] > 0):
        raise BadCalibration("focal_length", f"{where}: expected focal lengths > 0, but got {k[0, 0]:g}, {k[1, 1]:g}.")
    if np.any(k[[1, 2, 2], [0, 0, 1]] != 0) or k[2, 2] != 1:
        raise BadCalibration("matrix", f"{where}: expected [[fx, s, cx], [0, fy, cy], [0, 0, 1]], got {k.tolist()}.")
    if not (0 <= k[0, 2] <= width and 0 <= k[1, 2] <= height):
        raise BadCalibration(
            "principal_point", f"{where}: principal point {k[0, 2]:g}, {k[1, 2]:g} is outside {width}x{height}."
        )
    name, d = _distortion(model, _numbers(distortion, where, "distortion").reshape(-1), where)
    return CameraModel(width, height, k, name, d)


def _numbers(values: Any, where: str, name: str) -> Array:  # noqa: ANN401
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadCalibration("shape", f"{where}: expected `{name}` to be numbers, but got {short(values)}.") from error
    if not np.isfinite(array).all():
        raise BadCalibration("not_finite", f"{where}: `{name}` holds NaN or infinity.")
    return array


def _distortion(model: Any, d: Array, where: str) -> tuple[str, Array]:  # noqa: ANN401
    name = MODEL_NAMES.get(model, model) if isinstance(model, str) else None
    if name not in COEFFICIENTS:
        raise BadCalibration(
            "distortion_model", f"{where}: expected one of {', '.join(COEFFICIENTS)}, but got {short(model)}."
        )
    if len(d) == 0:
        return "none", d
    allowed = COEFFICIENTS[name]
    if len(d) > max(allowed) and not d[max(allowed) :].any():  # OpenCV pads with zeros
        d = d[: max(allowed)]
    if len(d) not in allowed:
        raise BadCalibration("distortion", f"{where}: expected {allowed} coefficients for {name}, but got {len(d)}.")
    return name, d


def camera_from_info(camera_info: Any, where: str = "camera_info") -> CameraModel:  # noqa: ANN401
    """Return the model of the image that comes with a sensor_msgs/CameraInfo; region of interest and binning counted.

    Raises:
        BadCalibration: see `check_camera`; attribute, not_integer, out_of_range for what is no CameraInfo.
    """
    width, height = (integer(camera_info, name, 0, MAX_SIDE_PX, BadCalibration) for name in ("width", "height"))
    camera = check_camera(
        width,
        height,
        attribute(camera_info, "k", BadCalibration),
        text(camera_info, "distortion_model", "distortion_model", BadCalibration),
        attribute(camera_info, "d", BadCalibration),
        where,
    )
    return _cropped(camera, camera_info, where)


def _cropped(camera: CameraModel, info: Any, where: str) -> CameraModel:  # noqa: ANN401
    """Return the camera of the published part of the sensor; 0 means all of it, as in CameraInfo.msg."""
    roi = attribute(info, "roi", BadCalibration)
    left, top = (integer(roi, name, 0, MAX_SIDE_PX, BadCalibration) for name in ("x_offset", "y_offset"))
    wide = integer(roi, "width", 0, MAX_SIDE_PX, BadCalibration) or camera.width - left
    tall = integer(roi, "height", 0, MAX_SIDE_PX, BadCalibration) or camera.height - top
    bin_x, bin_y = (integer(info, name, 0, 64, BadCalibration) or 1 for name in ("binning_x", "binning_y"))
    if left + wide > camera.width or top + tall > camera.height or min(wide // bin_x, tall // bin_y) < 1:
        raise BadCalibration(
            "roi", f"{where}: region of interest or binning leaves the {camera.width}x{camera.height}."
        )
    if (left, top, wide, tall, bin_x, bin_y) == (0, 0, camera.width, camera.height, 1, 1):
        return camera
    shift = np.array([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
    scale = np.diag([1.0 / bin_x, 1.0 / bin_y, 1.0])
    matrix = scale @ shift @ camera.matrix
    return CameraModel(wide // bin_x, tall // bin_y, matrix, camera.distortion_model, camera.distortion)


def load_calibration(path: str | Path) -> dict[str, tuple[CameraModel, Array]]:
    """Return camera name -> (model, camera_from_lidar (4, 4)) of a calibration file.

    Raises:
        BadCalibration: missing, yaml, form, unknown_key, extrinsics; what `check_camera` and `check_rigid` find.
    """
    content = _mapping(_read(Path(path)), str(path), TOP_KEYS)
    base_from_lidar = load_base_from_lidar(path)
    cameras = content.get("cameras")
    if not isinstance(cameras, dict) or not cameras:
        raise BadCalibration("form", f"{path}: expected a mapping `cameras` with at least one camera.")
    return {str(name): _camera(entry, base_from_lidar, f"{path}: {name}") for name, entry in cameras.items()}


def load_base_from_lidar(path: str | Path) -> Array | None:
    """Return (4, 4) base_from_lidar of a calibration file, None where it says nothing of it.

    Raises:
        BadCalibration: as `load_calibration`.
    """
    content = _mapping(_read(Path(path)), str(path), TOP_KEYS)
    lidar = _mapping(content.get("lidar") or {}, f"{path}: lidar", LIDAR_KEYS)
    return _pose(lidar["base_from_lidar"], f"{path}: base_from_lidar") if "base_from_lidar" in lidar else None


def _read(path: Path) -> Any:  # noqa: ANN401
    if not path.is_file():
        raise BadCalibration("missing", f"No calibration file {path}.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise BadCalibration("form", f"{path}: expected at most {MAX_FILE_BYTES} bytes.")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadCalibration("yaml", f"{path} is not valid YAML: {str(error)[:200]}") from error


def _mapping(value: Any, where: str, keys: set[str]) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        raise BadCalibration("form", f"{where}: expected a mapping, but got {short(value)}.")
    unknown = [key for key in value if key not in keys]
    if unknown:
        raise BadCalibration(
            "unknown_key", f"{where}: unknown key {short(unknown[0])}; known are: {', '.join(sorted(keys))}."
        )
    return value


def _camera(entry: Any, base_from_lidar: Array | None, where: str) -> tuple[CameraModel, Array]:  # noqa: ANN401
    e = _mapping(entry, where, CAMERA_KEYS)
    missing = [key for key in ("width", "height", "matrix") if key not in e]
    if missing:
        raise BadCalibration("form", f"{where}: expected `{missing[0]}`.")
    model, distortion = e.get("distortion_model", "none"), e.get("distortion") or []
    camera = check_camera(e["width"], e["height"], e["matrix"], model, distortion, where)
    if ("camera_from_lidar" in e) == ("base_from_camera" in e):
        raise BadCalibration("extrinsics", f"{where}: expected either `camera_from_lidar` or `base_from_camera`.")
    if "camera_from_lidar" in e:
        return camera, _pose(e["camera_from_lidar"], f"{where}: camera_from_lidar")
    if base_from_lidar is None:
        raise BadCalibration("extrinsics", f"{where}: `base_from_camera` needs `lidar: base_from_lidar`.")
    return camera, compose(invert(_pose(e["base_from_camera"], f"{where}: base_from_camera")), base_from_lidar)


def _pose(value: Any, where: str) -> Array:  # noqa: ANN401
    if isinstance(value, dict):
        parts = _mapping(value, where, {"translation", "quaternion"})
        return pose_from_quaternion(parts.get("translation", ()), parts.get("quaternion", ()), where)
    return check_rigid(value, where)


def save_calibration(
    path: str | Path,
    cameras: Mapping[str, tuple[CameraModel, Array]],
    *,
    lidar_frame: str = "lidar_top",
    base_frame: str = "base_link",
) -> None:
    """Write a calibration file that `load_calibration` reads back to the same numbers.

    Raises:
        BadCalibration: an extrinsic is no rigid motion.
    """
    content = {
        "base_frame": base_frame,
        "lidar": {"frame": lidar_frame},
        "cameras": {name: _entry(*pair, name) for name, pair in cameras.items()},
    }
    with whole_file(Path(path)) as stream:
        stream.write(yaml.safe_dump(content, sort_keys=False, default_flow_style=None).encode())


def _entry(camera: CameraModel, camera_from_lidar: Array, where: str) -> dict[str, Any]:
    pose = check_rigid(camera_from_lidar, where)
    return {
        "width": camera.width,
        "height": camera.height,
        "matrix": camera.matrix.tolist(),
        "distortion_model": camera.distortion_model,
        "distortion": camera.distortion.tolist(),
        "camera_from_lidar": {
            "translation": pose[:3, 3].tolist(),
            "quaternion": quaternion_from_matrix(pose).tolist(),
        },
    }
