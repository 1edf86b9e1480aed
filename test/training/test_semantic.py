"""Semantic consistency against plain loops; what wrong labels do to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clip2scene_training.semantic import capped_weights, semantic_loss, set_contrast, text_logits

FORMS = ("ce", "gce", "sce", "eq1", "eq1_with_pos")
POINTWISE = FORMS[:3]


def pairs(seed: int, n: int, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (n,), generator=generator)
    labels[torch.rand(n, generator=generator) < 0.2] = 255
    return logits, labels


def slow_values(logits, labels, form):
    """Yield the label and the value of each labelled row, from softmax written out."""
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        if label == 255:
            continue
        p = [math.exp(v) / sum(math.exp(u) for u in row) for v in row]
        reverse = -sum(p[c] * (0.0 if c == label else -4.0) for c in range(len(p)))
        yield (
            label,
            {
                "ce": -math.log(p[label]),
                "gce": (1 - p[label] ** 0.7) / 0.7,
                "sce": 0.1 * -math.log(p[label]) + 1.0 * reverse,
            }[form],
        )


def slow_sets(logits, labels, positives_below):
    total, rows = (
        0.0,
        [(row, label) for row, label in zip(logits.tolist(), labels.tolist(), strict=True) if label < 255],
    )
    for c in range(logits.shape[1]):
        own = sum(math.exp(row[c]) for row, label in rows if label == c)
        below = sum(math.exp(row[c]) for row, label in rows if positives_below or label != c)
        if own and below:
            total -= math.log(own / below)
    return total


@pytest.mark.parametrize("form", POINTWISE)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_pointwise_forms_are_those_of_a_plain_loop(form, seed, n):
    logits, labels = pairs(seed, n)
    weights = torch.tensor([0.5, 1.0, 2.0, 0.0, 5.0], dtype=torch.float64)
    values = list(slow_values(logits, labels, form))
    mean = sum(value for _, value in values) / max(len(values), 1)
    assert semantic_loss(logits, labels, form).item() == pytest.approx(mean, abs=1e-9)
    weight = sum(float(weights[label]) for label, _ in values)
    weighted = sum(float(weights[label]) * value for label, value in values) / weight if weight else 0.0
    assert semantic_loss(logits, labels, form, weights=weights).item() == pytest.approx(weighted, abs=1e-9)


@pytest.mark.parametrize("positives_below", [False, True])
@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_both_readings_of_equation_1_are_those_of_a_plain_loop(positives_below, seed, n):
    logits, labels = pairs(seed, n)
    form = "eq1_with_pos" if positives_below else "eq1"
    expected = slow_sets(logits, labels, positives_below)
    assert semantic_loss(logits, labels, form).item() == pytest.approx(expected, abs=1e-9)


def test_equation_1_as_printed_has_no_lower_bound_and_the_other_reading_has():
    labels = torch.tensor([0, 1])
    losses = [
        [set_contrast(length * torch.eye(2), labels, positives_below).item() for length in (1.0, 10.0, 100.0)]
        for positives_below in (False, True)
    ]
    assert losses[0] == pytest.approx([-2.0, -20.0, -200.0])
    assert losses[1][-1] == pytest.approx(0.0, abs=1e-6)
    assert min(losses[1]) >= 0


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_right_and_no_row_without_a_label_has_one(form):
    logits, labels = pairs(3, 9)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: semantic_loss(x, labels, form), logits)
    semantic_loss(logits, labels, form).backward()
    moved = logits.grad.abs().sum(1) > 0
    assert moved.tolist() == (labels != 255).tolist()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [0, 7])
def test_nothing_labelled_costs_nothing_and_keeps_the_graph(form, n):
    features = torch.randn(n, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    logits = text_logits(features, torch.eye(3, 4))
    loss = semantic_loss(logits, torch.full((n,), 255, dtype=torch.uint8), form)
    loss.backward()
    assert loss.item() == 0
    assert features.grad.shape == (n, 4)
    assert not features.grad.any()


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_pairs_does_not_matter(form):
    logits, labels = pairs(5, 40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    expected = semantic_loss(logits, labels, form).item()
    assert semantic_loss(logits[order], labels[order], form).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_scores_of_any_size_give_finite_losses_and_gradients(form):
    logits = torch.tensor([[500.0, -500.0], [500.0, -500.0], [0.0, 500.0]], requires_grad=True)
    loss = semantic_loss(logits, torch.tensor([0, 1, 1]), form)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_a_batch_of_one_class_has_no_negatives_for_equation_1():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), requires_grad=True)
    loss = semantic_loss(logits, torch.ones(4, dtype=torch.int64), "eq1")
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("form", ["gce", "sce"])
def test_an_absurd_label_pulls_less_than_in_the_cross_entropy(form):
    def pull(form):
        logits = torch.tensor([[6.0, 0.0, 0.0]], requires_grad=True)
        semantic_loss(logits, torch.tensor([1]), form).backward()
        return logits.grad.norm().item()

    assert pull(form) < 0.2 * pull("ce")


@pytest.mark.parametrize("form", POINTWISE)
def test_two_processes_together_have_the_loss_of_one(form):
    logits, labels = pairs(9, 30)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 4.0], dtype=torch.float64)
    halves = [slice(0, 9), slice(9, 30)]
    counts = [weights[labels[half][labels[half] < 255]].sum() for half in halves]
    parts = [
        semantic_loss(logits[half], labels[half], form, weights=weights, average=lambda _: sum(counts) / 2).item()
        for half in halves
    ]
    whole = semantic_loss(logits, labels, form, weights=weights).item()
    assert sum(parts) / 2 == pytest.approx(whole, abs=1e-12)


def test_scores_by_direction_do_not_know_lengths():
    features = torch.randn(6, 4, generator=torch.Generator().manual_seed(4))
    text = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(5)), dim=1)
    near = text_logits(features, text, normalize=True, temperature=0.5)
    torch.testing.assert_close(text_logits(7 * features, text, normalize=True, temperature=0.5), near)
    cosines = torch.nn.functional.cosine_similarity(features[:, None], text[None], dim=2)
    torch.testing.assert_close(near, 2 * cosines)
    torch.testing.assert_close(text_logits(7 * features, text), 7 * text_logits(features, text))


def test_no_class_weighs_more_than_the_cap():
    counts = np.array([[1_000_000, 10_000, 10, 0]])
    weights = capped_weights(counts, 0.5, 5.0)
    assert weights[3] == 0
    assert weights[2] == 5
    assert (weights[1] / weights[0]).item() == pytest.approx(min(10.0, 5 / weights[0].item()))
    assert weights[0] < 1 < weights[1]


def test_what_a_form_has_no_use_for_is_refused():
    logits, labels = pairs(0, 4)
    with pytest.raises(ValueError, match="ce, gce, sce, eq1, eq1_with_pos, but got 'kl'"):
        semantic_loss(logits, labels, "kl")
    with pytest.raises(ValueError, match="eq1"):
        semantic_loss(logits, labels, "eq1", weights=torch.ones(5))
