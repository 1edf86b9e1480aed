"""Batches are a function of seed and step: the same for any number of workers, processes and interruptions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Frame, Scan
from clip2scene_training.config import FinetuneConfig
from clip2scene_training.loader import Batches, frame_chances, frame_order

CONFIG = FinetuneConfig(batch_size=2, seed=3)


def frames(count):
    """Return labelled frames; each holds class 0, and the last also class 1."""
    found = []
    for i in range(count):
        rng = np.random.default_rng(i)
        points = rng.uniform(-9, 9, (60, 3)).astype(np.float32)
        labels = np.zeros(60, np.uint8)
        labels[:20] = i == count - 1
        found.append(Frame(Scan(points, np.full(60, i / 10, np.float32)), labels=labels))
    return found


def counts_of(dataset):
    return np.array([np.bincount(frame.labels, minlength=3) for frame in dataset])


def drawn(config, steps, start=0, process=0, processes=1, count=5):
    """Return the batches of some steps as lists of numbers."""
    data = frames(count)
    batches = Batches(data, counts_of(data), config, start, process, processes)
    return [(b.coords.tolist(), b.feats.tolist(), b.labels.tolist()) for b in islice(batches, steps)]


@pytest.mark.parametrize("start", [0, 3, 5, 12])
@pytest.mark.parametrize("chances", [None, np.array([0.1, 0.1, 0.1, 0.1, 0.6])])
def test_order_goes_on_where_it_stopped(start, chances):
    whole = list(islice(frame_order(5, 7, chances=chances), 25))
    assert list(islice(frame_order(5, 7, start, chances), 10)) == whole[start : start + 10]
    assert [number for number, _ in whole] == list(range(25))
    other_seed = list(islice(frame_order(5, 8, chances=chances), 25))
    assert other_seed != whole


def test_uniform_order_sees_every_frame_once_an_epoch_and_never_in_the_same_order():
    whole = [frame for _, frame in islice(frame_order(5, seed=7), 25)]
    epochs = [whole[i : i + 5] for i in range(0, 25, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_frame_is_drawn_more_often_the_rarer_its_rarest_class_is():
    held = np.zeros((100, 3), np.int64)
    held[:, 0] = 500  # in every frame
    held[:4, 1] = 50  # in 4 of 100: drawn 1 / sqrt(0.04) = 5 times as often
    held[10, 1] = 3  # too few to count
    chances = frame_chances(held)
    assert chances.sum() == pytest.approx(1.0)
    assert chances[:4] / chances[50] == pytest.approx(5.0)
    assert chances[10] == chances[50]
    seen = Counter(frame for _, frame in islice(frame_order(100, 0, chances=chances), 20_000))
    assert sum(seen[i] for i in range(4)) / 20_000 == pytest.approx(20 / 116, rel=0.1)


@pytest.mark.parametrize("sampling", ["uniform", "balanced"])
def test_workers_and_restarts_change_no_bit_of_a_batch(sampling):
    config = replace(CONFIG, sampling=sampling)
    whole = drawn(config, 6)
    assert drawn(replace(config, workers=2), 6) == whole
    assert drawn(replace(config, workers=1), 2, start=4) == whole[4:]


def test_other_seeds_make_other_batches_and_balance_prefers_the_rare_frame():
    assert drawn(CONFIG, 2) != drawn(replace(CONFIG, seed=4), 2)
    uniform, balanced = (
        sum(1 in labels for _, _, labels in drawn(replace(CONFIG, batch_size=1, sampling=sampling), 120, count=12))
        for sampling in ("uniform", "balanced")
    )
    assert uniform == 10
    assert balanced > 20


def test_processes_share_the_scans_that_one_would_have():
    whole = drawn(CONFIG, 3)
    parts = [drawn(CONFIG, 3, process=p, processes=2) for p in range(2)]
    for step in range(3):
        coords, _, labels = whole[step]
        shared = [([[p, *row[1:]] for row in parts[p][step][0]], parts[p][step][2]) for p in range(2)]
        assert shared[0][0] + shared[1][0] == coords
        assert shared[0][1] + shared[1][1] == labels


class DamagedFrames(list):
    """Frames of which the last cannot be read."""

    def __getitem__(self, index):
        if index == len(self) - 1:
            raise BadDataset("cache", "frame.npz is damaged.")
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_frame_is_told_in_one_sentence_wherever_it_is_met(workers):
    batches = Batches(DamagedFrames(frames(3)), np.ones((3, 3)), replace(CONFIG, workers=workers))
    with pytest.raises(BadDataset) as caught:
        list(islice(batches, 3))
    assert (caught.value.reason, str(caught.value)) == ("cache", "frame.npz is damaged.")


def test_a_batch_counts_its_scans_and_time_spent_waiting_is_told():
    data = frames(2)
    batches = Batches(data, counts_of(data), CONFIG)
    assert next(batches).coords[:, 0].unique().tolist() == [0, 1]
    assert batches.waited_s == 0.0  # the first waits for workers to start
    assert torch.equal(next(batches).coords[:, 0].unique(), torch.tensor([0, 1], dtype=torch.int32))
    assert batches.waited_s > 0.0
