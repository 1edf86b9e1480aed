"""The collector: every set accounted for, memory bounded, the seconds around a trigger kept, the same twice."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_ros.collect.choice import Choice, Look, Novelty, disagreement
from clip2scene_ros.collect.collector import MB, Collector
from clip2scene_ros.collect.config import BufferConfig, ChoiceConfig, CollectConfig
from clip2scene_ros.collect.sets import CollectAccount, Job, Outcome, Placed, RawImage, RawSet
from clip2scene_ros.frame import Array

PERIOD_NS = 100_000_000
START_NS = 1_700_000_000_000_000_000
ALL = ChoiceConfig(min_motion_m=0.0, min_interval_s=0.0)


class StraightRoad:
    """A rig that drives along x, at the speed given in metres a scan."""

    def __init__(self, step_m: float = 0.5, known: bool = True) -> None:
        self.step_m, self.known = step_m, known

    def pose(self, raw: RawSet) -> Array | None:
        pose = np.eye(4)
        pose[0, 3] = (raw.stamp_ns - START_NS) / PERIOD_NS * self.step_m
        return pose if self.known else None

    def place(self, raw: RawSet) -> Placed:
        return Placed(self.pose(raw))


def raw(i: int, size: int = 1000, source: str = "lidar") -> RawSet:
    stamp_ns = START_NS + i * PERIOD_NS
    return RawSet(stamp_ns, source, bytes(size), {"front": RawImage(stamp_ns, True, bytes(10))})


def collector(choice: ChoiceConfig = ALL, road: StraightRoad | None = None, **buffer: float) -> Collector:
    return Collector(CollectConfig(choice=choice, buffer=BufferConfig(**buffer)), road or StraightRoad())


def work(made: Collector, reason: str = "") -> list[Job]:
    """Do all that waits; return what was to be labelled."""
    jobs = []
    while (job := made.take()) is not None:
        jobs += [] if job.look else [job]
        made.done(job, Outcome(reason=reason, size=0 if reason else job.raw.size))
    return jobs


def numbers(jobs: list[Job]) -> list[int]:
    return [(job.raw.stamp_ns - START_NS) // PERIOD_NS for job in jobs]


def check(account: CollectAccount) -> None:
    in_hand = account.waiting + account.remembered + account.at_worker
    assert account.received == account.kept + sum(account.dropped.values()) + in_hand


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_every_set_is_accounted_for_and_memory_is_bounded(seed: int) -> None:
    rng = random.Random(seed)
    choice = ChoiceConfig(rng.choice([0.0, 2.0]), 15.0, rng.choice([0.0, 0.35]), rng.choice([0, 5]))
    made = collector(choice, queue_size=rng.randint(1, 5), memory_mb=1.0, before_s=rng.choice([0.0, 1.0]), after_s=0.5)
    at_worker: list[Job] = []
    sent, at = 0, 0
    for _ in range(400):
        action = rng.random()
        if action < 0.6:
            at = rng.randrange(50) if rng.random() < 0.01 else at + 1
            made.add(raw(at, rng.randint(0, 200_000), rng.choice(["top", "rear"])))
            sent += 1
        elif action < 0.75:
            at_worker += [job for job in [made.take()] if job is not None and not job.look]
        elif action < 0.9 and at_worker:
            done = at_worker.pop(rng.randrange(len(at_worker)))
            made.done(done, Outcome(reason=rng.choice(["", "familiar", "bad_cloud.truncated"])))
        elif action < 0.92:
            made.trigger()
        account = made.account()
        check(account)
        assert account.received == sent
        assert account.at_worker == len(at_worker)
        assert account.held_bytes <= MB
        assert account.max_held_bytes <= MB
        if not account.waiting + account.remembered:
            assert account.held_bytes == 0
    made.end("deactivated")
    for job in at_worker:
        made.done(job, Outcome(reason="stopped"))
    account = made.account()
    check(account)
    assert account.waiting == account.remembered == account.at_worker == account.held_bytes == 0


def test_the_vehicle_has_to_move_between_two_frames_and_a_standing_one_gives_one() -> None:
    made = collector(ChoiceConfig(min_motion_m=2.0, min_interval_s=0.0), StraightRoad(0.5))
    for i in range(20):
        made.add(raw(i))
    assert numbers(work(made)) == [0, 4, 8, 12, 16]
    standing = collector(ChoiceConfig(min_motion_m=2.0, min_interval_s=0.0), StraightRoad(0.0), before_s=0.0)
    for i in range(20):
        standing.add(raw(i))
    assert numbers(work(standing)) == [0]
    assert standing.account().dropped == {"standing": 19}


def test_a_turn_on_the_spot_shows_something_new() -> None:
    choice, quarter = Choice(ChoiceConfig(min_motion_m=2.0, min_turn_deg=15.0, min_interval_s=0.0)), np.eye(4)
    assert choice.refuse(0, np.eye(4)) == ""
    quarter[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    small = np.eye(4)
    c, s = np.cos(np.radians(14)), np.sin(np.radians(14))
    small[:2, :2] = [[c, -s], [s, c]]
    assert choice.refuse(1, small) == "standing"
    assert choice.refuse(2, quarter) == ""


def test_without_a_pose_time_alone_decides() -> None:
    made = collector(ChoiceConfig(min_motion_m=2.0, min_interval_s=0.5), StraightRoad(known=False), before_s=0.0)
    for i in range(20):
        made.add(raw(i))
    assert numbers(work(made)) == [0, 5, 10, 15]
    assert made.account().dropped == {"too_soon": 16}


def test_the_quota_is_of_any_hour_and_what_was_not_kept_does_not_count() -> None:
    choice = Choice(ChoiceConfig(min_motion_m=0.0, min_interval_s=0.0, max_per_hour=3))
    minute = 60 * 10**9
    assert [choice.refuse(k * minute, None) for k in range(5)] == ["", "", "", "hour_full", "hour_full"]
    choice.take_back(minute)
    assert choice.refuse(5 * minute, None) == ""
    assert choice.refuse(59 * minute, None) == "hour_full"
    assert choice.refuse(60 * minute, None) == ""


def test_a_full_queue_drops_the_oldest_and_says_so() -> None:
    made = collector(queue_size=3, before_s=0.0)
    for i in range(8):
        made.add(raw(i))
    assert made.account().dropped == {"queue_full": 5}
    assert numbers(work(made)) == [5, 6, 7]


def test_a_trigger_keeps_exactly_the_seconds_before_and_after_it() -> None:
    made = collector(ChoiceConfig(min_motion_m=1e4, min_interval_s=0.0), before_s=1.0, after_s=0.5)
    for i in range(30):
        made.add(raw(i))
        work(made)
    assert made.account().kept == 1  # the first of a drive
    assert made.trigger() == 11
    for i in range(30, 60):
        made.add(raw(i))
    jobs = work(made)
    assert numbers(jobs) == list(range(19, 35))
    assert all(job.triggered for job in jobs)
    assert made.account().triggered == 16
    check(made.account())


def test_a_trigger_saves_what_was_judged_familiar_and_what_the_queue_let_go() -> None:
    made = collector(queue_size=1, before_s=1.0, after_s=0.0)
    for i in range(5):
        made.add(raw(i))
    assert numbers(work(made, reason="familiar")) == [4]
    assert made.trigger() == 5
    assert numbers(work(made)) == [0, 1, 2, 3, 4]
    assert made.account().kept == 5
    assert not made.account().dropped


def test_a_trigger_while_the_worker_looks_at_a_frame_keeps_that_frame_too() -> None:
    made = collector(before_s=1.0, after_s=0.0)
    made.add(raw(0))
    look, job = made.take(), made.take()
    assert look is not None
    assert look.look
    assert job is not None
    made.trigger()
    made.done(job, Outcome(reason="familiar"))
    assert [job.triggered for job in work(made)] == [True]
    assert made.account().kept == 1


def test_a_trigger_before_anything_came_says_so() -> None:
    assert collector().trigger() == -1


def test_triggered_frames_outlive_others_where_memory_ends() -> None:
    made = collector(ChoiceConfig(min_motion_m=1e4, min_interval_s=0.0), memory_mb=1.0, before_s=10.0, after_s=10.0)
    for i in range(5):
        made.add(raw(i, 150_000))
    assert made.trigger() == 5
    for i in range(5, 9):
        made.add(raw(i, 150_000))
    assert made.account().dropped == {"memory_full": 3}
    assert numbers(work(made)) == [3, 4, 5, 6, 7, 8]


def test_where_time_goes_back_a_new_drive_begins() -> None:
    made = collector(ChoiceConfig(min_motion_m=1e4, min_interval_s=0.0), before_s=1.0, after_s=100.0)
    made.add(raw(100))
    made.trigger()
    for i in (0, 1):
        made.add(raw(i))
    assert [(number, job.triggered) for number, job in zip([100, 0], work(made), strict=True)] == [
        (100, True),
        (0, False),
    ]


def test_the_student_s_labels_wait_for_the_scan_of_their_stamp_and_are_bounded() -> None:
    made = collector()
    for i in range(40):
        made.add_student(raw(i).stamp_ns, b"%d" % i)
    for i in (5, 30):
        made.add(raw(i))
    assert [job.student for job in work(made)] == [b"", b"30"]


def test_novelty_is_the_share_of_points_that_must_change_class() -> None:
    novelty = Novelty(ChoiceConfig(min_novelty=0.3), 3)
    road, mixed = np.zeros(10, np.uint8), np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 2], np.uint8)
    assert novelty.novelty(Look(road)) == 1.0
    assert novelty.refuse(Look(road), None) == ""
    novelty.keep(Look(road))
    assert novelty.novelty(Look(mixed)) == pytest.approx(0.3)
    assert novelty.refuse(Look(mixed), None) == ""
    assert novelty.refuse(Look(np.array([0] * 8 + [1, 255], np.uint8)), None) == "familiar"


def test_where_the_teacher_has_features_they_decide_and_not_the_classes() -> None:
    rng, road = np.random.default_rng(0), np.zeros(10, np.uint8)
    first, second, third = rng.normal(size=(3, 16))
    novelty = Novelty(ChoiceConfig(min_novelty=0.5), 3)
    novelty.keep(Look(road, {"front": first, "left": second}))
    novelty.keep(Look(road, {"front": third, "left": third}))
    assert novelty.novelty(Look(road + 1, {"front": 3 * first, "left": second})) == pytest.approx(0.0, abs=1e-12)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    half = Look(road, {"front": first, "left": first})  # as far as one of its two images is
    assert novelty.novelty(half) == pytest.approx((1 - cosine) / 2)
    assert novelty.novelty(Look(road, {"left": second})) == pytest.approx(0.0, abs=1e-12)  # a camera has died
    assert novelty.novelty(Look(road, {"rear": second})) == 1.0
    assert novelty.novelty(Look(road)) == 0.0


def test_disagreement_counts_points_that_both_know_and_either_reason_suffices() -> None:
    teacher, student = np.array([0, 1, 2, 255, 1], np.uint8), np.array([0, 2, 255, 1, 1], np.uint8)
    assert disagreement(teacher, student) == pytest.approx(1 / 3)
    assert disagreement(teacher, np.full(5, 255, np.uint8)) == 0.0
    both = Novelty(ChoiceConfig(min_novelty=0.5, min_disagreement=0.3), 3)
    both.keep(Look(teacher))
    assert both.refuse(Look(teacher), student) == ""
    assert both.refuse(Look(teacher), teacher) == "familiar"
    assert both.refuse(Look(teacher), None) == "familiar"


def test_the_same_drive_gives_the_same_jobs_twice() -> None:
    def drive() -> list[tuple[int, bool]]:
        made = collector(ChoiceConfig(min_motion_m=1.5, min_interval_s=0.3), queue_size=2, before_s=0.4, after_s=0.2)
        rng, jobs = random.Random(3), []
        for i in range(200):
            made.add(raw(i))
            if i % 37 == 0:
                made.trigger()
            if rng.random() < 0.2:
                jobs += work(made, rng.choice(["", "familiar"]))
        return [(job.raw.stamp_ns, job.triggered) for job in jobs]

    assert drive() == drive()


def test_an_account_reads_as_a_sentence() -> None:
    made = collector(queue_size=1, before_s=0.0)
    for i in range(2):
        made.add(raw(i))
    made.take()
    job = made.take()
    assert job is not None
    made.done(job, replace(Outcome(size=5), left_out={"front": "truncated"}))
    assert str(made.account()) == "1 frames kept of 2 sets; dropped: queue_full 1; images left out: front: truncated 1"


def test_a_set_that_waits_long_for_the_worker_was_placed_while_poses_were_known() -> None:
    class Forgetful(StraightRoad):
        newest_ns = 0

        def place(self, raw: RawSet) -> Placed:
            return Placed(self.pose(raw) if self.newest_ns - raw.stamp_ns < 2 * 10**9 else None)

    road = Forgetful()
    made = collector(road=road, queue_size=100)
    for i in range(60):
        made.add(raw(i))
        road.newest_ns = raw(i).stamp_ns
    assert all(job.placed.world_from_lidar is not None for job in work(made))
