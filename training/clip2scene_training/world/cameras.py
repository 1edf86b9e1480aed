"""The cameras: one ray a pixel, sun and shadow, sky, fog, noise; and the class of each pixel."""

from __future__ import annotations

import math

import numpy as np

from clip2scene_ros.frame import UNKNOWN, Array, CameraModel
from clip2scene_training.world.appearance import Appearance
from clip2scene_training.world.config import CameraMount, WorldConfig
from clip2scene_training.world.materials import Material, column
from clip2scene_training.world.scene import Mover, Scene
from clip2scene_training.world.textures import noise, surface_color
from clip2scene_training.world.tracer import Layer, Rays, to_local

MIRROR, GLOW = column("mirror"), column("glow")
SHADOW_M = 90.0
"""Shadows are cast this far; beyond, half of the ground is taken to be in the sun."""
TONE = 0.64
"""Exponent of the tone curve: light adds up linearly, a picture shows it brighter in the dark parts."""
OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""body_from_optical: a camera looks along z with x to the right, its mount looks along x with y to the left."""


def camera_model(mount: CameraMount, config: WorldConfig) -> CameraModel:
    """Return the pinhole model of a camera, nuScenes' focal length scaled to the image's width."""
    focal = mount.focal_px * config.image_width / 1600.0
    center = ((config.image_width - 1) / 2, (config.image_height - 1) / 2)
    matrix = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
    return CameraModel(config.image_width, config.image_height, matrix)


def base_from_camera(mount: CameraMount) -> Array:
    """Return (4, 4) float64: where a camera is mounted, in optical axes."""
    pose = np.eye(4)
    yaw = math.radians(mount.yaw_deg)
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1.0]])
    pose[:3, :3], pose[:3, 3] = turn @ OPTICAL, mount.position_m
    return pose


def render(
    camera: CameraModel, world_from_camera: Array, scene: Scene, t: float, light: Appearance, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return (H, W, 3) uint8 image and (H, W) uint8 labels (255 sky) of the scene at time t [s]."""
    rays, ahead = _primary(camera, world_from_camera)
    rays.meet(scene.fixed)
    movers = [(m, scene.poses(m, np.array([t]))[0]) for m in scene.present(t)]
    for mover, pose in movers:
        pixels = _pixels(camera, world_from_camera, pose[:3, :3] @ mover.center + pose[:3, 3], mover.radius)
        if len(pixels):
            for layer, part in _parts(mover, pose, t):
                rays.meet(layer, pixels, part)
    rays.finish()
    color = _sky(rays.directions, light)
    hit = np.flatnonzero(rays.hit)
    color[hit] = _lit(rays, hit, movers, scene, t, light, 1.0 / (camera.matrix[0, 0] * ahead[hit]))
    image = _developed(color.reshape(camera.height, camera.width, 3), light, rng)
    labels = np.where(rays.hit, rays.label, UNKNOWN).astype(np.uint8)
    return image, labels.reshape(camera.height, camera.width)


def _primary(camera: CameraModel, world_from_camera: Array) -> tuple[Rays, Array]:
    """Return one ray a pixel, and the cosine of each against the optical axis."""
    u, v = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    k = camera.matrix
    local = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones(u.shape)], axis=-1).reshape(-1, 3)
    length = np.linalg.norm(local, axis=1, keepdims=True)
    directions = ((local / length) @ world_from_camera[:3, :3].T).astype(np.float32)
    origins = np.broadcast_to(world_from_camera[:3, 3].astype(np.float32), directions.shape)
    return Rays(origins, directions, surface=True), 1.0 / length[:, 0]


def _pixels(camera: CameraModel, world_from_camera: Array, center: Array, radius: float) -> Array:
    """Return the indices of the pixels whose rays may meet a ball."""
    x, y, z = world_from_camera[:3, :3].T @ (center - world_from_camera[:3, 3])
    spans = []
    for offset, k, size in ((x, 0, camera.width), (y, 1, camera.height)):
        away, angle = math.hypot(offset, z), math.atan2(offset, z)
        half = math.asin(min(1.0, radius / away)) if away > radius else math.pi
        if angle - half > 1.5 or angle + half < -1.5:
            return np.zeros(0, np.int64)
        low, high = max(angle - half, -1.5), min(angle + half, 1.5)
        focal, middle = camera.matrix[k, k], camera.matrix[k, 2]
        first = max(0, math.floor(middle + focal * math.tan(low)))
        last = min(size - 1, math.ceil(middle + focal * math.tan(high)))
        spans.append(np.arange(first, last + 1))
    return (spans[1][:, None] * camera.width + spans[0]).ravel()


def _parts(mover: Mover, pose: Array, t: float) -> list[tuple[Layer, Array]]:
    poses = mover.actor.parts(pose[None], np.array([t]))
    return [(layer, part[0]) for layer, part in zip(mover.layers, poses, strict=True)]


def _sky(directions: Array, light: Appearance) -> Array:
    """Return (R, 3) float32: a gradient, clouds, and the sun's glow."""
    up = np.clip(directions[:, 2:], 0, 1)
    color = light.horizon + (light.zenith - light.horizon) * up**0.55
    spread = directions / np.maximum(up + 0.12, 0.05)
    veil = noise(np.ascontiguousarray(spread), 0.9) + 0.5 * noise(np.ascontiguousarray(spread), 0.35)
    cover = np.clip(1.2 * veil + 2.2 * light.clouds - 1.1, 0, 1)[:, None] * np.clip(up * 5, 0, 1)
    color = color + (np.array([0.90, 0.91, 0.93]) - color) * 0.75 * cover
    glow = np.clip(directions @ light.sun, 0, 1)[:, None]
    return np.asarray(color + light.sun_color * (0.10 * glow**8 + 0.8 * glow**400), np.float32)


def _lit(
    rays: Rays, hit: Array, movers: list[tuple[Mover, Array]], scene: Scene, t: float, light: Appearance, pixel: Array
) -> Array:  # fmt: skip
    """Return (H, 3) colour of what the rays met: albedo, sun, sky, mirror, glow, fog."""
    distance, normal, view = rays.distance[hit], rays.normal[hit], rays.directions[hit]
    material = rays.material[hit]
    slant = np.maximum(np.abs(np.einsum("ij,ij->i", normal, view)), 0.08)
    albedo = surface_color(material, rays.color[hit], rays.texcoord[hit], distance * pixel / slant)
    albedo = albedo**1.35  # colours are given as they look; light adds up in linear terms
    leaf = material == Material.FOLIAGE
    facing = np.maximum(normal @ light.sun, 0.0)
    facing[leaf] = 0.35 + 0.5 * facing[leaf]
    sunny = _sunny(rays, hit, normal, facing, movers, scene, t, light)
    sky = 0.62 + 0.38 * normal[:, 2]
    color = albedo * ((facing * sunny)[:, None] * light.sun_color * 1.5 + sky[:, None] * light.sky_color)
    mirror = MIRROR[material] * (0.25 + 0.75 * (1 - slant) ** 3)
    reflected = view - 2 * np.einsum("ij,ij->i", view, normal)[:, None] * normal
    shiny = np.flatnonzero(mirror > 0.01)
    bright = _sky(reflected[shiny], light) * np.clip(0.45 + 1.6 * reflected[shiny, 2:], 0.12, 1.0)
    color[shiny] += mirror[shiny, None] * (bright - color[shiny])
    color += GLOW[material][:, None] * rays.color[hit]
    fog = np.exp(-distance / light.fog_m)[:, None]
    return np.asarray(color * fog + light.horizon * (1 - fog), np.float32)


def _sunny(
    rays: Rays, hit: Array, normal: Array, facing: Array, movers: list[tuple[Mover, Array]], scene: Scene, t: float,
    light: Appearance,
) -> Array:  # fmt: skip
    """Return (H,) share of sunlight that reaches each hit."""
    sunny = np.full(len(hit), 0.7, np.float32)
    asked = np.flatnonzero((facing > 0) & (rays.distance[hit] < SHADOW_M))
    at = rays.origins[hit[asked]] + rays.directions[hit[asked]] * rays.distance[hit[asked], None] + 0.02 * normal[asked]
    toward = np.broadcast_to(light.sun.astype(np.float32), at.shape)
    blocked = scene.fixed.occludes(at, toward)
    shade_plane = _across(light.sun)
    x, y = shade_plane.astype(np.float32) @ at.T
    for mover, pose in movers:
        cx, cy = shade_plane @ (pose[:3, :3] @ mover.center + pose[:3, 3])
        near = np.flatnonzero(((x - np.float32(cx)) ** 2 + (y - np.float32(cy)) ** 2 < mover.radius**2) & ~blocked)
        if not len(near):
            continue
        for layer, part in _parts(mover, pose, t):
            origins, directions = to_local(part, at[near], toward[near])
            blocked[near] |= layer.occludes(origins, directions)
    sunny[asked] = np.where(blocked, 0.04, 1.0)
    return sunny


def _across(direction: Array) -> Array:
    """Return (2, 3): two unit vectors perpendicular to a direction that is not vertical, and to each other."""
    first = np.cross(direction, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first)])


def _developed(color: Array, light: Appearance, rng: np.random.Generator) -> Array:
    """Return the (H, W, 3) uint8 image: exposure, tone curve, darker corners, noise."""
    height, width = color.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = (1.0 - 0.10 * (x * x + y * y))[..., None]
    exposed = np.maximum(color * light.exposure * vignette, 0.0)
    toned = (exposed / (1.0 + 0.18 * exposed)) ** TONE
    grain = rng.standard_normal(color.shape, dtype=np.float32) * light.noise
    return np.asarray(np.clip(toned * 255.0 + grain, 0, 255), np.uint8)
