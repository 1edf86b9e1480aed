"""The rivals' terms: which are asked for, what they weigh, what they need, and a student that learns by each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from clip2scene_training.config import OFFICIAL_LOSSES, RIVALS, PretrainLossConfig
from clip2scene_training.consistency import PixelProjection, cosine_loss
from clip2scene_training.contrast import distill_kl, pair_contrast, superpixel_contrast
from clip2scene_training.rival_config import ContrastConfig, DistillConfig, FeatureConfig
from clip2scene_training.rivals import SeenPairs, rival_losses
from clip2scene_training.semantic import text_logits
from clip2scene_training.switching import generator_for

DIM, CLASSES = 6, 4


def seen(n: int = 40, seed: int = 0) -> SeenPairs:
    generator = torch.Generator().manual_seed(seed)

    def rows(dim: int) -> torch.Tensor:
        return torch.randn(n, dim, generator=generator, dtype=torch.float64)

    labels = torch.randint(CLASSES, (n,), generator=generator)
    labels[torch.rand(n, generator=generator) < 0.3] = 255
    return SeenPairs(
        points=rows(DIM).requires_grad_(), labels=labels, logits=rows(CLASSES), features=rows(DIM),
        projected=rows(DIM), teacher=rows(CLASSES), superpixel=torch.randint(9, (n,), generator=generator),
    )  # fmt: skip


def test_by_default_there_is_no_term_but_the_paper_s():
    for config in (PretrainLossConfig(), OFFICIAL_LOSSES):
        assert rival_losses(SeenPairs(torch.zeros(3, 2), torch.zeros(3)), config) == {}
    assert (PretrainLossConfig().switching.accept, PretrainLossConfig().switching.superpoints) == (1.0, False)


@pytest.mark.parametrize("config", RIVALS.values(), ids=RIVALS)
def test_a_rival_has_one_term_and_none_of_the_paper_s(config: PretrainLossConfig):
    assert (config.semantic.weight, config.space_time.weight, config.switching.probability) == (0, 0, 0)
    assert len(rival_losses(seen(), config, generator=generator_for(0, 0))) == 1
    assert config.semantic.normalize == bool(config.feature.weight)  # as the cosines that it learned by


def test_each_term_is_its_own_function_of_the_pairs_that_count():
    pairs = seen()
    known = pairs.labels != 255
    for config, name, expected in (
        (RIVALS["ppkt"], "contrast", pair_contrast(pairs.points, pairs.projected, 0)),
        (RIVALS["slidr"], "contrast", superpixel_contrast(pairs.points, pairs.projected, pairs.superpixel)),
        (RIVALS["openscene"], "feature", cosine_loss(pairs.points[known], pairs.features[known])),
        (RIVALS["kl"], "distill", distill_kl(pairs.logits[known], pairs.teacher[known])),
    ):
        assert rival_losses(pairs, config)[name].item() == pytest.approx(expected.item(), abs=1e-12)


def test_terms_stand_side_by_side_each_with_its_weight():
    pairs = seen()
    config = PretrainLossConfig(
        contrast=ContrastConfig(temperature=0.3, pairs=7, weight=0.5), distill=DistillConfig(2.0, 3.0),
        feature=FeatureConfig(0.25),
    )  # fmt: skip
    found = rival_losses(pairs, config, generator=generator_for(1, 2))
    known = pairs.labels != 255
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {
            "contrast": 0.5
            * pair_contrast(pairs.points, pairs.projected, 7, 0.3, generator=generator_for(1, 2)).item(),
            "distill": 3 * distill_kl(pairs.logits[known], pairs.teacher[known], 2.0).item(),
            "feature": 0.25 * cosine_loss(pairs.points[known], pairs.features[known]).item(),
        }
    )


@pytest.mark.parametrize("name", RIVALS)
def test_without_pairs_a_term_is_0_and_keeps_the_graph(name: str):
    pairs = seen(0)
    logits = torch.zeros(0, CLASSES, dtype=torch.float64, requires_grad=True)
    [value] = rival_losses(replace(pairs, logits=logits), RIVALS[name], generator=generator_for(0, 0)).values()
    value.backward()
    assert value.item() == 0
    assert (logits.grad is not None) or (pairs.points.grad is not None)


@pytest.mark.parametrize(
    ("name", "missing"),
    [("ppkt", "projected"), ("slidr", "superpixel"), ("openscene", "features"), ("kl", "teacher"), ("kl", "logits")],
)
def test_what_a_term_needs_and_does_not_get_is_named(name: str, missing: str):
    with pytest.raises(ValueError, match=f"`{missing}`"):
        rival_losses(replace(seen(), **{missing: None}), RIVALS[name], generator=generator_for(0, 0))


@pytest.mark.parametrize("name", RIVALS)
def test_a_small_student_learns_classes_by_each_rival(name: str):
    """Points of four kinds, pixels that show the same: nobody says which kind is which but the text, or means."""
    generator = torch.Generator().manual_seed(3)
    text = functional.normalize(torch.randn(CLASSES, DIM, generator=generator), dim=1)
    kind = torch.arange(96) % CLASSES
    inputs = functional.one_hot(kind, CLASSES) + 0.1 * torch.randn(96, CLASSES, generator=generator)
    features = functional.normalize(text[kind] + 0.1 * torch.randn(96, DIM, generator=generator), dim=1)
    torch.manual_seed(0)
    student, projection = torch.nn.Linear(CLASSES, DIM), PixelProjection(DIM, DIM)
    optimizer = torch.optim.Adam([*student.parameters(), *projection.parameters()], 0.02)
    for step in range(150):
        points = student(inputs)
        pairs = SeenPairs(
            points, kind, text_logits(points, text), features, projection(features), 10 * features @ text.T,
            superpixel=torch.arange(96) // 2 * CLASSES + kind,
        )  # fmt: skip
        loss = sum(rival_losses(pairs, RIVALS[name], generator=generator_for(0, step)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    points = functional.normalize(student(inputs), dim=1)
    classes = text
    if name in ("ppkt", "slidr"):
        classes = torch.stack([points[kind == c].mean(0) for c in range(CLASSES)])
    assert ((points @ functional.normalize(classes, dim=1).T).argmax(1) == kind).float().mean() > 0.95
