"""Bags without ROS running: label every cloud of one, score the labels of one that has ground truth."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Protocol, TypeVar

import numpy as np

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadBag, BadCloud
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Scan, Segmentation
from clip2scene_ros.io.bag_frames import CLOUD, BagTopics, points_topic
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.bags import BagWriter, cloud_message, stamp_of, string_message
from clip2scene_ros.io.pointcloud import DEFAULT_LIMITS, pack, pack_rgb, parse, unpack_labels
from clip2scene_ros.metrics import confusion, distance_bands
from clip2scene_ros.words import claims

LABELS = "/clip2scene_segment/labels"
LABELS_RGB = "/clip2scene_segment/labels_rgb"
CLASS_SET = "/clip2scene_segment/class_set"
"""The topics of the live node under its default name: a bag labelled offline looks like a recording of it."""

SEEN_POINTS = 20
"""Fewer points of a class do not make it visible in a picture."""

Item = TypeVar("Item")
Labelled = tuple[Frame, Segmentation]
Groups = Callable[[Frame], Mapping[str, Array]]
"""Gives a frame's points by named (N,) bool masks, the same names for each frame."""

ONE_SCENE = "all"
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


@dataclass
class Evaluation:
    """Labels against ground truth.

    Attributes:
        class_set: the C classes of the labels.
        matrix: (C, C + 1) int64, `metrics.confusion` summed over the scans.
        frames: number of scans with ground truth.
        latency_ms: milliseconds to label each scan, where they were measured.
        example: the scan that shows most: most views, then most classes; None before the first.
        scenes: scene -> its share of `matrix`; they add up to it.
        groups: name of a group of points -> its share of `matrix`; groups may overlap and leave points out.
    """

    class_set: ClassSet
    matrix: Array
    frames: int = 0
    latency_ms: list[float] = field(default_factory=list)
    example: Labelled | None = None
    scenes: dict[str, Array] = field(default_factory=dict)
    groups: dict[str, Array] = field(default_factory=dict)

    def add(self, frame: Frame, class_id: Array, scene: str, groups: Groups) -> None:
        """Count a frame with ground truth: in all, in its scene, in the groups of its points."""
        if frame.labels is None:
            raise ValueError("Expected a frame with `labels`, but it has none.")
        count = len(self.class_set)
        matrix = confusion(frame.labels, class_id, count)
        self.matrix += matrix
        self.frames += 1
        self.scenes[scene] = self.scenes.get(scene, 0) + matrix
        for name, mask in groups(frame).items():
            part = confusion(frame.labels[mask], class_id[mask], count)
            self.groups[name] = self.groups.get(name, 0) + part


def evaluate(
    labelled: Iterable[Labelled],
    class_set: ClassSet,
    *,
    scenes: Iterable[str] | None = None,
    groups: Groups = distance_bands,
) -> Evaluation:
    """Score labelled frames whose ground truth is in terms of `class_set`; frames without are passed over.

    Args:
        labelled: frames with their labels.
        class_set: of the labels.
        scenes: the name of each item's scene, in the order of `labelled`, at least as many; all one scene when None.
            Frames of a scene resemble each other, so that only scenes can be drawn again in a bootstrap.
        groups: the points to score on their own as well; by distance unless told otherwise.

    Raises:
        ValueError: `scenes` has fewer names than `labelled` has items.
    """
    count = len(class_set)
    result = Evaluation(class_set, np.zeros((count, count + 1), dtype=np.int64))
    best, names = (-1, -1), iter(repeat(ONE_SCENE) if scenes is None else scenes)
    for number, (frame, segmentation) in enumerate(labelled):
        scene = next(names, None)
        if scene is None:
            raise ValueError(f"Expected a name in `scenes` for each item of `labelled`, but got only {number}.")
        if frame.labels is None:
            continue
        result.add(frame, segmentation.class_id, scene, groups)
        if "total" in segmentation.processing_ms:
            result.latency_ms.append(segmentation.processing_ms["total"])
        seen = int((np.bincount(frame.labels, minlength=256)[:UNKNOWN] >= SEEN_POINTS).sum())
        if (len(frame.views), seen) > best:
            best, result.example = (len(frame.views), seen), (frame, segmentation)
    return result


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


def has_truth(bag: BagReader) -> bool:
    """Return whether an open bag has a topic of ground truth."""
    return bag.topics.get(BagTopics().ground_truth, ("", 0))[0] == CLOUD


def truth_frames(
    bag: BagReader,
    class_set: ClassSet,
    topic: str = "",
    *,
    images: bool = True,
    limits: CloudLimits = DEFAULT_LIMITS,
) -> Iterator[Frame]:
    """Return the frames of an open bag, their labels given in terms of `class_set`; without `images` no views.

    Raises:
        BadBag: at once, when the bag has no ground truth or its classes are all unknown to `class_set`.
    """
    topics = BagTopics(points=topic)
    if not has_truth(bag):
        raise BadBag(
            "no_ground_truth",
            f"{bag.path}: expected ground truth on {topics.ground_truth} (x, y, z, class_id, instance_id), as "
            "`clip2scene world` writes it; a bag without it can be labelled with `clip2scene segment`.",
        )
    table = class_ids(bag, class_set)
    return (_with_class_ids(frame, table) for frame in bag.frames(topics, images=images, limits=limits))


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


def class_ids(bag: BagReader, class_set: ClassSet) -> Array:
    """Return (256,) uint8: the bag's ground-truth class id -> class id in `class_set`, 255 where it has no such.

    Raises:
        BadBag: `class_set` has none of the classes.
    """
    truth = bag.class_set() or class_set
    table = matched_ids(class_set, truth)
    if (table == UNKNOWN).all():
        raise BadBag(
            "class_set",
            f"{bag.path}: none of the classes of the ground truth is known ({', '.join(truth.names)}); "
            f"known are {', '.join(class_set.names)}.",
        )
    return table


def matched_ids(asked: ClassSet, known: ClassSet) -> Array:
    """Return (256,) uint8: class id in `known` -> the one class of `asked` that means it, 255 where it is not one."""
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    for i, mine in enumerate(claims(asked, known)):
        if len(mine) == 1:
            table[i] = mine[0]
    return table


def _with_class_ids(frame: Frame, table: Array) -> Frame:
    if frame.labels is None:
        return frame
    return Frame(frame.scan, frame.views, frame.world_from_lidar, table[frame.labels], frame.instances)
