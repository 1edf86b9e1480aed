"""Losses of the rivals against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from clip2scene_training.contrast import distill_kl, info_nce, pair_contrast, superpixel_contrast
from clip2scene_training.switching import generator_for


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


def unit(row):
    length = math.sqrt(sum(x * x for x in row))
    return [x / length for x in row]


def test_superpixels_are_averaged_then_contrasted_as_in_a_plain_loop():
    points, pixels = drawn(6, 11, 4), drawn(7, 11, 4)
    superpixel = torch.tensor([903, 5, 5, 40, 903, 5, 40, 7, 903, 5, 7])
    groups = [[i for i in range(11) if superpixel[i] == g] for g in (5, 7, 40, 903)]
    keys, queries = (
        torch.tensor([[sum(unit(side[i].tolist())[d] for i in g) / len(g) for d in range(4)] for g in groups])
        for side in (points, pixels)
    )
    found = superpixel_contrast(points, pixels, superpixel, 0.2)
    assert found.item() == pytest.approx(slow_info_nce(keys, queries, 0.2, None), abs=1e-6)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    again = superpixel_contrast(points[order], pixels[order], superpixel[order], 0.2)
    assert again.item() == pytest.approx(found.item(), abs=1e-12)
    leaves = (points.requires_grad_(), pixels.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, q: superpixel_contrast(p, q, superpixel, 0.2), leaves)


def test_every_pair_a_superpixel_of_its_own_is_the_contrast_of_pairs():
    points, pixels = drawn(8, 9, 4), drawn(9, 9, 4)
    apart = superpixel_contrast(points, pixels, torch.arange(9) * 3, 0.1)
    assert apart.item() == pytest.approx(pair_contrast(points, pixels, 0, 0.1).item(), abs=1e-12)
    assert superpixel_contrast(points, pixels, torch.zeros(9, dtype=torch.int64), 0.1).item() == pytest.approx(0)


def test_pairs_are_drawn_by_seed_and_step_and_lengths_do_not_count():
    points, pixels = drawn(10, 50, 4), drawn(11, 50, 4)
    chosen = torch.randperm(50, generator=generator_for(3, 4))[:8]
    keys, queries = (torch.tensor([unit(row) for row in side[chosen].tolist()]) for side in (points, pixels))
    found = pair_contrast(points, pixels, 8, 0.2, generator=generator_for(3, 4))
    assert found.item() == pytest.approx(slow_info_nce(keys, queries, 0.2, None), abs=1e-6)
    longer = pair_contrast(7 * points, pixels / 3, 8, 0.2, generator=generator_for(3, 4))
    assert longer.item() == pytest.approx(found.item(), abs=1e-12)
    assert pair_contrast(points, pixels, 8, 0.2, generator=generator_for(3, 5)).item() != pytest.approx(found.item())
    leaves = (points.requires_grad_(), pixels.requires_grad_())
    assert torch.autograd.gradcheck(lambda p, q: pair_contrast(p, q, 8, 0.2, generator=generator_for(3, 4)), leaves)


def test_fewer_pairs_than_are_to_be_drawn_are_all_taken():
    points, pixels = drawn(12, 5, 4), drawn(13, 5, 4)
    assert pair_contrast(points, pixels, 5).item() == pair_contrast(points, pixels, 0).item()
    with pytest.raises(ValueError, match="generator"):
        pair_contrast(points, pixels, 4)


def test_the_right_pairs_are_found_by_learning_and_wrong_ones_cost_more():
    points = drawn(14, 12, 8)
    mixed = points[torch.arange(12).roll(1)]
    assert pair_contrast(points, 3 * points, 0) < 0.1 < 1 < pair_contrast(points, mixed, 0)


@pytest.mark.parametrize("superpixels", [True, False])
def test_contrast_without_pairs_costs_nothing(superpixels):
    empty, none = torch.zeros(0, 4, requires_grad=True), torch.zeros(0, 4)
    group = torch.zeros(0, dtype=torch.int64)
    value = superpixel_contrast(empty, none, group) if superpixels else pair_contrast(empty, none, 10)
    value.backward()
    assert value.item() == 0
    assert empty.grad.shape == (0, 4)


def test_two_processes_distil_as_one():
    student, teacher = drawn(15, 9, 3), drawn(16, 9, 3)
    whole, parts = distill_kl(student, teacher), (slice(0, 2), slice(2, 9))
    shares = [distill_kl(student[p], teacher[p], average=lambda _: torch.tensor(4.5)) for p in parts]
    assert sum(shares).item() / 2 == pytest.approx(whole.item(), abs=1e-12)
