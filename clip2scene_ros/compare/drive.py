"""Two students label one drive, in turns, while a teacher looks at its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from clip2scene_ros.compare.account import Account, Examples, Look
from clip2scene_ros.errors import BadBag, BadTeacher
from clip2scene_ros.frame import UNKNOWN, Array, Frame, Scan, Segmentation
from clip2scene_ros.io.bag_frames import CLOUD, BagTopics, camera_topics, points_topic
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.label.labelling import Looking
from clip2scene_ros.offline import SegmentsScans, ShowsProgress, silent
from clip2scene_ros.teacher.labeler import Labeler, neighbourhoods
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_ros.teacher.teachers import Teacher
from clip2scene_ros.truth import class_ids, matched_ids

PARTS = 6
"""Pictures are of scans that are at least this part of a drive apart."""

Students = tuple[SegmentsScans, SegmentsScans]


def compare_drive(
    bag: BagReader,
    students: Students,
    account: Account,
    *,
    truth: Array | None,
    teacher: Teacher | None,
    topic: str = "",
    progress: ShowsProgress = silent,
) -> None:
    """Let two students label every scan of an open bag, and count what they say.

    On every other scan B is first, so that what the machine does besides, and what the first leaves in its caches,
    falls on both alike; the first scan is labelled once more before, untimed.

    Args:
        bag: the drive.
        students: A and B, of the same classes.
        account: what is done is counted here, so that it survives an interruption.
        truth: what `truth_table` gives, None for no ground truth.
        teacher: looks at the images; None for nobody.
        topic: the clouds' topic; empty takes the only one.
        progress: called with the scans.

    Raises:
        BadBag: no cloud could be read, or a damaged bag.
        BadTeacher: the teacher has no answer that fits an image, or none of the students' classes.
    """
    points = points_topic(bag, BagTopics(points=topic))
    total = bag.topics[points][1]
    account.examples = Examples(apart=max(1, total // PARTS))
    frames = (_with_truth(frame, truth) for frame in bag.frames(BagTopics(points=topic)))
    try:
        for (frame, taught), around in progress(neighbourhoods(_taught(frames, teacher, account), 1), "compare", total):
            if not account.scans:
                _said(students, frame.scan, first=0)
            said = _said(students, frame.scan, first=account.scans % 2)
            account.add(Look(frame, points_at_stamp(frame, [near for near, _ in around]), said, taught))
    finally:
        account.left_out.update({f"clouds that could not be read ({why})": n for why, n in bag.refused.items()})
        for (camera, _), why in bag.refused_images.items():
            account.left_out[f"images on {camera} that could not be read ({why})"] += 1
    if not account.scans:
        why = ", ".join(f"{reason} ({count})" for reason, count in bag.refused.items()) or "the topic is empty"
        raise BadBag("no_scans", f"{bag.path}: no cloud on {points} could be labelled: {why}.")


def truth_table(bag: BagReader, students: Students) -> tuple[Array | None, str]:
    """Return (256,) uint8 true class id -> class id of the students, or None and why there is none."""
    topic = BagTopics().ground_truth
    if bag.topics.get(topic, ("", 0))[0] != CLOUD:
        return None, f"the bag has no ground truth on {topic}"
    try:
        return class_ids(bag, students[0].class_set), ""
    except BadBag as error:
        if error.reason != "class_set":
            raise
        return None, str(error).rstrip(".")


def has_images(bag: BagReader) -> bool:
    """Return whether an open bag has images at all."""
    return bool(camera_topics(bag, BagTopics()))


def _with_truth(frame: Frame, table: Array | None) -> Frame:
    if frame.labels is None or table is None:
        return replace(frame, labels=None, instances=None)
    return replace(frame, labels=table[frame.labels])


def _taught(frames: Iterable[Frame], teacher: Teacher | None, account: Account) -> Iterator[tuple[Frame, Array | None]]:
    """Yield each frame with the teacher's class of each point in terms of the students, None without a teacher."""
    if teacher is None:
        yield from ((frame, None) for frame in frames)
        return
    table = matched_ids(account.class_set, teacher.class_set)
    if (table == UNKNOWN).all():
        raise BadTeacher(
            "classes",
            f"None of the teacher's classes ({', '.join(teacher.class_set.names)}) is one of the checkpoints' "
            f"({', '.join(account.class_set.names)}): choose another --teacher, or --classes that both have.",
        )
    for each in Labeler(Looking(teacher)).label(frames):
        ids: Array = table[each.labels.class_id]
        yield each.frame, ids


def _said(students: Students, scan: Scan, first: int) -> tuple[Segmentation, Segmentation]:
    """Return what A and B say of a scan; `first` is asked first."""
    order = (first, 1 - first)
    said = {which: students[which].segment(scan) for which in order}
    return said[0], said[1]
