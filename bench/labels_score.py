"""What labels of points are worth, for `labels.py`: coverage, precision, mIoU, calibration of the confidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clip2scene_ros import metrics
from clip2scene_ros.frame import UNKNOWN, Array, Frame, PseudoLabels

BINS = 15
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(20))


@dataclass
class Score:
    """Sums over the frames of one row, a matrix a scene.

    Attributes:
        classes: C.
        threshold: least confidence of a label.
        every: (C, C + 1) of each scene, all points.
        seen: the same of points that a camera sees.
        competing: the same as `seen` where absorbers compete, if that was asked for.
        unsure: the same as `seen`, but without a threshold.
        bands: name -> (C, C + 1) of seen points by distance.
        bins: (3, BINS) points, right ones, and confidence, summed up by confidence, without a threshold.
    """

    classes: int
    threshold: float
    every: list[Array] = field(default_factory=list)
    seen: list[Array] = field(default_factory=list)
    competing: list[Array] = field(default_factory=list)
    unsure: list[Array] = field(default_factory=list)
    bands: dict[str, Array] = field(default_factory=dict)
    bins: Array = field(default_factory=lambda: np.zeros((3, BINS)))

    def add(self, frame: Frame, labels: PseudoLabels, competing: PseudoLabels | None, seen: Array) -> None:
        """Count one frame, a scene's only one, labelled without a threshold."""
        truth = frame.labels
        if truth is None:
            raise ValueError("Expected a frame with ground truth, but got none.")
        found = self._sure(labels)
        self.every.append(metrics.confusion(truth, found, self.classes))
        judged = [(self.seen, found), (self.unsure, labels.class_id)]
        judged += [(self.competing, self._sure(competing))] if competing else []
        for total, one in judged:
            total.append(metrics.confusion(truth[seen], one[seen], self.classes))
        for name, band in metrics.distance_bands(frame).items():
            mine = seen & band
            counts = metrics.confusion(truth[mine], found[mine], self.classes)
            self.bands[name] = self.bands.get(name, 0) + counts
        known = (truth != UNKNOWN) & (labels.class_id != UNKNOWN)
        sure, right = labels.confidence[known].astype(np.float64), truth[known] == labels.class_id[known]
        place = np.minimum((sure * BINS).astype(int), BINS - 1)
        for row, values in enumerate((np.ones(len(sure)), right, sure)):
            self.bins[row] += np.bincount(place, values, BINS)

    def _sure(self, labels: PseudoLabels) -> Array:
        return np.where(labels.confidence >= self.threshold, labels.class_id, np.uint8(UNKNOWN))

    def numbers(self) -> dict[str, float]:
        """Return the figures of a row, all as shares of 1."""
        every, seen = sum(self.every), sum(self.seen)
        kept, hits = int(every[:, :-1].sum()), int(np.trace(every[:, :-1]))
        competing = {"miou_competing": metrics.mean_iou(sum(self.competing))} if self.competing else {}
        return {
            "coverage": kept / int(every.sum()),
            "coverage_seen": int(seen[:, :-1].sum()) / int(seen.sum()),
            "precision": hits / max(kept, 1),
            "miou": metrics.mean_iou(seen),
            "miou_no_threshold": metrics.mean_iou(sum(self.unsure)),
            "ece": float(np.abs(self.bins[1] - self.bins[2]).sum() / max(self.bins[0].sum(), 1)),
            **competing,
        }

    def details(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return IoU by class and mIoU by distance."""
        return {
            "iou": {name: float(v) for name, v in zip(names, metrics.iou(sum(self.seen)), strict=True)},
            "miou_by_distance": {name: metrics.mean_iou(matrix) for name, matrix in self.bands.items()},
        }


@dataclass
class Curve:
    """mIoU, coverage and precision of seen points by the least confidence that a label needs.

    Attributes:
        classes: C.
        totals: (C, C + 1) for each of THRESHOLDS.
    """

    classes: int
    totals: list[Array] = field(default_factory=list)

    def add(self, frame: Frame, labels: PseudoLabels, seen: Array) -> None:
        """Count one frame, labelled without a threshold."""
        if frame.labels is None:
            raise ValueError("Expected a frame with ground truth, but got none.")
        sure, found, truth = labels.confidence[seen], labels.class_id[seen], frame.labels[seen]
        counts = [
            metrics.confusion(truth, np.where(sure >= least, found, np.uint8(UNKNOWN)), self.classes)
            for least in THRESHOLDS
        ]
        self.totals = [a + b for a, b in zip(self.totals, counts, strict=True)] if self.totals else counts

    def rows(self) -> list[dict[str, float]]:
        """Return a row for each threshold."""
        return [
            {
                "threshold": least,
                "coverage_seen": float(m[:, :-1].sum() / m.sum()),
                "precision": metrics.accuracy(np.concatenate([m[:, :-1], 0 * m[:, -1:]], axis=1)),
                "miou": metrics.mean_iou(m),
            }
            for least, m in zip(THRESHOLDS, self.totals, strict=True)
        ]

    def best(self) -> float:
        """Return the threshold with the highest mIoU, an unlabelled point being wrong.

        Leaving out points of a class raises its IoU where fewer of them than IoU / (1 + IoU) are right: mistakes then
        cost the other classes more than the hits bring. So neither precision nor coverage can be had for nothing.
        """
        return float(max(self.rows(), key=lambda row: row["miou"])["threshold"])
