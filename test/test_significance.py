"""The paired bootstrap: against a slow loop, on differences that are known, and on draws where there is none."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadReport
from clip2scene_ros.evaluation import Evaluation
from clip2scene_ros.metrics import mean_iou
from clip2scene_ros.report.evaluation import build_report, read_report, write_report
from clip2scene_ros.significance import Comparison, compare, compare_reports, tail


def answers(rng, truth, right):
    """(S, C, C + 1) of a method that is right on `right` (S,) of the points and otherwise says anything."""
    scenes, classes = truth.shape
    matrices = np.empty((scenes, classes, classes + 1), dtype=np.int64)
    for s, c in itertools.product(range(scenes), range(classes)):
        chance = np.full(classes + 1, (1 - right[s]) / classes)
        chance[c] = right[s]
        matrices[s, c] = rng.multinomial(truth[s, c], chance)
    return matrices


def pair(seed, scenes=20, classes=4, gain=0.0, spread=0.08):
    """Two methods over the same scenes, whose share of right points differs by `gain` on average."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(50, 400, (scenes, classes))
    hard = rng.normal(0.6, 0.1, scenes)
    shares = [np.clip(hard + g + rng.normal(0, spread, scenes), 0.05, 0.95) for g in (gain, 0.0)]
    return answers(rng, truth, shares[0]), answers(rng, truth, shares[1])


def slow_mean_iou(matrices):
    """mIoU of summed matrices over the classes that occur, cell by cell."""
    classes = len(matrices[0])
    total = [[sum(int(m[i][j]) for m in matrices) for j in range(classes + 1)] for i in range(classes)]
    values = []
    for c in range(classes):
        true = sum(total[c])
        if true:
            claimed = sum(total[i][c] for i in range(classes))
            values.append(total[c][c] / (true + claimed - total[c][c]))
    return sum(values) / len(values)


def test_the_interval_equals_a_slow_loop_over_the_same_draws():
    first, second = pair(1, scenes=7, classes=3, gain=0.1)
    first[:5, 2], second[:5, 2] = 0, 0  # a rare class: some draws are without it
    fast = compare(np.stack([first, second]), second, resamples=300, seed=5)
    drawn = np.random.default_rng(5).multinomial(7, np.full(7, 1 / 7), size=300)
    slow = []
    for counts in drawn:
        scenes = [s for s, count in enumerate(counts) for _ in range(count)]
        one, two = (slow_mean_iou([m[s] for s in scenes]) for m in (first, second))
        slow.append((one + two) / 2 - two)
    assert sorted({int(c[5] + c[6] > 0) for c in drawn}) == [0, 1]
    assert (fast.low, fast.high) == pytest.approx(np.quantile(slow, [tail(7), 1 - tail(7)]), abs=1e-12)
    expected = (slow_mean_iou(first) - slow_mean_iou(second)) / 2
    assert fast.difference == pytest.approx(expected, abs=1e-12)


def test_a_class_that_no_drawn_scene_has_is_left_out_for_both():
    first, second = pair(2, scenes=8, classes=3)
    first[:, 2], second[:, 2] = 0, 0
    first[:, 0, 2] += 9  # predicted by one method, though it never occurs
    second[:, 0, 0] += 9
    expected = mean_iou(first.sum(axis=0), min_points=1) - mean_iou(second.sum(axis=0), min_points=1)
    assert compare(first, second, resamples=50).difference == pytest.approx(expected, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.2, 0.2))
def test_swapping_the_methods_turns_the_sign_and_nothing_else(seed, gain):
    first, second = pair(seed, scenes=8, classes=3, gain=gain)
    there, back = compare(first, second, resamples=200), compare(second, first, resamples=200)
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.verdict("a", "b") == back.verdict("b", "a") or not there.differs


def test_a_method_does_not_differ_from_itself():
    first, _ = pair(3)
    same = compare(first, first)
    assert (same.low, same.difference, same.high) == (0, 0, 0)
    assert same.verdict() == "no difference (0.0 [0.0, 0.0])"


def test_a_known_gain_is_found_whichever_comes_first():
    first, second = pair(4, scenes=30, gain=0.15)
    found = compare(first, second)
    assert found.low > 0
    assert found.verdict("ours", "theirs").startswith("ours is better by ")
    assert compare(second, first).verdict("theirs", "ours") == found.verdict("ours", "theirs")


def test_the_verdict_reads_in_points():
    assert Comparison(0.023, 0.008, 0.039, 40).verdict("A", "B") == "A is better by 2.3 [0.8, 3.9]"
    assert Comparison(-0.023, -0.039, -0.008, 40).verdict("A", "B") == "B is better by 2.3 [0.8, 3.9]"
    assert Comparison(-0.004, -0.015, 0.008, 40).verdict("A", "B") == "no difference (-0.4 [-1.5, 0.8])"
    assert Comparison(0.004, 0.0, 0.008, 40).verdict("A", "B") == "no difference (0.4 [0.0, 0.8])"


def test_about_95_percent_of_the_intervals_hold_the_true_difference():
    held = [compare(*pair(seed, scenes=24, classes=3), resamples=400, seed=seed) for seed in range(200)]
    share = np.mean([not each.differs for each in held])
    assert 0.91 <= share <= 0.98


# two-sided 95 % points of Student's t, from a printed table
@pytest.mark.parametrize(("scenes", "t"), [(6, 2.571), (11, 2.228), (31, 2.042), (41, 2.021), (10**6, 1.960)])
def test_intervals_of_few_scenes_are_as_long_as_those_of_students_t(scenes, t):
    normal = 0.5 * math.erfc(t * math.sqrt(scenes / (scenes - 1)) / math.sqrt(2))
    assert tail(scenes) == pytest.approx(normal, abs=2e-4)


def report_of(matrices, names="abcd"):
    classes = ", ".join(f'{{"name": "{name}"}}' for name in names[: matrices.shape[1]])
    class_set = ClassSet.from_json(f'{{"name": "letters", "classes": [{classes}]}}')
    scenes = {f"scene {i}": matrix for i, matrix in enumerate(matrices)}
    evaluation = Evaluation(class_set, matrices.sum(axis=0), len(matrices), scenes=scenes)
    return build_report(evaluation, data_sha256="", weights_sha256="", world=None, command="")


def test_two_report_files_are_enough(tmp_path):
    first, second = pair(5, scenes=12, gain=0.1)
    other = pair(5, scenes=12, gain=0.1)[0]
    files = []
    for name, matrices in (("a", first), ("a1", other), ("b", second)):
        write_report(tmp_path / f"{name}.json", report_of(matrices))
        files.append(read_report(tmp_path / f"{name}.json"))
    order = np.array(sorted(range(12), key=lambda i: f"scene {i}"))
    assert compare_reports(files[0], files[2]) == compare(first[order], second[order])
    expected = compare(np.stack([first, other])[:, order], second[order])
    assert compare_reports(files[:2], [files[2]]) == expected
    assert expected.difference == pytest.approx(files[0]["miou"] - files[2]["miou"], abs=2e-6)


def test_what_cannot_be_compared_is_refused():
    first, second = pair(6, scenes=6)
    compare(first, second, resamples=10)
    with pytest.raises(BadReport, match="at least 6 scenes"):
        compare(first[:5], second[:5])
    with pytest.raises(BadReport, match="same scenes"):
        compare(first, second[:5])
    with pytest.raises(BadReport, match="No scene has a point"):
        compare(0 * first, 0 * second)
    with pytest.raises(BadReport, match="of shape"):
        compare(first[..., :-1], second[..., :-1])
    moved = second.copy()
    moved[3, 1, 1] += 1
    with pytest.raises(BadReport, match="ground truth of scene number 3"):
        compare(first, moved)
    a, b = report_of(first), report_of(second)
    with pytest.raises(BadReport, match="'scene 0'"):
        compare_reports(a, {**b, "scenes": {k: v for k, v in b["scenes"].items() if k != "scene 0"}})
    with pytest.raises(BadReport, match="classes differ"):
        compare_reports(a, report_of(second, "wxyz"))
    with pytest.raises(BadReport, match="at least one report"):
        compare_reports([], b)
