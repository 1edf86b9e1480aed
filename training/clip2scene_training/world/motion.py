"""How things move: the vehicle that carries the sensors, and everything else that goes along, across or around."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.road import WHEELBASE_M, tilts
from clip2scene_training.world.town import Town, generator

STRIDE_RAD = 0.45
"""How far a walking leg swings to either side of straight."""
STRIDES_PER_M = 0.65


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
        grade = self.town.road.grade_at(s + WHEELBASE_M / 2)
        pitch = -np.arctan(grade) + 0.004 * np.sin(1.7 * t + self.phase) + 0.002 * np.sin(4.1 * t)
        roll = 0.003 * np.sin(1.1 * t + 2 * self.phase)
        poses = np.tile(np.eye(4), (len(t), 1, 1))
        poses[:, :3, :3] = _rotations(yaw, pitch, roll)
        poses[:, :2, 3] = self.town.road.point_at(s, d)
        poses[:, 2, 3] = self.town.road.height_at(s)
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
class Route:
    """A way through street coordinates with a beginning and an end.

    Attributes:
        corners: (K, 2) s and d along it [m], close together in bends.
        speed: between setting out and slowing down [m/s].
        begin_s: time of setting out [s]; before it, it stands at the first corner.
        brake_m: length over which it slows down to stand at the end, and speeds up where `begin_s` > 0; 0: at once.
    """

    corners: Array
    speed: float
    begin_s: float
    brake_m: float = 0.0

    @property
    def length(self) -> float:
        """Return its length [m]."""
        return float(np.linalg.norm(np.diff(self.corners, axis=0), axis=1).sum())

    def travelled(self, t: Array) -> Array:
        """Return the distance covered [m] at times t [s]."""
        way = self.speed * np.maximum(np.asarray(t, float) - self.begin_s, 0.0)
        cruise = self.length - self.brake_m
        if not self.brake_m:
            return np.minimum(way, cruise)
        late = np.clip((way - cruise) / self.brake_m, 0.0, 2.0)
        return np.asarray(np.where(way < cruise, way, cruise + self.brake_m * (late - late * late / 4)))

    def at(self, t: Array) -> tuple[Array, Array, Array]:
        """Return s [m], d [m] and the heading against the road's [rad] at times t [s]."""
        steps = np.diff(self.corners, axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        ends = np.cumsum(lengths)
        here = self.travelled(t)
        k = np.minimum(np.searchsorted(ends, here, side="right"), len(steps) - 1)
        share = (here - ends[k] + lengths[k]) / lengths[k]
        s, d = (self.corners[k] + share[..., None] * steps[k]).T
        middles = np.concatenate([[0.0], (ends - lengths / 2), [ends[-1]]])
        turns = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        return s, d, np.interp(here, middles, np.concatenate([turns[:1], turns, turns[-1:]]))


@dataclass(frozen=True, eq=False)
class Actor:
    """One thing that moves.

    Attributes:
        label: its class.
        body: mesh that keeps its shape.
        start, speed: (s, d) at t = 0 [m], and s per second [m/s]; with `follows`, s is relative to the ego vehicle.
        follows: keeps its distance to the ego vehicle.
        sway: (amplitude [m], rate [rad/s], phase) added to s.
        turn: heading against the road's [rad].
        route: goes along this instead of along the road, where given.
        walks: goes on foot: upright, and on the sidewalk's height where there is one.
        limbs: meshes that swing about the hip, alternating (people on foot).
        hip_m: height of the hip.
    """

    label: Label
    body: Mesh
    start: tuple[float, float]
    speed: float = 0.0
    follows: bool = False
    sway: tuple[float, float, float] = (0.0, 1.0, 0.0)
    turn: float = 0.0
    route: Route | None = None
    walks: bool = False
    limbs: tuple[Mesh, ...] = field(default=())
    hip_m: float = 0.0

    def street(self, ego: Ego, t: Array) -> tuple[Array, Array, Array]:
        """Return s [m], d [m] and the heading against the road's [rad] at times (T,) [s]."""
        t = np.asarray(t, float)
        if self.route is not None:
            return self.route.at(t)
        amplitude, rate, phase = self.sway
        s = self.start[0] + self.speed * t + amplitude * np.sin(rate * t + phase)
        s = s + ego.along(t) if self.follows else s
        return s, np.full_like(s, self.start[1]), np.full_like(s, self.turn)

    def along(self, ego: Ego, t: Array) -> Array:
        """Return s [m] at times t [s]."""
        return self.street(ego, np.atleast_1d(t))[0].reshape(np.shape(t))

    def poses(self, town: Town, ego: Ego, t: Array) -> Array:
        """Return (T, 4, 4) float64 world poses at times (T,) [s]."""
        s, d, turn = self.street(ego, t)
        heading = town.road.heading_at(s)
        none = np.zeros_like(heading)
        poses = np.tile(np.eye(4), (len(t), 1, 1))
        if self.walks:
            poses[:, :3, :3] = _rotations(heading + turn, none, none)
            poses[:, 2, 3] = town.walk_level(s, d)
        else:
            slope = tilts(town.road.grade_at(s))
            poses[:, :3, :3] = _rotations(heading, none, none) @ slope @ _rotations(turn, none, none)
        poses[:, :2, 3] = town.road.point_at(s, d)
        poses[:, 2, 3] += town.road.height_at(s)
        return poses

    def parts(self, poses: Array, t: Array) -> list[Array]:
        """Return the poses of body and limbs, given the (T, 4, 4) poses of the whole."""
        found = [poses]
        way = self.speed * np.asarray(t, float) if self.route is None else self.route.travelled(t)
        for k in range(len(self.limbs)):
            angle = STRIDE_RAD * (-1) ** k * np.sin(2 * np.pi * STRIDES_PER_M * way + self.start[0])
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
    lanes = len(town.open_lanes(0))
    lane = int(rng.integers(lanes))
    d = -town.lane_middle_m(lane)
    changes = []
    if lanes == 2:
        way = -town.lane_m if lane == 0 else town.lane_m
        for start in np.cumsum(rng.uniform(5, 11, 60)):
            changes.append((float(start), way))
            way = -way
    speed, swell = rng.uniform(6.0, 9.6), rng.uniform(0.05, 0.2)
    return Ego(
        town, float(speed), float(swell), float(rng.uniform(0.25, 0.6)), float(rng.uniform(0, 6.28)), d, tuple(changes)
    )
