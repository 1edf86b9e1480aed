"""What the scores of a few views say of a calibration."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from test_alignment import scan_of_balls, view_of_balls

from clip2scene_ros.alignment import AXES, turned_scores
from clip2scene_ros.alignment_fit import ANGLES_DEG, FITS, SLIPPED, UNKNOWN, CameraFit, judge


@cache
def scores_of_balls(axis: str, error_deg: float) -> np.ndarray:
    scores: np.ndarray = turned_scores(scan_of_balls(), [view_of_balls(axis, error_deg)], np.radians(ANGLES_DEG))[0]
    return scores


def fit_of_balls(views: int, axis: str = "yaw", error_deg: float = 0.0) -> CameraFit:
    fit = CameraFit()
    for _ in range(views):
        fit.add(scores_of_balls(axis, error_deg))
    return fit


@pytest.mark.parametrize(
    ("axis", "error_deg", "state", "words"),
    [
        ("yaw", 0.0, FITS, "fits"),
        ("yaw", 0.3, FITS, "fits"),
        ("yaw", 1.2, SLIPPED, "to the left (yaw)"),
        ("yaw", -2.1, SLIPPED, "to the right (yaw)"),
        ("yaw", 3.2, SLIPPED, "turned by at least 3.0"),
        ("pitch", 1.0, SLIPPED, "down (pitch)"),
        ("pitch", -1.5, SLIPPED, "up (pitch)"),
        ("roll", 2.0, SLIPPED, "leaning right (roll)"),
        ("roll", -2.0, SLIPPED, "leaning left (roll)"),
    ],
)
def test_the_state_knows_a_turned_camera_and_which_way(axis: str, error_deg: float, state: str, words: str) -> None:
    judgement = fit_of_balls(10, axis, error_deg).judge()
    assert judgement.state == state
    assert words in judgement.in_words()
    if abs(error_deg) < 3:
        assert judgement.turn_deg[AXES.index(axis)] == pytest.approx(error_deg, abs=0.2)


def test_scores_by_chance_and_none_at_all_are_unknown() -> None:
    rng = np.random.default_rng(1)
    noise, fickle, nothing = CameraFit(), CameraFit(), CameraFit()
    for number in range(20):
        noise.add(0.4 + 0.02 * rng.standard_normal((3, len(ANGLES_DEG))))
        chance = (ANGLES_DEG == 2.0) * 0.4 * (number == 3)  # one view in twenty has a peak far higher than all else
        fickle.add(0.4 + 0.02 * rng.standard_normal((3, len(ANGLES_DEG))) + chance)
    nothing.add(np.full((3, len(ANGLES_DEG)), np.nan))
    assert noise.judge().state == fickle.judge().state == nothing.judge().state == UNKNOWN
    assert nothing.judge().in_words() == UNKNOWN
    assert len(nothing) == 0
    assert np.isnan(nothing.judge().turn_deg).all()


def test_one_view_that_is_hardly_better_elsewhere_does_not_speak_alone() -> None:
    curve = 0.4 + 0.08 * np.exp(-((ANGLES_DEG - 1.0) ** 2))
    one = np.stack([curve, np.full_like(curve, 0.4), np.full_like(curve, 0.4)])
    assert judge(one[None]).state == UNKNOWN
    assert judge(np.repeat(one[None], 20, axis=0)).state == SLIPPED


def test_only_the_latest_views_are_kept_and_asked() -> None:
    fit = CameraFit(keep=10)
    for error_deg in (0.0,) * 20 + (1.5,) * 6:
        fit.add(scores_of_balls("yaw", error_deg))
    assert len(fit) == fit.judge().views == 10
    assert fit.judge(5).views == 5
    assert fit.judge(5).turn_deg[0] == pytest.approx(1.5, abs=0.2)
    fit.keep(3)
    assert fit.judge().views == 3
    fit.keep(0)
    assert len(fit) == 0


def test_each_trial_turn_is_held_against_the_calibration() -> None:
    judgement = fit_of_balls(10, "yaw", 1.2).judge()
    assert judgement.leads[np.arange(3), judgement.curve.argmax(axis=1)] == pytest.approx(judgement.lead)
    assert not judgement.leads[:, ANGLES_DEG == 0.0].any()
    assert (np.sign(judgement.leads) == np.sign(judgement.curve - judgement.curve[:, ANGLES_DEG == 0.0])).all()
