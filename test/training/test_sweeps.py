"""Sweeps in the key frame: what stands still lies on itself, and every cell is one place."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from pretrain_scene import START_NS, STEP_NS, frame, pose, scattered

from clip2scene_ros.errors import BadCalibration, BadDataset
from clip2scene_ros.frame import Frame, Scan
from clip2scene_training.config import SweepsConfig
from clip2scene_training.sweeps import choose_sweeps, gather

RANGE = (0.5, 80.0)
CONFIG = SweepsConfig()


def test_what_stands_still_lies_on_itself_in_every_sweep():
    points = scattered(400, 0)
    frames = [frame(i, points) for i in (5, 4, 1, 2)]
    cloud = gather(frames, CONFIG, RANGE)
    in_key = (np.linalg.inv(pose(5)) @ np.c_[points, np.ones(400)].T).T[:, :3]
    assert len(cloud) > 4 * 390
    np.testing.assert_allclose(cloud.points, in_key[cloud.index], atol=2e-5)
    assert np.array_equal(cloud.points[cloud.sweep == 0], frames[0].scan.points[cloud.index[cloud.sweep == 0]])
    np.testing.assert_allclose(cloud.intensity, cloud.index / 1000, atol=1e-6)
    for k, i in enumerate((5, 4, 1, 2)):
        np.testing.assert_allclose(cloud.key_from_sweep[k], np.linalg.inv(pose(5)) @ pose(i), atol=1e-9)
    assert (np.diff(cloud.sweep) >= 0).all()


def test_a_sweep_without_a_pose_is_an_error_but_one_alone_needs_none():
    frames = [frame(i, scattered(30, 0)) for i in (2, 1)]
    for bare in (0, 1):
        some = [replace(f, world_from_lidar=None) if k == bare else f for k, f in enumerate(frames)]
        with pytest.raises(BadDataset, match=f"{START_NS + (2 - bare) * STEP_NS} ns has none") as caught:
            gather(some, CONFIG, RANGE)
        assert caught.value.reason == "no_pose"
    assert len(gather([replace(frames[0], world_from_lidar=None)], CONFIG, RANGE)) > 25
    with pytest.raises(BadCalibration, match="mirrors"):
        gather([frames[0], replace(frames[1], world_from_lidar=np.diag([1.0, -1, 1, 1]))], CONFIG, RANGE)


def scan_of(points, i=0) -> Frame:
    points = np.array(points, np.float32)
    return Frame(Scan(points, np.zeros(len(points), np.float32), START_NS + i * STEP_NS), (), pose(i))


def test_the_vehicle_itself_is_left_out_of_the_other_sweeps_only():
    points = [[0.9, -0.9, 0], [0.9, 1.1, 0], [-1.5, 0, 0], [0, 0, 5], [np.nan, 0, 0], [0, 0.1, 0], [500, 0, 0]]
    cloud = gather([scan_of(points, 1), scan_of(points, 0)], CONFIG, RANGE)
    assert cloud.index[cloud.sweep == 0].tolist() == [0, 1, 2, 3]  # NaN, too near and too far
    assert cloud.index[cloud.sweep == 1].tolist() == [1, 2]
    kept = gather([scan_of(points, 1), scan_of(points, 0)], replace(CONFIG, own_m=0.0), RANGE)
    assert kept.index[kept.sweep == 1].tolist() == [0, 1, 2, 3, 5]  # the last was near the older place, not this one


@pytest.mark.parametrize("cell_m", [0.1, 0.7])
def test_cells_are_the_places_of_a_slow_grid_whatever_the_order_of_the_sweeps(cell_m):
    config = replace(CONFIG, cell_m=cell_m)
    frames = [frame(i, scattered(300, 0)) for i in (3, 2, 1)] + [frame(0, scattered(300, 1))]
    cloud = gather(frames, config, RANGE)
    places = defaultdict(set)
    for place, cell in zip(map(tuple, np.floor(cloud.points.astype(np.float64) / cell_m)), cloud.cell, strict=True):
        places[place].add(int(cell))
    assert all(len(cells) == 1 for cells in places.values())
    assert sorted(min(cells) for cells in places.values()) == list(range(cloud.cells))
    order = [0, 3, 1, 2]
    other = gather([frames[k] for k in order], config, RANGE)
    named = {(int(k), int(i)): int(c) for k, i, c in zip(cloud.sweep, cloud.index, cloud.cell, strict=True)}
    again = {(order[k], int(i)): int(c) for k, i, c in zip(other.sweep, other.index, other.cell, strict=True)}
    assert named == again
    assert cloud.cells < len(cloud) * 0.75  # sweeps do meet


def test_points_of_a_turning_sensor_are_put_where_they_were_at_the_stamp():
    speed, wall = 20.0, np.random.default_rng(0).uniform([5, -5, -1], [20, 5, 2], (200, 3))
    frames = []
    for i in range(3):
        times = np.linspace(0, STEP_NS, 200, endpoint=False).astype(np.int64)
        start = np.eye(4)
        start[0, 3] = speed * i * STEP_NS / 1e9
        raw = wall - np.c_[start[0, 3] + speed * times / 1e9, np.zeros((200, 2))]
        scan = Scan(raw.astype(np.float32), np.zeros(200, np.float32), START_NS + i * STEP_NS, time_ns=times)
        frames.append(Frame(scan, (), start))
    truth = wall - [frames[2].world_from_lidar[0, 3], 0, 0]
    cloud = gather([frames[2], frames[0]], CONFIG, RANGE, others=[frames[1]])
    assert np.abs(cloud.points - truth[cloud.index]).max() < 0.02
    still = gather([frames[2], frames[0]], replace(CONFIG, point_time=False), RANGE)
    assert np.abs(still.points - truth[still.index]).max() > 0.5


def test_sweeps_are_drawn_from_the_frames_before_in_the_same_scene():
    scenes = ["a"] * 6 + ["b"] * 20
    config = SweepsConfig(count=3, previous=9)
    drawn = [choose_sweeps(scenes, 20, config, np.random.default_rng(s)) for s in range(300)]
    assert all(d[0] == 20 and len(set(d)) == 3 and d[1] > d[2] for d in drawn)
    assert {i for d in drawn for i in d[1:]} == set(range(11, 20))
    assert drawn == [choose_sweeps(scenes, 20, config, np.random.default_rng(s)) for s in range(300)]
    assert choose_sweeps(scenes, 6, config, np.random.default_rng(0)) == [6]  # the first of its scene
    assert choose_sweeps(scenes, 7, config, np.random.default_rng(0)) == [7, 6]
    assert choose_sweeps(scenes, 0, config, np.random.default_rng(0)) == [0]
    assert sorted(choose_sweeps(scenes, 8, config, np.random.default_rng(0))) == [6, 7, 8]
    assert choose_sweeps(scenes, 20, replace(config, count=1), np.random.default_rng(0)) == [20]
