"""Frames of collected shards, and the labels that were collected with them, for pretraining."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import UNKNOWN, Frame
from clip2scene_ros.io.shards import Record, ShardReader, is_shards
from clip2scene_ros.teacher.labeler import Evidence, LabelledFrame
from clip2scene_training.pseudo_labels import PseudoLabelled, without_truth


class ShardDataset:
    """All frames of some shards: `len(dataset)` of them, `dataset[i]` the i-th, in any order at equal cost.

    Args:
        paths: folders of shards, or shards; frames come in their order.
        with_images: also read, and check, the camera images.

    Attributes:
        scenes: name of each frame's scene: its drive, or a part of that in which time goes on.

    Raises:
        BadDataset: no shards, damaged ones, or a record that is in several of them.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path], *, with_images: bool = False) -> None:
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self.readers, self.with_images = [ShardReader(path) for path in self.paths], with_images
        self._places = [(n, i) for n, reader in enumerate(self.readers) for i in range(len(reader))]
        drives = [self.key(i).rpartition("_")[0] for i in range(len(self))]
        # two LiDARs of a vehicle may begin in the same second: their frames are no neighbours
        self.scenes = [
            drive if len(self.readers) == 1 else f"{n}.{drive}"
            for drive, (n, _) in zip(drives, self._places, strict=True)
        ]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._places)

    def __getitem__(self, index: int) -> Frame:
        """Return frame `index`; its labels are the ground truth of the source, if that had any.

        Raises:
            BadDataset: the record is damaged.
        """
        return self.record(index).frame

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        return (self[i] for i in range(len(self)))

    def record(self, index: int, *, images: bool = True) -> Record:
        """Return the record of frame `index`; without images where they are not asked for here or above."""
        n, i = self._places[index]
        return self.readers[n].record(i, images=images and self.with_images)

    def key(self, index: int) -> str:
        """Return the name of the record of frame `index`."""
        n, i = self._places[index]
        return self.readers[n].keys[i]

    def where(self, index: int) -> str:
        """Return where frame `index` lies, for errors."""
        n, i = self._places[index]
        return f"{self.readers[n].where(i)[0]}: record {self.key(index)}"

    @property
    def pictured(self) -> int:
        """Number of frames whose images were kept; none is read for it."""
        members = (self.readers[n].where(i)[1].members for n, i in self._places)
        return sum(any(member.name.startswith("view") for member in each) for each in members)

    @cached_property
    def digest(self) -> str:
        """Return 16 hex digits of all that the records hold, wherever they lie; it is read from their checksums."""
        sums = "".join(self.readers[n].checksum(i) for n, i in self._places)
        return hashlib.sha256(f"{self.with_images} {sums}".encode()).hexdigest()[:16]


class ShardLabels(PseudoLabelled):
    """The pseudo-labels that lie in the shards: of points, not of pixels.

    Args:
        frames: the shards.

    Attributes:
        sources: what records say of where they come from, each once.

    Raises:
        BadDataset: labels: a frame has none, or those of different frames mean different classes.
    """

    def __init__(self, frames: ShardDataset) -> None:
        self.frames, self.scenes, self.folder = frames, frames.scenes, frames.paths[0]
        self._shards = frames
        # a drive has one writer, hence one class set: its first frame tells
        firsts = [next(group) for _, group in groupby(range(len(frames)), key=lambda i: frames.scenes[i])]
        self.sources = [frames.record(i, images=False).provenance for i in firsts]
        found = {source.class_set_sha256: source.class_set for source in self.sources}
        class_set = next(iter(found.values()), None)
        if class_set is None or len(found) > 1:
            names = ", ".join("none" if each is None else each.name or "(no name)" for each in found.values())
            raise BadDataset(
                "labels", f"{self.where}: expected labels of one class set in all frames, but got: {names or 'none'}."
            )
        self.class_set = class_set
        self.notice = " ".join(dict.fromkeys(source.notice for source in self.sources if source.notice))

    @property
    def where(self) -> str:
        """Return where the shards lie, for errors."""
        return ", ".join(map(str, self._shards.paths))

    @property
    def key(self) -> str:
        """Return what names these labels, wherever they lie."""
        return self._shards.digest

    @property
    def pictured(self) -> int:
        """Number of frames whose images were kept."""
        return self._shards.pictured

    def labelled(self, index: int) -> LabelledFrame:
        """Return a frame without ground truth, with its pseudo-labels and their confidence.

        Raises:
            BadDataset: the record is damaged, has no labels, or such as its class set does not know.
        """
        record = self._shards.record(index)
        labels, where = record.labels, self._shards.where(index)
        if labels is None:
            raise BadDataset("labels", f"{where} has no pseudo-labels.")
        if bool(((labels.class_id >= len(self.class_set)) & (labels.class_id != UNKNOWN)).any()):
            raise BadDataset("labels", f"{where}: expected class ids below {len(self.class_set)}.")
        return LabelledFrame(without_truth(record.frame), labels, (), Evidence())


def shards_among(paths: Sequence[Path]) -> list[Path]:
    """Return those of `paths` that are shards, or folders of them; of a folder of several LiDARs, each one's folder."""
    found = []
    for path in paths:
        inner = sorted(path.iterdir()) if path.is_dir() and not is_shards(path) else []
        found += [path] if is_shards(path) else [each for each in inner if each.is_dir() and is_shards(each)]
    return found
