"""A drive written as a rosbag2 file: clouds, images, calibration, odometry and ground truth, as a vehicle records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.frame import NS_PER_S, Array
from clip2scene_ros.io import bags
from clip2scene_ros.io.bag_file import CLASS_SET_TOPIC, WORLD_TOPIC
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_ground_truth, pack_points
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.drive import Drive
from clip2scene_training.world.optics import camera_model
from clip2scene_training.world.version import WORLD_VERSION

Progress = Callable[[int, int], None]
Event = tuple[int, int, Callable[[bags.BagWriter], None]]
"""Time of recording [ns], rank among equals, and what to write."""
FIRST, MIDDLE, LAST = 0, 1, 2
KEY_FRAMES_HZ = 2.0
"""Images per second of nuScenes' key frames."""
BEST = 95
"""Quality where the settings ask for raw images: a bag holds JPEG."""

BASE, LIDAR, ODOM = "base_link", "lidar_top", "odom"


def write_bag(
    path: str | Path,
    seed: int,
    seconds: float,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    image_hz: float = KEY_FRAMES_HZ,
    compression: str = "none",
    config: WorldConfig | None = None,
) -> None:
    """Write a drive as a bag; on Ctrl-C or an error what was written stays a readable bag.

    Clouds are recorded when their sweep ends, images when they are exposed, odometry at its own stamps: sorted by
    that time, so that the bag can be played. Header stamps are those of `Drive`.

    Args:
        path: a rosbag2 folder, or one file ending in `.mcap`.
        seed: which world.
        seconds: length of the drive [s].
        progress: called with (sweeps written, sweeps in all).
        overwrite: replace a bag that is there.
        image_hz: images per second and camera; 2 are the key frames of nuScenes, 12 its full rate.
        compression: `none` or `zstd`.
        config: sensors; its duration and image rate are replaced.

    Raises:
        BadBag: the path is taken or cannot be written.
    """
    with bags.BagWriter(path, compression=compression, overwrite=overwrite) as writer:
        drive = Drive(seed, replace(config or WorldConfig(), duration_s=float(seconds), image_hz=float(image_hz)))
        _write_latched(writer, drive)
        total, done = len(drive), 0
        for _, rank, write in sorted(_events(drive), key=lambda event: event[:2]):
            write(writer)
            done += rank == LAST
            if rank == LAST and progress is not None:
                progress(done, total)


def _write_latched(writer: bags.BagWriter, drive: Drive) -> None:
    """Write what holds for the whole bag: which drive it is, where the sensors are, what the class ids mean."""
    start = drive.config.start_ns
    mounts = [(BASE, LIDAR, drive.base_from_lidar)]
    mounts += [(BASE, mount.name, drive.reported_camera(k)) for k, mount in enumerate(drive.config.cameras)]
    writer.write("/tf_static", bags.tf_static_message(mounts, start), start, latched=True)
    words = bags.string_message(load_class_set("world").to_json())
    writer.write(CLASS_SET_TOPIC, words, start, latched=True)
    writer.write(WORLD_TOPIC, bags.string_message(json.dumps(_made_by(drive))), start, latched=True)


def _made_by(drive: Drive) -> dict[str, Any]:
    """Return how to make the drive again: version, seed, length, and the settings that are not the usual ones."""
    made: dict[str, Any] = {"version": WORLD_VERSION, "seed": drive.seed, "seconds": drive.config.duration_s}
    usual = asdict(WorldConfig(duration_s=drive.config.duration_s, image_hz=KEY_FRAMES_HZ))
    other = {name: value for name, value in asdict(drive.config).items() if value != usual[name]}
    return {**made, "settings": other} if other else made


def _events(drive: Drive) -> Iterator[Event]:
    """Yield everything that is recorded, in no order; the costly part waits until it is written."""
    config = drive.config
    period = NS_PER_S / config.odometry_hz
    for k in range(int(config.duration_s * config.odometry_hz) + 2):
        yield _odometry(drive, config.start_ns + round(k * period))
    for camera in range(len(config.cameras)):
        for stamp in drive.image_stamps_ns(camera):
            yield _image(drive, camera, int(stamp))
    for index in range(len(drive)):
        yield _sweep(drive, index)


def _odometry(drive: Drive, stamp: int) -> Event:
    def write(writer: bags.BagWriter) -> None:
        pose: Array = drive.odometry(np.array([stamp]))[0]
        writer.write("/odom", bags.odometry_message(pose, stamp, ODOM, BASE), stamp)

    return stamp, FIRST, write


def _image(drive: Drive, camera: int, stamp: int) -> Event:
    def write(writer: bags.BagWriter) -> None:
        mount = drive.config.cameras[camera]
        info = bags.camera_info_message(camera_model(mount, drive.config), stamp, mount.name)
        jpeg = encode_jpeg(drive.raw_image(camera, stamp), drive.config.jpeg_quality or BEST)
        image = bags.compressed_image_message(jpeg, stamp, mount.name)
        writer.write(f"/{mount.name}/camera_info", info, stamp)
        writer.write(f"/{mount.name}/image/compressed", image, stamp)

    return stamp, MIDDLE, write


def _sweep(drive: Drive, index: int) -> Event:
    stamp = drive.stamp_ns(index)
    end = stamp + drive.config.sweep_ns

    def write(writer: bags.BagWriter) -> None:
        frame = drive.frame(index)
        if frame.labels is None or frame.instances is None:
            raise RuntimeError("The world made a sweep without ground truth.")
        writer.write("/points", bags.cloud_message(pack_points(frame.scan), stamp, LIDAR), end)
        truth = pack_ground_truth(frame.scan, frame.labels, frame.instances)
        writer.write("/ground_truth/points", bags.cloud_message(truth, stamp, LIDAR), end)

    return end, LAST, write
