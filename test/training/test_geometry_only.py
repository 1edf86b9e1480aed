"""Classes by shape: things of known sizes on a plane, and what a class set lacks."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set, parse_words
from clip2scene_ros.frame import UNKNOWN
from clip2scene_training.geometry_only import label_by_geometry

WORLD = load_class_set("world")
GROUND_Z = -1.8


def ground() -> np.ndarray:
    x, y = np.meshgrid(np.arange(-24, 24, 0.25), np.arange(-24, 24, 0.25))
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, GROUND_Z)], axis=1)


def box(length: float, width: float, low: float, top: float, turn: float = 0.4, at: tuple = (8.0, 5.0)) -> np.ndarray:
    """The walls of a box on the ground, every 0.15 m; its corners exactly."""
    sides = []
    steps = [np.linspace(-s / 2, s / 2, max(int(s / 0.15), 1) + 1) for s in (length, width)]
    for z in np.linspace(low, top, max(int((top - low) / 0.15), 1) + 1):
        sides += [
            np.c_[steps[0], np.full_like(steps[0], s), np.full_like(steps[0], z)] for s in (-width / 2, width / 2)
        ]
        sides += [
            np.c_[np.full_like(steps[1], s), steps[1], np.full_like(steps[1], z)] for s in (-length / 2, length / 2)
        ]
    points = np.concatenate(sides)
    c, s = np.cos(turn), np.sin(turn)
    points[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]]) + at
    points[:, 2] += GROUND_Z
    return points


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.5])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("traffic cone", (0.35, 0.35, 0.15, 0.75)),
        ("pedestrian", (0.6, 0.5, 0.15, 1.75)),
        ("bicycle", (1.75, 0.5, 0.15, 1.2)),
        ("motorcycle", (2.2, 0.95, 0.15, 1.4)),
        ("barrier", (2.0, 0.5, 0.15, 1.0)),
        ("car", (4.5, 1.9, 0.2, 1.5)),
        ("truck", (7.0, 2.5, 0.3, 3.4)),
        ("bus", (11.0, 2.8, 0.3, 3.2)),
    ],
)
def test_a_thing_of_a_class_s_size_is_of_that_class(name: str, size: tuple, turn: float):
    thing, plane = box(*size, turn=turn), ground()
    found = label_by_geometry(np.concatenate([plane, thing]).astype(np.float32), WORLD)
    assert (found.class_id[len(plane) :] == WORLD.index(name)).mean() > 0.97
    road = np.linalg.norm(plane[:, :2] - [8, 5], axis=1) > 8
    assert (found.class_id[: len(plane)][road] == WORLD.index("driveable surface")).mean() > 0.99


def test_a_long_wall_is_a_house_and_a_cloud_of_leaves_is_a_tree():
    rng = np.random.default_rng(0)
    plane = ground()
    y, z = np.meshgrid(np.arange(-18, 18, 0.2), np.arange(0.3, 5, 0.2))
    wall = np.stack([np.full(y.size, 15.0), y.ravel(), z.ravel() + GROUND_Z], axis=1)
    leaves = rng.uniform([-16, -14, 0.5 + GROUND_Z], [-8, 14, 6 + GROUND_Z], (6000, 3))
    found = label_by_geometry(np.concatenate([plane, wall, leaves]).astype(np.float32), WORLD)
    of_wall, of_leaves = found.class_id[len(plane) : len(plane) + len(wall)], found.class_id[-len(leaves) :]
    assert (of_wall == WORLD.index("manmade")).mean() > 0.95
    assert (of_leaves == WORLD.index("vegetation")).mean() > 0.95


def test_what_a_class_set_lacks_goes_to_the_next_rule_that_fits():
    plane, thing = ground(), box(1.75, 0.5, 0.15, 1.2)
    points = np.concatenate([plane, thing]).astype(np.float32)
    by_words = [label_by_geometry(points, parse_words(words)) for words in ("road; motorcycle", "road; tree", "road")]
    last = [set(found.class_id[len(plane) :]) for found in by_words]
    assert last[0] == {1}
    assert last[1] <= {1, UNKNOWN}
    assert last[2] == {UNKNOWN}
    assert (by_words[2].confidence == (by_words[2].class_id != UNKNOWN)).all()


def test_points_that_are_none_and_scans_without_points_are_unknown():
    points = np.concatenate([ground(), [[np.nan, 0, 0], [np.inf, 1, 1]]]).astype(np.float32)
    assert (label_by_geometry(points, WORLD).class_id[-2:] == UNKNOWN).all()
    assert label_by_geometry(np.zeros((0, 3), np.float32), WORLD).class_id.shape == (0,)
