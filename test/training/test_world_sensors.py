"""The world's sensors: rigs, weather, lenses, drift, calibration error, depth and flow, what the LiDAR loses."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros import arguments, cli
from clip2scene_ros.arguments import drives
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import Frame, View
from clip2scene_ros.geometry import project, visible
from clip2scene_ros.io.bags import BagReader
from clip2scene_training.world import Drive, Label, WorldConfig
from clip2scene_training.world.appearance import ANY, KINDS, appearance
from clip2scene_training.world.cameras import ImageTruth
from clip2scene_training.world.config import WEATHER
from clip2scene_training.world.finish import finish, wear
from clip2scene_training.world.lidar import elevations
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import pose_at
from clip2scene_training.world.odometry import Odometry
from clip2scene_training.world.optics import base_from_camera
from clip2scene_training.world.picture import developed
from clip2scene_training.world.rigs import RIGS, with_rig
from clip2scene_training.world.splits import SPLITS

SHORT = WorldConfig(duration_s=1.0, weather="clear")
UNSEEN = with_rig(SHORT, "unseen")
SEED = 6


def angle_deg(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation[:3, :3]) - 1) / 2, -1, 1))))


def agreement(drive: Drive, frame: Frame) -> tuple[float, int]:
    """Share of the visible points that fall on a pixel of their class, and how many there are."""
    points, same = drive.points_at_stamp(frame.scan).astype(np.float32), []
    for view in frame.views:
        uv, depth, inside = project(points, view)
        seen = visible(uv, depth, inside, view.camera)
        u, v = np.rint(uv[seen]).astype(int).T
        assert view.labels is not None
        assert frame.labels is not None
        same.append(view.labels[v, u] == frame.labels[seen])
    flat = np.concatenate(same)
    return float(flat.mean()), len(flat)


@pytest.fixture(scope="module")
def plain() -> Drive:
    return Drive(SEED, SHORT)


@pytest.fixture(scope="module")
def plain_frame(plain: Drive) -> Frame:
    return plain.frame(10, with_images=True)


@pytest.fixture(scope="module")
def unseen() -> Drive:
    return Drive(SEED, UNSEEN)


@pytest.fixture(scope="module")
def unseen_frame(unseen: Drive) -> Frame:
    return unseen.frame(10, with_images=True)


def test_the_usual_rig_is_the_default_and_the_unseen_one_differs_in_all() -> None:
    assert with_rig(WorldConfig(), "nuscenes") == WorldConfig()
    for f in fields(RIGS["nuscenes"]):
        assert getattr(RIGS["nuscenes"], f.name) != getattr(RIGS["unseen"], f.name), f.name
    assert SPLITS["ood"].config == with_rig(SPLITS["ood"].config, "unseen")
    assert SPLITS["ood"].config.weather == "night_or_fog"
    assert {s.config for s in SPLITS.values() if s.name != "ood"} == {SPLITS["train"].config}


def test_the_unseen_lidar_has_64_uneven_beams_is_higher_and_pitched(unseen: Drive, unseen_frame: Frame) -> None:
    scan = unseen_frame.scan
    lasers = np.degrees(elevations(UNSEEN.lidar))
    assert len(lasers) == 64
    assert (np.diff(lasers) > 0).all()
    assert np.diff(lasers)[:31].mean() > 1.4 * np.diff(lasers)[32:].mean()
    assert np.array_equal(np.unique(scan.ring), np.arange(64))
    x, y, z = scan.points.T.astype(np.float64)
    off = np.arctan2(z, np.hypot(x, y)) - np.radians(lasers)[scan.ring]
    assert np.abs(off * np.linalg.norm(scan.points, axis=1)).max() < 1e-3
    assert len(scan) > 45_000
    # the road is flat in the vehicle's frame, not in the LiDAR's: the mount says by how much
    near = (unseen_frame.labels == Label.DRIVEABLE_SURFACE) & (np.hypot(x, y) < 12)
    slope = np.polyfit(x[near], z[near], 1)[0]
    assert np.degrees(np.arctan(slope)) == pytest.approx(UNSEEN.lidar_pitch_deg, abs=1.5)
    level = scan.points[near] @ unseen.base_from_lidar[:3, :3].T + unseen.base_from_lidar[:3, 3]
    assert abs(np.median(level[:, 2])) < 0.15


def test_four_cameras_of_the_unseen_rig_see_what_the_lidar_sees(unseen: Drive, unseen_frame: Frame) -> None:
    assert [v.name for v in unseen_frame.views] == ["cam_front", "cam_left", "cam_right", "cam_back"]
    same, count = agreement(unseen, unseen_frame)
    assert count > 5000
    assert same > 0.92


def test_pitch_looks_down_yaw_left_and_roll_leans_right() -> None:
    mount = replace(UNSEEN.cameras[1], yaw_deg=90.0, pitch_deg=30.0, roll_deg=0.0)
    right, _, ahead = base_from_camera(mount)[:3, :3].T
    assert np.allclose(ahead, [0, np.cos(np.pi / 6), -0.5])
    assert np.allclose(right, [1, 0, 0])
    leaning = base_from_camera(replace(mount, pitch_deg=0.0, roll_deg=10.0))[:3, :3]
    assert leaning[2, 0] == pytest.approx(-np.sin(np.radians(10)))  # the image's right side goes down


@pytest.mark.parametrize("lens", ["plumb_bob", "equidistant"])
def test_points_fall_on_pixels_of_their_class_through_a_distorting_lens(
    lens: str, plain: Drive, plain_frame: Frame
) -> None:
    drive = Drive(SEED, replace(SHORT, distortion=lens))
    frame = drive.frame(10, with_images=True)
    assert np.array_equal(frame.scan.points, plain_frame.scan.points)
    assert {v.camera.distortion_model for v in frame.views} == {lens}
    straight, _ = agreement(plain, plain_frame)
    bent, count = agreement(drive, frame)
    assert count > 8000
    assert bent > straight - 0.02
    ignored = [replace(v, camera=replace(v.camera, distortion_model="none")) for v in frame.views]
    assert agreement(drive, replace(frame, views=tuple(ignored)))[0] < bent - 0.02


def test_weather_is_drawn_with_its_weights_and_by_name() -> None:
    drawn = [appearance(seed).kind for seed in range(600)]
    for kind, weight in ANY.items():
        assert drawn.count(kind) / 600 == pytest.approx(weight, abs=0.06), kind
    assert {appearance(seed, "night_or_fog").kind for seed in range(20)} == {"night", "fog"}
    for name in set(WEATHER) - {"any", "night_or_fog"}:
        assert appearance(3, name).kind == name
    assert set(WEATHER) - {"any", "night_or_fog"} <= set(KINDS)
    assert max(appearance(seed, "fog").fog_m for seed in range(50)) < min(KINDS["mist"].fog_m)


def test_night_is_dark_with_lamps_and_fog_hides_what_is_far(plain: Drive) -> None:
    stamp = int(plain.image_stamps_ns(0)[3])
    pictures = {
        name: Drive(SEED, replace(SHORT, weather=name, exposure_error=0.0)).view(0, stamp, stamp)
        for name in ("clear", "night", "fog")
    }
    depth = plain.truth(0, stamp).depth
    assert all(np.array_equal(v.labels, pictures["clear"].labels) for v in pictures.values())
    sky = np.isinf(depth)
    grey = {name: v.image.astype(float).mean(axis=2) for name, v in pictures.items()}
    assert grey["night"][sky].mean() < 0.5 * grey["clear"][sky].mean()
    assert grey["night"].mean() < 0.85 * grey["clear"].mean()
    assert np.percentile(grey["night"], 99.5) > 160  # lamps
    assert grey["night"].std() > 20  # but readable
    far, near = (depth > 60) & ~sky, depth < 8
    assert grey["fog"][far].std() < 0.4 * grey["clear"][far].std()
    assert abs(grey["fog"][far].mean() - grey["fog"][sky].mean()) < 12
    assert grey["fog"][near].std() > 5


def test_fog_shortens_the_lidars_reach_and_nothing_else(plain: Drive) -> None:
    clear, fog = plain.frame(3).scan, Drive(SEED, replace(SHORT, weather="fog")).frame(3).scan
    far = [int((np.linalg.norm(s.points, axis=1) > 40).sum()) for s in (clear, fog)]
    near = [int((np.linalg.norm(s.points, axis=1) < 8).sum()) for s in (clear, fog)]
    assert far[1] < 0.6 * far[0]
    assert near[1] > 0.95 * near[0]


def test_exposure_varies_from_image_to_image_and_not_without_the_error(plain: Drive) -> None:
    light, air = np.full((9, 16, 3), 0.4, np.float32), appearance(SEED, "clear")
    rng = np.random.default_rng(0)
    assert developed(light, air, 2.0, rng).mean() > 1.3 * developed(light, air, 1.0, rng).mean()
    steady = Drive(SEED, replace(SHORT, exposure_error=0.0))
    stamps = plain.image_stamps_ns(2)[:6]
    spread = [np.std([d.raw_image(2, int(s)).mean() for s in stamps]) for d in (plain, steady)]
    assert spread[0] > 2 * spread[1] > 0


def test_images_are_what_a_jpeg_leaves_of_them(plain: Drive) -> None:
    stamp = int(plain.image_stamps_ns(1)[0])
    raw = Drive(SEED, replace(SHORT, jpeg_quality=0)).view(1, stamp, stamp).image
    assert np.array_equal(raw, plain.raw_image(1, stamp))
    lost = np.abs(plain.view(1, stamp, stamp).image.astype(int) - raw).mean()
    assert 0.3 < lost < 8


def a_bend(t: np.ndarray) -> np.ndarray:
    """A drive of 8 m/s on a circle of 60 m that climbs."""
    poses = np.stack([pose_at(60 * np.sin(a), 60 - 60 * np.cos(a), 0.0, a) for a in np.asarray(t) * 8 / 60])
    poses[:, 2, 3] = 0.1 * np.asarray(t)
    return poses


def test_odometry_starts_true_and_drifts_with_the_way_as_the_settings_say() -> None:
    t, share, turned = np.arange(20.0), [], []
    way = np.linalg.norm(np.diff(a_bend(t)[:, :2, 3], axis=0), axis=1).sum()
    for seed in range(60):
        told = odometry(seed, 0.02, 0.02).poses(t)
        assert np.abs(a_bend(t)[0] - told[0]).max() < 1e-12
        assert np.allclose(told[:, :3, :3] @ np.swapaxes(told[:, :3, :3], 1, 2), np.eye(3), atol=1e-12)
        assert np.array_equal(a_bend(t)[:, 2, 3], told[:, 2, 3])
        share.append(np.linalg.norm(np.diff(told[:, :2, 3], axis=0), axis=1).sum() / way - 1)
        turned.append(angle_deg(a_bend(t)[-1, :3, :3].T @ told[-1, :3, :3]) / way)
    assert 0.014 < np.std(share) < 0.027
    assert abs(np.mean(share)) < 0.008
    assert 0.005 < np.sqrt(np.mean(np.square(turned))) < 0.015  # the rate wanders, so part of it cancels
    assert np.allclose(odometry(1, 0.0, 0.0).poses(t), a_bend(t), atol=1e-9)


def odometry(seed: int, share: float, deg_per_m: float) -> Odometry:
    config = WorldConfig(duration_s=20.0, odometry_drift=share, odometry_drift_deg_per_m=deg_per_m)
    return Odometry(seed, config, a_bend)


def test_frames_carry_odometry_and_not_the_truth() -> None:
    drive = Drive(2, replace(SHORT, odometry_drift=0.05))
    frame = drive.frame(19)
    told = drive.odometry(np.array([frame.scan.stamp_ns]))[0] @ drive.base_from_lidar
    assert np.array_equal(frame.world_from_lidar, told)
    assert 0.01 < np.linalg.norm(told - drive.world_from_lidar(frame.scan.stamp_ns)) < 2.0


def test_a_calibration_error_is_in_what_is_reported_and_not_in_the_image(plain: Drive, plain_frame: Frame) -> None:
    drive = Drive(SEED, replace(SHORT, calibration_error_deg=1.5, calibration_error_m=0.05))
    off, axes = [], []
    stamp = plain_frame.scan.stamp_ns
    for camera, true in enumerate(plain_frame.views):
        wrong: View = drive.view(camera, true.stamp_ns, stamp)
        assert np.array_equal(wrong.image, true.image)
        assert np.array_equal(wrong.labels, true.labels)
        turn = np.linalg.inv(plain.reported_camera(camera)) @ drive.reported_camera(camera)
        assert angle_deg(turn) == pytest.approx(1.5, abs=1e-6)
        assert np.linalg.norm(turn[:3, 3]) == pytest.approx(0.05, abs=1e-9)
        off.append(angle_deg(wrong.camera_from_lidar @ np.linalg.inv(true.camera_from_lidar)))
        axes.append((turn[2, 1], turn[0, 2], turn[1, 0]))
    assert np.allclose(off, 1.5, atol=1e-6)
    assert np.linalg.matrix_rank(np.array(axes), tol=1e-6) == 3  # each camera in another direction


@pytest.fixture(scope="module")
def true_pixels(plain: Drive, plain_frame: Frame) -> list[ImageTruth]:
    return [plain.truth(camera, view.stamp_ns) for camera, view in enumerate(plain_frame.views)]


def test_depth_is_that_of_the_points_which_the_lidar_measures(
    plain: Drive, plain_frame: Frame, true_pixels: list[ImageTruth]
) -> None:
    points, off = plain.points_at_stamp(plain_frame.scan).astype(np.float32), []
    for view, true in zip(plain_frame.views, true_pixels, strict=True):
        assert np.array_equal(true.labels, view.labels)
        assert np.array_equal(np.isinf(true.depth), true.labels == 255)
        assert true.depth.dtype == true.flow.dtype == np.float32
        uv, depth, inside = project(points, view)
        seen = visible(uv, depth, inside, view.camera)
        u, v = np.rint(uv[seen]).astype(int).T
        off.append(np.abs(true.depth[v, u] - depth[seen]) / depth[seen])
    relative = np.concatenate(off)
    assert np.median(relative) < 0.02
    assert (relative < 0.08).mean() > 0.8


def test_instances_of_pixels_are_those_of_the_boxes(plain: Drive, true_pixels: list[ImageTruth]) -> None:
    boxes = {box.instance: box.label for box in plain.boxes(plain.stamp_ns(10))}
    for true in true_pixels:
        for instance in np.unique(true.instances[true.instances > 0]):
            assert set(true.labels[true.instances == instance]) == {int(boxes[int(instance)])}


def test_flow_leads_to_the_same_thing_in_the_next_image(plain: Drive, true_pixels: list[ImageTruth]) -> None:
    """Depth and class where the flow points to are those of the same thing, moving ones included."""
    kept, moved = [], []
    still = {box.instance for box in plain.boxes(plain.stamp_ns(10)) if not box.moving}
    for camera, true in enumerate(true_pixels):
        stamp = plain.image_stamps_ns(camera)
        here = stamp[np.argmin(np.abs(stamp - plain.stamp_ns(10)))]
        later = plain.truth(camera, int(here) + round(1e9 / 12))
        v, u = np.nonzero(np.isfinite(true.flow).all(axis=2))
        there = np.rint(np.stack([u, v], axis=1) + true.flow[v, u]).astype(int)
        inside = ((there >= 0) & (there < [320, 180])).all(axis=1)
        u, v, there = u[inside], v[inside], there[inside]
        same = later.instances[there[:, 1], there[:, 0]] == true.instances[v, u]
        same &= later.labels[there[:, 1], there[:, 0]] == true.labels[v, u]
        kept.append(same)
        moved.append(same[(true.instances[v, u] > 0) & ~np.isin(true.instances[v, u], list(still))])
        assert np.isnan(true.flow[np.isinf(true.depth)]).all()
    assert np.concatenate(kept).mean() > 0.93
    assert len(np.concatenate(moved)) > 500
    assert np.concatenate(moved).mean() > 0.8


def test_flow_of_what_stands_is_the_motion_of_the_camera(plain: Drive, true_pixels: list[ImageTruth]) -> None:
    """A wall's point, unprojected by its depth and projected into the next image, by a calculation of its own."""
    camera, true = 0, true_pixels[0]
    stamps = plain.image_stamps_ns(camera)
    here = int(stamps[np.argmin(np.abs(stamps - plain.stamp_ns(10)))])
    mount = base_from_camera(plain.config.cameras[camera])
    first, second = plain.world_from_base(np.array([here, here + round(1e9 / 12)])) @ mount
    v, u = np.nonzero((true.labels == Label.MANMADE) | (true.labels == Label.SIDEWALK))
    depth, focal = true.depth[v, u].astype(float), 1266.0 / 5
    local = np.stack([(u - 159.5) / focal * depth, (v - 89.5) / focal * depth, depth], axis=1)
    world = local @ first[:3, :3].T + first[:3, 3]
    x, y, z = ((world - second[:3, 3]) @ second[:3, :3]).T
    ahead = z > 1.0
    expected = np.stack([x / z * focal + 159.5 - u, y / z * focal + 89.5 - v], axis=1)[ahead]
    assert np.abs(true.flow[v, u][ahead] - expected).max() < 0.05
    assert np.abs(expected).max() > 1.0


def test_ranges_and_coordinates_lie_on_a_grid_of_a_millimetre(plain_frame: Frame) -> None:
    points = plain_frame.scan.points.astype(np.float64)
    assert np.abs(points * 1000 - np.round(points * 1000)).max() < 0.01


def test_the_vehicles_roof_hides_the_lowest_rings(plain: Drive, plain_frame: Frame) -> None:
    """As in the real nuScenes scan, where rings 0 to 8 have 191, 311, 435, 518, 570, 800, 955, 1044, 1044 returns."""
    real = np.array([191, 311, 435, 518, 570, 800, 955, 1044, 1044])
    assert np.abs(np.bincount(plain_frame.scan.ring)[:9] - real).max() < 160
    bare = replace(SHORT, lidar=replace(SHORT.lidar, roof_m=(0.0, 0.0, 0.3)))
    assert np.bincount(Drive(SEED, bare).frame(10).scan.ring)[:9].min() > 1000


def test_lasers_and_scenes_differ_in_intensity_more_than_a_class_does() -> None:
    states = [wear(seed, SHORT.lidar) for seed in range(40)]
    assert 0.2 < np.std([np.log(s.gain) for s in states]) < 0.5
    assert all(0 < s.dirt.min() <= s.dirt.max() <= 1 for s in states)
    assert 0 < sum(s.dirt.min() < 0.3 for s in states) < 20
    surfaces = [finish(seed) for seed in range(60)]
    asphalt = np.array([s.reflectivity[Material.ASPHALT] for s in surfaces])
    assert np.percentile(asphalt, 90) > 2.2 * np.percentile(asphalt, 10)
    road, paving = (np.array([0.23 * s.tint[Material.ASPHALT].mean() for s in surfaces]),
                    np.array([0.47 * s.tint[Material.PAVING].mean() for s in surfaces]))  # fmt: skip
    assert np.mean(road[:, None] > paving[None]) > 0.2  # the brighter of the two is often the road
    wet = [s for s in surfaces if s.wetness]
    assert 4 < len(wet) < 24
    assert all(s.mirror[Material.ASPHALT] > 0.05 for s in wet)


def test_intensities_of_both_rigs_are_those_of_the_real_sensors(plain: Drive, unseen: Drive) -> None:
    """Medians: nuScenes 0.047, KITTI 0.29 and 0.30; each scene's may be three times that or a third, or 0.12 off."""
    narrow, wide = (np.median([np.median(d.frame(i).scan.intensity) for i in (0, 8)]) for d in (plain, unseen))
    assert 0.047 / 3 < narrow < 0.047 * 3
    assert abs(wide - 0.295) < 0.12


def test_unknown_weather_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weather.*night_or_fog.*snow"):
        Drive(1, replace(SHORT, weather="snow"))


def test_the_command_line_knows_the_worlds_splits_rigs_and_weather() -> None:
    assert tuple(SPLITS) == drives.WORLD_SPLITS
    assert tuple(RIGS) == drives.WORLD_RIGS
    assert drives.WORLD_WEATHER == WEATHER


def test_the_command_line_writes_the_world_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "drive.mcap"
    line = ["world", str(path), "--seconds", "0.1", "--seed", "3", "--rig", "unseen", "--weather", "night"]
    line += ["--calibration-error", "0.5", "--odometry-drift", "0.1", "--quiet"]
    assert cli.main(line) == 0
    with BagReader(path) as bag:
        made, topics = bag.world(), set(bag.topics)
    assert made is not None
    assert (made["seed"], made["seconds"]) == (3, 0.1)
    settings = made["settings"]
    asked = (settings["weather"], settings["calibration_error_deg"], settings["odometry_drift"])
    assert asked == ("night", 0.5, 0.1)
    assert len(settings["cameras"]) == 4
    assert {f"/{c}/image/compressed" for c in ("cam_front", "cam_left", "cam_right", "cam_back")} <= topics


def test_a_split_decides_seed_settings_and_length() -> None:
    args = arguments.parse(["world", "x.mcap", "--split", "ood"])
    config = cli._world_config(args)
    assert config == SPLITS["ood"].config
    assert (args.seed, args.seconds) == (SPLITS["ood"].seeds[0], config.duration_s)
    args = arguments.parse(["world", "x.mcap", "--split", "val", "--seed", "100004", "--weather", "fog"])
    assert cli._world_config(args) == replace(SPLITS["val"].config, weather="fog")
    assert args.seed == 100_004
    args = arguments.parse(["world", "x.mcap", "--split", "val", "--seed", "200000", "--seconds", "6"])
    cli._world_config(args)
    assert (args.seed, args.seconds) == (200_000, 6.0)
    args = arguments.parse(["world", "x.mcap"])
    cli._world_config(args)
    assert (args.seed, args.seconds) == (drives.WORLD_SEED, drives.WORLD_SECONDS)


def test_a_split_has_no_scenes_of_another_length() -> None:
    with pytest.raises(BadConfig, match=r"A scene of --split val is 6 s long.*--seconds 20 was asked for"):
        cli._world_config(arguments.parse(["world", "x.mcap", "--split", "val", "--seconds", "20"]))
