"""What colour the light gives to what the cameras' rays met: sun and shadow, sky, lamps, wetness, fog."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.appearance import Appearance
from clip2scene_training.world.finish import Finish
from clip2scene_training.world.materials import Material, column
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.textures import noise, surface_color
from clip2scene_training.world.tracer import Layer, Rays, to_local

GLOW = column("glow")
SHADOW_M = 90.0
"""Shadows are cast this far; beyond, half of the ground is taken to be in the sun."""
LAMP_M = 22.0
"""A street lamp lights this far."""
LAMP_COLOR = np.array([1.0, 0.78, 0.48])
HEADLIGHT = np.array([3.7, 0.0, 0.7])
"""The vehicle's own headlights, in base_link [m]."""


@dataclass(frozen=True, eq=False)
class Instant:
    """The scene as it stands at one time.

    Attributes:
        fixed: what never moves.
        parts: bodies and limbs of what does, each with its (4, 4) pose.
    """

    fixed: Layer
    parts: list[tuple[Layer, Array]]


@dataclass(frozen=True, eq=False)
class Lighting:
    """All that a scene's pixels depend on beside what was met.

    Attributes:
        air, surfaces: light and finish of the scene.
        lamps: (L, 3) float32 where street lamps hang.
        world_from_base: (4, 4) where the vehicle with its headlights is.
    """

    air: Appearance
    surfaces: Finish
    lamps: Array
    world_from_base: Array


def street_lamps(mesh: Mesh) -> Array:
    """Return (L, 3) float32: the places of what glows high above the ground, one for each 2 m."""
    faces = np.flatnonzero(mesh.material == Material.LAMP)
    middle = mesh.vertices[mesh.faces[faces]].mean(axis=1)
    high = middle[(middle[:, 2] > 4.5) & (mesh.color[faces].min(axis=1) > 0.4)]
    _, first = np.unique(np.round(high / 2.0), axis=0, return_index=True)
    return np.asarray(high[first], np.float32)


def sky(directions: Array, air: Appearance) -> Array:
    """Return (R, 3) float32: a gradient, clouds, the sun's glow, all dimmed by thick fog."""
    up = np.clip(directions[:, 2:], 0, 1)
    color = air.horizon + (air.zenith - air.horizon) * up**0.55
    spread = np.ascontiguousarray(directions / np.maximum(up + 0.12, 0.05))
    veil = noise(spread, 0.9) + 0.5 * noise(spread, 0.35)
    cover = np.clip(1.2 * veil + 2.2 * air.clouds - 1.1, 0, 1)[:, None] * np.clip(up * 5, 0, 1)
    cloud = 0.4 * air.horizon + 0.67 * air.horizon.mean()
    color = color + (cloud - color) * 0.75 * cover
    glow = np.clip(directions @ air.sun, 0, 1)[:, None]
    color = color + air.sun_color * (0.10 * glow**8 + 0.8 * glow**400)
    clear = np.exp(-60.0 / (air.fog_m * (up + 0.02)))
    return np.asarray(air.horizon + (color - air.horizon) * clear, np.float32)


def shade(rays: Rays, hit: Array, footprint: Array, instant: Instant, lighting: Lighting) -> Array:
    """Return (H, 3) float32 linear colour of what some rays met.

    Args:
        rays: with surface coordinates.
        hit: (H,) their indices.
        footprint: (H,) size of a pixel at 1 m, square to the ray [m].
        instant: what casts shadows.
        lighting: of the scene.
    """
    air, surfaces = lighting.air, lighting.surfaces
    distance, normal, view = rays.distance[hit], rays.normal[hit], rays.directions[hit]
    material = rays.material[hit]
    slant = np.maximum(np.abs(np.einsum("ij,ij->i", normal, view)), 0.08)
    base = np.clip(rays.color[hit] * surfaces.tint[material], 0.0, 1.0)
    albedo = surface_color(material, base, rays.texcoord[hit], distance * footprint / slant)
    albedo = albedo**1.35  # colours are given as they look; light adds up in linear terms
    leaf = material == Material.FOLIAGE
    facing = np.maximum(normal @ air.sun, 0.0)
    facing[leaf] = 0.35 + 0.5 * facing[leaf]
    if air.sun_color.max() > 0.05:
        facing *= _sunny(rays, hit, normal, facing, instant, air.sun)
    light = facing[:, None] * air.sun_color * 1.5 + (0.62 + 0.38 * normal[:, 2:]) * air.sky_color
    if air.lamps:
        light += air.lamps * _lamplight(rays.origins[hit] + view * distance[:, None], normal, lighting)
    color = albedo * light
    mirror = surfaces.mirror[material] * (0.25 + 0.75 * (1 - slant) ** 3)
    shiny = np.flatnonzero(mirror > 0.01)
    reflected = view[shiny] - 2 * np.einsum("ij,ij->i", view[shiny], normal[shiny])[:, None] * normal[shiny]
    bright = sky(reflected, air) * np.clip(0.45 + 1.6 * reflected[:, 2:], 0.12, 1.0)
    color[shiny] += mirror[shiny, None] * (bright - color[shiny])
    color += _glow(material, rays.color[hit], air)
    clear = np.exp(-distance / air.fog_m)[:, None]
    return np.asarray(color * clear + air.horizon * (1 - clear), np.float32)


def _glow(material: Array, color: Array, air: Appearance) -> Array:
    """Return (H, 3) light that lamps give off, and, in the dark, the windows of rooms that are lit."""
    shine = (GLOW[material] * (1 + 5 * air.lamps))[:, None] * color
    if air.lamps:
        room = np.flatnonzero(material == Material.WINDOW)
        key = color[room].sum(axis=1) * 9973.0  # each pane has a colour of its own
        lit = np.where(key - np.floor(key) < 0.28, key * 7 - np.floor(key * 7), 0.0)
        shine[room] += (air.lamps * 0.5 * lit)[:, None] * np.array([1.0, 0.80, 0.52])
    return shine


def _lamplight(at: Array, normal: Array, lighting: Lighting) -> Array:
    """Return (H, 3) light from the street lamps and from the vehicle's headlights, without shadows."""
    light = np.zeros((len(at), 3), np.float32)
    low, high = at.min(axis=0) - LAMP_M, at.max(axis=0) + LAMP_M
    for lamp in lighting.lamps[((lighting.lamps > low) & (lighting.lamps < high)).all(axis=1)]:
        near = np.flatnonzero(((at[:, :2] - lamp[:2]) ** 2).sum(axis=1) < LAMP_M**2)
        way = lamp - at[near]
        square = (way**2).sum(axis=1)
        down = np.clip(way[:, 2] / 3.0, 0.0, 1.0)  # the shade keeps light from what is above
        facing = np.maximum(np.einsum("ij,ij->i", normal[near], way), 0.0) / np.sqrt(square + 1e-3)
        rim = np.clip(2.0 - 2.0 * np.sqrt(square) / (LAMP_M + 3.0), 0.0, 1.0)
        light[near] += (down * rim * 34.0 * facing / (square + 4.0))[:, None] * LAMP_COLOR
    rotation = lighting.world_from_base[:3, :3]
    x, y, z = ((at - lighting.world_from_base[:3, 3]) @ rotation - HEADLIGHT).T
    ahead = np.maximum(x, 0.3)
    cone = np.exp(-((y / ahead / 0.45) ** 2)) * np.exp(-((np.maximum(z / ahead + 0.01, 0.0) / 0.06) ** 2)) * (x > 0)
    square = x * x + y * y + z * z
    way = np.stack([-x, -y, -z], axis=1) / np.sqrt(square)[:, None]
    facing = np.sqrt(np.maximum(np.einsum("ij,ij->i", normal @ rotation, way), 0.0))  # rough ground shines back
    strength = 160.0 * cone * facing / (square + 80.0)
    return np.asarray(light + strength[:, None] * np.array([1.0, 0.97, 0.90]), np.float32)


def _sunny(rays: Rays, hit: Array, normal: Array, facing: Array, instant: Instant, sun: Array) -> Array:
    """Return (H,) share of sunlight that reaches each hit."""
    sunny = np.full(len(hit), 0.7, np.float32)
    asked = np.flatnonzero((facing > 0) & (rays.distance[hit] < SHADOW_M))
    at = rays.origins[hit[asked]] + rays.directions[hit[asked]] * rays.distance[hit[asked], None] + 0.02 * normal[asked]
    toward = np.broadcast_to(sun.astype(np.float32), at.shape)
    blocked = instant.fixed.occludes(at, toward)
    shade_plane = _across(sun)
    x, y = shade_plane.astype(np.float32) @ at.T
    for layer, pose in instant.parts:
        cx, cy = shade_plane @ (pose[:3, :3] @ layer.center + pose[:3, 3])
        near = np.flatnonzero(((x - np.float32(cx)) ** 2 + (y - np.float32(cy)) ** 2 < layer.radius**2) & ~blocked)
        if len(near):
            origins, directions = to_local(pose, at[near], toward[near])
            blocked[near] |= layer.occludes(origins, directions)
    sunny[asked] = np.where(blocked, 0.04, 1.0)
    return sunny


def _across(direction: Array) -> Array:
    """Return (2, 3): two unit vectors perpendicular to a direction that is not vertical, and to each other."""
    first = np.cross(direction, [0.0, 0.0, 1.0])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(direction, first)])
