"""How much of each thing is hidden from the LiDAR by something nearer."""

from __future__ import annotations

import math

import numpy as np

from clip2scene_ros.frame import NS_PER_S, Array, Frame
from clip2scene_training.world.drive import Drive
from clip2scene_training.world.lidar import azimuths, column_times_ns, elevations
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.scene import Mover
from clip2scene_training.world.tracer import MISS_M, Layer, Rays

SLACK_M = 1.0
"""How far a thing may move against the sensor in half a turn."""
SAME_M = 0.01
"""A thing is met itself where nothing lies nearer than this before it."""


def hidden_share(drive: Drive, frame: Frame) -> dict[int, float]:
    """Return, for each instance with a return in a frame, the share of its rays that meet something nearer.

    Its rays are those of the sweep that would meet it if it stood alone, lost returns included; so 0 is in full view,
    and 0.9 is a thing of which a tenth looks out from behind others.
    """
    if frame.instances is None:
        raise ValueError("Expected a frame with instances, but got one without.")
    rays, seconds, poses = _rays(drive, frame.scan.stamp_ns)
    scene, movers = drive.scene, {m.instance: m for m in drive.scene.movers}
    rays.meet(scene.fixed)
    middle = float(seconds[len(seconds) // 2])
    for mover in scene.present(middle):
        _meet(rays, drive, mover, seconds, poses)
    found = {}
    for instance in np.unique(frame.instances[frame.instances > 0]).tolist():
        alone = Rays(rays.origins, rays.directions)
        if instance in movers:
            which = _meet(alone, drive, movers[instance], seconds, poses)
        else:
            which = _meet_fixed(alone, drive, instance, poses)
        met = which[alone.distance[which] < MISS_M]
        hidden = rays.distance[met] < alone.distance[met] - SAME_M
        found[int(instance)] = float(hidden.mean()) if len(met) else 0.0
    return found


def _rays(drive: Drive, stamp_ns: int) -> tuple[Rays, Array, Array]:
    """Return the rays of a sweep, column by column, the columns' times [s], and their (C, 4, 4) sensor poses."""
    config = drive.config.lidar
    times = column_times_ns(config)
    poses = drive.world_from_base(stamp_ns + times) @ drive.base_from_lidar
    up, around = (v.ravel() for v in np.meshgrid(elevations(config), azimuths(config)))
    local = np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)
    way = np.einsum("cij,cbj->cbi", poses[:, :3, :3], local.reshape(config.columns, config.beams, 3))
    origins = np.repeat(poses[:, :3, 3], config.beams, axis=0)
    return Rays(origins, way.reshape(-1, 3)), drive.seconds(stamp_ns) + times / NS_PER_S, poses


def _meet(rays: Rays, drive: Drive, mover: Mover, seconds: Array, poses: Array) -> Array:
    """Let the rays towards a mover meet it, each at its own time; return which they are."""
    middle = len(seconds) // 2
    there = drive.scene.poses(mover, seconds[middle : middle + 1])[0]
    center = there[:3, :3] @ mover.center + there[:3, 3]
    columns, which = _towards(drive, poses[middle], center, mover.radius + SLACK_M)
    t = seconds[columns]
    for layer, stands in zip(mover.layers, mover.actor.parts(drive.scene.poses(mover, t), t), strict=True):
        rays.meet(layer, which, np.repeat(stands, drive.config.lidar.beams, axis=0))
    return which


def _meet_fixed(rays: Rays, drive: Drive, instance: int, poses: Array) -> Array:
    """Let the rays towards a thing that stands still meet it; return which they are."""
    layer = _alone(drive.scene.fixed, instance)
    _, which = _towards(drive, poses[len(poses) // 2], layer.center, layer.radius + SLACK_M)
    rays.meet(layer, which)
    return which


def _alone(layer: Layer, instance: int) -> Layer:
    """Return one instance of a layer as a layer of its own."""
    chosen = np.flatnonzero(layer.instance == instance)
    mesh = layer.mesh
    used, faces = np.unique(mesh.faces[chosen], return_inverse=True)
    part = Mesh(mesh.vertices[used], mesh.texcoord[used], faces.reshape(-1, 3).astype(np.int32),
                mesh.material[chosen], mesh.color[chosen])  # fmt: skip
    return Layer([part], [int(layer.label[chosen[0]])], [instance])


def _towards(drive: Drive, lidar: Array, center: Array, radius: float) -> tuple[Array, Array]:
    """Return the columns that look towards a ball, and the indices of their rays."""
    config = drive.config.lidar
    x, y, _ = lidar[:3, :3].T @ (center - lidar[:3, 3])
    away = math.hypot(x, y)
    columns = np.arange(config.columns)
    if away > radius:
        toward = (np.pi - math.atan2(y, x)) / (2 * np.pi) * config.columns
        half = math.asin(radius / away) / (2 * np.pi) * config.columns + 1
        columns = np.arange(math.floor(toward - half), math.ceil(toward + half) + 1) % config.columns
    return columns, (columns[:, None] * config.beams + np.arange(config.beams)).ravel()
