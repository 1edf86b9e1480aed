"""The linear probe against a solver of all rows at once, batch by batch as at once, classes that nobody names."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from clip2scene_ros.classes import parse_words
from clip2scene_ros.errors import BadTeacher
from clip2scene_training.readout import RIDGE, LinearProbe

CLASSES = parse_words("road; wall; car")


def drawn(n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, 5, generator=generator) * torch.rand(n, 1, generator=generator) * 20
    labels = torch.multinomial(torch.tensor([6.0, 2.0, 1.0, 3.0]), n, replacement=True, generator=generator)
    return features, torch.where(labels == 3, 255, labels)


def probe_of(features: torch.Tensor, labels: torch.Tensor) -> LinearProbe:
    probe = LinearProbe(CLASSES, 5)
    probe.add(features, labels)
    return probe


def test_the_probe_is_the_weighted_least_squares_solution():
    features, labels = drawn()
    rows, targets, total = [], [], int((labels != 255).sum())
    for row, label in zip(features.tolist(), labels.tolist(), strict=True):
        if label != 255:
            length, weight = math.sqrt(sum(x * x for x in row)), (int((labels == label).sum()) / total) ** -0.5
            rows.append([math.sqrt(weight) * x / length for x in row])
            targets.append([math.sqrt(weight) * (label == c) for c in range(3)])
    ridge = RIDGE * sum(x * x for row in rows for x in row) / 5
    stacked = np.vstack([rows, math.sqrt(ridge) * np.eye(5)])
    expected = np.linalg.lstsq(stacked, np.vstack([targets, np.zeros((5, 3))]), rcond=None)[0].T
    np.testing.assert_allclose(probe_of(features, labels).vectors().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_scan_by_scan_is_as_all_at_once_and_the_longest_feature_counts_no_more():
    features, labels = drawn()
    parts = LinearProbe(CLASSES, 5)
    for start in range(0, 60, 7):
        parts.add(100 * features[start : start + 7].requires_grad_(), labels[start : start + 7].to(torch.uint8))
    torch.testing.assert_close(probe_of(features, labels).vectors(), parts.vectors())
    assert not parts.vectors().requires_grad


def test_classes_are_told_apart_that_share_their_strongest_direction_and_wrong_labels_are_outvoted():
    generator = torch.Generator().manual_seed(1)
    truth = torch.multinomial(torch.tensor([0.8, 0.15, 0.05]), 3000, replacement=True, generator=generator)
    features = torch.eye(5)[truth] + 0.2 * torch.randn(3000, 5, generator=generator)
    features[:, 4] += 4 * torch.randn(3000, generator=generator)  # much that says nothing of the class
    noisy = torch.where(torch.rand(3000, generator=generator) < 0.2, (truth + 1) % 3, truth)
    found = (features @ probe_of(features, noisy).vectors().T).argmax(1)
    for c in range(3):
        assert (found[truth == c] == c).float().mean() > 0.9


def test_a_class_without_a_pseudo_label_is_named():
    probe = probe_of(torch.randn(4, 5), torch.tensor([0, 0, 255, 0]))
    with pytest.raises(BadTeacher, match="No point of 3 has a pseudo-label of wall, car"):
        probe.vectors()
