"""Cubes, ground, clusters and selection against slow calculations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labeler_scene import frame, turned

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import FLAT, THINGS, LabelerConfig
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.teacher.ground import heights
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_ros.teacher.rules import NO_THING, by_cluster, classes_of, flat_on_ground, surest, things, vote
from clip2scene_ros.teacher.votes import VOXEL_M, Votes, from_sweep
from clip2scene_ros.teacher.voxels import components, keys, normals, planes, sums


def test_points_share_a_key_exactly_where_they_share_a_cube():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-3, 3, (300, 3)), rng.uniform(29, 33, (300, 3)) / np.sqrt(3)])
    points[7] = np.nan
    points[8, 2] = np.inf
    points[9, 0] = 1e9
    found = keys(points, 0.5, grow=True)

    def cube(p):
        if not np.isfinite(p).all() or abs(p).max() > 1e8:
            return None
        edge = 1.0 if np.linalg.norm(p) >= 30 else 0.5
        return (edge, *(int(c // edge) for c in p))

    slow = [cube(p) for p in points]
    assert (found[7:10] == -1).all()
    assert len({*slow} - {None}) == len({*found.tolist()} - {-1}) > 100
    pairs = {(s, f) for s, f in zip(slow, found.tolist(), strict=True)}
    assert len(pairs) == len({*slow})


def test_components_are_those_of_a_slow_search():
    rng = np.random.default_rng(1)
    points = rng.uniform(-4, 4, (400, 3)) * [1, 1, 0.3]
    cubes = [tuple(c) for c in np.floor(points / 0.5).astype(int)]
    number, left = {}, set(cubes)
    while left:
        waiting, count = [left.pop()], len(number)
        while waiting:
            cube = waiting.pop()
            number[cube] = count
            near = {c for c in left if max(abs(a - b) for a, b in zip(c, cube, strict=True)) <= 1}
            left -= near
            waiting += near
    expected = np.array([number[c] for c in cubes])
    found = components(points, 0.5)
    assert len(np.unique(expected)) == len(np.unique(found)) > 3
    assert len(np.unique(np.stack([expected, found]), axis=1).T) == len(np.unique(expected))


def test_a_long_chain_is_one_component():
    chain = np.stack([0.39 * np.arange(150), np.zeros(150), np.zeros(150)], axis=1)
    assert len(np.unique(components(chain[np.random.default_rng(0).permutation(150)], 0.4))) == 1
    assert len(np.unique(components(chain[::3], 0.4))) == 50


def test_no_points_are_no_trouble():
    none = np.zeros((0, 3), np.float32)
    assert components(none, 0.4).shape == keys(none, 0.1).shape == heights(none).shape == (0,)
    assert normals(none, 0.5).shape == (0, 3)
    empty = Votes(np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
    assert from_sweep(none, np.eye(4), none, empty).sums.shape == (0, 3)


def test_normals_are_those_of_the_planes():
    rng = np.random.default_rng(2)
    floor = np.stack([*rng.uniform(1, 5, (2, 2000)), np.full(2000, -1.8)], axis=1)
    upright = np.stack([np.full(2000, 12.3), *rng.uniform(-2, 2, (2, 2000))], axis=1)
    alone = np.array([[0.0, -40, 3], [np.nan, 0, 0]])
    found = normals(np.concatenate([floor, upright, alone]), 0.5)
    np.testing.assert_allclose(np.abs(found[:2000, 2]), 1, atol=1e-3)
    np.testing.assert_allclose(np.abs(found[2000:4000, 0]), 1, atol=1e-3)
    assert (found[4000:] == 0).all()


def test_sums_are_those_of_a_loop():
    rng = np.random.default_rng(3)
    values, group = rng.random((50, 3)), rng.integers(0, 7, 50)
    expected = [values[group == g].sum(axis=0) for g in range(8)]
    np.testing.assert_allclose(sums(values, group, 8), expected, rtol=1e-5)


def test_another_sweep_votes_with_the_mean_of_its_points_in_the_cube():
    rng = np.random.default_rng(4)
    here, there = rng.uniform(-0.4, 0.4, (80, 3)), rng.uniform(-0.4, 0.4, (300, 3))
    here[3] = np.nan
    moved = turned(0.4, [0.1, -0.05, 0.02])
    weight = rng.uniform(0, 1, 300) * (rng.random(300) < 0.7)
    votes = Votes((rng.random((300, 4)) * weight[:, None]).astype(np.float32), weight.astype(np.float32))
    found = from_sweep(here, moved, there, votes)
    placed = there @ moved[:3, :3].T + moved[:3, 3]
    for i, p in enumerate(here):
        same = (np.floor(placed / VOXEL_M) == np.floor(p / VOXEL_M)).all(axis=1) & (weight > 0)
        expected = votes.sums[same].mean(axis=0) if same.any() else np.zeros(4)
        np.testing.assert_allclose(found.sums[i], expected, atol=1e-6)
        assert found.weight[i] == pytest.approx(weight[same].mean() if same.any() else 0, abs=1e-6)


def street(slope: float, seed: int = 0):
    """Ground that climbs, with a kerb, a box and a wall on it; and how high each point is above it."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-40, 40, (40_000, 2))
    low = np.column_stack([xy, np.zeros(len(xy))])
    box = rng.uniform([8, -2, 0.3], [12, 0, 1.8], (500, 3))
    wall = rng.uniform([-30, 9.8, 0.3], [30, 10, 4], (1500, 3))
    points = np.concatenate([low, box, wall])
    height = points[:, 2].copy()
    points[:, 2] += slope * points[:, 0] + 0.12 * (np.abs(points[:, 1]) > 5) - 1.8
    return points.astype(np.float32), height


@pytest.mark.parametrize("slope", [0.0, 0.08, -0.08])
def test_the_ground_is_followed_up_slopes_and_kerbs_but_not_up_boxes_and_walls(slope):
    points, expected = street(slope)
    found = heights(points)
    away = np.hypot(points[:, 0], points[:, 1])
    near = (away > 3) & (away < 35)
    assert np.percentile(np.abs(found - expected)[near], 95) < 0.15
    assert np.isnan(found[(away < 2) | (away >= 80)]).all()


def test_points_without_a_place_have_no_height():
    points = np.array([[np.nan, 5, -1.8], [5, 5, np.inf], [5, 5, -1.8]], np.float32)
    np.testing.assert_array_equal(heights(points), [np.nan, np.nan, 0])


def test_the_ground_rule_strikes_out_what_cannot_be_unless_nothing_is_left():
    mixed = [0.6, 0.3, 0.1]
    chances = np.array([mixed, mixed, mixed, mixed, [1, 0, 0], [0, 0, 0]], np.float32)
    height = np.array([0.02, 1.0, 0.18, np.nan, 1.0, 0.0])
    expected = [[1, 0, 0], [0, 0.75, 0.25], mixed, mixed, [1, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(flat_on_ground(chances, height, np.array([True, False, False])), expected, atol=1e-6)


def cluster(count, at, spread=0.3, seed=0):
    return np.random.default_rng(seed).uniform(-spread, spread, (count, 3)) + at


def test_a_thing_takes_its_majority_and_gives_it_to_its_unseen_points():
    sure, other, none = [0.8, 0.2], [0.1, 0.9], [0, 0]
    points = np.concatenate(
        [cluster(10, [5, 0, 0]), cluster(10, [5, 9, 0]), cluster(4, [9, 0, 0]), cluster(6, [5, 0, 0])]
    )
    chances = np.array([sure] * 9 + [none] + [sure] * 5 + [other] * 5 + [other] * 4 + [sure] * 6, np.float32)
    height = np.where(np.arange(30) >= 24, 0.0, 1.0)  # the last ones lie among the first, on the ground
    chances[24:] = other
    found = by_cluster(chances, points.astype(np.float32), height)
    np.testing.assert_allclose(found[:10], [sure] * 10, atol=1e-6)  # all agree; the unseen one joins
    np.testing.assert_array_equal(found[10:20], chances[10:20])  # 45 to 55 %: no majority
    np.testing.assert_array_equal(found[20:24], chances[20:24])  # four points are too few
    np.testing.assert_array_equal(found[24:], chances[24:])


def test_a_vote_is_that_of_a_plain_loop():
    rng = np.random.default_rng(6)
    chances = rng.dirichlet(np.full(4, 0.2), 300).astype(np.float32)
    chances[rng.random(300) < 0.2] = 0
    thing = rng.integers(-1, 40, 300)
    found = vote(torch.from_numpy(chances), torch.from_numpy(thing)).numpy()
    changed = 0
    for number in range(-1, 40):
        mine = np.flatnonzero(thing == number)
        voters = [i for i in mine if chances[i].any()]
        mean = np.mean([chances[i] for i in voters], axis=0) if voters else np.zeros(4)
        agree = sum(chances[i].argmax() == mean.argmax() for i in voters)
        clear = number != NO_THING and len(voters) >= 5 and agree > 0.5 * len(voters)
        np.testing.assert_allclose(found[mine], [mean] * len(mine) if clear else chances[mine], atol=1e-6)
        changed += clear
    assert 3 < changed < 37


def test_things_are_what_hangs_together_above_the_ground_and_is_no_row_of_houses():
    row = np.stack([np.arange(0, 13, 0.2), np.zeros(65), np.zeros(65)], axis=1)
    pole = np.stack([np.full(9, -5.0), np.zeros(9), np.arange(0, 1.8, 0.2)], axis=1)
    points = np.concatenate([row, pole, pole + [0, 3, 0], [[np.nan, 0, 0]]]).astype(np.float32)
    height = np.ones(len(points))
    height[66] = 0.05
    height[67] = np.nan
    found = things(points, height)
    assert (found[:65] == NO_THING).all()
    assert found[[66, 67, -1]].tolist() == [NO_THING] * 3
    assert len({found[65], *found[68:74].tolist()}) == 1
    assert len({*found[74:83].tolist()}) == 1
    assert found[65] != found[74]
    assert things(points[:0], height[:0]).shape == (0,)


def test_a_plane_s_points_are_as_far_from_it_as_its_least_singular_value_says():
    rng = np.random.default_rng(7)
    tilted = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    points = (rng.uniform(-0.3, 0.3, (40, 3)) * [1, 1, 0.1]) @ tilted.T + 10.5
    normal, away = planes(np.concatenate([points, [[50, 0, 0]]]).astype(np.float32), 1.0)
    spread = np.linalg.svd(points - points.mean(axis=0))[1]
    np.testing.assert_allclose(away[:40], spread[2] / np.sqrt(40), rtol=1e-3)
    assert abs(normal[0] @ tilted[:, 2]) > 0.99
    assert np.isnan(away[40])
    assert not normal[40].any()


def test_what_is_longer_than_any_thing_is_left_alone():
    row = np.stack([np.arange(0, 13, 0.2), np.zeros(65), np.zeros(65)], axis=1).astype(np.float32)
    chances = np.tile(np.array([[0.8, 0.2]], np.float32), (65, 1))
    chances[::9] = [0.3, 0.7]
    np.testing.assert_array_equal(by_cluster(chances, row, np.ones(65)), chances)
    assert (by_cluster(chances[:50], row[:50], np.ones(50)).argmax(axis=1) == 0).all()


def test_each_class_keeps_its_surest_points():
    rng = np.random.default_rng(5)
    class_id = rng.choice([0, 1, 2, UNKNOWN], 400, p=[0.6, 0.2, 0.02, 0.18]).astype(np.uint8)
    confidence = np.where(class_id == UNKNOWN, 0, rng.random(400)).astype(np.float32)
    config = LabelerConfig(keep=0.5, keep_at_least=20, min_confidence=0.2)
    found = surest(class_id, confidence, config)
    for label in range(3):
        mine = sorted((c for c, k in zip(confidence, class_id, strict=True) if k == label and c >= 0.2), reverse=True)
        kept = sorted(found.confidence[found.class_id == label], reverse=True)
        assert kept == mine[: max(round(0.5 * len(mine)), 20)]
    assert ((found.class_id == UNKNOWN) == (found.confidence == 0)).all()
    assert ((found.class_id == class_id) | (found.class_id == UNKNOWN)).all()


def test_nothing_is_kept_where_nothing_is_to_be_kept():
    found = surest(np.array([0, 1], np.uint8), np.ones(2, np.float32), LabelerConfig(keep=0.0, keep_at_least=0))
    assert (found.class_id == UNKNOWN).all()


VEHICLES = {"bicycle", "bus", "car", "construction vehicle", "motorcycle", "trailer", "truck"}
KITTI = {"bicycle", "bicyclist", "car", "motorcycle", "motorcyclist", "other vehicle", "person", "truck"}


@pytest.mark.parametrize(
    ("name", "things", "flat"),
    [
        ("world", {*VEHICLES, "pedestrian"}, {"driveable surface", "sidewalk", "terrain"}),
        ("nuscenes", {*VEHICLES, "pedestrian"}, {"driveable surface", "other flat", "sidewalk", "terrain"}),
        ("semantickitti", KITTI, {"road", "parking", "sidewalk", "other ground", "terrain"}),
        ("Road, street; van; tree", {"van"}, {"Road"}),
    ],
)
def test_which_classes_may_move_and_which_are_flat(name, things, flat):
    class_set = load_class_set(name)
    for words, expected in ((THINGS, things), (FLAT, flat)):
        assert {n for n, yes in zip(class_set.names, classes_of(class_set, words), strict=True) if yes} == expected


def test_a_standing_sensor_moves_no_point():
    points = np.random.default_rng(6).uniform(-9, 9, (50, 3)).astype(np.float32)
    points[4] = np.nan
    now = frame(points, time_ns=np.arange(50) * 1_000_000, pose=turned(0.3, [1, 2, 3]))
    later = frame([], pose=turned(0.3, [1, 2, 3]), stamp_ns=now.scan.stamp_ns + 100_000_000)
    np.testing.assert_allclose(points_at_stamp(now, [later]), points, atol=1e-5)
    assert points_at_stamp(now, []) is now.scan.points


def test_the_way_is_known_from_one_neighbour_within_a_second():
    points = np.random.default_rng(6).uniform(-9, 9, (50, 3)).astype(np.float32)
    times = np.arange(50) * 1_000_000
    now = frame(points, time_ns=times, stamp_ns=5_000_000_000)
    near = frame([], pose=turned(0.0, [-2, 0, 0]), stamp_ns=4_900_000_000)  # 20 m/s along x
    far = frame([], pose=turned(1.0, [90, 0, 0]), stamp_ns=6_100_000_000)
    expected = points + np.outer(20 * times / 1e9, [1, 0, 0])
    np.testing.assert_allclose(points_at_stamp(now, [near, far]), expected, atol=0.02)
    assert points_at_stamp(now, [far]) is now.scan.points
    strange = frame(points, time_ns=times + 10**12, stamp_ns=5_000_000_000)
    assert points_at_stamp(strange, [near]) is strange.scan.points
