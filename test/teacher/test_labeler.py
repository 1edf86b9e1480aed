"""The labeler on scenes small enough to work out by hand, and what must hold for every scene."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from labeler_scene import (
    CAR,
    CLASSES,
    FOCAL,
    FORWARD,
    HEIGHT,
    ROAD,
    START_NS,
    WALL,
    WIDTH,
    Painted,
    Told,
    bands,
    frame,
    paint,
    turned,
    view,
    wall,
)  # fmt: skip

from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import UNKNOWN, CameraModel
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_ros.teacher.maps import ClassMap

AHEAD = [5.0, 0, 0]
EVERYTHING = LabelerConfig(
    range_weight=True, incidence_weight=True, confidence_weight=True, sweeps=1, ground=True, clusters=True, keep=0.7,
    keep_at_least=3, min_confidence=0.3, things="car", flat="road",
)  # fmt: skip


def label(frames, answers, **settings):
    """Return the labelled frames."""
    frames = frames if isinstance(frames, list) else [frames]
    return list(Labeler(Told(answers), LabelerConfig(**settings)).label(frames))


def one(point_frame, answers, **settings):
    """Return class, confidence and evidence of a frame's first point."""
    (found,) = label(point_frame, answers, **settings)
    return int(found.labels.class_id[0]), float(found.labels.confidence[0]), found.evidence


def test_a_point_takes_the_class_of_its_pixel():
    points = [[5, y, 0] for y in (2.0, 0.0, -2.0, -4.0)]  # -4 is beside the image
    (found,) = label(frame(points, [view()]), {"front": bands()})
    columns = [32 - FOCAL * y / 5 for y in (2.0, 0.0, -2.0)]
    expected = [(round(c) // 4) % 3 for c in columns]
    assert found.labels.class_id.tolist() == [*expected, UNKNOWN]
    assert found.labels.confidence.tolist() == [1, 1, 1, 0]
    assert found.evidence.in_image == found.evidence.visible == 3


def test_what_a_wall_hides_gets_no_label_unless_visibility_is_off():
    points = np.concatenate([[[6.0, 0, 0]], wall(x=2.0, half=0.4, step=0.05)])
    scene = frame(points, [view()])
    class_id, _, evidence = one(scene, {"front": paint(0, 1, 0)})
    assert class_id == UNKNOWN
    assert (evidence.in_image, evidence.visible, evidence.hidden) == (290, 289, 1)
    class_id, _, evidence = one(scene, {"front": paint(0, 1, 0)}, visibility=False)
    assert class_id == WALL
    assert evidence.hidden == 0


def test_what_one_camera_sees_is_not_hidden_by_what_another_sees():
    aside = FORWARD.copy()
    aside[0, 3] = 4.0  # this camera stands 4 m to the left, in front of nothing
    points = np.concatenate([[[6.0, 0, 0]], wall(x=2.0, half=0.4, step=0.05)])
    class_id, _, evidence = one(
        frame(points, [view(), view("aside", aside)]), {"front": paint(0, 1, 0), "aside": paint(0, 0, 1)}
    )
    assert class_id == CAR
    assert evidence.hidden == 0


def test_cameras_that_disagree_are_averaged_or_weighted_by_how_sure_they_are():
    scene = frame([AHEAD], [view("a"), view("b")])
    answers = {"a": paint(0.9, 0.1, 0), "b": paint(0.4, 0.6, 0)}
    class_id, confidence, evidence = one(scene, answers)
    assert (class_id, confidence) == (ROAD, pytest.approx(0.65))
    assert (evidence.cameras_compared, evidence.cameras_agree) == (1, 0)
    assert one(scene, answers, vote="first")[1] == pytest.approx(0.9)
    assert one(scene, answers, confidence_weight=True)[1] == pytest.approx((0.9 * 0.9 + 0.6 * 0.4) / 1.5)
    assert one(scene, {"a": paint(0.9, 0.1, 0), "b": paint(0.6, 0.4, 0)})[2].cameras_agree == 1


def test_the_nearer_camera_and_the_one_straight_ahead_count_more():
    far = FORWARD.copy()
    far[2, 3] = 35.0  # 40 m from the point instead of 5
    answers = {"a": paint(1, 0, 0), "b": paint(0, 1, 0)}
    near_weight, far_weight = np.exp(-5 / 40), np.exp(-40 / 40)
    scene = frame([AHEAD], [view("a"), view("b", far)])
    assert one(scene, answers, range_weight=True)[1] == pytest.approx(near_weight / (near_weight + far_weight))
    aside = turned(np.pi / 4) @ np.eye(4)
    aside[:3, 3] = [0.3, -4.75, 0.05]  # sees the wall's middle at about 45 degrees
    scene = frame(
        wall(x=5.05, half=0.35, step=0.05) + [0, 0.05, 0.05], [view("a"), view("b", FORWARD @ np.linalg.inv(aside))]
    )
    (found,) = label(scene, answers, incidence_weight=True, visibility=False)
    middle = np.argmin(np.abs(scene.scan.points[:, 1:] - 0.05).sum(axis=1))
    direction = scene.scan.points[middle] - aside[:3, 3]
    facing = [5.05 / np.linalg.norm(scene.scan.points[middle]), abs(direction[0]) / np.linalg.norm(direction)]
    assert found.labels.confidence[middle] == pytest.approx(facing[0] / sum(facing), abs=0.01)


def test_an_absorber_never_labels_a_point_it_is_removed_or_leaves_it_unknown():
    scene = frame([AHEAD], [view()])
    sky = {"front": paint(0.2, 0.1, 0.0, 0.3, 0.4)}
    class_id, confidence, evidence = one(scene, sky)
    assert (class_id, confidence) == (ROAD, pytest.approx(2 / 3))
    assert evidence.absorbed == 1
    assert one(scene, sky, absorbers="compete")[:2] == (UNKNOWN, 0.0)
    split = {"front": paint(0.35, 0.05, 0.0, 0.3, 0.3)}  # no absorber alone is better than road
    assert one(scene, split)[2].absorbed == 0


def moving_scene(point_time=True):
    """A LiDAR that drives at 20 m/s to the left while it turns: each point at its own time, the camera at another."""
    rng = np.random.default_rng(3)

    def pose(t):
        return turned(0.5 * t, [0.0, 20.0 * t, 0.1])

    raw = np.stack([rng.uniform(4, 20, 200), rng.uniform(-6, 6, 200), rng.uniform(-1, 1, 200)], axis=1)
    dt, exposed = rng.integers(0, 100_000_000, 200), 0.08
    now = pose(0.0)
    camera_from_lidar = FORWARD @ np.linalg.inv(pose(exposed)) @ now
    views = [view(camera_from_lidar=camera_from_lidar, stamp_ns=START_NS + round(exposed * 1e9))]
    middle = frame(raw, views, time_ns=dt, pose=now)
    frames = [middle, frame([], pose=pose(0.1), stamp_ns=START_NS + 100_000_000)]
    found = label(frames, {"front": bands()}, visibility=False, point_time=point_time)[0].labels.class_id
    expected, near_edge = np.full(200, UNKNOWN), np.zeros(200, bool)
    for i in range(200):  # each point through the world, by itself
        world = pose(dt[i] / 1e9) @ [*middle.scan.points[i], 1.0]
        x, y, z, _ = FORWARD @ np.linalg.inv(pose(exposed)) @ world
        u, v = 32 + FOCAL * x / z, 24 + FOCAL * y / z
        if 0 <= u <= WIDTH - 1 and 0 <= v <= HEIGHT - 1:
            expected[i] = (round(u) // 4) % 3
        near_edge[i] = min(abs((u + 0.5) % 4), 4 - abs((u + 0.5) % 4), abs(u), abs(u - 63), abs(v), abs(v - 47)) < 0.2
    return found[~near_edge], expected[~near_edge]


def test_points_of_a_moving_sensor_fall_where_the_camera_was_at_its_exposure():
    found, expected = moving_scene()
    assert len(found) > 150
    assert (expected != UNKNOWN).sum() > 100
    np.testing.assert_array_equal(found, expected)


def test_without_their_times_they_fall_elsewhere():
    found, expected = moving_scene(point_time=False)
    assert (found != expected).mean() > 0.3


def random_drive(rng, scans=3, cameras=2):
    """Frames of random points, of which some are none, with random answers."""
    answers, frames = {}, []
    for s in range(scans):
        points = rng.uniform([-5, -8, -2], [40, 8, 4], (300, 3))
        points[::17, rng.integers(0, 3)] = np.nan
        points[5::31] = np.inf
        pose = turned(0.02 * s, [0.8 * s, 0, 0])
        stamp = START_NS + s * 100_000_000
        placed = [FORWARD @ turned(rng.uniform(-0.5, 0.5)) for _ in range(cameras)]
        views = [view(f"{s}.{c}", placed[c], stamp) for c in range(cameras)]
        answers |= {v.name: Painted(rng.dirichlet(np.ones(4), (HEIGHT, WIDTH)).astype(np.float32)) for v in views}
        frames.append(frame(points, views, time_ns=rng.integers(0, 50_000_000, 300), pose=pose, stamp_ns=stamp))
    return frames, answers


@pytest.mark.parametrize("config", [LabelerConfig(), EVERYTHING, replace(EVERYTHING, absorbers="compete", keep=0.0)])
@pytest.mark.parametrize("seed", range(3))
def test_every_point_gets_a_class_or_255(config, seed):
    frames, answers = random_drive(np.random.default_rng(seed))
    for given, found in zip(frames, Labeler(Told(answers), config).label(frames), strict=True):
        class_id, confidence = found.labels.class_id, found.labels.confidence
        assert found.frame is given
        assert (class_id.shape, class_id.dtype, confidence.dtype) == ((300,), np.uint8, np.float32)
        assert set(np.unique(class_id)) <= {ROAD, WALL, CAR, UNKNOWN}
        assert ((confidence > 0) == (class_id != UNKNOWN)).all()
        assert (confidence <= 1).all()
        assert (class_id[~np.isfinite(given.scan.points).all(axis=1)] == UNKNOWN).all()
        assert found.evidence.in_image == found.evidence.visible + found.evidence.hidden


@pytest.mark.parametrize("config", [LabelerConfig(), EVERYTHING])
def test_labels_follow_their_points_and_not_the_order_of_the_cameras(config):
    rng = np.random.default_rng(7)
    frames, answers = random_drive(rng, cameras=3)
    config = replace(config, keep=1.0)  # which of two equally sure points is kept is the order's
    expected = list(Labeler(Told(answers), config).label(frames))
    order = rng.permutation(300)
    mixed = [
        replace(f, scan=replace(f.scan, points=f.scan.points[order], intensity=f.scan.intensity[order],
                                time_ns=f.scan.time_ns[order]), views=f.views[::-1])
        for f in frames
    ]  # fmt: skip
    for before, after in zip(expected, Labeler(Told(answers), config).label(mixed), strict=True):
        np.testing.assert_array_equal(before.labels.class_id[order], after.labels.class_id)
        np.testing.assert_allclose(before.labels.confidence[order], after.labels.confidence, atol=1e-5)
        assert before.evidence == after.evidence


@pytest.mark.parametrize("sweeps", [0, 1, 2])
def test_a_stream_is_read_no_further_than_it_votes_and_gives_what_all_frames_together_give(sweeps):
    frames, answers = random_drive(np.random.default_rng(1), scans=7)
    config = replace(EVERYTHING, sweeps=sweeps)
    read = []
    stream = Labeler(Told(answers), config).label(read.append(k) or f for k, f in enumerate(frames))
    for k, found in enumerate(stream):
        assert len(read) <= k + sweeps + 2
        first = max(0, k - sweeps - 1)
        part = list(Labeler(Told(answers), config).label(frames[first : k + sweeps + 2]))
        np.testing.assert_array_equal(found.labels.class_id, part[k - first].labels.class_id)
        np.testing.assert_array_equal(found.labels.confidence, part[k - first].labels.confidence)
        assert found.evidence == part[k - first].evidence
    assert len(read) == 7


def test_each_frame_is_looked_at_once():
    frames, answers = random_drive(np.random.default_rng(1), scans=5)
    teacher = Told(answers)
    list(Labeler(teacher, EVERYTHING).label(frames))
    assert teacher.asked == 5


def test_frames_without_views_and_views_without_an_answer_stay_unknown():
    for scene in (frame(wall()), frame(wall(), [view()]), frame([], [view()])):
        (found,) = label(scene, {}, sweeps=1, ground=True, clusters=True, incidence_weight=True)
        assert (found.labels.class_id == UNKNOWN).all()
        assert found.evidence.in_image == 0
        assert len(found.seen) == len(scene.views)
    assert list(Labeler(Told()).label([])) == []


def test_other_sweeps_label_what_no_camera_sees_now():
    there = frame(wall(), [view()], pose=turned(0.0))
    moved = turned(0.3, [1.0, -0.5, 0.25])  # no point on the border of a cube
    local = (wall() - moved[:3, 3]) @ moved[:3, :3]
    here = frame(local, pose=moved, stamp_ns=START_NS + 100_000_000)
    for settings, share in (({}, 0.0), ({"sweeps": 1}, 1.0)):
        found = label([there, here], {"front": paint(0, 0.8, 0.2)}, **settings)[1]
        assert (found.labels.class_id == WALL).mean() == share
    assert label([there, here], {"front": paint(0, 0.2, 0.8)}, sweeps=1)[1].evidence.sweeps_compared == 0


def test_a_thing_that_may_have_moved_has_no_vote_in_other_sweeps():
    views = [view("first"), view("second")]
    frames = [frame([AHEAD], views[:1]), frame([AHEAD], views[1:], stamp_ns=START_NS + 100_000_000)]

    def second(first, then):
        found = label(frames, {"first": paint(*first), "second": paint(*then)}, sweeps=1, things="car")[1]
        return found.labels.class_id[0], round(float(found.labels.confidence[0]), 3), found.evidence.sweeps_compared

    assert second((0.1, 0.9, 0), (0.6, 0.4, 0)) == (WALL, 0.65, 1)
    assert second((0.1, 0.9, 0), (0.2, 0.2, 0.6)) == (CAR, 0.6, 0)
    assert second((0.1, 0.0, 0.9), (0.6, 0.4, 0)) == (ROAD, 0.6, 0)


def test_without_poses_sweeps_do_not_vote_and_one_warning_says_so(caplog):
    frames = [replace(f, world_from_lidar=None) for f in random_drive(np.random.default_rng(0), scans=4)[0]]
    with caplog.at_level(logging.WARNING):
        found = label(frames, random_drive(np.random.default_rng(0), scans=4)[1], sweeps=1)
    assert all(f.evidence.sweeps_compared == 0 and f.evidence.visible for f in found)
    assert sorted(record.message[:22] for record in caplog.records) == [
        "Frames without a pose:",
        "No pose within a secon",
    ]


def test_a_scan_far_in_time_from_its_neighbours_is_taken_as_it_is(caplog):
    first, second = random_drive(np.random.default_rng(0), scans=2)[0]
    late = replace(second, scan=replace(second.scan, stamp_ns=START_NS + 10_000_000_000))
    answers = random_drive(np.random.default_rng(0), scans=2)[1]
    with caplog.at_level(logging.WARNING):
        found = label([first, late], answers)
    assert [record.message[:36] for record in caplog.records] == ["No pose within a second of a scan: i"]
    np.testing.assert_array_equal(
        found[0].labels.class_id, label([first, late], answers, point_time=False)[0].labels.class_id
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Painted(np.ones((HEIGHT, WIDTH, 4), np.float32), classes=4), "classes"),
        (Painted(np.ones((HEIGHT // 2, WIDTH, 3), np.float32)), "size"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(answer, reason):
    with pytest.raises(BadTeacher) as error:
        label(frame([AHEAD], [view()]), {"front": answer})
    assert error.value.reason == reason


def test_an_answer_for_each_view_is_expected():
    teacher = Told()
    teacher.see = lambda _: []
    with pytest.raises(BadTeacher, match="each of 1 views, but got 0"):
        list(Labeler(teacher).label([frame([AHEAD], [view()])]))


def test_a_class_set_without_flat_classes_says_that_the_ground_rule_is_idle(caplog):
    with caplog.at_level(logging.WARNING):
        label(frame(wall(), [view()]), {"front": paint(0, 1, 0)}, ground=True, flat="lava")
    assert "No class of the class set is flat" in caplog.text
    assert len(CLASSES) == 3


def test_a_scan_of_34_000_points_in_six_images_takes_less_than_half_a_second_of_one_core():
    rng = np.random.default_rng(0)
    points = rng.uniform([-40, -40, -2], [40, 40, 4], (34_000, 3))
    camera = CameraModel(1600, 900, np.array([[1200, 0, 800], [0, 1200, 450], [0, 0, 1.0]]))
    scores = torch.from_numpy(rng.normal(size=(28, 50, 20)).astype(np.float32))
    answer = ClassMap(scores, 100.0, len(CLASSES), (900, 1600), (900 / 28, 32.0))
    views = [replace(view(str(k), FORWARD @ turned(k * np.pi / 3)), camera=camera) for k in range(6)]
    drive = [
        frame(
            points,
            views,
            time_ns=rng.integers(0, 10**8, 34_000),
            pose=turned(0, [s, 0, 0]),
            stamp_ns=START_NS + s * 10**8,
        )
        for s in range(3)
    ]
    labeler, seconds = Labeler(Told({v.name: answer for v in views})), []
    for _ in range(3):
        started = time.thread_time()
        assert len(list(labeler.label(drive))) == 3
        seconds.append((time.thread_time() - started) / 3)
    assert min(seconds) < 0.5, f"{min(seconds):.3f} s"
