"""The world's scans: ground truth against geometry, sensor values, motion, reproducibility."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import Frame
from clip2scene_training.world import Drive, Label, LidarConfig, WorldConfig
from clip2scene_training.world.classes import THINGS

SHORT = WorldConfig(duration_s=2.0)
SWEEP = 20
FLAT = (Label.DRIVEABLE_SURFACE, Label.SIDEWALK, Label.TERRAIN)


@pytest.fixture(scope="module", params=[1, 8], ids="seed{}".format)
def drive(request: pytest.FixtureRequest) -> Drive:
    return Drive(request.param, SHORT)


@pytest.fixture(scope="module")
def frame(drive: Drive) -> Frame:
    return drive.frame(SWEEP)


def in_world(drive: Drive, frame: Frame) -> np.ndarray:
    """Points in the world, each from where the LiDAR was at that point's own time."""
    times, which = np.unique(frame.scan.stamp_ns + frame.scan.time_ns, return_inverse=True)
    poses = (drive.world_from_base(times) @ drive.base_from_lidar)[which]
    return np.einsum("nij,nj->ni", poses[:, :3, :3], frame.scan.points) + poses[:, :3, 3]


def digest(frame: Frame) -> str:
    arrays = [frame.scan.points, frame.scan.intensity, frame.scan.ring, frame.scan.time_ns, frame.labels]
    arrays += [frame.instances, frame.world_from_lidar]
    arrays += [a for v in frame.views for a in (v.image, v.labels, v.camera_from_lidar)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


def test_class_ids_are_those_of_the_class_set() -> None:
    names = load_class_set("world").names
    assert names == tuple(label.name.lower().replace("_", " ") for label in Label)


def test_a_frame_is_complete_and_within_its_ranges(drive: Drive, frame: Frame) -> None:
    scan, lidar = frame.scan, drive.config.lidar
    distance = np.linalg.norm(scan.points, axis=1)
    assert 20_000 < len(scan) <= 32 * 1084
    assert scan.points.dtype == np.float32
    assert np.isfinite(scan.points).all()
    assert np.isfinite(frame.world_from_lidar).all()
    assert distance.min() > lidar.min_range_m - 0.15
    assert distance.max() < lidar.max_range_m + 0.15
    assert scan.intensity.min() >= 0
    assert scan.intensity.max() <= 1
    assert 0.01 < np.median(scan.intensity) < 0.2  # nuScenes: 12 / 255
    assert frame.labels.dtype == np.uint8
    assert frame.labels.max() < len(Label)
    assert frame.instances.dtype == np.uint16
    assert scan.stamp_ns == drive.config.start_ns + SWEEP * 50_000_000


def test_rings_and_times_are_those_of_a_clockwise_turn_from_the_rear(frame: Frame) -> None:
    scan = frame.scan
    assert np.array_equal(np.unique(scan.ring), np.arange(32))
    assert (np.diff(scan.time_ns) >= 0).all()
    assert scan.time_ns.min() >= 0
    assert 49_000_000 < scan.time_ns.max() < 50_000_000
    x, y, z = scan.points.T.astype(np.float64)
    elevation = np.degrees(np.arctan2(z, np.hypot(x, y)))
    aside = np.radians(elevation - (-30.67 + scan.ring * 41.34 / 31)) * np.linalg.norm(scan.points, axis=1)
    assert np.abs(aside).max() < 1.5e-3  # points come in whole millimetres
    turned = np.mod(180.0 - np.degrees(np.arctan2(y, x)), 360.0)
    late = np.abs(turned / 360.0 * 50e6 - scan.time_ns)
    near_mm = 50e6 / (2 * np.pi * np.hypot(x, y)) * 1e-3
    assert (np.minimum(late, 50e6 - late) < 50e6 / 1084 * 0.1 + near_mm).all()


def above_the_road(drive: Drive, points: np.ndarray) -> np.ndarray:
    """Heights above the nearest point of the centreline."""
    road = drive.scene.town.road
    nearest = [np.argmin(((road.xy - p) ** 2).sum(axis=1)) for p in points[:, :2]]
    return points[:, 2] - road.height[nearest]


def test_ground_lies_at_the_height_of_the_ground(drive: Drive, frame: Frame) -> None:
    z = above_the_road(drive, in_world(drive, frame))
    noise = 5 * drive.config.lidar.range_noise_m
    near = np.linalg.norm(frame.scan.points[:, :2], axis=1) < drive.scene.town.half_m(0)  # surely on the road
    road = z[near & (frame.labels == Label.DRIVEABLE_SURFACE)]
    assert len(road) > 1000
    assert np.abs(road).max() < noise + 0.02
    for label in FLAT:
        flat = z[frame.labels == label]
        assert np.percentile(flat, 1) > -1.2 - noise
        assert np.percentile(flat, 95) < 3.0


def test_things_lie_inside_their_own_boxes_and_carry_their_class(drive: Drive, frame: Frame) -> None:
    points = in_world(drive, frame)
    middle = frame.scan.stamp_ns + 25_000_000
    boxes = {box.instance: box for box in drive.boxes(middle)}
    seen = np.unique(frame.instances[frame.instances > 0])
    assert len(seen) > 10
    for instance in seen:
        mine, box = frame.instances == instance, boxes[int(instance)]
        assert (frame.labels[mine] == box.label).all()
        local = (points[mine] - box.pose[:3, 3]) @ box.pose[:3, :3]
        # moving: 15 m/s for half a turn; people: a swung leg leaves the box of straight legs
        slack = 0.1 + (0.4 if box.moving else 0.0) + (0.3 if box.label == Label.PEDESTRIAN else 0.0)
        assert (np.abs(local) <= box.size / 2 + slack).all(), (instance, box.label)


def test_all_things_have_instances_and_nothing_else_has(frame: Frame) -> None:
    thing = np.isin(frame.labels, [int(label) for label in THINGS])
    assert np.array_equal(frame.instances > 0, thing)


def test_what_moves_moves_as_its_box_does_and_what_stands_stands(drive: Drive) -> None:
    a, b = (drive.stamp_ns(i) for i in (0, 20))
    before, after = ({box.instance: box for box in drive.boxes(s)} for s in (a, b))
    both = before.keys() & after.keys()
    way = {i: float(np.linalg.norm(after[i].pose[:3, 3] - before[i].pose[:3, 3])) for i in both}
    assert all(way[i] == 0 for i in both if not before[i].moving)
    vehicles = [way[i] for i in both if before[i].moving and before[i].label in (Label.CAR, Label.TRUCK, Label.BUS)]
    assert len(vehicles) > 2
    assert min(vehicles) > 2.0
    moved = drive.frame(20).world_from_lidar[:3, 3] - drive.frame(0).world_from_lidar[:3, 3]
    assert 4.0 < np.linalg.norm(moved) < 13.0


def test_points_of_a_moving_thing_follow_it(drive: Drive) -> None:
    frames = [drive.frame(i) for i in (10, 11, 12, 13, 14)]
    clouds = [(in_world(drive, f), f) for f in frames]
    checked = 0
    for box in drive.boxes(frames[2].scan.stamp_ns):
        if not box.moving or box.label == Label.PEDESTRIAN:
            continue
        for points, f in clouds:
            mine = f.instances == box.instance
            if mine.sum() < 30:
                continue
            when = int(np.median(f.scan.time_ns[mine]))
            mine &= np.abs(f.scan.time_ns - when) < 2_000_000  # within which it moves 3 cm at most
            there = {b.instance: b for b in drive.boxes(f.scan.stamp_ns + when)}[box.instance]
            local = (points[mine] - there.pose[:3, 3]) @ there.pose[:3, :3]
            assert (np.abs(local) <= there.size / 2 + 0.13).all(), box.label
            checked += 1
    assert checked >= 5


def test_motion_compensation_moves_points_to_where_the_sensor_was_at_the_stamp() -> None:
    quiet = LidarConfig(range_noise_m=0.0)
    raw = Drive(3, replace(SHORT, lidar=quiet))
    still = Drive(3, replace(SHORT, lidar=replace(quiet, motion_compensated=True)))
    a, b = raw.frame(5), still.frame(5)
    world = in_world(raw, a)
    assert np.abs(world - (b.scan.points @ b.world_from_lidar[:3, :3].T + b.world_from_lidar[:3, 3])).max() < 4e-3
    assert np.abs(raw.points_at_stamp(a.scan) - b.scan.points).max() < 4e-3  # points come in whole millimetres
    assert np.abs(a.scan.points - b.scan.points).max() > 0.1


def test_the_same_seed_gives_the_same_arrays_here_and_in_another_process() -> None:
    here = digest(Drive(11, SHORT).frame(3, with_images=True))
    assert digest(Drive(11, SHORT).frame(3, with_images=True)) == here
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_world_scans import *; "
        "print(digest(Drive(11, SHORT).frame(3, with_images=True)))"
    )
    folder = __file__.rsplit("/", 1)[0]
    out = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == here


def test_another_seed_and_another_sweep_give_other_arrays(drive: Drive, frame: Frame) -> None:
    assert digest(Drive(drive.seed + 100, SHORT).frame(SWEEP)) != digest(frame)
    assert digest(drive.frame(SWEEP + 1)) != digest(frame)


def test_frames_do_not_depend_on_the_order_they_are_asked_for(drive: Drive, frame: Frame) -> None:
    again = [f for f in drive.sweeps(3, start=SWEEP - 2, every=2)][1]
    assert digest(again) == digest(frame)


def test_every_class_occurs_within_a_few_scenes() -> None:
    seen: set[int] = set()
    for seed in range(8):  # as many as there are themes
        drive = Drive(seed, replace(SHORT, duration_s=0.1))
        seen |= set(np.unique(drive.frame(0).labels).tolist())
    assert seen == {int(label) for label in Label}


def test_layouts_are_what_they_are_called() -> None:
    towns = {
        name: Drive(5, replace(SHORT, layout=name, traffic=0.0)).scene.town
        for name in ("straight", "crossing", "curve")
    }
    turn = {name: float(np.ptp(town.road.heading)) for name, town in towns.items()}
    assert turn["straight"] == turn["crossing"] == 0.0
    assert turn["curve"] > 0.2
    assert [bool(town.side_roads()) for town in towns.values()] == [False, True, False]


def test_an_empty_street_has_no_movers_and_a_bad_seed_or_index_is_refused(drive: Drive) -> None:
    assert not Drive(2, replace(SHORT, traffic=0.0, duration_s=0.1)).scene.movers
    with pytest.raises(ValueError, match="seed"):
        Drive(-1, SHORT)
    with pytest.raises(IndexError, match="sweep in 0"):
        drive.frame(41)
