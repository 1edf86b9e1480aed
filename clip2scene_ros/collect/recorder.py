"""What the worker does with a chosen set: decode it, have the teacher label it, judge what it shows, append it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clip2scene_ros.alignment_fit import ZERO, Judgement
from clip2scene_ros.calibrate.watch import CalibrationWatch
from clip2scene_ros.classes import ClassSet
from clip2scene_ros.collect.choice import Look, Novelty, table_of
from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.collect.sets import Fit, Job, Outcome, RawImage
from clip2scene_ros.collect.teacher import teacher_sha256
from clip2scene_ros.errors import BadCloud, BadConfig, BadDataset, BadImage, BadTeacher, CannotStore
from clip2scene_ros.frame import Array, Frame, PseudoLabels, Scan, View
from clip2scene_ros.io.bag_frames import CLOUD, COMPRESSED, IMAGE
from clip2scene_ros.io.bag_messages import Message, typestore
from clip2scene_ros.io.image import decode_compressed_message, decode_raw
from clip2scene_ros.io.image_raw import bayer_red
from clip2scene_ros.io.pointcloud import parse, unpack_labels
from clip2scene_ros.io.shards import Provenance, ShardWriter
from clip2scene_ros.label.labelling import Looking
from clip2scene_ros.teacher.labeler import Labeler, LabelledFrame
from clip2scene_ros.teacher.maps import ClassMap
from clip2scene_ros.teacher.motion import points_at_stamp
from clip2scene_ros.teacher.teachers import ClipTeacher, Teacher

_log = logging.getLogger(__name__)

PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
"""What JPEG and PNG begin with: shards keep these as they came."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A frame that is worth keeping.

    Attributes:
        job: where it comes from.
        frame: the frame.
        labels: the teacher's.
        look: what it shows, for the frames to come.
        encoded: camera -> the picture as it came.
        left_out: camera -> why its image is not in the frame.
    """

    job: Job
    frame: Frame
    labels: PseudoLabels
    look: Look
    encoded: dict[str, bytes]
    left_out: dict[str, str]


class Recorder:
    """Labels and appends: one teacher, a folder of shards for each LiDAR. Not thread-safe.

    Args:
        folder: where shards go, those of several LiDARs in a folder each.
        lidars: their names.
        teacher: looks at the images.
        config: all settings.
        clock_ns: the wall clock of records [ns].

    Raises:
        BadConfig: settings that collecting cannot follow, the vehicle's name.
        CannotStore: another process writes the folder; full, read_only, io.
    """

    def __init__(
        self,
        folder: Path,
        lidars: tuple[str, ...],
        teacher: Teacher,
        config: CollectConfig,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if config.labeler.sweeps:
            raise BadConfig(
                "sweeps",
                f"Setting `labeler.sweeps` expects 0 where frames are collected, but got {config.labeler.sweeps}: "
                "chosen frames are too far apart to vote for each other.",
            )
        self.teacher, self.config, self._clock_ns = teacher, config, clock_ns
        self._folders = {source: folder_of(folder, source, lidars) for source in lidars}
        self._provenance = Provenance(
            config.vehicle,
            teacher.class_set,
            teacher_sha256(teacher, config),
            teacher.notice,
            clip=teacher.model if isinstance(teacher, ClipTeacher) else "",
        )
        self._labeler = Labeler(Looking(teacher), config.labeler)
        self._novelties = {source: Novelty(config.choice, len(teacher.class_set)) for source in lidars}
        self._watches = {source: CalibrationWatch() for source in lidars}
        self._writers: dict[str, ShardWriter] = {}
        self._student_table: Array | None = None
        self.open()

    def open(self) -> None:
        """Begin to write, unless that was done: shards that an earlier writer left are mended."""
        try:
            for source, folder in self._folders.items():
                if source not in self._writers:
                    writer = ShardWriter(folder, self._provenance, self.config.shards, clock_ns=self._clock_ns)
                    self._writers[source] = writer
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish all shards.

        Raises:
            CannotStore: one stays unfinished; the next writer mends it.
        """
        failed = None
        for source in list(self._writers):
            try:
                self._writers.pop(source).close()
            except Exception as error:  # the others are to be finished all the same
                failed = error
        if failed is not None:
            raise failed

    def sync(self) -> None:
        """Have what was appended survive a power cut, as far as the disk can; where it cannot, the log says so."""
        for writer in self._writers.values():
            try:
                writer.sync()
            except CannotStore as error:
                _log.warning("%s", error)

    def know_student(self, class_set_json: str) -> None:
        """Learn what the class ids of the student's label clouds mean.

        Raises:
            BadClassSet: it is none.
        """
        self._student_table = table_of(ClassSet.from_json(class_set_json), self.teacher.class_set)

    def record(self, job: Job) -> Outcome:
        """Prepare and store.

        Raises:
            CannotStore: the disk or the folder has no room, or fails.
        """
        prepared = self.prepare(job)
        return self.store(prepared) if isinstance(prepared, Prepared) else prepared

    def prepare(self, job: Job) -> Prepared | Outcome:
        """Return the labelled frame, or why it is not kept, or what a look at it said."""
        try:
            scan = parse(_decode(CLOUD, job.raw.scan), self.config.cloud)
        except BadCloud as error:
            return Outcome(reason=f"bad_cloud.{error.reason}", text=str(error))
        views, encoded, left_out = self._views(job)
        if job.look:
            return self._watch(Frame(scan, tuple(views), job.placed.world_from_lidar), job)
        if len(views) < self.config.sync.min_views:
            return Outcome(reason="too_few_views", left_out=left_out)
        frame = Frame(scan, tuple(views), job.placed.world_from_lidar)
        try:
            labelled = self._label(frame, job)
        except BadTeacher as error:
            return Outcome(reason=f"bad_teacher.{error.reason}", text=str(error), left_out=left_out)
        look = Look(labelled.labels.class_id, features_of(labelled))
        if not job.triggered:
            novelty = self._novelties[job.raw.source]
            if reason := novelty.refuse(look, self._student(job, len(scan))):
                return Outcome(reason=reason)
        return Prepared(job, frame, labelled.labels, look, encoded, left_out)

    def store(self, prepared: Prepared) -> Outcome:
        """Append a frame.

        Raises:
            CannotStore: the disk or the folder has no room, or fails; the frame may be stored later.
        """
        raw = prepared.job.raw
        try:
            key = self._writers[raw.source].append(prepared.frame, prepared.labels, encoded=prepared.encoded)
        except BadDataset as error:
            return Outcome(reason=f"bad_frame.{error.reason}", text=str(error), left_out=prepared.left_out)
        self._novelties[raw.source].keep(prepared.look)
        return Outcome(key=key, size=raw.size, left_out=prepared.left_out)

    def _views(self, job: Job) -> tuple[list[View], dict[str, bytes], dict[str, str]]:
        views, encoded, left_out = [], {}, dict(job.placed.left_out)
        for name, raw in job.raw.images.items():
            if name not in job.placed.cameras:
                continue
            camera, camera_from_lidar = job.placed.cameras[name]
            try:
                image, picture = _pixels(raw)
            except BadImage as error:
                left_out[name] = error.reason
                continue
            if image.shape[:2] != (camera.height, camera.width):
                left_out[name] = "size"
                continue
            views.append(View(name, image, camera, camera_from_lidar, raw.stamp_ns))
            encoded.update({name: picture} if picture else {})
        return views, encoded, left_out

    def _watch(self, frame: Frame, job: Job) -> Outcome:
        """Have the watch look at the frame's views."""
        watch = self._watches[job.raw.source]
        if self.config.labeler.point_time:
            points = points_at_stamp(frame, _ghosts(job))
            frame = replace(frame, scan=replace(frame.scan, points=points, time_ns=None))
        watch.add(frame)
        return Outcome(fits={camera: fit_of(watch.judgement(camera)) for camera in watch.cameras})

    def _label(self, frame: Frame, job: Job) -> LabelledFrame:
        """Have the frame labelled between two empty ones that say where the sensor was before and after it."""
        ghosts = _ghosts(job)
        drive = [*(ghost for ghost in ghosts if ghost.scan.stamp_ns < job.raw.stamp_ns), frame]
        drive += [ghost for ghost in ghosts if ghost.scan.stamp_ns > job.raw.stamp_ns]
        return next(each for each in self._labeler.label(drive) if each.frame is frame)

    def _student(self, job: Job, points: int) -> Array | None:
        """Return (N,) uint8 what the student says, in the teacher's class ids; None where that is not known."""
        if not job.student or self._student_table is None:
            return None
        try:
            _, segmentation = unpack_labels(_decode(CLOUD, job.student), self.config.cloud)
        except BadCloud:
            return None
        said: Array = self._student_table[segmentation.class_id]
        return said if len(said) == points else None


def folder_of(folder: Path, source: str, lidars: tuple[str, ...]) -> Path:
    """Return where the shards of a LiDAR go: of several each has a folder, since sweeps are of one sensor."""
    return folder if len(lidars) == 1 else folder / source.strip("/").replace("/", "_")


def _pixels(raw: RawImage) -> tuple[Array, bytes]:
    """Return (H, W, 3) uint8 RGB, and the picture as it came where it is one that decodes to these pixels.

    Raises:
        BadImage: whatever is wrong with it.
    """
    if not raw.compressed:
        return decode_raw(_decode(IMAGE, raw.data, BadImage)), b""
    message = _decode(COMPRESSED, raw.data, BadImage)
    image, picture = decode_compressed_message(message), bytes(message.data)
    plain = bayer_red(message.format.partition(";")[0].strip()) is None  # else the picture is a mosaic, not the image
    return image, picture if plain and picture.startswith(PICTURES) else b""


def _decode(msgtype: str, data: bytes, kind: type[BadCloud] | type[BadImage] = BadCloud) -> Message:
    try:
        return typestore().deserialize_cdr(data, msgtype)
    except Exception as error:  # generated decoders raise whatever slicing short bytes raises
        raise kind("message", f"{len(data)} bytes do not fit {msgtype}: {str(error)[:100]}.") from error


def _ghosts(job: Job) -> list[Frame]:
    """Return frames without points that say where the sensor was before and after a scan."""
    nothing = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    return [Frame(Scan(*nothing, at), (), pose) for at, pose in job.placed.around.items()]


def features_of(labelled: LabelledFrame) -> dict[str, Array]:
    """Return camera -> the mean feature of its image, where the teacher has features."""
    pairs = zip(labelled.frame.views, labelled.seen, strict=True)
    maps = {view.name: seen.feature for view, seen in pairs if isinstance(seen, ClassMap)}
    return {name: feature.float().cpu().numpy() for name, feature in maps.items() if feature is not None}


def fit_of(judgement: Judgement) -> Fit:
    """Return what the collector is told of a judgement."""
    score = float(judgement.curve[:, ZERO].mean()) if judgement.views else float("nan")
    return Fit(judgement.state, score, judgement.views, judgement.in_words())
