"""The world's streets: what stands where, who moves how, what the splits are; both families of towns."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from clip2scene_training.world import Drive, Label, WorldConfig
from clip2scene_training.world.furnish import furnish
from clip2scene_training.world.ground import ground
from clip2scene_training.world.mesh import Builder, Mesh
from clip2scene_training.world.motion import Actor, Route
from clip2scene_training.world.plans import BANKS, FAMILIES
from clip2scene_training.world.road import KNOT_M, STEP_M, Road
from clip2scene_training.world.scene import Mover, Scene
from clip2scene_training.world.splits import SPLITS
from clip2scene_training.world.town import FAR_M, Town, plan, quota
from clip2scene_training.world.tracer import Layer
from clip2scene_training.world.visibility import hidden_share
from clip2scene_training.world.zones import ZONE_FURNISHERS

SHORT = WorldConfig(duration_s=3.0)
CASES = [("seen", 4), ("seen", 9), ("unseen", 2), ("unseen", 3), ("unseen", 5), ("unseen", 9)]
VEHICLES = (Label.CAR, Label.TRUCK, Label.BUS, Label.TRAILER, Label.MOTORCYCLE, Label.BICYCLE)


@pytest.fixture(scope="module", params=CASES, ids="{0[0]}{0[1]}".format)
def scene(request: pytest.FixtureRequest) -> Scene:
    towns, seed = request.param
    return Scene(seed, replace(SHORT, towns=towns))


@pytest.fixture(scope="module")
def bare(scene: Scene) -> Layer:
    """The ground alone, ready for rays."""
    meshes = ground(scene.town)
    return Layer([m for _, m in meshes], [int(label) for label, _ in meshes], [0] * len(meshes))


def below(bare: Layer, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height and class of the highest ground under points (N, 2), found by rays from above."""
    origins = np.concatenate([points, np.full((len(points), 1), 60.0)], axis=1)
    down = np.broadcast_to(np.array([0.0, 0.0, -1.0]), origins.shape)
    answer = bare.intersect(origins, down, np.full(len(points), 1e3))
    assert (answer["primID"] >= 0).all()
    return 60.0 - answer["tfar"], bare.label[answer["primID"]]


def inside_the_plan(town: Town, points: np.ndarray) -> np.ndarray:
    road = town.road
    nearest = np.array([np.argmin(((road.xy - p) ** 2).sum(axis=1)) for p in points])
    away = np.linalg.norm(road.xy[nearest] - points, axis=1)
    return (nearest > 20) & (nearest < len(road.xy) - 20) & (away < FAR_M - 5)


def test_the_street_is_one_piece(scene: Scene) -> None:
    town = scene.town
    assert all(a.end_m == b.start_m for a, b in pairwise(town.blocks))
    assert np.allclose(np.linalg.norm(np.diff(town.road.xy, axis=0), axis=1), STEP_M, atol=1e-3)
    assert np.abs(np.diff(town.road.heading)).max() < STEP_M / 80
    assert np.abs(np.diff(town.road.height)).max() < STEP_M * 0.08
    for block, _, road in town.side_roads():
        assert block.start_m < road.s_m - road.half_m < road.s_m + road.half_m < block.end_m


def test_the_roads_surface_is_where_the_road_is_and_of_its_class(scene: Scene, bare: Layer) -> None:
    town, rng = scene.town, np.random.default_rng(0)
    s = rng.uniform(town.road.start_m + 5, town.road.end_m - 5, 400)
    for side, sign in ((0, -1), (1, 1)):
        d = sign * rng.uniform(town.median_m / 2 + 0.05, town.half_m(side) - 0.05, 400)
        height, label = below(bare, town.road.point_at(s, d))
        assert (label == Label.DRIVEABLE_SURFACE).all()
        assert np.abs(height - town.road.height_at(s)).max() < 0.02


def test_things_stand_on_the_ground(scene: Scene, bare: Layer) -> None:
    placed = furnish(scene.town)
    feet = np.array([p.pose[:3, 3] for p in placed])
    height, _ = below(bare, feet[:, :2])
    above = feet[:, 2] - height
    inside = inside_the_plan(scene.town, feet[:, :2])
    built = np.array([p.label == Label.MANMADE for p in placed])
    grown = np.array([p.label == Label.VEGETATION for p in placed])
    assert above[inside & ~grown].max() < 0.12
    assert above[inside].max() < 0.35  # the wild land far from the road rolls
    assert above[inside & ~built].min() > -0.35
    assert above[inside & built].min() > -4.0  # a house on a slope stands deep in it


def test_no_building_stands_on_a_road(scene: Scene, bare: Layer) -> None:
    wide = [p for p in furnish(scene.town) if p.label == Label.MANMADE and np.ptp(p.mesh.bounds[:, 0]) > 5.5]
    assert len(wide) > 5
    for p in wide:
        (x0, y0, _), (x1, y1, _) = p.mesh.bounds
        x, y = np.meshgrid(np.linspace(x0 + 0.6, x1 - 0.6, 7), np.linspace(y0, min(y1, 0.0), 5))  # less the eaves
        floor = np.stack([x, y, 0 * x, 0 * x + 1], axis=-1).reshape(-1, 4) @ p.pose.T
        inside = inside_the_plan(scene.town, floor[:, :2])
        _, label = below(bare, floor[:, :2])
        assert not (label[inside] == Label.DRIVEABLE_SURFACE).any()


def test_nothing_comes_near_the_vehicle_with_the_sensors(scene: Scene) -> None:
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(-0.5, 0.5, 5)), axis=-1).reshape(-1, 2)
    for t in np.arange(0.0, 3.0, 0.5):
        base = scene.ego.poses(np.array([t]))[0]
        for box in scene.boxes(float(t)):
            local = np.concatenate([grid * box.size[:2], np.zeros((len(grid), 1))], axis=1)
            at = (local @ box.pose[:3, :3].T + box.pose[:3, 3] - base[:3, 3]) @ base[:3, :3]
            hit = (at[:, 0] > -1.0) & (at[:, 0] < 3.8) & (np.abs(at[:, 1]) < 0.95)
            assert not hit.any(), (box.label, t)


def test_people_cross_from_kerb_to_kerb_at_zebra_crossings() -> None:
    crossed = 0
    for seed in range(3):
        scene = Scene(seed, replace(SHORT, layout="crossing", duration_s=8.0))
        town, t = scene.town, np.linspace(-8.0, 20.0, 200)
        walkers = [a for m in scene.movers if (a := m.actor).label == Label.PEDESTRIAN and a.route is not None]
        for actor in walkers:
            s, d, _ = actor.street(scene.ego, t)
            assert np.abs(np.subtract.outer(s, town.zebras())).min(axis=1).max() < 1.5
            assert np.abs(np.diff(d)).max() < 1.9 * (t[1] - t[0])
            assert {d[0] > 0, d[-1] > 0} == {True, False}
            assert min(d.max() - town.half_m(1), -d.min() - town.half_m(0)) > 0.5
            z = actor.poses(town, scene.ego, t)[:, 2, 3] - town.road.height_at(s)
            assert np.allclose(z[[0, -1]], town.kerb_m)
            assert np.allclose(z[np.abs(d) < town.lanes_m - 0.1], 0.0)
            crossed += bool(np.ptp(d[(t > 0) & (t < 8)]) > town.lane_m)
    assert crossed >= 2


def test_vehicles_drive_out_of_side_roads_into_their_lane() -> None:
    joined = 0
    for seed in range(3):
        scene = Scene(seed, replace(SHORT, layout="crossing"))
        for mover in scene.movers:
            route = mover.actor.route
            if route is None or mover.actor.label not in VEHICLES or route.length < 100:
                continue
            s, d, turn = route.at(np.array([-100.0, 100.0]))
            assert abs(d[0]) > scene.town.half_m(int(d[0] > 0))
            assert abs(abs(d[1]) - scene.town.lane_middle_m(scene.town.lanes - 1)) < 1e-6
            assert np.cos(turn[1]) == pytest.approx(-np.sign(d[1]))  # right side forward, left side oncoming
            assert np.sign(s[1] - s[0]) == -np.sign(d[1])
            joined += 1
    assert joined >= 2


def test_moving_things_do_not_pass_through_each_other(scene: Scene) -> None:
    for t in (0.0, 1.3, 2.6):
        boxes = [b for b in scene.boxes(t) if b.moving]
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                away = np.linalg.norm(a.pose[:2, 3] - b.pose[:2, 3])
                assert away > min(a.size[1], b.size[1]) / 2, (a.label, b.label)


def test_a_route_brakes_to_a_halt_and_its_heading_follows_it() -> None:
    corners = np.array([[0.0, 0.0], [30.0, 0.0], [31.0, 1.0], [31.0, 20.0]])
    route = Route(corners, speed=5.0, begin_s=1.0, brake_m=10.0)
    t = np.linspace(0.0, 30.0, 3001)
    way = route.travelled(t)
    speed = np.diff(way) / np.diff(t)
    assert way[t <= 1.0].max() == 0.0
    assert way[-1] == pytest.approx(route.length)
    assert speed.max() == pytest.approx(5.0, abs=1e-6)
    assert speed.min() > -1e-9
    assert np.abs(np.diff(speed[200:]) / 0.01).max() < 5.0**2 / (2 * 10.0) + 0.05  # v^2 / 2 b, from then on
    s, d, turn = route.at(np.array([2.0, 30.0]))
    assert np.allclose([s[0], d[0], turn[0]], [5.0, 0.0, 0.0], atol=1e-6)
    assert np.allclose([s[1], d[1], turn[1]], [31.0, 20.0, np.pi / 2], atol=1e-6)


def test_a_vehicle_on_a_slope_stands_along_it() -> None:
    s = np.arange(-50.0, 50.5, STEP_M)
    road = Road.from_curvature(-50.0, np.zeros(len(s)), 0.05 * s)
    assert road.height_at(np.float64(0.0)) == 0.0
    assert np.allclose(road.grade_at(np.linspace(-30, 30, 7)), 0.05)
    for turn in (0.0, np.pi / 2, np.pi):
        pose = road.pose_at(10.0, 2.0, 0.0, turn)
        wheels = pose[:3, :3] @ np.array([[1.4, 0.8, 0.0], [-1.4, -0.8, 0.0]]).T + pose[:3, 3:]
        assert np.allclose(wheels[2], 0.05 * wheels[0], atol=1e-9)
    assert np.allclose(road.pose_at(10.0, 2.0, upright=True)[2, :3], [0, 0, 1])
    bent = Road.from_curvature(-50.0, np.zeros(len(s)), np.sin(s / 9))
    assert np.ptp(np.diff(bent.height_at(KNOT_M + np.linspace(0, KNOT_M, 6)))) < 1e-9


def test_families_have_no_plan_in_common_and_every_zone_is_complete() -> None:
    seen, unseen = FAMILIES["seen"], FAMILIES["unseen"]
    assert not set(map(id, seen)) & set(map(id, unseen))
    for strange in unseen:
        usual = [strange.lane_m == p.lane_m and strange.block_m == p.block_m for p in seen]
        special = strange.median_m[1] > 0 or strange.cobbled or strange.stagger_m[1] > 0
        assert special
        assert not all(usual)
    zones = {zone for plans in FAMILIES.values() for p in plans for zone in p.zones}
    assert zones == set(BANKS) == set(ZONE_FURNISHERS)
    kinds = [plan(seed, replace(SHORT, towns="unseen")) for seed in range(30)]
    assert any(t.median_m > 3 for t in kinds)
    assert any(t.plan.cobbled for t in kinds)
    assert any(a and b and abs(a.s_m - b.s_m) > 10 for t in kinds for a, b in (x.roads for x in t.blocks))
    assert not any(t.median_m or t.plan.cobbled for t in (plan(seed, SHORT) for seed in range(30)))


def test_a_longer_drive_only_lengthens_the_street() -> None:
    short, long = (plan(21, replace(SHORT, duration_s=t)) for t in (3.0, 20.0))
    assert len(long.blocks) > len(short.blocks)
    assert set(short.blocks) <= set(long.blocks)


def test_a_scene_is_the_same_every_time() -> None:
    a, b = (Scene(12, replace(SHORT, towns="unseen")) for _ in range(2))
    assert a.fixed.mesh.vertices.tobytes() == b.fixed.mesh.vertices.tobytes()
    assert a.fixed.instance.tobytes() == b.fixed.instance.tobytes()
    t = np.linspace(0, 3, 7)
    assert [m.actor.label for m in a.movers] == [m.actor.label for m in b.movers]
    for x, y in zip(a.movers, b.movers, strict=True):
        assert np.array_equal(a.poses(x, t), b.poses(y, t))


def test_quotas_are_spread_evenly() -> None:
    blocks = plan(0, SHORT).blocks
    near = [b for b in blocks if b.index in (0, 1)]
    for rate in (0.13, 0.4, 1.2):
        counts = [sum(quota(seed, b, side, rate, 3) for b in near for side in (0, 1)) for seed in range(40)]
        assert abs(sum(counts) - rate * 160) <= 1.0
        assert max(counts) - min(counts) <= 1


def test_splits_share_no_seed_and_each_first_scene_builds() -> None:
    seeds = [seed for split in SPLITS.values() for seed in split.seeds]
    assert len(seeds) == len(set(seeds))
    assert {name: len(split.seeds) for name, split in SPLITS.items()}.items() >= {
        "val": 30,
        "test": 40,
        "ood": 40,
    }.items()
    assert len(SPLITS["train"].seeds) >= 120
    for split in SPLITS.values():
        town = Drive(split.seeds[0], split.config).scene.town
        assert (town.median_m > 0 or town.plan.cobbled or town.lanes in (1, 2)) is True
    assert SPLITS["ood"].config.towns == "unseen"


def plate(width: float, middle: float) -> Mesh:
    b = Builder()
    b.box((0.1, width, 4.0), (0.0, middle, 2.0), 10, (0.5, 0.5, 0.5))  # type: ignore[arg-type]
    return b.mesh()


def test_half_of_a_plate_is_hidden_behind_a_narrower_one_half_way() -> None:
    drive = Drive(1, replace(SHORT, traffic=0.0, layout="straight"))
    start = float(drive.base_from_lidar[0, 3])
    lane = float(drive.scene.ego.across(np.array([0.025]))[0])
    far = Actor(Label.BUS, plate(4.0, 0.0), (start + 16.0, lane), follows=True)
    near = Actor(Label.TRUCK, plate(1.0, 0.5), (start + 8.0, lane), follows=True)
    drive.scene.movers = [Mover(near, 60_001), Mover(far, 60_002)]
    share = hidden_share(drive, drive.frame(0))
    assert share[60_001] == 0.0
    assert share[60_002] == pytest.approx(0.5, abs=0.05)
    assert all(0.0 <= v <= 1.0 for v in share.values())
