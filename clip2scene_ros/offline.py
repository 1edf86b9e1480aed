"""Bags without ROS running: label every cloud of one, score the labels of one that has ground truth."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Protocol, TypeVar

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.errors import BadBag, BadCloud
from clip2scene_ros.evaluation import Evaluation, Labelled, evaluate
from clip2scene_ros.frame import Array, Frame, Scan, Segmentation
from clip2scene_ros.io.bag_frames import CLOUD, BagTopics, points_topic
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.bags import BagWriter, cloud_message, stamp_of, string_message
from clip2scene_ros.io.pointcloud import pack, pack_rgb, parse, unpack_labels
from clip2scene_ros.truth import truth_frames

LABELS = "/clip2scene_segment/labels"
LABELS_RGB = "/clip2scene_segment/labels_rgb"
CLASS_SET = "/clip2scene_segment/class_set"
"""The topics of the live node under its default name: a bag labelled offline looks like a recording of it."""

Item = TypeVar("Item")
log = logging.getLogger(__name__)


class SegmentsScans(Protocol):
    """What labels scans: `student.segmenter.Segmenter`."""

    @property
    def class_set(self) -> ClassSet:
        """The classes that labels count."""

    def segment(self, scan: Scan) -> Segmentation:
        """Return a label for every point."""


class ShowsProgress(Protocol):
    """What counts items for a person who waits, and stops between two of them when asked to."""

    def __call__(self, items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
        """Yield `items` unchanged."""


def silent(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Show no progress."""
    yield from items


@dataclass
class Labelling:
    """What `segment_bag` did: clouds labelled, clouds refused by the reason of their BadCloud."""

    labelled: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        """Return the counts in words."""
        refused = ", ".join(f"{reason} ({count})" for reason, count in self.refused.items())
        return f"{self.labelled} clouds labelled" + (f"; could not be read: {refused}" if refused else "")


def segment_bag(
    bag: BagReader,
    out: BagWriter,
    segmenter: SegmentsScans,
    *,
    topic: str = "",
    keep_messages: bool = True,
    rgb: bool = False,
    progress: ShowsProgress = silent,
    done: Labelling | None = None,
) -> Labelling:
    """Label every cloud of an open bag into another: same stamps, frames, points and order.

    A cloud that cannot be read is logged and counted, as the live node does.

    Args:
        bag: the bag to label.
        out: the bag to write.
        segmenter: labels the scans.
        topic: the clouds' topic; empty takes the only one.
        keep_messages: also copy the messages of `bag`, untouched.
        rgb: also write coloured clouds.
        progress: called with the clouds.
        done: counts into this, so that the counts survive an interruption.

    Raises:
        BadBag: no or several clouds to choose from, a damaged bag, a full disk, or no cloud could be read.
    """
    done = done if done is not None else Labelling()
    points = points_topic(bag, BagTopics(points=topic))
    clouds = play_clouds(bag, points, out if keep_messages else None)
    for stamp_ns, data in progress(clouds, "segment", bag.topics[points][1]):
        try:
            scan = parse(bag.decode(points, CLOUD, data))
        except BadCloud as error:
            done.refused[error.reason] += 1
            log.warning("A cloud on %s is left out: %s", points, error)
            continue
        if not done.labelled:
            out.write(CLASS_SET, string_message(segmenter.class_set.to_json()), stamp_ns, latched=True)
        write_labels(out, scan, segmenter.segment(scan), stamp_ns, segmenter.class_set.palette if rgb else None)
        done.labelled += 1
    if not done.labelled:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in done.refused.items()) or "the topic is empty"
        raise BadBag("no_scans", f"{bag.path}: no cloud on {points} could be labelled: {reasons}.")
    return done


def evaluate_bag(
    bag: BagReader, segmenter: SegmentsScans, *, topic: str = "", progress: ShowsProgress = silent
) -> Evaluation:
    """Segment every scan of an open bag and score the labels against the bag's ground truth.

    Ground truth is matched to the segmenter's classes by name, else by their words; points of classes that none of
    them, or several, mean are ignored.
    The bag is one scene, under its file name.

    Raises:
        BadBag: no ground truth, none of whose classes the segmenter knows, no or several clouds to choose from.
    """
    frames = truth_frames(bag, segmenter.class_set, topic)
    points = points_topic(bag, BagTopics(points=topic))
    counted = progress(frames, "evaluate", bag.topics[points][1])
    labelled = ((frame, segmenter.segment(frame.scan)) for frame in counted)
    result = evaluate(labelled, segmenter.class_set, scenes=repeat(bag.path.name))
    if not result.frames:
        raise BadBag("no_ground_truth", f"{bag.path}: no scan has ground truth with the same stamp.")
    return result


def recorded_labels(bag: BagReader, frames: Iterable[Frame]) -> Iterator[Labelled]:
    """Yield the frames for which an open bag holds labels of the same stamp, both being in order of time.

    Raises:
        BadBag: the bag has no labels, or some that are not of the frame's points.
    """
    messages = bag.messages(LABELS)
    message = next(messages, (0, None))[1]
    for frame in frames:
        while message is not None and stamp_of(message) < frame.scan.stamp_ns:
            message = next(messages, (0, None))[1]
        if message is None or stamp_of(message) != frame.scan.stamp_ns:
            continue
        points, segmentation = unpack_labels(message)
        if not np.array_equal(points, frame.scan.points, equal_nan=True):
            raise BadBag("points", f"{bag.path}: labels at {frame.scan.stamp_ns} ns are not of the scan's points.")
        yield frame, segmentation


def play_clouds(bag: BagReader, points: str, out: BagWriter | None) -> Iterator[tuple[int, bytes]]:
    """Yield recording stamp [ns] and bytes (CDR) of every cloud, and on the way copy all messages into a labelled bag.

    Args:
        bag: an open bag.
        points: the clouds' topic.
        out: gets the messages of `bag`, untouched and in their order, but no labels that someone else has made; None
            copies nothing.
    """
    replaced = {LABELS, LABELS_RGB, CLASS_SET} - {points}
    topics = {name for name in bag.topics if name not in replaced} if out is not None else {points}
    for topic, msgtype, stamp_ns, data in bag.raw(topics):
        if out is not None:
            out.write_raw(topic, msgtype, data, stamp_ns, latched=topic in bag.latched, types=bag.types)
        if topic == points:
            yield stamp_ns, data


def write_labels(out: BagWriter, scan: Scan, seg: Segmentation, stamp_ns: int, palette: Array | None) -> None:
    """Write a scan's labels, and coloured ones where there is a palette (256, 3), as recorded at `stamp_ns`."""
    out.write(LABELS, cloud_message(pack(scan, seg), scan.stamp_ns, scan.frame_id), stamp_ns)
    if palette is not None:
        out.write(LABELS_RGB, cloud_message(pack_rgb(scan, seg, palette), scan.stamp_ns, scan.frame_id), stamp_ns)
