"""Segmentation quality from one confusion matrix over a whole data set.

Matrices of single scans are added up and scored once: the mean of per-scan IoUs is a different,
friendlier number. A prediction of 255 (unknown) is wrong for the point's true class and right for
none, so that refusing to answer never raises a score.
"""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import UNKNOWN, Array


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
    intersection = np.diagonal(matrix).astype(np.float64)
    union = matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0) - intersection
    result: Array = np.divide(intersection, union, out=np.full(len(matrix), np.nan), where=union > 0)
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
