"""A drive along a static wall of known points, with two cameras and a teacher that tells colours apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from clip2scene_ros.classes import parse_words
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.frame import CameraModel, Frame, Scan, View
from clip2scene_ros.teacher.external import LabelImage
from clip2scene_ros.teacher.labeler import Labeler

WIDTH, HEIGHT = 96, 64
CAMERA = CameraModel(WIDTH, HEIGHT, np.array([[50.0, 0, 47], [0, 52, 31], [0, 0, 1]]))
AHEAD = np.array([[0, -1, 0, 0.1], [0, 0, -1, -0.2], [1, 0, 0, -0.3], [0, 0, 0, 1.0]])
LEFT = np.array([[1, 0, 0, 0.0], [0, 0, -1, -0.2], [0, 1, 0, -0.3], [0, 0, 0, 1.0]])
CLASSES = parse_words("road; wall; car")
START_NS, STEP_NS = 1_000_000_000, 50_000_000


def pose(i: int) -> np.ndarray:
    """world_from_lidar of frame i: ahead, to the side, turning; far from the origin, as in UTM."""
    angle = 0.05 * i
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0, 4000 + 0.8 * i], [s, c, 0, -3000 + 0.1 * i], [0, 0, 1, 20 + 0.02 * i], [0, 0, 0, 1.0]])


def scattered(count: int, seed: int) -> np.ndarray:
    """(count, 3) float64 points around the place where drives begin, in the world."""
    rng = np.random.default_rng(seed)
    local = rng.uniform([-12, -12, -1.5], [25, 15, 3], (count, 3))
    return local + pose(0)[:3, 3]


def picture(i: int, camera: int) -> np.ndarray:
    """(H, W, 3) uint8 that tells its own rows and columns."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([rows, columns, np.full_like(rows, 10 * i + camera)], axis=-1).astype(np.uint8)


def frame(i: int, points: np.ndarray, *, cameras: bool = True) -> Frame:
    """World points as scan i sees them; intensity is the point's number, a thousandth each."""
    local = (np.linalg.inv(pose(i)) @ np.c_[points, np.ones(len(points))].T).T[:, :3].astype(np.float32)
    scan = Scan(local, (np.arange(len(points)) / 1000).astype(np.float32), START_NS + i * STEP_NS, "lidar")
    truth = np.full((HEIGHT, WIDTH), 2, np.uint8)
    views = tuple(
        View(name, picture(i, v), CAMERA, placed, scan.stamp_ns, truth)
        for v, (name, placed) in enumerate((("ahead", AHEAD), ("left", LEFT)))
    )
    labels = np.full(len(points), 2, np.uint8)
    return Frame(scan, views if cameras else (), pose(i), labels, labels.astype(np.uint16))


@dataclass
class Drives:
    """A data set of frames in memory."""

    frames: list[Frame]
    scenes: list[str]
    digest: str = "drives"

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        return self.frames[index]


def drives(lengths: tuple[int, ...] = (5, 3), points: int = 300) -> Drives:
    """Several scenes of so many frames, each with points of its own."""
    found, scenes = [], []
    for scene, length in enumerate(lengths):
        for i in range(length):
            found.append(frame(i, scattered(points, 100 * scene + i)))
            scenes.append(f"s{scene}")
    return Drives(found, scenes)


def without_truth_but_wrong(data: Drives) -> Drives:
    """The same frames with another ground truth everywhere."""
    return Drives(
        [
            replace(
                f,
                labels=np.zeros_like(f.labels),
                instances=np.zeros_like(f.instances),
                views=tuple(replace(v, labels=np.zeros_like(v.labels)) for v in f.views),
            )
            for f in data.frames
        ],
        data.scenes,
    )


def bands(view: View) -> np.ndarray:
    """(H, W) uint8: what the teacher says of an image; it depends on camera, frame and pixel."""
    rows, columns = np.mgrid[: view.camera.height, : view.camera.width]
    return ((rows // 7 + columns // 5 + int(view.image[0, 0, 2])) % 3).astype(np.uint8)


@dataclass
class Bands:
    """A teacher that sees `bands`."""

    class_set: object = CLASSES
    notice: str = "bands"
    asked: list[int] = field(default_factory=list)
    name: str = "bands"

    def see(self, frame: Frame) -> list[LabelImage]:
        self.asked.append(frame.scan.stamp_ns)
        confidence = [np.full(bands(v).shape, 0.75, np.float32) for v in frame.views]
        return [LabelImage(bands(v), c, 3) for v, c in zip(frame.views, confidence, strict=True)]

    def describe(self) -> str:
        return self.name


def make_labeler(sweeps: int = 0) -> Labeler:
    """A labeler that any process can make."""
    return Labeler(Bands(), LabelerConfig(sweeps=sweeps))
