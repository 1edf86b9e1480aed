"""Augmentation keeps shapes, order and what must not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clip2scene_ros.frame import Frame, Scan
from clip2scene_training.augment import TURNS, augment, paste
from clip2scene_training.config import AugmentConfig


@pytest.fixture
def scan():
    rng = np.random.default_rng(0)
    return Scan(rng.normal(size=(200, 3)).astype(np.float32) * 20, rng.uniform(size=200).astype(np.float32))


def distances(points):
    return np.linalg.norm(points[:50, None] - points[None, 50:100], axis=-1)


def test_rotation_and_mirror_keep_distances_and_height(scan):
    rigid = AugmentConfig(scale=0.0, intensity=0.0)
    for seed in range(20):
        moved = augment(scan, rigid, np.random.default_rng(seed))
        np.testing.assert_allclose(distances(moved.points), distances(scan.points), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(moved.points[:, 2], scan.points[:, 2], rtol=1e-6)
        assert np.abs(moved.points - scan.points).max() > 0.1
        assert moved.points.dtype == np.float32


def test_quarter_turns_come_in_all_four(scan):
    quarter = AugmentConfig(turn="quarter", flip=False, scale=0.0, intensity=0.0)
    a, b = scan.points[0, 0], scan.points[0, 1]
    turned = {(a, b): 0, (-b, a): 0, (-a, -b): 0, (b, -a): 0}
    for seed in range(40):
        moved = augment(scan, quarter, np.random.default_rng(seed)).points[0, :2]
        nearest = min(turned, key=lambda xy: float(np.abs(np.array(xy) - moved).max()))
        np.testing.assert_allclose(moved, nearest, atol=1e-5)
        turned[nearest] += 1
    assert min(turned.values()) > 0


def test_mirrors_come_in_both_kinds(scan):
    only_flip = AugmentConfig(turn="none", scale=0.0, intensity=0.0)
    signs = set()
    for seed in range(40):
        moved = augment(scan, only_flip, np.random.default_rng(seed)).points
        signs.add(tuple(np.sign(moved[0, :2] * scan.points[0, :2]).astype(int)))
    assert signs == {(1, 1), (1, -1), (-1, 1), (-1, -1)}


def test_scale_and_intensity_stay_in_their_ranges(scan):
    ratios = []
    for seed in range(40):
        moved = augment(scan, AugmentConfig(turn="none", flip=False), np.random.default_rng(seed))
        ratios.append(float(moved.points[0, 0] / scan.points[0, 0]))
        assert 0 <= moved.intensity.min() <= moved.intensity.max() <= 1
        assert np.all(moved.intensity <= scan.intensity * 1.1001)
    assert 0.95 <= min(ratios) < 0.97
    assert 1.03 < max(ratios) <= 1.05


def test_the_scale_of_intensity_changes_both_ways_within_its_factor(scan):
    dim = replace(scan, intensity=scan.intensity / 10)
    scales = AugmentConfig(intensity=0.0, intensity_factor=6.0)
    gains = [augment(dim, scales, np.random.default_rng(seed)).intensity[0] / dim.intensity[0] for seed in range(40)]
    assert 1 / 6 <= min(gains) < 0.25
    assert 4 < max(gains) <= 6
    assert 0.35 < np.mean(np.array(gains) < 1) < 0.65
    assert augment(scan, scales, np.random.default_rng(int(np.argmax(gains)))).intensity.max() == 1


def test_a_mount_is_lifted_and_leans_within_its_ranges_and_keeps_shapes(scan):
    mounts = AugmentConfig(turn="none", flip=False, scale=0.0, height_m=0.5, tilt_deg=3.0)
    scan = replace(scan, points=np.concatenate([np.zeros((1, 3), np.float32), scan.points[1:]]))
    lifts, leans = [], []
    for seed in range(40):
        moved = augment(scan, mounts, np.random.default_rng(seed)).points
        np.testing.assert_allclose(distances(moved), distances(scan.points), rtol=1e-4, atol=1e-4)
        lifts.append(moved[0, 2])  # of the sensor itself
        rotation = np.linalg.lstsq(scan.points.astype(float), moved - moved[0], rcond=None)[0]
        leans.append(np.degrees(np.arccos(np.clip(rotation[2, 2], -1, 1))))
        np.testing.assert_array_equal(moved[0, :2], 0)
    assert -0.5 <= min(lifts) < -0.4
    assert 0.4 < max(lifts) <= 0.5
    assert min(leans) < 0.8
    assert 2.5 < max(leans) <= 3.0 * 2**0.5


def test_off_changes_nothing_and_equal_seeds_agree(scan):
    off = AugmentConfig(turn="none", flip=False, scale=0.0, intensity=0.0)
    np.testing.assert_array_equal(augment(scan, off, np.random.default_rng(3)).points, scan.points)
    a, b = (augment(scan, AugmentConfig(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a.points, b.points)


def test_pasted_things_keep_distance_height_and_label_and_nothing_else_changes(scan):
    labels = (np.arange(200) % 5).astype(np.uint8)
    other = Frame(replace(scan, points=scan.points[::-1].copy()), labels=labels)
    mixed, found = paste(scan, labels, other, np.array([1, 3]), np.random.default_rng(4))
    taken = np.isin(labels, (1, 3))
    assert len(mixed) == len(found) == 200 + TURNS * taken.sum()
    np.testing.assert_array_equal(mixed.points[:200], scan.points)
    np.testing.assert_array_equal(found[:200], labels)
    np.testing.assert_array_equal(found[200:], np.tile(labels[taken], TURNS))
    for start in range(200, len(found), taken.sum()):
        added, origin = mixed.points[start : start + taken.sum()], other.scan.points[taken]
        np.testing.assert_allclose(np.linalg.norm(added, axis=1), np.linalg.norm(origin, axis=1), rtol=1e-5)
        np.testing.assert_array_equal(added[:, 2], origin[:, 2])
        assert np.abs(added - origin).max() > 1
