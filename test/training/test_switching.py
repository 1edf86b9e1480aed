"""Self-training: when it starts, what is switched, what repeats itself, and the average that predicts."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.student.networks import TwoHeads, build_network
from clip2scene_ros.student.sparse.tensor import SparseTensor
from clip2scene_training.config import OFFICIAL_LOSSES, SwitchConfig
from clip2scene_training.switching import (
    MovingAverage,
    generator_for,
    self_labels,
    self_trains,
    switched_labels,
    unpaired,
)

POINT, BATCH = SwitchConfig(granularity="point"), SwitchConfig(granularity="batch")
LABELS = torch.tensor([0, 1, 2, 255] * 500, dtype=torch.uint8)
PREDICTED = torch.full((2000,), 4)


def switched(config: SwitchConfig, step: int, seed: int = 0) -> torch.Tensor:
    return switched_labels(LABELS, PREDICTED, config, generator_for(seed, step))


@pytest.mark.parametrize(
    ("start", "steps", "first"),
    [(0.5, 20, 10), (0.55, 20, 11), (1 / 3, 30, 10), (0.0, 7, 0), (1.0, 7, 7), (0.3, 10, 3)],
)
def test_it_starts_once_and_stays(start, steps, first):
    config = replace(POINT, start=start)
    assert [self_trains(step, steps, config) for step in range(steps)] == [step >= first for step in range(steps)]


def test_without_probability_there_is_none():
    assert not self_trains(99, 100, replace(POINT, probability=0.0))


def test_the_released_start_is_after_epoch_10_of_20_counted_from_0():
    started = [self_trains(epoch, 20, OFFICIAL_LOSSES.switching) for epoch in range(20)]
    assert started == [epoch > 10 for epoch in range(20)]


def test_every_point_has_a_coin_of_its_own():
    labels = switched(POINT, 3)
    own = labels == 4
    assert torch.equal(labels[~own], LABELS[~own].long())
    assert 0.45 < own.float().mean() < 0.55  # 4.5 standard deviations
    rare = switched(replace(POINT, probability=0.1), 3) == 4
    assert 0.07 < rare.float().mean() < 0.13


def test_where_a_prediction_is_not_accepted_the_label_stays():
    predicted = PREDICTED.clone()
    predicted[::2] = 255
    found = switched_labels(LABELS, predicted, replace(POINT, probability=1.0), generator_for(0, 0))
    assert torch.equal(found[::2], LABELS[::2].long())
    assert (found[1::2] == 4).all()


def drawn_logits(n: int = 500) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return 2 * torch.randn(n, 4, generator=generator) + torch.tensor([3.0, 1.0, 0.0, -3.0])


def test_by_default_every_prediction_is_a_label():
    logits = drawn_logits().requires_grad_()
    found = self_labels(logits, SwitchConfig())
    assert torch.equal(found, logits.argmax(1))
    assert not found.requires_grad


def test_each_class_s_surest_share_is_accepted():
    logits = drawn_logits()
    chances = logits.softmax(1).numpy()
    for share in (0.5, 0.1, 0.01):
        found = self_labels(logits, SwitchConfig(accept=share)).numpy()
        for label in range(4):
            mine = [(chances[i, label], i) for i in range(500) if chances[i].argmax() == label]
            kept = sorted(mine, reverse=True)[: max(round(share * len(mine)), 1)]
            assert sorted(np.flatnonzero(found == label)) == sorted(i for _, i in kept)
            assert len(mine) > 1  # a rare one too
        assert set(found.tolist()) == {0, 1, 2, 3, 255}


def test_of_equally_sure_predictions_all_are_accepted():
    assert torch.equal(self_labels(torch.eye(3).repeat(4, 1), SwitchConfig(accept=0.3)), torch.arange(3).repeat(4))
    assert self_labels(torch.zeros(0, 3), SwitchConfig(accept=0.3)).shape == (0,)


def test_a_superpoint_speaks_with_one_voice_where_its_majority_is_clear():
    logits = torch.tensor([[3.0, 0, 0]] * 5 + [[0, 2.0, 0]] * 2 + [[0, 0, 1.0]] * 3 + [[0, 1.0, 0]] * 3)
    superpoint = torch.tensor([4] * 7 + [9] * 6)
    config = SwitchConfig(superpoints=True)
    found = self_labels(logits, config, superpoint)
    assert found.tolist() == [0] * 7 + [2] * 3 + [1] * 3  # 5 of 7; 3 of 6 are no majority
    assert self_labels(logits, config, torch.full((13,), -1)).tolist() == logits.argmax(1).tolist()
    with pytest.raises(ValueError, match="superpoint"):
        self_labels(logits, config)


def test_a_batch_has_one_coin():
    results = [switched(BATCH, step) for step in range(400)]
    own = [torch.equal(labels, PREDICTED) for labels in results]
    assert all(mine or torch.equal(labels, LABELS.long()) for mine, labels in zip(own, results, strict=True))
    assert 155 < sum(own) < 245  # 4.5 standard deviations


@pytest.mark.parametrize("config", [POINT, BATCH])
def test_seed_and_step_decide(config):
    runs = [torch.stack([switched(config, step, seed) for step in range(30)]) for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert len({tuple(row.tolist()) for row in runs[0]}) > 1


def test_streams_are_independent_of_each_other():
    draws = [torch.rand(1000, generator=generator_for(5, 6, stream), dtype=torch.float64) for stream in (0, 1)]
    assert abs(torch.corrcoef(torch.stack(draws))[0, 1]) < 0.15
    assert torch.equal(draws[1], torch.rand(1000, generator=generator_for(5, 6, 1), dtype=torch.float64))


def test_certain_coins_replace_every_label_and_what_has_none():
    labels = switched(replace(POINT, probability=1.0), 0)
    assert torch.equal(labels, PREDICTED)
    assert labels.dtype == torch.int64


def test_unpaired_points_are_those_that_a_set_difference_gives():
    pairs = torch.tensor([5, 1, 5, 0])
    assert unpaired(pairs, 7).nonzero().squeeze(1).tolist() == sorted(set(range(7)) - set(pairs.tolist()))
    assert unpaired(torch.zeros(0, dtype=torch.int64), 3).all()
    assert len(unpaired(torch.zeros(0, dtype=torch.int64), 0)) == 0


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))


def trained(module: nn.Module, seed: int) -> None:
    """Change all weights and moments of a module, as a step of training does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)
    module(torch.randn(8, 3, generator=generator))


def test_the_average_is_the_weighted_sum_of_all_states_so_far():
    module = network()
    average = MovingAverage(module, 0.6)
    expected = {name: value.clone().double() for name, value in module.state_dict().items()}
    for n in range(12):
        trained(module, n)
        average.update(module)
        decay = min(0.6, (1 + n) / (10 + n))
        expected = {name: decay * expected[name] + (1 - decay) * v.double() for name, v in module.state_dict().items()}
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], atol=1e-5, rtol=1e-5)
        else:
            assert value == module.state_dict()[name] == 12


def test_the_average_is_in_evaluation_mode_and_bears_no_gradients():
    module = network()
    average = MovingAverage(module, 0.9).train()
    x = torch.randn(5, 3)
    assert not average(x).requires_grad
    assert torch.equal(average(x), average(x))  # no dropout, no moments of the batch
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    before = copy.deepcopy(average.module.state_dict())
    trained(module, 0)
    average(x)
    assert all(torch.equal(value, before[name]) for name, value in average.module.state_dict().items())


def test_an_average_that_was_saved_goes_on_as_if_it_had_not_been():
    module = network()
    average, other = MovingAverage(module, 0.95), MovingAverage(network(), 0.95)
    for n in range(3):
        trained(module, n)
        average.update(module)
    other.load_state_dict(average.state_dict())
    trained(module, 9)
    for each in (average, other):
        each.update(module)
    assert all(
        torch.equal(a, b) for a, b in zip(average.state_dict().values(), other.state_dict().values(), strict=True)
    )
    assert average.updates == 4


def test_the_average_of_a_student_with_two_heads_predicts():
    student = TwoHeads(build_network(NetworkConfig()))
    average = MovingAverage(student, 0.999)
    coords = torch.cartesian_prod(torch.zeros(1), *[torch.arange(4.0)] * 3).to(torch.int32)
    scan = SparseTensor(torch.rand(64, 1, generator=torch.Generator().manual_seed(0)), coords)
    student.eval()
    for theirs, mine in zip(student(scan), average(scan), strict=True):
        torch.testing.assert_close(mine, theirs)
        assert not mine.requires_grad
    with torch.no_grad():
        student.network.head.bias += 1.0
    average.update(student)  # the first update has a decay of 0.1
    torch.testing.assert_close(average.module.network.head.bias, student.network.head.bias - 0.1)
