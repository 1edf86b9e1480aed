"""Labels carried to unlabelled points: against all distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip2scene_ros.frame import UNKNOWN, PseudoLabels
from clip2scene_training import fill
from clip2scene_training.fill import fill_unseen


def drawn(seed: int, n: int, spread_m: float) -> tuple[np.ndarray, PseudoLabels]:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-spread_m, spread_m, (n, 3)).astype(np.float32)
    class_id = rng.choice([0, 1, 2, UNKNOWN], n, p=[0.1, 0.1, 0.1, 0.7]).astype(np.uint8)
    confidence = np.where(class_id == UNKNOWN, 0, rng.random(n)).astype(np.float32)
    return points, PseudoLabels(class_id, confidence)


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.sampled_from([0.4, 3.0, 50.0]))
def test_an_unknown_point_takes_what_is_nearest_to_it(seed: int, n: int, spread_m: float):
    points, labels = drawn(seed, n, spread_m)
    for max_m in (0.3, 2.0, float("inf")):
        found = fill_unseen(points, labels, max_m)
        for i in range(n):
            away = [np.linalg.norm(points[i].astype(float) - points[j]) for j in range(n)]
            known = [j for j in range(n) if labels.class_id[j] != UNKNOWN]
            source = i if i in known else min(known, key=lambda j: away[j], default=i)
            source = source if away[source] <= max_m else i
            assert (found.class_id[i], found.confidence[i]) == (labels.class_id[source], labels.confidence[source])


def test_far_points_are_asked_some_at_a_time_with_the_same_answers(monkeypatch: pytest.MonkeyPatch):
    points, labels = drawn(3, 500, 40.0)
    whole = fill_unseen(points, labels)
    monkeypatch.setattr(fill, "AT_ONCE", 400)
    few = fill_unseen(points, labels)
    np.testing.assert_array_equal(whole.class_id, few.class_id)
    assert UNKNOWN not in whole.class_id


def test_points_without_a_place_stay_unknown_and_lend_nothing():
    points = np.array([[0, 0, 0], [np.nan, 0, 0], [0.1, 0, 0], [np.inf, 0, 0]], np.float32)
    labels = PseudoLabels(np.array([UNKNOWN, 1, 2, UNKNOWN], np.uint8), np.array([0, 0.9, 0.4, 0], np.float32))
    found = fill_unseen(points, labels)
    assert found.class_id.tolist() == [2, 1, 2, UNKNOWN]
    assert found.confidence.tolist() == pytest.approx([0.4, 0.9, 0.4, 0.0])
    assert labels.class_id.tolist() == [UNKNOWN, 1, 2, UNKNOWN]  # what came is left as it was


def test_nothing_known_fills_nothing():
    labels = PseudoLabels(np.full(3, UNKNOWN, np.uint8), np.zeros(3, np.float32))
    assert (fill_unseen(np.zeros((3, 3), np.float32), labels).class_id == UNKNOWN).all()
