"""The eight guarantees of docs/sync.md; the last is kept by the nodes and tested in nodes/test_sync_filter.py."""

from __future__ import annotations

import ast
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sync_drives import CAMERAS, MS, Case, Drive, Event, case, cases_with_events, feed, outcomes, play

from clip2scene_ros.config import SyncConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.io.bag_matching import match
from clip2scene_ros.nodes.tables import parameter_table
from clip2scene_ros.synchronizer import Synchronizer, by_camera

EXAMPLES = settings(max_examples=80)


@settings(max_examples=150)
@given(cases_with_events())
def test_every_event_has_the_outcome_that_the_slow_oracle_computes(drawn: tuple[Case, list[Event]]):
    chosen, events = drawn
    sync, oracle = chosen.synchronizer(), chosen.oracle()
    for number, event in enumerate(events):
        feed(sync, event, number)
        feed(oracle, event)
        assert outcomes(sync) == oracle.out
        oracle.out = []
        account = sync.account()
        assert account.dropped == dict(Counter(reason for _, _, reason in oracle.dropped))
        assert account.time_jumps == oracle.jumps
        assert {name for name, camera in account.cameras.items() if camera.silent} == {
            name for name in chosen.settings.cameras if oracle.silent(name)
        }


@EXAMPLES
@given(cases_with_events())
def test_guarantee_1_one_set_or_one_counted_drop_a_scan_in_stamp_order_once_a_stamp(drawn: tuple[Case, list[Event]]):
    chosen, events = drawn
    sync, payloads, made, jumps = chosen.synchronizer(), set(), {}, 0
    for number, event in enumerate(events):
        feed(sync, event, number)
        if sync.account().time_jumps > jumps:  # a looped bag brings old stamps again
            jumps, made = sync.account().time_jumps, {}
        for ready in sync:
            assert ready.payload not in payloads
            assert events[ready.payload] == ("scan", ready.stamp_ns, ready.source)
            assert ready.stamp_ns > made.get(ready.source, 0)
            payloads.add(ready.payload)
            made[ready.source] = ready.stamp_ns
        account = sync.account()
        assert account.received == sum(kind == "scan" for kind, _, _ in events[: number + 1])
        assert account.full + account.partial == len(payloads)
        assert account.received == len(payloads) + sum(account.dropped.values()) + account.waiting
    assert sync.account().waiting == 0


DRIVES = st.builds(
    Drive,
    seed=st.integers(0, 10**6),
    seconds=st.just(3.0),
    lidar_hz=st.sampled_from((5.0, 10.0, 20.0)),
    camera_hz=st.sampled_from((7.0, 12.0, 30.0)),
    jitter_ms=st.sampled_from((0.0, 2.0, 30.0)),
    delay_ms=st.sampled_from((0.0, 30.0, 400.0)),
)
PATIENT = case(
    offset_ms={"front": 40.0, "left": -12.5}, slop_ms={"left": 15.0, "rear": 90.0}, queue=1000, views=1000
)  # fmt: skip


@settings(max_examples=40)
@given(DRIVES)
def test_guarantee_2_each_camera_gives_its_nearest_view_within_its_slop(drive: Drive):
    arrivals = [event for _, event in drive.arrivals()]
    sets = play(PATIENT.synchronizer(), [*arrivals, ("flush", 0, "")])
    assert [stamp for _, stamp, _, _ in sets] == sorted(stamp for kind, stamp, _ in arrivals if kind == "scan")
    for _, stamp, views, missing in sets:
        for camera in CAMERAS:  # of all views that ever came, before the set and after it
            target = stamp + PATIENT.settings.offset[camera]
            all_stamps = [at for kind, at, name in arrivals if kind == "view" and name == camera]
            nearest = min(abs(at - target) for at in all_stamps)
            assert (camera in views) == (nearest <= PATIENT.settings.slop[camera]) == (camera not in missing)
            assert camera in missing or abs(views[camera] - target) == nearest


@settings(max_examples=20)
@given(DRIVES)
def test_guarantee_2_a_bag_gives_what_its_reader_matches_with_all_stamps_at_hand(drive: Drive):
    arrivals = [event for _, event in drive.arrivals()]
    scans = [at for kind, at, _ in arrivals if kind == "scan"]
    images = {camera: [at for kind, at, name in arrivals if (kind, name) == ("view", camera)] for camera in CAMERAS}
    sets = play(case(queue=1000, views=1000).synchronizer(), [*arrivals, ("flush", 0, "")])
    assert [stamp for _, stamp, _, _ in sets] == sorted(scans)
    assert [list(views.items()) for _, _, views, _ in sets] == match(sorted(scans), images, {}, 50 * MS)


@settings(max_examples=20)
@given(DRIVES, st.sampled_from(CAMERAS))
def test_guarantee_2_a_dead_camera_changes_nothing_for_the_others(drive: Drive, dead: str):
    arrivals = [event for _, event in drive.arrivals()]
    alive = play(PATIENT.synchronizer(), [*arrivals, ("flush", 0, "")])
    rest = play(PATIENT.synchronizer(), [*(event for event in arrivals if event[2] != dead), ("flush", 0, "")])
    expected = [(stamp, {name: at for name, at in views.items() if name != dead}) for _, stamp, views, _ in alive]
    assert [(stamp, views) for _, stamp, views, _ in rest] == expected


def test_guarantee_2_a_full_set_is_ready_with_its_last_view_and_not_before():
    sync = case().synchronizer()
    sync.advance(0)
    sync.add_scan(1000 * MS, "top", 0)
    for camera, at in (("front", 990), ("left", 1000), ("rear", 970), ("front", 1040)):
        sync.add_view(camera, at * MS, 0)
        assert list(sync) == []  # `rear` may send one that is nearer
    sync.add_view("rear", 1070 * MS, 0)
    assert outcomes(sync) == [
        ("top", 1000 * MS, {"front": 990 * MS, "left": 1000 * MS, "rear": 970 * MS}, {})
    ]  # fmt: skip


@settings(max_examples=40)
@given(DRIVES, st.sampled_from((0.0, 40.0, 150.0)), st.integers(0, 3), st.integers(0, 10**15))
def test_guarantee_3_no_scan_waits_longer_than_it_may_by_whatever_clock(
    drive: Drive, wait: float, dead: int, zero: int
):
    chosen = case(wait_ms=wait)
    events = [event for event in drive.live() if event[2] not in CAMERAS[:dead]]
    step = max(b[1] - a[1] for a, b in zip(events[::2], events[2::2], strict=False))
    runs = []
    for shift in (0, zero):
        sync, waited = chosen.synchronizer(), []
        for number, (kind, at, name) in enumerate(events):
            feed(sync, (kind, at + shift if kind == "now" else at, name), number)
            waited += [(ready.stamp_ns, ready.waited_ns, ready.missing) for ready in sync]
        runs.append(waited)
    assert runs[0] == runs[1]  # what the clock counts from means nothing
    assert all(ns <= chosen.settings.wait + step for _, ns, _ in runs[0])


def test_guarantee_3_a_silent_camera_is_waited_for_until_the_time_out_then_no_more_until_it_returns():
    sync = case(cameras=("front",), wait_ms=100.0, silent=5.0).synchronizer()
    waited = {}

    def scan(at: int) -> None:  # the camera has a period of 80 ms until 2000 ms: it is silent from 2400 ms on
        sync.advance(at * MS)
        sync.add_scan((at - 1) * MS, "top", at)
        for later in range(at, at + 200, 10):
            sync.advance(later * MS)
            waited.update({ready.payload: (ready.waited_ns // MS, ready.missing) for ready in sync})
            if at in waited:
                return

    for at in range(1040, 2001, 80):
        sync.advance(at * MS)
        sync.add_view("front", at * MS, 0)
    for at in (2050, 2250, 2401, 2600):
        scan(at)
    assert waited[2050] == (100, {})  # the view at 2000 ms is near enough, but a nearer one might have come
    assert waited[2250] == (100, {"front": "timeout"})
    assert waited[2401] == (0, {"front": "silent"})
    assert waited[2600] == (0, {"front": "silent"})
    assert sync.account().cameras["front"].silent
    sync.advance(2700 * MS)
    sync.add_view("front", 2699 * MS, 0)
    assert not sync.account().cameras["front"].silent
    scan(2800)
    assert waited[2800] == (100, {"front": "timeout"})


def test_guarantee_3_an_offset_a_little_early_spares_triggered_cameras_the_next_period():
    rng = random.Random(0)
    waited = {}
    for offset_ms in (0.0, -5.0):
        sync = case(cameras=("front",), offset_ms={"front": offset_ms}).synchronizer()
        for i in range(1, 200):
            trigger = i * 100 * MS
            sync.advance(trigger + 10 * MS)
            sync.add_scan(trigger, "top", i)
            sync.advance(trigger + 20 * MS)
            sync.add_view("front", trigger + round(rng.uniform(-2, 2) * MS), i)
            for ready in sync:
                assert ready.views["front"].payload == ready.payload
                waited.setdefault(offset_ms, []).append(ready.waited_ns // MS)
    assert set(waited[-5.0]) == {10}
    assert max(waited[0.0]) > 100


def test_guarantee_3_streams_that_have_passed_end_the_waiting_without_any_clock():
    sync = case().synchronizer()
    sync.add_scan(1000 * MS, "top", 0)
    for camera in CAMERAS:
        assert list(sync) == []
        sync.add_view(camera, 1200 * MS, 0)
    assert outcomes(sync) == [("top", 1000 * MS, {}, dict.fromkeys(CAMERAS, "no_match"))]


@pytest.mark.parametrize(("least", "drops"), [(0, {}), (2, {"too_few_views": 1})])
def test_guarantee_3_a_set_with_too_few_views_is_a_counted_drop(least: int, drops: dict[str, int]):
    sync = case(least=least).synchronizer()
    sync.add_view("front", 1000 * MS, 0)
    sync.add_scan(1000 * MS, "top", 0)
    sync.flush()
    assert len(list(sync)) == (0 if drops else 1)
    assert sync.account().dropped == drops
    assert sync.account().cameras["front"].matched == (0 if drops else 1)


@EXAMPLES
@given(cases_with_events())
def test_guarantee_4_queues_are_bounded_and_every_view_is_accounted_for(drawn: tuple[Case, list[Event]]):
    chosen, events = drawn
    sync = chosen.synchronizer()
    for number, event in enumerate(events):
        feed(sync, event, number)
        account = sync.account()
        assert account.waiting <= 2 * chosen.config.queue_size
        assert all(len(stream) <= chosen.config.view_queue_size for stream in sync._cameras.values())
        for camera in account.cameras.values():
            assert camera.received == camera.matched + sum(camera.dropped.values()) + camera.held
    received = Counter(name for kind, _, name in events if kind == "view")
    assert {name: camera.received for name, camera in sync.account().cameras.items()} == {
        name: received[name] for name in chosen.settings.cameras
    }


def test_guarantee_1_two_lidars_may_share_a_stamp():
    sync = case().synchronizer()
    for source in ("top", "rear", "top"):
        sync.add_scan(1000 * MS, source, source)
    sync.flush()
    assert [ready.payload for ready in sync] == ["rear", "top"]
    assert sync.account().dropped == {"duplicate_stamp": 1}


def test_guarantee_4_where_too_many_wait_the_oldest_goes_and_not_the_newest():
    sync = case(queue=3).synchronizer()
    for i in range(1, 6):
        sync.add_scan(i * 100 * MS, "top", i)
    assert [(ready.payload, set(ready.missing.values())) for ready in sync] == [
        (1, {"queue_full"}),
        (2, {"queue_full"}),
    ]
    assert sync.account().waiting == 3


def test_guarantee_4_sets_that_nobody_takes_are_dropped_oldest_first_and_counted():
    sync = case(cameras=(), queue=3).synchronizer()
    for i in range(1, 6):
        sync.add_scan(i * 100 * MS, "top", i)
    assert [ready.payload for ready in sync] == [3, 4, 5]
    assert sync.account().dropped == {"not_taken": 2}


def steps_a_message(cameras: int, views: int, camera_hz: float = 30.0) -> float:
    """Return the lines of Python that run for a message, on the average: no clock, so the same on every machine."""
    names = tuple(f"camera_{i}" for i in range(cameras))
    sync = case(cameras=names, views=views, slop_ms=dict.fromkeys(names, 90.0)).synchronizer()
    drive = Drive(cameras=names, lidar_hz=5.0, camera_hz=camera_hz, seconds=8.0)
    arrivals = [event for _, event in drive.arrivals() if event[2] != names[-1]]  # one is dead: scans pile up
    lines = 0

    def trace(frame, event, arg):
        nonlocal lines
        lines += event == "line" and "clip2scene_ros" in frame.f_code.co_filename
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for event in arrivals:
            feed(sync, event)
            list(sync)
    finally:
        sys.settrace(before)
    return lines / len(arrivals)


def test_guarantee_4_the_work_does_not_grow_with_the_queues_and_at_most_in_step_with_the_cameras():
    few, many = steps_a_message(cameras=6, views=40), steps_a_message(cameras=6, views=4000)
    assert many < 1.1 * few
    assert steps_a_message(cameras=12, views=40) < 2.2 * few


LOOPS = {
    "back 20 s": (-20_000, 8.0),
    "a bag of 8 s that loops": (-8_000, 8.0),
    "forward 1 h": (3_600_000, 8.0),
    "back 2 s": (-2_000, 8.0),
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("seed", range(4))
def test_guarantee_5_after_a_jump_of_time_sets_are_full_again_within_two_scans(name: str, seed: int):
    jump_ms, seconds = LOOPS[name]
    first = Drive(seconds=seconds, seed=seed).arrivals()
    end = first[-1][0]
    start_ms = round(first[-1][1][1] / MS) + jump_ms
    second = Drive(seconds=4.0, seed=seed + 100, start_s=start_ms / 1000).arrivals()
    shift = end - second[0][0] + 50 * MS  # the clock runs on
    events = [event for at, message in first for event in (("now", at, ""), message)]
    events += [event for at, message in second for event in (("now", at + shift, ""), message)]
    sync = case().synchronizer()
    sets = play(sync, [*events, ("flush", 0, "")])
    after = [stamp for _, (kind, stamp, _) in second if kind == "scan"]
    settled = [s for s in sets[-len(after) :] if after[1] < s[1] < after[-3]]
    assert [stamp for _, stamp, _, _ in settled] == after[2:-3]
    assert all(not missing for _, _, _, missing in settled)
    assert sync.account().time_jumps == (1 if jump_ms < 0 else 0)


def test_guarantee_5_a_bag_shorter_than_a_jump_loops_and_goes_on():
    drive = Drive(seconds=0.8, lidar_hz=10.0, camera_hz=30.0)
    sync = case().synchronizer()
    arrivals = drive.arrivals()
    made = [len(play(sync, [message for _, message in arrivals])) for _ in range(4)]
    assert made[0] >= 6
    assert all(count >= 3 for count in made[1:])
    assert sync.account().time_jumps == 3


def test_guarantee_5_a_jump_is_measured_from_the_newest_stamp_of_its_own_lidar():
    sync = case(cameras=()).synchronizer()
    for stamp_ms, source in ((5000, "top"), (4500, "top"), (9000, "rear"), (4100, "rear"), (8000, "rear")):
        sync.add_scan(stamp_ms * MS, source, stamp_ms)
    assert sync.account().time_jumps == 1  # 4100 of `rear`; 4500 of `top` is just late, and so is nothing thereafter
    waiting = case().synchronizer()
    for stamp_ms in (5000, 4500, 3900):
        waiting.add_scan(stamp_ms * MS, "top", stamp_ms)
    assert waiting.account().time_jumps == 1
    assert waiting.account().dropped == {"time_jump": 2}


def test_guarantee_5_zero_and_duplicate_stamps_are_counted_and_change_nothing():
    arrivals = [message for _, message in Drive().arrivals()]
    expected = play(case().synchronizer(), [*arrivals, ("flush", 0, "")])
    dirty = [event for kind, at, name in arrivals for event in ((kind, at, name), (kind, 0, name), (kind, at, name))]
    sync = case().synchronizer()
    assert play(sync, [*dirty, ("flush", 0, "")]) == expected
    account = sync.account()
    assert account.dropped == {"zero_stamp": 100, "duplicate_stamp": 100}
    for camera in account.cameras.values():
        assert camera.dropped["zero_stamp"] == 120
        assert camera.dropped["duplicate_stamp"] + camera.dropped.get("late", 0) == 120


@pytest.mark.parametrize("seed", range(5))
def test_guarantee_5_views_out_of_order_by_three_are_still_found(seed: int):
    rng = random.Random(seed)
    arrivals = Drive(seconds=20.0, camera_hz=30.0).arrivals()
    shuffled = sorted(arrivals, key=lambda a: a[0] + (rng.randint(0, 3) * 33 * MS if a[1][0] == "view" else 200 * MS))
    sync = case().synchronizer()
    sets = play(sync, [message for _, message in shuffled])
    assert [message for _, message in shuffled] != [message for _, message in arrivals]
    assert sets[5:] == play(case().synchronizer(), [message for _, message in arrivals])[5 : len(sets)]
    assert len(sets) > 190


@pytest.mark.parametrize("seed", range(3))
def test_guarantee_5_scans_out_of_order_by_three_pass_in_order_or_are_counted(seed: int):
    rng = random.Random(seed)
    arrivals = Drive(seconds=20.0).arrivals()
    shuffled = sorted(arrivals, key=lambda a: a[0] + (rng.randint(0, 3) * 100 * MS if a[1][0] == "scan" else 0))
    sync = case().synchronizer()
    stamps = [stamp for _, stamp, _, _ in play(sync, [*(message for _, message in shuffled), ("flush", 0, "")])]
    assert stamps == sorted(set(stamps))
    assert len(stamps) + sync.account().dropped["out_of_order"] == 200
    assert sync.account().time_jumps == 0


def test_guarantee_6_nothing_of_it_reads_a_clock_holds_a_lock_or_knows_ros():
    package = Path(__file__).resolve().parent.parent / "clip2scene_ros"
    for name in ("synchronizer", "camera_stream", "sync_sets"):
        tree = ast.parse((package / f"{name}.py").read_text())
        imported = {alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
        imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
        assert imported <= {
            "__future__",
            "bisect",
            "collections",
            "dataclasses",
            "operator",
            "typing",
            "clip2scene_ros",
        }


@settings(max_examples=50)
@given(cases_with_events())
def test_guarantee_6_a_replay_gives_the_same_sets(drawn: tuple[Case, list[Event]]):
    chosen, events = drawn
    first, second = chosen.synchronizer(), chosen.synchronizer()
    assert play(first, events) == play(second, events)
    assert first.account() == second.account()


def test_guarantee_6_a_consumer_that_raises_loses_its_set_and_no_other():
    sync = case(cameras=()).synchronizer()
    taken = []
    for i in range(1, 6):
        sync.add_scan(i * 100 * MS, "top", i)
        try:
            for ready in sync:
                if ready.payload % 2:
                    raise RuntimeError
                taken.append(ready.payload)
        except RuntimeError:
            pass
    assert taken == [2, 4]
    assert (sync.account().partial + sync.account().full, sync.account().waiting) == (5, 0)


@settings(max_examples=30)
@given(DRIVES)
def test_guarantee_7_reuse_is_flagged_and_distances_are_told(drive: Drive):
    sync, seen = case().synchronizer(), set()
    reused, largest = Counter(), Counter()
    for number, event in enumerate([*drive.live(), ("flush", 0, "")]):
        feed(sync, event, number)
        for ready in sync:
            for name, view in ready.views.items():
                assert view.reused == ((name, view.payload) in seen)
                assert view.dt_ns == view.stamp_ns - ready.stamp_ns
                seen.add((name, view.payload))
                reused[name] += view.reused
                largest[name] = max(largest[name], abs(view.dt_ns))
    for name, camera in sync.account().cameras.items():
        assert (camera.reused, camera.max_dt_ns) == (reused[name], largest[name])
        assert camera.matched == sum(seen_name == name for seen_name, _ in seen)


def test_guarantee_4_what_the_very_next_scan_could_use_is_still_held():
    sync = case(cameras=("front",)).synchronizer()
    sync.add_view("front", 950 * MS + 1, "for the next")
    sync.add_view("front", 1000 * MS, "for this one")
    sync.add_scan(1000 * MS, "top", 0)
    sync.add_view("front", 1100 * MS, "too far")
    sync.add_view("front", 950 * MS, "late")
    assert sync.account().cameras["front"].dropped == {"late": 1}
    sync.add_scan(1000 * MS + 1, "top", 1)
    assert [ready.views["front"].payload for ready in sync] == ["for this one", "for this one"]
    assert sync.account().cameras["front"].dropped == {"late": 1, "unmatched": 1}


def test_guarantee_7_offsets_hold_to_the_nanosecond():
    sync = case(cameras=("front",), offset_ms={"front": 61.670001}, slop_ms={"front": 0.0}).synchronizer()
    for at in (61_670_000, 61_670_001, 61_670_002):
        sync.add_view("front", 1000 * MS + at, at)
    sync.add_scan(1000 * MS, "top", 0)
    (ready,) = sync
    assert (ready.views["front"].payload, ready.views["front"].dt_ns) == (61_670_001, 0)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (SyncConfig(offsets_ms="top: 3"), "`offsets_ms` expects one of front, left, rear, but got 'top'"),
        (
            SyncConfig(slops_ms="front 3"),
            r"`slops_ms` expects `camera: milliseconds, ...` in \[0, 60000\], but got 'front 3'",
        ),
        (SyncConfig(slops_ms="front: -1"), "but got 'front: -1'"),
        (SyncConfig(offsets_ms="front: 1e9"), r"in \[-60000, 60000\], but got 'front: 1e9'"),
        (SyncConfig(slops_ms="front: nan"), "but got 'front: nan'"),
        (SyncConfig(min_views=4), "`min_views` expects at most the number of cameras, 3, but got 4"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(config: SyncConfig, text: str):
    with pytest.raises(BadConfig, match=text):
        Synchronizer(config, CAMERAS)


def test_offsets_are_read_by_camera_and_an_unknown_camera_is_an_error():
    with pytest.raises(BadConfig, match="Expected a view of front, left, rear, but got one of 'top'"):
        case().synchronizer().add_view("top", 1, 0)
    assert by_camera("offsets_ms", " front : 1.5,rear:-2 ,", CAMERAS, 4.0) == {
        "front": 1_500_000,
        "left": 4 * MS,
        "rear": -2 * MS,
    }


def test_the_page_has_the_settings_as_they_are():
    page = (Path(__file__).resolve().parent.parent / "docs" / "sync.md").read_text()
    assert page.split("<!-- settings -->\n")[1].split("<!-- /settings -->")[0] == parameter_table(SyncConfig())


def test_cameras_of_one_name_are_refused():
    with pytest.raises(BadConfig, match="Expected cameras of different names, but got front, front"):
        Synchronizer(SyncConfig(), ["front", "front"])


def test_stamps_that_are_no_integers_are_refused():
    with pytest.raises(TypeError):
        case().synchronizer().add_scan(1.5, "top", 0)
