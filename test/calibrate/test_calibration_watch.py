"""The watch on every camera's calibration: slips are found, standing still and time running backwards do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from test_alignment import scan_of_balls, view_of_balls

from clip2scene_ros.calibrate.watch import EVERY_S, LOOKS, CalibrationWatch
from clip2scene_ros.frame import NS_PER_S, Frame

SCAN, RIGHT = scan_of_balls(), view_of_balls()
SLIPPED_VIEW = view_of_balls("pitch", 1.2)


def drive(slips_at: int, length: int = 24, *, first_s: float = 0.0, metres: float = 8.0) -> Iterator[Frame]:
    """A frame a second; the camera is pitched from one frame on."""
    for second in range(length):
        pose = np.eye(4)
        pose[0, 3] = metres * second
        stamp_ns = int((first_s + second) * NS_PER_S)
        view = SLIPPED_VIEW if second >= slips_at else RIGHT
        yield Frame(replace(SCAN, stamp_ns=stamp_ns), (replace(view, stamp_ns=stamp_ns),), pose)


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
