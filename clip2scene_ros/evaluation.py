"""Labels against ground truth: what is counted, in all, by scene, by groups of points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Segmentation
from clip2scene_ros.metrics import confusion, distance_bands

SEEN_POINTS = 20
"""Fewer points of a class do not make it visible in a picture."""

Labelled = tuple[Frame, Segmentation]
Groups = Callable[[Frame], Mapping[str, Array]]
"""Gives a frame's points by named (N,) bool masks, the same names for each frame."""

ONE_SCENE = "all"


@dataclass
class Evaluation:
    """Labels against ground truth.

    Attributes:
        class_set: the C classes of the labels.
        matrix: (C, C + 1) int64, `metrics.confusion` summed over the scans.
        frames: number of scans with ground truth.
        latency_ms: milliseconds to label each scan, where they were measured.
        example: the scan that shows most: most views, then most classes; None before the first.
        scenes: scene -> its share of `matrix`; they add up to it.
        groups: name of a group of points -> its share of `matrix`; groups may overlap and leave points out.
    """

    class_set: ClassSet
    matrix: Array
    frames: int = 0
    latency_ms: list[float] = field(default_factory=list)
    example: Labelled | None = None
    scenes: dict[str, Array] = field(default_factory=dict)
    groups: dict[str, Array] = field(default_factory=dict)

    def add(self, frame: Frame, class_id: Array, scene: str, groups: Groups) -> None:
        """Count a frame with ground truth: in all, in its scene, in the groups of its points."""
        if frame.labels is None:
            raise ValueError("Expected a frame with `labels`, but it has none.")
        count = len(self.class_set)
        matrix = confusion(frame.labels, class_id, count)
        self.matrix += matrix
        self.frames += 1
        self.scenes[scene] = self.scenes.get(scene, 0) + matrix
        for name, mask in groups(frame).items():
            part = confusion(frame.labels[mask], class_id[mask], count)
            self.groups[name] = self.groups.get(name, 0) + part


def evaluate(
    labelled: Iterable[Labelled],
    class_set: ClassSet,
    *,
    scenes: Iterable[str] | None = None,
    groups: Groups = distance_bands,
) -> Evaluation:
    """Score labelled frames whose ground truth is in terms of `class_set`; frames without are passed over.

    Args:
        labelled: frames with their labels.
        class_set: of the labels.
        scenes: the name of each item's scene, in the order of `labelled`, at least as many; all one scene when None.
            Frames of a scene resemble each other, so that only scenes can be drawn again in a bootstrap.
        groups: the points to score on their own as well; by distance unless told otherwise.

    Raises:
        ValueError: `scenes` has fewer names than `labelled` has items.
    """
    count = len(class_set)
    result = Evaluation(class_set, np.zeros((count, count + 1), dtype=np.int64))
    best, names = (-1, -1), iter(repeat(ONE_SCENE) if scenes is None else scenes)
    for number, (frame, segmentation) in enumerate(labelled):
        scene = next(names, None)
        if scene is None:
            raise ValueError(f"Expected a name in `scenes` for each item of `labelled`, but got only {number}.")
        if frame.labels is None:
            continue
        result.add(frame, segmentation.class_id, scene, groups)
        if "total" in segmentation.processing_ms:
            result.latency_ms.append(segmentation.processing_ms["total"])
        seen = int((np.bincount(frame.labels, minlength=256)[:UNKNOWN] >= SEEN_POINTS).sum())
        if (len(frame.views), seen) > best:
            best, result.example = (len(frame.views), seen), (frame, segmentation)
    return result
