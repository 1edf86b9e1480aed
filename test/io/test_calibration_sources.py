"""nuScenes tables and KITTI files into our calibration file, against the projections that these data sets mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.geometry import project
from clip2scene_ros.io.calibration import load_calibration, save_calibration
from clip2scene_ros.io.calibration_sources import from_kitti, from_nuscenes

RNG = np.random.default_rng(2)
POINTS = RNG.uniform([5, -8, -2], [40, 8, 2], (200, 3))


def as_line(name: str, matrix: np.ndarray) -> str:
    return f"{name}: {' '.join(f'{x:.12e}' for x in np.asarray(matrix).ravel())}"


def kitti_matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P2 (3, 4), R0 (3, 3) and velodyne to camera (3, 4) like KITTI's."""
    from clip2scene_ros.alignment import turned

    p2 = np.array([[721.5, 0, 609.6, 44.86], [0, 721.5, 172.9, 0.216], [0, 0, 1, 0.00275]])
    r0 = turned("yaw", 0.01)[:3, :3]
    velo = np.array([[0, -1, 0, -0.004], [0, 0, -1, -0.076], [1, 0, 0, -0.272]], dtype=float)
    velo[:, :3] = turned("roll", 0.02)[:3, :3] @ velo[:, :3]
    return p2, r0, velo


def by_the_paper(p2: np.ndarray, r0: np.ndarray, velo: np.ndarray) -> np.ndarray:
    """Pixels as in Geiger et al. 2013, equation 7: P rect R rect Tr velo-to-cam x, in homogeneous coordinates."""
    r, t = np.eye(4), np.eye(4)
    r[:3, :3], t[:3] = r0, velo
    y = p2 @ r @ t @ np.concatenate([POINTS, np.ones((len(POINTS), 1))], axis=1).T
    return (y[:2] / y[2]).T


def test_a_kitti_file_projects_as_the_paper_says_and_survives_our_file(tmp_path: Path) -> None:
    p2, r0, velo = kitti_matrices()
    path = tmp_path / "000008.txt"
    lines = [as_line("P2", p2), as_line("R0_rect", r0), as_line("Tr_velo_to_cam", velo)]
    path.write_text("\n".join(["calib_time: 09-Jan-2012 13:57:47", *lines]))
    rig = from_kitti(path, (1242, 375))
    assert list(rig) == ["image_2"]
    uv, _, _ = project(POINTS, *rig["image_2"])
    np.testing.assert_allclose(uv, by_the_paper(p2, r0, velo), atol=2e-3)
    save_calibration(tmp_path / "vehicle.yaml", rig, lidar_frame="velodyne")
    camera, placed = load_calibration(tmp_path / "vehicle.yaml")["image_2"]
    assert (camera.width, camera.height) == (1242, 375)
    np.testing.assert_allclose(placed, rig["image_2"][1], atol=1e-9)


def test_a_raw_kitti_folder_gives_the_same_and_knows_its_image_size(tmp_path: Path) -> None:
    p2, r0, velo = kitti_matrices()
    cams = [as_line("S_rect_02", np.array([1242, 375])), as_line("R_rect_00", r0), as_line("P_rect_02", p2)]
    (tmp_path / "calib_cam_to_cam.txt").write_text("\n".join(cams))
    (tmp_path / "calib_velo_to_cam.txt").write_text(f"{as_line('R', velo[:, :3])}\n{as_line('T', velo[:, 3])}\n")
    camera, placed = from_kitti(tmp_path)["image_2"]
    assert (camera.width, camera.height) == (1242, 375)
    uv, _, _ = project(POINTS, camera, placed)
    np.testing.assert_allclose(uv, by_the_paper(p2, r0, velo), atol=2e-3)


@pytest.mark.parametrize(
    ("text", "size", "reason"),
    [
        ("P2: 1 2 3", (10, 10), "form"),
        ("P2: 1 2 3\nTr: 1 0 0 0 0 1 0 0 0 0 1 0", (10, 10), "shape"),
        ("P2: 7 0 5 0 0 7 5 0 0 0 1 0\nTr: 1 0 0 0 0 1 0 0 0 0 1 0", None, "image_size"),
        ("P2: 7 0 5 0 0 7 5 0 0 0 1 0\nTr: 2 0 0 0 0 1 0 0 0 0 1 0", (10, 10), "not_rotation"),
        ("P2: nan 0 5 0 0 7 5 0 0 0 1 0\nTr: 1 0 0 0 0 1 0 0 0 0 1 0", (10, 10), "not_finite"),
        ("Tr: 1 0 0 0 0 1 0 0 0 0 1 0", (10, 10), "form"),
    ],
)
def test_a_kitti_file_that_cannot_be_right_is_refused(tmp_path: Path, text: str, size: Any, reason: str) -> None:
    path = tmp_path / "calib.txt"
    path.write_text(text)
    with pytest.raises(BadCalibration, match=r"calib\.txt") as error:
        from_kitti(path, size)
    assert error.value.reason == reason
    with pytest.raises(BadCalibration, match=r"gone\.txt"):
        from_kitti(tmp_path / "gone.txt", size)


TABLES: dict[str, list[dict[str, Any]]] = {
    "sensor": [{"token": "s0", "channel": "LIDAR_TOP"}, {"token": "s1", "channel": "CAM_FRONT"}],
    "calibrated_sensor": [
        {"token": "c0", "sensor_token": "s0", "translation": [1, 0, 2], "rotation": [1, 0, 0, 0],
         "camera_intrinsic": []},
        {"token": "c1", "sensor_token": "s1", "translation": [2, 0, 1.5], "rotation": [0.5, -0.5, 0.5, -0.5],
         "camera_intrinsic": [[100, 0, 80], [0, 100, 45], [0, 0, 1]]},
        {"token": "c2", "sensor_token": "s1", "translation": [2, 0, 1.6], "rotation": [0.5, -0.5, 0.5, -0.5],
         "camera_intrinsic": [[100, 0, 80], [0, 100, 45], [0, 0, 1]]},
    ],
    "sample_data": [
        {"calibrated_sensor_token": "c0", "sample_token": "a", "width": 0, "height": 0},
        {"calibrated_sensor_token": "c0", "sample_token": "b", "width": 0, "height": 0},
        {"calibrated_sensor_token": "c1", "sample_token": "a", "width": 160, "height": 90},
        {"calibrated_sensor_token": "c2", "sample_token": "b", "width": 160, "height": 90},
    ],
    "sample": [{"token": "a", "scene_token": "A"}, {"token": "b", "scene_token": "B"}],
    "scene": [{"token": "A", "name": "scene-1"}, {"token": "B", "name": "scene-2"}],
}  # fmt: skip


def written(folder: Path, tables: dict[str, Any]) -> Path:
    for name, records in tables.items():
        (folder / f"{name}.json").write_text(json.dumps(records))
    return folder


def test_nuscenes_tables_place_a_camera_by_hand_calculation(tmp_path: Path) -> None:
    tables = written(tmp_path, TABLES)
    with pytest.raises(BadCalibration, match="name a scene") as error:
        from_nuscenes(tables)
    assert error.value.reason == "several"
    camera, placed = from_nuscenes(tables, "scene-1")["cam_front"]
    assert (camera.width, camera.height) == (160, 90)
    # The camera looks ahead from 1 m before the LiDAR and 0.5 m below it: x is ahead, y to the left, z up.
    seen = placed @ [11.0, 2.0, 0.5, 1.0]
    np.testing.assert_allclose(seen, [-2.0, -1.0, 10.0, 1.0], atol=1e-12)
    seen = from_nuscenes(tables, "scene-2")["cam_front"][1] @ [11.0, 2.0, 0.5, 1.0]
    np.testing.assert_allclose(seen, [-2.0, -0.9, 10.0, 1.0], atol=1e-12)
    with pytest.raises(BadCalibration, match="scene-1, scene-2"):
        from_nuscenes(tables, "scene-9")


@pytest.mark.parametrize("damage", ["no table", "not json", "no records", "keys", "quaternion", "lidar"])
def test_nuscenes_tables_that_cannot_be_right_are_refused(tmp_path: Path, damage: str) -> None:
    tables = json.loads(json.dumps(TABLES))
    if damage == "keys":
        del tables["calibrated_sensor"][1]["rotation"]
    elif damage == "quaternion":
        tables["calibrated_sensor"][1]["rotation"] = [2, 0, 0, 0]
    elif damage == "lidar":
        tables["sensor"][0]["channel"] = "RADAR"
    written(tmp_path, tables)
    if damage == "no table":
        (tmp_path / "sensor.json").unlink()
    elif damage == "not json":
        (tmp_path / "sensor.json").write_text("[{")
    elif damage == "no records":
        (tmp_path / "sensor.json").write_text("{}")
    with pytest.raises(BadCalibration):
        from_nuscenes(tmp_path, "scene-1")


def test_the_real_nuscenes_tables_agree_with_the_real_frame(shared_data: Callable[[str], Path]) -> None:
    """`info.json` holds the same calibration in another form, made by others."""
    tables = shared_data("data/nuscenes/v1.0-test")
    frame = json.loads((tables.parent / "info.json").read_text())["data_list"][0]
    rig = from_nuscenes(tables)
    assert len(rig) == 6
    base_from_lidar = np.array(frame["lidar_points"]["lidar2ego"])
    for name, image in frame["images"].items():
        camera, placed = rig[name.lower()]
        assert (camera.width, camera.height) == (1600, 900)
        np.testing.assert_allclose(camera.matrix, np.array(image["cam2img"])[:3, :3], atol=1e-6)
        expected = np.linalg.inv(np.array(image["cam2ego"])) @ base_from_lidar
        np.testing.assert_allclose(placed, expected, atol=2e-5)


def test_the_real_kitti_odometry_file_is_read(shared_data: Callable[[str], Path]) -> None:
    camera, placed = from_kitti(shared_data("data/kitti_odometry/calib.txt"), (1241, 376))["image_2"]
    assert camera.matrix[0, 0] == pytest.approx(718.856)
    ahead = placed @ [20.0, 0.0, 0.0, 1.0]
    assert ahead[2] == pytest.approx(20.0, abs=0.5)
    assert abs(ahead[:2]).max() < 0.5
