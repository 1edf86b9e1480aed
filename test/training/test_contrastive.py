"""The contrastive loss against a slow one, and crops that show what they should."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_training.config import TowersConfig, TrainClipConfig
from clip2scene_training.contrastive import contrastive_loss, crops, relit, same_captions

PLAIN = TrainClipConfig(towers=TowersConfig(window_px=16), crop=1.0, light=0.0, tint=0.0, grain=0.0, views=1)


def unit(*shape: int) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))), dim=-1)


def slow_loss(images, texts, scale, same):
    views, total, count = len(images) // len(texts), 0.0, 0
    score = (scale * images @ texts.T).double().numpy()
    for i in range(len(images)):
        own = [t for t in range(len(texts)) if same[i // views, t]]
        total -= sum(score[i, t] - math.log(sum(math.exp(v) for v in score[i])) for t in own) / len(own) / len(images)
    for t in range(len(texts)):
        own = [i for i in range(len(images)) if same[i // views, t]]
        down = math.log(sum(math.exp(v) for v in score[:, t]))
        count -= sum(score[i, t] - down for i in own) / len(own) / len(texts)
    return (total + count) / 2


@pytest.mark.parametrize("views", [1, 3])
def test_the_loss_is_that_of_a_plain_loop(views):
    images, texts, scale = unit(5 * views, 8), unit(5, 8), torch.tensor(7.0)
    same = torch.eye(5, dtype=torch.bool)
    same[1, 3] = same[3, 1] = True
    assert contrastive_loss(images, texts, scale, same).item() == pytest.approx(
        slow_loss(images, texts, 7.0, same), abs=1e-5
    )


def test_pairs_that_fit_cost_nothing_and_mixed_up_ones_much():
    texts = torch.eye(4)
    same = torch.eye(4, dtype=torch.bool)
    scale = torch.tensor(100.0)
    assert contrastive_loss(texts, texts, scale, same).item() < 1e-4
    assert contrastive_loss(texts.roll(1, 0), texts, scale, same).item() > 50


def test_equal_captions_are_no_rivals():
    tokens = torch.tensor([[1, 5, 9], [1, 6, 9], [1, 5, 9]])
    same = same_captions(tokens)
    assert same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    texts = torch.eye(3)[[0, 1, 0]]
    assert contrastive_loss(texts, texts, torch.tensor(100.0), same).item() == pytest.approx(
        2 / 3 * math.log(2), abs=1e-3
    )


def test_a_whole_crop_is_the_photo_made_smaller_and_perhaps_mirrored():
    photo = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8))
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
