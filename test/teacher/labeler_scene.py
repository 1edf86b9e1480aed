"""A camera, a teacher that sees what it is told, and frames around them: enough to check every label by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from clip2scene_ros.classes import ClassSet, parse_words
from clip2scene_ros.frame import CameraModel, Frame, Scan, View

WIDTH, HEIGHT, FOCAL = 64, 48, 40.0
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[FOCAL, 0, 32], [0, FOCAL, 24], [0, 0, 1.0]]))
FORWARD = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
"""camera_from_lidar of a camera in the LiDAR's place that looks along its x."""
CLASSES = parse_words("road; wall; car")
ROAD, WALL, CAR = range(3)
START_NS = 1_000_000_000


@dataclass
class Painted:
    """Probabilities of each pixel, (H, W, K)."""

    probabilities: np.ndarray
    classes: int = 3

    @property
    def size(self):
        return self.probabilities.shape[:2]

    def at(self, pixels):
        place = pixels.round().long().numpy()
        return torch.from_numpy(self.probabilities[place[..., 1], place[..., 0]])

    def labels(self):
        raise NotImplementedError


@dataclass
class Told:
    """Sees in each view, by name, what it was told."""

    answers: dict = field(default_factory=dict)
    class_set: ClassSet = CLASSES
    notice: str = ""
    asked: int = 0

    def see(self, frame):
        self.asked += 1
        return [self.answers.get(view.name) for view in frame.views]

    def describe(self):
        return "told"


def paint(*probabilities: float) -> Painted:
    """The same everywhere; the fourth column is the sky."""
    return Painted(np.broadcast_to(np.array(probabilities, np.float32), (HEIGHT, WIDTH, len(probabilities))).copy())


def bands() -> Painted:
    """One class in every column of four pixels, in turns."""
    which = (np.arange(WIDTH) // 4) % 3
    return Painted(np.broadcast_to(np.eye(3, dtype=np.float32)[which], (HEIGHT, WIDTH, 3)).copy())


def view(name="front", camera_from_lidar=FORWARD, stamp_ns=START_NS) -> View:
    return View(name, np.zeros((HEIGHT, WIDTH, 3), np.uint8), CAMERA, camera_from_lidar, stamp_ns)


def frame(points, views=(), *, time_ns=None, pose=None, stamp_ns=START_NS) -> Frame:
    points = np.asarray(points, np.float32).reshape(-1, 3)
    times = None if time_ns is None else np.asarray(time_ns, np.int64)
    scan = Scan(points, np.zeros(len(points), np.float32), stamp_ns, "lidar", time_ns=times)
    return Frame(scan, tuple(views), np.eye(4) if pose is None else pose)


def wall(x=5.0, half=1.0, step=0.1) -> np.ndarray:
    """(N, 3) points of an upright square at a distance."""
    side = np.arange(-half, half + step / 2, step)
    y, z = np.meshgrid(side, side)
    return np.stack([np.full(y.size, x), y.ravel(), z.ravel()], axis=1)


def turned(angle: float, xyz=(0.0, 0.0, 0.0)) -> np.ndarray:
    """A pose, turned about z."""
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, 3] = xyz
    return pose
