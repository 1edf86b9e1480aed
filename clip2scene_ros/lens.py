"""Lens distortion as in sensor_msgs/CameraInfo: plumb_bob, rational_polynomial, equidistant.

Coordinates here are normalised: x / z and y / z in the camera's optical frame, before and after the lens.
Formulas: OpenCV calib3d, "Detailed Description" (pinhole) and "Fisheye camera model" (Kannala-Brandt).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial

from clip2scene_ros.frame import Array, CameraModel

COEFFICIENTS = {"none": (0,), "plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}
"""Distortion model -> how many coefficients it may have."""

NEWTON_STEPS = 20


def distort(camera: CameraModel, x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Return where the lens puts the rays (x, y, 1), and which of them it can see at all.

    Args:
        camera: its distortion model and coefficients.
        x: (N,) float64 normalised coordinate.
        y: (N,) likewise.

    Returns:
        (N,) x, (N,) y after the lens, (N,) bool: False where the polynomial folds back, that is where a ray far
        outside the field of view would land in the image a second time.
    """
    if camera.distortion_model == "none":
        return x, y, np.ones(len(x), dtype=bool)
    key = tuple(float(k) for k in camera.distortion)
    r = np.hypot(x, y)
    if camera.distortion_model == "equidistant":
        theta = np.arctan(r)
        factor = _radial(key, camera.distortion_model)[0](theta**2) * _over(theta, r)
        return x * factor, y * factor, theta < _limit(key, camera.distortion_model)
    numerator, denominator = _radial(key, camera.distortion_model)
    r2 = r * r
    factor = numerator(r2) / denominator(r2)
    p1, p2 = key[2], key[3]
    xd = x * factor + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x)
    yd = y * factor + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y
    return xd, yd, r < _limit(key, camera.distortion_model)


def undistort(camera: CameraModel, xd: Array, yd: Array) -> tuple[Array, Array]:
    """Return the rays (x, y, 1) that the lens puts at (xd, yd): the inverse of `distort`, by Newton's method.

    NaN where there is none.
    """
    x, y = np.array(xd, dtype=np.float64), np.array(yd, dtype=np.float64)
    if camera.distortion_model == "none":
        return x, y
    if camera.distortion_model == "equidistant":
        return _undistort_equidistant(camera, x, y)
    step = 1e-6
    for _ in range(NEWTON_STEPS):
        fx, fy, _ = distort(camera, x, y)
        ax, ay, _ = distort(camera, x + step, y)
        bx, by, _ = distort(camera, x, y + step)
        jxx, jyx, jxy, jyy = (ax - fx) / step, (ay - fy) / step, (bx - fx) / step, (by - fy) / step
        det = jxx * jyy - jxy * jyx
        ex, ey = xd - fx, yd - fy
        x, y = x + (jyy * ex - jxy * ey) / det, y + (jxx * ey - jyx * ex) / det
    return _where_inverse(camera, x, y, xd, yd)


def _undistort_equidistant(camera: CameraModel, xd: Array, yd: Array) -> tuple[Array, Array]:
    radial = _radial(tuple(float(k) for k in camera.distortion), "equidistant")[0]
    slope = _slope(radial, Polynomial([1.0]))
    rd = np.hypot(xd, yd)
    theta = np.minimum(rd, np.pi / 2 - 1e-9)
    for _ in range(NEWTON_STEPS):
        theta = theta - (theta * radial(theta**2) - rd) / slope(theta**2)
        theta = np.clip(theta, 0.0, np.pi / 2 - 1e-9)
    factor = _over(np.tan(theta), rd)
    return _where_inverse(camera, xd * factor, yd * factor, xd, yd)


def _where_inverse(camera: CameraModel, x: Array, y: Array, xd: Array, yd: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):  # where Newton went astray
        fx, fy, seen = distort(camera, x, y)
        right = seen & (np.hypot(fx - xd, fy - yd) < 1e-9 * (1.0 + np.hypot(xd, yd)))
    return np.where(right, x, np.nan), np.where(right, y, np.nan)


def _over(a: Array, b: Array) -> Array:
    """Return a / b, 1 where b is 0: every radial model leaves the image centre where it is."""
    return np.divide(a, b, out=np.ones_like(b), where=b > 0)


def _radial(k: tuple[float, ...], model: str) -> tuple[Polynomial, Polynomial]:
    """Return numerator and denominator of the radial factor, polynomials in the squared radius (or angle)."""
    if model == "equidistant":
        return Polynomial([1.0, *k]), Polynomial([1.0])
    numerator = Polynomial([1.0, k[0], k[1], *k[4:5]])
    return numerator, Polynomial([1.0, *k[5:8]])


def _slope(numerator: Polynomial, denominator: Polynomial) -> Polynomial:
    """Return the numerator of d(r n(s) / d(s)) / dr with s = r^2; its first positive root is where the lens folds."""
    s = Polynomial([0.0, 2.0])
    slope: Polynomial = (numerator + s * numerator.deriv()) * denominator - s * numerator * denominator.deriv()
    return slope


@lru_cache(maxsize=64)
def _limit(k: tuple[float, ...], model: str) -> float:
    """Return the radius (equidistant: the angle) up to which the radial factor grows; inf where it never folds."""
    numerator, denominator = _radial(k, model)
    roots = [*_slope(numerator, denominator).trim().roots(), *denominator.trim().roots()]
    bends = [root.real for root in roots if abs(root.imag) < 1e-12 * (1 + abs(root)) and root.real > 0]
    return float(np.sqrt(min(bends))) if bends else float("inf")
