"""Who drives: vehicles ahead, behind and oncoming, out of side roads and across; cyclists."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.clearance import Clearance
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.kerbside import is_blocked
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.motion import Actor, Ego, Route
from clip2scene_training.world.town import TOP_SPEED, SideRoad, Town, generator, quota
from clip2scene_training.world.walkers import on_foot

NEAREST_M = 14.0
"""Gap along the road between the vehicle and others that follow its speed, so that nobody collides."""
SIDE_M = 55.0
"""Vehicles in side roads are met within this distance of the street."""
CYCLISTS, ONCOMING_CYCLISTS = 0.4, 0.06
"""Cyclists in a side road, and oncoming ones that start in a block, on average."""


def actors(town: Town, ego: Ego, config: WorldConfig) -> list[Actor]:
    """Return everything that moves. Whoever would pass through somebody already there is left out."""
    if config.traffic <= 0:
        return []
    clear, found = Clearance(ego, config.duration_s), []
    for group in (*_same_way(town, config), *_oncoming(town, config), *_cyclists(town, config)):
        if clear.admit(*group):
            found += group
    for _, side, road in town.side_roads():
        for group in _out_of(town, side, road, config):
            if clear.admit(*group, margin_m=1.0):
                found += group
                break
    return [*found, *on_foot(town, clear, config)]


def _traffic_vehicle(town: Town, rng: np.random.Generator) -> list[tuple[Label, Mesh, float]]:
    """Return a vehicle and what it tows: (class, mesh, how far its centre trails)."""
    draw = rng.random()
    if draw < 0.60:
        found = [(Label.CAR, town.assets.car(rng), 0.0)]
    elif draw < 0.86:
        found = [(Label.TRUCK, town.assets.truck(rng), 0.0)]
    elif draw < 0.935:
        found = [(Label.BUS, town.assets.bus(rng), 0.0)]
    else:
        found = [(Label.MOTORCYCLE, town.assets.motorcycle(rng, rider=True), 0.0)]
    label, mesh, _ = found[0]
    if label in (Label.TRUCK, Label.CAR) and rng.random() < (0.34 if label == Label.TRUCK else 0.02):
        towed = town.assets.trailer(rng)
        gap = (float(mesh.bounds[1, 0] - mesh.bounds[0, 0]) + float(towed.bounds[1, 0] - towed.bounds[0, 0])) / 2 + 0.4
        found.append((Label.TRAILER, towed, gap))
    return found


def _spaced(config: WorldConfig) -> float:
    return 1.0 / max(config.traffic, 0.05)


def _same_way(town: Town, config: WorldConfig) -> Iterator[list[Actor]]:
    """Vehicles ahead and behind keep their distance to the ego vehicle."""
    for lane in town.open_lanes(0):
        for way in (-1, 1):
            rng = generator(town.seed, 9, lane, way + 1)
            gap = NEAREST_M + rng.uniform(0, 25)
            while gap < 120:
                chain = _traffic_vehicle(town, rng)
                extent = max(float(m.bounds[1, 0]) for _, m, _ in chain) + max(
                    -float(m.bounds[0, 0]) + g for _, m, g in chain
                )
                sway = (rng.uniform(0, 2.0), rng.uniform(0.2, 0.5), rng.uniform(0, 6))
                d = -town.lane_middle_m(lane) + rng.normal(0, 0.12)
                lead = gap + extent if way > 0 else gap
                yield [
                    Actor(label, mesh, (way * lead - trail, d), follows=True, sway=sway) for label, mesh, trail in chain
                ]
                gap += extent + rng.uniform(12, 60) * _spaced(config)


def _oncoming(town: Town, config: WorldConfig) -> Iterator[list[Actor]]:
    """Vehicles in the opposite lanes drive at one speed a lane."""
    for lane in town.open_lanes(1):
        rng = generator(town.seed, 10, lane)
        speed = rng.uniform(6, TOP_SPEED)
        s = -100.0 + rng.uniform(0, 20)
        while s < 2 * TOP_SPEED * config.duration_s + 150:
            d = town.lane_middle_m(lane) + rng.normal(0, 0.12)
            chain = _traffic_vehicle(town, rng)
            yield [Actor(label, mesh, (s + trail, d), -speed, turn=np.pi) for label, mesh, trail in chain]
            length = sum(float(m.bounds[1, 0] - m.bounds[0, 0]) for _, m, _ in chain)
            s += length + rng.uniform(10, 70) * _spaced(config)


def _cyclists(town: Town, config: WorldConfig) -> Iterator[list[Actor]]:
    """Cyclists ride away along side roads; a few come along the outer edge of the oncoming lanes."""
    for block, side, road in town.side_roads():
        rng, sign = generator(town.seed, 17, block.index + 1000, side), 2 * side - 1
        for _ in range(quota(town.seed, block, side, CYCLISTS * town.plan.cycles * config.traffic, 6)):
            edge, near = road.s_m + sign * (road.half_m - 0.5), sign * (town.half_m(side) + 3.0)
            corners = np.array([[edge, near], [edge, near + sign * SIDE_M]])
            route = Route(corners, float(rng.uniform(3.0, 5.0)), float(rng.uniform(-6.0, 0.0)))
            yield [Actor(Label.BICYCLE, town.assets.bicycle(rng, rider=True), (edge, near), route=route)]
    for block in town.blocks if town.closed != 1 else ():
        rng = generator(town.seed, 11, block.index + 1000)
        for _ in range(quota(town.seed, block, 1, ONCOMING_CYCLISTS * town.plan.cycles * config.traffic, 7)):
            mesh, s = town.assets.bicycle(rng, rider=True), rng.uniform(block.start_m, block.end_m)
            yield [Actor(Label.BICYCLE, mesh, (s, town.lanes_m - 0.35), -rng.uniform(3.5, 5.5), turn=np.pi)]


def _out_of(town: Town, side: int, road: SideRoad, config: WorldConfig) -> Iterator[list[Actor]]:
    """Yield what a vehicle in a side road may do, the most wanted first: join the traffic, leave, halt at its end."""
    block = next(b for b in town.blocks if road in b.roads)
    if is_blocked(town, block, side):
        return
    rng = generator(town.seed, 15, block.index + 1000, side)
    chain = _traffic_vehicle(town, rng)[:1]
    (label, mesh, _), sign = chain[0], 2 * side - 1
    length = float(np.ptp(mesh.bounds[:, 0]))
    inward, outward = road.s_m - sign * road.half_m / 2, road.s_m + sign * road.half_m / 2
    far, halt = sign * (town.half_m(side) + SIDE_M), sign * (town.half_m(side) + 5.5 + length / 2)
    if len(town.open_lanes(side)) == town.lanes and rng.random() < 0.7 * config.traffic:
        corners = _joining(town, side, inward, far)
        for begin in rng.uniform(-8.0, config.duration_s - 4.0, 8):
            yield [Actor(label, mesh, (inward, far), route=Route(corners, 5.0, float(begin)))]
    begin, speed = rng.uniform(-4.0, 2.0), rng.uniform(4.0, 8.0)
    leaving = np.array([[outward, sign * (town.half_m(side) + 8.0)], [outward, far]])
    halting = np.array([[inward, far], [inward, halt]])
    away = Actor(label, mesh, (outward, far), route=Route(leaving, speed, float(min(begin, 0.0))))
    waits = Actor(label, mesh, (inward, far), route=Route(halting, speed, float(begin - 4.0), brake_m=12.0))
    yield from ([away], [waits]) if rng.random() < 0.4 else ([waits], [away])


def _joining(town: Town, side: int, s: float, far: float) -> Array:
    """Return the corners of a turn out of a side road into the nearest lane."""
    sign = 2 * side - 1
    lane = sign * town.lane_middle_m(town.lanes - 1)
    radius = abs(town.half_m(side) - abs(lane)) + 2.5
    angle = np.linspace(0.0, np.pi / 2, 9)
    way = -sign  # the right side's lanes go along +s, the left side's along -s
    bend = np.stack([s + way * radius * (1 - np.cos(angle)), lane + sign * radius * (1 - np.sin(angle))], axis=1)
    return np.concatenate([[[s, far]], bend, [[s + way * 160.0, lane]]])
