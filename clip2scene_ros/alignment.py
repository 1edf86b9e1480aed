"""How well a scan and an image fit each other: depth edges of the one on brightness edges of the other.

Source: Levinson & Thrun, "Automatic Online Calibration of Cameras and Lasers", RSS 2013, equations 1 to 3,
here with vertical edges only: they stand where a ring of the LiDAR meets a thing's side. Since sides are nowhere
straight for long, they tell of pitch and roll as well as of yaw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clip2scene_ros.frame import Array, CameraModel, Scan, View
from clip2scene_ros.geometry import project, transform

MIN_JUMP_M = 1.0
"""Smaller steps in range are roughness, or a car's bonnet before its windscreen."""
MAX_JUMP_M = 5.0
"""Beyond it a larger step is no sharper an edge in the image."""
NEAREST_M, FARTHEST_M = 3.0, 80.0
WORKING_WIDTH_PX = 400
"""Images are reduced to it: 0.2 degrees a pixel for a usual camera, half of what calibrations may drift."""
SHIFTS_PX = (1, 2, 4, 5)
"""An edge reaches as far as their sum, 12 pixels; each number up to that is a sum of some of them."""
DECAY = 0.7
"""What is left of an edge one pixel beside it: 1.4 % at the end of the reach."""
STRONG_PERCENTILE = 95.0
LENS_MARGIN = 1.3
"""A lens sees so much further, at most, than a pinhole of its focal length."""
MIN_POINTS = 20
"""Fewer depth edges in a view say nothing."""

AXES = ("yaw", "pitch", "roll")
"""A camera that is really turned from its calibration looks further to the left (yaw), further down (pitch), or leans
further to the right (roll): signs as of a vehicle's axes in ROS."""


def turned(axis: str, angle_rad: float) -> Array:
    """Return (4, 4): what a camera turned by an angle sees of points in the frame of the one that is not.

    Args:
        axis: of `AXES`.
        angle_rad: positive to the left, down, to the right [rad].
    """
    i, j = {"yaw": (0, 2), "pitch": (1, 2), "roll": (0, 1)}[axis]  # in optical axes: x right, y down, z forward
    sign = -1.0 if axis == "pitch" else 1.0
    cosine, sine = math.cos(angle_rad), sign * math.sin(angle_rad)
    turn = np.eye(4)
    turn[i, i] = turn[j, j] = cosine
    turn[i, j], turn[j, i] = sine, -sine
    return turn


class EdgePair:
    """The edges of one scan and of one image of it, made once, scored under as many calibrations as one likes.

    Args:
        edges: what `depth_edges` found.
        view: the image with its calibration.
    """

    def __init__(self, edges: tuple[Array, Array], view: View) -> None:
        self._points, self._weight = edges
        self._view = view
        self._field = edge_field(view.image)

    def score(self, camera_from_lidar: Array | None = None, camera: CameraModel | None = None) -> float:
        """Return how strong, on average, the image's vertical edges are where the scan has edges of depth.

        Args:
            camera_from_lidar: (4, 4); the view's own by default.
            camera: the view's own by default.

        Returns:
            0 (no edge anywhere near) to 1 (every depth edge on a strong image edge); NaN where hardly any depth edge
            is in view. Only scores of the same scan and image can be compared.
        """
        given = self._view.camera_from_lidar if camera_from_lidar is None else camera_from_lidar
        return float(self._scores(transform(given, self._points)[None], self._weight, camera or self._view.camera)[0])

    def turned_scores(
        self, angles_rad: Array, camera_from_lidar: Array | None = None, camera: CameraModel | None = None
    ) -> Array:
        """Return (3, A) float64 scores with the camera turned about each of `AXES` by each of (A,) angles [rad]."""
        given = self._view.camera_from_lidar if camera_from_lidar is None else camera_from_lidar
        model = camera or self._view.camera
        near = _near_view(transform(given, self._points), model, float(np.abs(angles_rad).max()))
        local, weight = transform(given, self._points[near]), self._weight[near]
        turns = np.array([[turned(axis, float(angle))[:3, :3] for angle in angles_rad] for axis in AXES])
        return np.stack([self._scores(np.matmul(local, some.transpose(0, 2, 1)), weight, model) for some in turns])

    def _scores(self, local: Array, weight: Array, camera: CameraModel) -> Array:
        """Return (A,) scores of (A, M, 3) points in the camera's frame."""
        field = self._field
        many, count = local.shape[:2]
        uv, _, inside = project(local.reshape(-1, 3), camera, np.eye(4))
        scale_u, scale_v = field.shape[1] / camera.width, field.shape[0] / camera.height
        column = ((uv[inside, 0] + 0.5) * scale_u).astype(np.intp)  # pixel centres are at whole numbers
        row = ((uv[inside, 1] + 0.5) * scale_v).astype(np.intp)
        found, counted = np.zeros(many * count), np.zeros(many * count)
        found[inside], counted[inside] = field[row, column], 1.0
        total = counted.reshape(many, count) @ weight
        enough = counted.reshape(many, count).sum(axis=1) >= MIN_POINTS
        scores = found.reshape(many, count) @ weight / np.where(enough, total, np.nan)
        result: Array = scores
        return result


def alignment_score(scan: Scan, view: View, camera_from_lidar: Array | None = None) -> float:
    """Return the score of one view: see `EdgePair.score`."""
    return EdgePair(depth_edges(scan), view).score(camera_from_lidar)


def turned_scores(scan: Scan, views: Sequence[View], angles_rad: Array) -> Array:
    """Return (V, 3, A) float64 scores of each view when its camera is turned: see `EdgePair.turned_scores`."""
    edges = depth_edges(scan)
    return np.array([EdgePair(edges, view).turned_scores(angles_rad) for view in views]).reshape(-1, 3, len(angles_rad))


def _near_view(local: Array, camera: CameraModel, margin_rad: float) -> Array:
    """Return (M,) bool: points in the camera's frame that a turn by so much may bring into view."""
    corners = np.array([[u, v] for u in (0, camera.width) for v in (0, camera.height)]) - camera.matrix[:2, 2]
    widest = math.atan(float(np.hypot(*(corners / np.diag(camera.matrix)[:2]).T).max()))
    if camera.distortion_model != "none":
        widest *= LENS_MARGIN
    angle: Array = np.arctan2(np.hypot(local[:, 0], local[:, 1]), local[:, 2])
    return angle < widest + 1.5 * margin_rad


def depth_edges(scan: Scan) -> tuple[Array, Array]:
    """Return the points on the near side of a step in range along their ring, and how much each counts.

    Args:
        scan: with rings, or with its points ring by ring.

    Returns:
        (M, 3) float64 points, (M,) float64 weights: the square root of the step [m].
    """
    points = scan.points.astype(np.float64)
    distance = np.linalg.norm(points, axis=1)
    valid = np.flatnonzero(np.isfinite(distance))
    if scan.ring is None:
        order, ring = valid, np.zeros(len(valid))
    else:
        azimuth = np.arctan2(points[valid, 1], points[valid, 0])
        order = valid[np.lexsort((azimuth, scan.ring[valid]))]
        ring = scan.ring[order].astype(np.float64)
    step = np.where(np.diff(ring) == 0, np.diff(distance[order]), 0.0)
    jump = np.zeros(len(points))
    jump[order[:-1]] = np.maximum(step, 0.0)
    jump[order[1:]] = np.maximum(jump[order[1:]], -step)
    edge = (jump > MIN_JUMP_M) & (distance > NEAREST_M) & (distance < FARTHEST_M)
    return points[edge], np.sqrt(np.minimum(jump[edge], MAX_JUMP_M))


def edge_field(image: Array) -> NDArray[np.float32]:
    """Return (h, w) float32 in [0, 1]: nearness to a vertical edge times its strength."""
    width = min(WORKING_WIDTH_PX, image.shape[1])
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    gray = Image.fromarray(image).resize((width, height), Image.Resampling.BOX, reducing_gap=1.0).convert("L")
    brightness = np.asarray(gray, dtype=np.float32)
    field: NDArray[np.float32] = np.zeros_like(brightness)
    field[:, 1:-1] = np.abs(brightness[:, 2:] - brightness[:, :-2])
    field[1:-1] = (field[:-2] + 2.0 * field[1:-1] + field[2:]) / 4.0
    field = np.minimum(field / max(float(np.percentile(field, STRONG_PERCENTILE)), 1.0), np.float32(1.0))
    for shift in SHIFTS_PX:
        faded = np.float32(DECAY**shift) * field
        np.maximum(field[:, shift:], faded[:, :-shift], out=field[:, shift:])
        np.maximum(field[:, :-shift], faded[:, shift:], out=field[:, :-shift])
    return field
