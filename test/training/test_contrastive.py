"""The contrastive loss against a slow one, and crops that show what they should."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_training.config import TowersConfig, TrainClipConfig
from clip2scene_training.contrastive import cell_scores, contrastive_loss, crops, phrases_of, relit

PLAIN = TrainClipConfig(towers=TowersConfig(window_px=32), crop=1.0, light=0.0, tint=0.0, grain=0.0, views=1)


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))), dim=-1)


def slow_loss(score, own):
    score, total, count = score.double().numpy(), 0.0, 0.0
    for i in range(len(score)):
        mine = [t for t in range(len(score[0])) if own[i, t]]
        total -= sum(score[i, t] - math.log(sum(math.exp(v) for v in score[i])) for t in mine) / len(mine) / len(score)
    for t in range(len(score[0])):
        mine = [i for i in range(len(score)) if own[i, t]]
        down = math.log(sum(math.exp(v) for v in score[:, t]))
        count -= sum(score[i, t] - down for i in mine) / len(mine) / len(score[0])
    return (total + count) / 2


def test_the_loss_is_that_of_a_plain_loop():
    logits = 7.0 * unit(6, 8) @ unit(5, 8).T
    own = torch.eye(6, 5, dtype=torch.bool)
    own[5, 1] = own[5, 3] = own[0, 4] = True
    assert contrastive_loss(logits, own).item() == pytest.approx(slow_loss(logits, own), abs=1e-5)


def test_pairs_that_fit_cost_nothing_and_mixed_up_ones_much():
    logits, own = 100.0 * torch.eye(4), torch.eye(4, dtype=torch.bool)
    assert contrastive_loss(logits, own).item() < 1e-4
    assert contrastive_loss(logits.roll(1, 0), own).item() > 50


def test_a_caption_falls_into_the_things_that_it_names():
    phrases, own = phrases_of(
        ["a photo of a red car and a tree", "a tree", "a bus, a van next to a tree", "grandmother"]
    )
    assert phrases == ["a photo of a red car", "a tree", "a bus", "a van", "grandmother"]
    assert own.int().tolist() == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 1]]


def test_a_text_is_scored_by_the_cell_that_it_fits_best():
    cells, texts = unit(3, 5, 8), unit(4, 8)
    cosines = cells @ texts.T
    torch.testing.assert_close(cell_scores(cells, texts, 1000.0), cosines.amax(1), atol=2e-3, rtol=0)
    torch.testing.assert_close(cell_scores(cells, texts, 0.1), cosines.mean(1), atol=2e-2, rtol=0)
    expected = (10 * cosines.double()).exp().mean(1).log() / 10
    torch.testing.assert_close(cell_scores(cells, texts, 10.0).double(), expected)


def test_a_whole_crop_is_the_photo_made_smaller_and_perhaps_mirrored():
    photo = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8))
    smaller = functional.avg_pool2d(photo.permute(0, 3, 1, 2).float() / 255, 2)
    seen = {torch.allclose(crops(photo, PLAIN, np.random.default_rng(k)), smaller, atol=1e-5) for k in range(12)}
    mirrored = {
        torch.allclose(crops(photo, PLAIN, np.random.default_rng(k)), smaller.flip(-1), atol=1e-5) for k in range(12)
    }
    assert seen == mirrored == {True, False}


def test_small_crops_show_a_part_and_stay_inside():
    ramp = torch.arange(64, dtype=torch.uint8).repeat(64, 1)[None, :, :, None].expand(1, 64, 64, 3)
    config = replace(PLAIN, crop=0.25, views=200)
    seen = crops(ramp, config, np.random.default_rng(1)).mul(255)
    widths = (seen[:, 0, 0, 0] - seen[:, 0, 0, -1]).abs()
    assert widths.min() < 18  # a quarter of the photo
    assert widths.max() > 50  # nearly all of it
    assert seen.min() >= -1e-3
    assert seen.max() <= 63 + 1e-3


def test_views_of_a_photo_follow_one_another():
    photos = torch.zeros(3, 20, 20, 3, dtype=torch.uint8)
    photos[1], photos[2] = 100, 200
    levels = crops(photos, replace(PLAIN, views=2, crop=0.5), np.random.default_rng(0)).mean((1, 2, 3)) * 255
    assert levels.round().tolist() == [0, 0, 100, 100, 200, 200]


def test_light_varies_about_what_it_was():
    pixels = torch.full((400, 3, 4, 4), 0.5)
    other = relit(pixels, replace(PLAIN, light=0.25, tint=0.08), np.random.default_rng(0))
    assert other.mean().item() == pytest.approx(0.5, abs=0.04)
    assert 0.05 < other.mean((1, 2, 3)).std() < 0.2
    assert torch.equal(relit(pixels, PLAIN, np.random.default_rng(0)), pixels)
