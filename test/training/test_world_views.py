"""The world's cameras, its rays, its bags and its data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2scene_ros.errors import BadBag, BadDataset
from clip2scene_ros.frame import UNKNOWN, Frame
from clip2scene_ros.geometry import project, visible
from clip2scene_ros.io.bags import BagReader
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.world import Drive, Label, WorldConfig
from clip2scene_training.world.bag import write_bag
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, pose_at
from clip2scene_training.world.tracer import Layer, Rays
from clip2scene_training.world.version import WORLD_VERSION

CAMERAS = ("cam_front", "cam_front_left", "cam_front_right", "cam_back", "cam_back_left", "cam_back_right")
SHORT = WorldConfig(duration_s=1.0)
SMALL = WorldConfig(image_width=64, image_height=36)
"""Small images, where what is in them does not matter."""


@pytest.fixture(scope="module")
def drive() -> Drive:
    return Drive(6, SHORT)


@pytest.fixture(scope="module")
def frame(drive: Drive) -> Frame:
    return drive.frame(10, with_images=True)


def test_six_cameras_look_where_those_of_nuscenes_look_at_their_own_stamps(frame: Frame) -> None:
    assert tuple(v.name for v in frame.views) == CAMERAS
    ahead = [np.linalg.inv(v.camera_from_lidar)[:3, 2] for v in frame.views]
    yaw = [np.degrees(np.arctan2(a[1], a[0])) for a in ahead]
    difference = (np.array(yaw) - [0, 55, -55, 180, 110, -110] + 180) % 360 - 180
    assert np.abs(difference).max() < 2.0  # the vehicle turns a little between the stamps
    stamps = [v.stamp_ns for v in frame.views]
    assert len(set(stamps)) == 6
    assert all(abs(s - frame.scan.stamp_ns) <= 1e9 / 12 / 2 + 1 for s in stamps)


def test_exposures_come_at_the_camera_rate_when_the_beam_first_passes(drive: Drive) -> None:
    for camera, mount in enumerate(drive.config.cameras):
        stamps = drive.image_stamps_ns(camera)
        assert np.abs(np.diff(stamps) - 1e9 / 12).max() <= 1
        scan = drive.frame(0).scan
        azimuth = np.degrees(np.arctan2(scan.points[:, 1], scan.points[:, 0]))
        off = np.abs((azimuth - mount.yaw_deg + 180) % 360 - 180)
        beam = scan.time_ns[off < 1.0]
        late = np.abs(beam - (stamps[0] - scan.stamp_ns))
        assert np.minimum(late, 50e6 - late).max() < 0.5e6
        assert stamps[-1] < drive.config.start_ns + 1e9


def test_images_are_pictures_with_a_class_for_each_pixel(frame: Frame) -> None:
    for view in frame.views:
        assert view.image.shape == (180, 320, 3)
        assert view.image.dtype == view.labels.dtype == np.uint8
        assert view.labels.shape == (180, 320)
        assert view.image.std() > 15
        assert 20 < view.image.mean() < 235
        assert set(np.unique(view.labels)) <= {*map(int, Label), UNKNOWN}
        assert (view.labels[-20:] != UNKNOWN).all()  # the ground is below, sky is not


@pytest.mark.parametrize("seed", [1, 6])
def test_points_fall_on_pixels_of_their_class(seed: int) -> None:
    drive = Drive(seed, SHORT)
    frame = drive.frame(10, with_images=True)
    points = drive.points_at_stamp(frame.scan).astype(np.float32)
    same, count = 0, 0
    for view in frame.views:
        uv, depth, inside = project(points, view)
        seen = visible(uv, depth, inside, view.camera)
        u, v = np.rint(uv[seen]).astype(int).T
        same += int((view.labels[v, u] == frame.labels[seen]).sum())
        count += int(seen.sum())
    assert count > 10_000
    assert same / count > 0.92


def test_a_wrong_pose_is_noticed_by_the_pixels(drive: Drive, frame: Frame) -> None:
    """The check above can fail: two degrees of yaw cost at least three points in a hundred."""
    points = drive.points_at_stamp(frame.scan)
    turned = points @ pose_at(0, 0, 0, np.radians(2.0))[:3, :3].T
    right, wrong = (_agreement(p.astype(np.float32), frame) for p in (points, turned))
    assert wrong < right - 0.03


def _agreement(points: np.ndarray, frame: Frame) -> float:
    same = []
    for view in frame.views:
        uv, _, inside = project(points, view)
        u, v = np.rint(uv[inside]).astype(int).T
        same.append(view.labels[v, u] == frame.labels[inside])
    return float(np.concatenate(same).mean())


def test_rays_meet_what_an_independent_calculation_says() -> None:
    """Two layers, one of them moved and one pose a ray, against Moeller and Trumbore's test over all triangles."""
    rng = np.random.default_rng(0)
    ground, thing = Builder(), Builder()
    ground.box((60, 60, 1), (0, 0, -2), Material.ASPHALT, (0.2, 0.2, 0.2))
    thing.ball((1.0, 0.6, 0.8), (0, 0, 0), Material.PAINT, (0.5, 0.1, 0.1), detail=2)
    layers = [Layer([ground.mesh()], [10], [0]), Layer([thing.mesh()], [3], [7])]
    count = 300
    directions = rng.normal(size=(count, 3)) * [1, 0.3, 0.3] + [1.0, 0, 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rays = Rays(np.zeros((count, 3)), directions)
    poses = np.stack([pose_at(4 + rng.random(), rng.normal(0, 0.3), 0, rng.uniform(0, 6)) for _ in range(count)])
    rays.meet(layers[0])
    rays.meet(layers[1], np.arange(count), poses)
    rays.finish()
    expected, label = _nearest(directions, layers[0].mesh, layers[1].mesh, poses)
    assert np.array_equal(rays.hit, np.isfinite(expected))
    assert np.allclose(rays.distance[rays.hit], expected[rays.hit], atol=1e-4)
    assert np.array_equal(rays.label[rays.hit], label[rays.hit])
    assert 20 < (rays.label == 3).sum() < count - 20
    assert (rays.instance[rays.label == 3] == 7).all()
    assert (np.einsum("ij,ij->i", rays.normal, directions)[rays.hit] < 0).all()


def _nearest(directions, ground, thing, poses):
    expected, label = np.full(len(directions), np.inf), np.zeros(len(directions), int)
    for i, direction in enumerate(directions):
        for name, mesh, pose in ((10, ground, np.eye(4)), (3, thing, poses[i])):
            corners = (mesh.vertices @ pose[:3, :3].T + pose[:3, 3])[mesh.faces]
            a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
            p = np.cross(direction, ac)
            det = np.einsum("ij,ij->i", ab, p)
            with np.errstate(all="ignore"):
                u = np.einsum("ij,ij->i", -a, p) / det
                q = np.cross(-a, ab)
                v = q @ direction / det
                t = np.einsum("ij,ij->i", ac, q) / det
            met = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
            if met.any() and t[met].min() < expected[i]:
                expected[i], label[i] = t[met].min(), name
    return expected, label


def test_a_bag_gives_back_the_drive(tmp_path: Path) -> None:
    config = replace(SMALL, duration_s=0.6, image_hz=4.0)
    ticks: list[tuple[int, int]] = []
    write_bag(tmp_path / "drive.mcap", 4, 0.6, lambda *done: ticks.append(done), image_hz=4.0, config=SMALL)
    assert ticks == [(i, 12) for i in range(1, 13)]
    with BagReader(tmp_path / "drive.mcap") as bag:
        topics, frames = bag.topics, list(bag.frames())
        changed = {"image_width": 64, "image_height": 36, "image_hz": 4.0}
        assert bag.world() == {"version": WORLD_VERSION, "seed": 4, "seconds": 0.6, "settings": changed}
        assert bag.latched == {"/tf_static", "/ground_truth/class_set", "/world"}
    wanted = {"/world", "/points", "/odom", "/tf_static", "/ground_truth/points", "/ground_truth/class_set"}
    wanted |= {f"/{c}/{end}" for c in CAMERAS for end in ("image/compressed", "camera_info")}
    assert set(topics) == wanted
    assert topics["/odom"][1] >= 0.6 * 20
    drive = Drive(4, config)
    assert len(frames) == 12
    for index in (0, 5, 11):
        here, there = drive.frame(index, with_images=True), frames[index]
        for name in ("points", "intensity", "ring", "time_ns"):
            assert np.array_equal(getattr(here.scan, name), getattr(there.scan, name)), name
        assert np.array_equal(here.labels, there.labels)
        assert np.array_equal(here.instances, there.instances)
        assert np.abs(here.world_from_lidar - there.world_from_lidar).max() < 1e-9
        views = {v.name: v for v in there.views}
        assert len(views) == 6 or index == 11
        for view in here.views:
            if view.name in views:
                other = views[view.name]
                assert other.stamp_ns == view.stamp_ns
                assert np.abs(other.camera_from_lidar - view.camera_from_lidar).max() < 1e-3
                assert np.array_equal(other.image, view.image)
    with pytest.raises(BadBag):
        write_bag(tmp_path / "drive.mcap", 4, 0.1)


def test_a_data_set_is_generated_once_and_equals_the_drives(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def dataset() -> WorldDataset:
        seen.clear()
        return WorldDataset(
            [5, 2],
            2,
            tmp_path,
            every=4,
            with_images=True,
            workers=2,
            config=SMALL,
            progress=lambda *done: seen.append(done),
        )

    first = dataset()
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert not list(tmp_path.glob("*.tmp"))
    again = dataset()
    assert seen == [(2, 2)]
    assert len(again) == 4
    drive = Drive(2, again.config)
    for frame, other in ((again[3], drive.frame(4, with_images=True)), (first[2], drive.frame(0))):
        assert np.array_equal(frame.scan.points, other.scan.points)
        assert np.array_equal(frame.labels, other.labels)
        assert np.array_equal(frame.world_from_lidar, other.world_from_lidar)
        for view, expected in zip(frame.views, other.views, strict=False):
            assert view.name == expected.name
            assert np.array_equal(view.image, expected.image)
            assert np.array_equal(view.camera_from_lidar, expected.camera_from_lidar)
    with pytest.raises(IndexError):
        again[4]


def test_other_settings_never_meet_stale_scenes_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    one = WorldDataset([3], 1, tmp_path, workers=1)
    two = WorldDataset([3], 1, tmp_path, workers=1, config=WorldConfig(traffic=0.0))
    assert one.digest != two.digest
    assert not np.array_equal(one[0].labels, two[0].labels)
    path = next(tmp_path.glob(f"*{one.digest}*"))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadDataset, match=path.name):
        WorldDataset([3], 1, tmp_path, workers=1)[0]


def test_a_scene_that_fails_half_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        WorldDataset([1], 1, tmp_path, workers=1)
    assert not list(tmp_path.iterdir())
