"""Somebody with a camera: chooses a subject, a standpoint and a lens, looks through the finder, takes the photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.photos.captions import Sight, caption
from clip2scene_training.photos.config import PhotoConfig
from clip2scene_training.photos.stage import Prop, Stage, generator, stage
from clip2scene_training.photos.words import NAMES, SUBJECTS
from clip2scene_training.world.appearance import Appearance, appearance
from clip2scene_training.world.finish import finish
from clip2scene_training.world.optics import OPTICAL, rotation
from clip2scene_training.world.picture import developed
from clip2scene_training.world.shading import HEADLIGHT, Instant, Lighting, shade, sky
from clip2scene_training.world.tracer import Rays

FIRST_LIGHT = 900_000_000
"""Light and surfaces are drawn from seeds from here on, which no street of the world has."""
NEAR_FILL, FAR_FILL = (0.55, 1.6), (0.14, 0.55)
"""How much of a photo's width the subject fills: close-ups, and photos from farther away."""
FIELD_DEG = (22.0, 75.0)
DISTANCE_M = (1.0, 45.0)
HEIGHT_M = (0.6, 4.0)
FINDER_PX, TRIES = 16, 12
"""The finder's rays along each edge; how often another standpoint is tried before a photo is taken as it is."""
GROUNDS = ("road", "sidewalk", "terrain")


@dataclass(frozen=True, eq=False)
class View:
    """Where a camera stands: world_from_camera (4, 4) in optical axes, and the tangent of half its field."""

    pose: Array
    tangent: float


def photo(seed: int, config: PhotoConfig | None = None) -> tuple[Array, str]:
    """Return a photo and its caption.

    Args:
        seed: not negative; `visits` seeds after one another share a scene, so take them in order.
        config: settings; the defaults when omitted.

    Returns:
        The image, (size_px, size_px, 3) uint8, and one line of text.
    """
    config = config or PhotoConfig()
    place, rng = stage(seed // config.visits), generator(seed, 2)
    subject, number, view = _chosen(rng, place, config)
    air = _light(seed, rng)
    rays = _seen(place, view, config.size_px, surface=True)
    image = _exposed(place, view, rays, air, seed, rng, config.size_px)
    sights = _sights(rays, image)
    kind = "sky" if subject == "sky" else next(p.kind for n, p in place.props[subject] if n == number)
    return image, caption(kind, sights, air.kind, config.wrong, generator(seed, 3))


def subject_of(seed: int, config: PhotoConfig | None = None) -> str:
    """Return what the photographer meant to take, a key of `SUBJECTS`."""
    config = config or PhotoConfig()
    return _chosen(generator(seed, 2), stage(seed // config.visits), config)[0]


def kinds_of(seed: int, config: PhotoConfig | None = None) -> Array:
    """Return what each pixel of a photo shows, (size_px, size_px) uint8 places in `NAMES`.

    For measuring how hard the photos are; nothing that learns from captions may ask for it.
    """
    config = config or PhotoConfig()
    place = stage(seed // config.visits)
    rays = _seen(place, _chosen(generator(seed, 2), place, config)[2], config.size_px)
    return _kinds(rays).reshape(config.size_px, config.size_px).astype(np.uint8)


def _chosen(rng: np.random.Generator, place: Stage, config: PhotoConfig) -> tuple[str, int, View]:
    """Return a subject, the number of the prop, and a view in which enough of it is seen."""
    names = [name for name in SUBJECTS if name == "sky" or name in place.props]
    weights = np.array([SUBJECTS[name][0] for name in names])
    for attempt in range(TRIES):
        if attempt % 4 == 0:
            subject = names[rng.choice(len(names), p=weights / weights.sum())]
        if subject == "sky":
            return subject, 0, _upwards(rng)
        number, prop = place.props[subject][rng.integers(len(place.props[subject]))]
        near = rng.random() < config.close_ups
        view, fill = _standpoint(rng, prop, subject, NEAR_FILL if near else FAR_FILL)
        finder = _seen(place, view, FINDER_PX)
        share = float((finder.hit & (finder.instance == number)).mean())
        if share > 0.12 * min(fill, 1.0) ** 2 and np.quantile(finder.distance, 0.1) > 0.5:
            break
    return subject, number, view


def _standpoint(
    rng: np.random.Generator, prop: Prop, subject: str, fills: tuple[float, float]
) -> tuple[View, float]:  # fmt: skip
    """Return a view of a prop that fills a share of the width, and that share."""
    low, high = prop.bounds
    fill = math.exp(rng.uniform(*np.log(fills)))
    field = math.radians(rng.uniform(*FIELD_DEG))
    height = math.exp(rng.uniform(*np.log(HEIGHT_M)))
    if subject in GROUNDS:
        return _downwards(rng, prop, height, field), 0.6
    size = high - low
    target = low + size * rng.uniform((0.2, 0.2, 0.25), (0.8, 0.8, 0.75))
    extent = float(max(size[2], 0.75 * np.hypot(size[0], size[1])))
    extent = min(extent, 9.0)  # nobody steps back for the whole of a long building
    away = float(np.clip(extent / (2 * math.tan(field / 2) * fill), *DISTANCE_M))
    tangent = float(np.clip(extent / (2 * away * fill), math.tan(math.radians(8)), math.tan(math.radians(42))))
    azimuth = rng.uniform(0, 2 * math.pi)
    if subject in ("building", "enclosure") and abs(target[1]) > 3:  # from the street, where there is a front
        azimuth = -math.copysign(math.pi / 2, target[1]) + rng.uniform(-1.1, 1.1)
    outwards = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    surface = 0.35 * float(np.hypot(size[0], size[1])) if subject not in ("building", "enclosure") else 0.0
    eye = target + outwards * (away + surface)
    eye[2] = max(low[2], 0.0) + height
    return _looking(rng, eye, target, tangent), fill


def _downwards(rng: np.random.Generator, prop: Prop, height: float, field: float) -> View:
    """Return a view over the ground near the middle of the street."""
    high = prop.bounds[1]
    reach = np.clip(prop.bounds[:, 1], -30, 30)
    target = np.array([rng.uniform(-25, 25), rng.uniform(*reach), float(high[2])])
    azimuth, away = rng.uniform(0, 2 * math.pi), math.exp(rng.uniform(math.log(1.5), math.log(16)))
    eye = target + away * np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    eye[2] = max(high[2], 0.0) + height
    return _looking(rng, eye, target, math.tan(field / 2))


def _upwards(rng: np.random.Generator) -> View:
    eye = np.array([rng.uniform(-20, 20), rng.uniform(-4, 4), rng.uniform(*HEIGHT_M)])
    azimuth, lift = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(8, 60))
    way = [math.cos(azimuth) * math.cos(lift), math.sin(azimuth) * math.cos(lift), math.sin(lift)]
    return _looking(rng, eye, eye + np.array(way), math.tan(math.radians(rng.uniform(*FIELD_DEG)) / 2))


def _looking(rng: np.random.Generator, eye: Array, target: Array, tangent: float) -> View:
    """Return a view from one point to another, the target a little off the middle, the camera a little tilted."""
    x, y, z = target - eye
    yaw, pitch = math.degrees(math.atan2(y, x)), -math.degrees(math.atan2(z, math.hypot(x, y)))
    slack = math.degrees(math.atan(tangent)) * 0.35
    pose = np.eye(4)
    turn = rotation(yaw + rng.uniform(-slack, slack), pitch + rng.uniform(-slack, slack), rng.normal(0, 2.5))
    pose[:3, :3], pose[:3, 3] = turn @ OPTICAL, eye
    return View(pose, tangent)


def _seen(place: Stage, view: View, size_px: int, *, surface: bool = False) -> Rays:
    """Send one ray a pixel into a scene."""
    steps = (np.arange(size_px) + 0.5) / size_px * 2 - 1
    u, v = np.meshgrid(steps * view.tangent, steps * view.tangent)
    local = np.stack([u.ravel(), v.ravel(), np.ones(size_px**2)], axis=1)
    local /= np.linalg.norm(local, axis=1, keepdims=True)
    directions = (local @ view.pose[:3, :3].T).astype(np.float32)
    rays = Rays(np.broadcast_to(view.pose[:3, 3].astype(np.float32), directions.shape), directions, surface=surface)
    rays.meet(place.layer)
    rays.finish()
    return rays


def _light(seed: int, rng: np.random.Generator) -> Appearance:
    """Return the light of a photo: any, now and then thick fog."""
    return appearance(FIRST_LIGHT + seed, "fog" if rng.random() < 0.04 else "any")


def _exposed(
    place: Stage, view: View, rays: Rays, air: Appearance, seed: int, rng: np.random.Generator, size_px: int
) -> Array:  # fmt: skip
    """Return the developed photo; in the dark, every second one is taken in the beam of headlights."""
    beam = np.eye(4)
    beam[2, 3] = -1e4
    if air.lamps and rng.random() < 0.5:
        beam[:3, :3] = view.pose[:3, :3] @ OPTICAL.T
        beam[:3, 3] = view.pose[:3, 3] - beam[:3, :3] @ HEADLIGHT
    lighting = Lighting(air, finish(FIRST_LIGHT + seed), place.lamps, beam)
    color = sky(rays.directions, air)
    hit = np.flatnonzero(rays.hit)
    if len(hit):
        cosine = rays.directions[hit] @ view.pose[:3, 2].astype(np.float32)
        footprint = 2 * view.tangent / size_px / cosine
        color[hit] = shade(rays, hit, footprint, Instant(place.layer, []), lighting)
    return developed(color.reshape(size_px, size_px, 3), air, 2.0 ** rng.normal(0.0, 0.25), rng)


def _sights(rays: Rays, image: Array) -> list[Sight]:
    """Return what a photo shows, as somebody who looks at it would see: kinds, how much of each, which colour."""
    kinds = _kinds(rays)
    colors = image.reshape(-1, 3)
    found = []
    for number in np.unique(kinds):
        mine = kinds == number
        red, green, blue = colors[mine].mean(axis=0)
        found.append(Sight(NAMES[number], float(mine.mean()), (float(red), float(green), float(blue))))
    return found


def _kinds(rays: Rays) -> Array:
    return np.where(rays.hit, rays.label, NAMES.index("sky"))
