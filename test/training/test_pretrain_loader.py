"""Batches for pretraining: a function of seed and step, whoever makes them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from pretrain_scene import drives, make_labeler

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_training.config import ImageAugmentConfig, PretrainDataConfig, SweepsConfig
from clip2scene_training.pretrain_loader import PretrainSamples, pretrain_batches
from clip2scene_training.pseudo_labels import make_pseudo_labels

CONFIG = PretrainDataConfig(images=ImageAugmentConfig(width=64, height=40, keep_pairs=20))


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return make_pseudo_labels(drives((4, 3), points=120), make_labeler, "bands", tmp_path_factory.mktemp("labels"))


def facts(batch):
    """All of a batch as bytes."""
    tensors = [value for value in vars(batch).values() if isinstance(value, torch.Tensor)]
    return pickle.dumps([batch.cells, batch.views, *(t.numpy() for t in (*tensors, *batch.images))])


def drawn(frames, steps, *, config=CONFIG, seed=3, size=2, **options):
    samples = PretrainSamples(frames, config, seed)
    return [facts(b) for b in islice(pretrain_batches(samples, size, **options), steps)]


def test_workers_and_restarts_change_no_bit_of_a_batch(frames):
    whole = drawn(frames, 6)
    assert len(set(whole)) == 6
    assert drawn(frames, 2, start=4) == whole[4:]
    assert drawn(frames, 6, workers=1) == whole
    assert drawn(frames, 6, seed=4) != whole


def test_processes_share_the_key_frames_of_a_step(frames):
    samples = PretrainSamples(frames, CONFIG, 3)
    whole = list(islice(pretrain_batches(samples, 2), 4))
    parts = [list(islice(pretrain_batches(samples, 2, process=p, processes=2), 4)) for p in range(2)]
    for step, batch in enumerate(whole):
        assert torch.equal(batch.points, torch.cat([parts[0][step].points, parts[1][step].points]))


def test_an_epoch_has_every_key_frame_once_and_no_two_epochs_are_alike(frames):
    samples = PretrainSamples(frames, replace(CONFIG, sweeps=SweepsConfig(count=1)), 0, keys=[1, 3, 5])
    assert len(samples) == 3
    batches = list(islice(pretrain_batches(samples, 1), 6))
    known = {tuple(frames.frames[i].scan.points[0].tolist()): i for i in (1, 3, 5)}
    keys = [known.get(tuple(b.points[0].tolist())) for b in batches]
    found = [[k for k in keys[i : i + 3] if k is not None] for i in (0, 3)]
    assert all(len(set(each)) == len(each) >= 2 for each in found)
    one = PretrainSamples(frames, samples.config, 0, keys=[5])
    first, second = islice(pretrain_batches(one, 1), 2)
    assert torch.equal(first.points, second.points)
    assert not torch.equal(first.coords, second.coords)
    a, b = samples[0, 1], samples[1, 1]
    assert torch.equal(a.points, b.points)
    assert not torch.equal(a.coords, b.coords)


def test_sweeps_are_of_the_scene_of_the_key_frame_and_of_its_past(frames):
    samples = PretrainSamples(frames, CONFIG, 0)
    counts = [len(samples[0, key].items) for key in range(7)]
    assert counts == [1, 2, 3, 3, 1, 2, 3]
    chosen = {tuple(samples[epoch, 3].points[samples[epoch, 3].sweep == 1][0].tolist()) for epoch in range(20)}
    assert len(chosen) == 2  # the latest of two out of three before it


def test_the_sensors_way_is_known_from_the_neighbours_of_a_sweep(frames, tmp_path):
    data = drives((4,), points=120)
    times = np.linspace(0, 49_000_000, 120).astype(np.int64)
    data.frames[:] = [replace(f, scan=replace(f.scan, time_ns=times)) for f in data.frames]
    timed = make_pseudo_labels(data, make_labeler, "bands", tmp_path)
    alone = PretrainSamples(timed, replace(CONFIG, sweeps=SweepsConfig(count=1)), 0)[0, 1]
    expected = points_at_stamp(data.frames[1], [data.frames[0], data.frames[2]])
    raw = data.frames[1].scan.points
    assert np.abs(expected - raw).max() > 0.1
    assert {tuple(p) for p in alone.points.tolist()} <= {tuple(p) for p in expected.tolist()}


def test_damaged_labels_are_told_as_what_they_are_by_a_worker_too(tmp_path):
    made = make_pseudo_labels(drives((2,), points=50), make_labeler, "bands", tmp_path)
    for path in made.folder.iterdir():
        path.write_bytes(b"no labels")
    with pytest.raises(BadDataset, match="delete it"):
        next(pretrain_batches(PretrainSamples(made, CONFIG, 0), 1, workers=1))
