"""What may be wrong with a calibration: each cause says where the camera would be if it were the one.

A cause is believed by how far the score under it stands out from the scores of cameras turned beside it: a peak is
there only where camera and scan are truly brought together, whatever else lies in the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from clip2scene_ros.alignment import EdgePair
from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import NS_PER_S, Array, CameraModel
from clip2scene_ros.geometry import Trajectory, invert

OFFSETS_MS = (-300, -200, -150, -100, -75, -50, -25, 25, 50, 75, 100, 150, 200, 300)
FOCAL_FACTORS = (0.5, 0.625, 0.667, 0.75, 0.8, 0.9, 1.1, 1.25, 1.333, 1.5, 1.6, 2.0)
BARRELS = (-0.4, -0.3, -0.2, -0.1, 0.1, 0.2)
"""First coefficients of a lens of which the calibration says nothing."""
BESIDE_DEG = np.array([-3.0, -2.0, 2.0, 3.0])
"""Turns that are no longer on the peak of a camera rightly placed."""
MIN_SPEED_MPS = 1.0
"""A vehicle slower than this cannot tell a wrong stamp; what it turns counts as seen `TURNED_AT_M` away."""
TURNED_AT_M = 10.0

Placed = tuple[CameraModel, Array]


@dataclass(frozen=True, eq=False)
class Sight:
    """One image with one scan.

    Attributes:
        pair: their edges.
        camera: intrinsics as calibrated.
        standing: (4, 4) camera_from_lidar as calibrated, without motion.
        motion: (4, 4) lidar_at_exposure_from_lidar_at_scan.
        stamp_ns, scan_stamp_ns: of the image and the scan [ns].
        way: world_from_lidar over time, or None where it is unknown.
    """

    pair: EdgePair
    camera: CameraModel
    standing: Array
    motion: Array
    stamp_ns: int
    scan_stamp_ns: int
    way: Trajectory | None

    def at_offset(self, offset_ms: float) -> Array | None:
        """Return camera_from_lidar if the image was exposed so much later than its stamp; None where unknown."""
        if self.way is None:
            return None
        try:
            then = self.way.at(self.stamp_ns + round(offset_ms * NS_PER_S / 1000))
            now = self.way.at(self.scan_stamp_ns)
        except BadCalibration:  # beyond the odometry
            return None
        placed: Array = self.standing @ invert(then) @ now
        return placed


@dataclass(frozen=True, eq=False)
class Cause:
    """One thing that may be wrong.

    Attributes:
        kind: `as calibrated`, `inverted`, `swapped`, `stamps`, `distortion`, `intrinsics`, `turned` or `shifted`.
        words: what would be true, to follow a camera's name and a colon.
        place: a sight under it, or None where it cannot be tried.
        value: the camera, milliseconds, factor or turn that it supposes.
    """

    kind: str
    words: str
    place: Callable[[Sight], Placed | None]
    value: str | float | tuple[float, ...] = field(default=0.0)


AS_CALIBRATED = Cause("as calibrated", "fits as calibrated", lambda s: (s.camera, s.standing @ s.motion))


def causes(sights: list[Sight], others: dict[str, tuple[CameraModel, Array]]) -> Iterator[Cause]:
    """Yield what can be tried on a camera's sights, from the simple to the involved; turns and shifts apart.

    Args:
        sights: of one camera.
        others: name -> model and camera_from_lidar of the rig's other cameras.
    """
    yield AS_CALIBRATED
    yield Cause(
        "inverted",
        "its transform is the inverse of camera_from_lidar: target and source are swapped",
        lambda s: (s.camera, invert(s.standing) @ s.motion),
    )
    for name, (camera, standing) in others.items():
        yield _swapped(name, camera, standing)
    if _speed(sights) >= MIN_SPEED_MPS:
        yield from map(_late, OFFSETS_MS)
    camera = sights[0].camera
    yield from _lenses(camera)
    for factor in FOCAL_FACTORS:
        yield _intrinsics(factor, whole=False)
        yield _intrinsics(factor, whole=True)


def _swapped(name: str, camera: CameraModel, standing: Array) -> Cause:
    def place(s: Sight) -> Placed:
        scale = np.diag([s.camera.width / camera.width, s.camera.height / camera.height, 1.0])
        model = CameraModel(
            s.camera.width, s.camera.height, scale @ camera.matrix, camera.distortion_model, camera.distortion
        )
        return model, standing @ s.motion

    return Cause("swapped", f"its images fit the calibration of {name}: the two may be mixed up", place, name)


def _late(offset_ms: float) -> Cause:
    def place(s: Sight) -> Placed | None:
        placed = s.at_offset(offset_ms)
        return None if placed is None else (s.camera, placed)

    when = "later" if offset_ms > 0 else "earlier"
    words = f"its images were taken about {abs(offset_ms):g} ms {when} than their stamps say, against the scans'"
    return Cause("stamps", words, place, offset_ms)


def _lenses(camera: CameraModel) -> Iterator[Cause]:
    if camera.distortion.any():
        bare = replace(camera, distortion_model="none", distortion=np.zeros(0))
        words = "its images are rectified already: the calibration's distortion is not theirs"
        yield Cause("distortion", words, lambda s: (bare, s.standing @ s.motion), 0.0)
        return
    for k1 in BARRELS:
        yield _lens(camera, k1)


def _lens(camera: CameraModel, k1: float) -> Cause:
    bent = replace(camera, distortion_model="plumb_bob", distortion=np.array([k1, k1 * k1, 0.0, 0.0]))
    words = f"its images are distorted (k1 about {k1:g}), which the calibration says nothing of"
    return Cause("distortion", words, lambda s: (bent, s.standing @ s.motion), k1)


def _intrinsics(factor: float, *, whole: bool) -> Cause:
    scale = np.diag([factor, factor, 1.0])
    if whole:
        words = f"its matrix is that of an image {1 / factor:.3g} times as large"
    else:
        words = f"its focal length is {factor:.3g} times the calibration's"

    def place(s: Sight) -> Placed:
        matrix = scale @ s.camera.matrix
        if not whole:
            matrix[:2, 2] = s.camera.matrix[:2, 2]
        return replace(s.camera, matrix=matrix), s.standing @ s.motion

    return Cause("intrinsics", words, place, factor)


def _speed(sights: list[Sight]) -> float:
    """Return how fast the LiDAR came along, or what it saw did, between the first and the last scan [m/s]."""
    known = [(s.scan_stamp_ns, s.way) for s in sights if s.way is not None]
    if not known:
        return 0.0
    first, last = min(known, key=lambda each: each[0]), max(known, key=lambda each: each[0])
    try:
        moved = invert(first[1].at(first[0])) @ last[1].at(last[0])
    except BadCalibration:
        return 0.0
    angle = float(np.arccos(np.clip((np.trace(moved[:3, :3]) - 1.0) / 2.0, -1.0, 1.0)))
    metres = float(np.linalg.norm(moved[:3, 3])) + TURNED_AT_M * angle
    return metres / max((last[0] - first[0]) / NS_PER_S, 0.1)


def evidence(cause: Cause, sights: list[Sight]) -> Array:
    """Return (S,) by how much each sight's score under a cause stands out from that of cameras turned beside it.

    NaN where it cannot be tried or hardly any depth edge is in view.
    """
    found = np.full(len(sights), np.nan)
    for i, sight in enumerate(sights):
        placed = cause.place(sight)
        if placed is not None:
            camera, camera_from_lidar = placed
            scores = sight.pair.turned_scores(np.radians(np.append(BESIDE_DEG, 0.0)), camera_from_lidar, camera)
            found[i] = scores[0, -1] - scores[:2, :-1].mean()  # about yaw and pitch: roll moves too little
    return found
