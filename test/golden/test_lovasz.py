"""Cross entropy plus Lovász-softmax against the numbers and gradients of CLIP2Scene's `DownstreamLoss`.

There, label 0 is ignored; here 255 is. The logits keep all seven columns, and class 6 is absent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from clip2scene_training.losses import lovasz_softmax, supervised_loss


@pytest.fixture
def golden():
    data = np.load(Path(__file__).parent / "lovasz_ce.npz")
    logits = torch.from_numpy(data["logits"]).requires_grad_()
    labels = torch.from_numpy(data["labels"])
    return data, logits, torch.where(labels == int(data["ignore_index"]), 255, labels)


def test_total_and_gradient_equal_the_official_numbers(golden):
    data, logits, labels = golden
    loss = supervised_loss(logits, labels)
    loss.backward()
    assert loss.item() == pytest.approx(float(data["total"]), abs=1e-5)
    np.testing.assert_allclose(logits.grad.numpy(), data["grad"], atol=1e-6)


def test_each_term_equals_the_official_number(golden):
    data, logits, labels = golden
    assert supervised_loss(logits, labels, lovasz_weight=0.0).item() == pytest.approx(float(data["ce"]), abs=1e-5)
    kept = labels != 255
    assert lovasz_softmax(logits[kept].softmax(1), labels[kept]).item() == pytest.approx(
        float(data["lovasz"]), abs=1e-5
    )


def test_lovasz_of_hard_predictions_is_one_minus_iou():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([0, 0, 1, 1, 0, 2])
    one_hot = torch.nn.functional.one_hot(predicted, 3).float()
    expected = np.mean([1 - 2 / 4, 1 - 1 / 3, 1 - 1 / 1])
    assert lovasz_softmax(one_hot, labels).item() == pytest.approx(expected, abs=1e-6)


def test_class_weights_move_the_cross_entropy():
    logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    labels = torch.tensor([0, 1])
    weighted = supervised_loss(logits, labels, torch.tensor([1.0, 3.0]), lovasz_weight=0.0)
    p = 1 / (1 + np.exp(-2.0))
    assert weighted.item() == pytest.approx((-np.log(p) - 3 * np.log(1 - p)) / 4, abs=1e-6)
