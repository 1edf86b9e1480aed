"""Pairs of points and pixels, against a projection written out by hand and the labeler's own labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pretrain_scene import CAMERA, CLASSES, HEIGHT, START_NS, WIDTH, Bands, bands, frame, pose, scattered

from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.frame import UNKNOWN, Frame, PseudoLabels, Scan, View
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_training.config import PairsConfig, SweepsConfig
from clip2scene_training.pairs import classes_at, find_pairs, looks, nearest, with_pixel_classes, with_point_classes
from clip2scene_training.sweeps import gather

RANGE = (0.5, 80.0)
OPEN = PairsConfig(visibility=False)
FORWARD = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


def pairs_of(frames, config):
    cloud = gather(frames, SweepsConfig(), RANGE)
    images = looks(frames, cloud, config)
    return cloud, images, find_pairs(cloud, images, config)


def pixel_by_hand(point, world_from_camera):
    """Row and column of a world point, or None outside; pinhole, nothing shared with the code under test."""
    x, y, z = (np.linalg.inv(world_from_camera) @ [*point, 1.0])[:3]
    if z <= 0.1:
        return None
    column, row = 50 * x / z + 47, 52 * y / z + 31
    return (row, column) if 0 <= row <= HEIGHT - 1 and 0 <= column <= WIDTH - 1 else None


@pytest.mark.parametrize("images", ["key", "own"])
def test_pairs_are_those_of_a_projection_by_hand(images):
    numbers, world = (4, 3, 1), [scattered(150, s) for s in range(3)]
    frames = [frame(i, points) for i, points in zip(numbers, world, strict=True)]
    cloud, views, pairs = pairs_of(frames, replace(OPEN, images=images))
    assert len(views) == (2 if images == "key" else 6)
    expected = {}
    for n in range(len(cloud)):
        k = cloud.sweep[n]
        taken = numbers[k] if images == "own" else numbers[0]
        for v, view in enumerate(frames[k if images == "own" else 0].views):
            place = pixel_by_hand(world[k][cloud.index[n]], pose(taken) @ np.linalg.inv(view.camera_from_lidar))
            if place is not None:
                expected[n, 2 * k + v if images == "own" else v] = place
    found = dict(zip(zip(pairs.point.tolist(), pairs.view.tolist(), strict=True), pairs.pixel.tolist(), strict=True))
    assert found.keys() == expected.keys()
    assert len(found) == len(pairs) > 60
    np.testing.assert_allclose([found[key] for key in expected], list(expected.values()), atol=2e-2)
    assert (pairs.class_id == UNKNOWN).all()


def standing(points, i=0, views=()) -> Frame:
    points = np.array(points, np.float32).reshape(-1, 3)
    return Frame(Scan(points, np.zeros(len(points), np.float32), START_NS - i), tuple(views), np.eye(4))


def patch(x):
    """A square of points, upright, at a distance."""
    y, z = np.meshgrid(np.arange(-1, 1.01, 0.1), np.arange(-1, 1.01, 0.1))
    return np.stack([np.full(y.size, float(x)), y.ravel(), z.ravel()], axis=1)


def test_what_came_hides_the_older_sweep_and_what_left_hides_nothing_of_the_key_frame():
    view = View("front", np.zeros((HEIGHT, WIDTH, 3), np.uint8), CAMERA, FORWARD)
    middle = [[12.0, 0.0, 0.0]]
    came = [standing(patch(3), 0, [view]), standing(middle, 1)]
    cloud, _, pairs = pairs_of(came, PairsConfig())
    assert not (cloud.sweep[pairs.point] == 1).any()
    assert (cloud.sweep[pairs_of(came, OPEN)[2].point] == 1).sum() == 1
    left = [standing(middle, 0, [view]), standing(patch(3), 1)]
    cloud, _, pairs = pairs_of(left, PairsConfig())
    assert (cloud.sweep[pairs.point] == 0).sum() == 1
    assert (cloud.sweep[pairs.point] == 1).sum() > 300
    both = [standing(np.concatenate([middle, patch(3)]), 0, [view]), standing([], 1)]
    cloud, _, pairs = pairs_of(both, PairsConfig())
    assert 0 not in cloud.index[pairs.point]  # in one sweep the nearer hides the farther


def test_a_point_that_two_cameras_see_is_in_two_pairs():
    views = [View(name, np.zeros((HEIGHT, WIDTH, 3), np.uint8), CAMERA, FORWARD) for name in ("a", "b")]
    _, _, pairs = pairs_of([standing([[6.0, 0.5, 0.2]], 0, views)], PairsConfig())
    assert pairs.point.tolist() == [0, 0]
    assert pairs.view.tolist() == [0, 1]


def test_frames_without_images_or_points_have_no_pairs():
    assert len(pairs_of([standing([[6.0, 0, 0]])], PairsConfig())[2]) == 0
    view = View("front", np.zeros((HEIGHT, WIDTH, 3), np.uint8), CAMERA, FORWARD)
    assert len(pairs_of([standing([], 0, [view])], PairsConfig())[2]) == 0


def test_classes_are_those_of_the_nearest_pixel():
    frames = [frame(4, scattered(200, 0)), frame(2, scattered(200, 1))]
    _, _, pairs = pairs_of(frames, PairsConfig())
    seen = Bands().see(frames[0])
    told = with_pixel_classes(pairs, [seen[0], None])
    rows, columns = nearest(pairs.pixel, (HEIGHT, WIDTH)).T
    first = pairs.view == 0
    assert 0 < first.sum() < len(pairs)
    assert np.array_equal(told.class_id[first], bands(frames[0].views[0])[rows, columns][first])
    assert (told.class_id[~first] == UNKNOWN).all()
    assert (told.confidence[~first] == 0).all()
    assert told.confidence[first] == pytest.approx(0.75)


class Mixed:
    """Pixels with any chances; half of them are absorbers'."""

    classes = 3
    size = (HEIGHT, WIDTH)

    def __init__(self):
        import torch

        chances = torch.rand(HEIGHT, WIDTH, 5, generator=torch.Generator().manual_seed(0))
        self.chances = chances / chances.sum(-1, keepdim=True)

    def at(self, pixels):
        place = pixels.round().long()
        return self.chances[place[..., 1], place[..., 0]]

    def labels(self):
        raise NotImplementedError


@pytest.mark.parametrize("absorbers", ["removed", "compete"])
def test_classes_and_confidences_are_the_labelers_where_one_camera_sees_a_point(absorbers):
    view = View("front", np.zeros((HEIGHT, WIDTH, 3), np.uint8), CAMERA, FORWARD)
    spread = np.random.default_rng(0).uniform([4, -5, -2], [30, 5, 2], (400, 3))
    only = standing(spread, 0, [view])
    cloud, _, pairs = pairs_of([only], PairsConfig())

    class Teacher(Bands):
        def see(self, frame):
            return [mixed]

    mixed = Mixed()
    (labelled,) = Labeler(Teacher(), LabelerConfig(absorbers=absorbers)).label([only])
    told = with_pixel_classes(pairs, [mixed], absorbers)
    places = cloud.index[pairs.point]
    assert len(places) > 200
    assert np.array_equal(told.class_id, labelled.labels.class_id[places])
    if absorbers == "removed":
        assert (told.class_id != UNKNOWN).all()
    else:
        assert 0.3 < (told.class_id == UNKNOWN).mean() < 0.7
    np.testing.assert_allclose(told.confidence, labelled.labels.confidence[places], atol=1e-6)


def test_nothing_known_of_a_pixel_stays_unknown():
    image = Bands().see(frame(0, scattered(3, 0)))[0]
    image.class_id[:] = UNKNOWN
    class_id, confidence = classes_at(image, np.array([[3.0, 4.0]], np.float32))
    assert class_id.tolist() == [UNKNOWN]
    assert confidence.tolist() == [0.0]


def test_a_pair_may_have_its_points_class():
    cloud, _, pairs = pairs_of([frame(4, scattered(200, 0))], PairsConfig())
    labels = PseudoLabels((np.arange(len(cloud)) % len(CLASSES)).astype(np.uint8), np.linspace(0, 1, len(cloud)))
    told = with_point_classes(pairs, labels)
    assert np.array_equal(told.class_id, pairs.point % 3)
    assert np.array_equal(told.confidence, labels.confidence[pairs.point])


def test_nearest_pixels_stay_in_the_image():
    places = np.array([[-0.5, -0.49], [0.49, 0.51], [63.5, 95.5]], np.float32)
    assert nearest(places, (64, 96)).tolist() == [[0, 0], [0, 1], [63, 95]]
