"""How well a scan and an image fit each other: depth edges of the one on brightness edges of the other.

Source: Levinson & Thrun, "Automatic Online Calibration of Cameras and Lasers", RSS 2013, equations 1 to 3,
here with vertical edges only, since these are what a wrong yaw displaces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clip2scene_ros.frame import Array, Frame, Scan, View
from clip2scene_ros.geometry import project

MIN_JUMP_M = 1.0
"""Smaller steps in range are roughness, or a car's bonnet before its windscreen."""
MAX_JUMP_M = 5.0
"""Beyond it a larger step is no sharper an edge in the image."""
NEAREST_M, FARTHEST_M = 3.0, 80.0
WORKING_WIDTH_PX = 800
"""Images are reduced to it: 0.1 degrees a pixel for a usual camera, finer than calibrations drift."""
REACH_PX = 12
DECAY = 0.7
"""What is left of an edge one pixel beside it: 1.4 % at the end of the reach."""
STRONG_PERCENTILE = 95.0


def alignment_score(scan: Scan, view: View, camera_from_lidar: Array | None = None) -> float:
    """Return how strong, on average, the image's vertical edges are where the scan has edges of depth.

    Args:
        scan: with rings, or with its points ring by ring.
        view: the image.
        camera_from_lidar: (4, 4); the view's own by default.

    Returns:
        0 (no edge anywhere near) to 1 (every depth edge on a strong image edge); NaN where no depth edge is in view.
        Only scores of the same scan and image can be compared.
    """
    transform = view.camera_from_lidar if camera_from_lidar is None else camera_from_lidar
    points, weight = depth_edges(scan)
    return _score(points, weight, view, _edge_field(view.image), transform)


def yaw_scores(frame: Frame, yaw_rad: Array) -> Array:
    """Return (V, A) float64 scores of each view when the LiDAR is turned about its z axis by each of (A,) angles."""
    points, weight = depth_edges(frame.scan)
    scores = np.empty((len(frame.views), len(yaw_rad)))
    for row, view in enumerate(frame.views):
        field = _edge_field(view.image)
        for column, angle in enumerate(yaw_rad):
            turned = view.camera_from_lidar @ _turn(float(angle))
            scores[row, column] = _score(points, weight, view, field, turned)
    return scores


def depth_edges(scan: Scan) -> tuple[Array, Array]:
    """Return the points on the near side of a step in range along their ring, and how much each counts.

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


def _edge_field(image: Array) -> Array:
    """Return (h, w) float32 in [0, 1]: nearness to a vertical edge times its strength."""
    width = min(WORKING_WIDTH_PX, image.shape[1])
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    gray = Image.fromarray(image).convert("L").resize((width, height), Image.Resampling.BOX)
    brightness = np.asarray(gray, dtype=np.float32)
    field: Array = np.zeros_like(brightness)
    field[:, 1:-1] = np.abs(brightness[:, 2:] - brightness[:, :-2])
    field[1:-1] = (field[:-2] + 2.0 * field[1:-1] + field[2:]) / 4.0
    field = np.minimum(field / max(float(np.percentile(field, STRONG_PERCENTILE)), 1.0), np.float32(1.0))
    for _ in range(REACH_PX):
        faded = np.float32(DECAY) * field
        np.maximum(field[:, 1:], faded[:, :-1], out=field[:, 1:])
        np.maximum(field[:, :-1], faded[:, 1:], out=field[:, :-1])
    return field


def _score(points: Array, weight: Array, view: View, field: Array, camera_from_lidar: Array) -> float:
    uv, _, inside = project(points, view.camera, camera_from_lidar)
    if not inside.any():
        return float("nan")
    scale = field.shape[1] / view.camera.width, field.shape[0] / view.camera.height
    column = ((uv[inside, 0] + 0.5) * scale[0]).astype(np.intp)  # pixel centres are at whole numbers
    row = ((uv[inside, 1] + 0.5) * scale[1]).astype(np.intp)
    found: NDArray[np.float32] = field[row, column]
    return float(np.average(found, weights=weight[inside]))


def _turn(angle_rad: float) -> Array:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    turn = np.eye(4)
    turn[:2, :2] = [[cosine, -sine], [sine, cosine]]
    return turn
