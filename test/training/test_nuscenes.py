"""nuScenes from its own tables; on the real key frame, the calibration is judged by three independent means."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip2scene_ros.alignment import turned_scores
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Frame, Segmentation
from clip2scene_ros.geometry import project
from clip2scene_ros.render import summary_picture
from clip2scene_training.datasets.nuscenes import NuScenesDataset

CAMERAS = ("cam_back", "cam_back_left", "cam_back_right", "cam_front", "cam_front_left", "cam_front_right")


@pytest.fixture(scope="module")
def root(shared_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layout of a real nuScenes folder, its files linked to the flat shared ones."""
    source = shared_data("data/nuscenes")
    folder = tmp_path_factory.mktemp("nuscenes")
    shutil.copytree(source / "v1.0-test", folder / "v1.0-test")
    (folder / "v1.0-test").chmod(0o755)
    for file in source.glob("n015-*"):
        place = folder / "samples" / file.name.split("__")[1]
        place.mkdir(parents=True)
        (place / file.name).symlink_to(file)
    return folder


@pytest.fixture(scope="module")
def frame(root: Path) -> Frame:
    return NuScenesDataset(root, "v1.0-test")[0]


@pytest.fixture(scope="module")
def info(shared_data: Callable[[str], Path]) -> Any:
    return json.loads(shared_data("data/nuscenes/info.json").read_text())["data_list"][0]


def test_key_frame_has_scan_six_views_and_pose(frame: Frame) -> None:
    assert len(frame.scan) == 34_688
    assert frame.scan.stamp_ns == 1_532_402_927_647_951_000
    assert frame.scan.ring is not None
    assert set(np.unique(frame.scan.ring)) == set(range(32))
    assert 0.0 <= frame.scan.intensity.min() < frame.scan.intensity.max() <= 1.0
    assert tuple(v.name for v in frame.views) == CAMERAS
    assert all(v.image.shape == (900, 1600, 3) for v in frame.views)
    assert frame.labels is None


def test_calibration_chain_is_the_given_one(frame: Frame, info: Any) -> None:
    for view in frame.views:
        given = info["images"][view.name.upper()]
        np.testing.assert_allclose(view.camera_from_lidar, given["lidar2cam"], atol=1e-4)
        np.testing.assert_allclose(view.camera.matrix, given["cam2img"], atol=1e-9)
    world = np.array(info["ego2global"]) @ np.array(info["lidar_points"]["lidar2ego"])
    np.testing.assert_allclose(frame.world_from_lidar, world, atol=1e-4)


def inside_box(points: np.ndarray, box: list[float]) -> np.ndarray:
    """Points within a box given by its centre, length, width, height and yaw."""
    turn = np.array([[np.cos(box[6]), -np.sin(box[6])], [np.sin(box[6]), np.cos(box[6])]])
    local = points - box[:3]
    local[:, :2] = local[:, :2] @ turn
    return (np.abs(local) <= np.array(box[3:6]) / 2).all(axis=1)


def own_instance(annotation: dict[str, Any], view_info: dict[str, Any], centres: np.ndarray) -> int:
    """The instance whose centre a camera's 2D annotation names."""
    k = np.array(view_info["cam2img"])
    centre = np.linalg.inv(k) @ [*annotation["center_2d"], 1.0] * annotation["depth"]
    lidar_from_camera = np.linalg.inv(np.array(view_info["lidar2cam"]))
    gaps = np.linalg.norm(centres - (lidar_from_camera @ [*centre, 1.0])[:3], axis=1)
    assert gaps.min() < 0.1
    return int(gaps.argmin())


def share_of_boxes_with_their_points(frame: Frame, info: Any, yaw_rad: float = 0.0) -> tuple[int, int]:
    """Count visible boxes, and those whose annotated 2D rectangle holds all their own points' projections."""
    points = frame.scan.points.astype(np.float64)
    centres = np.array([i["bbox_3d"][:3] for i in info["instances"]])
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    boxes, right = 0, 0
    for view in frame.views:
        uv, _, seen = project(points, view.camera, view.camera_from_lidar @ turn)
        for annotation in info["cam_instances"][view.name.upper()]:
            own = own_instance(annotation, info["images"][view.name.upper()], centres)
            mine = uv[seen & inside_box(points, info["instances"][own]["bbox_3d"])]
            if len(mine):
                x0, y0, x1, y1 = annotation["bbox"]
                boxes += 1
                right += bool(((mine >= [x0, y0]) & (mine <= [x1, y1])).all())
    return boxes, right


def test_visible_boxes_contain_their_own_points_projections(frame: Frame, info: Any) -> None:
    boxes, right = share_of_boxes_with_their_points(frame, info)
    assert boxes >= 70
    assert right >= 0.95 * boxes
    boxes, right = share_of_boxes_with_their_points(frame, info, np.radians(0.5))
    assert right < 0.85 * boxes


def test_alignment_finds_a_yaw_error_of_half_a_degree(frame: Frame) -> None:
    angles = np.radians(np.arange(-20, 21) / 10)
    scores = turned_scores(frame.scan, frame.views, angles)[:, 0]
    together = scores.mean(axis=0)
    right, wrong = together[20], together[[15, 25]]
    assert abs(np.degrees(angles[together.argmax()])) <= 0.1
    assert (wrong < 0.9 * right).all()
    best = np.abs(np.degrees(angles[scores.argmax(axis=1)]))
    assert (best <= 0.15).sum() >= 5


def test_points_in_boxes_make_a_picture(frame: Frame, shared_data: Callable[[str], Path], root: Path) -> None:
    raw = np.load(shared_data("data/nuscenes/point_labels_from_boxes_int8.npy"))
    class_set = NuScenesDataset(root, "v1.0-test").class_set
    names = json.loads(shared_data("data/nuscenes/info.json").read_text())["metainfo"]["categories"]
    table = np.full(256, 255, dtype=np.uint8)
    for name, index in names.items():
        table[index] = class_set.index(name.replace("_", " "))
    labels = table[raw.astype(np.uint8)]
    n = len(labels)
    segmentation = Segmentation(labels, np.ones(n, np.float32), np.zeros(n, np.float32))
    picture = summary_picture(frame, segmentation, class_set, "scene-0061", "points in annotated boxes")
    truck = class_set.palette[class_set.index("truck")]
    front = picture[100:460, 650:1270]  # the parked truck stands left in the front camera
    columns = np.argwhere(np.abs(front.astype(int) - truck).max(axis=2) < 60)[:, 1]
    assert len(columns) > 500
    assert columns.mean() < 310


def test_lidarseg_labels_are_read_where_they_are(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "root"
    shutil.copytree(root, copy, symlinks=True)
    records = json.loads((copy / "v1.0-test" / "sample_data.json").read_text())
    token = next(r["token"] for r in records if "LIDAR_TOP" in r["filename"])
    table = [{"token": token, "sample_data_token": token, "filename": f"lidarseg/v1.0-test/{token}_lidarseg.bin"}]
    (copy / "v1.0-test" / "lidarseg.json").write_text(json.dumps(table))
    file = copy / table[0]["filename"]
    file.parent.mkdir(parents=True)
    raw = np.resize(np.arange(32, dtype=np.uint8), 34_688)
    raw.tofile(file)
    dataset = NuScenesDataset(copy, "v1.0-test", images=False)
    frame = dataset[0]
    assert frame.views == ()
    assert frame.labels is not None
    names = dataset.class_set.names
    assert frame.labels[0] == 255
    assert names[frame.labels[17]] == "car"
    assert names[frame.labels[24]] == "driveable surface"
    assert frame.labels[31] == 255  # the ego vehicle
    raw[:-1].tofile(file)
    with pytest.raises(BadDataset, match="34688 points, but got 34687"):
        _ = dataset[0]


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"v1\.0-mini/sensor\.json"):
        NuScenesDataset(root, "v1.0-mini")
    with pytest.raises(BadDataset, match="has no scene-9999; it has 1 scenes"):
        NuScenesDataset(root, "v1.0-test", scenes=["scene-9999"])
    shutil.copytree(root / "v1.0-test", tmp_path / "v1.0-test")
    dataset = NuScenesDataset(tmp_path, "v1.0-test", scenes=["scene-0061"])
    assert len(dataset) == 1
    with pytest.raises(BadDataset, match=r"LIDAR_TOP.*\.pcd\.bin: No such file"):
        _ = dataset[0]
    with pytest.raises(IndexError):
        _ = dataset[1]
    (tmp_path / "v1.0-test" / "sensor.json").chmod(0o644)
    (tmp_path / "v1.0-test" / "sensor.json").write_text("{]")
    with pytest.raises(BadDataset, match="not valid JSON"):
        NuScenesDataset(tmp_path, "v1.0-test")
