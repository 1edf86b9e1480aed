"""Spatial-temporal consistency against plain loops over cells; chance, order and empty batches."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from clip2scene_ros.errors import BadConfig
from clip2scene_training.config import OFFICIAL_LOSSES, SpaceTimeConfig
from clip2scene_training.consistency import PixelProjection, cosine_loss, group, space_time_loss
from clip2scene_training.switching import generator_for

DEFAULT = SpaceTimeConfig()
OFFICIAL = OFFICIAL_LOSSES.space_time
CONFIGS = (
    DEFAULT,
    OFFICIAL,
    replace(DEFAULT, centre="free", limit=0),
    replace(DEFAULT, centre="detached", temperature=0.2, pick="first"),
    replace(DEFAULT, pixels=False, mean_over="cells", pick="first", limit=2),
    replace(OFFICIAL, pixels=True, limit=3),
)


class Batch:
    """Pairs whose cells hold one pair, some, or more than 8; a fifth of them unlabelled."""

    def __init__(self, seed: int, n: int, cells: int = 4, dim: int = 6) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.points = torch.randn(n, dim, generator=generator, dtype=torch.float64)
        self.pixels = torch.randn(n, dim, generator=generator, dtype=torch.float64)
        self.text = functional.normalize(torch.randn(5, dim, generator=generator, dtype=torch.float64), dim=1)
        self.cell = 7 * torch.randint(cells, (n,), generator=generator)
        self.labels = torch.randint(5, (n,), generator=generator)
        self.labels[torch.rand(n, generator=generator) < 0.2] = 255

    def loss(self, config: SpaceTimeConfig, seed: int = 0, **changed) -> torch.Tensor:
        values = {**vars(self), **changed}
        return space_time_loss(
            values["points"], values["pixels"], values["text"], values["cell"], values["labels"], config,
            generator=generator_for(seed, 0), average=changed.get("average", lambda value: value),
        )  # fmt: skip


def slow_loss(batch: Batch, config: SpaceTimeConfig, chosen: list[int]) -> float:
    """Equations 2 to 4, a cell and a pair after the other, of the pairs that are chosen."""

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    def unit(a):
        return [x / math.sqrt(dot(a, a)) for x in a]

    shaped = unit if config.centre == "normalized" else list
    points, pixels = [shaped(row) for row in batch.points.tolist()], batch.pixels.tolist()
    labels, text = batch.labels.tolist(), batch.text.tolist()
    members: dict[int, list[int]] = {}
    for row, cell in enumerate(batch.cell.tolist()):
        if labels[row] != 255:
            members.setdefault(cell, []).append(row)
    total, slots = 0.0, 0
    for rows in members.values():
        query, kept = text[labels[rows[0]]], [row for row in rows if row in chosen]
        asked = [points[row] for row in kept] + ([pixels[row] for row in kept] if config.pixels else [])
        shares = [math.exp(dot(query, x) / config.temperature) for x in asked]
        centre = [sum(w * x[d] for w, x in zip(shares, asked, strict=True)) / sum(shares) for d in range(len(query))]
        total += sum(1 - 1 / (1 + math.exp(-dot(points[row], shaped(centre)))) for row in kept)
        slots += config.limit - len(kept)
    if config.mean_over == "slots":
        return (total + 0.5 * slots) / (config.limit * len(members)) if members else 0.0
    return total / max(len(members) if config.mean_over == "cells" else len(chosen), 1)


@pytest.mark.parametrize("config", CONFIGS)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 40))
def test_the_loss_is_that_of_a_plain_loop(config, seed, n):
    batch = Batch(seed, n)
    generator = generator_for(seed, 0) if config.pick == "random" else None
    chosen = group(batch.cell, batch.labels, config.limit, generator).pairs.tolist()
    assert batch.loss(config, seed).item() == pytest.approx(slow_loss(batch, config, chosen), abs=1e-9)


@given(seed=st.integers(0, 10_000), n=st.integers(0, 60), limit=st.integers(0, 9))
def test_grouping_without_chance_is_that_of_a_plain_loop(seed, n, limit):
    batch, members = Batch(seed, n), {}
    for row, (cell, label) in enumerate(zip(batch.cell.tolist(), batch.labels.tolist(), strict=True)):
        if label != 255:
            members.setdefault(cell, []).append(row)
    cells = group(batch.cell, batch.labels, limit)
    assert cells.class_id.tolist() == [int(batch.labels[members[cell][0]]) for cell in sorted(members)]
    for number, cell in enumerate(sorted(members)):
        assert cells.pairs[cells.cell == number].tolist() == members[cell][: limit or None]


def test_an_over_full_cell_keeps_a_random_eight_and_every_pair_has_its_turn():
    cell, labels = torch.tensor([3] * 20 + [5]), torch.zeros(21, dtype=torch.int64)
    taken = torch.zeros(21)
    for step in range(400):
        cells = group(cell, labels, 8, generator_for(1, step))
        assert torch.bincount(cells.cell).tolist() == [8, 1]
        taken[cells.pairs] += 1
    assert taken[20] == 400
    share = taken[:20] / 400  # of 8 in 20; its standard deviation is 0.0245
    assert (share - 0.4).abs().max() < 4.5 * 0.0245
    again = [group(cell, labels, 8, generator_for(1, 7)).pairs.tolist() for _ in range(2)]
    assert again[0] == again[1]


def test_a_random_choice_does_not_change_the_class_of_a_cell():
    cell, labels = torch.zeros(30, dtype=torch.int64), torch.ones(30, dtype=torch.int64)
    labels[0], labels[1] = 255, 4
    assert {group(cell, labels, 2, generator_for(0, step)).class_id.item() for step in range(20)} == {4}


@pytest.mark.parametrize("config", [replace(config, limit=50) for config in CONFIGS])
def test_the_order_of_pairs_does_not_matter_but_for_the_first_of_a_cell(config):
    batch = Batch(11, 40)
    batch.labels[batch.labels != 255] = batch.cell[batch.labels != 255] // 7  # a cell is of one class
    expected = batch.loss(config).item()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    for name in ("points", "pixels", "cell", "labels"):
        setattr(batch, name, getattr(batch, name)[order])
    assert batch.loss(config).item() == pytest.approx(expected, abs=1e-12)


def test_numbers_of_cells_do_not_matter():
    batch = Batch(12, 40)
    far = batch.loss(DEFAULT, cell=batch.cell * 1_000_000_007).item()
    assert far == pytest.approx(batch.loss(DEFAULT).item(), abs=1e-12)


@pytest.mark.parametrize("config", CONFIGS)
def test_gradients_are_right_and_reach_what_they_should(config):
    batch = Batch(13, 14)
    points, pixels = batch.points.requires_grad_(), batch.pixels.requires_grad_()
    if config.centre != "detached":  # there the gradient is, on purpose, not that of the value
        inputs = (points, pixels) if config.pixels else (points,)
        assert torch.autograd.gradcheck(lambda p, x=pixels: batch.loss(config, points=p, pixels=x), inputs)
    batch.loss(config).backward()
    assert not points.grad[batch.labels == 255].any()
    moved = pixels.grad is not None and bool(pixels.grad.any())
    assert moved == (config.pixels and config.centre != "detached")


def test_with_a_detached_centre_points_go_to_where_it_is():
    batch = Batch(14, 10, cells=1)
    batch.labels[:] = 2
    points = batch.points.requires_grad_()
    config = replace(DEFAULT, centre="detached", limit=0)
    batch.loss(config).backward()
    both = torch.cat([batch.points, batch.pixels]).detach()
    centre = (both @ batch.text[2]).softmax(0) @ both
    agreement = torch.sigmoid(batch.points.detach() @ centre)
    torch.testing.assert_close(points.grad, -(agreement * (1 - agreement))[:, None] * centre / 10)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("n", [0, 9])
def test_nothing_labelled_costs_nothing_and_keeps_the_graph(config, n):
    batch = Batch(15, n)
    batch.points.requires_grad_()
    loss = batch.loss(config, labels=torch.full((n,), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert batch.points.grad.shape == (n, 6)
    assert not batch.points.grad.any()


def test_a_pair_alone_in_its_cell_is_between_itself_and_its_pixel():
    batch = Batch(16, 1)
    batch.labels[0] = 3
    p, x = batch.points[0], batch.pixels[0]
    weights = torch.stack([p @ batch.text[3], x @ batch.text[3]]).softmax(0)
    expected = 1 - torch.sigmoid(p @ (weights[0] * p + weights[1] * x)).item()
    assert batch.loss(replace(DEFAULT, centre="free")).item() == pytest.approx(expected, abs=1e-12)


def test_longer_features_lower_the_released_loss_and_not_the_default():
    batch = Batch(17, 40)
    batch.points = 0.2 * (batch.points + 3)
    longer = 5 * batch.points
    assert batch.loss(OFFICIAL, points=longer).item() < 0.5 * batch.loss(OFFICIAL).item()
    assert batch.loss(DEFAULT, points=longer).item() == pytest.approx(batch.loss(DEFAULT).item(), abs=1e-12)


def test_empty_slots_dilute_the_released_loss_by_the_half_that_each_counts():
    batch = Batch(18, 5, cells=1)
    batch.labels[:] = 0
    real = batch.loss(replace(OFFICIAL, mean_over="points")).item()
    assert batch.loss(OFFICIAL).item() == pytest.approx((5 * real + 3 * 0.5) / 8, abs=1e-12)


@pytest.mark.parametrize("config", [config for config in CONFIGS if config.pick == "first" or not config.limit])
def test_two_processes_together_have_the_loss_of_one(config):
    batch = Batch(19, 40)
    order = batch.cell.sort(stable=True).indices
    cut = int((batch.cell < 14).sum())
    halves = [order[:cut], order[cut:]]
    counts: list[torch.Tensor] = []

    def noted(value: torch.Tensor) -> torch.Tensor:
        counts.append(value)
        return value

    def loss(rows: torch.Tensor, average) -> float:
        changed = {name: getattr(batch, name)[rows] for name in ("points", "pixels", "cell", "labels")}
        return batch.loss(config, average=average, **changed).item()

    for rows in halves:
        loss(rows, noted)
    together = torch.stack(counts).mean()
    parts = [loss(rows, lambda _: together) for rows in halves]
    assert sum(parts) / 2 == pytest.approx(batch.loss(config).item(), abs=1e-12)


def test_cosine_form_is_one_minus_the_mean_cosine():
    batch = Batch(21, 12)
    known = batch.labels != 255
    cosines = [
        float(p @ x / p.norm() / x.norm()) for p, x, k in zip(batch.points, batch.pixels, known, strict=True) if k
    ]
    assert cosine_loss(batch.points, batch.pixels, known).item() == pytest.approx(1 - np.mean(cosines), abs=1e-12)
    assert cosine_loss(batch.points, batch.points).item() == pytest.approx(0.0, abs=1e-12)
    assert torch.autograd.gradcheck(cosine_loss, (batch.points.requires_grad_(), batch.pixels))
    empty = torch.zeros(0, 4, requires_grad=True)
    cosine_loss(empty, empty).backward()
    assert empty.grad.shape == (0, 4)


def test_the_projection_of_pixels_learns_unless_it_is_as_released():
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(22))
    for learn in (True, False):
        projection = PixelProjection(8, 6, learn)
        out = projection(features)
        torch.testing.assert_close(out.norm(dim=1), torch.ones(5))
        assert out.requires_grad == learn
        assert any(p.requires_grad for p in projection.parameters()) == learn


@pytest.mark.parametrize(
    ("config", "changed", "message"),
    [
        (DEFAULT, {"pixels": None}, "`pixels` of shape \\(9, 6\\), as the points, but got none"),
        (DEFAULT, {"cell": torch.zeros(3)}, "`cell` of shape \\(9,\\)"),
        (DEFAULT, {"labels": torch.zeros(9, 1)}, "`labels` of shape \\(9,\\)"),
        (DEFAULT, {"cell": torch.full((9,), -2)}, "0 or more, but got -2"),
    ],
)
def test_what_does_not_fit_is_refused(config, changed, message):
    with pytest.raises(ValueError, match=message):
        Batch(23, 9).loss(config, **changed)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(BadConfig, match="limit"):
        Batch(24, 9).loss(replace(OFFICIAL, limit=0))
    batch = Batch(25, 9)
    with pytest.raises(ValueError, match="generator"):
        space_time_loss(batch.points, batch.pixels, batch.text, batch.cell, batch.labels, DEFAULT)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("config", CONFIGS)
def test_cuda_agrees_with_the_cpu(config):
    batch = Batch(26, 200, cells=30)
    expected = batch.loss(config).item()
    moved = {name: value.cuda() for name, value in vars(batch).items()}
    assert batch.loss(config, **moved).item() == pytest.approx(expected, abs=1e-10)
