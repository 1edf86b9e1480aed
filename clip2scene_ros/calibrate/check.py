"""Does the calibration of a drive fit, camera by camera, and what is likely wrong where it does not?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.alignment import AXES, EdgePair, depth_edges, turned
from clip2scene_ros.alignment_fit import ANGLES_DEG, FITS, FITS_DEG, NEAR_DEG, SLIPPED, UNKNOWN, WAYS, Judgement, judge
from clip2scene_ros.calibrate.causes import AS_CALIBRATED, Cause, Sight, causes, evidence
from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import Array, CameraModel, Frame, View
from clip2scene_ros.geometry import Trajectory, compose, invert

MAX_SIGHTS = 24
"""Sights of a camera that are tried: spread over the drive."""
CLEAR = 0.10
"""A cause must stand out further than the calibration by this share of the best one."""
ERRORS = 4.0
"""And by so many standard errors."""
NEAR_BEST = 0.90
"""Of causes that stand out nearly as far as the best one the simplest is named."""
SIMPLICITY = ("as calibrated", "swapped", "inverted", "stamps", "turned", "intrinsics", "distortion", "shifted")
WIDE_DEG = np.arange(-20.0, 20.01, 0.5)
SHIFTS_M = np.array([-1.0, -0.5, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.5, 1.0])
SPREAD_SIGHTS, SPREAD = 4, 0.05
"""What is known beforehand of how differently sights judge: as in `alignment_fit`."""


@dataclass(frozen=True, eq=False)
class CameraCheck:
    """What was found about one camera.

    Attributes:
        name: of the camera.
        state: `fits`, `slipped` (it does not fit) or `unknown`.
        cause: what is likely wrong; `as calibrated` where nothing is known to be.
        judgement: scores of small turns from the calibration.
        ranking: kind of cause -> the furthest that one of it stands out, best first.
        view: an image to show, or None, with `points` (N, 3) of its scan, and `mended`, camera and camera_from_lidar of
            it under the cause.
    """

    name: str
    state: str
    cause: Cause
    judgement: Judgement
    ranking: dict[str, float] = field(default_factory=dict)
    view: View | None = None
    points: Array | None = None
    mended: tuple[CameraModel, Array] | None = None

    @property
    def in_words(self) -> str:
        """Return a sentence's end after the camera's name."""
        if self.state == SLIPPED:
            return self.cause.words
        if self.state == FITS:
            return "fits"
        return "cannot tell: too few views, or too few edges of depth in them"


class Sights:
    """Gathers sights of each camera from the frames of a drive, as many as are worth it.

    Attributes:
        of: camera name -> sights in the order of time.
        examples: camera name -> a view, and the points of its scan.
        rig: camera name -> model and camera_from_lidar as calibrated, without motion.
    """

    def __init__(self) -> None:
        self.of: dict[str, list[Sight]] = defaultdict(list)
        self.examples: dict[str, tuple[View, Array]] = {}
        self.rig: dict[str, tuple[CameraModel, Array]] = {}

    def add(self, frame: Frame, way: Trajectory | None, taken: Iterable[str]) -> None:
        """Take in the views of some cameras; the points of the frame are at the scan's stamp."""
        edges, wanted = None, set(taken)
        for view in frame.views:
            if view.name not in wanted:
                continue
            edges = depth_edges(frame.scan) if edges is None else edges
            motion = motion_between(way, view.stamp_ns, frame.scan.stamp_ns)
            standing = view.camera_from_lidar @ invert(motion)
            sight = Sight(EdgePair(edges, view), view.camera, standing, motion, view.stamp_ns, frame.scan.stamp_ns, way)
            self.of[view.name].append(sight)
            self.examples[view.name] = (view, frame.scan.points)
            self.rig[view.name] = (view.camera, standing)


def motion_between(way: Trajectory | None, image_stamp_ns: int, scan_stamp_ns: int) -> Array:
    """Return lidar_at_exposure_from_lidar_at_scan (4, 4); the identity where the way is unknown, as the bag had it."""
    if way is None:
        return np.eye(4)
    try:
        return compose(invert(way.at(image_stamp_ns)), way.at(scan_stamp_ns))
    except BadCalibration:
        return np.eye(4)


def check(sights: Sights) -> list[CameraCheck]:
    """Return what is found about every camera, by name."""
    return [check_camera(name, sights) for name in sorted(sights.of)]


def check_camera(name: str, sights: Sights) -> CameraCheck:
    """Try every cause on one camera."""
    mine = sights.of[name]
    mine = [mine[i] for i in np.unique(np.linspace(0, len(mine) - 1, min(len(mine), MAX_SIGHTS)).astype(int))]
    angles = np.radians(ANGLES_DEG)
    scores = np.array([s.pair.turned_scores(angles) for s in mine])
    judgement = judge(scores[np.isfinite(scores).all(axis=(1, 2))])
    others = {other: placed for other, placed in sights.rig.items() if other != name}
    tried = [*causes(mine, others), _turned(mine), _shifted(mine)]
    found = np.stack([evidence(cause, mine) for cause in tried])
    best, ranking = _best(tried, found)
    view, points = sights.examples[name]
    state = SLIPPED
    if best.kind == AS_CALIBRATED.kind and judgement.state == SLIPPED:
        best = next(cause for cause in tried if cause.kind == "turned")
    elif best.kind == AS_CALIBRATED.kind:
        close = bool(np.all(np.abs(judgement.turn_deg) < NEAR_DEG))
        state = FITS if close and _beyond_chance(np.nan_to_num(found[tried.index(best)])) else UNKNOWN
    mended = best.place(sights.of[name][-1]) if state == SLIPPED else None
    return CameraCheck(name, state, best, judgement, ranking, view, points, mended)


def _best(tried: list[Cause], found: Array) -> tuple[Cause, dict[str, float]]:
    """Return the simplest of the causes that stand out about as far as any, and how far each kind does."""
    given = next(i for i, cause in enumerate(tried) if cause.kind == AS_CALIBRATED.kind)
    mean = _mean_of(found.T)
    ranking: dict[str, float] = {}
    for i in np.argsort(-mean, kind="stable"):
        ranking.setdefault(tried[i].kind, float(mean[i]))
    top = float(mean.max())
    good = [i for i in range(len(tried)) if mean[i] >= NEAR_BEST * top and _clearly(found[i], found[given], top)]
    if not good or mean[given] >= (1.0 - CLEAR) * top:
        return tried[given], ranking
    return tried[min(good, key=lambda i: (SIMPLICITY.index(tried[i].kind), -mean[i]))], ranking


def _clearly(row: Array, given: Array, top: float) -> bool:
    """Return whether a cause stands out further than the calibration by more than chance."""
    gain = np.nan_to_num(row) - np.nan_to_num(given)  # out of view: does not stand out at all
    return float(gain.mean()) >= CLEAR * top and _beyond_chance(gain)


def _beyond_chance(gain: Array) -> bool:
    """Return whether the mean of (S,) is above 0 by `ERRORS` standard errors."""
    mean, count = float(gain.mean()), len(gain)
    squares = float(((gain - mean) ** 2).sum()) + SPREAD_SIGHTS * SPREAD**2
    return mean >= ERRORS * float(np.sqrt(squares / (SPREAD_SIGHTS + count - 1) / count))


def _turned(sights: list[Sight]) -> Cause:
    """Return the turn with the best score: widely about the one axis that mends most, then finely about each."""
    wide = _curves(sights, np.eye(4), WIDE_DEG)
    axis = int(wide.max(axis=1).argmax())
    told = np.zeros(3)
    told[axis] = WIDE_DEG[int(wide[axis].argmax())]
    turn = turned(AXES[axis], float(np.radians(told[axis])))
    for axis in (*range(3), *range(3)):
        angle = float(ANGLES_DEG[int(_curves(sights, turn, ANGLES_DEG)[axis].argmax())])
        told[axis] += angle
        turn = turned(AXES[axis], float(np.radians(angle))) @ turn
    words = " and ".join(
        f"{abs(told[i]):.1f}\N{DEGREE SIGN} {WAYS[AXES[i]][int(told[i] > 0)]} ({AXES[i]})"
        for i in np.argsort(-np.abs(told))
        if abs(told[i]) >= FITS_DEG
    )
    return Cause(
        "turned",
        f"it is really turned by about {words or 'less than half a degree'} from its calibration",
        lambda s: (s.camera, turn @ s.standing @ s.motion),
        tuple(float(x) for x in told),
    )


def _curves(sights: list[Sight], turn: Array, angles_deg: Array) -> Array:
    """Return (3, A) mean scores of the cameras turned further."""
    scores = [s.pair.turned_scores(np.radians(angles_deg), turn @ s.standing @ s.motion, s.camera) for s in sights]
    return _mean_of(np.array(scores))


def _mean_of(scores: Array) -> Array:
    """Return the mean over the first axis of what is no NaN, 0 where fewer than half are."""
    spoke = np.isfinite(scores)
    mean = np.nan_to_num(scores).sum(axis=0) / np.maximum(spoke.sum(axis=0), 1)
    return np.where(spoke.mean(axis=0) >= 0.5, mean, 0.0)


def _shifted(sights: list[Sight]) -> Cause:
    """Return the shift with the best score, along one axis of the camera after the other."""
    shift = np.zeros(3)
    for axis in (0, 1, 2, 0, 1, 2):
        trials = [_moved(np.where(np.arange(3) == axis, metres, shift)) for metres in SHIFTS_M]
        scores = [[s.pair.score(trial @ s.standing @ s.motion) for trial in trials] for s in sights]
        shift[axis] = float(SHIFTS_M[int(_mean_of(np.array(scores)).argmax())])
    ways = (("left", "right"), ("up", "down"), ("back", "forward"))
    words = " and ".join(
        f"{abs(x):.1f} m {way[int(x < 0)]}"
        for x, way in zip(shift, ways, strict=True)
        if x  # points move the other way
    )
    final = _moved(shift)
    return Cause(
        "shifted",
        f"it really sits about {words or 'where it should'} of where its calibration has it",
        lambda s: (s.camera, final @ s.standing @ s.motion),
        tuple(float(x) for x in shift),
    )


def _moved(metres: Array) -> Array:
    pose = np.eye(4)
    pose[:3, 3] = metres
    return pose
