"""Prototypes: mean directions against a plain loop, batch by batch as at once, classes that nobody names."""

from __future__ import annotations

import math

import pytest
import torch

from clip2scene_ros.classes import parse_words
from clip2scene_ros.errors import BadTeacher
from clip2scene_training.readout import Prototypes

CLASSES = parse_words("road; wall; car")


def drawn(n: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(n, 5, generator=generator) * torch.rand(n, 1, generator=generator) * 20
    labels = torch.randint(4, (n,), generator=generator)
    return features, torch.where(labels == 3, 255, labels)


def test_a_class_is_the_mean_direction_of_its_points():
    features, labels = drawn()
    prototypes = Prototypes(CLASSES, 5)
    prototypes.add(features, labels)
    for c in range(3):
        total = [0.0] * 5
        for row, label in zip(features.tolist(), labels.tolist(), strict=True):
            if label == c:
                length = math.sqrt(sum(x * x for x in row))
                total = [t + x / length for t, x in zip(total, row, strict=True)]
        length = math.sqrt(sum(x * x for x in total))
        assert prototypes.vectors()[c].tolist() == pytest.approx([x / length for x in total], abs=1e-6)
    assert prototypes.counts.tolist() == [int((labels == c).sum()) for c in range(3)]


def test_scan_by_scan_is_as_all_at_once_and_the_longest_feature_counts_no_more():
    features, labels = drawn()
    once, parts = Prototypes(CLASSES, 5), Prototypes(CLASSES, 5)
    once.add(features, labels)
    for start in range(0, 60, 7):
        parts.add(100 * features[start : start + 7].requires_grad_(), labels[start : start + 7].to(torch.uint8))
    torch.testing.assert_close(once.vectors(), parts.vectors())
    assert not parts.vectors().requires_grad


def test_separate_clusters_are_told_apart_by_their_prototypes():
    generator = torch.Generator().manual_seed(1)
    truth = torch.arange(300) % 3
    features = 3 * torch.eye(5)[truth] + 0.3 * torch.randn(300, 5, generator=generator)
    noisy = torch.where(torch.rand(300, generator=generator) < 0.3, (truth + 1) % 3, truth)
    prototypes = Prototypes(CLASSES, 5)
    prototypes.add(features, noisy)
    assert ((features @ prototypes.vectors().T).argmax(1) == truth).float().mean() > 0.99


def test_a_class_without_a_pseudo_label_is_named():
    prototypes = Prototypes(CLASSES, 5)
    prototypes.add(torch.randn(4, 5), torch.tensor([0, 0, 255, 0]))
    with pytest.raises(BadTeacher, match="No point of 3 has a pseudo-label of wall, car"):
        prototypes.vectors()
