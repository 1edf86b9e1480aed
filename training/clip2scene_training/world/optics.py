"""Where the cameras are, which way each pixel looks, and what a calibration says of it."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from clip2scene_ros.frame import Array, CameraModel
from clip2scene_ros.geometry import unproject
from clip2scene_training.world.config import CameraMount, WorldConfig
from clip2scene_training.world.town import generator

OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""body_from_optical: a camera looks along z with x to the right, its mount looks along x with y to the left."""
LENSES = {
    "none": (),
    "plumb_bob": (-0.30, 0.10, 0.0005, -0.0003, 0.0),
    "equidistant": (0.02, -0.005, 0.001, 0.0),
}
"""Coefficients of each distortion model: barrel distortion as of a cheap wide-angle lens, and a fisheye."""


def camera_model(mount: CameraMount, config: WorldConfig) -> CameraModel:
    """Return the intrinsics of a camera, nuScenes' focal length scaled to the image's width."""
    return _model(mount.focal_px, config.image_width, config.image_height, config.distortion)


def _model(focal_px: float, width: int, height: int, distortion: str) -> CameraModel:
    focal = focal_px * width / 1600.0
    matrix = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    return CameraModel(width, height, matrix, distortion, np.array(LENSES[distortion]))


def pixel_rays(mount: CameraMount, config: WorldConfig) -> Array:
    """Return (H * W, 3) float64 unit directions in the optical frame that the pixels look in; do not write to it."""
    return _rays(mount.focal_px, config.image_width, config.image_height, config.distortion)


@lru_cache(maxsize=16)
def _rays(focal_px: float, width: int, height: int, distortion: str) -> Array:
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    uv = np.stack([u.ravel(), v.ravel()], axis=1)
    rays = unproject(uv, _model(focal_px, width, height, distortion))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    rays.flags.writeable = False
    return rays


def base_from_camera(mount: CameraMount) -> Array:
    """Return (4, 4) float64: where a camera is mounted, in optical axes."""
    pose = np.eye(4)
    turn = rotation(mount.yaw_deg, mount.pitch_deg, mount.roll_deg)
    pose[:3, :3], pose[:3, 3] = turn @ OPTICAL, mount.position_m
    return pose


def base_from_lidar(config: WorldConfig) -> Array:
    """Return (4, 4) float64: where the LiDAR is mounted."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation(0.0, config.lidar_pitch_deg, 0.0), config.lidar_position_m
    return pose


def reported_camera(seed: int, config: WorldConfig, camera: int) -> Array:
    """Return (4, 4) float64 base_from_camera as the calibration has it: wrong by what the settings say.

    The direction of the error is drawn for each camera of a seed, its size is that of the settings.
    """
    rng = generator(seed, 27, camera)
    axis, way = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 3)))
    pose = base_from_camera(config.cameras[camera])
    pose[:3, :3] = _about(axis, math.radians(config.calibration_error_deg)) @ pose[:3, :3]
    pose[:3, 3] += config.calibration_error_m * way
    return pose


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Array:
    """Return (3, 3) float64: first about x by roll, then about y by pitch (down), then about z by yaw (left)."""
    yaw, pitch, roll = (math.radians(a) for a in (yaw_deg, pitch_deg, roll_deg))
    found: Array = _about(np.array([0.0, 0.0, 1.0]), yaw) @ _about(np.array([0.0, 1.0, 0.0]), pitch)
    return found @ _about(np.array([1.0, 0.0, 0.0]), roll)


def _about(axis: Array, angle: float) -> Array:
    """Return (3, 3) the rotation about a unit axis (Rodrigues)."""
    x, y, z = axis
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + math.sin(angle) * skew + (1 - math.cos(angle)) * skew @ skew)
