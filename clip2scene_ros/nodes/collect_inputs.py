"""Subscriptions that leave messages as they are: bytes with a stamp go through the synchroniser to the worker."""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String

from clip2scene_ros.collect.config import CollectNodeConfig
from clip2scene_ros.collect.rig import FileRig, files_of
from clip2scene_ros.collect.sets import RawImage, RawSet
from clip2scene_ros.collect.tf_rig import TfRig
from clip2scene_ros.errors import BadCloud, BadConfig
from clip2scene_ros.frame import NS_PER_S
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.nodes.arrivals import ForwardJumps, LossDetector
from clip2scene_ros.nodes.outputs import latched, qos_profile
from clip2scene_ros.nodes.sync_filter import MessageSet, ScanSynchronizer, message_filters
from clip2scene_ros.nodes.sync_inputs import SimpleFilter
from clip2scene_ros.nodes.sync_theirs import TheirSynchronizer
from clip2scene_ros.pose_buffer import KEEP_S

if TYPE_CHECKING:
    from rclpy.subscription import MessageInfo

ODOMETRY_DEPTH = 200
SETS_REMEMBERED = 600
"""How many of the newest sets say how long scans wait for their views: a minute of a LiDAR's."""
TF_DEPTH = 100


@dataclass(frozen=True)
class Names:
    """What the node listens to.

    Attributes:
        lidars: PointCloud2 topics.
        cameras: camera -> whether its images are compressed.
    """

    lidars: tuple[str, ...]
    cameras: dict[str, bool]


class Serialized:
    """A message as its bytes, with a header that tells the stamp."""

    def __init__(self, data: bytes) -> None:
        seconds, nanoseconds = divmod(cdr_stamp_ns(data), NS_PER_S)
        self.data, self.header = data, SimpleNamespace(stamp=Time(sec=seconds, nanosec=nanoseconds))


class RawSubscriber(SimpleFilter):
    """A subscription as a filter; messages are not deserialised.

    Attributes:
        sub: the subscription of rclpy.
        topic: as it was given.
        refused: messages that are too short for a stamp.
        losses: what never arrived.
        ahead: stamps that jumped ahead.
    """

    def __init__(
        self, node: Node, msg_type: type[PointCloud2 | Image | CompressedImage], topic: str, qos: QoSProfile
    ) -> None:
        super().__init__()
        self._node, self.topic, self.refused = node, topic, 0
        self.losses, self.ahead = LossDetector(), ForwardJumps()
        self.sub = node.create_subscription(msg_type, topic, self._receive, qos, raw=True)

    def close(self) -> None:
        """End the subscription."""
        self._node.destroy_subscription(self.sub)

    def _receive(self, data: bytes, info: MessageInfo) -> None:
        try:
            message = Serialized(data)
        except BadCloud:
            self.refused += 1
            return
        stamp_ns = cdr_stamp_ns(data)
        self.losses.arrived(stamp_ns, info.get("publication_sequence_number"), str(info.get("publisher_gid", "")))
        self.ahead.arrived(stamp_ns, time.monotonic_ns())
        self.signalMessage(message)


class Inputs:
    """All subscriptions of an active node; sets come out.

    Args:
        node: who subscribes.
        config: topics and their quality of service.
        names: what to listen to.
        rig: knows, or learns, where the sensors are.
        tell: calls its first argument with the others, while nobody else asks the rig.
        on_set: gets each set.
        on_student: gets stamp and bytes of each label cloud of the student.
        on_class_set: gets the JSON of the student's class set.

    Attributes:
        waited_ms: how long each of the newest scans waited for its views [ms].
    """

    def __init__(
        self,
        node: Node,
        config: CollectNodeConfig,
        names: Names,
        rig: FileRig | TfRig,
        tell: Callable[..., None],
        on_set: Callable[[RawSet], None],
        on_student: Callable[[int, bytes], None],
        on_class_set: Callable[[str], None],
    ) -> None:
        points, images = qos_profile(config.points), qos_profile(config.images)
        self._node, self._names, self._on_set, self._on_student = node, names, on_set, on_student
        self.waited_ms: deque[float] = deque(maxlen=SETS_REMEMBERED)
        # First, since an executor looks at subscriptions in this order: poses are known before the scans of their time.
        self._others = [node.create_subscription(Odometry, "odom", partial(tell, rig.add_odometry), ODOMETRY_DEPTH)]
        if isinstance(rig, TfRig):
            self._others += _calibrations(node, rig, tell, names.cameras)
        self.filters = [RawSubscriber(node, PointCloud2, topic, points) for topic in names.lidars]
        for camera, compressed in names.cameras.items():
            kind, topic = (CompressedImage, "image/compressed") if compressed else (Image, "image")
            self.filters.append(RawSubscriber(node, kind, f"{camera}/{topic}", images))
        if config.choice.min_disagreement:  # without a subscriber the student does not even run
            heard = node.create_subscription(PointCloud2, "labels", self._student, qos_profile(config.points), raw=True)
            told = node.create_subscription(String, "class_set", lambda m: on_class_set(m.data), latched())
            self._others += [heard, told]
        cameras: Sequence[str] = list(names.cameras)
        silence_s = config.diagnostics.silence_s
        kind = ScanSynchronizer if config.sync.policy == "scan_keyed" else TheirSynchronizer
        self.sync = kind(self.filters, cameras, config.sync, node=node, on_set=self._set, silence_s=silence_s)

    def account(self) -> dict[str, int]:
        """Return by name what the synchroniser cannot know: messages lost on the way, stamps that jumped ahead."""
        lost = {f"{each.topic}.lost": each.losses.lost for each in self.filters}
        return lost | {f"{each.topic}.jumped_ahead": each.ahead.count for each in self.filters}

    def close(self) -> None:
        """End all subscriptions; what waits in the synchroniser goes out as it is."""
        self.sync.close()
        for each in self.filters:
            each.close()
        for other in self._others:
            self._node.destroy_subscription(other)
        self.sync.flush()

    def _set(self, ready: MessageSet) -> None:
        self.waited_ms.append((ready.waited_ns or 0) / 1e6)
        images = {
            name: RawImage(view.stamp_ns, self._names.cameras[name], view.payload.data)
            for name, view in ready.views.items()
        }
        self._on_set(RawSet(ready.stamp_ns, ready.source, ready.payload.data, images))

    def _student(self, data: bytes) -> None:
        try:
            self._on_student(cdr_stamp_ns(data), data)
        except BadCloud:
            return


def names_of(config: CollectNodeConfig) -> Names:
    """Return what the settings ask for.

    Raises:
        BadConfig: no LiDAR, no camera, one named twice, a policy of message_filters that cannot be had.
    """
    lidars, compressed, raw = (_listed(text) for text in (config.lidars, config.cameras, config.raw_cameras))
    if not lidars or len(set(lidars)) < len(lidars):
        raise BadConfig("lidars", f"Setting `lidars` expects topics of different names, but got {config.lidars!r}.")
    every = [*compressed, *raw]
    if not every or len(set(every)) < len(every):
        raise BadConfig(
            "cameras",
            "Settings `cameras` and `raw_cameras` expect names of cameras, at least one and each once, since "
            f"the teacher looks at images, but got {config.cameras!r} and {config.raw_cameras!r}.",
        )
    if config.sync.policy != "scan_keyed":
        message_filters(config.sync, len(lidars))
    return Names(lidars, dict.fromkeys(compressed, True) | dict.fromkeys(raw, False))


def rig_of(config: CollectNodeConfig, names: Names) -> FileRig | TfRig:
    """Return where the sensors are.

    Raises:
        BadConfig: `calibration.source: tf` without tf2_msgs, or no file for a LiDAR.
        BadCalibration: a file is missing or wrong, or lacks a camera.
    """
    keep_s = KEEP_S + config.buffer.before_s  # a trigger may ask for what is so old
    if config.calibration.source == "tf":
        transforms()
        return TfRig(tuple(names.cameras), config.calibration.fixed_frame, keep_s)
    return FileRig(files_of(config.calibration.file, names.lidars), tuple(names.cameras), keep_s)


def transforms() -> type[Any]:
    """Return the type of messages on /tf.

    Raises:
        BadConfig: it is not installed; the text says how to.
    """
    try:
        kind: type[Any] = importlib.import_module("tf2_msgs.msg").TFMessage
    except ImportError as error:
        raise BadConfig(
            "no_tf2_msgs",
            f"Setting `calibration.source: tf` needs ROS's tf2_msgs ({error}), which is not on PyPI: install "
            "`ros-$ROS_DISTRO-tf2-msgs` with apt and source ROS 2, or write a calibration file and set "
            "`calibration.source: file`.",
        ) from error
    return kind


def _calibrations(node: Node, rig: TfRig, tell: Callable[..., None], cameras: Iterable[str]) -> list[Subscription[Any]]:
    """Return the subscriptions that tell a rig where the sensors are."""
    kind = transforms()
    static = QoSProfile(depth=TF_DEPTH, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    found = [
        node.create_subscription(
            kind, "/tf_static", lambda m: tell(partial(rig.add_transforms, static=True), m), static
        ),
        node.create_subscription(kind, "/tf", lambda m: tell(partial(rig.add_transforms, static=False), m), TF_DEPTH),
    ]
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # whatever the camera's driver offers
    for camera in cameras:
        learn = partial(tell, rig.add_camera_info, camera)
        found.append(node.create_subscription(CameraInfo, f"{camera}/camera_info", learn, qos, raw=True))
    return found


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
