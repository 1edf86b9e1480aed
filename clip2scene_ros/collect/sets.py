"""What goes through the collector: sets of serialised messages, where their sensors were, and what became of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from clip2scene_ros.frame import NS_PER_S, Array, CameraModel


@dataclass(frozen=True, eq=False)
class RawImage:
    """An image as it came.

    Attributes:
        stamp_ns: exposure [ns].
        compressed: whether `data` is a serialised sensor_msgs/CompressedImage, else a sensor_msgs/Image.
        data: the message, CDR: a JPEG in it stays one until the worker looks at it.
    """

    stamp_ns: int
    compressed: bool
    data: bytes


@dataclass(frozen=True, eq=False)
class RawSet:
    """A scan with the images that belong to it, as they came.

    Attributes:
        stamp_ns: of the scan [ns].
        source: which LiDAR.
        scan: a serialised sensor_msgs/PointCloud2.
        images: camera -> image.
    """

    stamp_ns: int
    source: str
    scan: bytes
    images: dict[str, RawImage] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return its bytes."""
        return len(self.scan) + sum(len(image.data) for image in self.images.values())


@dataclass(frozen=True, eq=False)
class Placed:
    """Where the sensors were.

    Attributes:
        world_from_lidar: (4, 4) pose at the scan's stamp, None where unknown.
        around: stamp [ns] -> the same shortly before and after it, for the motion within the sweep.
        cameras: camera -> model and (4, 4) camera_from_lidar at its exposure.
        left_out: camera -> why it cannot be placed.
    """

    world_from_lidar: Array | None = None
    around: dict[int, Array] = field(default_factory=dict)
    cameras: dict[str, tuple[CameraModel, Array]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class Rig(Protocol):
    """Knows where the sensors are on the vehicle, and the vehicle in the world."""

    def pose(self, raw: RawSet) -> Array | None:
        """Return (4, 4) world_from_lidar at the scan's stamp, or None."""

    def place(self, raw: RawSet) -> Placed:
        """Return where LiDAR and cameras were."""


@dataclass(frozen=True)
class Fit:
    """What the watch says of a camera's calibration against a LiDAR.

    Attributes:
        state: `unknown`, `fits` or `slipped`.
        score: alignment score as calibrated, the mean of the views, 0 to 1; NaN without views.
        views: how many spoke.
        text: the state in words that follow the camera's name and `is`.
        since_ns: stamp of the scan that showed it first [ns]; 0 before the collector has filled it in.
    """

    state: str
    score: float
    views: int
    text: str
    since_ns: int = 0

    @property
    def slipped(self) -> bool:
        """Return whether the camera is not where its calibration says."""
        return self.state == "slipped"


@dataclass(frozen=True, eq=False)
class Job:
    """A set for the worker.

    Attributes:
        number: of the job, ascending.
        raw: the messages.
        placed: where the sensors were.
        student: a serialised label cloud of the same scan, empty where there is none.
        triggered: kept whatever it shows.
        look: not to be labelled or kept: the watch on the calibration wants to see it.
    """

    number: int
    raw: RawSet
    placed: Placed
    student: bytes = b""
    triggered: bool = False
    look: bool = False


@dataclass(frozen=True)
class Outcome:
    """What the worker did with a job.

    Attributes:
        key: name of its record, empty when it was not kept.
        reason: why it was not kept, empty when it was.
        text: more of that, for a log.
        size: bytes of the frame's messages that were kept.
        left_out: camera -> why its image is not in the record.
        fits: camera -> what the watch says, where the job was to look.
    """

    key: str = ""
    reason: str = ""
    text: str = ""
    size: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    fits: dict[str, Fit] = field(default_factory=dict)


@dataclass(frozen=True)
class CollectAccount:
    """What became of all sets: received = kept + dropped + waiting + remembered + at_worker.

    Attributes:
        received: sets given to the collector.
        kept: sets that are in shards.
        triggered: of these, by a trigger.
        dropped: reason -> sets.
        waiting: chosen sets that the worker has not taken.
        remembered: sets that were not chosen, and that a trigger would still keep.
        at_worker: sets that the worker has.
        held_bytes: of those that wait or are remembered.
        max_held_bytes: the most there ever were.
        kept_bytes: of the messages of what was kept.
        images_left_out: `camera: reason` -> images that could not be used.
        fits: camera, or `LiDAR camera` of several LiDARs -> what the watch says of its calibration.
    """

    received: int
    kept: int
    triggered: int
    dropped: Counter[str]
    waiting: int
    remembered: int
    at_worker: int
    held_bytes: int
    max_held_bytes: int
    kept_bytes: int
    images_left_out: Counter[str]
    fits: dict[str, Fit] = field(default_factory=dict)

    @property
    def slips(self) -> list[str]:
        """Return a text for each camera that has slipped."""
        return [
            f"{name} is {fit.text} since {fit.since_ns / NS_PER_S:.1f} s"
            for name, fit in self.fits.items()
            if fit.slipped
        ]

    def __str__(self) -> str:
        """Return one line for a person."""
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(self.dropped.items()))
        in_hand = self.waiting + self.remembered + self.at_worker
        kept = f"{self.kept} frames kept of {self.received} sets"
        rest = [f"dropped: {reasons}"] if reasons else []
        rest += [f"{in_hand} in hand"] if in_hand else []
        images = ", ".join(f"{what} {count}" for what, count in sorted(self.images_left_out.items()))
        return "; ".join([kept, *rest, *([f"images left out: {images}"] if images else []), *self.slips])
