"""Segmentation quality from one confusion matrix over a whole data set.

Matrices of single scans are added up and scored once: the mean of per-scan IoUs is a different,
friendlier number. A prediction of 255 (unknown) is wrong for the point's true class and right for
none, so that refusing to answer never raises a score.

A class that neither occurs nor is predicted is absent: it has no IoU, is left out of the mean, and
is named in reports. (The paper's code gives such a class 1.0, which raises the mean.)
"""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import UNKNOWN, Array, Frame

BANDS_M = {"0-20 m": (0.0, 20.0), "20-40 m": (20.0, 40.0), "40+ m": (40.0, float("inf"))}
"""Name -> range from its first to before its second distance [m]; the last one holds infinity too."""


def confusion(labels: Array, predicted: Array, num_classes: int) -> Array:
    """Count points by true and predicted class.

    Args:
        labels: (N,) integers, true class ids below `num_classes`; 255 is ignored.
        predicted: (N,) integers, predicted class ids below `num_classes`, or 255 for unknown.
        num_classes: C, 1 to 254.

    Returns:
        (C, C + 1) int64: row is the true class, column the predicted one, the last column unknown.

    Raises:
        ValueError: shapes differ, or an id is neither below `num_classes` nor 255.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    _validate(labels, predicted, num_classes)
    known = labels != UNKNOWN
    column = np.where(predicted == UNKNOWN, num_classes, predicted)[known].astype(np.int64)
    cell = labels[known].astype(np.int64) * (num_classes + 1) + column
    counts: Array = np.bincount(cell, minlength=num_classes * (num_classes + 1)).astype(np.int64)
    return counts.reshape(num_classes, num_classes + 1)


def iou(matrix: Array) -> Array:
    """Return (C,) float64 intersection over union of each class, NaN where the class is absent.

    A class is absent when it is neither in the ground truth nor ever predicted (union 0). One that
    is predicted without being there scores 0.

    Args:
        matrix: (C, C + 1) counts from `confusion`.
    """
    return iou_of(tallies(matrix))


def tallies(matrix: Array) -> Array:
    """Return (..., 3, C) int64, all that an IoU needs: points of each class right, true, and predicted.

    Args:
        matrix: (..., C, C + 1) counts from `confusion`.
    """
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    return np.stack([right, matrix.sum(axis=-1), matrix[..., :-1].sum(axis=-2)], axis=-2)


def iou_of(tally: Array) -> Array:
    """Return (..., C) float64 IoU, NaN where a class is absent.

    Args:
        tally: (..., 3, C) sums of `tallies`.
    """
    right, true, predicted = (tally[..., i, :].astype(np.float64) for i in range(3))
    union = true + predicted - right
    result: Array = np.divide(right, union, out=np.full(union.shape, np.nan), where=union > 0)
    return result


def mean_iou(matrix: Array, min_points: int = 0) -> float:
    """Return the mean IoU over the classes that are present, NaN where none is.

    Args:
        matrix: (C, C + 1) counts from `confusion`.
        min_points: also leave out classes with fewer ground-truth points; 1 leaves out those that were only predicted.
    """
    kept = iou(matrix)[matrix.sum(axis=1) >= min_points]
    kept = kept[~np.isnan(kept)]
    return float(kept.mean()) if len(kept) else float("nan")


def absent(matrix: Array) -> int:
    """Return how many classes `mean_iou` leaves out because they neither occur nor are predicted."""
    return int(np.isnan(iou(matrix)).sum())


def accuracy(matrix: Array) -> float:
    """Return the share of labelled points with the right class, NaN where no point is labelled."""
    total = int(matrix.sum())
    return float(np.trace(matrix[:, :-1]) / total) if total else float("nan")


def distance_bands(frame: Frame) -> dict[str, Array]:
    """Return a (N,) bool mask for each of `BANDS_M`, by horizontal distance from the sensor.

    Height does not count, so that a tree's top is in the band of its trunk. A NaN point is in no band.
    """
    range_m = np.hypot(frame.scan.points[:, 0], frame.scan.points[:, 1])
    return {name: (low <= range_m) & ((range_m < high) | (high == np.inf)) for name, (low, high) in BANDS_M.items()}


def _validate(labels: Array, predicted: Array, num_classes: int) -> None:
    if not 1 <= num_classes < UNKNOWN:
        raise ValueError(f"Expected `num_classes` in 1..{UNKNOWN - 1}, but got {num_classes}.")
    if labels.ndim != 1 or labels.shape != predicted.shape:
        raise ValueError(
            f"Expected `labels` and `predicted` of one shape (N,), but got {labels.shape} and {predicted.shape}."
        )
    for name, ids in (("labels", labels), ("predicted", predicted)):
        wrong = ids[(ids != UNKNOWN) & ((ids < 0) | (ids >= num_classes))]
        if len(wrong):
            raise ValueError(
                f"Expected ids in `{name}` below {num_classes}, or {UNKNOWN} for unknown, but got {int(wrong[0])}."
            )
