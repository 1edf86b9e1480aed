"""What `clip2scene label` counts, against slow counts and made-up drives, and what it concludes of that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_alignment_fit import fit_of_balls

from clip2scene_ros.alignment_fit import CameraFit
from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import UNKNOWN, CameraModel, Frame, PseudoLabels, Scan, View
from clip2scene_ros.label.account import GRID_PX, Account, Evenly, Example, Pixels, agreement
from clip2scene_ros.label.verdict import BAD, GOOD, LOOK, conclusion, findings
from clip2scene_ros.teacher.external import LabelImage
from clip2scene_ros.teacher.labeler import Evidence, LabelledFrame

CLASSES = load_class_set("road; car; person")
RNG = np.random.default_rng(0)


# ---- a few of many


@given(st.integers(1, 6), st.integers(0, 300))
def test_evenly_keeps_few_items_in_order_over_the_whole_stream(wanted: int, length: int) -> None:
    kept: Evenly[int] = Evenly(wanted)
    for i in range(length):
        kept.add(i)
        assert len(kept._kept) < 2 * wanted or wanted == 1
    items = kept.items
    assert len(items) == min(wanted, length)
    assert items == sorted(set(items))
    if 1 < wanted <= length:
        assert items[0] == 0
        assert max(np.diff([*items, length])) <= 2 * (length / (wanted - 1)) + 1


# ---- pixels


class Chances:
    """Random probabilities of two classes and two absorbers at every pixel; fits `PixelClasses`."""

    size, classes = (40, 56), 2

    def __init__(self) -> None:
        self.all = torch.from_numpy(RNG.dirichlet([0.5] * 4, self.size).astype(np.float32))

    def at(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.all[pixels[..., 1].long(), pixels[..., 0].long()]


def test_pixels_are_counted_as_by_hand() -> None:
    seen, count = Chances(), Pixels.of(2)
    count.add(seen)
    winners, undecided, differing, pairs, confidence = np.zeros(3, int), np.zeros((2, 2), int), 0, 0, 0.0
    for row in range(GRID_PX // 2, 40, GRID_PX):
        before = None
        for column in range(GRID_PX // 2, 56, GRID_PX):
            chances = seen.all[row, column].tolist()
            order = sorted(range(4), key=lambda i: -chances[i])
            winner = min(order[0], 2)
            winners[winner] += 1
            confidence += chances[order[0]]
            if order[0] < 2 and order[1] < 2 and chances[order[1]] >= 0.5 * chances[order[0]]:
                undecided[order[0], order[1]] += 1
            if before is not None:
                pairs, differing = pairs + 1, differing + (before != winner)
            before = winner
    np.testing.assert_array_equal(count.winners, winners)
    np.testing.assert_array_equal(count.undecided, undecided)
    assert (count.neighbours, count.differing) == (pairs, differing)
    assert count.confidence == pytest.approx(confidence, rel=1e-5)
    assert count.total == 5 * 7


def test_images_smaller_than_the_grid_count_nothing() -> None:
    count = Pixels.of(3)
    count.add(LabelImage(np.zeros((3, 3), np.uint8), np.ones((3, 3), np.float32), 3))
    assert count.total == 0


# ---- calibration


def fit_of(frames: int, error_deg: float = 0.0) -> CameraFit:
    return fit_of_balls(frames, "yaw", error_deg)


# ---- sweeps


def example(points: np.ndarray, ids: np.ndarray, world_from_lidar: np.ndarray | None, stamp_ns: int = 0) -> Example:
    camera = CameraModel(8, 8, np.array([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]))
    view = View("cam", np.zeros((8, 8, 3), np.uint8), camera, np.eye(4), stamp_ns)
    frame = Frame(Scan(points, np.zeros(len(points), np.float32)), (view,), world_from_lidar)
    labels = PseudoLabels(ids.astype(np.uint8), np.ones(len(ids), np.float32))
    return Example(LabelledFrame(frame, labels, (None,), Evidence(points=len(points))), points)


def test_sweeps_agree_where_the_same_place_has_the_same_label() -> None:
    """The centres of cubes 1 m apart, seen again from elsewhere; a quarter is called otherwise, an eighth unknown."""
    points = (np.stack(np.meshgrid(*[np.arange(8.0)] * 2, [0.0]), -1).reshape(-1, 3) + 0.1).astype(np.float32)
    ids = np.zeros(64, int)
    there = np.eye(4)
    there[:3, 3] = [4.0, -2.0, 0.0]
    before = example(points, ids, np.eye(4))
    again = points - there[:3, 3].astype(np.float32)
    ids[:16], ids[-8:] = 1, UNKNOWN
    assert agreement(before, example(again, ids, there)) == (56, 40)
    assert agreement(before, example(again + 500, ids, there)) == (0, 0)
    assert agreement(before, example(again, ids, None)) == (0, 0)
    assert agreement(example(points, np.full(64, UNKNOWN), np.eye(4)), before) == (0, 0)


def test_frames_that_share_images_are_not_compared() -> None:
    points = np.full((10, 3), 5.1, np.float32)
    account = Account(CLASSES)
    for stamp_ns in (0, 0, 0, 7):
        each = example(points, np.zeros(10, int), np.eye(4), stamp_ns)
        account.add(each.labelled, points, None, align=False)
    assert account.evidence.sweeps_compared == account.evidence.sweeps_agree == 10
    assert account.frames == 4
    assert account.evidence.points == 40


# ---- what labels tell of the ground


def test_labels_tell_all_or_nothing_of_the_ground() -> None:
    account = Account(CLASSES)
    assert np.isnan(account.ground_told)
    account.ground[:] = [[0, 30, 10], [60, 0, 0]]
    assert account.ground_told == pytest.approx(1.0)
    account.ground[:] = [[5, 10, 15], [10, 20, 30]]
    assert account.ground_told == pytest.approx(0.0, abs=1e-12)
    account.ground[:] = [[10, 30, 10], [50, 0, 0]]
    assert 0.5 < account.ground_told < 1.0


# ---- what is at fault


def healthy() -> Account:
    account = Account(CLASSES, frames=9)
    account.fits["cam_front"] = fit_of(3)
    account.ground[:] = [[2, 30, 10], [60, 1, 0]]
    account.pixels.winners[:] = [500, 200, 100, 200]
    account.pixels.confidence = 700.0
    account.evidence = Evidence(
        points=1000, in_image=700, visible=600, hidden=100, absorbed=6, cameras_compared=100, cameras_agree=90,
        sweeps_compared=100, sweeps_agree=90,
    )  # fmt: skip
    return account


def states(account: Account, notice: str = "") -> tuple[str, ...]:
    found = findings(account, notice)
    assert [each.about for each in found] == ["calibration", "words", "teacher"]
    assert all(each.sentences for each in found)
    return tuple(each.state for each in found)


def test_a_healthy_drive_has_no_fault() -> None:
    assert states(healthy()) == (GOOD, GOOD, GOOD)
    assert "Nothing speaks against" in conclusion(findings(healthy(), ""))


def test_a_wrong_yaw_is_told_first_whatever_else_is_wrong() -> None:
    account = healthy()
    account.fits["cam_left"] = fit_of(3, 1.5)
    account.ground[:] = 10
    found = findings(account, "")
    assert (found[0].state, found[2].state) == (BAD, BAD)
    assert "cam_left is turned by about 1." in found[0].sentences[0]
    assert conclusion(found).startswith("Calibration first")


def test_sky_on_points_is_the_teachers_where_the_calibration_fits_and_else_a_doubt_about_both() -> None:
    account = healthy()
    account.evidence = replace(account.evidence, absorbed=60)
    assert states(account) == (GOOD, GOOD, LOOK)
    assert any("10.0 % of the visible points" in sentence for sentence in findings(account, "")[2].sentences)
    account.fits["cam_left"] = CameraFit()
    assert states(account) == (LOOK, GOOD, GOOD)
    assert any("10.0 % of the visible points" in sentence for sentence in findings(account, "")[0].sentences)


def test_cameras_without_edges_are_worth_a_look() -> None:
    account = healthy()
    account.fits["cam_left"] = CameraFit()
    assert states(account) == (LOOK, GOOD, GOOD)
    account.fits.clear()
    assert states(account) == (LOOK, GOOD, GOOD)


def test_words_that_fit_everything_or_each_other_are_named() -> None:
    account = healthy()
    account.pixels.winners[:] = [900, 20, 0, 80]
    assert states(account)[1] == BAD
    assert conclusion(findings(account, "")).startswith("Words first")
    sentences = " ".join(findings(account, "")[1].sentences)
    assert "road wins 90 %" in sentences
    assert "Never the best anywhere: person" in sentences
    account = healthy()
    account.pixels.undecided[1, 2], account.pixels.undecided[2, 1] = 80, 70
    assert states(account)[1] == LOOK
    assert "car and person are close rivals on 15 %" in findings(account, "")[1].sentences[0]


def test_a_class_set_in_which_nothing_absorbs_is_told() -> None:
    account = healthy()
    account.pixels.winners[:] = [600, 200, 200, 0]
    assert states(account) == (GOOD, LOOK, GOOD)
    assert "absorbers" in findings(account, "")[1].sentences[0]


def test_frames_with_most_views_are_shown() -> None:
    account, points = Account(CLASSES, shown=2), np.zeros((4, 3), np.float32)
    for stamp_ns in (0, 1, 2, 3, 4, 5):
        each = example(points, np.zeros(4, int), None, stamp_ns).labelled
        if stamp_ns in (1, 4):
            each = replace(each, frame=replace(each.frame, views=each.frame.views * 2), seen=(None, None))
        account.add(each, points, None, align=False)
    assert [each.labelled.frame.views[0].stamp_ns for each in account.examples.items] == [1, 4]


def test_a_teacher_that_sees_nothing_is_told_from_bad_words() -> None:
    account = healthy()
    account.ground[:] = 10
    found = findings(account, "")
    assert found[2].state == BAD
    assert conclusion(found).startswith("The teacher first")
    assert states(healthy(), "random weights: labels mean nothing")[2] == BAD
    for worse in (
        {"cameras_agree": 50},
        {"sweeps_agree": 50},
    ):
        account = healthy()
        account.evidence = replace(account.evidence, **worse)
        assert states(account) == (GOOD, GOOD, LOOK)
    account = healthy()
    account.evidence = replace(account.evidence, cameras_agree=20)
    assert states(account) == (GOOD, GOOD, BAD)
    account = healthy()
    account.pixels.confidence = 400.0
    assert states(account) == (GOOD, GOOD, LOOK)
