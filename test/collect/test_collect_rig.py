"""Where sensors are while frames are collected: against plain matrix products, and never the identity in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import yaml

from clip2scene_ros.collect.rig import FileRig, files_of
from clip2scene_ros.collect.sets import RawImage, RawSet
from clip2scene_ros.errors import BadCalibration, BadConfig
from clip2scene_ros.frame import CameraModel
from clip2scene_ros.io.bag_messages import odometry_message
from clip2scene_ros.io.calibration import save_calibration
from clip2scene_ros.pose_buffer import KEEP_S

SECOND = 10**9
CAMERA = CameraModel(160, 90, np.array([[80.0, 0, 80], [0, 80, 45], [0, 0, 1]]))
CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, 0.2], [1, 0, 0, 0.3], [0, 0, 0, 1]])
BASE_FROM_LIDAR = np.array([[0.0, -1, 0, 1.0], [1, 0, 0, 0], [0, 0, 1, 2.0], [0, 0, 0, 1]])
SPEED_M_S = 10.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    save_calibration(path, {"front": (CAMERA, CAMERA_FROM_LIDAR)})
    return path


@pytest.fixture
def mounted(file: Path) -> Path:
    content = yaml.safe_load(file.read_text())
    content["lidar"]["base_from_lidar"] = BASE_FROM_LIDAR.tolist()
    file.write_text(yaml.safe_dump(content))
    return file


def at(seconds: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = SPEED_M_S * seconds
    return pose


def driven(path: Path, until_s: float = 2.0) -> FileRig:
    rig = FileRig({"lidar": path}, ("front",))
    for i in range(int(until_s * 20) + 1):
        rig.add_odometry(odometry_message(at(i / 20), 100 * SECOND + i * SECOND // 20))
    return rig


def raw(scan_s: float, image_s: float) -> RawSet:
    image = RawImage(100 * SECOND + round(image_s * 1e9), True, b"")
    return RawSet(100 * SECOND + round(scan_s * 1e9), "lidar", b"", {"front": image})


def test_a_camera_is_placed_where_it_was_at_its_exposure(mounted: Path) -> None:
    placed = driven(mounted).place(raw(1.01, 1.037))
    expected = CAMERA_FROM_LIDAR @ np.linalg.inv(at(1.037) @ BASE_FROM_LIDAR) @ at(1.01) @ BASE_FROM_LIDAR
    model, camera_from_lidar = placed.cameras["front"]
    np.testing.assert_allclose(camera_from_lidar, expected, atol=1e-9)
    np.testing.assert_allclose(placed.world_from_lidar, at(1.01) @ BASE_FROM_LIDAR, atol=1e-9)
    assert (model.width, model.height) == (160, 90)
    assert not placed.left_out
    for stamp_ns, pose in placed.around.items():
        np.testing.assert_allclose(pose, at(stamp_ns / 1e9 - 100) @ BASE_FROM_LIDAR, atol=1e-9)
    assert len(placed.around) == 2


def test_where_odometry_does_not_reach_there_is_no_pose_and_no_view(mounted: Path) -> None:
    rig = driven(mounted, until_s=1.0)
    late = rig.place(raw(0.9, 1.5))
    assert late.left_out == {"front": "no_pose"}
    assert not late.cameras
    assert late.world_from_lidar is not None
    assert rig.place(raw(3.0, 3.0)).world_from_lidar is None


def test_without_odometry_the_vehicle_stands_still_and_a_warning_says_so(
    mounted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = FileRig({"lidar": mounted}, ("front",))
    with caplog.at_level(logging.WARNING):
        placed = [rig.place(raw(1.0, 1.03)) for _ in range(3)]
    np.testing.assert_array_equal(placed[0].cameras["front"][1], CAMERA_FROM_LIDAR)
    assert placed[0].world_from_lidar is None
    assert [record.message.count("no odometry") for record in caplog.records] == [1]


def test_odometry_that_nothing_joins_to_the_lidar_is_no_pose(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = driven(file)
    with caplog.at_level(logging.WARNING):
        placed = rig.place(raw(1.0, 1.03))
    assert placed.world_from_lidar is None
    assert "base_from_lidar" in caplog.text


def test_a_loop_of_the_bag_begins_a_new_way_and_memory_is_bounded(mounted: Path) -> None:
    rig = driven(mounted, until_s=KEEP_S + 10)
    assert rig.pose(raw(1.0, 1.0)) is None  # forgotten
    rig.add_odometry(odometry_message(at(7.0), 100 * SECOND))
    pose = rig.pose(raw(0.0, 0.0))
    np.testing.assert_allclose(pose, at(7.0) @ BASE_FROM_LIDAR, atol=1e-9)


def test_odometry_that_is_no_pose_is_left_out(mounted: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig, broken = driven(mounted), at(0.0)
    message = odometry_message(broken, 103 * SECOND)
    message.pose.pose.position.x = float("nan")
    with caplog.at_level(logging.WARNING):
        rig.add_odometry(message)
    assert "odometry" in caplog.text
    assert rig.pose(raw(3.0, 3.0)) is None


def test_a_file_without_a_camera_names_it(file: Path) -> None:
    with pytest.raises(BadCalibration, match="rear"):
        FileRig({"lidar": file}, ("front", "rear"))


def test_files_of_one_and_of_several_lidars() -> None:
    assert files_of("a.yaml", ("points",)) == {"points": Path("a.yaml")}
    assert files_of("top: a.yaml, rear: b.yaml", ("top", "rear")) == {"top": Path("a.yaml"), "rear": Path("b.yaml")}
    for text, lidars in (
        ("", ("points",)),
        ("a.yaml", ("top", "rear")),
        ("top: a", ("top", "rear")),
        ("x: a", ("top",)),
    ):
        with pytest.raises(BadConfig, match=r"calibration\.file"):
            files_of(text, lidars)
