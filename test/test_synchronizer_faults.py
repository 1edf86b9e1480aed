"""What drives do to a synchroniser: jitter, loss, a camera that dies and returns, one that lies, a day without end."""

from __future__ import annotations

import random
import resource
from itertools import pairwise

import pytest
from sync_drives import CAMERAS, MS, Drive, Event, case, feed, outcomes, play

SIX = ("front", "front_left", "front_right", "rear", "rear_left", "rear_right")
DRIVE = Drive(seconds=30.0, cameras=SIX)


def scans_of(events: list[Event]) -> list[int]:
    return [stamp for kind, stamp, _ in events if kind == "scan"]


def live(arrivals: list[tuple[int, Event]]) -> list[Event]:
    return [event for at, message in arrivals for event in (("now", at, ""), message)]


@pytest.mark.parametrize("jitter_ms", [0.0, 2.0, 15.0, 40.0])
def test_whatever_the_jitter_every_scan_makes_a_set_and_what_is_near_is_in_it(jitter_ms: float):
    drive = Drive(seconds=30.0, cameras=SIX, jitter_ms=jitter_ms)
    sync = case(cameras=SIX, wait_ms=300.0).synchronizer()
    sets = play(sync, [*drive.live(), ("flush", 0, "")])
    assert [stamp for _, stamp, _, _ in sets] == scans_of([m for _, m in drive.arrivals()])
    views = {name: [at for _, (_, at, n) in drive.arrivals() if n == name] for name in SIX}
    for _, stamp, found, missing in sets[5:-5]:
        for name in SIX:
            assert (name in missing) == (min(abs(at - stamp) for at in views[name]) > 50 * MS)
            assert name in missing or found[name] in views[name]


def test_one_silent_camera_of_six_costs_no_scan_and_no_view_of_another():
    whole = play(case(cameras=SIX, wait_ms=300.0).synchronizer(), DRIVE.live())
    arrivals = [(at, event) for at, event in DRIVE.arrivals() if event[2] != "rear"]
    sync = case(cameras=SIX, wait_ms=300.0).synchronizer()
    sets = play(sync, [*live(arrivals), ("flush", 0, "")])
    assert len(sets) == len(scans_of([event for _, event in arrivals])) == 300
    assert all(set(missing) == {"rear"} for _, _, _, missing in sets[5:-5])
    without = [{name: at for name, at in views.items() if name != "rear"} for _, _, views, _ in whole]
    assert [views for _, _, views, _ in sets[5:-5]] == without[5 : len(sets) - 5]
    assert sync.account().cameras["rear"].silent


def test_a_camera_that_dies_and_returns_is_missing_for_just_that_time():
    died, returned = 110_000 * MS, 120_000 * MS
    arrivals = [
        (at, event) for at, event in DRIVE.arrivals() if event[2] != "front" or not died < event[1] < returned
    ]  # fmt: skip
    sync = case(cameras=SIX).synchronizer()
    sets = play(sync, live(arrivals))
    gone = [stamp for _, stamp, _, missing in sets[5:] if missing]
    assert len(sets) >= 298
    assert all(set(missing) <= {"front"} for _, _, _, missing in sets[5:])
    assert died - 100 * MS < gone[0] < died + 200 * MS
    assert returned - 200 * MS < gone[-1] < returned + 100 * MS
    reasons = sync.account().cameras["front"].missing
    assert reasons["timeout"] <= 5  # then it is silent, and no scan waits for it
    assert sum(reasons.values()) == len(gone)
    assert 0 < len(gone) - 100 + 5 < 10


def test_twenty_percent_of_loss_leaves_a_set_for_every_scan_that_came():
    rng = random.Random(3)
    arrivals = [(at, event) for at, event in DRIVE.arrivals() if event[0] == "scan" or rng.random() > 0.2]
    sync = case(cameras=SIX).synchronizer()
    sets = play(sync, [*live(arrivals), ("flush", 0, "")])
    assert len(sets) == 300
    views = {name: [at for _, (kind, at, n) in arrivals if n == name] for name in SIX}
    near = sum(min(abs(at - stamp) for at in views[name]) <= 50 * MS for _, stamp, _, _ in sets for name in SIX)
    found = sum(len(views) for _, _, views, _ in sets)
    assert found >= 0.99 * near  # a view may come after its scan's time-out, its neighbours being lost
    longest_step = max(later[0] - earlier[0] for earlier, later in pairwise(arrivals))
    assert sync.account().max_waited_ns <= 150 * MS + longest_step


def test_a_camera_whose_clock_is_wrong_matches_nothing_and_harms_nobody():
    wrong = [
        (at, (kind, stamp + (3600 * 10**9 if name == "rear" else 0), name))
        for at, (kind, stamp, name) in DRIVE.arrivals()
    ]
    sync = case(cameras=SIX).synchronizer()
    sets = play(sync, live(wrong))
    assert len(sets) >= 298
    assert all(missing == {"rear": "no_match"} for _, _, _, missing in sets[5:])


def test_a_camera_that_sends_wrong_stamps_now_and_then_harms_nobody_else():
    rng = random.Random(5)
    arrivals = [
        (
            at,
            (kind, stamp + rng.choice((-7200, 3600)) * 10**9 if name == "rear" and rng.random() < 0.3 else stamp, name),
        )
        for at, (kind, stamp, name) in DRIVE.arrivals()
    ]
    sync = case(cameras=SIX).synchronizer()
    sets = play(sync, live(arrivals))
    assert len(sets) >= 298
    assert all(set(missing) <= {"rear"} for _, _, _, missing in sets[5:])
    account = sync.account()
    assert account.time_jumps == 0
    assert account.cameras["rear"].time_jumps > 10


def test_a_scan_from_the_future_is_lost_and_the_second_after_it_is_full_again():
    arrivals = DRIVE.arrivals()
    scans = [i for i, (_, event) in enumerate(arrivals) if event[0] == "scan"]
    at, (kind, stamp, name) = arrivals[scans[100]]
    arrivals[scans[100]] = (at, (kind, stamp + 3600 * 10**9, name))
    sync = case(cameras=SIX).synchronizer()
    sets = play(sync, live(arrivals))
    later = [s for s in sets if arrivals[scans[102]][1][1] < s[1] < 2 * 10**12]
    assert [stamp for _, stamp, _, _ in later[:100]] == [arrivals[i][1][1] for i in scans[103:203]]
    assert all(not missing for _, _, _, missing in later)
    assert sync.account().time_jumps == 1


def test_a_late_camera_is_told_from_a_dead_one():
    arrivals = sorted((at + (400 * MS if event[2] == "rear" else 0), event) for at, event in DRIVE.arrivals())
    sync = case(cameras=SIX).synchronizer()
    play(sync, live(arrivals))
    rear = sync.account().cameras["rear"]
    assert rear.missing["timeout"] > 280
    assert rear.dropped["late"] > 330
    assert not rear.silent


def test_a_slower_lidar_uses_few_views_and_a_faster_one_uses_them_twice():
    for hz, matched, reused in ((5.0, 50, 0), (20.0, 120, 80)):
        sync = case().synchronizer()
        play(sync, [*Drive(lidar_hz=hz).live(), ("flush", 0, "")])
        for camera in sync.account().cameras.values():
            assert abs(camera.matched - matched) <= 3
            assert abs(camera.reused - reused) <= 3


def test_two_lidars_each_get_their_sets():
    other = [(at, ("scan", stamp, "rear")) for at, (kind, stamp, _) in Drive(seed=9).arrivals() if kind == "scan"]
    arrivals = sorted(Drive().arrivals() + other)
    sync = case().synchronizer()
    sets = play(sync, [*live(arrivals), ("flush", 0, "")])
    for source in ("top", "rear"):
        expected = sorted(stamp for _, (kind, stamp, name) in arrivals if (kind, name) == ("scan", source))
        assert [stamp for name, stamp, _, _ in sets if name == source] == expected
    assert sum(not missing for _, _, _, missing in sets) >= 196


@pytest.mark.parametrize(("camera_hz", "held"), [(12.0, 3), (30.0, 6)])
def test_of_a_camera_few_views_are_held_while_the_lidar_runs(camera_hz: float, held: int):
    sync, most = case().synchronizer(), 0
    for number, event in enumerate(Drive(seconds=60.0, camera_hz=camera_hz).live()):
        feed(sync, event, number)
        outcomes(sync)
        if number > 100:  # before the first set nobody knows which views are of use
            most = max(most, *(len(stream) for stream in sync._cameras.values()))
    assert most == held


def test_memory_does_not_grow_over_a_hundred_thousand_messages_with_every_fault_at_once():
    rng, sync = random.Random(1), case(cameras=CAMERAS, queue=10, views=30).synchronizer()
    now, sets, before = 0, 0, 0
    for number in range(100_000):
        if number == 20_000:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        now += 23 * MS
        stamp = 10**12 + now % (120 * 10**9)  # a bag of two minutes that loops
        stamp += rng.choice((0, 0, 0, 0, 0, 0, -40, 40, -300, -2000, 3_600_000)) * MS
        dead = number // 5000 % 2 and CAMERAS[0]
        name = rng.choice(("top", *CAMERAS))
        feed(sync, ("now", now, ""))
        if name != dead:
            feed(sync, ("scan" if name == "top" else "view", 0 if rng.random() < 0.01 else stamp, name), number)
        if number % 50 == 0:  # a consumer that comes by seldom
            sets += len(outcomes(sync))
        if number % 1000 == 0:
            assert sync.account().waiting <= 20
            assert all(len(stream) <= 30 for stream in sync._cameras.values())
    account = sync.account()
    assert sets > 5000
    assert account.received == account.full + account.partial + account.waiting + sum(account.dropped.values())
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048  # KiB
