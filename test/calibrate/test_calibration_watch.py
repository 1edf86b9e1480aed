"""The watch on every camera's calibration: slips are found, standing still and time running backwards do no harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby

import numpy as np
import pytest
from test_alignment import scan_of_balls, view_of_balls

from clip2scene_ros.calibrate.watch import EVERY_S, LOOKS, CalibrationWatch
from clip2scene_ros.frame import NS_PER_S, Frame, View

SCAN = scan_of_balls()
SLIP_DEG = 1.2


@cache
def pitched(degrees: float) -> View:
    return view_of_balls("pitch", degrees)


def drive(slips_at: int, length: int = 24, *, first_s: float = 0.0, metres: float = 8.0) -> Iterator[Frame]:
    """A frame a second; the camera is pitched from one frame on."""
    degrees = [SLIP_DEG if second >= slips_at else 0.0 for second in range(length)]
    return frames(degrees, first_s=first_s, metres=metres)


def frames(degrees: Sequence[float], *, first_s: float = 0.0, metres: float = 8.0) -> Iterator[Frame]:
    """A frame a second; the camera is pitched by so much in each."""
    for second, pitch in enumerate(degrees):
        pose = np.eye(4)
        pose[0, 3] = metres * second
        stamp_ns = int((first_s + second) * NS_PER_S)
        yield Frame(replace(SCAN, stamp_ns=stamp_ns), (replace(pitched(pitch), stamp_ns=stamp_ns),), pose)


def states(degrees: Sequence[float]) -> list[str]:
    """Return what a watch says after each frame."""
    watch, found = CalibrationWatch(), []
    for frame in frames(degrees):
        watch.add(frame)
        found.append(watch.state("cam_front"))
    return found


def test_a_camera_is_unknown_then_fits_then_slips_and_says_which_way() -> None:
    watch, states = CalibrationWatch(), []
    for frame in drive(slips_at=12):
        assert watch.add(frame) == ["cam_front"]
        states.append(watch.state("cam_front"))
    assert states[: LOOKS[0] - 1] == ["unknown"] * (LOOKS[0] - 1)
    assert states[11] == "fits"
    assert "slipped" not in states[:12]
    assert states[-1] == "slipped"
    assert "down (pitch)" in watch.judgement("cam_front").in_words()
    watch.forget("cam_front")
    assert watch.state("cam_front") == "unknown"
    assert watch.cameras == []


def test_a_camera_that_is_put_right_comes_back_after_a_few_views_however_long_it_was_turned() -> None:
    for turned in (20, 2 * max(LOOKS)):
        found = states([0.0] * max(LOOKS) + [SLIP_DEG] * turned + [0.0] * LOOKS[1])
        slipped_at, back_at = found.index("slipped"), len(found) - found[::-1].index("slipped")
        assert max(LOOKS) < slipped_at <= max(LOOKS) + LOOKS[0]
        assert set(found[slipped_at:back_at]) == {"slipped"}  # what it was before does not call it back
        assert max(LOOKS) + turned < back_at <= max(LOOKS) + turned + LOOKS[0]
        assert set(found[back_at:]) == {"fits"}


def test_a_camera_that_comes_back_is_watched_as_before() -> None:
    watch = CalibrationWatch()
    for frame in frames([SLIP_DEG] * 20 + [0.0] * max(LOOKS)):
        watch.add(frame)
    assert watch.judgement("cam_front").views > LOOKS[-2]  # small slips are found again, too
    found = states([SLIP_DEG] * 20 + [0.0] * max(LOOKS) + [SLIP_DEG] * 20)
    assert [state for state, _ in groupby(found)] == ["unknown", "slipped", "fits", "slipped"]


def test_a_slip_that_is_mended_by_half_is_not_believed_though_it_would_pass_for_a_fit() -> None:
    half = [0.3] * 40
    assert states(half)[-1] == "fits"
    assert states([0.6] * 20 + half)[LOOKS[0] :] == ["slipped"] * (20 + len(half) - LOOKS[0])
    assert states([0.6] * 20 + half + [0.0] * LOOKS[1])[-1] == "fits"


def test_a_slip_to_another_side_stays_a_slip_and_is_told_anew() -> None:
    watch = CalibrationWatch()
    for frame in frames([SLIP_DEG] * 12 + [-SLIP_DEG] * 30):
        watch.add(frame)
    assert "up (pitch)" in watch.judgement("cam_front").in_words()


def test_a_vehicle_that_stands_tells_nothing_new() -> None:
    watch = CalibrationWatch()
    looked = [watch.add(frame) for frame in drive(slips_at=0, length=12, metres=0.01)]
    assert looked == [["cam_front"]] + [[]] * 11
    assert watch.state("cam_front") == "unknown"


def test_images_that_follow_each_other_closely_are_not_looked_at() -> None:
    watch = CalibrationWatch()
    for frame in drive(slips_at=99, length=3):
        close = replace(frame.views[0], stamp_ns=frame.views[0].stamp_ns + int(0.5 * EVERY_S * NS_PER_S))
        assert watch.add(frame) == ["cam_front"]
        assert watch.add(replace(frame, views=(close,), world_from_lidar=None)) == []


def test_a_bag_that_begins_anew_is_watched_on() -> None:
    watch = CalibrationWatch()
    for first_s in (100.0, 0.0):
        for frame in drive(slips_at=99, length=10, first_s=first_s):
            assert watch.add(frame) == ["cam_front"]
    assert watch.judgement("cam_front").views == 20


@pytest.mark.parametrize("missing", ["edges", "views"])
def test_without_edges_or_views_a_camera_stays_unknown(missing: str) -> None:
    watch = CalibrationWatch()
    for frame in drive(slips_at=0, length=10):
        nothing = replace(frame, scan=replace(SCAN, points=np.full_like(SCAN.points, np.nan)))
        watch.add(nothing if missing == "edges" else replace(frame, views=()))
    assert watch.state("cam_front") == "unknown"
