"""The table's door: counts against plain loops, what a camera sees against the labeler, rows through JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pretrain_scene
import pytest

from clip2scene_ros import metrics
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadReport
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.significance import compare
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_training.scoring_table import ALL, BANDS, SIGHTS, Row, compare_rows, judged_frames, row_from_json

NAMES = ("road", "wall", "car")


def data(lengths: tuple[int, ...] = (3,) * 7) -> pretrain_scene.Drives:
    """Drives with ground truth, points far away and NaN among them."""
    drives = pretrain_scene.drives(lengths, points=200)
    rng = np.random.default_rng(5)
    for i, frame in enumerate(drives.frames):
        points = frame.scan.points * rng.choice([1.0, 2.0, 4.0], (200, 1)).astype(np.float32)
        points[7] = np.nan
        labels = rng.choice([0, 1, 2, UNKNOWN], 200).astype(np.uint8)
        drives.frames[i] = replace(frame, scan=replace(frame.scan, points=points), labels=labels)
    return drives


def guessed(seed: int, judged) -> np.ndarray:
    rng = np.random.default_rng([seed, judged.frame.scan.stamp_ns, int(judged.scene[1:])])
    truth = np.where(judged.frame.labels == UNKNOWN, 0, judged.frame.labels)
    return np.where(rng.random(len(truth)) < 0.5, truth, rng.choice([0, 1, 2, UNKNOWN], len(truth))).astype(np.uint8)


def a_row(seed: int = 0, frames=None) -> Row:
    row = Row(NAMES)
    for judged in judged_frames(data()) if frames is None else frames:
        row.add(judged, guessed(seed, judged))
    return row


def slow_counts(frames, seed: int) -> dict:
    """Points by scene, seen or not, band, truth and answer, one after the other."""
    counts: dict[tuple, int] = {}
    for judged in frames:
        for i, (truth, answer) in enumerate(zip(judged.frame.labels, guessed(seed, judged), strict=True)):
            x, y, _ = judged.frame.scan.points[i].astype(np.float64)
            away = (x * x + y * y) ** 0.5
            band = "0-20 m" if away < 20 else "20-40 m" if away < 40 else "40+ m" if away >= 40 else "nowhere"
            key = (judged.scene, "seen" if judged.seen[i] else "unseen", band, int(truth), min(int(answer), 3))
            if truth != UNKNOWN:
                counts[key] = counts.get(key, 0) + 1
    return counts


def test_every_point_is_counted_once_where_it_belongs():
    frames = list(judged_frames(data(), (1,)))
    row, counts = a_row(0, frames), slow_counts(frames, 0)
    for n, scene in enumerate(sorted(row.scenes)):
        for sight in SIGHTS:
            for band in BANDS:
                expected = np.zeros((3, 4), int)
                for t in range(3):
                    for a in range(4):
                        expected[t, a] = counts.get((scene, sight, band, t, a), 0)
                np.testing.assert_array_equal(row.matrices(sight, band)[n], expected)
    assert min(row.matrix(sight, band).sum() for sight, band in (("seen", "0-20 m"), ("unseen", "40+ m"))) > 20
    assert row.matrix("unseen", "nowhere").sum() > 0
    assert row.matrix().sum() == sum(counts.values())
    whole = sum(metrics.confusion(j.frame.labels, guessed(0, j), 3) for j in frames)
    np.testing.assert_array_equal(row.matrix(), whole)
    assert row.miou() == pytest.approx(metrics.mean_iou(whole))


def test_what_a_camera_sees_is_what_the_labeler_may_label():
    drives = pretrain_scene.drives((4, 3))
    labeler = Labeler(pretrain_scene.Bands(), LabelerConfig())
    labelled = [*labeler.label(drives.frames[:4]), *labeler.label(drives.frames[4:])]
    judged = list(judged_frames(drives))
    assert [j.scene for j in judged] == drives.scenes
    for each, found in zip(judged, labelled, strict=True):
        np.testing.assert_array_equal(each.seen, found.labels.class_id != UNKNOWN)
        assert 0.05 < each.seen.mean() < 0.95


def test_a_judged_frame_knows_its_neighbours_of_the_same_scene():
    drives = data((3, 2))
    found = [(j.scene, j.frame, j.before, j.after) for j in judged_frames(drives, (0, 1))]
    a, b, c, d, e = drives.frames
    assert [[id(x) for x in row[1:]] for row in found] == [
        [id(a), id(None), id(b)], [id(b), id(a), id(c)], [id(d), id(None), id(e)], [id(e), id(d), id(None)],
    ]  # fmt: skip


def test_a_row_survives_json():
    row = a_row()
    again = row_from_json(json.loads(json.dumps(row.to_json())))
    assert again.classes == row.classes
    assert again.numbers() == row.numbers()
    for damaged in ({}, {"classes": ["a"], "scenes": {"s": [[1]]}}, {"classes": ["a"], "scenes": 3}, []):
        with pytest.raises(BadReport, match=r"row of a table|counts of shape"):
            row_from_json(damaged)


@pytest.mark.parametrize("sight", [ALL, "seen"])
def test_rows_are_compared_scene_by_scene(sight: str):
    first, second = a_row(1), a_row(2)
    found = compare_rows(first, second, sight, resamples=200)
    assert found == compare(first.matrices(sight), second.matrices(sight), resamples=200)
    assert found.difference == pytest.approx(first.miou(sight) - second.miou(sight))
    seeds = compare_rows([first, second], second, sight, resamples=200)
    assert seeds.difference == pytest.approx((first.miou(sight) - second.miou(sight)) / 2)


def test_rows_of_other_scenes_are_not_compared():
    with pytest.raises(BadReport, match="differ"):
        compare_rows(a_row(), a_row(0, judged_frames(data((2,) * 6))))


def test_numbers_are_shares_and_none_where_there_are_none():
    frames = list(judged_frames(data(), (1,)))
    row = Row(("road", "wall", "car", "never"))
    for judged in frames:
        row.add(judged, np.where(judged.seen, judged.frame.labels, UNKNOWN))
    numbers = row.numbers()
    assert numbers["miou"]["seen"] == 1.0
    assert numbers["miou"]["unseen"] == 0.0
    assert numbers["labelled"]["seen"] == 1.0
    assert numbers["iou"]["seen"]["never"] is None
    truth = [judged.frame.labels for judged in frames]
    near = [metrics.distance_bands(j.frame)["0-20 m"] for j in frames]
    cars = [(t == 2) & n for t, n in zip(truth, near, strict=True)]
    hit = sum(int((c & j.seen).sum()) for c, j in zip(cars, frames, strict=True))
    assert numbers["recall_by_distance"]["0-20 m"]["car"] == pytest.approx(hit / sum(c.sum() for c in cars), abs=1e-5)


def test_a_class_that_is_only_predicted_is_not_averaged_as_the_bootstrap_does_not():
    judged = next(judged_frames(data()))
    row = Row((*NAMES, "never"))
    row.add(judged, np.where(judged.frame.labels == 2, 3, judged.frame.labels))
    assert row.miou() == pytest.approx(2 / 3)  # road and wall right, car never found
    assert row.numbers()["iou"]["all"]["never"] == 0.0


def test_answers_that_do_not_fit_are_refused():
    judged = next(judged_frames(data()))
    with pytest.raises(ValueError, match="one a point"):
        Row(NAMES).add(judged, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="below 3"):
        Row(NAMES).add(judged, np.full(200, 9, np.uint8))
    with pytest.raises(ValueError, match="ground truth"):
        Row(NAMES).add(replace(judged, frame=replace(judged.frame, labels=None)), np.zeros(200, np.uint8))
