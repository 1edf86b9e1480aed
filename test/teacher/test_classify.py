"""From features to classes: pixels, absorbers, refinement, and experts among the sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from clip2scene_ros.classes import parse_words
from clip2scene_ros.config import DenseConfig, TextConfig
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.teacher.classify import classify, denoise, smoothed
from clip2scene_ros.teacher.experts import choose_experts
from clip2scene_ros.teacher.maps import ClassMap, FeatureMap
from clip2scene_ros.teacher.text import WordRows, class_vectors

CLASSES = parse_words("road; car; tree")


def axes(*words: str, dimension: int = 8) -> WordRows:
    """Return words whose vectors are the axes."""
    return WordRows(words, torch.eye(dimension)[None, : len(words)], "axes")


def seen(*rows: list[float], keys: torch.Tensor | None = None) -> FeatureMap:
    """Return a map of one row of patches of 4 x 4 pixels."""
    features = functional.normalize(torch.tensor(rows), dim=-1)[None]
    return FeatureMap(functional.pad(features, (0, 8 - features.shape[2])), (4, 4 * len(rows)), (4.0, 4.0), keys)


def test_scores_between_patches_are_those_of_bilinear_upsampling():
    scores = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    found = ClassMap(scores, 10.0, 4, (24, 40), (8.0, 8.0))
    upsampled = functional.interpolate(scores.permute(2, 0, 1)[None], (24, 40), mode="bilinear", align_corners=False)[0]
    expected = (10 * upsampled).softmax(0)
    class_id, probability = found.labels()
    np.testing.assert_array_equal(class_id, expected.argmax(0))
    np.testing.assert_allclose(probability, expected.amax(0), atol=1e-5)
    pixels = torch.tensor([[0.0, 0.0], [39.0, 23.0], [17.0, 5.0], [-9.0, 99.0]])  # column, row; the last one outside
    columns, rows = pixels.long().clamp(min=0).T.tolist()
    rows[-1] = 23
    torch.testing.assert_close(found.at(pixels), expected[:, rows, columns].T, rtol=0, atol=1e-5)


def test_what_an_absorber_wins_is_unknown():
    words = axes("road", "car", "tree", "sky")
    found = classify(seen([1.0, 0, 0, 0], [0, 0, 0, 1.0]), class_vectors(words, CLASSES), DenseConfig())
    class_id, probability = found.labels()
    assert found.scores.shape == (1, 2, 4)
    assert class_id[0].tolist() == [0] * 4 + [UNKNOWN] * 4
    assert (probability[0, 4:] == 0).all()
    assert probability[0, 0] == pytest.approx(1.0)


def test_denoising_drops_classes_that_are_nowhere_sure_and_keeps_the_surest():
    scores = torch.tensor([[0.9, 0.1, 0.88], [0.2, 0.8, 0.78]])
    found = denoise(scores, 10.0, 0.5)
    assert found[:, 2].tolist() == [-100.0, -100.0]
    torch.testing.assert_close(found[:, :2], scores[:, :2])
    unsure = torch.zeros(2, 3)
    unsure[0, 1] = 0.01
    assert (denoise(unsure, 10.0, 0.9) > -100).any(0).tolist() == [False, True, False]


def test_smoothing_asks_patches_with_like_keys_and_leaves_the_sure_alone():
    keys = torch.tensor([[1.0, 0], [1.0, 0], [0, 1.0], [-1.0, 0]])
    probabilities = torch.tensor([[0.98, 0.02], [0.45, 0.55], [0.5, 0.5], [0.0, 1.0]])
    found = smoothed(probabilities, keys, 0.9)
    torch.testing.assert_close(found[0], probabilities[0])
    torch.testing.assert_close(found[1], probabilities[0] + probabilities[1])  # those opposite count nothing
    torch.testing.assert_close(found[2], probabilities[2])
    assert smoothed(probabilities, keys, 0.9, official=True)[1, 1] < 0  # there they count against


def test_smoothed_classes_are_probabilities_again():
    keys = torch.tensor([[[1.0, 0], [1.0, 0]]])
    image = seen([1.0, 0.2, 0], [0.7, 0.71, 0], keys=keys)
    vectors = class_vectors(axes("road", "car", "tree"), CLASSES, TextConfig(scale=30.0))
    plain, smooth = (classify(image, vectors, DenseConfig(key_smoothing=k)).at(image.centres()) for k in (0.0, 0.99))
    torch.testing.assert_close(smooth.sum(-1), torch.ones(1, 2))
    assert plain[0].argmax(-1).tolist() == [0, 1]
    assert smooth[0].argmax(-1).tolist() == [0, 0]


def test_experts_are_the_sentences_that_are_least_undecided_and_decide_for_their_class():
    torch.manual_seed(0)
    truth = torch.arange(300) % 3
    good = torch.eye(8)[:3]
    features = functional.normalize(good[truth] + 0.15 * torch.randn(300, 8), dim=-1)
    blurred = functional.normalize(good + 0.8, dim=-1)  # all classes alike: undecided
    rows = torch.stack([blurred, good, blurred, good, blurred])
    words = WordRows(("road", "car", "tree"), rows, "made up")
    config = TextConfig(experts=2, scale=10.0)
    chosen = choose_experts(words, CLASSES, features, config)
    assert [set(kept) for kept in chosen.templates] == [{1, 3}] * 3
    found = chosen.scores(features)
    assert found.argmax(1).tolist() == truth.tolist()
    torch.testing.assert_close((10 * found).softmax(1), (10 * features @ good.T).softmax(1))
    averaged = class_vectors(words, CLASSES, config).scores(features)
    assert torch.special.entr((10 * averaged).softmax(1)).sum() > torch.special.entr((10 * found).softmax(1)).sum()


def test_a_class_that_no_sentence_ever_sees_keeps_all_sentences():
    words = WordRows(("road", "car", "tree"), torch.eye(8)[:3].expand(4, 3, 8).clone(), "made up")
    chosen = choose_experts(words, CLASSES, torch.eye(8)[:2], TextConfig(experts=1))
    assert [len(kept) for kept in chosen.templates] == [1, 1, 4]
    assert chosen.scores(torch.eye(8)[None, :3]).argmax(-1).tolist() == [[0, 1, 2]]
