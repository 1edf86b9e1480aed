"""Classes are struck out where what stands is taller than they can be."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import TALLEST, LabelerConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.rules import COLUMN_M, GAP_M, below_its_top, column_tops, tops_of


def test_columns_end_where_nothing_is_for_a_while_as_a_slow_search_finds():
    rng = np.random.default_rng(3)
    points = rng.uniform([-4, -4, 0], [4, 4, 9], (500, 3)).astype(np.float32)
    points[7] = np.nan
    height = points[:, 2] - 0.5
    found = column_tops(points, height)

    def top(i: int) -> float:
        if not height[i] > 0.1:
            return np.nan
        mine = [
            j for j in range(len(points))
            if height[j] > 0.1 and (points[j, :2] // COLUMN_M == points[i, :2] // COLUMN_M).all()
        ]  # fmt: skip
        reached = height[i]
        for h in sorted(height[mine]):
            if reached < h <= reached + GAP_M:
                reached = h
        return float(reached)

    slow = np.array([top(i) for i in range(len(points))])
    np.testing.assert_allclose(found, slow, atol=1e-6)
    assert np.isnan(found[7])
    assert (found > height + 0.5).sum() > 50
    assert len(column_tops(points[:0], height[:0])) == 0


def test_a_wall_is_no_car_and_a_car_under_a_bridge_is_no_bridge():
    tops = np.array([2.4, np.inf])
    wall = np.array([[5, 0, z] for z in (0.5, 1.5, 2.5, 3.5)], np.float32)
    car = np.array([[9, 0, z] for z in (0.5, 1.5)], np.float32)
    bridge = np.array([[9, 0, 5.0]], np.float32)
    points = np.concatenate([wall, car, bridge])
    chances = np.tile(np.array([[0.7, 0.3]], np.float32), (7, 1))
    found = below_its_top(chances, points, points[:, 2].astype(np.float64), tops)
    np.testing.assert_allclose(found, [[0, 1]] * 4 + [[0.7, 0.3]] * 2 + [[0, 1]], atol=1e-6)
    sure_of_a_car = np.tile(np.array([[1, 0]], np.float32), (7, 1))
    np.testing.assert_array_equal(below_its_top(sure_of_a_car, points, points[:, 2], tops), sure_of_a_car)
    unknown = np.full(7, np.nan)
    np.testing.assert_array_equal(below_its_top(chances, points, unknown, tops), chances)


def test_how_tall_the_classes_of_each_set_are():
    world = load_class_set("world")
    tops = dict(zip(world.names, tops_of(world, TALLEST), strict=True))
    assert (tops["traffic cone"], tops["car"], tops["pedestrian"]) == (1.2, 2.8, 2.2)  # its cars may be vans
    free = {name for name, top in tops.items() if np.isinf(top)}
    assert free == {"driveable surface", "sidewalk", "terrain", "manmade", "vegetation"}
    own = tops_of(load_class_set("Car; bus, VAN; tree"), " van 3, car 2.0,, bus 4 ")
    assert own.tolist() == [2.0, 4.0, np.inf]


@pytest.mark.parametrize("text", ["car", "car tall", "2.4", "car 0", "car -1", "car nan"])
def test_words_without_a_height_are_refused(text):
    with pytest.raises(BadConfig, match="Setting `tallest` expects `word metres"):
        tops_of(load_class_set("world"), text)


class SaysCar:
    """A teacher whose answers are not asked for."""

    class_set, notice = load_class_set("car; building"), ""


def test_the_labeler_takes_the_rule_before_things_vote_and_only_where_it_is_asked_to():
    ground = np.array([[x, y, 0] for x in range(-9, 10, 3) for y in range(-9, 10, 3)], np.float32)
    wall = np.array([[6, 0.01 * k, 0.3 + 0.1 * k] for k in range(60)], np.float32)
    points = np.concatenate([ground, wall])
    chances = np.tile(np.array([[0.6, 0.4]], np.float32), (len(points), 1))
    nobody = np.zeros(len(points), bool)
    decided = [
        Labeler(SaysCar(), LabelerConfig(columns=columns)).decide(chances, points, nobody).class_id[len(ground):]
        for columns in (False, True)
    ]  # fmt: skip
    assert (decided[0] == 0).all()
    assert (decided[1] == 1).all()
    assert UNKNOWN not in np.concatenate(decided)


def test_a_class_set_without_heights_says_that_the_rule_is_idle(caplog):
    Labeler(SaysCar(), LabelerConfig(columns=True, tallest="whale 3"))
    assert "setting `tallest`" in caplog.text
    caplog.clear()
    Labeler(SaysCar(), LabelerConfig(columns=True))
    Labeler(SaysCar(), LabelerConfig(tallest="whale 3"))
    assert not caplog.text
