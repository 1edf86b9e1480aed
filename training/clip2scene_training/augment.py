"""Augmentation of a scan: turns, mirrors, sizes, other mounts, things of other scans; labels stay with their points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clip2scene_ros.frame import Array, Frame, Scan
from clip2scene_training.config import AugmentConfig

TURNS = 2
"""How often the things of another scan are added, each time turned by another angle."""


def augment(scan: Scan, config: AugmentConfig, rng: np.random.Generator) -> Scan:
    """Return a varied copy of `scan`, the same points in the same order."""
    linear = _linear(config, rng)
    gain = 1 + rng.uniform(-config.intensity, config.intensity)
    lift, roll, pitch = rng.uniform(-1, 1, 3) * [config.height_m, config.tilt_deg, config.tilt_deg]
    gain *= config.intensity_factor ** rng.uniform(-1, 1)
    linear = _leaning(np.radians(roll), np.radians(pitch)) @ linear
    points = scan.points @ linear.T.astype(np.float32) + np.array([0, 0, lift], np.float32)
    intensity = np.clip(scan.intensity * np.float32(gain), 0, 1).astype(np.float32)
    return replace(scan, points=points, intensity=intensity)


def paste(scan: Scan, labels: Array, other: Frame, classes: Array, rng: np.random.Generator) -> tuple[Scan, Array]:
    """Return `scan` with things of another scan behind its points, turned about the sensor, and the labels of all.

    A thing keeps its distance and so the density of its points. Xiao et al.: PolarMix, NeurIPS 2022, section 3.2.

    Args:
        scan: N points; rings and times are left out of what is returned.
        labels: (N,) uint8.
        other: a frame with labels.
        classes: (K,) class ids of the things to add.
        rng: source of the angles.
    """
    points, intensity, found = [scan.points], [scan.intensity], [labels]
    angles = rng.uniform(0, 2 * np.pi, TURNS)
    if other.labels is not None:
        taken = np.flatnonzero(np.isin(other.labels, classes))
        for angle in angles:
            c, s = np.cos(angle), np.sin(angle)
            turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
            points.append(other.scan.points[taken] @ turn.T)
            intensity.append(other.scan.intensity[taken])
            found.append(other.labels[taken])
    mixed = replace(scan, points=np.concatenate(points), intensity=np.concatenate(intensity), ring=None, time_ns=None)
    return mixed, np.concatenate(found)


def _linear(config: AugmentConfig, rng: np.random.Generator) -> Array:
    """Draw one (3, 3) float64 matrix. Every number is drawn whether used or not, so switches do not shift seeds."""
    angle, mirror, size = rng.uniform(0, 2 * np.pi), rng.integers(0, 2, 2), rng.uniform(-1, 1)
    matrix = np.eye(3)
    if config.turn != "none":
        angle = angle if config.turn == "any" else np.pi / 2 * (angle // (np.pi / 2))
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    if config.flip:
        matrix = np.diag([*(1.0 - 2.0 * mirror), 1.0]) @ matrix
    result: Array = matrix * (1 + config.scale * size)
    return result


def _leaning(roll: float, pitch: float) -> Array:
    """Return the (3, 3) rotation about x by `roll`, then about y by `pitch` [rad]."""
    a, b, c, d = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch)
    result: Array = np.array([[c, 0, d], [0, 1, 0], [-d, 0, c]]) @ [[1, 0, 0], [0, a, -b], [0, b, a]]
    return result
