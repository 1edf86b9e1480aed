from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import CameraModel
from clip2scene_ros.geometry import check_rigid, compose, invert, pose_from_quaternion, project
from clip2scene_ros.io.calibration import camera_from_info, check_camera, load_calibration, save_calibration

MATRIX = [[1266.4, 0.0, 816.3], [0.0, 1260.1, 491.5], [0.0, 0.0, 1.0]]
POSE = pose_from_quaternion((0.1, -0.3, -0.5), np.array([0.5, -0.5, 0.5, -0.5]))


def info(**changes: Any) -> SimpleNamespace:
    """Return a CameraInfo-like object."""
    message = SimpleNamespace(
        width=1600,
        height=900,
        k=np.array(MATRIX).ravel(),
        d=[-0.1, 0.01, 0.001, 0.002, 0.0],
        distortion_model="plumb_bob",
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )
    vars(message).update(changes)
    return message


def content(**changes: Any) -> dict[str, Any]:
    """Return a calibration with one camera, of which these entries are changed; None removes one."""
    camera = {"width": 1600, "height": 900, "matrix": MATRIX, "camera_from_lidar": POSE.tolist(), **changes}
    return {
        "base_frame": "base_link",
        "lidar": {"frame": "lidar_top"},
        "cameras": {"cam_front": {k: v for k, v in camera.items() if v is not None}},
    }


def written(tmp_path: Path, value: Any) -> Path:
    path = tmp_path / "calibration.yaml"
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")
    return path


def test_camera_info_becomes_a_camera() -> None:
    camera = camera_from_info(info())
    assert (camera.width, camera.height, camera.distortion_model) == (1600, 900, "plumb_bob")
    np.testing.assert_array_equal(camera.matrix, MATRIX)
    np.testing.assert_array_equal(camera.distortion, [-0.1, 0.01, 0.001, 0.002, 0.0])


@pytest.mark.parametrize(
    ("model", "d", "name", "length"),
    [
        ("", [], "none", 0),
        ("plumb_bob", [], "none", 0),
        ("plumb_bob", [0.1] * 4, "plumb_bob", 4),
        ("rational_polynomial", [0.1] * 8, "rational_polynomial", 8),
        ("rational_polynomial", [0.1] * 8 + [0.0] * 6, "rational_polynomial", 8),
        ("equidistant", [0.1] * 4, "equidistant", 4),
        ("fisheye", [0.1] * 4, "equidistant", 4),
    ],
)
def test_distortion_models(model: str, d: list[float], name: str, length: int) -> None:
    camera = camera_from_info(info(distortion_model=model, d=d))
    assert (camera.distortion_model, len(camera.distortion)) == (name, length)


def test_region_of_interest_and_binning_move_the_pixels_as_the_sensor_does() -> None:
    points = np.array([[0.1, -0.2, 5.0], [1.0, 0.5, 9.0]])
    whole, _, _ = project(points, camera_from_info(info()), np.eye(4))
    roi = SimpleNamespace(x_offset=200, y_offset=100, width=1200, height=700)
    part = camera_from_info(info(roi=roi, binning_x=2, binning_y=2))
    assert (part.width, part.height) == (600, 350)
    np.testing.assert_allclose(project(points, part, np.eye(4))[0], (whole - [200, 100]) / 2, atol=1e-3)


NAN = float("nan")


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("focal_length", {"k": np.zeros(9)}),
        ("focal_length", {"k": np.array([-1.0, 0, 800, 0, 1, 450, 0, 0, 1])}),
        ("not_finite", {"k": np.full(9, NAN)}),
        ("not_finite", {"d": [NAN] * 5}),
        ("not_finite", {"d": [np.inf] * 5}),
        ("shape", {"k": np.zeros(8)}),
        ("not_finite", {"k": None}),
        ("shape", {"k": ["a"] * 9}),
        ("matrix", {"k": np.array([1000.0, 0, 800, 0, 1000, 450, 0, 0, 0])}),
        ("matrix", {"k": np.array([1000.0, 0, 800, 5, 1000, 450, 0, 0, 1])}),
        ("matrix", {"k": np.array(MATRIX).T.ravel()}),
        ("principal_point", {"k": np.array([1000.0, 0, 1601, 0, 1000, 450, 0, 0, 1])}),
        ("principal_point", {"k": np.array([1000.0, 0, 800, 0, 1000, -1, 0, 0, 1])}),
        ("size", {"width": 0}),
        ("out_of_range", {"width": -1}),
        ("out_of_range", {"height": 2**20}),
        ("not_integer", {"width": "1600"}),
        ("distortion_model", {"distortion_model": "magic"}),
        ("distortion_model", {"distortion_model": None}),
        ("distortion", {"d": [0.1] * 3}),
        ("distortion", {"d": [0.1] * 8}),
        ("distortion", {"distortion_model": "equidistant", "d": [0.1] * 5}),
        ("roi", {"roi": SimpleNamespace(x_offset=1000, y_offset=0, width=700, height=0)}),
        ("roi", {"roi": SimpleNamespace(x_offset=1600, y_offset=0, width=0, height=0)}),
        ("attribute", {"roi": None}),
    ],
)
def test_camera_info_that_cannot_be_right_is_refused(reason: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BadCalibration) as error:
        camera_from_info(info(**changes), "cam_front")
    assert error.value.reason == reason


def test_what_is_no_camera_info_is_refused() -> None:
    for thing in (None, SimpleNamespace(), 3):
        with pytest.raises(BadCalibration):
            camera_from_info(thing)


@pytest.mark.parametrize("size", [True, 10.0, "10", None, 0, 70_000])
def test_sizes_are_whole_numbers(size: object) -> None:
    with pytest.raises(BadCalibration) as error:
        check_camera(size, 900, MATRIX, "none", [], "cam")
    assert error.value.reason == "size"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    lenses = {"none": [], "plumb_bob": [0.1, 0.2, 0.3, 0.4, 0.5], "equidistant": [0.01, 0.02, 0.03, 0.04]}
    cameras = {f"cam_{m}": (CameraModel(1600, 900, np.array(MATRIX), m, np.array(d)), POSE) for m, d in lenses.items()}
    save_calibration(tmp_path / "c.yaml", cameras)
    loaded = load_calibration(tmp_path / "c.yaml")
    assert list(loaded) == list(cameras)
    for name, (camera, pose) in loaded.items():
        saved = cameras[name][0]
        np.testing.assert_array_equal(camera.matrix, saved.matrix)
        np.testing.assert_array_equal(camera.distortion, saved.distortion)
        assert (camera.width, camera.height, camera.distortion_model) == (1600, 900, saved.distortion_model)
        np.testing.assert_allclose(pose, POSE, atol=1e-12)


def test_extrinsics_may_be_a_matrix_a_quaternion_or_by_way_of_the_base(tmp_path: Path) -> None:
    base_from_lidar = pose_from_quaternion((0.94, 0.0, 1.84), np.array([0, 0, -0.7071, 0.7071]))
    base_from_camera = compose(base_from_lidar, invert(POSE))
    quaternion = {"translation": [0.1, -0.3, -0.5], "quaternion": [0.5, -0.5, 0.5, -0.5]}
    value = content()
    value["lidar"]["base_from_lidar"] = {"translation": [0.94, 0.0, 1.84], "quaternion": [0, 0, -0.7071, 0.7071]}
    value["cameras"] |= {
        "b": {**value["cameras"]["cam_front"], "camera_from_lidar": quaternion},
        "c": {**value["cameras"]["cam_front"], "base_from_camera": base_from_camera.tolist()},
        "d": {**value["cameras"]["cam_front"], "camera_from_lidar": POSE[:3].tolist()},
    }
    del value["cameras"]["c"]["camera_from_lidar"]
    loaded = load_calibration(written(tmp_path, value))
    assert len(loaded) == 4
    for _, pose in loaded.values():
        np.testing.assert_allclose(pose, POSE, atol=1e-9)
        check_rigid(pose, "loaded")


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    from clip2scene_ros.io import calibration

    example = calibration.__doc__.split("guessed:\n\n")[1].split("\n\nCamera frames")[0]
    example = example.replace("[x, y, z]", "[0, 0, 0]").replace("[x, y, z, w]", "[0, 0, 0, 1]")
    loaded = load_calibration(written(tmp_path, "\n".join(line[4:] for line in example.splitlines())))
    assert loaded["cam_front"][0].distortion_model == "plumb_bob"


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("not_finite", {"matrix": [[NAN] * 3] * 3}),
        ("focal_length", {"matrix": [[0, 0, 800], [0, 1000, 450], [0, 0, 1]]}),
        ("principal_point", {"matrix": [[1000, 0, 5000], [0, 1000, 450], [0, 0, 1]]}),
        ("shape", {"matrix": [1, 2, 3]}),
        ("shape", {"matrix": "K"}),
        ("form", {"matrix": None}),
        ("form", {"width": None}),
        ("size", {"width": 16.5}),
        ("distortion_model", {"distortion_model": ["plumb_bob"], "distortion": [0.1] * 5}),
        ("distortion", {"distortion_model": "plumb_bob", "distortion": [0.1] * 2}),
        ("extrinsics", {"camera_from_lidar": None}),
        ("extrinsics", {"base_from_camera": np.eye(4).tolist()}),
        ("extrinsics", {"camera_from_lidar": None, "base_from_camera": np.eye(4).tolist()}),
        ("unknown_key", {"lidar_from_camera": np.eye(4).tolist()}),
        ("unknown_key", {"camera_from_lidar": {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1]}}),
        ("not_rotation", {"camera_from_lidar": np.diag([1.1, 1, 1, 1]).tolist()}),
        ("reflection", {"camera_from_lidar": np.diag([1.0, 1, -1, 1]).tolist()}),
        ("bottom_row", {"camera_from_lidar": np.ones((4, 4)).tolist()}),
        ("not_finite", {"camera_from_lidar": np.full((4, 4), NAN).tolist()}),
        ("shape", {"camera_from_lidar": np.eye(3).tolist()}),
        ("shape", {"camera_from_lidar": {"translation": [0, 0, 0]}}),
        ("not_unit", {"camera_from_lidar": {"translation": [0, 0, 0], "quaternion": [0, 0, 0, 2]}}),
        ("not_unit", {"camera_from_lidar": {"translation": [0, 0, 0], "quaternion": [0, 0, 0, 0]}}),
        ("not_finite", {"camera_from_lidar": {"translation": [0, NAN, 0], "quaternion": [0, 0, 0, 1]}}),
    ],
)
def test_files_that_cannot_be_right_are_refused(tmp_path: Path, reason: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BadCalibration, match=r"calibration\.yaml") as error:
        load_calibration(written(tmp_path, content(**changes)))
    assert error.value.reason == reason


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("form", ""),
        ("form", "[1, 2]"),
        ("form", "cameras: {}"),
        ("form", "cameras: [1]"),
        ("form", "cameras: {cam: 3}"),
        ("form", "{lidar: 3, cameras: {cam: {}}}"),
        ("yaml", "cameras: ["),
        ("yaml", "!!python/object/apply:os.system [id]"),
        ("unknown_key", "camera: {}"),
        ("form", "# " + "x" * 1_000_001),
    ],
)
def test_files_of_another_form_are_refused(tmp_path: Path, reason: str, text: str) -> None:
    with pytest.raises(BadCalibration) as error:
        load_calibration(written(tmp_path, text))
    assert error.value.reason == reason


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCalibration, match=r"nowhere\.yaml") as error:
        load_calibration(tmp_path / "nowhere.yaml")
    assert error.value.reason == "missing"


def test_wrong_extrinsics_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(BadCalibration):
        save_calibration(tmp_path / "c.yaml", {"cam": (camera_from_info(info()), np.diag([2.0, 1, 1, 1]))})
