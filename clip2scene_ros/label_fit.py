"""Does a camera's calibration fit? The alignment score at the given yaw against that at others beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.frame import Array

YAW_DEG = np.arange(-3.0, 3.001, 0.25)
"""Trial yaw of the LiDAR: as wide as calibrations drift, half of it as fine as they matter."""
NEAR_DEG = 1.0
"""Scores farther than this from the best are the background that it must stand out from."""
FITS_DEG = 0.5
"""A best yaw within this is as good as none: labels of what is 20 m away move by 17 cm."""
MIN_LEAD = 0.05
"""A best score that leads the background by a smaller share of it may be chance."""
MIN_FRAMES_LEAD = 2.0
"""Over several frames the lead must also be this many of its standard errors."""


@dataclass
class CameraFit:
    """Alignment scores of one camera.

    Attributes:
        scores: of each frame (A,) float64, the score at each of `YAW_DEG`.
    """

    scores: list[Array] = field(default_factory=list)

    def add(self, scores: Array) -> None:
        """Take in a frame's scores; one without depth edges in view says nothing."""
        if np.isfinite(scores).all():
            self.scores.append(scores)

    @property
    def curve(self) -> Array:
        """Return (A,) the mean score at each yaw, empty before the first frame."""
        return np.mean(self.scores, axis=0) if self.scores else np.zeros(0)

    @property
    def lead(self) -> float:
        """Return by which share the best score exceeds the background, NaN before the first frame."""
        return float(self._leads().mean()) if self.scores else math.nan

    @property
    def certain(self) -> bool:
        """Return whether the best yaw stands out from the background."""
        leads = self._leads()
        if not len(leads) or leads.mean() < MIN_LEAD:
            return False
        error = leads.std(ddof=1) / math.sqrt(len(leads)) if len(leads) > 1 else 0.0
        return bool(leads.mean() >= MIN_FRAMES_LEAD * error)

    @property
    def best_deg(self) -> float:
        """Return the yaw with the best score [deg], between trials by a parabola; NaN before the first frame."""
        curve = self.curve
        if not len(curve):
            return math.nan
        i = int(curve.argmax())
        if not 0 < i < len(curve) - 1:
            return float(YAW_DEG[i])
        before, here, after = curve[i - 1 : i + 2]
        bend = before - 2 * here + after
        shift = 0.5 * (before - after) / bend if bend < 0 else 0.0
        return float(YAW_DEG[i] + shift * (YAW_DEG[1] - YAW_DEG[0]))

    @property
    def verdict(self) -> str:
        """Return `fits`, `off` or `cannot tell`."""
        if not self.certain:
            return "cannot tell"
        return "fits" if abs(self.best_deg) <= FITS_DEG else "off"

    def in_words(self) -> str:
        """Return the verdict as a sentence without its camera."""
        if self.verdict == "off":
            at_end = abs(self.best_deg) >= YAW_DEG[-1]
            return f"off by {'at least' if at_end else 'about'} {abs(self.best_deg):.1f}\N{DEGREE SIGN} in yaw"
        return self.verdict

    def _leads(self) -> Array:
        """Return (F,) by which share each frame's score at the common best yaw exceeds that frame's background."""
        if not self.scores:
            return np.zeros(0)
        scores = np.stack(self.scores)
        best = int(scores.mean(axis=0).argmax())
        far = np.abs(YAW_DEG - YAW_DEG[best]) >= NEAR_DEG
        background = np.maximum(scores[:, far].mean(axis=1), 1e-6)
        leads: Array = scores[:, best] / background - 1.0
        return leads
