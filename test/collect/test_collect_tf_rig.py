"""CameraInfo, TF and odometry make a rig: against plain matrix products, and never a guess."""

from __future__ import annotations

import numpy as np
import pytest
from test_collect_rig import BASE_FROM_LIDAR, CAMERA, SECOND, at

from clip2scene_ros.collect.sets import RawImage, RawSet
from clip2scene_ros.collect.tf_rig import TfRig
from clip2scene_ros.errors import BadCalibration, BadCloud
from clip2scene_ros.frame import Array, Scan
from clip2scene_ros.io.bag_messages import (
    camera_info_message,
    cloud_message,
    odometry_message,
    tf_static_message,
    typestore,
)
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.io.stamps import cdr_frame_id, cdr_stamp_ns
from clip2scene_ros.pose_buffer import PoseBuffer
from clip2scene_ros.transform_tree import TransformTree

BASE_FROM_CAMERA = np.array([[0.0, 0, 1, 1.7], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
START_NS = 100 * SECOND


def cdr(message: object) -> bytes:
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))  # type: ignore[attr-defined]


def cloud(seconds: float, frame: str = "/lidar") -> bytes:
    scan = Scan(np.zeros((2, 3), np.float32), np.zeros(2, np.float32))
    return cdr(cloud_message(pack_points(scan), START_NS + round(seconds * SECOND), frame))


def raw(scan_s: float, image_s: float) -> RawSet:
    image = RawImage(START_NS + round(image_s * SECOND), True, b"")
    return RawSet(START_NS + round(scan_s * SECOND), "points", cloud(scan_s), {"front": image})


def info(focal: float = 1.0) -> bytes:
    message = camera_info_message(CAMERA, START_NS, "cam")
    message.k = message.k * [focal, *[1.0] * 8]
    return cdr(message)


def told(rig: TfRig, *, static: bool, parent: str, child: str, pose: Array, seconds: float = 0.0) -> None:
    message = tf_static_message([(parent, child, pose)], START_NS + round(seconds * SECOND))
    rig.add_transforms(message, static=static)


@pytest.fixture
def rig() -> TfRig:
    """Return a rig that knows its sensors, and not its way."""
    rig = TfRig(("front",))
    rig.add_camera_info("front", info())
    told(rig, static=True, parent="base_link", child="lidar", pose=BASE_FROM_LIDAR)
    told(rig, static=True, parent="base_link", child="cam", pose=BASE_FROM_CAMERA)
    return rig


def by_tf(rig: TfRig, until_s: float = 2.0) -> None:
    for i in range(int(20 * until_s) + 1):
        told(rig, static=False, parent="odom", child="base_link", pose=at(i / 20), seconds=i / 20)


def expected(scan_s: float, image_s: float) -> Array:
    return np.linalg.inv(at(image_s) @ BASE_FROM_CAMERA) @ at(scan_s) @ BASE_FROM_LIDAR  # type: ignore[no-any-return]


@pytest.mark.parametrize("source", ["tf", "odometry"])
def test_a_camera_is_placed_where_it_was_at_its_exposure(rig: TfRig, source: str) -> None:
    if source == "tf":
        by_tf(rig)
    else:
        for i in range(41):
            rig.add_odometry(odometry_message(at(i / 20), START_NS + i * SECOND // 20, "map", "/base_link"))
    placed = rig.place(raw(1.01, 1.037))
    np.testing.assert_allclose(placed.cameras["front"][1], expected(1.01, 1.037), atol=1e-9)
    np.testing.assert_allclose(placed.world_from_lidar, at(1.01) @ BASE_FROM_LIDAR, atol=1e-9)
    assert len(placed.around) == 2
    assert rig.pose(raw(1.01, 1.037)) is not None
    assert rig.condition().problems == ()
    assert rig.condition().motion == {"tf": "tf from odom", "odometry": "odometry"}[source]


def test_without_a_way_an_image_of_another_time_is_left_out_and_none_is_placed_as_if_it_stood_still(rig: TfRig) -> None:
    placed = rig.place(raw(1.0, 1.02))
    assert (placed.cameras, placed.left_out, placed.world_from_lidar) == ({}, {"front": "no_pose"}, None)
    np.testing.assert_allclose(rig.place(raw(1.0, 1.0)).cameras["front"][1], expected(1.0, 1.0), atol=1e-9)
    rig.pose(raw(1.0, 1.0))
    assert "joins odom and lidar" in rig.condition().problems[0]
    by_tf(rig, until_s=1.0)
    assert rig.condition().problems == ()
    assert rig.place(raw(1.0, 1.5)).left_out == {"front": "no_pose"}


def test_a_moving_mount_is_taken_as_it_was_at_its_time(rig: TfRig) -> None:
    by_tf(rig)
    for i in range(41):
        told(rig, static=False, parent="base_link", child="cam", pose=at(i / 200) @ BASE_FROM_CAMERA, seconds=i / 20)
    mount = at(1.037 / 10) @ BASE_FROM_CAMERA
    wanted = np.linalg.inv(at(1.037) @ mount) @ at(1.01) @ BASE_FROM_LIDAR
    np.testing.assert_allclose(rig.place(raw(1.01, 1.037)).cameras["front"][1], wanted, atol=1e-9)


def test_camera_info_that_cannot_be_right_takes_the_camera_away_until_the_next(rig: TfRig) -> None:
    for wrong, reason in ((info(float("nan")), "not_finite"), (info(0.0), "focal_length"), (info()[:40], "message")):
        rig.add_camera_info("front", wrong)
        rig.add_camera_info("front", wrong)
        assert rig.place(raw(1.0, 1.0)).left_out == {"front": "bad_camera_info"}
        assert rig.condition().refused[f"front.camera_info.{reason}"] == 2
        assert "front cannot be placed" in rig.condition().problems[0]
    rig.add_camera_info("front", info(2.0))
    assert rig.place(raw(1.0, 1.0)).cameras["front"][0].matrix[0, 0] == 160.0


def test_a_transform_that_is_none_is_counted_and_the_last_good_one_counts_on(rig: TfRig) -> None:
    message = tf_static_message([("base_link", "cam", np.eye(4))], START_NS)
    message.transforms[0].transform.rotation.w = float("nan")
    for static in (True, False):
        rig.add_transforms(message, static=static)
    broken = odometry_message(np.eye(4), START_NS)
    broken.pose.pose.orientation.w = 0.0
    rig.add_odometry(broken)
    assert rig.condition().refused == {"transform.not_finite": 2, "odometry.not_unit": 1}
    np.testing.assert_allclose(rig.place(raw(1.0, 1.0)).cameras["front"][1], expected(1.0, 1.0), atol=1e-9)


def test_a_camera_of_which_nothing_came_is_left_out(rig: TfRig) -> None:
    other = TfRig(("front",))
    assert other.place(raw(1.0, 1.0)).left_out == {"front": "no_camera_info"}
    other.add_camera_info("front", info())
    assert other.place(raw(1.0, 1.0)).left_out == {"front": "no_transform"}


def test_moving_links_need_a_time_and_say_so() -> None:
    tree = TransformTree()
    tree.add("base", "cam", at(1.0))
    for second in range(3):
        tree.add_at(second * SECOND, "odom", "base", at(second))
    np.testing.assert_allclose(tree.lookup("cam", "odom", SECOND // 2), np.linalg.inv(at(1.5)), atol=1e-9)
    for stamp_ns, reason in ((None, "moving"), (5 * SECOND, "extrapolation")):
        with pytest.raises(BadCalibration) as error:
            tree.lookup("odom", "cam", stamp_ns)
        assert error.value.reason == reason
    tree.add("base", "odom", np.eye(4))  # the other way round, and for good
    np.testing.assert_allclose(tree.lookup("odom", "cam"), at(1.0), atol=1e-9)


def test_poses_that_come_late_find_their_place() -> None:
    buffer = PoseBuffer()
    for tenth in (0, 2, 1, 4, 3):
        buffer.add(tenth * SECOND // 10, at(tenth / 10))
    for tenth in range(9):
        np.testing.assert_allclose(buffer.at(tenth * SECOND // 20), at(tenth / 20), atol=1e-9)


def test_the_frame_of_a_serialised_message_is_read_from_its_first_bytes() -> None:
    for name in ("lidar", "", "a/longer_name"):
        data = cloud(1.5, name)
        assert (cdr_frame_id(data), cdr_stamp_ns(data)) == (name, START_NS + 3 * SECOND // 2)
    for size in (0, 12, 16, 18):
        with pytest.raises(BadCloud, match="frame"):
            cdr_frame_id(cloud(1.0)[:size])
