"""Frames of the synthetic world: scenes generated in parallel processes, kept in the training cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from clip2scene_ros.frame import Frame
from clip2scene_training.datasets.cache import is_saved, load_frame, save_frame, user_cache
from clip2scene_training.parallel import Progress, in_processes
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.splits import EVERY, FRAMES, Split
from clip2scene_training.world.version import WORLD_VERSION


class WorldDataset:
    """Labelled frames of many scenes: `len(dataset)` of them, `dataset[i]` the i-th, in any order at equal cost.

    Scenes missing from the cache are generated when the data set is made. A frame's file is named after everything
    it depends on, so a change of the settings or of the world's version never meets stale frames.

    Args:
        scenes: a split, `replace(split, seeds=...)` for some of it, or seeds, one scene each; frames come in the
            order of the seeds, then of time.
        sweeps_per_scene: frames taken from each scene.
        cache_dir: where frames are kept; made when absent. None takes `clip2scene_ros/world` in the user's cache.
        workers: processes that generate; 1 generates in this one.
        with_images: camera images and their labels with each frame.
        every: sweeps between two frames; 20 sweeps are 1 s, some 8 m.
        config: settings of scenes given as seeds, a split has its own; the duration is set to what the frames need.
        progress: called with (scenes done, scenes in all) after each scene, first with what was cached.

    Attributes:
        scenes: name of each frame's scene, which is its seed.
        digest: 16 hex digits of everything but the seed that a frame depends on. Images add a file to a frame and
            change nothing else of it, so data sets with and without them share the rest.

    Raises:
        ValueError: no frames asked for, a split with a config, or drives too short for the frames.
    """

    def __init__(
        self,
        scenes: Split | Sequence[int],
        sweeps_per_scene: int = FRAMES,
        cache_dir: str | Path | None = None,
        *,
        workers: int = 2,
        with_images: bool = False,
        every: int = EVERY,
        config: WorldConfig | None = None,
        progress: Progress | None = None,
    ) -> None:
        if sweeps_per_scene < 1 or every < 1:
            raise ValueError(f"Expected `sweeps_per_scene` and `every` >= 1, but got {sweeps_per_scene} and {every}.")
        if isinstance(scenes, Split) and config is not None:
            raise ValueError(f"Expected no `config` beside split {scenes.name}, which has its own.")
        if isinstance(scenes, Split):
            self.seeds, self.config = tuple(scenes.seeds), scenes.config
        else:
            base = config or WorldConfig()
            seconds = ((sweeps_per_scene - 1) * every + 1) / base.lidar.rate_hz
            self.seeds, self.config = tuple(scenes), replace(base, duration_s=seconds)
        if self.config.sweeps <= (sweeps_per_scene - 1) * every:
            raise ValueError(
                f"Expected drives of {sweeps_per_scene} frames, but they have {self.config.sweeps} sweeps."
            )
        self.sweeps_per_scene, self.with_images = sweeps_per_scene, with_images and bool(self.config.cameras)
        what = json.dumps([WORLD_VERSION, asdict(self.config), sweeps_per_scene, every], sort_keys=True)
        self.digest = hashlib.sha256(what.encode()).hexdigest()[:16]
        folder = Path(cache_dir) if cache_dir is not None else user_cache("world")
        folder.mkdir(parents=True, exist_ok=True)
        frames = range(sweeps_per_scene)
        self.scenes = [str(seed) for seed in self.seeds for _ in frames]
        self._stems = [[folder / f"scene_{seed:06d}_{self.digest}_{i:02d}" for i in frames] for seed in self.seeds]
        self._generate(every, workers, progress or (lambda done, total: None))

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.seeds) * self.sweeps_per_scene

    def __getitem__(self, index: int) -> Frame:
        """Return frame `index`, read from its own files.

        Raises:
            BadDataset: a file of the cache is damaged.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected a frame in 0..{len(self) - 1}, but got {index}.")
        scene, frame = divmod(index % len(self), self.sweeps_per_scene)
        return load_frame(self._stems[scene][frame], with_images=self.with_images)

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in order."""
        return (self[i] for i in range(len(self)))

    def _generate(self, every: int, workers: int, progress: Progress) -> None:
        jobs = [
            (seed, stems, self.config, every, self.with_images)
            for seed, stems in zip(self.seeds, self._stems, strict=True)
            if not all(is_saved(stem, with_images=self.with_images) for stem in stems)
        ]
        in_processes(_generate_scene, jobs, workers, len(self.seeds), progress)


def _generate_scene(seed: int, stems: list[Path], config: WorldConfig, every: int, with_images: bool) -> None:
    from clip2scene_training.world.drive import Drive

    frames = Drive(seed, config).sweeps(len(stems), every=every, images_every=int(with_images))
    for stem, frame in zip(stems, frames, strict=True):
        save_frame(stem, frame)
