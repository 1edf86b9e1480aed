"""The frozen world: what every key frame of `test` and `ood` is, in a few numbers each, and whether it still is.

A frame's scan and its images have a checksum each. Where both agree, a machine makes the very frame that the published
rows were measured on. Rays and sines are computed in single precision by code that differs between CPUs, so that a ray
may pass an edge here that it met there; then the checksums differ, and a summary decides whether the frame is the same
but for that (`WITHIN`) or another one (`CHANGED`): points per class, their mean, the mean colour of each camera.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadDataset
from clip2scene_ros.files import whole_file
from clip2scene_ros.frame import Array, Frame
from clip2scene_ros.share import share_file
from clip2scene_training.world.classes import Label
from clip2scene_training.world.splits import EVERY, FRAMES, SPLITS
from clip2scene_training.world.version import WORLD_VERSION

FROZEN = ("test", "ood")
EXACT, WITHIN, CHANGED = "exact", "within tolerance", "changed"
GRID_M = 0.01
"""Points are rounded to it before the checksum: half of the range noise, far above the last bits."""
POINTS, POINTS_SHARE = 4, 0.005
"""A class may gain or lose this many points, or this share of them: rays that pass edges."""
CENTER_M = 0.02
"""The mean point may move by this much: a few rays at the horizon move it by millimetres."""
COLOR = 1.0
"""A camera's mean colour may move by this much, of 255. Sensors moved by a micrometre change it by up to 0.2 at night,
when a grain of a texture near a lamp is another one."""
DIGITS = 16
"""Of a sha256, in hexadecimal: enough to tell a handful of hundreds of frames apart by accident."""

Key = tuple[str, int, int]
"""Split, seed, number of the key frame."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fingerprint:
    """One frame in a few numbers.

    Attributes:
        scan: checksum of points to 1 cm, intensity, ring, labels and instances.
        images: checksum of all images and their labels.
        points: number of points of each class.
        center: mean point [m].
        colors: mean red, green and blue of each camera.
    """

    scan: str
    images: str
    points: tuple[int, ...]
    center: tuple[float, ...]
    colors: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Checked:
    """What became of one frame: `state` is EXACT, WITHIN or CHANGED, `why` says what differs."""

    key: Key
    state: str
    why: str = ""


def fingerprint(frame: Frame) -> Fingerprint:
    """Summarise a frame with labels and instances; images may be missing."""
    scan = frame.scan
    if frame.labels is None or frame.instances is None or scan.ring is None:
        raise ValueError("Expected a frame with labels, instances and rings.")
    grid = np.rint(scan.points.astype(np.float64) / GRID_M).astype("<i4")
    level = np.rint(scan.intensity * 255).astype("<u2")
    parts = (grid, level, scan.ring.astype("<u2"), frame.labels.astype("u1"), frame.instances.astype("<u2"))
    pictures = [a for v in frame.views for a in (v.image, v.labels) if a is not None]
    return Fingerprint(
        _checksum(*parts),
        _checksum(*pictures),
        tuple(np.bincount(frame.labels, minlength=len(Label)).tolist()),
        tuple(scan.points.mean(axis=0, dtype=np.float64).round(3).tolist()),
        tuple(tuple(v.image.mean(axis=(0, 1)).round(2).tolist()) for v in frame.views),
    )


def _checksum(*arrays: Array) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:DIGITS]


def settings_digest(split: str) -> str:
    """Return the checksum of everything but the seed that a split's frames are told by."""
    what = [asdict(SPLITS[split].config), FRAMES, EVERY]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:DIGITS]


def default_path() -> Path:
    """Return where this world's manifest is installed."""
    return share_file(f"config/{WORLD_VERSION}.manifest.json")


def key_frames(scenes: int | None = None) -> list[Key]:
    """Return the key frames of the first scenes (None: all) of each frozen split."""
    return [(name, seed, i) for name in FROZEN for seed in SPLITS[name].seeds[:scenes] for i in range(FRAMES)]


def write_manifest(
    path: Path, *, scenes: int | None = None, workers: int = 1, progress: Progress | None = None
) -> None:
    """Drive through the frozen splits and write what their frames are.

    Args:
        path: JSON.
        scenes: of each split, the first ones; None takes all, as a manifest must.
        workers: processes that generate.
        progress: called with (scenes done, scenes in all).
    """
    found = dict(_made(key_frames(scenes), workers, progress or (lambda done, total: None)))
    splits: dict[str, Any] = {
        name: {
            "settings": settings_digest(name),
            "scenes": {
                str(seed): [_packed(found[name, seed, i]) for i in range(FRAMES)]
                for seed in SPLITS[name].seeds[:scenes]
            },
        }
        for name in FROZEN
    }
    content = json.dumps({"world": WORLD_VERSION, "splits": splits}, separators=(",", ":"))
    with whole_file(path) as file:
        file.write(content.replace("]]],", "]]],\n").encode() + b"\n")


def read_manifest(path: Path | None = None) -> dict[Key, Fingerprint]:
    """Return the frames of a manifest.

    Raises:
        BadDataset: it is missing, malformed, of another world or of other settings.
    """
    path = path or default_path()
    try:
        content = json.loads(path.read_text())
        made = content["world"], {name: split["settings"] for name, split in content["splits"].items()}
        found = {
            (name, int(seed), i): _unpacked(row)
            for name, split in content["splits"].items()
            for seed, rows in split["scenes"].items()
            for i, row in enumerate(rows)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDataset("manifest", f"{path} is not a manifest of the world ({error}).") from error
    here = WORLD_VERSION, {name: settings_digest(name) for name in FROZEN}
    if made[0] != here[0]:
        raise BadDataset("version", f"{path} is of {made[0]}, but this code makes {here[0]}.")
    if made[1] != here[1]:
        raise BadDataset("settings", f"{path} was made with other settings of the splits than this code has.")
    return found


def check_manifest(
    keys: Sequence[Key] | None = None, *, path: Path | None = None, workers: int = 1, progress: Progress | None = None
) -> list[Checked]:
    """Make frames again and say of each whether it is what the manifest has.

    Args:
        keys: which frames; None takes all of the manifest.
        path: the manifest; None takes the installed one.
        workers: processes that generate.
        progress: called with (scenes done, scenes in all).

    Raises:
        BadDataset: the manifest cannot be read, is of another world, or lacks a frame.
    """
    there = read_manifest(path)
    wanted = list(there) if keys is None else list(keys)
    for key in wanted:
        if key not in there:
            raise BadDataset("manifest", f"The manifest has no frame {key}.")
    made = dict(_made(wanted, workers, progress or (lambda done, total: None)))
    return [compare(key, there[key], made[key]) for key in wanted]


def compare(key: Key, there: Fingerprint, here: Fingerprint) -> Checked:
    """Say whether a frame made here is the one of the manifest."""
    if there.scan == here.scan and there.images == here.images:
        return Checked(key, EXACT)
    wrong = []
    for label, a, b in zip(Label, there.points, here.points, strict=True):
        if abs(a - b) > max(POINTS, POINTS_SHARE * a):
            wrong.append(f"{label.name.lower()} {a} -> {b} points")
    if (moved := float(np.abs(np.subtract(there.center, here.center)).max())) > CENTER_M:
        wrong.append(f"mean point off by {moved:.3f} m")
    if len(there.colors) != len(here.colors):
        wrong.append(f"{len(there.colors)} -> {len(here.colors)} cameras")
    elif there.colors and (shift := float(np.abs(np.subtract(there.colors, here.colors)).max())) > COLOR:
        wrong.append(f"mean colour off by {shift:.2f}")
    what = [name for name in ("scan", "images") if getattr(there, name) != getattr(here, name)]
    return Checked(key, CHANGED, "; ".join(wrong)) if wrong else Checked(key, WITHIN, " and ".join(what))


def _made(keys: Sequence[Key], workers: int, progress: Progress) -> Iterator[tuple[Key, Fingerprint]]:
    """Yield each wanted frame's fingerprint, scene by scene."""
    scenes: dict[tuple[str, int], list[int]] = {}
    for split, seed, number in keys:
        scenes.setdefault((split, seed), []).append(number)
    jobs = [(split, seed, tuple(numbers)) for (split, seed), numbers in scenes.items()]
    # spawn, not fork: the caller may hold threads
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) if workers > 1 else None
    try:
        for done, rows in enumerate(pool.map(_scene, jobs) if pool else map(_scene, jobs), start=1):
            yield from rows
            progress(done, len(jobs))
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def _scene(job: tuple[str, int, tuple[int, ...]]) -> list[tuple[Key, Fingerprint]]:
    from clip2scene_training.world.drive import Drive

    split, seed, numbers = job
    drive = Drive(seed, SPLITS[split].config)
    return [((split, seed, i), fingerprint(drive.frame(i * EVERY, with_images=True))) for i in numbers]


def _packed(print_: Fingerprint) -> list[Any]:
    return [print_.scan, print_.images, print_.points, print_.center, print_.colors]


def _unpacked(row: list[Any]) -> Fingerprint:
    scan, images, points, center, colors = row
    return Fingerprint(str(scan), str(images), tuple(points), tuple(center), tuple(tuple(c) for c in colors))
