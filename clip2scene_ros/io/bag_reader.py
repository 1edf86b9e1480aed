"""The door for bags: open one, get its messages or its Frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.frame import Frame
from clip2scene_ros.io.bag_file import BagFile
from clip2scene_ros.io.bag_frames import BagTopics, read_frames
from clip2scene_ros.io.pointcloud import DEFAULT_LIMITS


class BagReader(BagFile):
    """A bag being read, message by message or frame by frame: a context manager, see `BagFile`.

    Attributes:
        refused: clouds that `frames` left out, counted by the reason code of their BadCloud.
        refused_images: (topic, stamp [ns]) of an image that `frames` left out -> the reason code of its BadImage, or
            `size` where it has not the size of its camera_info.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.refused: Counter[str] = Counter()
        self.refused_images: dict[tuple[str, int], str] = {}

    def frames(
        self, topics: BagTopics | None = None, *, images: bool = True, limits: CloudLimits = DEFAULT_LIMITS
    ) -> Iterator[Frame]:
        """Yield a Frame per scan, in the order of recording; see `bag_frames.read_frames`."""
        return read_frames(self, topics or BagTopics(), self.refused, self.refused_images, images=images, limits=limits)
