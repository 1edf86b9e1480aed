"""Frames of recorded bags in any order: each bag is read once, in its own order, into the training cache."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadBag
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Frame
from clip2scene_ros.io.bag_frames import BagTopics
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.truth import truth_frames
from clip2scene_training.datasets.cache import is_saved, load_frame, save_frame, user_cache


class BagDataset:
    """All scans of some bags: `len(dataset)` of them, `dataset[i]` the i-th, in any order at equal cost.

    A compressed bag cannot be read in any order at a bearable cost, so its frames are kept in the cache, named after
    the bag's path, size and time of change.

    Args:
        bags: paths of rosbag2 folders or files; frames come in their order.
        cache_dir: where frames are kept; made when absent. None takes `clip2scene_ros/bags` in the user's cache.
        class_set: the classes in whose terms labels are given, matched by name; None leaves labels as recorded and
            takes bags without ground truth as well.
        with_images: also keep and give the camera images.
        topic: the clouds' topic; empty takes the only one.

    Attributes:
        scenes: name of each frame's scene, which is its bag's; `drive.mcap (2)` where another has that name already.
        digest: of the bags' paths, sizes and times of change, and of the settings.

    Raises:
        BadBag: a bag cannot be read; with a class set, it has no ground truth or none of the classes.
    """

    def __init__(
        self,
        bags: str | Path | Sequence[str | Path],
        cache_dir: str | Path | None = None,
        *,
        class_set: ClassSet | None = None,
        with_images: bool = False,
        topic: str = "",
    ) -> None:
        self.class_set, self.with_images, self.topic = class_set, with_images, topic
        self._folder = Path(cache_dir) if cache_dir is not None else user_cache("bags")
        paths = [Path(bag) for bag in ([bags] if isinstance(bags, str | Path) else bags)]
        self._stems, self.scenes = [], []
        keys = [self._key(path) for path in paths]
        self.digest = hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16] if keys else ""
        for path, key, scene in zip(paths, keys, names_apart([path.name for path in paths]), strict=True):
            count = self._frames_kept(path, key)
            self._stems += [self._stem(key, number) for number in range(count)]
            self.scenes += [scene] * count

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._stems)

    def __getitem__(self, index: int) -> Frame:
        """Return frame `index`, read from its own files.

        Raises:
            BadDataset: a file of the cache is damaged.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected a frame in 0..{len(self) - 1}, but got {index}.")
        return load_frame(self._stems[index], with_images=self.with_images)

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        return (self[i] for i in range(len(self)))

    def _key(self, path: Path) -> str:
        """Return a name for everything the frames of a bag depend on."""
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        try:
            facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        except OSError as error:
            raise BadBag("missing", f"No bag at {path}: {error.strerror}.") from error
        classes = "" if self.class_set is None else self.class_set.to_json()
        what = json.dumps([str(path.resolve()), facts, classes, self.with_images, self.topic])
        return f"{path.stem}_{hashlib.sha256(what.encode()).hexdigest()[:16]}"

    def _stem(self, key: str, number: int) -> Path:
        return self._folder / f"bag_{key}_{number:06d}"

    def _frames_kept(self, path: Path, key: str) -> int:
        """Return how many frames of a bag are in the cache, where they are put if need be."""
        note = self._folder / f"bag_{key}.json"  # written last
        count = _noted(note)
        if count < 0 or not all(is_saved(self._stem(key, number)) for number in range(count)):
            count = 0
            for frame in self._read(path):
                save_frame(self._stem(key, count), frame)
                count += 1
            with whole_file(note) as file:
                file.write(json.dumps({"frames": count}).encode())
        return count

    def _read(self, path: Path) -> Iterator[Frame]:
        with BagReader(path) as bag:
            if self.class_set is None:
                yield from bag.frames(BagTopics(points=self.topic), images=self.with_images)
            else:
                yield from truth_frames(bag, self.class_set, self.topic, images=self.with_images)


def names_apart(names: Sequence[str]) -> list[str]:
    """Return names of which none is there twice.

    >>> names_apart(["a", "b", "a", "a"])
    ['a', 'b', 'a (2)', 'a (3)']
    """
    found: list[str] = []
    for name in names:
        others = (f"{name} ({number})" for number in itertools.count(2))
        found.append(name if name not in found else next(other for other in others if other not in found))
    return found


def _noted(note: Path) -> int:
    """Return how many frames a bag is noted to have, -1 where that is not known."""
    try:
        return int(json.loads(note.read_bytes())["frames"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1
