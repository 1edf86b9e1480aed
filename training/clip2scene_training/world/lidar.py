"""The LiDAR: one ray a beam and column from where the sensor is at that instant, then what a real one loses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import NS_PER_S, Array, Scan
from clip2scene_training.world.config import LidarConfig
from clip2scene_training.world.finish import Finish, Wear
from clip2scene_training.world.materials import column
from clip2scene_training.world.scene import Mover, Scene
from clip2scene_training.world.tracer import Rays

TINT, TRANSMISSION = column("tint"), column("transmission")
WEAKEST = 1.8e-6
"""Reflectivity times cosine over squared range [1/m^2] that is detected half of the time. Chosen so that asphalt, met
at a grazing angle, fades between 25 and 40 m, as in a real nuScenes scan; a wall is seen to the end of the range."""
FADE = 0.35
"""How gradually detection fails, in nepers of signal."""
SLACK_M = 1.0
"""How far a thing and the sensor may move against each other in half a turn, at 40 m/s."""

GRID_M = 0.001
"""Ranges and coordinates are multiples of this, so that the last bits, which differ between machines, do not show."""


@dataclass(frozen=True, eq=False)
class Medium:
    """What lies between the lasers and what they report.

    Attributes:
        surfaces: finish of the scene.
        wear: state of the sensor.
        fog_m: way on which fog takes two thirds of the light [m].
    """

    surfaces: Finish
    wear: Wear
    fog_m: float


@dataclass(frozen=True, eq=False)
class Sweep:
    """One turn: the scan and what is true about each of its points.

    Attributes:
        scan: points in the sensor's frame (see `LidarConfig.motion_compensated`), ring, time.
        labels: (N,) uint8.
        instances: (N,) uint16.
    """

    scan: Scan
    labels: Array
    instances: Array


def elevations(config: LidarConfig) -> Array:
    """Return (beams,) float64 elevation of each ring [rad], ring 0 lowest."""
    return np.asarray(np.radians(np.concatenate([np.linspace(low, high, n) for n, low, high in config.blocks])))


def azimuths(config: LidarConfig) -> Array:
    """Return (columns,) float64 azimuth of each column in order of time [rad]: from the rear, clockwise."""
    return np.pi - 2 * np.pi * np.arange(config.columns) / config.columns


def column_times_ns(config: LidarConfig) -> Array:
    """Return (columns,) int64 offset of each column from the sweep's start [ns]."""
    return np.arange(config.columns, dtype=np.int64) * round(NS_PER_S / config.rate_hz) // config.columns


def sweep(
    config: LidarConfig, stamp_ns: int, start_s: float, poses: Array, scene: Scene, medium: Medium,
    rng: np.random.Generator,
) -> Sweep:  # fmt: skip
    """Turn once.

    Args:
        config: the sensor.
        stamp_ns: start of the turn [ns], becomes the scan's stamp.
        start_s: the same instant in the scene's time [s].
        poses: (columns, 4, 4) float64 world_from_lidar at each column.
        scene: what there is to be met.
        medium: what the pulses go through and come back from.
        rng: source of the sensor's noise.
    """
    local = _directions(config).reshape(-1, 3)
    pose = np.repeat(poses, config.beams, axis=0)
    times = column_times_ns(config)
    rays = Rays(pose[:, :3, 3], np.einsum("nij,nj->ni", pose[:, :3, :3], local))
    rays.meet(scene.fixed)
    seconds = start_s + times / NS_PER_S
    for mover in scene.present(float(seconds[len(seconds) // 2])):
        _meet(config, rays, mover, scene, poses[len(poses) // 2], seconds)
    rays.finish()
    signal, intensity = _echo(config, rays, medium, rng)
    error = rng.normal(0, config.range_noise_m, len(local))  # drawn for all, so that one hit changes no other's
    kept = np.flatnonzero(_detected(config, rays, signal, rng) & ~_on_roof(config, local))
    reach = GRID_M * np.round((rays.distance[kept] + error[kept]) / GRID_M)
    scan = Scan(
        points=np.round(_placed(config, local[kept] * reach[:, None], pose[kept], poses[0]), 3).astype(np.float32),
        intensity=intensity[kept],
        stamp_ns=stamp_ns,
        frame_id="lidar_top",
        ring=np.tile(np.arange(config.beams, dtype=np.uint16), config.columns)[kept],
        time_ns=np.repeat(times, config.beams)[kept],
    )
    return Sweep(scan, rays.label[kept], rays.instance[kept])


def _meet(config: LidarConfig, rays: Rays, mover: Mover, scene: Scene, lidar: Array, seconds: Array) -> None:
    """Let the columns that look towards a mover meet it, each at its own time."""
    middle = len(seconds) // 2
    there = scene.poses(mover, seconds[middle : middle + 1])[0]
    x, y, _ = lidar[:3, :3].T @ (there[:3, :3] @ mover.center + there[:3, 3] - lidar[:3, 3])
    away, radius = math.hypot(x, y), mover.radius + SLACK_M
    if away <= radius:
        columns = np.arange(config.columns)
    else:
        toward = (np.pi - math.atan2(y, x)) / (2 * np.pi) * config.columns
        half = math.asin(radius / away) / (2 * np.pi) * config.columns + 1
        columns = np.arange(math.floor(toward - half), math.ceil(toward + half) + 1) % config.columns
    which = (columns[:, None] * config.beams + np.arange(config.beams)).ravel()
    t = seconds[columns]
    for layer, poses in zip(mover.layers, mover.actor.parts(scene.poses(mover, t), t), strict=True):
        rays.meet(layer, which, np.repeat(poses, config.beams, axis=0))


def _directions(config: LidarConfig) -> Array:
    """Return (columns, beams, 3) unit directions in the sensor's frame, x forward."""
    elevation, azimuth = elevations(config)[None], azimuths(config)[:, None]
    flat = np.cos(elevation)
    return np.stack(
        [flat * np.cos(azimuth), flat * np.sin(azimuth), np.broadcast_to(np.sin(elevation), flat.shape) + 0 * azimuth],
        axis=-1,
    )


def _on_roof(config: LidarConfig, local: Array) -> Array:
    """Return (R,) bool: the ray ends on the vehicle's own roof, and is not reported."""
    length, width, below = config.roof_m
    reach = below / np.maximum(-local[:, 2], 1e-6)
    return np.asarray((np.abs(local[:, 0]) * reach < length) & (np.abs(local[:, 1]) * reach < width))


def _placed(config: LidarConfig, local: Array, pose: Array, first: Array) -> Array:
    """Return points as the driver reports them: in the sensor's frame of their own instant, or of the stamp."""
    if not config.motion_compensated:
        return local
    world = np.einsum("nij,nj->ni", pose[:, :3, :3], local) + pose[:, :3, 3]
    return np.asarray((world - first[:3, 3]) @ first[:3, :3])


def _echo(config: LidarConfig, rays: Rays, medium: Medium, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return (R,) float32 signal that comes back [1/m^2], and (R,) float32 intensity in [0, 1] in steps of 1/255.

    A surface shines by its material, brighter for bright colours. The intensity is corrected for the range, as by the
    sensor itself, but not for fog and dirt.
    """
    wear, distance = medium.wear, rays.distance
    tint = TINT[rays.material]
    shine = medium.surfaces.reflectivity[rays.material] * (1 - tint + tint * 2.0 * rays.color.mean(axis=1))
    incidence = np.abs(np.einsum("ij,ij->i", rays.normal, rays.directions))
    passed = np.repeat(wear.dirt, config.beams) * np.exp(-2.0 * np.minimum(distance / medium.fog_m, 30.0))
    efficiency, gain = np.tile(wear.efficiency, config.columns), np.tile(wear.gain, config.columns)
    signal = shine * np.maximum(incidence, 1e-3) * passed * efficiency / np.maximum(distance, 1.0) ** 2
    speckle = rng.lognormal(0.0, 0.25, len(distance))
    level = gain * shine * passed * (0.3 + 0.7 * incidence) * speckle
    level = config.intensity_gain * level**config.intensity_gamma
    return signal, (np.round(np.clip(level, 0, 1) * 255) / 255).astype(np.float32)


def _detected(config: LidarConfig, rays: Rays, signal: Array, rng: np.random.Generator) -> Array:
    """Return (R,) bool: the pulse came back strong enough, and was not lost in glass."""
    margin = np.log(np.maximum(signal * config.sensitivity / WEAKEST, 1e-9)) / FADE
    chance = (1 - TRANSMISSION[rays.material]) / (1 + np.exp(-np.clip(margin, -30, 30)))
    near = (rays.distance > config.min_range_m) & (rays.distance < config.max_range_m)
    return np.asarray(near & (rng.random(len(signal), dtype=np.float32) < 0.995 * chance))
