"""Frames to batches: labels by majority, features as the segmenter's, one look at the data before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import Frame, Scan
from clip2scene_training.batching import collate, majority, make_sample
from clip2scene_training.survey import class_weights, survey


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 2, 255])), max_size=40))
def test_majority_equals_a_count_voxel_by_voxel(points):
    inverse = torch.tensor([v for v, _ in points], dtype=torch.int64)
    labels = torch.tensor([c for _, c in points], dtype=torch.uint8)
    expected = []
    for voxel in range(5):
        votes = Counter(c for v, c in points if v == voxel and c != 255)
        expected.append(min(votes, key=lambda c: (-votes[c], c)) if votes else 255)
    assert majority(labels, inverse, 5).tolist() == expected


def test_a_sample_holds_voxels_features_and_labels_of_the_kept_points():
    points = np.array([[1.05, 0, 0], [1.15, 0, 0], [1.1, 0.01, 0], [0.1, 0, 0], [9, 9, 9], [np.nan, 0, 0]], np.float32)
    intensity = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], np.float32)
    labels = np.array([1, 2, 2, 0, 255, 0], np.uint8)
    sample = make_sample(Scan(points, intensity), labels, 0.2, 1, (0.5, 80.0))
    assert sample.coords.tolist() == [[5, 0, 0], [45, 45, 45]]
    assert sample.feats.tolist() == [[pytest.approx(0.1)], [0.5]]
    assert sample.labels.tolist() == [2, 255]
    batch = collate([sample, sample])
    assert batch.coords.tolist() == [[0, 5, 0, 0], [0, 45, 45, 45], [1, 5, 0, 0], [1, 45, 45, 45]]
    assert batch.coords.dtype == torch.int32
    assert batch.labels.tolist() == [2, 255, 2, 255]


def frame(labels, seed=0):
    n = len(labels)
    points = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    return Frame(Scan(points, np.zeros(n, np.float32)), labels=np.array(labels, np.uint8))


def test_survey_counts_classes_and_its_hash_sees_every_change():
    frames = [frame([0, 0, 1, 255]), frame([2], seed=1)]
    found = survey(frames, 4)
    assert found.counts.tolist() == [[2, 1, 0, 0], [0, 0, 1, 0]]
    assert survey(frames, 4).sha256 == found.sha256
    assert survey([frames[0], frame([1], seed=1)], 4).sha256 != found.sha256
    assert survey([frames[0], frame([2], seed=2)], 4).sha256 != found.sha256


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([], "empty"),
        ([frame([255, 255])], "empty"),
        ([frame([0, 4])], "class_id"),
        ([Frame(frame([0]).scan)], "no_labels"),
    ],
)
def test_data_that_nothing_can_be_learned_from_is_refused(frames, reason):
    with pytest.raises(BadDataset) as error:
        survey(frames, 4)
    assert error.value.reason == reason


def test_class_weights_balance_frequent_and_rare():
    counts = np.array([[60, 300, 0], [40, 600, 0]])
    assert class_weights(counts, 0.0).tolist() == [1.0, 1.0, 0.0]
    full = class_weights(counts, 1.0)
    assert full[0] * 100 == pytest.approx(float(full[1] * 900))
    half = class_weights(counts, 0.5)
    assert half[0] / half[1] == pytest.approx(3.0)
    assert (half[0] * 100 + half[1] * 900) / 1000 == pytest.approx(1.0)
