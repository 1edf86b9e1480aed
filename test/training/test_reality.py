"""The three checks on real data: merged classes, intervals, boxes, neighbours, and the files themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_training.datasets.nuscenes import read_lidar
from clip2scene_training.neighbours import nearest_within
from clip2scene_training.reality import (
    BOX_CLASSES,
    MERGED,
    agreement,
    in_box,
    merging,
    nuscenes,
    semantickitti,
    table,
    wilson,
)

WORLD = load_class_set("world")
KITTI = load_class_set("semantickitti")


class Answers:
    """A student whose answers are computed from the scan."""

    class_set = WORLD

    def __init__(self, answer: Callable[[Scan], Any]) -> None:
        self.answer = answer

    def segment(self, scan: Scan) -> Segmentation:
        n = len(scan)
        class_id = np.broadcast_to(np.asarray(self.answer(scan), dtype=np.uint8), n).copy()
        return Segmentation(class_id, np.ones(n, np.float32), np.zeros(n, np.float32))


def test_every_class_of_both_sides_is_merged_once_but_for_other_ground():
    world = [name for merged in MERGED.values() for name in merged.world]
    kitti = [name for merged in MERGED.values() for name in merged.semantickitti]
    assert len(MERGED) == 8
    assert len(set(world)) == len(world)
    assert len(set(kitti)) == len(kitti)
    assert set(WORLD.names) - {"other flat"} == set(world)
    assert set(KITTI.names) - {"other ground"} == set(kitti)


def test_merging_leaves_unnamed_and_unknown_ids_unknown():
    ids = merging(KITTI, [["road", "parking"], ["car", "not a class of theirs"]])
    found = {KITTI.names[i]: int(ids[i]) for i in np.flatnonzero(ids != 255)}
    assert found == {"road": 0, "parking": 0, "car": 1}
    assert ids[255] == 255


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_intervals_are_those_of_newcombe(successes: int, trials: int, low: float, high: float):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)
    assert wilson(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_of_nothing_is_everything_and_nonsense_is_refused():
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60))
def test_nearest_within_is_what_all_distances_say(seed: int, n: int, m: int):
    rng = np.random.default_rng(seed)
    points, others = rng.uniform(-1, 1, (n, 3)), rng.uniform(-1, 1, (m, 3)).round(1)  # rounded: some are equal
    distances = np.linalg.norm(points[:, None] - others[None], axis=2)
    for radius in (0.05, 0.3, 4.0):
        found = nearest_within(points, others, radius)
        assert (found >= 0).tolist() == (distances <= radius).any(axis=1).tolist()
        hit = np.flatnonzero(found >= 0)
        np.testing.assert_array_equal(distances[hit, found[hit]], distances[hit].min(axis=1) if m else [])


def test_a_turned_box_holds_its_own_corners_only():
    box = [10.0, -5.0, 1.0, 4.0, 2.0, 1.5, np.radians(30)]
    turn = np.array([[np.cos(box[6]), -np.sin(box[6]), 0], [np.sin(box[6]), np.cos(box[6]), 0], [0, 0, 1]])
    corners = np.array([[x, y, z] for x in (-2, 2) for y in (-1, 1) for z in (-0.75, 0.75)])
    assert in_box((0.99 * corners) @ turn.T + box[:3], box).all()
    assert not in_box((1.01 * corners) @ turn.T + box[:3], box).any()
    assert not in_box((0.99 * corners) @ turn + box[:3], box).all()


def test_a_perfect_student_of_the_merged_classes_scores_one_and_road_alone_its_share(
    shared_data: Callable[[str], Path],
):
    folder = shared_data("data/semantickitti")
    raw = np.fromfile(folder / "000000.label", "<u4") & 0xFFFF
    to_world = {name: WORLD.index(m.world[0]) for m in MERGED.values() for name in m.semantickitti}
    perfect = np.array([to_world.get(n, 0) for n in KITTI.names] + [255] * (256 - len(KITTI)))[
        KITTI.from_benchmark(raw)
    ]
    scores = semantickitti(Answers(lambda scan: perfect), folder)
    assert list(scores) == ["all", "0-20 m", "20-40 m", "40+ m"]
    assert scores["all"]["miou"] == 1.0
    assert scores["all"]["absent"] == ["other vehicle"]
    assert scores["all"]["points"] == np.isin(raw, [0, 1, 49, 52, 99], invert=True).sum()
    assert sum(scores[band]["points"] for band in list(scores)[1:]) == scores["all"]["points"]
    scores = semantickitti(Answers(lambda scan: WORLD.index("driveable surface")), folder)
    road = np.isin(raw, [40, 44, 60]).sum()
    assert scores["all"]["iou"]["road"] == pytest.approx(road / scores["all"]["points"])
    assert scores["all"]["miou"] == pytest.approx(road / scores["all"]["points"] / 7)


def test_recall_counts_points_and_boxes_of_the_real_key_frame(shared_data: Callable[[str], Path]):
    folder = shared_data("data/nuscenes")
    inside = np.load(folder / "point_labels_from_boxes_int8.npy")
    ids = np.array([WORLD.index(n) for n in ("car", "truck", "pedestrian", "barrier")] + [255])
    known = {0: 0, 1: 1, 7: 2, 9: 3}
    right = ids[[known.get(int(i), 4) for i in inside]]
    found = nuscenes(Answers(lambda scan: right), folder)
    assert set(found) == set(BOX_CLASSES)
    for name, category in (("car", 0), ("truck", 1), ("pedestrian", 7), ("barrier", 9)):
        assert found[name]["points"]["of"] == (inside == category).sum() > 0
        assert found[name]["points"]["share"] == found[name]["boxes"]["share"] == 1.0
    only_near = np.where(np.linalg.norm(_points(folder), axis=1) < 20, right, 255)
    some = nuscenes(Answers(lambda scan: only_near), folder)
    assert 0 < some["barrier"]["boxes"]["right"] < some["barrier"]["boxes"]["of"]
    assert "unknown" in some["barrier"]["taken_for"]


def _points(folder: Path) -> np.ndarray:
    return read_lidar(next(folder.glob("*LIDAR_TOP*")))[0]


def test_places_agree_when_registered_and_chance_sees_through_a_constant(shared_data: Callable[[str], Path]):
    folder = shared_data("data/kitti_odometry")
    constant = agreement(Answers(lambda scan: 3), folder)
    assert (constant["agree"], constant["chance"]) == (1.0, pytest.approx(1.0))
    noise = agreement(Answers(lambda scan: np.random.default_rng(len(scan)).integers(0, 15, len(scan))), folder)
    assert noise["agree"] == pytest.approx(1 / 15, abs=0.005)
    assert noise["chance"] == pytest.approx(1 / 15, abs=0.001)
    by_height = agreement(Answers(lambda scan: np.clip(scan.points[:, 2] * 2 + 4, 0, 14)), folder)
    assert by_height["agree"] > 0.9 > 0.6 > by_height["chance"]
    assert by_height["matched"] > 0.8


def test_the_table_has_a_line_for_each_figure(shared_data: Callable[[str], Path]):
    data, student = shared_data("data"), Answers(lambda scan: 3)
    found = {
        "semantickitti": semantickitti(student, data / "semantickitti"),
        "nuscenes": nuscenes(student, data / "nuscenes"),
        "agreement": agreement(student, data / "kitti_odometry"),
    }
    text = table(json.loads(json.dumps(found)))
    for words in ("mIoU of those with truth", "pedestrian", "100.0 % of", "absent classes"):
        assert words in text


def test_the_student_gets_the_real_key_frame_with_x_forward(shared_data: Callable[[str], Path]):
    folder, seen = shared_data("data/nuscenes"), []
    nuscenes(Answers(lambda scan: seen.append(scan.points) or 0), folder)
    raw = _points(folder)  # nuScenes: y forward, x right
    np.testing.assert_allclose(seen[0][:, 0], raw[:, 1], atol=0.03 * np.abs(raw).max())
    np.testing.assert_allclose(seen[0][:, 1], -raw[:, 0], atol=0.03 * np.abs(raw).max())
