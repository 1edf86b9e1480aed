"""A picture of a scan in training: prediction, truth, errors."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import Frame, Scan, Segmentation
from clip2scene_training.pictures import VERDICT, WRONG, comparison


def test_only_the_wrong_point_is_red_and_what_has_no_truth_is_neither():
    points = np.array([[20, 0, 0], [-20, 0, 0], [0, 20, 0]], np.float32)  # above, below, left of the middle
    frame = Frame(Scan(points, np.zeros(3, np.float32)), labels=np.array([0, 1, 255], np.uint8))
    said = Segmentation(np.array([0, 2, 3], np.uint8), np.ones(3, np.float32), np.zeros(3, np.float32))
    picture = comparison(frame, said, load_class_set("world"))
    assert picture.shape == (480, 1440, 3)
    errors = picture[:, 960:].astype(int)
    red = np.argwhere((np.abs(errors - VERDICT[WRONG].astype(int)) < 60).all(axis=2))
    assert len(red)
    assert red[:, 0].min() > 300  # below: the second point alone
    prediction, truth = picture[:, :480], picture[:, 480:960]
    upper = slice(80, 200)
    assert np.array_equal(prediction[upper, 200:280], truth[upper, 200:280])
    assert not np.array_equal(prediction[300:420], truth[300:420])


def test_a_frame_without_truth_has_no_comparison():
    frame = Frame(Scan(np.zeros((1, 3), np.float32), np.zeros(1, np.float32)))
    with pytest.raises(ValueError, match="labels"):
        comparison(frame, Segmentation.unknown(1), load_class_set("world"))
