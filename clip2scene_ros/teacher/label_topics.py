"""Label images in a bag: what another segmenter published beside the cameras' images."""

from __future__ import annotations

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.errors import BadImage, BadTeacher
from clip2scene_ros.frame import Array, View
from clip2scene_ros.io.bag_file import STRING, BagFile
from clip2scene_ros.io.bag_frames import IMAGE
from clip2scene_ros.io.image import decode_raw
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.teacher.external import ExternalTeacher, label_image
from clip2scene_ros.teacher.teachers import PixelClasses

LABELS, CONFIDENCE = "labels", "confidence"
CLASS_SET_TOPIC = "/teacher/class_set"
ENCODINGS = ("mono8", "8UC1")

Key = tuple[str, str, int]
"""Camera, `labels` or `confidence`, and the image's stamp [ns]."""


class LabelTopics:
    """`CAMERA/labels` and optional `CAMERA/confidence` (sensor_msgs/Image, mono8) of an open bag, by their stamps."""

    def __init__(self, bag: BagFile, class_set: ClassSet) -> None:
        """Note where in the bag the label images are; they are read when they are asked for.

        Raises:
            BadTeacher: `topics`: there are none.
        """
        self._bag, self._class_set = bag, class_set
        topics = {topic: key for topic, (kind, _) in bag.topics.items() if kind == IMAGE and (key := _camera(topic))}
        if not any(kind == LABELS for _, kind in topics.values()):
            found = ", ".join(f"{topic} ({kind})" for topic, (kind, _) in bag.topics.items()) or "no topics at all"
            raise BadTeacher(
                "topics", f"{bag.path}: expected label images on CAMERA/labels ({IMAGE}), but got {found}."
            )
        self._place: dict[Key, tuple[str, int]] = {}
        for topic, _, recorded_ns, data in bag.raw(topics):
            camera, kind = topics[topic]
            self._place[camera, kind, cdr_stamp_ns(data)] = (topic, recorded_ns)

    def __str__(self) -> str:
        """Return the bag."""
        return f"topics of {self._bag.path}"

    def read(self, view: View) -> PixelClasses | None:
        """Return the labels of a view, None where there are none with its stamp.

        Raises:
            BadTeacher: `encoding`, `image`, `size`, `class_id`.
        """
        labels = self._image(view, LABELS)
        if labels is None:
            return None
        where = f"{self._bag.path}: label image of {view.name} at {view.stamp_ns} ns"
        return label_image(labels, self._image(view, CONFIDENCE), view, len(self._class_set), where)

    def _image(self, view: View, kind: str) -> Array | None:
        topic, recorded_ns = self._place.get((view.name, kind, view.stamp_ns), ("", 0))
        if not topic:
            return None
        for _, _, _, data in self._bag.raw([topic], at_ns=recorded_ns):
            if cdr_stamp_ns(data) == view.stamp_ns:
                return self._decoded(topic, data)
        return None

    def _decoded(self, topic: str, data: bytes) -> Array:
        message = self._bag.decode(topic, IMAGE, data)
        if message.encoding not in ENCODINGS:
            raise BadTeacher(
                "encoding",
                f"{self._bag.path}: expected {topic} as mono8, a byte a pixel, but got {message.encoding!r}.",
            )
        try:
            image: Array = decode_raw(message)[..., 0]
        except BadImage as error:
            raise BadTeacher("image", f"{self._bag.path}: an image on {topic} cannot be read: {error}") from error
        return image


def topic_teacher(bag: BagFile, class_set: str = "") -> ExternalTeacher:
    """Return the teacher whose label images are in an open bag.

    Args:
        bag: stays open as long as the teacher is asked.
        class_set: as `load_class_set` takes it; empty takes the bag's own, on /teacher/class_set as JSON.

    Raises:
        BadTeacher: `topics`: no label images; `class_set`: nobody says what their ids mean.
        BadClassSet: what says it is malformed.
    """
    if class_set:
        classes = load_class_set(class_set)
    elif bag.topics.get(CLASS_SET_TOPIC, ("", 0))[0] == STRING and bag.topics[CLASS_SET_TOPIC][1]:
        data = next(data for _, _, _, data in bag.raw([CLASS_SET_TOPIC]))
        classes = ClassSet.from_json(bag.decode(CLASS_SET_TOPIC, STRING, data).data)
    else:
        raise BadTeacher(
            "class_set",
            f"{bag.path}: expected {CLASS_SET_TOPIC} ({STRING}), which says what the ids of the label images mean; "
            "else name a class set (--classes).",
        )
    return ExternalTeacher(classes, LabelTopics(bag, classes))


def _camera(topic: str) -> tuple[str, str] | None:
    """Return camera and kind of a topic of label images: `/cam_front/labels` is of `cam_front`."""
    *camera, last = [part for part in topic.split("/") if part] or [""]
    return ("_".join(camera), last) if camera and last in (LABELS, CONFIDENCE) else None
