"""What moves: the vehicle that carries the sensors, other vehicles, cyclists, people on foot."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.town import TOP_SPEED, Town, generator

NEAREST_M = 14.0
"""Gap along the road between the vehicle and others that follow its speed, so that nobody collides."""


STRIDE_RAD = 0.45
"""How far a walking leg swings to either side of straight."""


@dataclass(frozen=True)
class Ego:
    """The motion of the vehicle with the sensors: speed breathes, lanes change gently, the body sways.

    Attributes:
        speed, swell, beat, phase: v(t) = speed * (1 + swell * sin(beat * t + phase)) [m/s, rad/s, rad].
        lane_d: d of its lane [m].
        changes: (start [s], sideways [m]) of lane changes, each lasting 4 s.
    """

    town: Town
    speed: float
    swell: float
    beat: float
    phase: float
    lane_d: float
    changes: tuple[tuple[float, float], ...]

    def along(self, t: Array) -> Array:
        """Return s [m] at times t [s]; 0 at t = 0."""
        swing = np.cos(self.phase) - np.cos(self.beat * t + self.phase)
        return np.asarray(self.speed * (t + self.swell / self.beat * swing))

    def across(self, t: Array) -> Array:
        """Return d [m] at times t [s]."""
        d = self.lane_d + 0.12 * np.sin(0.5 * t + self.phase)
        for start, sideways in self.changes:
            x = np.clip((t - start) / 4.0, 0.0, 1.0)
            d = d + sideways * x * x * (3 - 2 * x)
        return np.asarray(d)

    def poses(self, t: Array) -> Array:
        """Return (T, 4, 4) float64 world_from_base at times (T,) [s]."""
        t = np.asarray(t, float)
        s, d = self.along(t), self.across(t)
        slope = (self.across(t + 0.01) - self.across(t - 0.01)) / (self.along(t + 0.01) - self.along(t - 0.01))
        yaw = self.town.road.heading_at(s) + np.arctan(slope)
        pitch = 0.004 * np.sin(1.7 * t + self.phase) + 0.002 * np.sin(4.1 * t)
        roll = 0.003 * np.sin(1.1 * t + 2 * self.phase)
        poses = np.tile(np.eye(4), (len(t), 1, 1))
        poses[:, :3, :3] = _rotations(yaw, pitch, roll)
        poses[:, :2, 3] = self.town.road.point_at(s, d)
        return poses


def _rotations(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Return (T, 3, 3) of Rz(yaw) Ry(pitch) Rx(roll)."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(r, axis=-1) for r in rows], axis=-2)


@dataclass(frozen=True, eq=False)
class Actor:
    """One thing that moves along the street.

    Attributes:
        label: its class.
        body: mesh that keeps its shape.
        limbs: meshes that swing about the hip, alternating (people on foot).
        start, speed: (s, d) at t = 0 [m], and s per second [m/s]; with `follows`, s is relative to the ego vehicle.
        sway: (amplitude [m], rate [rad/s], phase) added to s.
        turn: heading against the road's [rad].
        lift: follows the sidewalk's height where True.
    """

    label: Label
    body: Mesh
    start: tuple[float, float]
    speed: float = 0.0
    follows: bool = False
    sway: tuple[float, float, float] = (0.0, 1.0, 0.0)
    turn: float = 0.0
    lift: bool = False
    limbs: tuple[Mesh, ...] = field(default=())
    hip_m: float = 0.0
    stride_hz: float = 0.0

    def along(self, ego: Ego, t: Array) -> Array:
        """Return s [m] at times t [s]."""
        amplitude, rate, phase = self.sway
        s = self.start[0] + self.speed * t + amplitude * np.sin(rate * t + phase)
        return np.asarray(s + ego.along(t) if self.follows else s)

    def poses(self, town: Town, ego: Ego, t: Array) -> Array:
        """Return (T, 4, 4) float64 world poses at times (T,) [s]."""
        s = self.along(ego, t)
        d = np.full_like(s, self.start[1])
        yaw = town.road.heading_at(s) + self.turn
        poses = np.zeros((len(t), 4, 4))
        poses[:, 0, 0] = poses[:, 1, 1] = np.cos(yaw)
        poses[:, 1, 0] = np.sin(yaw)
        poses[:, 0, 1] = -poses[:, 1, 0]
        poses[:, 2, 2] = poses[:, 3, 3] = 1.0
        poses[:, :2, 3] = town.road.point_at(s, d)
        if self.lift:
            poses[:, 2, 3] = town.kerb_m if town.crossing_at(float(s[len(s) // 2])) is None else 0.0
        return poses

    def parts(self, poses: Array, t: Array) -> list[Array]:
        """Return the poses of body and limbs, given the (T, 4, 4) poses of the whole."""
        found = [poses]
        for k in range(len(self.limbs)):
            angle = STRIDE_RAD * (-1) ** k * np.sin(2 * np.pi * self.stride_hz * t + self.start[0])
            found.append(poses @ _hinges(angle, self.hip_m))
        return found


def _hinges(angle: Array, height: float) -> Array:
    """Return (T, 4, 4) rotations by angles (T,) about the y axis at a height."""
    turn = np.tile(np.eye(4), (len(angle), 1, 1))
    c, s = np.cos(angle), np.sin(angle)
    turn[:, 0, 0] = turn[:, 2, 2] = c
    turn[:, 0, 2], turn[:, 2, 0] = s, -s
    turn[:, 0, 3], turn[:, 2, 3] = -s * height, height * (1 - c)
    return turn


def ego(town: Town) -> Ego:
    """Return the motion of the vehicle with the sensors."""
    rng = generator(town.seed, 8)
    lane = int(rng.integers(town.lanes))
    d = -(lane + 0.5) * town.lane_m
    changes = []
    if town.lanes == 2:
        way = -town.lane_m if lane == 0 else town.lane_m
        for start in np.cumsum(rng.uniform(5, 11, 60)):
            changes.append((float(start), way))
            way = -way
    speed, swell = rng.uniform(6.0, 9.6), rng.uniform(0.05, 0.2)
    return Ego(
        town, float(speed), float(swell), float(rng.uniform(0.25, 0.6)), float(rng.uniform(0, 6.28)), d, tuple(changes)
    )


def actors(town: Town, config: WorldConfig) -> list[Actor]:
    """Return everything that moves."""
    if config.traffic <= 0:
        return []
    found = [*_same_way(town, config), *_oncoming(town, config), *_cyclists(town, config), *_on_foot(town, config)]
    return found


def _traffic_vehicle(town: Town, rng: np.random.Generator) -> list[tuple[Label, Mesh, float]]:
    """Return a vehicle and what it tows: (class, mesh, how far its centre trails)."""
    draw = rng.random()
    if draw < 0.72:
        found = [(Label.CAR, town.assets.car(rng), 0.0)]
    elif draw < 0.84:
        found = [(Label.TRUCK, town.assets.truck(rng), 0.0)]
    elif draw < 0.92:
        found = [(Label.BUS, town.assets.bus(rng), 0.0)]
    else:
        found = [(Label.MOTORCYCLE, town.assets.motorcycle(rng, rider=True), 0.0)]
    label, mesh, _ = found[0]
    if label in (Label.TRUCK, Label.CAR) and rng.random() < (0.35 if label == Label.TRUCK else 0.04):
        towed = town.assets.trailer(rng)
        gap = (float(mesh.bounds[1, 0] - mesh.bounds[0, 0]) + float(towed.bounds[1, 0] - towed.bounds[0, 0])) / 2 + 0.4
        found.append((Label.TRAILER, towed, gap))
    return found


def _spaced(density: float) -> float:
    return 1.0 / max(density, 0.05)


def _same_way(town: Town, config: WorldConfig) -> list[Actor]:
    """Vehicles ahead and behind keep their distance to the ego vehicle."""
    found = []
    for lane in range(town.lanes):
        for way in (-1, 1):
            rng = generator(town.seed, 9, lane, way + 1)
            gap = NEAREST_M + rng.uniform(0, 25)
            while gap < 120:
                chain = _traffic_vehicle(town, rng)
                extent = max(float(m.bounds[1, 0]) for _, m, _ in chain) + max(
                    -float(m.bounds[0, 0]) + g for _, m, g in chain
                )
                sway = (rng.uniform(0, 2.0), rng.uniform(0.2, 0.5), rng.uniform(0, 6))
                d = -(lane + 0.5) * town.lane_m + rng.normal(0, 0.12)
                lead = gap + extent if way > 0 else gap
                found += [
                    Actor(label, mesh, (way * lead - trail, d), follows=True, sway=sway) for label, mesh, trail in chain
                ]
                gap += extent + rng.uniform(12, 60) * _spaced(config.traffic)
    return found


def _oncoming(town: Town, config: WorldConfig) -> list[Actor]:
    """Vehicles in the opposite lanes drive at one speed a lane."""
    found = []
    for lane in range(town.lanes):
        rng = generator(town.seed, 10, lane)
        speed = rng.uniform(6, TOP_SPEED)
        s = -100.0 + rng.uniform(0, 20)
        while s < 2 * TOP_SPEED * config.duration_s + 150:
            d = (lane + 0.5) * town.lane_m + rng.normal(0, 0.12)
            chain = _traffic_vehicle(town, rng)
            found += [Actor(label, mesh, (s + trail, d), -speed, turn=np.pi) for label, mesh, trail in chain]
            s += sum(float(m.bounds[1, 0] - m.bounds[0, 0]) for _, m, _ in chain) + rng.uniform(10, 70) * _spaced(
                config.traffic
            )
    return found


def _cyclists(town: Town, config: WorldConfig) -> list[Actor]:
    """Cyclists keep to the edge of the lanes, on both sides."""
    found = []
    for side in (0, 1):
        rng = generator(town.seed, 11, side)
        speed = rng.uniform(3.5, 5.5)
        s = -60.0 + rng.uniform(0, 40)
        while s < 2 * TOP_SPEED * config.duration_s + 120:
            sign = 2 * side - 1
            mesh = town.assets.bicycle(rng, rider=True)
            motion = -sign * speed
            found.append(
                Actor(Label.BICYCLE, mesh, (s, sign * (town.lanes_m - 0.35)), motion, turn=np.pi * (side == 1))
            )
            s += rng.uniform(18, 80) * _spaced(config.traffic)
    return found


def _on_foot(town: Town, config: WorldConfig) -> list[Actor]:
    """People walk along the sidewalks in both directions, alone and in groups; some stand."""
    found = []
    for side in (0, 1):
        rng = generator(town.seed, 12, side)
        cut, sign = town.sides[side], 2 * side - 1
        inner, outer = town.edge_m(side) - cut.sidewalk_m + 0.5, town.edge_m(side) - 0.35
        if not cut.verge_m:
            inner = min(inner + 0.8, outer - 0.3)
        s = -100.0
        while s < TOP_SPEED * config.duration_s + 120:
            speed = rng.uniform(0.8, 1.7) * rng.choice([-1, 1]) if rng.random() < 0.8 else 0.0
            for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))):
                figure = town.assets.pedestrian(rng)
                heading = (0.0 if speed > 0 else np.pi) if speed else rng.uniform(0, 6.28)
                found.append(Actor(
                    Label.PEDESTRIAN, figure.body if speed else figure.standing(),
                    (s + rng.normal(0, 0.7), sign * rng.uniform(inner, outer)), float(speed), turn=heading, lift=True,
                    limbs=figure.limbs if speed else (), hip_m=figure.hip_m, stride_hz=0.65 * abs(speed),
                ))  # fmt: skip
            s += rng.exponential(13.0) * _spaced(config.traffic) + 0.8
    return found
