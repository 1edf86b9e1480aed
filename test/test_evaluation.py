"""What is counted of labels and ground truth, in all, by scene and by group, against a count point by point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
from small_street import scan_and_labels

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.evaluation import evaluate
from clip2scene_ros.frame import Frame, Scan, Segmentation

WORLD = load_class_set("world")
WALL, ROAD = WORLD.index("manmade"), WORLD.index("driveable surface")


def said(scan: Scan) -> Segmentation:
    """Everything high is a wall, everything else road."""
    class_id, sure = np.where(scan.points[:, 2] > -1.8, WALL, ROAD).astype(np.uint8), np.ones(len(scan), np.float32)
    return Segmentation(class_id, sure, 1 - sure)


def labelled_frames(count: int) -> Iterator[tuple[Frame, Segmentation]]:
    for i in range(count):
        scan, labels = scan_and_labels(i)
        yield Frame(scan, labels=labels if i != 1 else None), said(scan)


def slow_confusion(frames: Iterable[int], kept: Callable[[Scan, int], bool]) -> np.ndarray:
    matrix = np.zeros((len(WORLD), len(WORLD) + 1), dtype=np.int64)
    for i in frames:
        scan, labels = scan_and_labels(i)
        for n, (true, mine) in enumerate(zip(labels, said(scan).class_id, strict=True)):
            if kept(scan, n):
                matrix[true, mine] += 1
    return matrix


def test_scenes_and_groups_hold_their_share_of_the_points() -> None:
    result = evaluate(labelled_frames(5), WORLD, scenes=iter("abbaa"))  # the second frame has no ground truth
    assert list(result.scenes) == ["a", "b"]
    np.testing.assert_array_equal(result.scenes["a"], slow_confusion((0, 3, 4), lambda scan, n: True))
    np.testing.assert_array_equal(result.scenes["b"], slow_confusion((2,), lambda scan, n: True))
    np.testing.assert_array_equal(sum(result.scenes.values()), result.matrix)
    assert list(result.groups) == ["0-20 m", "20-40 m", "40+ m"]
    near = slow_confusion((0, 2, 3, 4), lambda scan, n: float(np.hypot(*scan.points[n, :2])) < 20)
    np.testing.assert_array_equal(result.groups["0-20 m"], near)
    np.testing.assert_array_equal(sum(result.groups.values()), result.matrix)
    assert 0 < near.sum() < result.matrix.sum()


def test_groups_are_whatever_masks_the_caller_names() -> None:
    result = evaluate(labelled_frames(1), WORLD, groups=lambda frame: {"high": frame.scan.points[:, 2] > -1.8})
    assert list(result.scenes) == ["all"]
    expected = slow_confusion((0,), lambda scan, n: bool(scan.points[n, 2] > -1.8))
    np.testing.assert_array_equal(result.groups["high"], expected)


def test_too_few_scene_names_are_an_error() -> None:
    with pytest.raises(ValueError, match="only 2"):
        evaluate(labelled_frames(3), WORLD, scenes=["a", "b"])
