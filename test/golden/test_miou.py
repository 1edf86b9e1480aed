"""mIoU against the numbers of CLIP2Scene's own `compute_IoU`.

There, id 0 is "ignore": such ground truth is dropped, but predicting it is an error, which is our
255. In the golden numbers no class is absent. There an absent class scores 1.0 and raises the mean, which is
not right: we leave it out. Shown below on the same points with one more class.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.metrics import absent, confusion, iou, mean_iou


@pytest.fixture
def golden():
    return np.load(Path(__file__).parent / "miou.npz")


def our_ids(golden):
    labels, predicted = ((golden[name] - 1).astype(np.int64) for name in ("gt", "pred"))
    labels[labels < 0] = 255
    predicted[predicted < 0] = 255
    return labels, predicted


def test_iou_equals_the_official_numbers(golden):
    matrix = confusion(*our_ids(golden), int(golden["n"]) - 1)
    assert absent(matrix) == 0
    np.testing.assert_allclose(iou(matrix), golden["per"], atol=1e-6)
    assert mean_iou(matrix) == pytest.approx(float(golden["miou"]), abs=1e-6)


def test_an_absent_class_does_not_raise_the_mean(golden):
    classes = int(golden["n"]) - 1
    matrix = confusion(*our_ids(golden), classes + 1)
    assert absent(matrix) == 1
    assert np.isnan(iou(matrix)[classes])
    assert mean_iou(matrix) == pytest.approx(float(golden["miou"]), abs=1e-6)
    official = (float(golden["miou"]) * classes + 1.0) / (classes + 1)
    assert mean_iou(matrix) < official
