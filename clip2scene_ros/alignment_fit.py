"""Does a camera's calibration fit? The alignment score as calibrated against that of the camera turned a little."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.alignment import AXES
from clip2scene_ros.frame import Array

ANGLES_DEG = np.arange(-3.0, 3.001, 0.25)
"""Trial turns about each axis: as wide as calibrations drift, half of it as fine as they matter."""
ZERO = len(ANGLES_DEG) // 2
FITS_DEG = 0.5
"""A smaller turn is as good as none: labels of what is 20 m away move by 17 cm."""
NEAR_DEG = 1.0
"""A calibration that fits scores better than one turned by this, about any axis to either side."""
LEAD_ERRORS, FITS_ERRORS = 4.0, 2.0
"""By how many standard errors a turn must lead the calibration, and the calibration a turn, to be believed."""
SPREAD = np.array([[0.08], [0.05], [0.03]])
"""How differently views judge a turn by a degree, as share of the score, on the val scenes of world-1, by axis."""
SPREAD_VIEWS = 4
"""What is known of the spread beforehand counts as so many views: few views may speak, but not too loudly."""

UNKNOWN, FITS, SLIPPED = "unknown", "fits", "slipped"
WAYS = {"yaw": ("to the right", "to the left"), "pitch": ("up", "down"), "roll": ("leaning left", "leaning right")}
"""Axis -> what a negative and a positive turn are called."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """What some views say of a camera's calibration.

    Attributes:
        state: `fits`, `slipped` or `unknown`.
        views: how many spoke.
        curve: (3, A) mean score at each of `ANGLES_DEG` about each of `AXES`; (3, 0) without views.
        turn_deg: (3,) the turn with the best score, between trials by a parabola [deg]; NaN without views.
        lead: (3,) by how many standard errors that turn leads the calibration; negative where it does not.
        leads: (3, A) the same of each trial turn.
    """

    state: str = UNKNOWN
    views: int = 0
    curve: Array = field(default_factory=lambda: np.zeros((3, 0)))
    turn_deg: Array = field(default_factory=lambda: np.full(3, np.nan))
    lead: Array = field(default_factory=lambda: np.full(3, np.nan))
    leads: Array = field(default_factory=lambda: np.zeros((3, 0)))

    def in_words(self) -> str:
        """Return the state as words that follow a camera's name and `is`.

        Of a slip only the axis is named that mends most: a turn about one looks a little like one about another.
        """
        if self.state != SLIPPED:
            return self.state
        axis = self.main_axis
        turn = float(self.turn_deg[axis])
        about = "at least" if abs(turn) >= ANGLES_DEG[-1] else "about"
        return f"turned by {about} {abs(turn):.1f}\N{DEGREE SIGN} {WAYS[AXES[axis]][int(turn > 0)]} ({AXES[axis]})"

    @property
    def main_axis(self) -> int:
        """Return the position in `AXES` of the slip, or of the best turn where there is none; 0 without views."""
        if not self.views:
            return 0
        slips = (np.abs(self.turn_deg) >= FITS_DEG) & (self.lead >= LEAD_ERRORS)
        return int(np.where(slips | ~slips.any(), self.curve.max(axis=1), -np.inf).argmax())


def judge(scores: Array) -> Judgement:
    """Return what views say of a calibration.

    A camera has slipped where some turn of at least half a degree scores better than the calibration by more than
    chance allows; its calibration fits where every turn by a degree scores worse. The spread is that of the views
    themselves, drawn to the one known beforehand.

    Args:
        scores: (V, 3, A) of each view, at each of `ANGLES_DEG` about each of `AXES`.
    """
    views = len(scores)
    if not views:
        return Judgement()
    curve = scores.mean(axis=0)
    level = max(float(curve[:, ZERO].mean()), 1e-6)
    gain = (scores - scores[:, :, ZERO : ZERO + 1]) / level
    mean = gain.mean(axis=0)
    squares = ((gain - mean) ** 2).sum(axis=0) + SPREAD_VIEWS * SPREAD**2
    errors = mean / np.sqrt(squares / (SPREAD_VIEWS + views - 1) / views)
    turn, best = np.array([_peak(each) for each in curve]), curve.argmax(axis=1)
    lead = errors[np.arange(3), best]
    near = np.isclose(np.abs(ANGLES_DEG), NEAR_DEG)
    state = UNKNOWN
    if np.any((np.abs(turn) >= FITS_DEG) & (lead >= LEAD_ERRORS)):
        state = SLIPPED
    elif np.all(errors[:, near] <= -FITS_ERRORS) and np.all(np.abs(turn) < NEAR_DEG):
        state = FITS
    return Judgement(state, views, curve, turn, lead, errors)


class CameraFit:
    """The scores of one camera's views.

    Args:
        keep: the latest so many; None keeps all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._scores: deque[Array] = deque(maxlen=keep)

    def add(self, scores: Array) -> None:
        """Take in (3, A) scores of a view; one without depth edges says nothing."""
        if np.isfinite(scores).all():
            self._scores.append(scores)

    def keep(self, latest: int) -> None:
        """Forget all views but the latest so many."""
        while len(self._scores) > latest:
            self._scores.popleft()

    def __len__(self) -> int:
        """Return the number of views that speak."""
        return len(self._scores)

    def judge(self, latest: int | None = None) -> Judgement:
        """Return what the latest so many views, by default all, say: see `judge`."""
        scores = list(self._scores)[-latest:] if latest else list(self._scores)
        return judge(np.array(scores).reshape(-1, len(AXES), len(ANGLES_DEG)))


def _peak(curve: Array) -> float:
    i = int(curve.argmax())
    if not 0 < i < len(curve) - 1:
        return float(ANGLES_DEG[i])
    before, here, after = curve[i - 1 : i + 2]
    bend = before - 2 * here + after
    shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
    turn = float(ANGLES_DEG[i] + shift * (ANGLES_DEG[1] - ANGLES_DEG[0]))
    return turn if math.isfinite(turn) else float(ANGLES_DEG[i])
