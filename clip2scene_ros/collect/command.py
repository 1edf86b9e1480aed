"""`clip2scene collect`: a bag through the collector, as a drive goes through the live node."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clip2scene_ros.collect.collector import Collector
from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.collect.recorder import Recorder
from clip2scene_ros.collect.rig import BagRig, FileRig, files_of
from clip2scene_ros.collect.sets import CollectAccount, Outcome, RawImage, RawSet, Rig
from clip2scene_ros.collect.teacher import load_teacher
from clip2scene_ros.errors import BadBag, BadConfig, CannotStore
from clip2scene_ros.io.bag_frames import (
    CLOUD,
    COMPRESSED,
    BagTopics,
    camera_name,
    camera_topics,
    odometry_topic,
    points_topic,
    survey,
)
from clip2scene_ros.io.bags import BagReader
from clip2scene_ros.io.shards import is_shards
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.label.labelling import check_bag
from clip2scene_ros.offline import CLASS_SET, LABELS, ShowsProgress, silent
from clip2scene_ros.sync_sets import ScanSet, SyncAccount
from clip2scene_ros.synchronizer import Synchronizer
from clip2scene_ros.terminal import Progress, complain, say


@dataclass(frozen=True)
class Sources:
    """Topics of a bag.

    Attributes:
        lidars: clouds.
        cameras: camera -> image topic.
        student: label clouds of the student, empty where nobody asks it.
    """

    lidars: tuple[str, ...]
    cameras: dict[str, str]
    student: str = ""


def collect_command(args: argparse.Namespace) -> None:
    """Collect from a bag; whatever ends that, what was collected are whole shards, and is counted.

    Args:
        args: as `arguments.parse` made them.

    Raises:
        BadBag, BadTeacher, BadClassSet, BadConfig, BadCalibration, CannotStore: whatever is wrong.
    """
    config: CollectConfig = args.collect
    if args.out.is_dir() and is_shards(args.out) and not args.append:
        raise BadConfig("exists", f"{args.out} has shards: choose another folder, or pass --append to add to them.")
    if args.out.exists() and not args.out.is_dir():
        raise BadConfig("output", f"{args.out} is a file: expected a folder for shards (--out DIR).")
    with BagReader(args.bag) as bag:
        sources = sources_of(bag, args.topic, config)
        rig = rig_of(bag, sources, args.calibration)
        teacher = load_teacher(config)
        complain(f"{teacher.describe()}{f'; {teacher.notice}' if teacher.notice else ''}")
        clock = BagClock(bag, sources)
        recorder = Recorder(args.out, sources.lidars, teacher, config, clock.now_ns)
        sync: Synchronizer[bytes, RawImage] = Synchronizer(config.sync, list(sources.cameras))
        collector = Collector(config, rig)
        try:
            collect_bag(bag, sources, sync, collector, recorder, clock, progress=Progress(args.quiet))
        finally:
            recorder.close()
            collector.end("interrupted")
            account = collector.account()
            say(f"{args.out}: {account}\n{matched(sync.account())}")
    if not account.kept:
        raise BadBag("nothing_kept", f"{args.bag}: none of its {account.received} sets was kept; see the counts above.")


class BagClock:
    """The wall clock of the drive: of the message that was read last, so that the same bag makes the same shards."""

    def __init__(self, bag: BagReader, sources: Sources) -> None:
        self._now_ns = next((at for _, _, at, _ in bag.raw([*sources.lidars, *sources.cameras.values()])), 0)

    def tell(self, now_ns: int) -> None:
        """Let time go on [ns]."""
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Return the time [ns]."""
        return self._now_ns


def sources_of(bag: BagReader, topics: str, config: CollectConfig) -> Sources:
    """Return what of an open bag is collected.

    Args:
        bag: the bag.
        topics: clouds, with commas between them; empty takes the only one.
        config: says whether the student is asked.

    Raises:
        BadBag: no or several clouds to choose from, no images, no student where one is asked.
        BadConfig: a policy that needs ROS.
    """
    if config.sync.policy != "scan_keyed":
        text = f"expects `sync.policy: scan_keyed`, but got {config.sync.policy!r}, which is of ROS's message_filters"
        raise BadConfig("policy", f"Collecting from a bag {text}; `collect_node` takes it.")
    asked = [topic.strip() for topic in topics.split(",") if topic.strip()]
    check_bag(bag, asked[0] if asked else "")
    lidars = tuple(points_topic(bag, BagTopics(points=topic)) for topic in asked or [""])
    cameras = {camera_name(topic): topic for topic in camera_topics(bag, BagTopics())}
    student = LABELS if config.choice.min_disagreement else ""
    if student:
        bag.require(LABELS, CLOUD)
        bag.require(CLASS_SET)
    return Sources(lidars, cameras, student)


def rig_of(bag: BagReader, sources: Sources, calibration: str) -> Rig:
    """Return where the sensors are: by a file, or by what the bag says.

    Raises:
        BadBag: several odometries.
        BadCalibration, BadConfig: the file is wrong, or not one for each LiDAR.
    """
    topics = list(sources.cameras.values())
    odometry = odometry_topic(bag, BagTopics())
    if calibration:
        files = files_of(calibration, sources.lidars, "--calibration")
        rig = FileRig(files, tuple(sources.cameras), keep_s=None)
        for _, message in bag.messages(odometry) if odometry else ():
            rig.add_odometry(message)
        return rig
    return BagRig(survey(bag, sources.lidars[0], topics, "", odometry)[0], sources.cameras)


def collect_bag(
    bag: BagReader,
    sources: Sources,
    sync: Synchronizer[bytes, RawImage],
    collector: Collector,
    recorder: Recorder,
    clock: BagClock,
    *,
    progress: ShowsProgress = silent,
) -> CollectAccount:
    """Send all messages of an open bag through synchroniser, collector and recorder, in the order of recording.

    Raises:
        BadBag: damage; BadClassSet: the student's. CannotStore: there is no room; what was collected is whole.
    """
    if sources.student:
        recorder.know_student(next(message.data for _, message in bag.messages(CLASS_SET)))
    total = sum(bag.topics[lidar][1] for lidar in sources.lidars)
    for ready in progress(_sets(bag, sources, sync, collector.add_student, clock), "collect", total):
        images = {name: view.payload for name, view in ready.views.items()}
        collector.add(RawSet(ready.stamp_ns, ready.source, ready.payload, images))
        while (job := collector.take()) is not None:
            try:
                outcome = recorder.record(job)
            except CannotStore as error:
                collector.done(job, Outcome(reason=f"store.{error.reason}"))
                raise
            collector.done(job, outcome)
    collector.end("end")
    return collector.account()


def matched(account: SyncAccount) -> str:
    """Return one line on what became of scans and views before the choice."""
    dropped = "".join(f", {reason} {count}" for reason, count in sorted(account.dropped.items()))
    missing = [
        f"{camera} {reason} {count}"
        for camera, each in account.cameras.items()
        for reason, count in sorted(each.missing.items())
    ]
    views = f"; views missing: {', '.join(missing)}" if missing else ""
    return f"{account.received} scans: {account.full} with all views, {account.partial} with fewer{dropped}{views}"


def _sets(
    bag: BagReader,
    sources: Sources,
    sync: Synchronizer[bytes, RawImage],
    add_student: Callable[[int, bytes], None],
    clock: BagClock,
) -> Iterator[ScanSet[bytes, RawImage]]:
    camera_of = {topic: camera for camera, topic in sources.cameras.items()}
    student = [sources.student] if sources.student else []
    for topic, msgtype, recorded_ns, data in bag.raw([*sources.lidars, *camera_of, *student]):
        clock.tell(recorded_ns)
        stamp_ns = cdr_stamp_ns(data)
        if topic in sources.lidars:
            sync.add_scan(stamp_ns, topic, data)
        elif topic in camera_of:
            sync.add_view(camera_of[topic], stamp_ns, RawImage(stamp_ns, msgtype == COMPRESSED, data))
        else:
            add_student(stamp_ns, data)
        yield from sync
    sync.flush()
    yield from sync
