"""Many photos on disk: tar files of JPEGs, each with its caption, made in parallel and always the same."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from clip2scene_ros.errors import BadDataset, BadImage
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array
from clip2scene_ros.io.image import decode_compressed, encode_jpeg
from clip2scene_training.parallel import Progress, in_processes
from clip2scene_training.photos.config import PhotoConfig

PHOTOS_VERSION = "photos-1"
"""Changes whenever a photo or a caption of some seed does, so that no stale one is learned from."""
SHARD = 512
"""Photos in a file."""
HELD_OUT = 1_000_000_000
"""Seeds from here on are for looking at a model, never for learning."""


class PhotoCorpus:
    """Photos and captions of a range of seeds; what is missing from the cache is made first.

    A shard is a tar file with `SEED.jpg` and `SEED.txt` for each photo, as open_clip's own data loader reads them.

    Args:
        count: photos.
        config: settings of the photographer.
        cache_dir: where shards are kept; made when absent.
        first: the first seed.
        workers: processes that make shards; 1 makes them in this one.
        progress: called with (shards done, shards in all) after each shard, first with what was cached.

    Attributes:
        paths: the shards, in order of their seeds.

    Raises:
        ValueError: no photos asked for.
    """

    def __init__(
        self,
        count: int,
        config: PhotoConfig,
        cache_dir: Path,
        *,
        first: int = 0,
        workers: int = 2,
        progress: Progress | None = None,
    ) -> None:
        if count < 1 or first < 0:
            raise ValueError(f"Expected `count` >= 1 and `first` >= 0, but got {count} and {first}.")
        self.count, self.config = count, config
        what = json.dumps([PHOTOS_VERSION, asdict(config)], sort_keys=True)
        folder = cache_dir / f"photos_{hashlib.sha256(what.encode()).hexdigest()[:16]}"
        starts = range(first, first + count, SHARD)
        jobs = [(start, min(SHARD, first + count - start)) for start in starts]
        self.paths = [folder / f"{start:010d}_{size:04d}.tar" for start, size in jobs]
        missing = [(p, *job, config) for p, job in zip(self.paths, jobs, strict=True) if not p.exists()]
        in_processes(write_shard, missing, workers, len(jobs), progress or (lambda done, total: None))

    def __len__(self) -> int:
        """Return the number of photos."""
        return self.count

    def __iter__(self) -> Iterator[tuple[Array, str]]:
        """Yield (size_px, size_px, 3) uint8 images and their captions in order of their seeds.

        Raises:
            BadDataset: a shard is damaged.
        """
        for path in self.paths:
            yield from read_shard(path)

    def load(self) -> tuple[Array, list[str]]:
        """Return all images, (N, size_px, size_px, 3) uint8, and all captions; 28 kB a photo of 96 px.

        Raises:
            BadDataset: a shard is damaged.
        """
        size = self.config.size_px
        images, captions = np.empty((self.count, size, size, 3), np.uint8), []
        for k, (image, text) in enumerate(self):
            images[k] = image
            captions.append(text)
        return images, captions

    def sha256(self) -> str:
        """Return the hash of all shards: equal for equal photos made by the same libraries."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def read_shard(path: Path) -> Iterator[tuple[Array, str]]:
    """Yield the photos of a shard with their captions.

    Raises:
        BadDataset: it is damaged.
    """
    try:
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            for picture, text in zip(members[::2], members[1::2], strict=True):
                files = [tar.extractfile(member) for member in (picture, text)]
                data, words = (file.read() if file else b"" for file in files)
                yield decode_compressed(data), words.decode()
    except (tarfile.TarError, OSError, ValueError, BadImage) as error:
        raise BadDataset("shard", f"{path} is damaged ({error}): delete it, and it is made anew.") from error


def write_shard(path: Path, first: int, count: int, config: PhotoConfig) -> None:
    """Take `count` photos from seed `first` on and write them to `path`, whole or not at all."""
    from clip2scene_training.photos.photographer import photo

    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for seed in range(first, first + count):
            image, text = photo(seed, config)
            for name, data in (
                (f"{seed:010d}.jpg", encode_jpeg(image, config.jpeg_quality)),
                (f"{seed:010d}.txt", text.encode()),
            ):
                member = tarfile.TarInfo(name)  # its time is 0: equal photos are equal bytes
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    with whole_file(path) as file:
        file.write(content.getvalue())
