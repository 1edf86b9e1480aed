"""A camera that slips while frames are collected: its images are left out until it fits again, and it is told."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import clip2scene
from slipping_drive import SLIPS, START_NS, STEP_NS, write_seen, write_slipping

from clip2scene_ros.calibrate.watch import LOOKS
from clip2scene_ros.collect.collector import LOOKS_HELD, MB, Collector
from clip2scene_ros.collect.config import BufferConfig, ChoiceConfig, CollectConfig, WatchConfig
from clip2scene_ros.collect.sets import Fit, Job, Outcome, Placed, RawImage, RawSet
from clip2scene_ros.collect.slips import EVERY_NS, Slips
from clip2scene_ros.frame import Array, CameraModel
from clip2scene_ros.io.shards import ShardReader

SCANS = 56
FROM, UNTIL = 10, 22
SECOND = 10**9
CAMERA = CameraModel(160, 90, np.array([[80.0, 0, 80], [0, 80, 45], [0, 0, 1]]))
RIGHT, WRONG, UNSURE = Fit("fits", 0.5, 9, "fits"), Fit("slipped", 0.4, 8, "turned"), Fit("unknown", 0.4, 8, "unknown")


class Road:
    """A rig that comes a metre in a fifth of a second, and knows where both its cameras are."""

    def __init__(self, known: bool = True, speed_m_s: float = 5.0) -> None:
        self.known, self.speed_m_s = known, speed_m_s

    def pose(self, raw: RawSet) -> Array | None:
        pose = np.eye(4)
        pose[0, 3] = self.speed_m_s * raw.stamp_ns / SECOND
        return pose if self.known else None

    def place(self, raw: RawSet) -> Placed:
        return Placed(self.pose(raw), cameras={name: (CAMERA, np.eye(4)) for name in ("front", "left")})


def raw(seconds: float, source: str = "lidar", size: int = 1000) -> RawSet:
    stamp_ns = 100 * SECOND + round(seconds * SECOND)
    return RawSet(stamp_ns, source, bytes(size), {"front": RawImage(stamp_ns, True, bytes(10))})


def collector(road: Road | None = None, watch: bool = True, memory_mb: float = 256.0) -> Collector:
    buffer = BufferConfig(queue_size=1000, before_s=0.0, memory_mb=memory_mb)
    config = CollectConfig(choice=ChoiceConfig(0.0, 15.0, 0.0), buffer=buffer, calibration=WatchConfig(watch))
    return Collector(config, road or Road())


def looks(made: Collector) -> list[float]:
    """Take all that waits; return when the watch was shown something."""
    jobs = iter(made.take, None)
    return [(job.raw.stamp_ns - 100 * SECOND) / SECOND for job in jobs if job is not None and job.look]


def test_the_watch_sees_a_set_a_second_of_a_vehicle_that_moves_whatever_is_chosen() -> None:
    made = collector()
    for i in range(100):
        made.add(raw(i / 10))
    assert looks(made) == pytest.approx([i * EVERY_NS / SECOND for i in range(10)])
    slow = collector(Road(speed_m_s=0.25))
    for i in range(100):
        slow.add(raw(i / 10))
    assert looks(slow) == pytest.approx([0.0, 4.0, 8.0])


@pytest.mark.parametrize("made", [collector(Road(known=False)), collector(watch=False)])
def test_without_poses_or_when_it_is_not_wanted_nothing_is_watched(made: Collector) -> None:
    for i in range(30):
        made.add(raw(i / 10))
    assert looks(made) == []


def test_looks_that_wait_are_few_and_the_first_to_go_where_memory_ends() -> None:
    made = collector()
    for i in range(2 * LOOKS_HELD):
        made.add(raw(1.1 * i))
    assert looks(made) == pytest.approx([1.1 * i for i in range(LOOKS_HELD, 2 * LOOKS_HELD)])
    small = collector(memory_mb=1.0)
    for i in range(4):
        small.add(raw(1.1 * i, size=220_000))
    account = small.account()
    assert account.held_bytes <= MB
    assert (account.waiting, account.dropped) == (4, {})
    assert len(looks(small)) == 0


def test_a_slipped_camera_is_left_out_of_what_is_labelled_until_it_fits_again() -> None:
    made, slips = collector(), Slips()

    def show(seconds: float, fit: Fit) -> Job:
        made.add(raw(seconds))
        look, job = made.take(), made.take()
        assert look is not None
        assert job is not None
        assert (look.look, job.look) == (True, False)
        assert set(look.placed.cameras) == {"front", "left"}  # the watch goes on looking
        made.done(look, Outcome(fits={"front": RIGHT, "left": fit}))
        later = replace(job, placed=slips.without("lidar", job.placed))
        made.done(job, Outcome(left_out=later.placed.left_out))
        return job

    show(0.0, RIGHT)
    show(2.0, WRONG)
    for seconds, fit in ((4.0, WRONG), (6.0, UNSURE)):
        job = show(seconds, fit)
        assert set(job.placed.cameras) == {"front"}
        assert job.placed.left_out == {"left": "slipped"}
        left = made.account().fits["left"]
        assert (left.state, left.text, left.since_ns) == ("slipped", "turned", 102 * SECOND)
    assert "left is turned since 102.0 s" in str(made.account())
    show(8.0, RIGHT)
    assert set(show(10.0, RIGHT).placed.cameras) == {"front", "left"}
    assert made.account().fits["left"].since_ns == 108 * SECOND


def test_lidars_are_watched_apart() -> None:
    slips = Slips()
    slips.learn(raw(1.0, "top"), {"front": WRONG})
    slips.learn(raw(1.0, "rear"), {"front": RIGHT})
    placed = Road().place(raw(1.0))
    assert set(slips.without("top", placed).cameras) == {"left"}
    assert slips.without("rear", placed) is placed
    assert set(slips.fits) == {"top front", "rear front"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the shards of a drive in which a camera is turned for a while, and what was said."""
    folder = tmp_path_factory.mktemp("slips")
    bag = write_slipping(folder / "drive.mcap", SCANS, range(FROM, UNTIL))
    words = ("--teacher", write_seen(folder / "seen", SCANS), "--shards.min-free-gb", "0")
    done = clip2scene("collect", bag, "--out", folder / "shards", *words)
    assert done.returncode == 0, done.stderr
    return folder / "shards", done.stdout


def test_a_drive_is_collected_without_the_camera_while_it_is_turned(shards: tuple[Path, str]) -> None:
    folder, said = shards
    views = {
        (record.frame.scan.stamp_ns - START_NS) // STEP_NS: {view.name for view in record.frame.views}
        for record in ShardReader(folder)
    }
    assert sorted(views) == list(range(SCANS))
    assert all("cam_front" in each for each in views.values())
    without = [i for i in range(SCANS) if SLIPS not in views[i]]
    assert FROM < without[0] <= FROM + LOOKS[1]
    assert without == list(range(without[0], without[-1] + 1))
    assert UNTIL < without[-1] < UNTIL + LOOKS[1]
    assert f"{SLIPS}: slipped {len(without)}" in said


def test_judgements_without_views_have_no_score() -> None:
    from clip2scene_ros.alignment_fit import Judgement
    from clip2scene_ros.collect.recorder import fit_of

    fit = fit_of(Judgement())
    assert (fit.state, fit.views, math.isnan(fit.score)) == ("unknown", 0, True)
