"""From images to points: what a teacher sees becomes labels of a scan, with the evidence for them.

Source: Chen et al., CLIP2Scene (CVPR 2023), section 3.2, pairs points with pixels; the votes, rules and selection
beyond that are measured one by one in `bench/labels.py`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np

from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import UNKNOWN, Array, Frame, PseudoLabels
from clip2scene_ros.geometry import compose, invert
from clip2scene_ros.teacher.ground import heights
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_ros.teacher.rules import below_its_top, by_cluster, classes_of, flat_on_ground, surest, tops_of
from clip2scene_ros.teacher.teachers import PixelClasses, Teacher
from clip2scene_ros.teacher.votes import Sight, Votes, from_sweep, look

Item = TypeVar("Item")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evidence:
    """How many points of a frame were seen how; for judging calibration, words and teacher.

    Attributes:
        points: all.
        in_image: inside at least one image of which the teacher says something.
        visible: not hidden behind nearer points in at least one of them.
        hidden: inside an image, but hidden in all.
        absorbed: visible, but sky or the like fits them best: the sky leak.
        cameras_compared, cameras_agree: seen by two cameras or more; of these, given the same class by all.
        sweeps_compared, sweeps_agree: with a class of their own and one of other sweeps; of these, the same.
    """

    points: int = 0
    in_image: int = 0
    visible: int = 0
    hidden: int = 0
    absorbed: int = 0
    cameras_compared: int = 0
    cameras_agree: int = 0
    sweeps_compared: int = 0
    sweeps_agree: int = 0


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """A frame with what its images say of its points.

    Attributes:
        frame: as it came.
        labels: a class for each point, in the scan's order; 255 where nothing is known.
        seen: what the teacher saw in each view, None where nothing.
        evidence: counts.
    """

    frame: Frame
    labels: PseudoLabels
    seen: tuple[PixelClasses | None, ...]
    evidence: Evidence


@dataclass(frozen=True, eq=False)
class _Looked:
    frame: Frame
    points: Array
    seen: tuple[PixelClasses | None, ...]
    sight: Sight


class Labeler:
    """Carries a teacher's classes from the images to the points.

    Args:
        teacher: looks at the images.
        config: which of the steps are taken.
    """

    def __init__(self, teacher: Teacher, config: LabelerConfig | None = None) -> None:
        self.teacher, self.config = teacher, config or LabelerConfig()
        self._classes = len(teacher.class_set)
        self._things = classes_of(teacher.class_set, self.config.things)
        self._flat = classes_of(teacher.class_set, self.config.flat)
        self._tops = tops_of(teacher.class_set, self.config.tallest)
        self._warned: set[str] = set()
        if self.config.ground and not self._flat.any():
            self._warn_once("No class of the class set is flat (setting `flat`): the ground rule changes nothing.")
        if self.config.columns and np.isinf(self._tops).all():
            self._warn_once("No class has a height (setting `tallest`): the rule on columns changes nothing.")

    def label(self, frames: Iterable[Frame]) -> Iterator[LabelledFrame]:
        """Yield each frame of a drive with its labels, in order, holding only as many frames as vote for each other.

        Args:
            frames: in order of time, their poses in one world.

        Raises:
            BadTeacher: the teacher's answer does not fit the frame or its class set.
        """
        looked = (self._look(frame, around) for frame, around in neighbourhoods(frames, 1))
        for now, others in neighbourhoods(looked, self.config.sweeps):
            yield self._decide(now, others)

    def _look(self, frame: Frame, around: list[Frame]) -> _Looked:
        """Ask the cameras, each about the points where they were at its exposure."""
        points = self._points(frame, around)
        seen = tuple(self.teacher.see(frame))
        if len(seen) != len(frame.views):
            raise BadTeacher("views", f"Expected an answer for each of {len(frame.views)} views, but got {len(seen)}.")
        return _Looked(frame, points, seen, look(points, frame.views, seen, self._classes, self.config))

    def _points(self, frame: Frame, around: list[Frame]) -> Array:
        if not self.config.point_time or frame.scan.time_ns is None or not len(frame.scan):
            return frame.scan.points
        points = points_at_stamp(frame, around)
        if points is frame.scan.points:
            self._warn_once("No pose within a second of a scan: its points are taken as if the sensor had stood still.")
        return points

    def _decide(self, now: _Looked, others: list[_Looked]) -> LabelledFrame:
        """Let cameras and sweeps vote, let geometry object, keep the surest."""
        config, own = self.config, now.sight.votes
        still = self._still_votes(now, others)
        chances = own.plus(still).probabilities()
        absorbed = chances.argmax(axis=1) == self._classes
        if config.absorbers == "removed":
            chances = _without_absorbers(chances)
        labels = self.decide(chances[:, :-1], now.points, absorbed & (config.absorbers == "compete"))
        return LabelledFrame(now.frame, labels, now.seen, self._evidence(now.sight, own, still))

    def decide(self, chances: Array, points: Array, barred: Array) -> PseudoLabels:
        """Return labels: geometry objects to what cannot be, each class keeps its surest points.

        Args:
            chances: (N, C) float32 of the classes, that sum to 1, or zeros where nothing is known.
            points: (N, 3) [m].
            barred: (N,) bool, unknown whatever the chances.
        """
        config = self.config
        if config.ground or config.columns or config.clusters:
            height = heights(points)
            chances = flat_on_ground(chances, height, self._flat) if config.ground and self._flat.any() else chances
            chances = below_its_top(chances, points, height, self._tops) if config.columns else chances
            chances = by_cluster(chances, points, height) if config.clusters else chances
        unknown = ~chances.any(axis=1) | barred
        class_id = np.where(unknown, UNKNOWN, chances.argmax(axis=1)).astype(np.uint8)
        confidence = np.where(unknown, 0, chances.max(axis=1)).astype(np.float32)
        return surest(class_id, confidence, config)

    def _still_votes(self, now: _Looked, others: list[_Looked]) -> Votes:
        """Return what other sweeps say of what stands still: a thing may have moved, its votes stay in its own scan."""
        total = Votes(np.zeros_like(now.sight.votes.sums), np.zeros_like(now.sight.votes.weight))
        for other in others:
            if now.frame.world_from_lidar is None or other.frame.world_from_lidar is None:
                self._warn_once("Frames without a pose: other sweeps have no vote on their points.")
                continue
            here_from_there = compose(invert(now.frame.world_from_lidar), other.frame.world_from_lidar)
            stuff = other.sight.votes.of(~self._things[_winners(other.sight.votes)])
            total = total.plus(from_sweep(now.points, here_from_there, other.points, stuff))
        own = now.sight.votes
        return total.of(~(self._things[_winners(own)] & (own.weight > 0)))

    def _evidence(self, sight: Sight, own: Votes, still: Votes) -> Evidence:
        chances = own.probabilities()
        visible, several = sight.cameras > 0, sight.cameras > 1
        compared = visible & (still.weight > 0)
        return Evidence(
            points=len(visible),
            in_image=int(sight.in_image.sum()),
            visible=int(visible.sum()),
            hidden=int((sight.in_image & ~visible).sum()),
            absorbed=int((visible & (chances.argmax(axis=1) == self._classes)).sum()),
            cameras_compared=int(several.sum()),
            cameras_agree=int((several & (sight.lowest == sight.highest)).sum()),
            sweeps_compared=int(compared.sum()),
            sweeps_agree=int((compared & (_winners(own) == _winners(still))).sum()),
        )

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _log.warning(message)


def _winners(votes: Votes) -> Array:
    """Return (N,) most probable class, absorbers apart; 0 where nobody has an opinion."""
    winners: Array = votes.sums[:, :-1].argmax(axis=1)
    return winners


def _without_absorbers(chances: Array) -> Array:
    """Return (N, C + 1) chances given that it is no absorber."""
    kept = chances.copy()
    kept[:, -1] = 0
    left = kept.sum(axis=1, keepdims=True)
    given: Array = np.where(left > 0, kept / np.maximum(left, np.float32(1e-12)), kept)
    return given


def neighbourhoods(items: Iterable[Item], reach: int) -> Iterator[tuple[Item, list[Item]]]:
    """Yield each item with up to `reach` before and after it, reading `reach` ahead and holding 2 `reach` + 1."""
    held: deque[Item | None] = deque([None] * reach, maxlen=2 * reach + 1)
    for item in chain(items, [None] * reach):
        held.append(item)
        if len(held) == held.maxlen:
            middle = held[reach]
            if middle is not None:
                yield middle, [near for i, near in enumerate(held) if i != reach and near is not None]
