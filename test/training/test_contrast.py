"""Losses of the rivals against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from clip2scene_training.contrast import distill_kl, info_nce


def drawn(seed: int, n: int, dim: int) -> torch.Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_info_nce(keys, queries, temperature, labels):
    total = 0.0
    for i in range(len(keys)):
        below = [j for j in range(len(keys)) if j == i or labels is None or labels[i] != labels[j]]
        scores = {j: float(keys[i] @ queries[j]) / temperature for j in below}
        total -= scores[i] - math.log(sum(math.exp(value) for value in scores.values()))
    return total / len(keys)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 0, 2, 2, 0, 3])])
def test_contrast_of_pairs_is_that_of_a_plain_loop(labels):
    keys, queries = (functional.normalize(drawn(seed, 7, 5), dim=1) for seed in (0, 1))
    loss = info_nce(keys, queries, 0.2, labels)
    assert loss.item() == pytest.approx(slow_info_nce(keys, queries, 0.2, labels), abs=1e-9)
    leaves = (keys.requires_grad_(), queries.requires_grad_())
    assert torch.autograd.gradcheck(lambda k, q: info_nce(k, q, 0.2, labels), leaves)


def test_pairs_of_one_class_alone_have_no_negatives():
    keys = drawn(2, 4, 5)
    assert info_nce(keys, drawn(3, 4, 5), 0.1, torch.zeros(4)).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_is_that_of_a_plain_loop(temperature):
    student, teacher = drawn(4, 6, 3), drawn(5, 6, 3)
    total = 0.0
    for s, t in zip(
        (student / temperature).softmax(1).tolist(), (teacher / temperature).softmax(1).tolist(), strict=True
    ):
        total += sum(b * math.log(b / a) for a, b in zip(s, t, strict=True))
    assert distill_kl(student, teacher, temperature).item() == pytest.approx(temperature**2 * total / 6, abs=1e-9)
    assert distill_kl(teacher, teacher, temperature).item() == pytest.approx(0.0, abs=1e-12)
    assert torch.autograd.gradcheck(lambda s: distill_kl(s, teacher, temperature), student.requires_grad_())


@pytest.mark.parametrize("loss", [info_nce, distill_kl])
def test_no_pairs_cost_nothing_and_keep_the_graph(loss):
    empty = torch.zeros(0, 4, requires_grad=True)
    value = loss(empty, torch.zeros(0, 4))
    value.backward()
    assert value.item() == 0
    assert empty.grad.shape == (0, 4)
