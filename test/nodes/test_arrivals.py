"""Order of stamps and losses, against sequences whose losses are known because the test made them."""

from __future__ import annotations

import random

import pytest

from clip2scene_ros.nodes.arrivals import PATIENCE, ForwardJumps, LossDetector, StampOrder, loss_advice

SECOND = 10**9
PERIOD = SECOND // 10


def accepted(stamps: list[int]) -> list[int]:
    order = StampOrder()
    return [s for s in stamps if not order.refuse(s)]


def test_scans_in_order_all_pass():
    assert accepted([10, 20, 30]) == [10, 20, 30]


def test_a_stamp_passes_once_and_late_scans_do_not_pass():
    order = StampOrder()
    assert [order.refuse(s) for s in (10, 20, 20, 15, 30)] == ["", "", "duplicate_stamp", "out_of_order", ""]


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_by_up_to_three_what_passes_is_strictly_ascending(seed: int):
    rng = random.Random(seed)
    stamps = [i * PERIOD for i in range(1, 300)]
    shuffled = sorted(stamps, key=lambda s: s + rng.randint(0, 3) * PERIOD)
    passed = accepted(shuffled)
    assert passed == sorted(set(passed))
    assert passed[-1] == stamps[-1]
    assert shuffled != stamps


@pytest.mark.parametrize("jump", [-20 * SECOND, 3600 * SECOND, -3600 * SECOND])
def test_after_a_jump_of_time_every_scan_passes(jump: int):
    start = 10_000 * SECOND
    after = [start + jump + i * PERIOD for i in range(1, 20)]
    assert accepted([start, *after]) == [start, *after]


@pytest.mark.parametrize("scans", [5, 7, 9])
def test_a_looped_bag_shorter_than_a_jump_resumes_within_patience(scans: int):
    loop = [SECOND + i * PERIOD for i in range(scans)]
    order = StampOrder()
    passed = [[s for s in loop if not order.refuse(s)] for _ in range(10)]
    assert passed == [loop] + [loop[PATIENCE - 1 :]] * 9
    assert order.jumps == 9


def test_zero_stamps_pass_and_do_not_disturb_the_order_of_the_others():
    order = StampOrder()
    assert [order.refuse(s) for s in (0, 0, 10, 0, 5, 20)] == ["", "", "", "", "out_of_order", ""]
    assert order.zero_stamps == 3


@pytest.mark.parametrize("share", [0.02, 0.25, 0.75])
def test_sequence_numbers_count_every_loss_exactly(share: float):
    rng = random.Random(1)
    arrived = [i for i in range(1, 400) if i == 1 or rng.random() > share]
    detector = LossDetector()
    total = sum(detector.arrived(i * PERIOD, i, "driver") for i in arrived)
    assert total == detector.lost == arrived[-1] - len(arrived)
    assert detector.exact


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_without_sequence_numbers_gaps_between_jittered_stamps_come_close(share: float):
    rng = random.Random(2)
    arrived = [i for i in range(1, 600) if rng.random() > share]
    detector = LossDetector()
    for i in arrived:
        detector.arrived(i * PERIOD + rng.randint(-5, 5) * SECOND // 1000)
    truth = arrived[-1] - arrived[0] + 1 - len(arrived)
    assert not detector.exact
    assert detector.lost == pytest.approx(truth, rel=0.1, abs=15)
    assert detector.period_ns == pytest.approx(PERIOD, rel=0.1)


def test_a_regular_stream_loses_nothing_and_a_pause_is_no_loss():
    detector = LossDetector()
    stamps = [SECOND + i * PERIOD for i in range(50)] + [100 * SECOND + i * PERIOD for i in range(50)]
    assert sum(detector.arrived(s) for s in stamps) == 0


def test_a_given_rate_is_used_from_the_first_gap_on():
    detector = LossDetector(expected_rate_hz=10.0)
    assert [detector.arrived(s) for s in (SECOND, SECOND + PERIOD, SECOND + 4 * PERIOD)] == [0, 0, 2]


def test_two_publishers_are_told_apart_and_a_restarted_one_starts_anew():
    detector = LossDetector()
    arrivals = [(1, "a"), (100, "b"), (2, "a"), (101, "b"), (3, "a"), (103, "b"), (1, "c"), (2, "c")]
    assert sum(detector.arrived(SECOND + k, n, who) for k, (n, who) in enumerate(arrivals)) == 1


def test_sequence_numbers_that_keep_stepping_back_are_no_longer_believed():
    detector = LossDetector()
    mixed = [n for pair in zip(range(1, 40), range(500, 539), strict=True) for n in pair]
    for k, sequence in enumerate(mixed):
        detector.arrived(SECOND + k * PERIOD, sequence)
    before = detector.lost
    assert not detector.exact
    detector.arrived(SECOND + len(mixed) * PERIOD, 9000)
    assert detector.lost == before


def test_an_unsupported_sequence_number_falls_back_to_stamps():
    detector = LossDetector(expected_rate_hz=10.0)
    assert [detector.arrived(k * PERIOD, 2**64 - 1) for k in (1, 2, 5)] == [0, 0, 2]


def test_the_user_hears_of_losses_first_after_three_then_tenfold():
    detector = LossDetector()
    due_at = []
    for i in range(1, 801):
        detector.arrived(i * PERIOD, 2 * i)
        if detector.due():
            due_at.append(detector.lost)
    assert due_at == [3, 30, 300]


def test_a_stamp_that_runs_ahead_of_its_arrival_by_more_than_a_second_is_a_jump():
    jumps, counts = ForwardJumps(), []
    arrivals = [(0, 0), (1, 1), (1, 2), (8, 9)]  # a sensor that pauses jumps nowhere
    arrivals += [(3608, 10), (3609, 11), (9, 12), (10, 13), (0, 14), (11, 15)]  # an hour ahead, back, no stamp
    for stamp_s, now_s in arrivals:
        jumps.arrived(stamp_s * SECOND and stamp_s * SECOND + 10**18, now_s * SECOND)
        counts.append(jumps.count)
    assert counts == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    for k in range(100):  # a bag played at three times its pace
        jumps.arrived(2 * 10**18 + 3 * k * PERIOD, 20 * SECOND + k * PERIOD)
    assert jumps.count == 2


def test_the_advice_names_topic_size_qos_and_cure():
    detector = LossDetector()
    detector.arrived(PERIOD, 1)
    detector.arrived(2 * PERIOD, 9)
    text = loss_advice(detector, "/lidar/points", 1_920_000, "best_effort, depth 2", "/opt/fastdds.xml")
    for part in ("7 scans", "/lidar/points", "1.92 MB", "best_effort", "/opt/fastdds.xml", "points.reliability"):
        assert part in text
