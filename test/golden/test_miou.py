"""mIoU against the numbers of CLIP2Scene's own `compute_IoU`.

There, id 0 is "ignore": such ground truth is dropped, but predicting it is an error, which is our
255. An absent class would score 1.0 there (we leave it out); in these numbers none is absent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.metrics import absent, confusion, iou, mean_iou


def test_iou_equals_the_official_numbers():
    golden = np.load(Path(__file__).parent / "miou.npz")
    labels, predicted = ((golden[name] - 1).astype(np.int64) for name in ("gt", "pred"))
    labels[labels < 0] = 255
    predicted[predicted < 0] = 255
    matrix = confusion(labels, predicted, int(golden["n"]) - 1)
    assert absent(matrix) == 0
    np.testing.assert_allclose(iou(matrix), golden["per"], atol=1e-6)
    assert mean_iou(matrix) == pytest.approx(float(golden["miou"]), abs=1e-6)
