"""Chains of named transforms and poses over time: right where they are known, an error where they are not."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import NS_PER_S
from clip2scene_ros.geometry import pose_from_quaternion
from clip2scene_ros.pose_buffer import PoseBuffer
from clip2scene_ros.transform_tree import TransformTree

RNG = np.random.default_rng(5)


def random_pose() -> np.ndarray:
    q = RNG.normal(size=4)
    return pose_from_quaternion(RNG.normal(size=3), q / np.linalg.norm(q))


def chain() -> tuple[TransformTree, list[np.ndarray]]:
    """map -> odom -> base_link -> mast -> lidar, and base_link -> cam."""
    poses = [random_pose() for _ in range(5)]
    tree = TransformTree()
    names = [("map", "odom"), ("odom", "base_link"), ("base_link", "mast"), ("mast", "lidar"), ("base_link", "cam")]
    for (parent, child), pose in zip(names, poses, strict=True):
        tree.add(parent, child, pose)
    return tree, poses


def test_a_lookup_is_the_product_along_the_chain() -> None:
    tree, (map_odom, odom_base, base_mast, mast_lidar, base_cam) = chain()
    np.testing.assert_allclose(tree.lookup("map", "lidar"), map_odom @ odom_base @ base_mast @ mast_lidar, atol=1e-12)
    np.testing.assert_allclose(
        tree.lookup("cam", "lidar"), np.linalg.inv(base_cam) @ base_mast @ mast_lidar, atol=1e-12
    )
    np.testing.assert_allclose(tree.lookup("/cam", "lidar") @ tree.lookup("lidar", "cam"), np.eye(4), atol=1e-12)
    np.testing.assert_array_equal(tree.lookup("lidar", "lidar"), np.eye(4))


def test_a_missing_link_is_told_with_what_is_known_and_may_come_late() -> None:
    tree, poses = chain()
    tree.add("rack", "cam_back", random_pose())
    with pytest.raises(BadCalibration, match="joined with") as error:
        tree.lookup("cam_back", "lidar")
    assert error.value.reason == "no_transform"
    text = str(error.value)
    assert "cam_back is joined with rack" in text
    assert all(name in text for name in ("mast", "base_link", "map"))
    with pytest.raises(BadCalibration, match=r"cam_left is in no transform \(frames known: base_link, cam"):
        tree.lookup("cam_left", "lidar")
    base_rack = random_pose()
    tree.add("base_link", "rack", base_rack)
    assert tree.joins("cam_back", "lidar")
    np.testing.assert_allclose(tree.lookup("base_link", "rack"), base_rack, atol=1e-12)
    assert not tree.joins("cam_left", "lidar")
    del poses


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        (np.diag([2.0, 1, 1, 1]), "not_rotation"),
        (np.diag([-1.0, 1, 1, 1]), "reflection"),
        (np.full((4, 4), np.nan), "not_finite"),
        (np.eye(3), "shape"),
    ],
)
def test_what_is_no_rigid_motion_is_refused_and_changes_nothing(pose: np.ndarray, reason: str) -> None:
    tree, _ = chain()
    before = tree.lookup("base_link", "cam")
    with pytest.raises(BadCalibration, match="transform base_link -> cam") as error:
        tree.add("base_link", "cam", pose)
    assert error.value.reason == reason
    np.testing.assert_array_equal(tree.lookup("base_link", "cam"), before)
    buffer = PoseBuffer()
    with pytest.raises(BadCalibration, match="pose at 7 ns"):
        buffer.add(7, pose)
    assert len(buffer) == 0


@pytest.mark.parametrize("xyzw", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (0, 0, 0, 2.0)])
def test_a_quaternion_that_is_none_is_refused(xyzw: tuple[float, ...]) -> None:
    with pytest.raises(BadCalibration, match="transform base -> cam"):
        TransformTree().add_quaternion("/base", "cam", (0, 0, 0), xyzw)


def test_a_frame_in_itself_or_without_a_name_is_refused() -> None:
    for parent, child in (("base", "base"), ("", "cam"), ("base", "/")):
        with pytest.raises(BadCalibration, match="two frames"):
            TransformTree().add(parent, child, np.eye(4))


def along_x(metres: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = metres
    return pose


def test_poses_are_interpolated_forgotten_and_never_guessed() -> None:
    buffer = PoseBuffer(keep_s=2.0)
    with pytest.raises(BadCalibration, match="odometry topic") as error:
        buffer.at(0)
    assert error.value.reason == "no_poses"
    for tenth in range(100):
        buffer.add(tenth * NS_PER_S // 10, along_x(0.5 * tenth))
        buffer.add(tenth * NS_PER_S // 10, along_x(99.0))
    assert len(buffer) == 21
    np.testing.assert_allclose(buffer.at(int(9.25 * NS_PER_S)), along_x(0.5 * 92.5), atol=1e-9)
    for stamp_s, reason in ((5.0, "extrapolation"), (11.0, "extrapolation")):
        with pytest.raises(BadCalibration) as error:
            buffer.at(int(stamp_s * NS_PER_S))
        assert error.value.reason == reason
    buffer.add(int(11.5 * NS_PER_S), along_x(57.5))
    with pytest.raises(BadCalibration, match="apart"):
        buffer.at(int(10.8 * NS_PER_S))
    buffer.add(NS_PER_S, along_x(5.0))  # a bag begins anew
    assert len(buffer) == 1
