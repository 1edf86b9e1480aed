"""Superpoints of a batch: each sweep by itself, numbered apart, as the labeler's cluster rule has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from test_pretrain_samples import sample

from clip2scene_ros.teacher.ground import heights
from clip2scene_ros.teacher.rules import by_cluster, vote
from clip2scene_training.superpoints import superpoints_of

ROAD = 20_000


def street(seed: int) -> np.ndarray:
    """(N, 3) a piece of road with four poles and a house."""
    rng = np.random.default_rng(seed)
    road = np.c_[rng.uniform(-20, 20, (ROAD, 2)), rng.normal(-1.8, 0.01, ROAD)]
    poles = [
        np.c_[rng.normal(xy, 0.05, (30, 2)), np.linspace(-1.4, 0.5, 30)] for xy in ([5, 5], [6, -4], [-7, 2], [9, 9])
    ]
    y, z = np.meshgrid(np.arange(-16, 16, 0.3), np.arange(-1.4, 3, 0.3))
    house = np.c_[np.full(y.size, -15.0), y.ravel(), z.ravel()]
    return np.concatenate([road, *poles, house]).astype(np.float32)


def batch_of(scans: list[np.ndarray]):
    """A batch of sweeps in turns, a voxel a point."""
    number = np.concatenate([np.full(len(scan), k) for k, scan in enumerate(scans)])
    order = np.random.default_rng(0).permutation(len(number))
    points = torch.from_numpy(np.concatenate(scans)[order])
    coords = torch.zeros(len(number), 4, dtype=torch.int32)
    coords[:, 0] = torch.from_numpy(number[order])
    return replace(sample(), points=points, coords=coords, inverse=torch.arange(len(number)))


def test_what_hangs_together_is_one_superpoint_and_the_ground_is_none():
    scan = street(0)
    found = superpoints_of(batch_of([scan]))
    order = np.random.default_rng(0).permutation(len(scan))
    by_part = [found[np.isin(order, np.arange(ROAD + 30 * k, ROAD + 30 + 30 * k))].tolist() for k in range(4)]
    assert all(len({*part}) == 1 and part[0] >= 0 for part in by_part)
    assert len({part[0] for part in by_part}) == 4
    assert (found[np.flatnonzero(order < ROAD)] == -1).float().mean() > 0.99
    assert (found[np.flatnonzero(order >= ROAD + 120)] == -1).all()  # a house is no thing


def test_sweeps_never_share_one_and_vote_as_each_would_alone():
    scans = [street(0), street(1), street(0)]
    batch = batch_of(scans)
    found, scan = superpoints_of(batch), batch.coords[:, 0]
    numbers = [set(found[(scan == k) & (found >= 0)].tolist()) for k in range(3)]
    assert not numbers[0] & numbers[1]
    assert not numbers[0] & numbers[2]
    assert min(map(len, numbers)) >= 4
    chances = torch.from_numpy(np.random.default_rng(2).dirichlet([2, 0.5, 0.5], len(found)).astype(np.float32))
    voted = vote(chances, found)
    for k in range(3):
        mine = np.flatnonzero(scan == k)
        points = batch.points[mine].numpy()
        alone = by_cluster(chances[mine].numpy(), points, heights(points))
        np.testing.assert_allclose(voted[mine], alone, atol=1e-6)
    assert (voted != chances).any(1).sum() > 200
