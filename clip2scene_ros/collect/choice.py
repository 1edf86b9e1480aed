"""Which frames are worth keeping: by motion and quota before the teacher is asked, by what it shows afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.collect.config import ChoiceConfig
from clip2scene_ros.frame import NS_PER_S, UNKNOWN, Array
from clip2scene_ros.geometry import invert
from clip2scene_ros.words import claims

HOUR_NS = 3600 * NS_PER_S
TINY = 1e-12
REMEMBERED = 256
"""Kept frames with which a new one is compared: of older ones it may repeat the look."""


class Choice:
    """Chooses the scans of one LiDAR by time and way since the last that was chosen.

    Args:
        config: the thresholds.
    """

    def __init__(self, config: ChoiceConfig) -> None:
        self._config = config
        self._last: tuple[int, Array | None] | None = None
        self._chosen: deque[int] = deque()

    def refuse(self, stamp_ns: int, pose: Array | None) -> str:
        """Return why a scan is not chosen, or an empty string; then it is the one that the next is compared with.

        Time that goes back (a looped bag) begins a new drive.

        Args:
            stamp_ns: of the scan [ns].
            pose: (4, 4) world_from_lidar, or None.
        """
        if self._last is not None and stamp_ns < self._last[0]:
            self._last = None
            self._chosen.clear()
        reason = self._too_near(stamp_ns, pose) or self._over_quota(stamp_ns)
        if not reason:
            self._last = (stamp_ns, pose)
            self._chosen.append(stamp_ns)
        return reason

    def take_back(self, stamp_ns: int) -> None:
        """Free the quota of a scan that was chosen, and then not kept."""
        if stamp_ns in self._chosen:
            self._chosen.remove(stamp_ns)

    def _too_near(self, stamp_ns: int, pose: Array | None) -> str:
        if self._last is None:
            return ""
        last_ns, last_pose = self._last
        if stamp_ns - last_ns < self._config.min_interval_s * NS_PER_S:
            return "too_soon"
        if pose is None or last_pose is None:
            return ""
        moved = invert(last_pose) @ pose
        turned_deg = np.degrees(np.arccos(np.clip((np.trace(moved[:3, :3]) - 1) / 2, -1.0, 1.0)))
        far = np.linalg.norm(moved[:3, 3]) >= self._config.min_motion_m or turned_deg >= self._config.min_turn_deg
        return "" if far else "standing"

    def _over_quota(self, stamp_ns: int) -> str:
        while self._chosen and stamp_ns - self._chosen[0] >= HOUR_NS:
            self._chosen.popleft()
        most = self._config.max_per_hour
        return "hour_full" if most and len(self._chosen) >= most else ""


@dataclass(frozen=True, eq=False)
class Look:
    """What a frame shows, as far as frames are compared.

    Attributes:
        labels: (N,) uint8 of the teacher.
        features: camera -> (D,) the mean of its image's features; empty where the teacher has none.
    """

    labels: Array
    features: Mapping[str, Array] = field(default_factory=dict)


class Novelty:
    """Judges labelled frames of one LiDAR against those that were kept.

    Args:
        config: the thresholds; where both are 0 every frame is worth keeping.
        classes: how many there are.
    """

    def __init__(self, config: ChoiceConfig, classes: int) -> None:
        self._config, self._classes = config, classes
        self._kept: deque[tuple[Array, Mapping[str, Array]]] = deque(maxlen=REMEMBERED)

    def refuse(self, look: Look, student: Array | None) -> str:
        """Return why a frame is not worth keeping, or an empty string.

        Args:
            look: what it shows.
            student: (N,) uint8 of the student in the teacher's class ids, or None.
        """
        reasons = []
        if self._config.min_novelty > 0:
            reasons.append(self.novelty(look) >= self._config.min_novelty)
        if self._config.min_disagreement > 0:
            reasons.append(student is not None and disagreement(look.labels, student) >= self._config.min_disagreement)
        return "" if not reasons or any(reasons) else "familiar"

    def novelty(self, look: Look) -> float:
        """Return how far a frame is from the kept one that it is most like, 0 to 1; 1 for a first.

        By features: one minus the cosine of the two images of a camera, the mean of the cameras that both have. Without
        features: the share of points that would have to change class for the shares of the kept frame.
        """
        shares, features = self._memory(look)
        if features:
            return min((_apart(features, kept) for _, kept in self._kept), default=1.0)
        return min((float(np.abs(shares - kept).sum() / 2) for kept, _ in self._kept), default=1.0)

    def keep(self, look: Look) -> None:
        """Note what a kept frame shows."""
        if self._config.min_novelty > 0:
            self._kept.append(self._memory(look))

    def _memory(self, look: Look) -> tuple[Array, Mapping[str, Array]]:
        """Return the shares of the classes, and the features with a length of 1."""
        labels = look.labels
        counts = np.bincount(labels[labels < self._classes], minlength=self._classes).astype(np.float64)
        units = {name: feature / max(float(np.linalg.norm(feature)), TINY) for name, feature in look.features.items()}
        return counts / max(1.0, counts.sum()), units


def _apart(features: Mapping[str, Array], kept: Mapping[str, Array]) -> float:
    """Return how far two frames are apart by their features; 1 where no camera is in both."""
    cosines = [float(features[name] @ kept[name]) for name in features if name in kept]
    return 1.0 - sum(cosines) / len(cosines) if cosines else 1.0


def disagreement(labels: Array, student: Array) -> float:
    """Return the share of points, of those that both know, to which they give different classes; 0 of none.

    Args:
        labels: (N,) uint8 class ids, 255 unknown.
        student: the same of the student.
    """
    both = (labels != UNKNOWN) & (student != UNKNOWN)
    return float((labels[both] != student[both]).mean()) if both.any() else 0.0


def table_of(student: ClassSet, teacher: ClassSet) -> Array:
    """Return (256,) uint8 the student's class id -> the teacher's, 255 where the teacher knows no such class."""
    table = np.full(256, UNKNOWN, np.uint8)
    for class_id, meant in enumerate(claims(teacher, student)):
        if len(meant) == 1:
            table[class_id] = meant[0]
    return table
