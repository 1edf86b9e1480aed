"""Sights for the check of a calibration, out of a bag: images spread over the drive, each with its nearest scans."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

from clip2scene_ros.calibrate.check import MAX_SIGHTS, Sights
from clip2scene_ros.errors import BadBag, BadImage
from clip2scene_ros.frame import Frame
from clip2scene_ros.geometry import Trajectory
from clip2scene_ros.io.bag_calibration import Rig
from clip2scene_ros.io.bag_frames import COMPRESSED, BagTopics, camera_name, camera_topics
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.io.image import decode_compressed_message, decode_raw
from clip2scene_ros.teacher.labeler import neighbourhoods
from clip2scene_ros.teacher.motion import points_at_stamp

NEAR_NS = 75_000_000
"""Scans farther than this from an image see another moment of the traffic."""
SCANS_AN_IMAGE = 3
"""Short drives have few images; each may be compared with so many scans."""
BEYOND_S = 0.35
"""The motion is taken to go on so far beyond the odometry: for images of the first and last moments."""


def gather_sights(bag: BagReader, topic: str = "", calibration: Rig | None = None) -> Sights:
    """Read the sights of an open bag: once for the way, once for the images.

    Args:
        bag: with clouds, images, odometry, and camera_info and transforms unless a calibration is given.
        topic: the clouds'; empty takes the only one.
        calibration: camera name -> model and camera_from_lidar, instead of the bag's own.

    Raises:
        BadBag: no or several clouds, no images, damage.
    """
    topics = BagTopics(points=topic, calibration=calibration)
    if not camera_topics(bag, topics):
        raise BadBag("no_cameras", f"{bag.path}: expected images beside the clouds, but found none.")
    way = _way(bag, topics)
    counts = {camera_name(name): bag.topics[name][1] for name in camera_topics(bag, topics)}
    chosen = _Chosen(counts)
    sights = Sights()
    for frame in _at_stamp(bag.frames(topics)):
        sights.add(frame, way, chosen.of(frame))
    return sights


def sizes(bag: BagReader) -> dict[str, tuple[int, int]]:
    """Return camera name -> width and height of an image that was left out since it had not its calibration's size."""
    found = {}
    for topic in {topic for (topic, _), reason in bag.refused_images.items() if reason == "size"}:
        kind, data = next(((kind, data) for _, kind, _, data in bag.raw([topic])), ("", b""))
        try:
            message = bag.decode(topic, kind, data)
            image = decode_compressed_message(message) if kind == COMPRESSED else decode_raw(message)
        except BadImage:
            continue
        found[camera_name(topic)] = (image.shape[1], image.shape[0])
    return found


class _Chosen:
    """Decides which views become sights."""

    def __init__(self, images: dict[str, int]) -> None:
        self._scans = {name: max(1, min(SCANS_AN_IMAGE, MAX_SIGHTS // max(n, 1))) for name, n in images.items()}
        self._every = {name: max(1, math.ceil(n * self._scans[name] / MAX_SIGHTS)) for name, n in images.items()}
        self._met: dict[str, dict[int, int]] = defaultdict(dict)
        self._taken: Counter[tuple[str, int]] = Counter()

    def of(self, frame: Frame) -> list[str]:
        taken = []
        for view in frame.views:
            if abs(view.stamp_ns - frame.scan.stamp_ns) > NEAR_NS:
                continue
            number = self._met[view.name].setdefault(view.stamp_ns, len(self._met[view.name]))
            key = (view.name, view.stamp_ns)
            if number % self._every[view.name] == 0 and self._taken[key] < self._scans[view.name]:
                self._taken[key] += 1
                taken.append(view.name)
        return taken


def _way(bag: BagReader, topics: BagTopics) -> Trajectory | None:
    poses = {
        frame.scan.stamp_ns: frame.world_from_lidar
        for frame in bag.frames(topics, images=False)
        if frame.world_from_lidar is not None
    }
    if len(poses) < 2:
        return None
    return Trajectory(list(poses), list(poses.values()), tolerance_s=BEYOND_S)


def _at_stamp(frames: Iterator[Frame]) -> Iterator[Frame]:
    for frame, around in neighbourhoods(frames, 1):
        points = points_at_stamp(frame, around)
        yield replace(frame, scan=replace(frame.scan, points=points, time_ns=None))
