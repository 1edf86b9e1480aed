"""The ground floor: the values that every source makes and every consumer takes.

Every point that comes in goes out, in the same order. Rotations and translations are float64,
points float32, stamps integer nanoseconds. Transforms are named `target_from_source`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 1_000_000_000

UNKNOWN = 255
"""Class id of a point that cannot be labelled; its probability is 0 and its entropy 1."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Scan:
    """One LiDAR sweep.

    Attributes:
        points: (N, 3) float32, x y z [m] in the sensor frame, as the driver sends them: raw, each where the sensor was
            at its own instant, or all in the frame at the stamp. NaN and infinities are kept.
        intensity: (N,) float32 in [0, 1], zeros where the sensor gives none.
        stamp_ns: time of the sweep [ns], as in the message header.
        frame_id: name of the sensor frame.
        ring: (N,) uint16 beam number, or None.
        time_ns: (N,) int64 offset of each point from `stamp_ns` [ns], or None.
    """

    points: Array
    intensity: Array
    stamp_ns: int = 0
    frame_id: str = ""
    ring: Array | None = None
    time_ns: Array | None = None

    def __post_init__(self) -> None:
        """Check shapes once, here, so that no consumer has to."""
        n = len(self.points)
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise ValueError(f"Expected `points` of shape (N, 3), but got {self.points.shape}.")
        for name in ("intensity", "ring", "time_ns"):
            value = getattr(self, name)
            if value is not None and value.shape != (n,):
                raise ValueError(f"Expected `{name}` of shape ({n},), but got {value.shape}.")

    def __len__(self) -> int:
        """Return the number of points, valid or not."""
        return len(self.points)


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Intrinsics of one camera, as in sensor_msgs/CameraInfo.

    Attributes:
        width, height: image size [px].
        matrix: (3, 3) float64 K.
        distortion_model: `none` (pinhole), `plumb_bob`, `rational_polynomial` or `equidistant`.
        distortion: (k,) float64, k = 0, 4, 5 or 8 by the model.
    """

    width: int
    height: int
    matrix: Array
    distortion_model: str = "none"
    distortion: Array = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True, eq=False)
class View:
    """One camera image with its calibration.

    Attributes:
        name: camera name, as in the topic (`cam_front`).
        image: (H, W, 3) uint8 RGB.
        camera: intrinsics; its width and height equal the image's.
        camera_from_lidar: (4, 4) float64, from the LiDAR frame at the scan's stamp to the camera at its exposure. The
            motion within the sweep is not in it: points of a raw scan are off by what the sensor moved since.
        stamp_ns: exposure time [ns].
        labels: (H, W) uint8 ground-truth class per pixel, or None.
    """

    name: str
    image: Array
    camera: CameraModel
    camera_from_lidar: Array
    stamp_ns: int = 0
    labels: Array | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """A scan with its views, pose and labels: the one kind of value at every door.

    Attributes:
        scan: the LiDAR sweep.
        views: camera images, any number, in the source's order.
        world_from_lidar: (4, 4) float64 pose at the scan's stamp, or None when unknown.
        labels: (N,) uint8 ground-truth class per point (position in the class set, 255 unknown), or None.
        instances: (N,) uint16 ground-truth instance per point (0 none), or None.
    """

    scan: Scan
    views: tuple[View, ...] = ()
    world_from_lidar: Array | None = None
    labels: Array | None = None
    instances: Array | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What the student says of a scan, point by point, in the scan's order.

    Attributes:
        class_id: (N,) uint8 position in the class set, 255 unknown.
        probability: (N,) float32 of the chosen class, 0 where unknown.
        entropy: (N,) float32 Shannon entropy of the class distribution over ln C, 1 where unknown.
        processing_ms: milliseconds spent in each stage, by stage name, from a monotonic clock.
    """

    class_id: Array
    probability: Array
    entropy: Array
    processing_ms: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def unknown(n: int) -> Segmentation:
        """Return `n` points of which nothing is known."""
        return Segmentation(
            class_id=np.full(n, UNKNOWN, dtype=np.uint8),
            probability=np.zeros(n, dtype=np.float32),
            entropy=np.ones(n, dtype=np.float32),
        )


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """What the teacher says of a scan's points.

    Attributes:
        class_id: (N,) uint8 position in the class set, 255 where no camera sees the point.
        confidence: (N,) float32 in [0, 1], 0 where unknown.
    """

    class_id: Array
    confidence: Array
