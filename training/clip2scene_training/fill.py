"""Labels for points that no camera sees: those of the nearest labelled point of the scan."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import UNKNOWN, Array, PseudoLabels
from clip2scene_training.neighbours import NONE, nearest_within

FIRST_M = 0.5
"""Most points have a labelled one this near; the search goes on for the others alone, twice as far each time."""
NEAR_M = 2.0
"""Farther out the few that are left have nearly all labelled points as candidates: some are asked at a time."""
AT_ONCE = 4_000_000
"""Distances computed at once there, 200 MB."""


def fill_unseen(points: Array, labels: PseudoLabels, max_m: float = float("inf")) -> PseudoLabels:
    """Return the labels with each unknown point taking class and confidence of the nearest labelled one.

    Points that are NaN or infinite, or have none within reach, stay unknown. Of labelled points equally near one is
    taken.

    Args:
        points: (N, 3) [m].
        labels: of these points.
        max_m: farthest distance that counts [m].
    """
    finite = np.isfinite(points).all(axis=1)
    known = np.flatnonzero(finite & (labels.class_id != UNKNOWN))
    asked = np.flatnonzero(finite & (labels.class_id == UNKNOWN))
    class_id, confidence = labels.class_id.copy(), labels.confidence.copy()
    if not len(known) or not len(asked):
        return PseudoLabels(class_id, confidence)
    farthest = min(max_m, float(np.linalg.norm(np.ptp(points[finite].astype(np.float64), axis=0))))
    reach = min(FIRST_M, farthest)
    while len(asked) and reach > 0:
        found = _nearest(points[asked], points[known], reach)
        met = found != NONE
        class_id[asked[met]] = labels.class_id[known[found[met]]]
        confidence[asked[met]] = labels.confidence[known[found[met]]]
        if reach >= farthest:
            break
        asked, reach = asked[~met], min(2 * reach, farthest)
    return PseudoLabels(class_id, confidence)


def _nearest(points: Array, others: Array, radius_m: float) -> Array:
    """Return as `nearest_within`, in bounded memory."""
    step = max(AT_ONCE // len(others), 1) if radius_m > NEAR_M else len(points)
    starts = range(0, len(points), step)
    return np.concatenate([nearest_within(points[start : start + step], others, radius_m) for start in starts])
