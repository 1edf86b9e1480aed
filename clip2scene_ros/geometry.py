"""Rigid motions, camera projection, visibility and ego motion.

Transforms are (4, 4) float64 named `target_from_source`. Camera frames are optical: x right, y down,
z forward; pixel (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import reduce

import numpy as np

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import NS_PER_S, Array, CameraModel, View
from clip2scene_ros.lens import distort, undistort

RIGID_TOLERANCE = 1e-3  # matrices typed with four digits pass, a forgotten scale or a mirrored axis does not
MIN_DEPTH_M = 0.1  # nearer returns are the camera's own housing
CELL_PX = 4  # depth-buffer cells: fine enough for a pole, coarse enough to fill in a millisecond
MAX_SPLAT_CELLS = 8
GRAZING_HEIGHT_M = 1.5  # of the camera over the road: the surface seen at the flattest angle that matters


def invert(target_from_source: Array) -> Array:
    """Return source_from_target, exact for rigid motions (the rotation is transposed, not inverted)."""
    rotation = target_from_source[:3, :3].T
    return _pose(rotation, -rotation @ target_from_source[:3, 3])


def compose(*transforms: Array) -> Array:
    """Return the product from left to right: a_from_b, b_from_c gives a_from_c."""
    product: Array = reduce(np.matmul, transforms, np.eye(4))
    return product


def transform(target_from_source: Array, points: Array) -> Array:
    """Return (N, 3) points in the target frame, computed in float64, in the type of `points`."""
    moved = points @ target_from_source[:3, :3].T + target_from_source[:3, 3]
    result: Array = moved.astype(points.dtype, copy=False)
    return result


def check_rigid(matrix: Array, where: str) -> Array:
    """Return `matrix` as (4, 4) float64, or say what keeps it from being a rigid motion.

    Args:
        matrix: a (4, 4) transform, or (3, 4) without the last row.
        where: what is checked; named in the error.

    Raises:
        BadCalibration: shape, not_finite, bottom_row, not_rotation, reflection.
    """
    try:
        m = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadCalibration("shape", f"{where}: expected a 4x4 matrix of numbers.") from error
    if m.shape == (3, 4):
        m = np.vstack([m, [0.0, 0.0, 0.0, 1.0]])
    if m.shape != (4, 4):
        raise BadCalibration("shape", f"{where}: expected a 4x4 matrix, but got shape {m.shape}.")
    if not np.isfinite(m).all():
        raise BadCalibration("not_finite", f"{where}: the matrix holds NaN or infinity.")
    if np.abs(m[3] - [0.0, 0.0, 0.0, 1.0]).max() > 1e-9:
        raise BadCalibration("bottom_row", f"{where}: expected the last row 0 0 0 1, but got {m[3].tolist()}.")
    deviation = float(np.abs(m[:3, :3] @ m[:3, :3].T - np.eye(3)).max())
    if deviation > RIGID_TOLERANCE:
        raise BadCalibration("not_rotation", f"{where}: the 3x3 part is no rotation (R R^T is off by {deviation:.2g}).")
    if np.linalg.det(m[:3, :3]) < 0:
        raise BadCalibration("reflection", f"{where}: the 3x3 part mirrors (determinant -1); an axis is flipped.")
    return m


def pose_from_quaternion(xyz: Sequence[float] | Array, xyzw: Sequence[float] | Array, where: str = "pose") -> Array:
    """Return the (4, 4) pose of a translation [m] and a unit quaternion in ROS order x, y, z, w.

    Raises:
        BadCalibration: shape, not_finite, not_unit (norm off by more than 1e-3).
    """
    try:
        t, q = np.array(xyz, dtype=np.float64), np.array(xyzw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadCalibration("shape", f"{where}: expected 3 and 4 numbers.") from error
    if t.shape != (3,) or q.shape != (4,):
        raise BadCalibration("shape", f"{where}: expected 3 and 4 numbers, but got shapes {t.shape} and {q.shape}.")
    if not (np.isfinite(t).all() and np.isfinite(q).all()):
        raise BadCalibration("not_finite", f"{where}: translation or quaternion holds NaN or infinity.")
    norm = float(np.linalg.norm(q))
    if abs(norm - 1.0) > RIGID_TOLERANCE:
        raise BadCalibration("not_unit", f"{where}: expected a unit quaternion (x, y, z, w), but its norm is {norm:g}.")
    x, y, z, w = q / norm
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return _pose(rotation, t)


def quaternion_from_matrix(matrix: Array) -> Array:
    """Return the unit quaternion (x, y, z, w), w >= 0, of a rotation (3, 3) or pose (4, 4).

    Source: Shepperd 1978; the largest of the four is taken from the diagonal, so nothing cancels.
    """
    m = matrix
    squares = np.array([m[0, 0] - m[1, 1] - m[2, 2], m[1, 1] - m[0, 0] - m[2, 2], m[2, 2] - m[0, 0] - m[1, 1]])
    four = np.append(squares, m[0, 0] + m[1, 1] + m[2, 2]) + 1.0
    sums = {(0, 1): m[0, 1] + m[1, 0], (0, 2): m[0, 2] + m[2, 0], (1, 2): m[1, 2] + m[2, 1]}
    sums |= {(0, 3): m[2, 1] - m[1, 2], (1, 3): m[0, 2] - m[2, 0], (2, 3): m[1, 0] - m[0, 1]}
    k = int(np.argmax(four))
    q = np.array([four[k] if i == k else sums[min(i, k), max(i, k)] for i in range(4)])
    unit: Array = q / np.linalg.norm(q)
    if unit[3] < 0:
        unit = -unit
    return unit


def project(points: Array, camera: View | CameraModel, camera_from_lidar: Array | None = None) -> tuple[Array, ...]:
    """Project points into an image.

    Args:
        points: (N, 3) in the LiDAR frame [m]; NaN and infinities are outside.
        camera: intrinsics, or a view, whose own `camera_from_lidar` is the default.
        camera_from_lidar: (4, 4).

    Returns:
        (N, 2) float32 pixels u v (NaN behind the camera), (N,) float32 depth along the optical axis [m],
        (N,) bool inside: in front, within the lens's field of view, and 0 <= u <= width - 1, 0 <= v <= height - 1.
    """
    if isinstance(camera, View):
        camera_from_lidar = camera.camera_from_lidar if camera_from_lidar is None else camera_from_lidar
        camera = camera.camera
    if camera_from_lidar is None:
        raise ValueError("Expected `camera_from_lidar` beside a CameraModel, but got None.")
    with np.errstate(all="ignore"):  # NaN and infinite points come out as not inside
        local = transform(camera_from_lidar, points.astype(np.float64, copy=False))
        depth = local[:, 2]
        z = np.where(depth > MIN_DEPTH_M, depth, np.nan)
        x, y, seen = distort(camera, local[:, 0] / z, local[:, 1] / z)
        k = camera.matrix
        u = k[0, 0] * x + k[0, 1] * y + k[0, 2]
        v = k[1, 1] * y + k[1, 2]
        inside = seen & (u >= 0) & (u <= camera.width - 1) & (v >= 0) & (v <= camera.height - 1) & np.isfinite(z)
        uv = np.stack([u, v], axis=1).astype(np.float32)
    return uv, depth.astype(np.float32), inside


def unproject(uv: Array, camera: CameraModel) -> Array:
    """Return (N, 3) float64 rays with z = 1 in the camera frame through (N, 2) pixels; NaN where the lens sees none."""
    k = camera.matrix
    yd = (uv[:, 1].astype(np.float64) - k[1, 2]) / k[1, 1]
    xd = (uv[:, 0].astype(np.float64) - k[0, 2] - k[0, 1] * yd) / k[0, 0]
    x, y = undistort(camera, xd, yd)
    return np.stack([x, y, np.ones_like(x)], axis=1)


def visible(
    uv: Array,
    depth: Array,
    inside: Array,
    camera: CameraModel,
    *,
    splat_m: float = 0.10,
    relative: float = 0.02,
    margin_m: float = 0.20,
) -> Array:
    """Return (N,) bool: inside the image and not hidden behind nearer points.

    Each point covers a square, `splat_m` to the left and right and twice as far down, as the surface between the
    LiDAR's beams would. Not up: the LiDAR looks over an object's edge at what the camera below it cannot see, and
    a road would hide itself, its nearer parts being lower in the image. A point is hidden where a covering one is
    nearer by more than `margin_m` + `relative` x depth + what one cell of road spans at that depth.

    Args:
        uv: (N, 2) pixels from `project`.
        depth: (N,) depths from `project` [m].
        inside: (N,) bool from `project`.
        camera: intrinsics; only size and focal length are used.
        splat_m: half the gap between beams that a surface is assumed to fill [m].
        relative: how much nearer an occluder must be, as a share of the depth ...
        margin_m: ... and beyond that [m].
    """
    shape = (-(-camera.height // CELL_PX), -(-camera.width // CELL_PX))
    index = np.flatnonzero(inside)
    index = index[np.argsort(-depth[index], kind="stable")]  # far to near: in a cell, the nearest is written last
    d = depth[index]
    cell = np.rint(uv[index, 1]).astype(np.intp) // CELL_PX, np.rint(uv[index, 0]).astype(np.intp) // CELL_PX
    radius = np.clip(camera.matrix[0, 0] * splat_m / d / CELL_PX, 0, MAX_SPLAT_CELLS).astype(np.intp)
    buffer = np.full(shape, np.inf, dtype=np.float32)
    for r in range(int(radius.max(initial=0)), -1, -1):  # growing r times gives a square of radius r
        mine = radius == r
        layer = np.full(shape, np.inf, dtype=np.float32)
        layer[cell[0][mine], cell[1][mine]] = d[mine]
        buffer = np.minimum(buffer, layer)
        if r:
            buffer = _grow(buffer)
    shown = np.zeros(len(depth), dtype=bool)
    tolerance = margin_m + relative * d + d * d * np.float32(CELL_PX / (camera.matrix[1, 1] * GRAZING_HEIGHT_M))
    shown[index] = d - tolerance <= buffer[cell]
    return shown


def _grow(buffer: Array) -> Array:
    """Return the minimum over each cell, the two above it, and their neighbours to either side."""
    tall = buffer.copy()
    np.minimum(tall[1:], buffer[:-1], out=tall[1:])
    np.minimum(tall[2:], buffer[:-2], out=tall[2:])
    wide: Array = tall.copy()
    np.minimum(wide[:, 1:], tall[:, :-1], out=wide[:, 1:])
    np.minimum(wide[:, :-1], tall[:, 1:], out=wide[:, :-1])
    return wide


class Trajectory:
    """Poses over time, interpolated: rotation by slerp, translation linearly.

    Args:
        stamps_ns: times of the poses [ns], in any order; of equal stamps the last counts.
        world_from_body: (M, 4, 4) or a list of poses, M >= 1.
        tolerance_s: how far outside the first and last stamp `at` may go on with the last known velocity.
        max_gap_s: longest time between two poses that may be bridged.

    Raises:
        BadCalibration: empty, shape, or what `check_rigid` finds.
    """

    def __init__(
        self,
        stamps_ns: Sequence[int] | Array,
        world_from_body: Sequence[Array] | Array,
        *,
        tolerance_s: float = 0.1,
        max_gap_s: float = 1.0,
    ) -> None:
        if len(stamps_ns) != len(world_from_body):
            raise BadCalibration("shape", f"Expected a pose a stamp, but got {len(stamps_ns)}, {len(world_from_body)}.")
        if not len(stamps_ns):
            raise BadCalibration("empty", "Expected at least one pose, but got none.")
        by_stamp = {int(s): pose for s, pose in zip(stamps_ns, world_from_body, strict=True)}
        self._stamps = sorted(by_stamp)
        self._poses = [check_rigid(by_stamp[s], f"pose at {s} ns") for s in self._stamps]
        self._quaternions = [quaternion_from_matrix(pose) for pose in self._poses]
        self._tolerance_ns = int(tolerance_s * NS_PER_S)
        self._max_gap_ns = int(max_gap_s * NS_PER_S)

    def at(self, stamp_ns: int) -> Array:
        """Return world_from_body (4, 4) at a time.

        Raises:
            BadCalibration: extrapolation (more than `tolerance_s` outside), gap (poses are missing around it).
        """
        stamps = self._stamps
        outside = max(stamps[0] - stamp_ns, stamp_ns - stamps[-1])
        if outside > self._tolerance_ns:
            raise BadCalibration("extrapolation", f"No pose within {outside / 1e9:.3f} s of {stamp_ns} ns.")
        if len(stamps) == 1:
            only: Array = self._poses[0].copy()
            return only
        i = min(max(bisect_right(stamps, stamp_ns) - 1, 0), len(stamps) - 2)
        gap = stamps[i + 1] - stamps[i]
        if gap > self._max_gap_ns and stamp_ns not in (stamps[i], stamps[i + 1]):
            raise BadCalibration("gap", f"Poses are {gap / 1e9:.3f} s apart around {stamp_ns} ns.")
        share = (stamp_ns - stamps[i]) / gap
        a, b = self._poses[i], self._poses[i + 1]
        translation = a[:3, 3] + share * (b[:3, 3] - a[:3, 3])
        return pose_from_quaternion(translation, slerp(self._quaternions[i], self._quaternions[i + 1], share))


def slerp(a: Array, b: Array, share: float) -> Array:
    """Return the unit quaternion a `share` of the shorter way from `a` to `b`; shares outside [0, 1] go on turning."""
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    angle = float(np.arccos(min(cosine, 1.0)))
    if angle < 1e-6:  # sin(angle) is lost to rounding; the chord is the arc
        mixed = a + share * (b - a)
    else:
        mixed = (np.sin((1.0 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    unit: Array = mixed / np.linalg.norm(mixed)
    return unit


def camera_from_lidar_at(
    camera_from_base: Array,
    base_from_lidar: Array,
    world_from_base: Trajectory,
    camera_stamp_ns: int,
    scan_stamp_ns: int,
) -> Array:
    """Return camera_from_lidar (4, 4) with the vehicle's motion between the scan's and the exposure's stamps."""
    base_then_from_now = compose(invert(world_from_base.at(camera_stamp_ns)), world_from_base.at(scan_stamp_ns))
    return compose(camera_from_base, base_then_from_now, base_from_lidar)


def _pose(rotation: Array, translation: Array) -> Array:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, translation
    return pose
