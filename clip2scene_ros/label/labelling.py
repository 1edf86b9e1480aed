"""`clip2scene label`: a teacher labels the scans of a bag, and everything is counted by which it can be judged."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from clip2scene_ros.errors import BadBag
from clip2scene_ros.frame import UNKNOWN, Array, Frame, PseudoLabels, Segmentation
from clip2scene_ros.io.bag_frames import COMPRESSED, IMAGE, BagTopics, camera_topics, points_topic
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.bag_writer import BagWriter
from clip2scene_ros.io.bags import string_message
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.label.account import Account
from clip2scene_ros.offline import CLASS_SET, ShowsProgress, play_clouds, silent, write_labels
from clip2scene_ros.teacher.labeler import Labeler, LabelledFrame, neighbourhoods
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_ros.teacher.teachers import PixelClasses, Teacher
from clip2scene_ros.truth import class_ids, has_truth

REMEMBERED = 24
"""Images of which the answer is kept: a LiDAR may turn ten times while a camera takes one picture."""
ALIGNED = 24
"""Frames, evenly chosen, on which the calibration is scored."""
log = logging.getLogger(__name__)


class Looking:
    """A teacher that is asked about each image once, while the time is taken; it fits `Teacher`.

    Attributes:
        images: how many it was asked about.
        unanswered: camera -> of how many it said nothing.
        seconds: what that took.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher, self._known = teacher, dict[tuple[str, int], PixelClasses | None]()
        self.class_set, self.notice = teacher.class_set, teacher.notice
        self.images, self.seconds, self.unanswered = 0, 0.0, Counter[str]()

    def see(self, frame: Frame) -> list[PixelClasses | None]:
        """Return what the teacher said or says of each view."""
        new = tuple(view for view in frame.views if (view.name, view.stamp_ns) not in self._known)
        if new:
            started = time.perf_counter()
            answers = self._teacher.see(replace(frame, views=new))
            self.seconds += time.perf_counter() - started
            self.images += len(new)
            self._known.update({(view.name, view.stamp_ns): each for view, each in zip(new, answers, strict=True)})
            self.unanswered.update(view.name for view, each in zip(new, answers, strict=True) if each is None)
        found = [self._known[view.name, view.stamp_ns] for view in frame.views]
        for old in list(self._known)[: max(0, len(self._known) - max(REMEMBERED, len(frame.views)))]:
            del self._known[old]
        return found

    def describe(self) -> str:
        """Return what the teacher says of itself."""
        return self._teacher.describe()


def check_bag(bag: BagReader, topic: str = "") -> None:
    """Say what keeps an open bag from being labelled, before anything long is begun.

    Raises:
        BadBag: no or several clouds to choose from, or no images.
    """
    points_topic(bag, BagTopics(points=topic))
    if not camera_topics(bag, BagTopics()):
        found = ", ".join(f"{name} ({kind})" for name, (kind, _) in bag.topics.items())
        raise BadBag(
            "no_cameras",
            f"{bag.path}: expected images, that is topics of {COMPRESSED} or {IMAGE} such as "
            f"/cam_front/image/compressed, each with a camera_info beside it, but found {found}.",
        )


def label_bag(
    bag: BagReader,
    out: BagWriter,
    labeler: Labeler,
    account: Account,
    *,
    topic: str = "",
    every: int = 1,
    max_frames: int = 0,
    progress: ShowsProgress = silent,
) -> None:
    """Label the scans of an open bag that have images, into another bag that also gets the messages of the first.

    The copy ends with the last scan that `max_frames` allows. Ground truth is only compared, where it fits.

    Args:
        bag: the bag to label.
        out: the bag to write.
        labeler: its teacher is asked about each image once.
        account: what is done is counted here, so that it survives an interruption.
        topic: the clouds' topic; empty takes the only one.
        every: of the scans with images each how-manieth is labelled.
        max_frames: no more than these; 0 takes all.
        progress: called with the labelled scans.

    Raises:
        BadBag: nothing could be labelled, a damaged bag, or a full disk.
        BadTeacher: the teacher has no answer that fits an image.
    """
    check_bag(bag, topic)
    points, table = points_topic(bag, BagTopics(points=topic)), _truth_table(bag, account)
    teacher = labeler.teacher = Looking(labeler.teacher)
    frames = islice(_with_images(bag, topic, account), 0, max_frames * every or None, every)
    total = _most_frames(bag.topics[points][1], every, max_frames)
    stride = -(-total // ALIGNED)
    with BagReader(bag.path) as source:
        copy = _Copy(source, points, out)
        try:
            labelled = neighbourhoods(labeler.label(frames), 1)
            for number, (each, around) in enumerate(progress(labelled, "label", total)):
                placed, truth = _placed(each, around, labeler), _truth(each, table)
                copy.write(each, account)
                account.add(each, placed, truth, align=number % stride == 0)
                account.images, account.looking_s = teacher.images, teacher.seconds
            if account.frames and not max_frames:
                copy.finish()
        finally:
            _note_left_out(bag, teacher, account)
    if not account.frames:
        raise _nothing(bag, points, account)


def segmentation_of(labels: PseudoLabels, classes: int) -> Segmentation:
    """Return pseudo-labels in the form of the live node's: confidence is the probability.

    The vote leaves no distribution; the entropy is the largest that the confidence allows, all the rest being spread
    evenly.
    """
    known = labels.class_id != UNKNOWN
    p = np.clip(labels.confidence.astype(np.float64), 1e-12, 1.0)
    rest = np.maximum(1.0 - p, 1e-12)
    nats = -p * np.log(p) - rest * np.log(rest / max(1, classes - 1))
    entropy = np.where(known, np.clip(nats / np.log(max(2, classes)), 0.0, 1.0), 1.0).astype(np.float32)
    return Segmentation(labels.class_id, labels.confidence, entropy)


class _Copy:
    """The messages of a bag and, each behind its cloud, the labels."""

    def __init__(self, source: BagReader, points: str, out: BagWriter) -> None:
        self._clouds, self._out, self._said = play_clouds(source, points, out), out, False

    def write(self, labelled: LabelledFrame, account: Account) -> None:
        """Copy what comes before the frame's cloud, the cloud, and write its labels."""
        scan, class_set = labelled.frame.scan, account.class_set
        recorded_ns = next((at for at, data in self._clouds if cdr_stamp_ns(data) == scan.stamp_ns), scan.stamp_ns)
        if not self._said:
            self._out.write(CLASS_SET, string_message(class_set.to_json()), recorded_ns, latched=True)
            self._said = True
        segmentation = segmentation_of(labelled.labels, len(class_set))
        write_labels(self._out, scan, segmentation, recorded_ns, class_set.palette)

    def finish(self) -> None:
        """Copy what is left."""
        for _ in self._clouds:
            pass


def _with_images(bag: BagReader, topic: str, account: Account) -> Iterator[Frame]:
    for frame in bag.frames(BagTopics(points=topic)):
        if frame.views:
            yield frame
        else:
            account.left_out["scans without a usable image near in time"] += 1


def _most_frames(scans: int, every: int, max_frames: int) -> int:
    """Return how many frames are labelled if all scans have images."""
    asked = -(-scans // every)
    return min(asked, max_frames) if max_frames else asked


def _placed(labelled: LabelledFrame, around: Sequence[LabelledFrame], labeler: Labeler) -> Array:
    """Return (N, 3) where the labeler took a frame's points to be [m]."""
    if labeler.config.point_time:
        return points_at_stamp(labelled.frame, [near.frame for near in around])
    return labelled.frame.scan.points


def _truth(labelled: LabelledFrame, table: Array | None) -> Array | None:
    """Return (N,) uint8 a frame's true classes by `_truth_table`, None where there are none."""
    return None if table is None or labelled.frame.labels is None else table[labelled.frame.labels]


def _truth_table(bag: BagReader, account: Account) -> Array | None:
    """Return (256,) uint8 true class id -> class id, None where the bag has no ground truth of these classes."""
    if not has_truth(bag):
        return None
    try:
        return class_ids(bag, account.class_set)
    except BadBag as error:
        log.warning("The labels are not compared with the ground truth. %s", error)
        return None


def _note_left_out(bag: BagReader, teacher: Looking, account: Account) -> None:
    for camera, count in teacher.unanswered.items():
        account.left_out[f"images of {camera} of which the teacher says nothing"] = count
    for reason, count in bag.refused.items():
        account.left_out[f"clouds that could not be read ({reason})"] = count
    for (image_topic, _), reason in bag.refused_images.items():
        account.left_out[f"images on {image_topic} that could not be read ({reason})"] += 1


def _nothing(bag: BagReader, points: str, account: Account) -> BadBag:
    """Return the error that says why no scan of an open bag could be labelled."""
    why = "; ".join(f"{what}: {count}" for what, count in account.left_out.items()) or "the topic is empty"
    return BadBag("no_views", f"{bag.path}: no scan on {points} has an image that can be placed and read ({why}).")
