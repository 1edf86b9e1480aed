"""Frames of the synthetic world: scenes generated in parallel processes, kept as .npz files."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array, CameraModel, Frame, Scan, View
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.version import WORLD_VERSION

Progress = Callable[[int, int], None]


class WorldDataset:
    """Labelled frames of many scenes: `len(dataset)` of them, `dataset[i]` the i-th.

    Scenes missing from the cache are generated when the data set is made. A scene's file is named after everything
    it depends on, so a change of the settings or of the world's version never meets stale frames.

    Args:
        seeds: one scene each; frames come in the order of the seeds, then of time.
        sweeps_per_scene: frames taken from each scene.
        cache_dir: where scenes are kept; made when absent. None takes `clip2scene_ros/world` in the user's cache.
        workers: processes that generate; 1 generates in this one.
        with_images: six camera images and their labels with each frame.
        every: sweeps between two frames; 14 sweeps are 0.7 s, some 5 m.
        config: sensors; the duration is set to what the frames need.
        progress: called with (scenes done, scenes in all) after each scene, first with what was cached.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        sweeps_per_scene: int,
        cache_dir: str | Path | None = None,
        *,
        workers: int = 2,
        with_images: bool = False,
        every: int = 14,
        config: WorldConfig | None = None,
        progress: Progress | None = None,
    ) -> None:
        if sweeps_per_scene < 1 or every < 1:
            raise ValueError(f"Expected `sweeps_per_scene` and `every` >= 1, but got {sweeps_per_scene} and {every}.")
        base = config or WorldConfig()
        seconds = ((sweeps_per_scene - 1) * every + 1) / base.lidar.rate_hz
        self.config = replace(base, duration_s=seconds)
        self.seeds, self.sweeps_per_scene, self.every = tuple(seeds), sweeps_per_scene, every
        self.with_images = with_images
        self._folder = Path(cache_dir) if cache_dir is not None else user_cache()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._paths = [self._folder / f"scene_{seed:06d}_{self.digest}.npz" for seed in self.seeds]
        self._open: tuple[int, list[Frame]] = (-1, [])
        self._generate(workers, progress or (lambda done, total: None))

    @property
    def digest(self) -> str:
        """Return 16 hex digits of everything but the seed that a scene's file depends on."""
        what = [WORLD_VERSION, asdict(self.config), self.sweeps_per_scene, self.every, self.with_images]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.seeds) * self.sweeps_per_scene

    def __getitem__(self, index: int) -> Frame:
        """Return frame `index`; reading in order opens each scene once."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected a frame in 0..{len(self) - 1}, but got {index}.")
        scene, frame = divmod(index % len(self), self.sweeps_per_scene)
        if self._open[0] != scene:
            self._open = (scene, _load(self._paths[scene]))
        return self._open[1][frame]

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        return (self[i] for i in range(len(self)))

    def _generate(self, workers: int, progress: Progress) -> None:
        missing = [(seed, path) for seed, path in zip(self.seeds, self._paths, strict=True) if not path.is_file()]
        total, done = len(self.seeds), len(self.seeds) - len(missing)
        progress(done, total)
        jobs = [(s, p, self.config, self.sweeps_per_scene, self.every, self.with_images) for s, p in missing]
        if workers <= 1 or len(jobs) <= 1:
            for job in jobs:
                _generate_scene(*job)
                done += 1
                progress(done, total)
            return
        # spawn, not fork: the caller may hold torch threads or a CUDA context
        with ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn")) as pool:
            for finished in as_completed([pool.submit(_generate_scene, *job) for job in jobs]):
                finished.result()
                done += 1
                progress(done, total)


def user_cache() -> Path:
    """Return the world's folder in the user's cache ($XDG_CACHE_HOME, else ~/.cache)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clip2scene_ros" / "world"


def _generate_scene(seed: int, path: Path, config: WorldConfig, count: int, every: int, with_images: bool) -> None:
    from clip2scene_training.world.drive import Drive

    frames = list(Drive(seed, config).sweeps(count, every=every, images_every=int(with_images)))
    _save(path, frames)


def _save(path: Path, frames: list[Frame]) -> None:
    """Write a scene so that a reader sees all of it or nothing."""
    arrays: dict[str, Any] = {"frames": np.int64(len(frames))}
    for i, frame in enumerate(frames):
        arrays.update(_arrays(f"{i}.", frame))
    with whole_file(path) as file:
        np.savez(file, **arrays)


def _arrays(key: str, frame: Frame) -> dict[str, Array]:
    scan = frame.scan
    found: dict[str, Any] = {
        "points": scan.points, "intensity": scan.intensity, "ring": scan.ring, "time_ns": scan.time_ns,
        "stamp_ns": np.int64(scan.stamp_ns), "world_from_lidar": frame.world_from_lidar, "labels": frame.labels,
        "instances": frame.instances, "views": np.array([v.name for v in frame.views], dtype="U32"),
    }  # fmt: skip
    for v, view in enumerate(frame.views):
        found |= {
            f"{v}.image": view.image, f"{v}.labels": view.labels, f"{v}.matrix": view.camera.matrix,
            f"{v}.camera_from_lidar": view.camera_from_lidar, f"{v}.stamp_ns": np.int64(view.stamp_ns),
        }  # fmt: skip
    return {key + name: np.asarray(value) for name, value in found.items()}


def _load(path: Path) -> list[Frame]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return [_frame(f"{i}.", arrays) for i in range(int(arrays["frames"]))]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BadDataset("cache", f"{path} is not a scene of this data set ({error}); delete it.") from error


def _frame(key: str, arrays: dict[str, Array]) -> Frame:
    def get(name: str) -> Array:
        return arrays[key + name]

    scan = Scan(
        get("points"), get("intensity"), int(get("stamp_ns")), "lidar_top", ring=get("ring"), time_ns=get("time_ns")
    )  # fmt: skip
    views = []
    for v, name in enumerate(get("views")):
        image = get(f"{v}.image")
        camera = CameraModel(image.shape[1], image.shape[0], get(f"{v}.matrix"))
        views.append(
            View(str(name), image, camera, get(f"{v}.camera_from_lidar"), int(get(f"{v}.stamp_ns")), get(f"{v}.labels"))
        )
    return Frame(scan, tuple(views), get("world_from_lidar"), get("labels"), get("instances"))
