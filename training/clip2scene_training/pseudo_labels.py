"""Pseudo-labels of a data set, made once and kept; the data set without its ground truth, with them in its place.

A file a frame, uncompressed .npz, in a folder named after all that the labels depend on. Each file knows the scan and
the images that it was made of, so labels of other data are found out even where names are equal.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import UNKNOWN, Array, Frame, PseudoLabels, View
from clip2scene_ros.teacher.external import LabelImage
from clip2scene_ros.teacher.labeler import Evidence, Labeler, LabelledFrame
from clip2scene_ros.teacher.teachers import PixelClasses
from clip2scene_training.pairs import classes_at

LABELS_VERSION = 1
"""Of the files; raise it when what is in them, or how a labeler makes it, changes."""

Progress = Callable[[int, int], None]
MakesLabeler = Callable[[], Labeler]
Arrays = dict[str, Array]


class SceneFrames(Protocol):
    """Frames of drives: those of one scene are neighbours, in order of time; `WorldDataset`, `BagDataset`."""

    @property
    def scenes(self) -> list[str]:
        """Name of each frame's scene."""

    def __len__(self) -> int:
        """Return the number of frames."""

    def __getitem__(self, index: int) -> Frame:
        """Return one frame."""


class PseudoLabelled:
    """A data set whose labels are a teacher's; its ground truth is out of reach.

    Attributes:
        frames: the data set.
        scenes: name of each frame's scene.
        class_set: what the labels mean.
        notice: the teacher's, to be shown with all that is learned from it.
        folder: where the labels are.
    """

    def __init__(self, frames: SceneFrames, class_set: ClassSet, notice: str, folder: Path) -> None:
        """Take labels from `folder`, as `make_pseudo_labels` left them; none is read before it is asked for."""
        self.frames, self.scenes = frames, list(frames.scenes)
        self.class_set, self.notice, self.folder = class_set, notice, folder
        self._files = label_files(folder, self.scenes)

    @property
    def key(self) -> str:
        """Return what names these labels: it tells the data, the teacher and its settings."""
        return self.folder.name

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def __getitem__(self, index: int) -> Frame:
        """Return a frame that has the pseudo-labels of its points as its labels, and of its pixels where kept.

        Raises:
            BadDataset: as `labelled`.
        """
        found = self.labelled(index)
        views = found.frame.views
        if found.seen:
            classes = [None if seen is None else seen.labels()[0] for seen in found.seen]
            views = tuple(replace(view, labels=each) for view, each in zip(views, classes, strict=True))
        return replace(found.frame, labels=found.labels.class_id, views=views)

    def labelled(self, index: int) -> LabelledFrame:
        """Return a frame without ground truth, with its pseudo-labels and their confidence; `seen` where kept.

        Raises:
            BadDataset: the labels are missing, damaged, or of another scan or other images.
        """
        frame, path = without_truth(self.frames[index]), self._files[index]
        try:
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            labels, seen = _labels_of(found, frame, len(self.class_set))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise BadDataset(
                "labels", f"{path} does not hold the pseudo-labels of this frame ({error}); delete it."
            ) from error
        return LabelledFrame(frame, labels, seen, Evidence())


def make_pseudo_labels(
    frames: SceneFrames,
    make_labeler: MakesLabeler,
    teacher: str,
    folder: Path,
    *,
    pixels: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> PseudoLabelled:
    """Label the frames that have no labels in the cache yet, and return all with theirs.

    Args:
        frames: the data set, with images; its `digest`, if it has one, becomes part of the folder's name.
        make_labeler: makes a labeler in each process; it must be picklable if `workers` > 1.
        teacher: names the teacher so that no other has the same name: digest of its weights and settings; its words,
            classes and what it says of itself are added.
        folder: the cache; the labels are in a folder within.
        pixels: also keep the class and confidence of every pixel, 3 bytes each; pairs need them.
        workers: processes; 1 labels in this one.
        progress: called with (scenes done, scenes in all).

    Raises:
        BadTeacher: as the labeler.
    """
    labeler, say = make_labeler(), progress or (lambda done, total: None)
    home = folder / f"labels_{label_key(labeler, teacher, str(getattr(frames, 'digest', '')), pixels)}"
    files = label_files(home, frames.scenes)
    scenes = [[i for i, _ in group] for _, group in groupby(enumerate(frames.scenes), key=lambda each: each[1])]
    # a scene is labelled as a whole, since its frames may vote for each other
    jobs = [scene for scene in scenes if not all(files[i].is_file() for i in scene)]
    total, done = len(scenes), len(scenes) - len(jobs)
    say(done, total)
    if workers <= 1 or len(jobs) <= 1:
        for scene in jobs:
            _label_scene(frames, scene, labeler, files, pixels)
            done += 1
            say(done, total)
    else:
        pool = ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn"))
        try:
            work = [pool.submit(_label_in_worker, frames, scene, make_labeler, files, pixels) for scene in jobs]
            for finished in as_completed(work):
                finished.result()
                done += 1
                say(done, total)
        finally:
            pool.shutdown(cancel_futures=True)  # or Ctrl-C would wait for all the scenes not yet begun
    return PseudoLabelled(frames, labeler.teacher.class_set, labeler.teacher.notice, home)


def label_key(labeler: Labeler, teacher: str, data: str, pixels: bool) -> str:
    """Return 16 hex digits of all that labels depend on but the frames themselves.

    Args:
        labeler: its settings and what its teacher says of itself.
        teacher: digest of the teacher's weights and settings.
        data: digest of the data set.
        pixels: whether classes of pixels are kept.
    """
    its = labeler.teacher
    what = [LABELS_VERSION, teacher, its.describe(), its.notice, its.class_set.to_json(), asdict(labeler.config)]
    return hashlib.sha256(json.dumps([*what, data, pixels], sort_keys=True).encode()).hexdigest()[:16]


def without_truth(frame: Frame) -> Frame:
    """Return a frame of which nobody has said what is what."""
    return replace(frame, labels=None, instances=None, views=tuple(replace(v, labels=None) for v in frame.views))


def label_files(folder: Path, scenes: Sequence[str]) -> list[Path]:
    """Return the file of each frame, named after its scene and its place in that."""
    count, files = Counter[str](), []
    for scene in scenes:
        safe = "".join(c if c.isalnum() or c in "-." else "_" for c in scene)
        files.append(folder / f"{safe}_{count[scene]:06d}.npz")
        count[scene] += 1
    return files


def _label_in_worker(
    frames: SceneFrames, scene: list[int], make_labeler: MakesLabeler, files: list[Path], pixels: bool
) -> None:
    _label_scene(frames, scene, make_labeler(), files, pixels)


def _label_scene(frames: SceneFrames, scene: list[int], labeler: Labeler, files: list[Path], pixels: bool) -> None:
    # only points lose their truth here: a teacher of a known worth may see that of the pixels
    drive = (replace(frames[i], labels=None, instances=None) for i in scene)
    for i, each in zip(scene, labeler.label(drive), strict=True):
        arrays: dict[str, Any] = _arrays(each, labeler.config.absorbers if pixels else "")
        with whole_file(files[i]) as file:
            np.savez(file, **arrays)


def _arrays(each: LabelledFrame, absorbers: str) -> Arrays:
    arrays = {"class_id": each.labels.class_id, "confidence": each.labels.confidence} | _origin(each.frame)
    for v, seen in enumerate(each.seen if absorbers else ()):
        if seen is not None:
            image = _label_image(seen, absorbers)
            arrays |= {f"{v}.class_id": image.class_id, f"{v}.confidence": image.confidence.astype(np.float16)}
    return arrays


def _label_image(seen: PixelClasses, absorbers: str) -> LabelImage:
    """Return the class of every pixel, row by row."""
    height, width = seen.size
    columns = np.arange(width, dtype=np.float32)
    rows = [
        classes_at(seen, np.stack([np.full(width, row, np.float32), columns], axis=1), absorbers)
        for row in range(height)
    ]
    class_id, confidence = (np.stack(part) for part in zip(*rows, strict=True))
    return LabelImage(class_id, confidence, seen.classes)


def _origin(frame: Frame) -> Arrays:
    """Return checksums of the scan and of each image."""
    images = [zlib.crc32(view.image.tobytes()) for view in frame.views]
    scan = zlib.crc32(frame.scan.points.tobytes())
    return {"scan": np.array(scan, np.uint32), "images": np.array(images, np.uint32)}


def _labels_of(found: Arrays, frame: Frame, classes: int) -> tuple[PseudoLabels, tuple[LabelImage | None, ...]]:
    """Return labels and, where kept, what was seen in each view; ValueError where they are not this frame's."""
    origin = _origin(frame)
    if int(found["scan"]) != int(origin["scan"]):
        raise ValueError("they are of another scan")
    if frame.views and not np.array_equal(found["images"], origin["images"]):
        raise ValueError("they are of other images")
    class_id, confidence = found["class_id"], found["confidence"]
    if class_id.shape != (len(frame.scan),) or confidence.shape != class_id.shape:
        raise ValueError(f"expected {len(frame.scan)} labels, but got {class_id.shape} and {confidence.shape}")
    if bool(((class_id >= classes) & (class_id != UNKNOWN)).any()):
        raise ValueError(f"expected class ids below {classes}")
    if not any(name.endswith(".class_id") for name in found):
        return PseudoLabels(class_id, confidence), ()
    seen = tuple(_seen(found, view, v, classes) for v, view in enumerate(frame.views))
    return PseudoLabels(class_id, confidence), seen


def _seen(found: Arrays, view: View, v: int, classes: int) -> LabelImage | None:
    if f"{v}.class_id" not in found:
        return None
    class_id, confidence = found[f"{v}.class_id"], found[f"{v}.confidence"].astype(np.float32)
    if class_id.shape != view.image.shape[:2] or confidence.shape != class_id.shape:
        raise ValueError(f"expected labels of {view.name}'s {view.image.shape[:2]} pixels, but got {class_id.shape}")
    return LabelImage(class_id, confidence, classes)
