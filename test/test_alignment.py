"""Depth edges on image edges: the score peaks where the calibration is right."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.alignment import AXES, EdgePair, alignment_score, depth_edges, turned, turned_scores
from clip2scene_ros.frame import CameraModel, Scan, View

CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
CAMERA = CameraModel(400, 225, np.array([[320.0, 0, 199.5], [0, 320, 112], [0, 0, 1]]))
BALLS_DEG = np.array([[-22, 4], [-14, -5], [-8, 6], [-2, -1], [5, -6], [10, 4], [17, -2], [24, 6]], dtype=float)
BALL_DEG = 2.6


def on_ball(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Return where directions [deg] meet one of the balls."""
    away = np.stack([azimuth, elevation], -1)[..., None, :] - BALLS_DEG
    return (np.hypot(away[..., 0], away[..., 1]) < BALL_DEG).any(axis=-1)


def scan_of_balls() -> Scan:
    """Balls at 10 m before a wall at 30 m."""
    azimuth, elevation = np.meshgrid(np.arange(-35, 35, 0.2), np.arange(-10, 10, 0.5))
    ring = np.repeat(np.arange(40), azimuth.shape[1]).astype(np.uint16)
    azimuth, elevation = azimuth.ravel(), elevation.ravel()
    distance = np.where(on_ball(azimuth, elevation), 10.0, 30.0)
    a, e = np.radians(azimuth), np.radians(elevation)
    points = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], axis=1) * distance[:, None]
    return Scan(points.astype(np.float32), np.zeros(len(points), np.float32), ring=ring)


def view_of_balls(axis: str = "yaw", turned_deg: float = 0.0) -> View:
    """What a camera sees that is turned by so much from the calibration that comes with it."""
    x, y = np.meshgrid((np.arange(400) - 199.5) / 320, (np.arange(225) - 112) / 320)
    azimuth, elevation = np.degrees(np.arctan2(-x, 1.0)), np.degrees(np.arctan2(-y, np.hypot(x, 1.0)))
    gray = np.where(on_ball(azimuth, elevation), 40, 200).astype(np.uint8)
    calibrated = turned(axis, np.radians(-turned_deg)) @ CAMERA_FROM_LIDAR
    return View("cam_front", np.repeat(gray[:, :, None], 3, axis=2), CAMERA, calibrated)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("error_deg", [0.0, 0.5, -1.2])
def test_score_peaks_at_the_turn_that_undoes_the_error(axis: str, error_deg: float) -> None:
    angles = np.radians(np.arange(-2, 2.01, 0.1))
    scores = turned_scores(scan_of_balls(), [view_of_balls(axis, error_deg)], angles)
    assert scores.shape == (1, 3, 41)
    mine = scores[0, AXES.index(axis)]
    within = 0.35 if axis == "roll" else 0.11  # such a roll moves what is 10 degrees off the axis by a third of a pixel
    assert np.degrees(angles[mine.argmax()]) == pytest.approx(error_deg, abs=within)
    assert mine.max() > 0.75


def test_turned_scores_are_the_scores_of_turned_cameras() -> None:
    angles = np.radians([-2.0, 0.0, 1.0])
    pair = EdgePair(depth_edges(scan_of_balls()), view_of_balls())
    scores = pair.turned_scores(angles)
    for row, axis in enumerate(AXES):
        for column, angle in enumerate(angles):
            assert scores[row, column] == pytest.approx(pair.score(turned(axis, angle) @ CAMERA_FROM_LIDAR))


def test_a_turned_camera_sees_what_is_ahead_on_the_other_side() -> None:
    """Signs as on a vehicle: a camera turned left sees what is ahead on the right, one turned down sees it higher."""
    ahead, above = np.array([0.0, 0.0, 1.0]), np.array([0.0, -1.0, 1.0])
    assert (turned("yaw", 0.1)[:3, :3] @ ahead)[0] > 0
    assert (turned("pitch", 0.1)[:3, :3] @ ahead)[1] < 0
    leaning_right = turned("roll", 0.1)[:3, :3] @ above
    assert leaning_right[0] < 0
    assert leaning_right[2] == 1.0
    for axis in AXES:
        np.testing.assert_allclose(turned(axis, 0.3) @ turned(axis, -0.3), np.eye(4), atol=1e-15)
        assert np.linalg.det(turned(axis, 0.3)) == pytest.approx(1.0)


def test_half_a_degree_costs_a_fifth_of_the_score() -> None:
    right = alignment_score(scan_of_balls(), view_of_balls())
    wrong = alignment_score(scan_of_balls(), view_of_balls("yaw", 0.5))
    assert wrong < 0.8 * right


def test_depth_edges_are_the_near_side_of_the_steps_whatever_the_order_of_points() -> None:
    scan = scan_of_balls()
    points, weight = depth_edges(scan)
    rings = np.arange(-10, 10, 0.5)[:, None]
    crossed = int((np.abs(rings - BALLS_DEG[:, 1]) < BALL_DEG).sum())
    assert 1.8 * crossed < len(points) <= 2 * crossed  # two sides of each ball in each ring, one point at its very top
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 10.0, atol=1e-4)
    np.testing.assert_allclose(weight, np.sqrt(5.0))
    assert scan.ring is not None
    shuffle = np.random.default_rng(0).permutation(len(scan))
    mixed = Scan(scan.points[shuffle], scan.intensity[shuffle], ring=scan.ring[shuffle])
    np.testing.assert_array_equal(np.sort(depth_edges(mixed)[0], axis=0), np.sort(points, axis=0))
    in_order = Scan(scan.points, scan.intensity)
    np.testing.assert_array_equal(depth_edges(in_order)[0], points)


def test_an_edge_fades_by_a_share_each_pixel_until_its_reach() -> None:
    """Against the definition, one pixel at a time."""
    from clip2scene_ros.alignment import DECAY, SHIFTS_PX, edge_field

    rng = np.random.default_rng(3)
    image = np.full((3, 90, 3), 90, np.uint8)
    image[:, 40:] = 200
    image[:, 70:] = rng.integers(0, 255)
    field = edge_field(image)
    for column in range(30, 40):
        assert field[1, column] == pytest.approx(max(DECAY ** (39 - column), field[1, 39] * DECAY ** (39 - column)))
    assert sum(SHIFTS_PX) == 12
    assert field[1, 39 - 13] == 0.0


def test_where_there_is_nothing_to_compare_the_score_is_nan() -> None:
    nowhere = Scan(np.full((5, 3), np.nan, np.float32), np.zeros(5, np.float32))
    assert np.isnan(alignment_score(nowhere, view_of_balls()))
    assert np.isnan(alignment_score(Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32)), view_of_balls()))
    assert turned_scores(nowhere, [], np.zeros(3)).shape == (0, 3, 3)


def test_an_image_without_edges_scores_nothing() -> None:
    view = view_of_balls()
    plain = View("cam", np.full_like(view.image, 90), CAMERA, CAMERA_FROM_LIDAR)
    assert alignment_score(scan_of_balls(), plain) == 0.0
