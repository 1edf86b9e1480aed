"""The cameras: one ray a pixel into the scene of an instant, and what is true about each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import UNKNOWN, Array, CameraModel
from clip2scene_ros.geometry import project
from clip2scene_training.world.picture import developed
from clip2scene_training.world.scene import Scene
from clip2scene_training.world.shading import Instant, Lighting, shade, sky
from clip2scene_training.world.tracer import Layer, Rays

STILL = -1
"""Owner of a pixel that shows something that does not move."""


@dataclass(frozen=True, eq=False)
class ImageTruth:
    """What is true about each pixel of an image; NaN or 255 where it shows the sky.

    Attributes:
        labels: (H, W) uint8.
        instances: (H, W) uint16, 0 none.
        depth: (H, W) float32 along the optical axis [m], inf where it shows the sky.
        flow: (H, W, 2) float32, how far what the pixel shows will have moved, right and down, in the camera's next
            image [px]; NaN for the sky and for what is then behind the camera.
    """

    labels: Array
    instances: Array
    depth: Array
    flow: Array


@dataclass(frozen=True, eq=False)
class Shot:
    """The rays of one exposure.

    Attributes:
        rays: one a pixel, row by row.
        cosine: (R,) of each ray against the optical axis.
        instant: the scene as it was met.
        owner: (R,) int32 which of the instant's parts was met, `STILL` for none of them.
    """

    rays: Rays
    cosine: Array
    instant: Instant
    owner: Array

    @property
    def labels(self) -> Array:
        """Return (R,) uint8, 255 for the sky."""
        return np.where(self.rays.hit, self.rays.label, UNKNOWN).astype(np.uint8)


def expose(local: Array, world_from_camera: Array, scene: Scene, t: float) -> Shot:
    """Send out one ray a pixel at time t [s].

    Args:
        local: (R, 3) unit directions in the optical frame.
        world_from_camera: (4, 4).
        scene: what there is to be met.
        t: time of the exposure [s].
    """
    directions = (local @ world_from_camera[:3, :3].T).astype(np.float32)
    origins = np.broadcast_to(world_from_camera[:3, 3].astype(np.float32), directions.shape)
    rays, owner = Rays(origins, directions, surface=True), np.full(len(directions), STILL, np.int32)
    rays.meet(scene.fixed)
    parts = parts_at(scene, t)
    for k, (layer, pose) in enumerate(parts):
        pixels = _pixels(directions, pose[:3, :3] @ layer.center + pose[:3, 3] - world_from_camera[:3, 3], layer.radius)
        if len(pixels):
            owner[rays.meet(layer, pixels, pose)] = k
    rays.finish()
    return Shot(rays, local[:, 2], Instant(scene.fixed, parts), owner)


def parts_at(scene: Scene, t: float) -> list[tuple[Layer, Array]]:
    """Return bodies and limbs of all that moves near the vehicle, each with its (4, 4) pose, at time t [s]."""
    now, found = np.array([t]), []
    for mover in scene.present(t):
        poses = mover.actor.parts(scene.poses(mover, now), now)
        found += [(layer, part[0]) for layer, part in zip(mover.layers, poses, strict=True)]
    return found


def _pixels(directions: Array, away: Array, radius: float) -> Array:
    """Return the indices of the rays that may meet a ball whose centre is `away` from their origin."""
    distance = float(np.linalg.norm(away))
    if distance <= radius:
        return np.arange(len(directions))
    cosine = math.sqrt(1.0 - (radius / distance) ** 2)
    return np.flatnonzero(directions @ (away / distance).astype(np.float32) > cosine - 1e-4)


def image(shot: Shot, camera: CameraModel, lighting: Lighting, exposure: float, rng: np.random.Generator) -> Array:
    """Return the (H, W, 3) uint8 image of an exposure; `exposure` multiplies what the automatic one chooses."""
    rays = shot.rays
    color = sky(rays.directions, lighting.air)
    hit = np.flatnonzero(rays.hit)
    color[hit] = shade(rays, hit, 1.0 / (camera.matrix[0, 0] * shot.cosine[hit]), shot.instant, lighting)
    return developed(color.reshape(camera.height, camera.width, 3), lighting.air, exposure, rng)


def truth(shot: Shot, camera: CameraModel, scene: Scene, next_s: float, next_world_from_camera: Array) -> ImageTruth:
    """Return what is true about an exposure whose camera takes the next image at another time and place."""
    rays, shape = shot.rays, (camera.height, camera.width)
    depth = np.where(rays.hit, rays.distance * shot.cosine, np.inf).astype(np.float32)
    at = rays.origins.astype(np.float64) + rays.directions * np.where(rays.hit, rays.distance, np.nan)[:, None]
    later = {id(layer): pose for layer, pose in parts_at(scene, next_s)}
    for k, (layer, pose) in enumerate(shot.instant.parts):
        mine = np.flatnonzero(shot.owner == k)
        if len(mine):
            moved = later[id(layer)] @ np.linalg.inv(pose) if id(layer) in later else np.full((4, 4), np.nan)
            at[mine] = at[mine] @ moved[:3, :3].T + moved[:3, 3]
    uv, _, _ = project(at, camera, np.linalg.inv(next_world_from_camera))
    v, u = np.indices(shape)
    flow = uv.reshape(*shape, 2) - np.stack([u, v], axis=-1)
    instances = np.where(rays.hit, rays.instance, 0).astype(np.uint16)
    return ImageTruth(
        shot.labels.reshape(shape), instances.reshape(shape), depth.reshape(shape), flow.astype(np.float32)
    )
