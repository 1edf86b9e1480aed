from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import CameraModel, View
from clip2scene_ros.geometry import (
    Trajectory,
    camera_from_lidar_at,
    check_rigid,
    compose,
    invert,
    pose_from_quaternion,
    project,
    quaternion_from_matrix,
    slerp,
    transform,
    unproject,
    visible,
)

K = np.array([[1266.4, 0.0, 816.3], [0.0, 1260.1, 491.5], [0.0, 0.0, 1.0]])
LENSES = {
    "none": [],
    "plumb_bob": [-0.3, 0.1, 0.001, -0.002, 0.01],
    "rational_polynomial": [0.1, -0.05, 0.001, 0.0003, 0.002, 0.05, 0.01, 0.001],
    "equidistant": [0.05, -0.01, 0.002, -0.0005],
}

unit = st.floats(-1, 1)
quaternions = st.tuples(unit, unit, unit, unit).filter(lambda q: np.linalg.norm(q) > 1e-3)
places = st.tuples(*[st.floats(-1e3, 1e3)] * 3)


def camera(model: str = "none") -> CameraModel:
    return CameraModel(1600, 900, K, model, np.array(LENSES[model]))


def pose(q: tuple[float, ...], t: tuple[float, ...] = (0, 0, 0)) -> np.ndarray:
    return pose_from_quaternion(t, np.array(q) / np.linalg.norm(q))


def hamilton(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the quaternion product a b, x y z w."""
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])


def axis_angle(axis: int, angle: float) -> np.ndarray:
    """Return the rotation about a coordinate axis, written out."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(4)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


@given(quaternions, places)
def test_a_quaternion_turns_points_as_hamilton_says(q: tuple[float, ...], t: tuple[float, ...]) -> None:
    q_unit = np.array(q) / np.linalg.norm(q)
    point = np.array([1.5, -2.0, 0.25])
    turned = hamilton(hamilton(q_unit, np.append(point, 0.0)), q_unit * [-1, -1, -1, 1])[:3]
    np.testing.assert_allclose(transform(pose(q, t), point[None])[0], turned + t, atol=1e-9)


@given(quaternions)
def test_quaternions_come_back_up_to_sign(q: tuple[float, ...]) -> None:
    q_unit = np.array(q) / np.linalg.norm(q)
    back = quaternion_from_matrix(pose(q))
    assert back[3] >= 0
    np.testing.assert_allclose(abs(back @ q_unit), 1.0, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2, np.pi - 1e-9, np.pi, -2.0])
def test_turns_about_an_axis(axis: int, angle: float) -> None:
    q = np.zeros(4)
    q[axis], q[3] = np.sin(angle / 2), np.cos(angle / 2)
    np.testing.assert_allclose(pose_from_quaternion((0, 0, 0), q), axis_angle(axis, angle), atol=1e-12)
    np.testing.assert_allclose(
        pose_from_quaternion((0, 0, 0), quaternion_from_matrix(axis_angle(axis, angle))),
        axis_angle(axis, angle),
        atol=1e-9,
    )


@given(quaternions, places, quaternions, places)
def test_inverse_and_product_are_those_of_matrices(q: tuple, t: tuple, q2: tuple, t2: tuple) -> None:
    a, b = pose(q, t), pose(q2, t2)
    np.testing.assert_allclose(invert(a), np.linalg.inv(a), atol=1e-8)
    np.testing.assert_allclose(compose(a, b, invert(b)), a, atol=1e-9)
    np.testing.assert_allclose(compose(), np.eye(4))


def test_transformed_points_keep_their_type_and_are_computed_in_double() -> None:
    far = pose((0, 0, 0, 1), (1e7, 0, 0))
    points = np.array([[0.125, 0, 0]], np.float32)
    assert transform(far, points).dtype == np.float32
    assert transform(invert(far), transform(far, points.astype(np.float64)))[0, 0] == 0.125


@pytest.mark.parametrize(
    ("reason", "matrix"),
    [
        ("shape", np.eye(3)),
        ("shape", [[1, 2], [3]]),
        ("shape", "pose"),
        ("not_finite", np.full((4, 4), np.nan)),
        ("not_finite", np.diag([1, 1, np.inf, 1])),
        ("bottom_row", np.eye(4) + np.eye(4)[::-1] * [[0], [0], [0], [1]]),
        ("not_rotation", np.diag([1.01, 1, 1, 1])),
        ("not_rotation", np.diag([0.0, 0, 0, 1])),
        ("not_rotation", np.diag([1000.0, 1000, 1000, 1])),
        ("reflection", np.diag([-1.0, 1, 1, 1])),
        ("reflection", np.eye(4)[[1, 0, 2, 3]]),
    ],
)
def test_what_is_no_rigid_motion_is_refused(reason: str, matrix: object) -> None:
    with pytest.raises(BadCalibration, match="cam_front") as error:
        check_rigid(matrix, "cam_front")
    assert error.value.reason == reason


def test_rigid_motions_written_with_four_digits_pass_and_get_their_last_row() -> None:
    matrix = np.round(pose((0.1, 0.2, 0.3, 0.9), (1, 2, 3)), 4)[:3]
    assert check_rigid(matrix, "x").shape == (4, 4)


@pytest.mark.parametrize(
    ("reason", "xyz", "xyzw"),
    [
        ("not_unit", (0, 0, 0), (0, 0, 0, 0)),
        ("not_unit", (0, 0, 0), (0, 0, 0, 1.1)),
        ("not_finite", (0, 0, 0), (0, 0, 0, np.nan)),
        ("not_finite", (np.inf, 0, 0), (0, 0, 0, 1)),
        ("shape", (0, 0), (0, 0, 0, 1)),
        ("shape", (0, 0, 0), (0, 0, 1)),
        ("shape", (0, 0, "a"), (0, 0, 0, 1)),
    ],
)
def test_what_is_no_pose_is_refused(reason: str, xyz: tuple, xyzw: tuple) -> None:
    with pytest.raises(BadCalibration) as error:
        pose_from_quaternion(xyz, xyzw)
    assert error.value.reason == reason


def slow_pixel(point: np.ndarray, model: str) -> tuple[float, float]:
    """Return u, v of one point by the formulas of OpenCV's documentation, term by term."""
    x, y = point[0] / point[2], point[1] / point[2]
    d = LENSES[model]
    if model == "equidistant":
        r = (x * x + y * y) ** 0.5
        th = np.arctan(r)
        thd = th * (1 + d[0] * th**2 + d[1] * th**4 + d[2] * th**6 + d[3] * th**8)
        x, y = (x * thd / r, y * thd / r) if r else (x, y)
    elif model != "none":
        k1, k2, p1, p2, k3, k4, k5, k6 = [*d, 0, 0, 0][:8]
        r2 = x * x + y * y
        radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    return K[0, 0] * x + K[0, 2], K[1, 1] * y + K[1, 2]


def points_in_view(n: int = 200, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.uniform(1, 80, n)
    return np.stack([rng.uniform(-0.55, 0.55, n) * z, rng.uniform(-0.32, 0.32, n) * z, z], axis=1)


@pytest.mark.parametrize("model", LENSES)
def test_projection_is_that_of_opencvs_formulas(model: str) -> None:
    points = points_in_view()
    uv, depth, inside = project(points, camera(model), np.eye(4))
    expected = np.array([slow_pixel(p, model) for p in points])
    np.testing.assert_allclose(uv, expected, atol=2e-4)
    np.testing.assert_allclose(depth, points[:, 2], rtol=1e-6)
    box = (expected >= 0).all(1) & (expected[:, 0] <= 1599) & (expected[:, 1] <= 899)
    assert np.array_equal(inside, box)
    assert uv.dtype == depth.dtype == np.float32


@pytest.mark.parametrize("model", LENSES)
def test_rays_through_projected_pixels_lead_back_to_the_points(model: str) -> None:
    points = points_in_view(500, seed=1)
    uv, _, inside = project(points, camera(model), np.eye(4))
    rays = unproject(uv, camera(model)) * points[:, 2:]
    assert inside.sum() > 300
    np.testing.assert_allclose(rays[inside], points[inside], atol=2e-5 * 80)


def test_projection_uses_the_extrinsics_in_the_named_direction() -> None:
    camera_from_lidar = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, -0.3], [1, 0, 0, -0.5], [0, 0, 0, 1]])
    uv, depth, inside = project(np.array([[10.5, 0.1, -0.3]]), camera(), camera_from_lidar)
    assert depth[0] == 10.0
    np.testing.assert_allclose(uv[0], K[:2, 2], atol=1e-4)
    assert inside[0]


def test_a_view_brings_its_own_extrinsics() -> None:
    points = points_in_view()
    shifted = pose((0, 0, 0, 1), (0.5, 0, 0))
    view = View("cam", np.zeros((900, 1600, 3), np.uint8), camera(), shifted)
    for mine, theirs in zip(project(points, view), project(points, camera(), shifted), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ValueError, match="camera_from_lidar"):
        project(points, camera())


@pytest.mark.parametrize("model", LENSES)
def test_what_is_not_in_front_or_not_finite_is_outside(model: str) -> None:
    bad = np.array([[0, 0, -5], [0, 0, 0], [0, 0, 0.05], [np.nan, 0, 5], [0, np.inf, 5], [0, 0, np.inf], [1e30, 0, 1]])
    assert not project(bad.astype(np.float32), camera(model), np.eye(4))[2].any()
    assert project(np.zeros((0, 3), np.float32), camera(model), np.eye(4))[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [
        ("plumb_bob", [-0.3, 0.0, 0, 0]),
        ("plumb_bob", [-0.4, 0.15, 0, 0, -0.03]),
        ("rational_polynomial", [0, 0, 0, 0, 0, 0.5, 0, 0]),
    ],
)
def test_rays_far_outside_the_lens_do_not_fold_back_into_the_image(model: str, coefficients: list[float]) -> None:
    lens = CameraModel(1600, 900, K, model, np.array(coefficients))
    slope = np.linspace(0, 20, 4001)
    points = np.stack([slope, np.zeros_like(slope), np.ones_like(slope)], axis=1)
    uv, _, inside = project(points, lens, np.eye(4))
    assert inside[0]
    assert (np.diff(uv[inside, 0]) > 0).all()  # each pixel is seen once, in order
    assert (np.diff(np.flatnonzero(inside)) == 1).all()
    naive = np.array([K[0, 0] * s * (1 + coefficients[0] * s * s) + K[0, 2] for s in slope])
    if len(coefficients) == 4:
        assert ((naive >= 0) & (naive <= 1599) & ~inside).any()  # the formula alone would have let some in


def wall(depth_m: float, half_m: float, step_m: float) -> np.ndarray:
    side = np.arange(-half_m, half_m + 1e-9, step_m)
    x, y = np.meshgrid(side, side)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, depth_m)], axis=1)


def test_a_board_hides_the_wall_behind_it_and_nothing_else() -> None:
    board, behind = wall(10.0, 0.5, 0.15), wall(20.0, 4.0, 0.2)
    points = np.concatenate([board, behind])
    uv, depth, inside = project(points, camera(), np.eye(4))
    shown = visible(uv, depth, inside, camera())
    reach = np.abs(points[:, :2] / points[:, 2:]).max(axis=1) * 10.0  # where the sight line crosses the board's plane
    is_wall = np.arange(len(points)) >= len(board)
    assert shown[~is_wall].all()
    assert not shown[is_wall & (reach < 0.5)].any()
    assert shown[is_wall & (reach > 0.8) & inside].all()
    assert not shown[~inside].any()


def test_a_road_does_not_hide_itself() -> None:
    z = np.arange(3.0, 60.0, 0.5)
    x = np.linspace(-3, 3, 31)
    points = np.stack([np.tile(x, len(z)), np.full(len(x) * len(z), 1.6), np.repeat(z, len(x))], axis=1)
    uv, depth, inside = project(points, camera(), np.eye(4))
    assert visible(uv, depth, inside, camera())[inside].mean() > 0.99


def test_visibility_does_not_depend_on_the_order_of_points() -> None:
    points = np.random.default_rng(3).uniform([-20, -5, 1], [20, 3, 60], (3000, 3))
    order = np.random.default_rng(4).permutation(3000)
    uv, depth, inside = project(points, camera(), np.eye(4))
    shown = visible(uv, depth, inside, camera())
    assert np.array_equal(visible(*project(points[order], camera(), np.eye(4)), camera()), shown[order])
    assert (inside & ~shown).sum() > 10


def slow_visible(uv: np.ndarray, depth: np.ndarray, inside: np.ndarray, splat_m: float = 0.1) -> np.ndarray:
    """Compare every pair of points, in the same cells."""
    shown = np.zeros(len(uv), bool)
    cell = np.rint(np.where(np.isfinite(uv), uv, 0)).astype(int) // 4
    for i in np.flatnonzero(inside):
        near = np.inf
        for j in np.flatnonzero(inside):
            radius = min(8, int(K[0, 0] * splat_m / depth[j] / 4))
            right, down = cell[i] - cell[j]
            if abs(right) <= radius and 0 <= down <= 2 * radius:
                near = min(near, depth[j])
        one_cell_of_road = depth[i] ** 2 * 4 / (K[1, 1] * 1.5)
        shown[i] = depth[i] - (0.2 + 0.02 * depth[i] + one_cell_of_road) <= near
    return shown


def test_visibility_equals_the_comparison_of_all_pairs() -> None:
    points = np.random.default_rng(5).uniform([-3, -2, 2], [3, 2, 30], (400, 3))
    uv, depth, inside = project(points, camera(), np.eye(4))
    expected = slow_visible(uv, depth, inside)
    assert 10 < (inside & ~expected).sum() < inside.sum()
    assert np.array_equal(visible(uv, depth, inside, camera()), expected)


def test_nothing_inside_means_nothing_visible() -> None:
    nothing = np.zeros(3, bool)
    assert not visible(np.zeros((3, 2), np.float32), np.ones(3, np.float32), nothing, camera()).any()


def turning(stamp_ns: int) -> np.ndarray:
    """Return the pose of a vehicle that drives at 10 m/s and turns at 0.4 rad/s about an odd axis."""
    s = stamp_ns * 1e-9
    axis = np.array([0.1, -0.2, 0.97]) / np.linalg.norm([0.1, -0.2, 0.97])
    return pose_from_quaternion((10 * s, 1.0, 2.0 * s), np.append(axis * np.sin(0.2 * s), np.cos(0.2 * s)))


STAMPS = [i * 50_000_000 for i in range(40)]


@given(st.integers(0, STAMPS[-1]))
def test_a_steady_motion_is_interpolated_exactly(stamp_ns: int) -> None:
    np.testing.assert_allclose(
        Trajectory(STAMPS, [turning(s) for s in STAMPS]).at(stamp_ns), turning(stamp_ns), atol=1e-9
    )


def test_a_little_beyond_the_ends_the_motion_goes_on_and_farther_it_is_refused() -> None:
    path = Trajectory(STAMPS, [turning(s) for s in STAMPS], tolerance_s=0.1)
    for stamp in (-100_000_000, -1, STAMPS[-1] + 100_000_000):
        np.testing.assert_allclose(path.at(stamp), turning(stamp), atol=1e-9)
    for stamp in (-100_000_001, STAMPS[-1] + 100_000_001, 10**18, -(10**18)):
        with pytest.raises(BadCalibration) as error:
            path.at(stamp)
        assert error.value.reason == "extrapolation"


def test_a_gap_in_the_poses_is_not_bridged() -> None:
    path = Trajectory([0, 50_000_000, 2_000_000_000], [turning(s) for s in (0, 50_000_000, 2_000_000_000)])
    np.testing.assert_allclose(path.at(2_000_000_000), turning(2_000_000_000), atol=1e-12)
    np.testing.assert_allclose(path.at(50_000_000), turning(50_000_000), atol=1e-12)
    with pytest.raises(BadCalibration) as error:
        path.at(60_000_000)
    assert error.value.reason == "gap"


def test_poses_may_come_late_and_twice() -> None:
    order = [3, 0, 2, 1, 2]
    path = Trajectory([STAMPS[i] for i in order], [turning(STAMPS[i]) for i in order])
    np.testing.assert_allclose(path.at(75_000_000), turning(75_000_000), atol=1e-9)


def test_one_pose_holds_near_its_stamp() -> None:
    path = Trajectory([10**9], [turning(10**9)])
    np.testing.assert_allclose(path.at(10**9 + 10**8), turning(10**9))
    with pytest.raises(BadCalibration):
        path.at(2 * 10**9)


@pytest.mark.parametrize(
    ("reason", "stamps", "poses"),
    [
        ("empty", [], []),
        ("shape", [1, 2], [np.eye(4)]),
        ("not_finite", [1], [np.full((4, 4), np.nan)]),
        ("not_rotation", [1], [np.zeros((4, 4)) + np.diag([0, 0, 0, 1])]),
    ],
)
def test_what_is_no_trajectory_is_refused(reason: str, stamps: list, poses: list) -> None:
    with pytest.raises(BadCalibration) as error:
        Trajectory(stamps, poses)
    assert error.value.reason == reason


@given(quaternions, st.floats(0, 1))
def test_slerp_turns_at_a_constant_rate_the_shorter_way(q: tuple, share: float) -> None:
    a, b = np.array([0.0, 0, 0, 1]), np.array(q) / np.linalg.norm(q)
    middle = slerp(a, b, share)
    angle = lambda c: 2 * np.arccos(min(1.0, abs(float(a @ c))))  # noqa: E731
    assert angle(middle) == pytest.approx(share * angle(b), abs=1e-6)
    assert np.linalg.norm(middle) == pytest.approx(1.0)


def test_extrinsics_across_time_follow_a_fixed_landmark() -> None:
    path = Trajectory(STAMPS, [turning(s) for s in STAMPS])
    camera_from_base, base_from_lidar = pose((0.5, -0.5, 0.5, -0.5), (0, 0.1, -1)), pose((0, 0, 0.7, 0.7), (1, 0, 1.8))
    scan_ns, camera_ns = 1_000_000_000, 963_000_000
    landmark_world = np.array([[25.0, 3.0, 1.0]])
    in_lidar = transform(invert(compose(turning(scan_ns), base_from_lidar)), landmark_world)
    in_camera = transform(compose(camera_from_base, invert(turning(camera_ns))), landmark_world)
    moved = camera_from_lidar_at(camera_from_base, base_from_lidar, path, camera_ns, scan_ns)
    np.testing.assert_allclose(transform(moved, in_lidar), in_camera, atol=1e-9)


def test_nuscenes_extrinsics_come_out_of_its_own_ego_poses(shared_data: Callable[[str], Path]) -> None:
    frame = json.loads(shared_data("data/nuscenes/info.json").read_text())["data_list"][0]
    tables = shared_data("data/nuscenes/v1.0-test")
    read = lambda name: {row["token"]: row for row in json.loads((tables / f"{name}.json").read_text())}  # noqa: E731
    data, sensors, egos = read("sample_data"), read("calibrated_sensor"), read("ego_pose")
    wxyz = lambda row: pose_from_quaternion(row["translation"], [*row["rotation"][1:], row["rotation"][0]])  # noqa: E731
    (lidar,) = [d for d in data.values() if "LIDAR_TOP" in d["filename"]]
    cameras = 0
    for name, image in frame["images"].items():
        (row,) = [d for d in data.values() if f"__{name}__" in d["filename"]]
        stamps = sorted({(d["timestamp"] * 1000, d["ego_pose_token"]) for d in (lidar, row)})
        path = Trajectory([s for s, _ in stamps], [wxyz(egos[token]) for _, token in stamps])
        camera_from_base = invert(wxyz(sensors[row["calibrated_sensor_token"]]))
        base_from_lidar = wxyz(sensors[lidar["calibrated_sensor_token"]])
        moved = camera_from_lidar_at(
            camera_from_base, base_from_lidar, path, row["timestamp"] * 1000, lidar["timestamp"] * 1000
        )
        np.testing.assert_allclose(moved, check_rigid(image["lidar2cam"], name), atol=1e-4)
        cameras += 1
    assert cameras == 6


def test_58_percent_of_the_nuscenes_points_fall_into_a_camera(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("data/nuscenes")
    frame = json.loads((folder / "info.json").read_text())["data_list"][0]
    (cloud,) = folder.glob("*LIDAR_TOP*")
    points = np.fromfile(cloud, np.float32).reshape(-1, 5)[:, :3]
    seen = np.zeros(len(points), bool)
    for image in frame["images"].values():
        seen |= project(points, CameraModel(1600, 900, np.array(image["cam2img"])), np.array(image["lidar2cam"]))[2]
    assert seen.mean() == pytest.approx(0.582, abs=0.001)
