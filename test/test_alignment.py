"""Depth edges on image edges: the score peaks where the calibration is right."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.alignment import alignment_score, depth_edges, yaw_scores
from clip2scene_ros.frame import CameraModel, Frame, Scan, View

CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
CAMERA = CameraModel(800, 450, np.array([[640.0, 0, 399.5], [0, 640, 224.5], [0, 0, 1]]))
POLES_RAD = np.radians([-20.0, -6.5, 3.0, 17.0])
POLE_HALF_RAD = np.radians(1.0)


def on_pole(azimuth: np.ndarray) -> np.ndarray:
    return (np.abs(azimuth[:, None] - POLES_RAD) < POLE_HALF_RAD).any(axis=1)


def scan_of_poles(yaw_error_rad: float = 0.0) -> Scan:
    """Four poles at 10 m before a wall at 30 m, seen by a LiDAR that is turned by an error."""
    azimuth, elevation = np.meshgrid(np.radians(np.arange(-35, 35, 0.2)), np.radians(np.arange(-10, 10, 1.0)))
    ring = np.repeat(np.arange(20), azimuth.shape[1]).astype(np.uint16)
    azimuth, elevation = azimuth.ravel(), elevation.ravel()
    distance = np.where(on_pole(azimuth), 10.0, 30.0) / np.cos(elevation)
    seen = azimuth - yaw_error_rad
    points = np.stack([np.cos(elevation) * np.cos(seen), np.cos(elevation) * np.sin(seen), np.sin(elevation)], axis=1)
    return Scan((points * distance[:, None]).astype(np.float32), np.zeros(len(points), np.float32), ring=ring)


def view_of_poles() -> View:
    azimuth = np.arctan2(-(np.arange(800) - 399.5), 640.0)
    row = np.where(on_pole(azimuth), 40, 200).astype(np.uint8)
    return View("cam_front", np.repeat(np.tile(row, (450, 1))[:, :, None], 3, axis=2), CAMERA, CAMERA_FROM_LIDAR)


@pytest.mark.parametrize("error_deg", [0.0, 0.5, -1.2])
def test_score_peaks_at_the_yaw_that_undoes_the_error(error_deg: float) -> None:
    angles = np.radians(np.arange(-2, 2.01, 0.1))
    frame = Frame(scan_of_poles(np.radians(error_deg)), (view_of_poles(),))
    scores = yaw_scores(frame, angles)
    assert scores.shape == (1, 41)
    assert np.degrees(angles[scores[0].argmax()]) == pytest.approx(error_deg, abs=0.11)
    assert scores[0].max() > 0.8


def test_half_a_degree_costs_a_fifth_of_the_score() -> None:
    right = alignment_score(scan_of_poles(), view_of_poles())
    wrong = alignment_score(scan_of_poles(np.radians(0.5)), view_of_poles())
    assert wrong < 0.8 * right


def test_depth_edges_are_the_near_side_of_the_steps_whatever_the_order_of_points() -> None:
    scan = scan_of_poles()
    points, weight = depth_edges(scan)
    assert len(points) == 20 * 4 * 2  # two sides of four poles in each of twenty rings
    np.testing.assert_allclose(np.linalg.norm(points[:, :2], axis=1), 10.0, atol=1e-4)
    np.testing.assert_allclose(weight, np.sqrt(5.0))
    assert scan.ring is not None
    shuffle = np.random.default_rng(0).permutation(len(scan))
    mixed = Scan(scan.points[shuffle], scan.intensity[shuffle], ring=scan.ring[shuffle])
    np.testing.assert_array_equal(np.sort(depth_edges(mixed)[0], axis=0), np.sort(points, axis=0))
    in_order = Scan(scan.points, scan.intensity)
    np.testing.assert_array_equal(depth_edges(in_order)[0], points)


def test_where_there_is_nothing_to_compare_the_score_is_nan() -> None:
    nowhere = Scan(np.full((5, 3), np.nan, np.float32), np.zeros(5, np.float32))
    assert np.isnan(alignment_score(nowhere, view_of_poles()))
    assert np.isnan(alignment_score(Scan(np.zeros((0, 3), np.float32), np.zeros(0, np.float32)), view_of_poles()))


def test_an_image_without_edges_scores_nothing() -> None:
    view = view_of_poles()
    plain = View("cam", np.full_like(view.image, 90), CAMERA, CAMERA_FROM_LIDAR)
    assert alignment_score(scan_of_poles(), plain) == 0.0
