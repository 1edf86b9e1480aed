"""Faults of files and disks, for bench/faults.py: checkpoints, calibration, a full, a failing and a read-only disk."""

from __future__ import annotations

import contextlib
import errno
import json
import pickle
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from faults_drive import CAMERA, CAMERA_FROM_LIDAR, CAMERAS
from faults_stage import ERROR, OK, Report, Seen, Stage, says
from lifecycle_msgs.msg import Transition

from clip2scene_ros.io.calibration import save_calibration

DISK = "size=64m"
PAGE = 4096
FAILING = """
import errno, os
from pathlib import Path

real = os.pwrite

def pwrite(fd, data, offset):
    flag = Path(FLAG)
    if flag.exists():
        number = int(flag.read_text())
        raise OSError(number, os.strerror(number))
    return real(fd, data, offset)

os.pwrite = pwrite
"""
"""A sitecustomize.py: a process with it on its path cannot write while a file is there that holds an errno."""


def checkpoints(stage: Stage, path: Path, good: bytes) -> Iterator[Seen]:
    """Configure with checkpoints of which each is wrong in its own way, and with a good one after each.

    Args:
        stage: a node that is not configured, whose checkpoint is `path`.
        path: of the file, which is made and unmade here.
        good: the content of a good one.
    """

    class Disguised:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return exec, (f"open({str(path.with_suffix('.executed'))!r}, 'w')",)

    faults = (
        ("checkpoint missing", "there is no file", None, "there is no file"),
        ("checkpoint truncated", "the file's last third is cut off", good[: 2 * len(good) // 3], "the file has"),
        ("checkpoint of wrong classes", "its card has a class more than its vectors", _other_classes(good), "class"),
        ("checkpoint is a pickle", "a pickle of that name", pickle.dumps(Disguised()), "pickle"),
    )
    for fault, how, content, word in faults:

        def spoil(content: bytes | None = content) -> None:
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)

        seen = configure(stage, fault, how, spoil, lambda: path.write_bytes(good), ("Cannot configure", word))
        seen.held = seen.held and not path.with_suffix(".executed").exists()
        yield seen


def configure(
    stage: Stage, fault: str, how: str, spoil: Callable[[], None], mend: Callable[[], object], words: tuple[str, ...]
) -> Seen:
    """Have a node configured with something wrong, then with it mended; it is unconfigured before and after.

    Times are from the answer of the service: how long a node loads is its own affair.
    """
    seen = Seen(fault, stage.name, f"{how}, when it is configured", lost="nothing, it does not start")
    spoil()
    began_s = time.monotonic()
    refused = not stage.ear.transition(Transition.TRANSITION_CONFIGURE)
    refused_s = time.monotonic()
    told = stage.ear.report(says(*words), began_s)
    seen.tell(refused_s, told)
    mend()
    configured = stage.ear.transition(Transition.TRANSITION_CONFIGURE)
    configured_s = time.monotonic()
    back = stage.ear.report(lambda report: report.level == OK and report.values["state"] == "inactive", refused_s)
    if configured and back is not None:
        seen.recovered_s = max(0.0, back.at_s - configured_s)
    stage.ear.transition(Transition.TRANSITION_CLEANUP)
    seen.held = refused and configured and told is not None and back is not None
    return seen


def _other_classes(good: bytes) -> bytes:
    """Return a checkpoint's content in which the card names a class more than there are vectors."""
    length = int.from_bytes(good[:8], "little")
    header = json.loads(good[8 : 8 + length])
    card = json.loads(header["__metadata__"]["clip2scene"])
    card["class_set"]["classes"].append({**card["class_set"]["classes"][-1], "name": "one more", "prompts": ["it"]})
    header["__metadata__"]["clip2scene"] = json.dumps(card)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + good[8 + length :]


def write_rig(path: Path) -> None:
    """Write a calibration in which all cameras look ahead."""
    save_calibration(path, dict.fromkeys(CAMERAS, (CAMERA, CAMERA_FROM_LIDAR)))


def calibrations(stage: Stage, path: Path) -> Iterator[Seen]:
    """Configure with calibration files of which each is wrong in its own way, and with a good one after each."""

    def changed(change: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        def spoil() -> None:
            write_rig(path)
            content = yaml.safe_load(path.read_text())
            change(content["cameras"][CAMERAS[1]])
            path.write_text(yaml.safe_dump(content))

        return spoil

    stretched = np.diag([1.1, 1.0, 1.0, 1.0]) @ CAMERA_FROM_LIDAR
    nan = np.where(np.arange(16).reshape(4, 4) == 3, np.nan, CAMERA_FROM_LIDAR)
    faults = (
        ("calibration file missing", "there is no file", lambda: path.unlink(missing_ok=True), path.name),
        (
            "calibration is no rotation",
            f"`camera_from_lidar` of {CAMERAS[1]} stretches by 10 %",
            changed(lambda camera: camera.update(camera_from_lidar=stretched.tolist())),
            CAMERAS[1],
        ),
        (
            "calibration is NaN",
            f"`camera_from_lidar` of {CAMERAS[1]} has a NaN",
            changed(lambda camera: camera.update(camera_from_lidar=nan.tolist())),
            CAMERAS[1],
        ),
        (
            "calibration lacks a camera",
            f"{CAMERAS[1]} is not in it",
            lambda: save_calibration(path, {CAMERAS[0]: (CAMERA, CAMERA_FROM_LIDAR)}),
            CAMERAS[1],
        ),
    )
    for fault, how, spoil, word in faults:
        yield configure(stage, fault, how, spoil, lambda: write_rig(path), ("Cannot configure", word))


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of 64 MB, which only an administrator can; yield whether it could be."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    try:
        yield made
    finally:
        if made:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def full_disk(stage: Stage, disk: Path) -> Seen:
    """Fill the disk that the shards are on, and make room again."""
    ballast = disk / "ballast"

    def fill() -> None:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(PAGE)) == PAGE:
                pass

    return stage.meet("disk full", "a tmpfs of 64 MB is filled", fill, is_paused("full"), ballast.unlink, lasts_s=3.0)


def failing_disk(stage: Stage, flag: Path) -> Iterator[Seen]:
    """Have every write of the teacher's process fail."""
    for fault, number in (("disk fails (EIO)", errno.EIO), ("disk turns read-only (EROFS)", errno.EROFS)):
        how = f"every pwrite of the process raises {errno.errorcode[number]}"

        def fail(number: int = number) -> None:
            flag.with_suffix(".new").write_text(str(number))
            flag.with_suffix(".new").rename(flag)

        yield stage.meet(fault, how, fail, is_paused(""), flag.unlink, lasts_s=3.0)


def is_paused(word: str) -> Callable[[Report], bool]:
    """Return a test whether a report says that collecting is paused, with this word in its reason."""
    return lambda report: report.level == ERROR and "paused" in report.message and word in report.message


def read_only_folder(stage: Stage, disk: Path) -> Seen:
    """Configure with shards on a disk that is mounted read-only, then writable."""

    def mount(how: str) -> Callable[[], object]:
        return lambda: subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

    words = ("Cannot configure", "cannot be written")
    return configure(stage, "read-only folder", "a tmpfs mounted read-only", mount("ro"), mount("rw"), words)
