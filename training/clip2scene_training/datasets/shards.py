"""Frames of collected shards, and the labels that were collected with them, for pretraining."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from itertools import groupby
from pathlib import Path

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import UNKNOWN, Frame
from clip2scene_ros.io.shards import ShardReader
from clip2scene_ros.teacher.labeler import Evidence, LabelledFrame
from clip2scene_training.pseudo_labels import PseudoLabelled, without_truth


class ShardDataset:
    """All frames of some shards: `len(dataset)` of them, `dataset[i]` the i-th, in any order at equal cost.

    Args:
        path: a folder of shards, or one.
        with_images: also read, and check, the camera images.

    Attributes:
        scenes: name of each frame's scene: its drive, or a part of that in which time goes on.

    Raises:
        BadDataset: no shards, or damaged ones.
    """

    def __init__(self, path: str | Path, *, with_images: bool = False) -> None:
        self.reader, self.with_images = ShardReader(path), with_images
        self.scenes = [key.rpartition("_")[0] for key in self.reader.keys]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.reader)

    def __getitem__(self, index: int) -> Frame:
        """Return frame `index`; its labels are the ground truth of the source, if that had any.

        Raises:
            BadDataset: the record is damaged.
        """
        return self.reader.record(index, images=self.with_images).frame

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        return (self[i] for i in range(len(self)))

    @cached_property
    def digest(self) -> str:
        """Return 16 hex digits of all that the records hold, wherever they lie; it is read from their checksums."""
        sums = "".join(self.reader.checksum(i) for i in range(len(self)))
        return hashlib.sha256(f"{self.with_images} {sums}".encode()).hexdigest()[:16]


class ShardLabels(PseudoLabelled):
    """The pseudo-labels that lie in the shards: of points, not of pixels.

    Args:
        frames: the shards.

    Raises:
        BadDataset: labels: a frame has none, or those of different frames mean different classes.
    """

    def __init__(self, frames: ShardDataset) -> None:
        self.frames, self.scenes, self.folder = frames, frames.scenes, frames.reader.path
        self._shards = frames
        # a drive has one writer, hence one class set: its first frame tells
        firsts = [next(group) for _, group in groupby(range(len(frames)), key=lambda i: frames.scenes[i])]
        sources = [frames.reader.record(i, images=False).provenance for i in firsts]
        found = {source.class_set_sha256: source.class_set for source in sources}
        class_set = next(iter(found.values()), None)
        if class_set is None or len(found) > 1:
            names = ", ".join("none" if each is None else each.name or "(no name)" for each in found.values())
            raise BadDataset(
                "labels", f"{self.folder}: expected labels of one class set in all frames, but got: {names or 'none'}."
            )
        self.class_set = class_set
        self.notice = " ".join(dict.fromkeys(source.notice for source in sources if source.notice))

    def labelled(self, index: int) -> LabelledFrame:
        """Return a frame without ground truth, with its pseudo-labels and their confidence.

        Raises:
            BadDataset: the record is damaged, has no labels, or such as its class set does not know.
        """
        reader = self._shards.reader
        record = reader.record(index, images=self._shards.with_images)
        labels, where = record.labels, f"{reader.where(index)[0]}: record {record.key}"
        if labels is None:
            raise BadDataset("labels", f"{where} has no pseudo-labels.")
        if bool(((labels.class_id >= len(self.class_set)) & (labels.class_id != UNKNOWN)).any()):
            raise BadDataset("labels", f"{where}: expected class ids below {len(self.class_set)}.")
        return LabelledFrame(without_truth(record.frame), labels, (), Evidence())
