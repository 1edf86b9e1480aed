"""Points of one place in two scans: against brute force, under known motion, and with something that moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.compare.pairs import WITHIN_M, meeting, nearest, same_thing
from clip2scene_ros.frame import NS_PER_S, UNKNOWN, Frame, Scan
from clip2scene_ros.geometry import invert, transform


def frame(points, pose=None, stamp_ns=0, labels=None, instances=None):
    scan = Scan(np.asarray(points, np.float32), np.zeros(len(points), np.float32), stamp_ns)
    return Frame(scan, (), pose, labels, instances)


def pose(x=0.0, y=0.0, turn=0.0):
    found = np.eye(4)
    found[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    found[:2, 3] = x, y
    return found


def brute_force(points, others, within_m):
    pairs = []
    for i, point in enumerate(points.astype(np.float64)):
        squared = [((point - other) ** 2).sum() for other in others]
        finite = [(s, j) for j, s in enumerate(squared) if s <= within_m**2]
        if finite:
            pairs.append((i, min(finite)[1]))
    return pairs


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.05, 0.1, 0.7]))
def test_the_nearest_is_that_of_brute_force(seed, count, others, within_m):
    rng = np.random.default_rng(seed)
    first = rng.uniform(-0.4, 0.4, (count, 3)).astype(np.float32)  # both signs: cubes below 0 as well
    second = rng.uniform(-0.4, 0.4, (others, 3)).astype(np.float32)
    second[: min(count, others) // 3] = first[: min(count, others) // 3]
    second[others // 2 : others // 2 + 2] = second[:1] if others else 0  # equally near: the first counts
    if count:
        first[0, 1] = np.nan
    if others:
        second[-1] = np.inf
    here, there = nearest(first, second, within_m)
    assert list(zip(here.tolist(), there.tolist(), strict=True)) == brute_force(first, second, within_m)


def test_scans_are_brought_together_by_their_poses():
    rng = np.random.default_rng(0)
    world = np.concatenate([rng.uniform(-20, 20, (300, 2)), rng.uniform(0, 3, (300, 1))], axis=1).astype(np.float32)
    poses = pose(3.0, -1.0, 0.4), pose(4.0, -0.5, 0.7)
    scans = [transform(invert(each), world) for each in poses]
    order = rng.permutation(300)
    before = frame(scans[0][order], poses[0], 0)
    now = frame(scans[1], poses[1], NS_PER_S // 20)
    here, there = meeting(before, before.scan.points, now, now.scan.points)
    np.testing.assert_array_equal(here, np.arange(300))
    np.testing.assert_array_equal(order[there], np.arange(300))
    standing = frame(scans[1], poses[0], NS_PER_S // 20)  # without the motion hardly any would meet
    assert len(meeting(before, before.scan.points, standing, standing.scan.points)[0]) < 20


def test_the_distance_does_not_grow():
    before, now = [[1.0, 0, 0], [70.0, 0, 0]], [[1.0, 0.09, 0], [70.0, 0.11, 0]]
    frames = [frame(points, np.eye(4)) for points in (before, now)]
    here, _ = meeting(frames[0], frames[0].scan.points, frames[1], frames[1].scan.points)
    assert WITHIN_M == 0.10
    assert here.tolist() == [0]


@pytest.mark.parametrize("lacking", ["before", "now", "time"])
def test_nothing_meets_without_poses_or_after_a_gap(lacking):
    points = np.zeros((4, 3), np.float32)
    before = frame(points, None if lacking == "before" else np.eye(4))
    now = frame(points, None if lacking == "now" else np.eye(4), 2 * NS_PER_S if lacking == "time" else 1)
    here, there = meeting(before, points, now, points)
    assert len(here) == len(there) == 0


def test_one_thing_is_one_instance_of_one_known_class():
    before = frame(np.zeros((5, 3)), None, 0, np.array([3, 3, 3, 10, UNKNOWN], np.uint8), np.array([7, 7, 7, 0, 0]))
    now = frame(np.zeros((5, 3)), None, 1, np.array([3, 3, 10, 10, UNKNOWN], np.uint8), np.array([7, 8, 0, 0, 0]))
    all_ = np.arange(5)
    assert same_thing(before, now, all_, all_).tolist() == [True, False, False, True, False]
    assert same_thing(before, frame(np.zeros((5, 3))), all_, all_) is None
