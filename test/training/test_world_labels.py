"""The labeler in the world, taught by the true pixels: what is lost between images and points is its own doing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.frame import UNKNOWN, Array, Frame
from clip2scene_ros.geometry import Trajectory, compose, invert, pose_from_quaternion
from clip2scene_ros.teacher.labeler import Labeler, LabelledFrame

CLASSES = load_class_set("world")


@dataclass
class TruePixels:
    """One class a pixel, or the sky."""

    class_id: Array
    classes: int = len(CLASSES)

    @property
    def size(self) -> tuple[int, int]:
        return self.class_id.shape[0], self.class_id.shape[1]

    def at(self, pixels: Tensor) -> Tensor:
        place = pixels.round().long().numpy()
        chosen = np.minimum(self.class_id[place[..., 1], place[..., 0]], self.classes)
        return torch.from_numpy(np.eye(self.classes + 1, dtype=np.float32)[chosen])

    def labels(self) -> tuple[Array, Array]:
        return self.class_id, (self.class_id != UNKNOWN).astype(np.float32)


class Truth:
    """Teaches the labels of the pixels."""

    class_set, notice = CLASSES, ""

    def see(self, frame: Frame) -> list[TruePixels | None]:
        return [None if view.labels is None else TruePixels(view.labels) for view in frame.views]

    def describe(self) -> str:
        return "true pixels"


@pytest.fixture(scope="module")
def drives() -> list[list[Frame]]:
    """Return three frames of each of three streets, images with the one in the middle, and in the first with all."""
    pytest.importorskip("embreex")
    from clip2scene_training.world import Drive, WorldConfig

    found = []
    for seed in (100_000, 100_001, 100_002):
        drive = Drive(seed, WorldConfig(duration_s=0.6))
        found.append([drive.frame(k, with_images=k == 4 or seed == 100_000) for k in (0, 4, 8)])
    return found


def judged(drives: list[list[Frame]], changed=None, **settings: object) -> tuple[float, float, list[LabelledFrame]]:
    """Return share of right labels, share of labelled points, and the frames."""
    right = known = points = 0
    frames = []
    for number, (before, now, after) in enumerate(drives):
        rng = np.random.default_rng(number)
        middle = now if changed is None else replace(now, views=tuple(changed(now, after, v, rng) for v in now.views))
        found = list(Labeler(Truth(), LabelerConfig(**settings)).label([before, middle, after]))[1]
        labelled = found.labels.class_id != UNKNOWN
        right += int((found.labels.class_id == now.labels)[labelled].sum())
        known, points = known + int(labelled.sum()), points + len(labelled)
        frames.append(found)
    return right / known, known / points, frames


def test_true_pixels_make_true_points(drives: list[list[Frame]]) -> None:
    precision, coverage, frames = judged(drives)
    assert precision > 0.965
    assert 0.70 < coverage < 0.85  # the rest is above and below the images, between them, or hidden
    for found in frames:
        assert found.evidence.hidden > 0
        assert found.evidence.cameras_agree > 0.9 * found.evidence.cameras_compared > 0
        assert found.evidence.absorbed < 0.02 * found.evidence.visible


def test_each_step_raises_what_it_is_there_for(drives: list[list[Frame]]) -> None:
    precision, coverage, _ = judged(drives)
    for less in ({"visibility": False}, {"point_time": False}):
        assert judged(drives, **less)[0] < precision - 0.005
    ruled, more, _ = judged(drives, ground=True, clusters=True)
    assert ruled > precision
    assert more > coverage


def tilted(degrees: float):
    half = math.radians(degrees) / 2

    def change(now, after, view, rng):
        axis = rng.normal(size=3)
        turn = pose_from_quaternion([0, 0, 0], [*(math.sin(half) * axis / np.linalg.norm(axis)), math.cos(half)])
        return replace(view, camera_from_lidar=turn @ view.camera_from_lidar)

    return change


def moved(metres: float):
    def change(now, after, view, rng):
        way = rng.normal(size=3)
        placed = view.camera_from_lidar.copy()
        placed[:3, 3] += metres * way / np.linalg.norm(way)
        return replace(view, camera_from_lidar=placed)

    return change


def late(seconds: float):
    def change(now, after, view, rng):
        way = Trajectory([now.scan.stamp_ns, after.scan.stamp_ns], [now.world_from_lidar, after.world_from_lidar],
                         tolerance_s=1.0)  # fmt: skip
        then = way.at(view.stamp_ns + round(seconds * 1e9))
        placed = compose(view.camera_from_lidar, invert(way.at(now.scan.stamp_ns)), way.at(view.stamp_ns))
        return replace(view, camera_from_lidar=compose(placed, invert(then), way.at(now.scan.stamp_ns)))

    return change


@pytest.mark.parametrize(
    "changes",
    [[tilted(d) for d in (0.5, 1, 2)], [moved(m) for m in (0.1, 0.3)], [late(s) for s in (0.05, 0.1, 0.2)]],
    ids=["rotation", "translation", "stamps"],
)
def test_every_error_of_the_calibration_lowers_the_precision(drives: list[list[Frame]], changes) -> None:
    precision = [judged(drives)[0], *(judged(drives, change)[0] for change in changes)]
    assert all(more - less > 0.003 for more, less in pairwise(precision))


def test_other_sweeps_label_points_that_no_camera_sees_now(drives: list[list[Frame]]) -> None:
    before, now, after = drives[0]
    half = [before, replace(now, views=now.views[1:]), after]
    alone, together = (list(Labeler(Truth(), LabelerConfig(sweeps=n)).label(half))[1] for n in (0, 1))
    gained = (alone.labels.class_id == UNKNOWN) & (together.labels.class_id != UNKNOWN)
    assert gained.sum() > 500
    assert (together.labels.class_id == now.labels)[gained].mean() > 0.9
    assert together.evidence.sweeps_agree > 0.9 * together.evidence.sweeps_compared > 0
