"""From counts to verdicts: figures against slow ones, exact ties, and intervals that hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.compare.account import BINS, SHOWN, Account, Examples, Look, calibration_sums
from clip2scene_ros.compare.measures import (
    BLOCK_S,
    Measure,
    blocks_of,
    calibration_error,
    compared,
    findings,
    in_blocks,
    iou_of_one,
    measures,
    share_of,
)
from clip2scene_ros.compare.words import compare_table, conclusion, difference, notes
from clip2scene_ros.errors import BadReport
from clip2scene_ros.frame import NS_PER_S, UNKNOWN, Frame, Scan, Segmentation
from clip2scene_ros.significance import Comparison, compare_sums, mean_iou_of, tail

WORDS = load_class_set("road; car; person")
ROAD, CAR, PERSON = range(3)


# ---- figures


@given(st.integers(0, 1000), st.integers(1, 200))
def test_the_calibration_error_is_that_of_a_slow_loop(seed, count):
    rng = np.random.default_rng(seed)
    probability = np.concatenate([rng.random(count), [1.0, 0.0, 0.2]]).astype(np.float32)
    right = rng.random(count + 3) < 0.6
    error = 0.0
    for low in range(BINS):
        mine = [i for i, p in enumerate(probability) if min(int(p * BINS), BINS - 1) == low]
        if mine:
            sure, share = (float(np.mean([float(v[i]) for i in mine])) for v in (probability, right))
            error += len(mine) / len(probability) * abs(sure - share)
    assert calibration_error(calibration_sums(probability, right)[None])[0] == pytest.approx(error, abs=1e-9)


def test_a_student_that_is_as_sure_as_it_is_right_has_no_calibration_error():
    probability = np.full(1000, 0.7, np.float32)
    right = np.arange(1000) < 700
    assert calibration_error(calibration_sums(probability, right)[None])[0] == pytest.approx(0, abs=1e-6)
    assert calibration_error(calibration_sums(probability, ~right)[None])[0] == pytest.approx(0.4, abs=1e-6)


def test_figures_of_nothing_are_none():
    assert np.isnan(share_of(np.array([[0.0, 0.0]]))[0])
    assert np.isnan(calibration_error(np.zeros((1, 3 * BINS)))[0])
    assert np.isnan(iou_of_one(np.array([[0.0, 0.0, 5.0]]))[0])  # predicted, but nowhere
    assert iou_of_one(np.array([[2.0, 4.0, 3.0]]))[0] == pytest.approx(2 / 5)
    assert np.isnan(mean_iou_of(np.zeros((1, 9)))[0])


# ---- blocks


@pytest.mark.parametrize(
    ("scans", "seconds", "count"), [(32, 1.55, 6), (5, 60, 5), (1200, 60, 30), (10, 600, 10), (600, 13, 6)]
)
def test_a_drive_is_cut_into_blocks_of_two_seconds_and_at_least_six(scans, seconds, count):
    assert BLOCK_S == 2.0
    assert blocks_of(scans, seconds) == count


def test_blocks_hold_every_row_once_and_in_order():
    rows = np.arange(26).reshape(13, 2)
    sums = in_blocks(rows, 6)
    assert sums.shape == (6, 2)
    assert sums[0].tolist() == rows[:3].sum(axis=0).tolist()
    assert sums[1].tolist() == rows[3:5].sum(axis=0).tolist()
    np.testing.assert_array_equal(sums.sum(axis=0), rows.sum(axis=0))


# ---- differences


def test_equal_rows_are_an_exact_tie():
    rng = np.random.default_rng(0)
    row = rng.random((40, 3 * BINS))
    for value, one in ((calibration_error, row), (share_of, row[:, :2]), (mean_iou_of, row[:, :9])):
        found = compared("x", np.stack([one, one]), value, 80.0).found
        assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
        assert not found.differs


def test_b_is_better_where_it_is_higher_or_for_errors_where_it_is_lower():
    rows = np.array([[[6.0, 10.0]] * 24, [[8.0, 10.0]] * 24])
    rows[..., 0] += np.random.default_rng(0).normal(0, 0.3, (2, 24))
    assert compared("x", rows, share_of, 48.0).better == "B"
    assert compared("x", rows[::-1], share_of, 48.0).better == "A"
    assert compared("x", rows, share_of, 48.0, higher_is_better=False).better == "A"
    assert compared("x", rows, share_of, 48.0).verdict == "B is better"
    assert Measure("x", 0.5, 0.6, Comparison(0.1, -0.1, 0.3, 6)).verdict == "no difference"


def test_five_scans_are_too_few_and_the_values_are_told_all_the_same():
    found = compared("x", np.array([[[1.0, 2.0]] * 5, [[2.0, 2.0]] * 5]), share_of, 10.0)
    assert (found.a, found.b, found.found, found.better) == (0.5, 1.0, None, "")
    assert "at least 6 scans" in found.why
    assert "5" in found.why
    with pytest.raises(BadReport, match="at least 6"):
        compare_sums(np.ones((5, 2)), np.ones((5, 2)), share_of)
    with pytest.raises(BadReport, match="one shape"):
        compare_sums(np.ones((6, 2)), np.ones((7, 2)), share_of)
    with pytest.raises(BadReport, match="a figure for both"):
        compare_sums(np.ones((6, 2)), np.zeros((6, 2)), share_of)


def test_intervals_over_blocks_hold_though_neighbouring_scans_resemble_each_other():
    """Differences that live 0.5 s on average, at 10 Hz for 60 s; single scans would give far too short intervals."""
    rng, held, held_by_scans = np.random.default_rng(3), 0, 0
    for trial in range(100):
        wave = np.zeros(600)
        for i, shock in enumerate(rng.normal(0, 1, 600)):
            wave[i] = 0.8 * wave[i - 1] + shock if i else shock / 0.6
        rows = np.stack([np.full((600, 2), [500.0, 1000.0]), np.full((600, 2), [500.0, 1000.0])])
        rows[1, :, 0] += 10 * wave
        blocks = [in_blocks(each, blocks_of(600, 60.0)) for each in rows]
        held += not compare_sums(blocks[1], blocks[0], share_of, resamples=500).differs
        held_by_scans += trial < 20 and not compare_sums(rows[1], rows[0], share_of, resamples=500).differs
    assert 88 <= held <= 99
    assert held_by_scans < 14


def test_compare_sums_equals_a_slow_loop_over_the_same_draws():
    rng = np.random.default_rng(1)
    first, second = (rng.integers(1, 50, (7, 2)).astype(float) for _ in range(2))
    fast = compare_sums(first, second, share_of, resamples=200, seed=4)
    slow = []
    for counts in np.random.default_rng(4).multinomial(7, np.full(7, 1 / 7), size=200):
        chosen = [s for s, n in enumerate(counts) for _ in range(n)]
        one, two = (sum(m[s][0] for s in chosen) / sum(m[s][1] for s in chosen) for m in (first, second))
        slow.append(one - two)
    assert (fast.low, fast.high) == pytest.approx(np.quantile(slow, [tail(7), 1 - tail(7)]), abs=1e-12)


# ---- counts


def look(number, a, b, truth=None, teacher=None, ms=(10.0, 20.0), pose=True, views=()):
    """Return a scan of points 1 m apart along x, the same ones every time."""
    n = len(a)
    points = np.stack([np.arange(n), np.zeros(n), np.zeros(n)], axis=1).astype(np.float32)
    scan = Scan(points, np.zeros(n, np.float32), number * NS_PER_S // 10)
    ids = None if truth is None else np.array(truth, np.uint8)
    said = tuple(
        Segmentation(
            np.array(each, np.uint8), np.full(n, 0.9, np.float32), np.zeros(n, np.float32), {"total": milliseconds}
        )
        for each, milliseconds in zip((a, b), ms, strict=True)
    )
    taught = None if teacher is None else np.array(teacher, np.uint8)
    return Look(Frame(scan, views, np.eye(4) if pose else None, ids), points, said, taught)


def account_of(looks):
    account = Account(WORDS)
    for each in looks:
        account.add(each)
    return account


def test_values_are_those_counted_by_hand():
    u = UNKNOWN
    account = account_of(
        [
            look(i, [ROAD, CAR, u, CAR], [ROAD, ROAD, CAR, CAR], [ROAD, CAR, CAR, u], [ROAD, u, CAR, CAR])
            for i in range(8)
        ]
    )
    found = measures(account, {})
    assert (found["miou"].a, found["miou"].b) == pytest.approx(((1 + 1 / 2) / 2, (1 / 2 + 1 / 2) / 2))
    assert (found["agreement"].a, found["agreement"].b) == pytest.approx((2 / 3, 3 / 3))
    assert (found["stability"].a, found["stability"].b) == pytest.approx((2 / 3, 1.0))  # of points with ground truth
    assert (found["calibration"].a, found["calibration"].b) == pytest.approx((0.1, 0.9 - 2 / 3), abs=1e-6)
    assert (found["latency"].a, found["latency"].b) == (10.0, 20.0)
    assert math.exp(found["latency"].found.low) == pytest.approx(2.0)
    assert found["latency"].better == "A"
    assert account.between[ROAD, ROAD] == account.between[CAR, ROAD] == account.between[3, CAR] == 8
    assert (account.pairs, account.one_thing) == (28, 21)


def test_what_moves_spoils_stability_only_where_the_truth_is_unknown():
    """A person steps to and fro: A sees that, B takes the person for road."""
    truths = [[ROAD, PERSON, ROAD, ROAD], [PERSON, ROAD, ROAD, ROAD]] * 6
    with_truth = account_of([look(i, t, [ROAD] * 4, t) for i, t in enumerate(truths)])
    without = account_of([look(i, t, [ROAD] * 4) for i, t in enumerate(truths)])
    known, unknown = measures(with_truth, {})["stability"], measures(without, {"miou": "x"})["stability"]
    assert (known.a, known.b, known.better) == (1.0, 1.0, "")
    assert (unknown.a, unknown.b, unknown.better) == (0.5, 1.0, "B")
    said = " ".join(notes(without, findings(without, {}), CHECKPOINTS, "", {}))
    assert "looks steadier" in said
    assert "Stability decides here" in said
    said = " ".join(notes(with_truth, findings(with_truth, {}), CHECKPOINTS, "", {}))
    assert "50.0 % of these pairs are left out" in said


def test_to_refuse_an_answer_makes_nobody_steady_or_calibrated():
    account = account_of([look(i, [UNKNOWN] * 3, [ROAD] * 3, [ROAD] * 3) for i in range(8)])
    found = measures(account, {})
    assert (found["stability"].a, found["stability"].b) == (0.0, 1.0)
    assert found["calibration"].a is None
    assert "never answers" in found["calibration"].why


def test_without_poses_the_reason_is_told():
    account = account_of([look(i, [ROAD] * 3, [CAR] * 3, pose=False) for i in range(8)])
    found = measures(account, {"miou": "none", "agreement": "nobody"})
    assert found["stability"].found is None
    assert "nav_msgs/Odometry" in found["stability"].why
    assert (found["miou"].why, found["agreement"].why) == ("none", "nobody")
    assert "neither ground truth nor a teacher" in found["calibration"].why


def test_images_that_nobody_could_place_are_the_reason_for_no_agreement():
    found = measures(account_of([look(i, [ROAD] * 3, [CAR] * 3) for i in range(8)]), {})
    assert "no scan has an image that can be placed" in found["agreement"].why


CHECKPOINTS = {side: {"path": f"{side}.safetensors", "sha256": side, "description": "", "notice": ""} for side in "AB"}


def test_the_first_measure_that_the_drive_allows_decides():
    full = [look(i, [ROAD, CAR], [ROAD, CAR], [ROAD, CAR], [ROAD, CAR]) for i in range(8)]
    without_truth = [look(i, [ROAD, CAR], [ROAD, CAR], None, [ROAD, CAR]) for i in range(8)]
    alone = [look(i, [ROAD, CAR], [ROAD, CAR]) for i in range(8)]
    blind = [look(i, [ROAD, CAR], [ROAD, CAR], pose=False) for i in range(8)]
    gates = [findings(account_of(looks), {}).gate for looks in (full, without_truth, alone, blind)]
    assert gates == ["miou", "agreement", "stability", ""]
    assert findings(account_of(full), {}, "latency").worse  # 20 ms against 10
    assert not findings(account_of(full), {}).worse
    assert not findings(account_of(blind), {}).judged
    assert conclusion(findings(account_of(blind), {})).startswith("Which of the two is better cannot be told")


def test_words_and_numbers_of_a_finding():
    worse = Measure("mIoU", 0.5, 0.4, Comparison(-0.1, -0.13, -0.0204, 9))
    assert difference("miou", worse) == "-10.0 [-13.0, -2.0]"
    assert difference("miou", Measure("x", 0.1, 0.1, Comparison(-1e-9, -1e-9, 0.0, 9))) == "+0.0 [+0.0, +0.0]"
    slower = Measure("latency", 10.0, 11.0, Comparison(math.log(1.1), math.log(1.05), math.log(1.2), 9))
    assert difference("latency", slower) == "\N{MULTIPLICATION SIGN}1.100 [1.050, 1.200]"
    account = account_of([look(i, [ROAD, CAR], [ROAD, ROAD], [ROAD, CAR]) for i in range(8)])
    found = findings(account, {"agreement": "nobody"})
    assert conclusion(found).startswith("B is worse than A by mIoU")
    table = compare_table(found, 0.5)
    for words in ("100.0", "25.0", "A is better", "agreement with the teacher: nobody.", "car", "50.0 % of the points"):
        assert words in table, words
    assert "person" not in table  # it does not occur


# ---- scans worth a picture


def test_pictures_are_of_the_most_different_scans_no_two_of_one_moment():
    examples = Examples(apart=10)
    different = {5: 3, 6: 9, 7: 4, 30: 7, 50: 8, 70: 2, 90: 5}
    for number in range(100):
        wrong = different.get(number, 1 if number == 99 else 0)
        examples.add(number, look(number, [ROAD] * 10, [CAR] * wrong + [ROAD] * (10 - wrong)))
    assert [number for _, number, _ in examples.kept] == [6, 50, 30]
    assert len(examples.looks) == SHOWN


def test_scans_that_do_not_differ_are_not_shown_and_those_with_images_come_first():
    examples = Examples(apart=1)
    examples.add(0, look(0, [ROAD] * 4, [ROAD] * 4))
    assert examples.looks == []
    examples.add(1, look(1, [ROAD] * 4, [CAR] * 4))
    examples.add(2, look(2, [ROAD] * 4, [CAR, ROAD, ROAD, ROAD], views=(object(),)))
    assert [number for _, number, _ in examples.kept] == [2, 1]
