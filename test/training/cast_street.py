"""A drive past boxes and poles, cast ray by ray: what cameras show and what the LiDAR meets is exactly one world."""

from __future__ import annotations

import numpy as np
from pretrain_scene import AHEAD, CAMERA, HEIGHT, LEFT, START_NS, STEP_NS, WIDTH, Drives

from clip2scene_ros.frame import UNKNOWN, CameraModel, Frame, Scan, View

FLOOR, BOX, POLE = range(3)
CLASSES = "road; car; person"
"""Three words that the small CLIP of `small_street` knows; the world's floor, boxes and poles go by them."""
GROUND_M, REACH_M = -1.7, 25.0


def street(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(B, 2, 3) corners of boxes and poles, and (B,) their classes."""
    low, size, kinds = [], [], []
    for kind, count, extent in ((BOX, 7, (2.5, 2.0, 1.6)), (POLE, 7, (0.3, 0.3, 3.5))):
        places = np.c_[rng.uniform(2, 22, count), rng.uniform(2, 9, count) * rng.choice([-1, 1], count)]
        low.append(np.c_[places, np.full(count, GROUND_M)])
        size.append(np.tile(extent, (count, 1)))
        kinds.append(np.full(count, kind))
    low = np.concatenate(low)
    return np.stack([low, low + np.concatenate(size)], axis=1), np.concatenate(kinds)


def cast(origin: np.ndarray, rays: np.ndarray, boxes: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) how far along (N, 3) rays the first thing is, infinite for none, and (N,) its class, 255 for none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slabs = (boxes[None] - origin) / rays[:, None, None]  # (N, B, 2, 3)
        near, far = slabs.min(2).max(2), slabs.max(2).min(2)
        along = np.where((near > 0) & (near < far), near, np.inf)
        floor = np.where(rays[:, 2] < 0, (GROUND_M - origin[2]) / rays[:, 2], np.inf)
    first = along.argmin(1)
    nearest = along[np.arange(len(rays)), first]
    kind = np.where(floor < nearest, FLOOR, kinds[first])
    nearest = np.minimum(floor, nearest)
    return nearest, np.where(np.isfinite(nearest), kind, UNKNOWN).astype(np.uint8)


def rays_of(camera: CameraModel) -> np.ndarray:
    """(H * W, 3) rays through the middles of pixels, in the camera's frame."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    return (np.linalg.inv(camera.matrix) @ pixels).T


def frame(i: int, boxes: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> Frame:
    """Frame i of a drive, a metre further each time."""
    pose = np.eye(4)
    pose[0, 3] = 1.0 * i
    azimuth, elevation = rng.uniform(-np.pi, np.pi, 1500), rng.uniform(-0.5, 0.15, 1500)
    rays = np.c_[np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
    far, labels = cast(pose[:3, 3], rays, boxes, kinds)
    hit = far < REACH_M
    points = (rays * far[:, None])[hit].astype(np.float32)
    stamp_ns = START_NS + i * STEP_NS
    views = []
    for name, placed in (("ahead", AHEAD), ("left", LEFT)):
        world_from_camera = pose @ np.linalg.inv(placed)
        _, seen = cast(world_from_camera[:3, 3], rays_of(CAMERA) @ world_from_camera[:3, :3].T, boxes, kinds)
        seen = seen.reshape(HEIGHT, WIDTH)
        image = np.stack([seen, seen // 2, np.full_like(seen, 7 * i % 256)], axis=-1) * np.uint8(60)
        views.append(View(name, image, CAMERA, placed, stamp_ns, seen))
    scan = Scan(points, np.full(len(points), 0.5, np.float32), stamp_ns, "lidar")
    return Frame(scan, tuple(views), pose, labels[hit])


def streets(scenes: int, frames: int = 3, seed: int = 0) -> Drives:
    """Some drives; stamps differ between them, as errors of the noisy truth depend on them."""
    made, names = [], []
    for scene in range(scenes):
        rng = np.random.default_rng((seed, scene))
        boxes, kinds = street(rng)
        made += [frame(10 * scene + i, boxes + [10.0 * scene, 0, 0], kinds, rng) for i in range(frames)]
        names += [f"street{seed}_{scene}"] * frames
    return Drives(made, names, f"streets of seed {seed}")
