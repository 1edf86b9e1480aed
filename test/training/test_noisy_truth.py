"""The world's ground truth with errors: as many as asked for, in pieces, and labels of points as bad as they."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.frame import UNKNOWN, CameraModel, Frame, Scan, View
from clip2scene_ros.geometry import unproject
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_training.noisy_truth import BLOCK_PX, NoisyTruth

WORLD = load_class_set("world")
WIDTH, HEIGHT = 800, 448
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[633.0, 0, 400], [0, 633, 224], [0, 0, 1]]))


def truth() -> np.ndarray:
    """Stripes of classes, 50 px wide, over a band of what is unknown."""
    labels = np.repeat((np.arange(WIDTH) // 50 % len(WORLD))[None], HEIGHT, axis=0).astype(np.uint8)
    labels[:100] = UNKNOWN
    return labels


def frame(stamp_ns: int) -> tuple[Frame, np.ndarray]:
    """A wall 20 m ahead, its points in pixels' middles; returns the true class of each."""
    labels = truth()
    rows, columns = (grid.ravel() for grid in np.mgrid[6:HEIGHT:12, 6:WIDTH:12])
    rays = unproject(np.stack([columns, rows], 1).astype(np.float32), CAMERA)
    scan = Scan((20 * rays).astype(np.float32), np.zeros(len(rays), np.float32), stamp_ns)
    view = View("cam_front", np.zeros((HEIGHT, WIDTH, 3), np.uint8), CAMERA, np.eye(4), stamp_ns, labels)
    return Frame(scan, (view,)), labels[rows, columns]


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.5, 1.0])
def test_labels_of_points_are_as_precise_as_the_teacher(rate: float) -> None:
    right = given = 0
    labeler = Labeler(NoisyTruth(WORLD, rate, seed=1), LabelerConfig())
    made = [frame(stamp_ns) for stamp_ns in range(4)]
    for labelled, (_, expected) in zip(labeler.label([f for f, _ in made]), made, strict=True):
        known = labelled.labels.class_id != UNKNOWN
        np.testing.assert_array_equal(known, expected != UNKNOWN)
        right += int((labelled.labels.class_id[known] == expected[known]).sum())
        given += int(known.sum())
        np.testing.assert_allclose(labelled.labels.confidence[known], max(1 - rate, 1 / 15), atol=2e-3)
    pieces = 4 * ((HEIGHT - 100) / BLOCK_PX) * (WIDTH / BLOCK_PX + 16)
    assert right / given == pytest.approx(1 - rate, abs=1e-9 + 4 * np.sqrt(rate * (1 - rate) / pieces))


def test_errors_come_in_pieces_of_one_class_in_one_block() -> None:
    labels, noisy = truth(), NoisyTruth(WORLD, 0.3).spoiled(truth(), "a")
    for top in range(0, HEIGHT, BLOCK_PX):
        for left in range(0, WIDTH, BLOCK_PX):
            mine, theirs = (each[top : top + BLOCK_PX, left : left + BLOCK_PX] for each in (labels, noisy))
            for class_id in np.unique(mine):
                assert len(np.unique(theirs[mine == class_id])) == 1
    assert (noisy[labels == UNKNOWN] == UNKNOWN).all()
    assert (noisy != labels).mean() > 0.15


def test_equal_seeds_and_images_have_equal_errors_and_others_have_not() -> None:
    labels = truth()
    one = NoisyTruth(WORLD, 0.3, seed=3).spoiled(labels, "cam 1")
    np.testing.assert_array_equal(one, NoisyTruth(WORLD, 0.3, seed=3).spoiled(labels, "cam 1"))
    assert (one != NoisyTruth(WORLD, 0.3, seed=4).spoiled(labels, "cam 1")).any()
    assert (one != NoisyTruth(WORLD, 0.3, seed=3).spoiled(labels, "cam 2")).any()


def test_views_without_labels_are_not_made_up_and_rates_are_checked() -> None:
    scene, _ = frame(0)
    blind = View("cam_front", scene.views[0].image, CAMERA, np.eye(4))
    assert NoisyTruth(WORLD, 0.1).see(Frame(scene.scan, (blind,))) == [None]
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="error rate"):
            NoisyTruth(WORLD, rate)
    assert "30%" in NoisyTruth(WORLD, 0.3).notice
