"""The confusion matrix and its scores, against a slow loop written from the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.frame import Frame, Scan
from clip2scene_ros.metrics import absent, accuracy, confusion, distance_bands, iou, iou_of, mean_iou, tallies

ids = st.integers(0, 4) | st.just(255)


def slow_iou(labels, predicted, c):
    """IoU of class c by sets of point numbers."""
    true = {i for i, y in enumerate(labels) if y == c}
    claimed = {i for i, (y, p) in enumerate(zip(labels, predicted, strict=True)) if p == c and y != 255}
    return len(true & claimed) / len(true | claimed) if true | claimed else None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ids, ids), max_size=60))
def test_iou_equals_the_definition_by_sets(pairs):
    labels = np.array([y for y, _ in pairs], dtype=np.uint8)
    predicted = np.array([p for _, p in pairs], dtype=np.uint8)
    matrix = confusion(labels, predicted, 5)
    expected = [slow_iou(labels.tolist(), predicted.tolist(), c) for c in range(5)]
    for value, slow in zip(iou(matrix), expected, strict=True):
        assert math.isnan(value) if slow is None else value == pytest.approx(slow, abs=1e-12)
    present = [v for v in expected if v is not None]
    assert absent(matrix) == 5 - len(present)
    if present:
        assert mean_iou(matrix) == pytest.approx(sum(present) / len(present), abs=1e-12)
    else:
        assert math.isnan(mean_iou(matrix))


def test_tallies_of_many_matrices_are_those_of_each_and_add_up():
    rng = np.random.default_rng(1)
    matrices = rng.integers(0, 50, (2, 7, 4, 5))
    matrices[..., 3, :], matrices[..., :, 3] = 0, 0  # an absent class
    for i, j in np.ndindex(2, 7):
        np.testing.assert_array_equal(iou_of(tallies(matrices))[i, j], iou(matrices[i, j]))
    np.testing.assert_array_equal(iou_of(tallies(matrices).sum(axis=1)), [iou(m.sum(axis=0)) for m in matrices])


def test_distance_bands_by_horizontal_range():
    points = [[0, 0, 50], [12, 15.99, 0], [12, 16, 0], [-40, 0, -3], [0, 39.9, 90], [np.inf, 0, 0], [np.nan, 0, 0]]
    frame = Frame(Scan(np.array(points, dtype=np.float32), np.zeros(7, dtype=np.float32)))
    bands = {name: np.flatnonzero(mask).tolist() for name, mask in distance_bands(frame).items()}
    assert bands == {"0-20 m": [0, 1], "20-40 m": [2, 4], "40+ m": [3, 5]}


def test_confusion_counts_by_hand():
    labels = np.array([0, 0, 1, 1, 2, 255, 255], dtype=np.uint8)
    predicted = np.array([0, 1, 1, 255, 255, 0, 255], dtype=np.uint8)
    assert confusion(labels, predicted, 3).tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]]
    assert confusion(labels, predicted, 3).dtype == np.int64


def test_unknown_predictions_never_raise_a_score():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 500).astype(np.uint8)
    predicted = rng.integers(0, 5, 500).astype(np.uint8)
    hidden = np.where(predicted == labels, 255, predicted)
    assert accuracy(confusion(labels, hidden, 5)) == 0.0
    assert mean_iou(confusion(labels, hidden, 5)) == 0.0
    assert accuracy(confusion(labels, predicted, 5)) == pytest.approx(np.mean(labels == predicted))


def test_ignored_points_change_nothing():
    labels = np.array([0, 1, 1, 2], dtype=np.uint8)
    predicted = np.array([0, 1, 2, 2], dtype=np.uint8)
    more = confusion(np.append(labels, [255] * 9), np.append(predicted, [0] * 9), 3)
    assert np.array_equal(more, confusion(labels, predicted, 3))


def test_dataset_score_is_not_the_mean_of_scan_scores():
    first = confusion(np.zeros(10, int), np.zeros(10, int), 2)
    second = confusion(np.array([0, 1]), np.array([1, 1]), 2)
    assert mean_iou(first + second) == pytest.approx((10 / 11 + 1 / 2) / 2)
    assert mean_iou(first + second) != pytest.approx((mean_iou(first) + mean_iou(second)) / 2)


def test_min_points_leaves_out_rare_and_merely_predicted_classes():
    matrix = confusion(np.array([0] * 10 + [1]), np.array([0] * 9 + [2] + [1]), 4)
    assert mean_iou(matrix) == pytest.approx((0.9 + 1.0 + 0.0) / 3)
    assert mean_iou(matrix, min_points=1) == pytest.approx((0.9 + 1.0) / 2)
    assert mean_iou(matrix, min_points=10) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("labels", "predicted", "classes", "text"),
    [
        ([0, 1], [0], 2, "one shape"),
        ([0, 2], [0, 0], 2, "`labels` below 2"),
        ([0, 1], [0, 7], 2, "`predicted` below 2"),
        ([0, -1], [0, 0], 2, "got -1"),
        ([0], [0], 255, "num_classes"),
        ([[0]], [[0]], 2, "one shape"),
    ],
)
def test_wrong_input_is_refused_by_name(labels, predicted, classes, text):
    with pytest.raises(ValueError, match=text):
        confusion(np.array(labels), np.array(predicted), classes)
