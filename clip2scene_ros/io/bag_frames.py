"""Turns the messages of a bag into Frames: a scan with its nearest images, pose and ground truth.

The bag is read twice: once for the stamps, transforms and odometry, so that each scan's nearest images are known
exactly, and once for the data, of which only what a scan still waits for is held.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadBag, BadCloud, BadImage
from clip2scene_ros.frame import Array, Frame, Scan, View
from clip2scene_ros.io.bag_calibration import TF, TF_STATIC, Rig, RigCalibration
from clip2scene_ros.io.bag_file import BagFile
from clip2scene_ros.io.bag_matching import Bundle, Key, gather, match
from clip2scene_ros.io.image import decode_compressed_message, decode_raw
from clip2scene_ros.io.pointcloud import DEFAULT_LIMITS, parse, unpack_ground_truth
from clip2scene_ros.io.stamps import cdr_stamp_ns

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
ODOMETRY = "nav_msgs/msg/Odometry"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagTopics:
    """Which topics of a bag make a Frame.

    Attributes:
        points: the LiDAR's PointCloud2; empty takes the only one, ground truth and labels apart.
        cameras: image topics, raw or compressed; None takes every one that has a camera_info beside it.
        odometry: nav_msgs/Odometry; empty takes the only one; without it the vehicle's way is that of /tf.
        ground_truth: labelled cloud with the scan's stamp and order; used where it is there.
        tolerance_ns: an image farther than this from the scan's stamp is not taken [ns].
        calibration: camera name -> model and camera_from_lidar, instead of the bag's camera_info and transforms.
    """

    points: str = ""
    cameras: tuple[str, ...] | None = None
    odometry: str = ""
    ground_truth: str = "/ground_truth/points"
    tolerance_ns: int = 100_000_000
    calibration: Rig | None = None


def read_frames(
    bag: BagFile,
    topics: BagTopics,
    refused: Counter[str],
    refused_images: dict[Key, str],
    *,
    images: bool = True,
    limits: CloudLimits = DEFAULT_LIMITS,
) -> Iterator[Frame]:
    """Yield a Frame per scan of an open bag, in the order of recording.

    Views are the cameras' images nearest to the scan's stamp, `camera_from_lidar` includes the ego motion between
    the two. A camera without calibration or transform is left out, and a warning says so once. Clouds that cannot
    be read are left out, logged and counted in `refused` by reason, images are kept in `refused_images`. Without
    `images` there are no views.

    Raises:
        BadBag: no or several clouds to choose from, a topic named that is missing or of another type, damage.
    """
    points = points_topic(bag, topics)
    cameras = camera_topics(bag, topics) if images else []
    truth = topics.ground_truth if bag.topics.get(topics.ground_truth, ("", 0))[0] == CLOUD else ""
    rig, stamps = survey(bag, points, cameras, truth, odometry_topic(bag, topics), topics.calibration)
    wanted = match(
        stamps[points],
        {topic: stamps[topic] for topic in cameras},
        {truth: stamps[truth]} if truth else {},
        topics.tolerance_ns,
    )
    messages = ((topic, data) for topic, _, _, data in bag.raw(stamps))
    for bundle in gather(messages, points, wanted):
        try:
            scan = parse(bag.decode(points, CLOUD, bundle.scan), limits)
        except BadCloud as error:
            refused[error.reason] += 1
            _log.warning("A cloud on %s is left out: %s", points, error)
            continue
        yield _frame(bag, rig, scan, bundle, truth, refused_images)


def points_topic(bag: BagFile, topics: BagTopics) -> str:
    """Return the topic of the LiDAR clouds: the named one, else the only one that is no ground truth and no labels.

    Raises:
        BadBag: there is none, there are several, or the named one is missing or no PointCloud2.
    """
    if topics.points:
        bag.require(topics.points, CLOUD)
        return topics.points
    clouds = [name for name, (kind, count) in bag.topics.items() if kind == CLOUD and count and not _is_derived(name)]
    if len(clouds) == 1:
        return clouds[0]
    if clouds:
        raise BadBag("several_clouds", f"{bag.path} has several clouds, name one of them: {', '.join(clouds)}.")
    found = ", ".join(f"{name} ({kind})" for name, (kind, _) in bag.topics.items()) or "no topics at all"
    raise BadBag("no_cloud", f"{bag.path}: expected a topic of {CLOUD}, but found {found}.")


def camera_name(topic: str) -> str:
    """Return `cam_front` for `/cam_front/image/compressed`: the topic without what all image topics end in."""
    parts = [p for p in topic.strip("/").split("/") if p]
    while len(parts) > 1 and (parts[-1] == "compressed" or parts[-1].startswith("image")):
        parts.pop()
    return "_".join(parts)


def camera_info_topic(topic: str) -> str:
    """Return the camera_info topic beside an image topic, as image_transport names it."""
    parts = topic.split("/")
    if parts[-1] == "compressed":
        parts.pop()
    return "/".join([*parts[:-1], "camera_info"])


def _is_derived(topic: str) -> bool:
    return "ground_truth" in topic or topic.endswith(("/labels", "/labels_rgb", "/confidence"))


def camera_topics(bag: BagFile, topics: BagTopics) -> list[str]:
    """Return the image topics, of a camera that is there raw and compressed the compressed one; none of label images.

    Raises:
        BadBag: a topic that was named is missing or holds no images.
    """
    if topics.cameras is not None:
        for topic in topics.cameras:
            bag.require(topic)
            if bag.topics[topic][0] not in (IMAGE, COMPRESSED):
                bag.require(topic, COMPRESSED)
        return list(topics.cameras)
    filled = {topic: kind for topic, (kind, count) in bag.topics.items() if count and not _is_derived(topic)}
    by_name = {camera_name(topic): topic for topic, kind in filled.items() if kind == IMAGE}
    by_name |= {camera_name(topic): topic for topic, kind in filled.items() if kind == COMPRESSED}
    return list(by_name.values())


def odometry_topic(bag: BagFile, topics: BagTopics) -> str:
    """Return the odometry's topic, the named one or the only one, empty where there is none.

    Raises:
        BadBag: there are several, or the named one is missing.
    """
    if topics.odometry:
        bag.require(topics.odometry, ODOMETRY)
        return topics.odometry
    found = [name for name, (kind, count) in bag.topics.items() if kind == ODOMETRY and count]
    if len(found) > 1:
        raise BadBag("several_odometries", f"{bag.path} has several odometries, name one: {', '.join(found)}.")
    return found[0] if found else ""


def survey(
    bag: BagFile,
    points: str,
    cameras: list[str],
    truth: str,
    odometry: str,
    calibration: Rig | None = None,
) -> tuple[RigCalibration, dict[str, list[int]]]:
    """Return the rig's calibration and the header stamps of clouds, images and ground truth [ns]."""
    rig = RigCalibration(calibration)
    for topic in cameras:
        rig.take_given(topic, camera_name(topic))
    stamps: dict[str, list[int]] = {topic: [] for topic in (points, truth, *cameras) if topic}
    camera_of = {camera_info_topic(topic): topic for topic in cameras}
    infos = {} if rig.is_given else dict.fromkeys(camera_of, CAMERA_INFO)
    extras = {TF_STATIC: TF_MESSAGE, TF: TF_MESSAGE, odometry: ODOMETRY, **infos}
    extras = {topic: kind for topic, kind in extras.items() if bag.topics.get(topic, ("", 0))[0] == kind}
    for topic, msgtype, _, data in bag.raw([*stamps, *extras]):
        if topic in stamps:
            stamps[topic].append(_header_stamp(bag, topic, data))
        elif topic in (TF_STATIC, TF):
            rig.add_transforms(bag.decode(topic, msgtype, data), static=topic == TF_STATIC)
        elif topic == odometry:
            rig.add_odometry(bag.decode(topic, msgtype, data))
        elif camera_of[topic] not in rig.cameras:
            rig.add_camera(camera_of[topic], bag.decode(topic, msgtype, data))
    return rig, stamps


def _header_stamp(bag: BagFile, topic: str, data: bytes) -> int:
    try:
        return cdr_stamp_ns(data)
    except BadCloud as error:
        raise BadBag("message", f"{bag.path}: a message on {topic} has no header, only {len(data)} bytes.") from error


def _frame(bag: BagFile, rig: RigCalibration, scan: Scan, bundle: Bundle, truth: str, refused: dict[Key, str]) -> Frame:
    labels, instances = _ground_truth(bag, rig, scan, truth, bundle.parts.get(truth))
    views = (
        _view(bag, rig, scan, (topic, stamp_ns), data, refused)
        for topic, (stamp_ns, data) in bundle.parts.items()
        if topic != truth
    )
    return Frame(
        scan=scan,
        views=tuple(view for view in views if view is not None),
        world_from_lidar=rig.world_from_lidar(scan),
        labels=labels,
        instances=instances,
    )


def _view(bag: BagFile, rig: RigCalibration, scan: Scan, key: Key, data: bytes, refused: dict[Key, str]) -> View | None:
    """Return the view, or None (logged) where the image cannot be placed, or decoded (kept in `refused`)."""
    topic, stamp_ns = key
    camera_from_lidar = rig.camera_from_lidar(topic, stamp_ns, scan)
    if camera_from_lidar is None:
        return None
    msgtype = bag.topics[topic][0]
    message = bag.decode(topic, msgtype, data)
    try:
        image = decode_compressed_message(message) if msgtype == COMPRESSED else decode_raw(message)
    except BadImage as error:
        if key not in refused:
            _log.warning("An image on %s is left out: %s", topic, error)
        refused[key] = error.reason
        return None
    camera = rig.cameras[topic][0]
    if image.shape[:2] != (camera.height, camera.width):
        size = f"{image.shape[1]} x {image.shape[0]} px, its camera_info says {camera.width} x {camera.height}"
        rig.warn_once(f"Images of {topic} are left out: they are {size}.")
        refused[key] = "size"
        return None
    return View(camera_name(topic), image, camera, camera_from_lidar, stamp_ns)


def _ground_truth(
    bag: BagFile, rig: RigCalibration, scan: Scan, topic: str, part: tuple[int, bytes] | None
) -> tuple[Array | None, Array | None]:
    """Return labels and instances in the scan's order, or None where there are none that fit."""
    if part is None:
        return None, None
    try:
        points, labels, instances = unpack_ground_truth(bag.decode(topic, CLOUD, part[1]))
    except BadCloud as error:
        rig.warn_once(f"Ground truth on {topic} is left out: {error}")
        return None, None
    if len(points) != len(scan):
        rig.warn_once(f"Ground truth on {topic} is left out: {len(points)} points for a scan of {len(scan)}.")
        return None, None
    return labels, instances
