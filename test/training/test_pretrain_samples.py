"""Samples for pretraining and their batches: nothing of two sweeps or samples meets, and every pair stays exact."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from pretrain_scene import HEIGHT, WIDTH, Drives, bands, drives, frame, make_labeler, scattered, without_truth_but_wrong

from clip2scene_training.config import (
    AugmentConfig,
    ImageAugmentConfig,
    PairsConfig,
    PretrainDataConfig,
    SweepsConfig,
)
from clip2scene_training.pairs import nearest
from clip2scene_training.pretrain_samples import collate_pretrain, make_pretrain_sample

STILL = AugmentConfig(turn="none", flip=False, scale=0.0, intensity=0.0)
NO_IMAGES = ImageAugmentConfig(give="none")
SMALL = ImageAugmentConfig(width=120, height=70, keep_pairs=30, keep_share=0.6)
CONFIG = PretrainDataConfig(images=SMALL)


def labelled(numbers=(4, 3, 1), points=300, seed=0):
    frames = [frame(i, scattered(points, seed + k // 2)) for k, i in enumerate(numbers)]  # two see the same places
    return [next(iter(make_labeler().label([each]))) for each in frames]


def sample(numbers=(4, 3, 1), config=CONFIG, seed=(0, 0, 0), **other):
    return make_pretrain_sample(labelled(numbers, **other), config, seed)


def same(a, b):
    return [f.name for f in fields(a) if not equal(getattr(a, f.name), getattr(b, f.name))]


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def test_every_point_is_in_the_voxel_of_its_own_sweep():
    found = sample(config=replace(CONFIG, augment=STILL, voxel_size_m=0.5))
    place = np.floor(found.points.numpy().astype(np.float64) / 0.5)
    rows = found.coords[found.inverse].numpy()
    assert np.array_equal(rows, np.c_[found.sweep.numpy(), place])
    assert len({tuple(row) for row in found.coords.tolist()}) == len(found.coords)
    assert found.items.tolist() == [[0, 0], [0, 1], [0, 2]]
    for voxel, feature in enumerate(found.feats[:, 0].tolist()):
        first = int(np.flatnonzero(found.inverse.numpy() == voxel)[0])
        places = found.points[first]
        key = sample(config=replace(CONFIG, augment=STILL)).points[first]
        assert torch.equal(places, key)
        assert 0 <= feature <= 0.3
        if voxel == 20:
            break


def maps_of(found, count):
    """The linear map that each sweep was varied by, from voxels that hold one point's place each."""
    maps = []
    for k in range(count):
        mine = found.sweep == k
        there = found.coords[found.inverse[mine]][:, 1:].double() + 0.5
        solved = torch.linalg.lstsq(found.points[mine].double(), there * 0.01).solution.T
        maps.append(solved.numpy())
    return maps


def test_every_sweep_is_turned_and_mirrored_for_itself():
    found = sample(config=replace(CONFIG, voxel_size_m=0.01))
    maps = maps_of(found, 3)
    for each in maps:
        np.testing.assert_allclose(each @ each.T, np.eye(3), atol=5e-3)
        np.testing.assert_allclose(each[2], [0, 0, 1], atol=2e-3)
    assert min(np.abs(a - b).max() for a, b in itertools.combinations(maps, 2)) > 0.1
    merged = sample(config=replace(CONFIG, voxel_size_m=0.01, sweeps=SweepsConfig(merged=True)))
    assert merged.items.tolist() == [[0, 0]]
    assert (merged.coords[:, 0] == 0).all()
    np.testing.assert_allclose(maps_of(merged, 3)[2], maps_of(merged, 3)[0], atol=2e-3)
    np.testing.assert_allclose(maps_of(merged, 3)[0], maps[0], atol=2e-3)  # the key frame is varied as it always was
    assert torch.equal(merged.cell, found.cell)


@pytest.mark.parametrize("images", ["key", "own"])
def test_pairs_are_found_where_they_are_drawn(images):
    config = replace(CONFIG, pairs=PairsConfig(images=images))
    whole = sample(config=replace(config, images=replace(SMALL, give="whole")))
    bare = sample(config=replace(config, images=NO_IMAGES))
    assert bare.images == ()
    assert bare.views == whole.views == (2 if images == "key" else 6)
    assert torch.equal(bare.pair_pixel, whole.pair_pixel)
    before = {
        (p, v): n for n, (p, v) in enumerate(zip(whole.pair_point.tolist(), whole.pair_view.tolist(), strict=True))
    }
    kept = total = 0
    for seed in range(12):
        found = sample(config=config, seed=(0, seed, 4))
        assert all(image.shape == (70, 120, 3) and image.dtype == torch.uint8 for image in found.images)
        at = nearest(found.pair_pixel.numpy(), (70, 120))
        for n, (row, column) in enumerate(at):
            old = before[int(found.pair_point[n]), int(found.pair_view[n])]
            assert found.pair_class[n] == whole.pair_class[old]
            shown = found.images[int(found.pair_view[n])][row, column].numpy()[:2]  # pictures tell their own pixels
            assert np.abs(shown - whole.pair_pixel[old].numpy()).max() < 1.6  # half a pixel of each image, and rounding
        kept, total = kept + len(at), total + len(before)
    assert 0.5 < kept / total < 0.98


def test_the_pictures_say_which_camera_a_pair_is_of():
    found = sample(config=replace(CONFIG, pairs=PairsConfig(images="own"), images=replace(SMALL, give="whole")))
    assert [int(image[0, 0, 2]) for image in found.images] == [40, 41, 30, 31, 10, 11]
    frames = labelled()
    rows, columns = nearest(found.pair_pixel.numpy(), (HEIGHT, WIDTH)).T
    for n in range(len(found.pair_point)):
        k, v = divmod(int(found.pair_view[n]), 2)
        assert int(found.sweep[found.pair_point[n]]) == k
        assert int(found.pair_class[n]) == bands(frames[k].frame.views[v])[rows[n], columns[n]]


def test_labels_ride_with_their_points():
    frames = labelled()
    found = make_pretrain_sample(frames, replace(CONFIG, pairs=PairsConfig(labels="point")), (0,))
    assert torch.equal(found.pair_class, found.class_id[found.pair_point])
    assert torch.equal(found.pair_confidence, found.confidence[found.pair_point])
    for k, each in enumerate(frames):
        world = each.frame.world_from_lidar
        local = {tuple(np.round(p, 2)): c for p, c in zip(each.frame.scan.points, each.labels.class_id, strict=True)}
        key = np.linalg.inv(world) @ frames[0].frame.world_from_lidar
        mine = found.sweep.numpy() == k
        back = found.points.numpy()[mine] @ key[:3, :3].T + key[:3, 3]
        told = [local.get(tuple(np.round(p.astype(np.float32), 2))) for p in back]
        agree = [int(a) == b for a, b in zip(found.class_id[mine], told, strict=True) if b is not None]
        assert len(agree) > 0.8 * mine.sum()
        assert np.mean(agree) > 0.99


def test_equal_seeds_make_equal_samples_and_others_others():
    one = sample(seed=(1, 2, 3))
    assert same(one, sample(seed=(1, 2, 3))) == []
    assert {"coords", "images", "pair_pixel"} <= set(same(one, sample(seed=(1, 3, 3))))
    still = sample(seed=(1, 2, 3), config=replace(CONFIG, augment=STILL))
    assert same(one, still) == ["coords", "feats", "inverse"]  # images are drawn whatever clouds do


@pytest.mark.parametrize("labels", ["pixel", "point"])
def test_ground_truth_changes_nothing(labels):
    config = replace(CONFIG, pairs=PairsConfig(labels=labels))
    data = Drives([each.frame for each in labelled()], ["a"] * 3)
    made = []
    for each in (data, without_truth_but_wrong(data)):
        frames = [next(iter(make_labeler().label([f]))) for f in each.frames]
        made.append(make_pretrain_sample(frames, config, (0,)))
    assert same(*made) == []


@pytest.mark.parametrize("counts", list(itertools.permutations([1, 2, 3])) + [(1, 1, 1), (3, 3), (2,)])
def test_nothing_of_two_samples_or_sweeps_meets_in_a_batch(counts):
    config = replace(CONFIG, voxel_size_m=0.5, sweeps=SweepsConfig(cell_m=0.5))
    # the same scans again and again, so that equal coordinates abound
    parts = [sample((4, 3, 1)[:count], config, seed=(0, n, 0)) for n, count in enumerate(counts)]
    batch = collate_pretrain(parts)
    assert batch.items.tolist() == [[n, k] for n, count in enumerate(counts) for k in range(count)]
    of = np.repeat(np.arange(len(parts)), [len(p.points) for p in parts])  # sample of each point
    local_voxel = np.concatenate([p.inverse.numpy() for p in parts])
    local_cell = np.concatenate([p.cell.numpy() for p in parts])
    for local, together, size in (
        (local_voxel, batch.inverse.numpy(), len(batch.coords)),
        (local_cell, batch.cell.numpy(), batch.cells),
    ):
        meets = {}
        for key, number in zip(zip(of, local, strict=True), together, strict=True):
            assert meets.setdefault(key, number) == number  # what was together is together
        assert sorted(meets.values()) == list(range(size))  # and nothing else is; every number is used
    rows = batch.coords[batch.inverse]
    assert batch.items[rows[:, 0].long()].tolist() == [[n, k] for n, k in zip(of, batch.sweep.tolist(), strict=True)]
    assert torch.equal(rows[:, 1:], torch.cat([p.coords[p.inverse][:, 1:] for p in parts]))
    assert len({tuple(row) for row in batch.coords.tolist()}) == len(batch.coords)
    pointed = torch.cat([p.points[p.pair_point] for p in parts])
    assert torch.equal(batch.points[batch.pair_point], pointed)
    shown = [p.images[v] for p in parts for v in p.pair_view.tolist()]
    assert all(torch.equal(batch.images[v], image) for v, image in zip(batch.pair_view.tolist(), shown, strict=True))
    assert batch.views == len(batch.images) == 2 * len(parts)


def test_numbers_shift_by_what_a_sample_has_not_by_what_its_pairs_name():
    config = replace(CONFIG, images=NO_IMAGES)
    blind = make_pretrain_sample([replace(each, seen=(None, None)) for each in labelled((4,))], config, (0,))
    blind = replace(blind, pair_point=blind.pair_point[:0], pair_view=blind.pair_view[:0])
    blind = replace(blind, pair_pixel=blind.pair_pixel[:0], pair_class=blind.pair_class[:0])
    blind = replace(blind, pair_confidence=blind.pair_confidence[:0])
    other = sample((4,), config)
    batch = collate_pretrain([blind, other])
    assert torch.equal(batch.pair_view, other.pair_view + 2)
    assert torch.equal(batch.pair_point, other.pair_point + len(blind.points))
    assert torch.equal(other.pair_view, sample((4,), config).pair_view)  # stacking leaves the samples as they were


def test_a_batch_moves_to_a_device():
    moved = collate_pretrain([sample()]).to(torch.device("meta"))
    for each in fields(moved):
        value = getattr(moved, each.name)
        if isinstance(value, torch.Tensor):
            assert value.device.type == "meta", each.name
    assert all(image.device.type == "meta" for image in moved.images)


def test_the_drive_is_as_these_tests_need_it():
    data = drives((2,))
    assert data.frames[0].views[0].image.shape == (HEIGHT, WIDTH, 3)
    assert len(sample().pair_point) > 100
