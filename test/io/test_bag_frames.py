"""Frames from bags: the nearest images, placed with the ego motion, ground truth, and nothing assumed in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clip2scene_ros.errors import BadBag
from clip2scene_ros.frame import CameraModel, Frame, Scan
from clip2scene_ros.geometry import invert
from clip2scene_ros.io import bag_matching
from clip2scene_ros.io.bag_frames import camera_info_topic, camera_name
from clip2scene_ros.io.bag_matching import gather, match
from clip2scene_ros.io.bag_messages import header, message_class
from clip2scene_ros.io.bags import (
    BagReader,
    BagTopics,
    BagWriter,
    camera_info_message,
    cloud_message,
    compressed_image_message,
    odometry_message,
    stamp_of,
    string_message,
    tf_static_message,
)
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_ground_truth, pack_points
from clip2scene_ros.io.stamps import cdr_stamp_ns

START = 1_700_000_000_000_000_000
MS = 1_000_000
CAMERA = CameraModel(64, 48, np.array([[40.0, 0, 32], [0, 40, 24], [0, 0, 1]]))
BASE_FROM_LIDAR = np.array([[0, -1, 0, 0.9], [1, 0, 0, 0.1], [0, 0, 1, 1.8], [0, 0, 0, 1.0]])
BASE_FROM_CAMERA = np.array([[0, 0, 1, 1.7], [-1, 0, 0, 0.2], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])


def world_from_base(stamp_ns: int) -> np.ndarray:
    """A vehicle that drives 10 m/s ahead and to the left, without turning: exact under any interpolation."""
    t = (stamp_ns - START) / 1e9
    pose = np.eye(4)
    c, s = np.cos(0.3), np.sin(0.3)
    pose[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
    pose[:3, 3] = [10 * t, 4 * t, 0]
    return pose


def scan_at(i: int, n: int = 50) -> Scan:
    points = np.random.default_rng(i).normal(0, 10, (n, 3)).astype(np.float32)
    return Scan(points, np.zeros(n, np.float32), START + i * 50 * MS, "lidar_top")


def jpeg(value: int) -> bytes:
    return encode_jpeg(np.full((48, 64, 3), value, dtype=np.uint8), 90)


def write_bag(
    path: Path, *, tf: bool = True, odometry: bool = True, info: bool = True, sweeps: int = 8, moving: str = ""
) -> Path:
    """20 Hz scans, one camera at 10 Hz that exposes 13 ms late; gray value 10 x number of the image.

    `moving` says the way as transforms from that frame to base_link on /tf.
    """
    with BagWriter(path) as bag:
        if tf:
            edges = [("base_link", "lidar_top", BASE_FROM_LIDAR), ("base_link", "cam_front", BASE_FROM_CAMERA)]
            bag.write("/tf_static", tf_static_message(edges, START), START, latched=True)
        for i in range(sweeps):
            scan = scan_at(i)
            t = scan.stamp_ns
            bag.write("/points", cloud_message(pack_points(scan), t, "lidar_top"), t)
            labels = np.full(len(scan), i, dtype=np.uint8)
            truth = pack_ground_truth(scan, labels, labels.astype(np.uint16) + 500)
            bag.write("/ground_truth/points", cloud_message(truth, t, "lidar_top"), t)
            if odometry:
                for ms in (0, 20, 40):
                    at = t + ms * MS
                    bag.write("/odom", odometry_message(world_from_base(at), at), at)
            for ms in (0, 20, 40) if moving else ():
                at = t + ms * MS
                bag.write("/tf", tf_static_message([(moving, "base_link", world_from_base(at))], at), at)
            if i % 2 == 0:
                late = t + 13 * MS
                if info:
                    bag.write("/cam_front/camera_info", camera_info_message(CAMERA, late, "cam_front"), late)
                image = compressed_image_message(jpeg(10 * i), late, "cam_front")
                bag.write("/cam_front/image/compressed", image, late)
    return path


def frames_of(path: Path, topics: BagTopics | None = None, **settings: Any) -> list[Frame]:
    with BagReader(path) as bag:
        return list(bag.frames(topics, **settings))


@pytest.mark.parametrize("name", ["drive.mcap", "drive.db3", "bag"])
def test_every_scan_comes_with_its_nearest_image_pose_and_ground_truth(tmp_path: Path, name: str) -> None:
    frames = frames_of(write_bag(tmp_path / name))
    assert [f.scan.stamp_ns for f in frames] == [START + i * 50 * MS for i in range(8)]
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.scan.points, scan_at(i).points)
        assert frame.labels is not None
        assert frame.instances is not None
        assert (frame.labels == i).all()
        assert (frame.instances == 500 + i).all()
        assert frame.world_from_lidar is not None
        expected = world_from_base(frame.scan.stamp_ns) @ BASE_FROM_LIDAR
        np.testing.assert_allclose(frame.world_from_lidar, expected, atol=1e-9)
        (view,) = frame.views
        # images at 13, 113, 213 ms: scans at 50, 150 ms are nearer to the image before (37 ms) than after (63 ms)
        assert view.name == "cam_front"
        assert view.stamp_ns == START + (i // 2 * 100 + 13) * MS
        assert abs(int(view.image.mean()) - 10 * (i // 2 * 2)) <= 1


def test_camera_from_lidar_carries_the_ego_motion_between_the_stamps(tmp_path: Path) -> None:
    frame = frames_of(write_bag(tmp_path / "a.mcap"))[3]
    (view,) = frame.views
    on_wall = np.array([25.0, 3.0, 2.0, 1.0])  # a fixed point of the world
    in_lidar = invert(world_from_base(frame.scan.stamp_ns) @ BASE_FROM_LIDAR) @ on_wall
    in_camera = invert(world_from_base(view.stamp_ns) @ BASE_FROM_CAMERA) @ on_wall
    np.testing.assert_allclose(view.camera_from_lidar @ in_lidar, in_camera, atol=1e-6)
    standing = invert(BASE_FROM_CAMERA) @ BASE_FROM_LIDAR @ in_lidar
    assert np.abs(standing - in_camera).max() > 0.3


def test_without_images_there_are_no_views_but_all_else(tmp_path: Path) -> None:
    frames = frames_of(write_bag(tmp_path / "a.mcap"), images=False)
    assert len(frames) == 8
    assert all(f.views == () and f.labels is not None and f.world_from_lidar is not None for f in frames)


@pytest.mark.parametrize(
    ("missing", "text"), [("tf", "does not join lidar_top and cam_front"), ("info", "no usable camera_info")]
)
def test_camera_that_cannot_be_placed_is_left_out_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: str, text: str
) -> None:
    with caplog.at_level(logging.WARNING):
        frames = frames_of(write_bag(tmp_path / "a.mcap", **{missing: False}))
    assert len(frames) == 8
    assert all(f.views == () for f in frames)
    assert sum(text in record.getMessage() for record in caplog.records) == 1


def test_without_odometry_the_vehicle_stands_and_a_warning_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        frames = frames_of(write_bag(tmp_path / "a.mcap", odometry=False))
    assert all(f.world_from_lidar is None for f in frames)
    standing = invert(BASE_FROM_CAMERA) @ BASE_FROM_LIDAR
    np.testing.assert_allclose(frames[0].views[0].camera_from_lidar, standing, atol=1e-12)
    assert sum("stood still" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("fixed", ["odom", "map"])
def test_without_odometry_the_way_is_that_of_tf(tmp_path: Path, caplog: pytest.LogCaptureFixture, fixed: str) -> None:
    by_odometry = frames_of(write_bag(tmp_path / "a.mcap"))
    with caplog.at_level(logging.WARNING):
        by_tf = frames_of(write_bag(tmp_path / "b.mcap", odometry=False, moving=fixed))
    assert not caplog.records
    for theirs, mine in zip(by_odometry, by_tf, strict=True):
        assert mine.world_from_lidar is not None
        np.testing.assert_allclose(mine.world_from_lidar, theirs.world_from_lidar, atol=1e-9)
        for other, view in zip(theirs.views, mine.views, strict=True):
            np.testing.assert_allclose(view.camera_from_lidar, other.camera_from_lidar, atol=1e-9)


def test_odometry_counts_where_there_is_tf_as_well(tmp_path: Path) -> None:
    frame = frames_of(write_bag(tmp_path / "a.mcap", moving="map"))[2]
    assert frame.world_from_lidar is not None
    expected = world_from_base(frame.scan.stamp_ns) @ BASE_FROM_LIDAR
    np.testing.assert_allclose(frame.world_from_lidar, expected, atol=1e-9)


def test_where_tf_does_not_reach_nothing_is_guessed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_bag(tmp_path / "a.mcap", odometry=False, moving="odom")
    with BagReader(tmp_path / "a.mcap") as source, BagWriter(tmp_path / "b.mcap") as target:
        for topic, msgtype, stamp_ns, data in source.raw():
            if topic != "/tf" or stamp_ns < START + 200 * MS:  # TF dies half way
                target.write(topic, source.decode(topic, msgtype, data), stamp_ns)
    with caplog.at_level(logging.WARNING):
        frames = frames_of(tmp_path / "b.mcap")
    assert [f.world_from_lidar is None for f in frames] == [False] * 6 + [True] * 2  # 100 ms on at most
    assert [len(f.views) for f in frames] == [1] * 6 + [0] * 2
    assert sum("does not reach" in record.getMessage() for record in caplog.records) == 1


def test_image_beyond_the_tolerance_is_not_taken(tmp_path: Path) -> None:
    frames = frames_of(write_bag(tmp_path / "a.mcap"), BagTopics(tolerance_ns=20 * MS))
    assert [len(f.views) for f in frames] == [1, 0] * 4


def test_raw_images_are_read_and_one_of_another_size_than_its_camera_info_is_not(tmp_path: Path) -> None:
    def image(width: int, stamp_ns: int) -> Any:
        return message_class("sensor_msgs/msg/Image")(
            header=header(stamp_ns, "cam_front"),
            height=48,
            width=width,
            encoding="bgr8",
            is_bigendian=0,
            step=3 * width,
            data=np.tile(np.array([1, 2, 3], dtype=np.uint8), 48 * width),
        )

    with BagWriter(tmp_path / "a.mcap") as bag:
        edges = [("lidar_top", "cam_front", invert(BASE_FROM_CAMERA))]
        bag.write("/tf_static", tf_static_message(edges, START), START)
        bag.write("/cam/camera_info", camera_info_message(CAMERA, START, "cam_front"), START)
        for i, width in enumerate((64, 63)):
            scan = scan_at(i)
            bag.write("/cam/image_raw", image(width, scan.stamp_ns), scan.stamp_ns)
            bag.write("/points", cloud_message(pack_points(scan), scan.stamp_ns, "lidar_top"), scan.stamp_ns)
    first, second = frames_of(tmp_path / "a.mcap", BagTopics(tolerance_ns=0))
    assert (first.views[0].image == [3, 2, 1]).all()
    assert first.views[0].name == "cam"
    assert second.views == ()


def test_malformed_clouds_and_images_are_left_out_and_counted(tmp_path: Path) -> None:
    write_bag(tmp_path / "a.mcap")
    with BagReader(tmp_path / "a.mcap") as source, BagWriter(tmp_path / "b.mcap") as target:
        for number, (topic, msgtype, stamp_ns, data) in enumerate(source.raw()):
            message = source.decode(topic, msgtype, data)
            if topic == "/points" and number < 5:
                message.point_step = 3
            if topic.endswith("compressed"):
                message.data = message.data[:40]
            target.write(topic, message, stamp_ns)
    with BagReader(tmp_path / "b.mcap") as bag:
        frames = list(bag.frames())
        assert sum(bag.refused.values()) == 1
    assert [f.scan.stamp_ns for f in frames] == [START + i * 50 * MS for i in range(1, 8)]
    assert all(f.labels is not None and f.views == () for f in frames)


def test_ground_truth_of_another_length_is_left_out(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap") as bag:
        scan, other = scan_at(0), scan_at(0, n=49)
        bag.write("/points", cloud_message(pack_points(scan), START, "lidar_top"), START)
        truth = pack_ground_truth(other, np.zeros(49, np.uint8), np.zeros(49, np.uint16))
        bag.write("/ground_truth/points", cloud_message(truth, START, "lidar_top"), START)
    (frame,) = frames_of(tmp_path / "a.mcap")
    assert frame.labels is None
    assert frame.instances is None


def test_the_cloud_is_found_when_it_is_the_only_one_and_else_the_choice_is_listed(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "two.mcap") as bag:
        for topic in ("/left/points", "/right/points", "/clip2scene_segment/labels", "/ground_truth/points"):
            bag.write(topic, cloud_message(pack_points(scan_at(0)), START, "lidar_top"), START)
    with pytest.raises(BadBag, match=r"name one of them: /left/points, /right/points\."):
        frames_of(tmp_path / "two.mcap")
    assert len(frames_of(tmp_path / "two.mcap", BagTopics(points="/right/points"))) == 1
    with pytest.raises(BadBag, match="expected topic /front, but found"):
        frames_of(tmp_path / "two.mcap", BagTopics(points="/front"))
    with BagWriter(tmp_path / "none.mcap") as bag:
        bag.write("/chatter", string_message("hello"), START)
    with pytest.raises(BadBag, match=r"expected a topic of sensor_msgs/msg/PointCloud2, but found /chatter"):
        frames_of(tmp_path / "none.mcap")
    with pytest.raises(BadBag, match="expected /chatter to be"):
        frames_of(tmp_path / "none.mcap", BagTopics(points="/chatter"))


def test_real_rosbag2_gives_ten_frames_with_the_stamps_of_their_messages(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("data/rosbag2/trimmed_10msg")
    with BagReader(folder) as bag:
        messages = [m for _, m in bag.messages("/point_cloud")]
        frames = list(bag.frames())
        assert not bag.refused
    assert [f.scan.stamp_ns for f in frames] == [stamp_of(m) for m in messages]
    for frame, message in zip(frames, messages, strict=True):
        assert frame.scan.frame_id == "d435_depth_optical_frame"
        assert (frame.views, frame.labels, frame.world_from_lidar) == ((), None, None)
        raw = np.frombuffer(bytes(message.data), np.uint8).reshape(-1, message.point_step)
        offset = next(f.offset for f in message.fields if f.name == "z")
        np.testing.assert_array_equal(frame.scan.points[:, 2], raw[:, offset : offset + 4].copy().view("<f4")[:, 0])


def test_names_of_cameras_follow_their_topics() -> None:
    assert camera_name("/cam_front/image/compressed") == "cam_front"
    assert camera_name("/camera/left/image_rect_color") == "camera_left"
    assert camera_name("/image_raw") == "image_raw"
    assert camera_info_topic("/cam_front/image/compressed") == "/cam_front/camera_info"
    assert camera_info_topic("/camera/image_raw") == "/camera/camera_info"


def test_match_agrees_with_a_search_through_all_pairs() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        scans = random.integers(0, 1000, 30).tolist()
        images = {"/a": random.integers(0, 1000, 20).tolist(), "/b": random.integers(0, 1000, 3).tolist(), "/c": []}
        for scan, keys in zip(scans, match(scans, images, {"/t": scans[::2]}, 40), strict=True):
            for topic, stamps in images.items():
                gaps = [abs(t - scan) for t in stamps]
                chosen = [t for name, t in keys if name == topic]
                assert bool(chosen) == (bool(gaps) and min(gaps) <= 40)
                assert not chosen or abs(chosen[0] - scan) == min(gaps)
            assert (("/t", scan) in keys) == (scan in scans[::2])


def cdr(stamp_ns: int, size: int = 100) -> bytes:
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    return b"\0\1\0\0" + seconds.to_bytes(4, "little") + nanoseconds.to_bytes(4, "little") + bytes(size)


def test_gather_yields_scans_in_order_and_holds_little_however_late_images_come() -> None:
    scans = [i * 50 for i in range(1000)]
    wanted = match(scans, {"/cam": [t + 7 for t in scans]}, {}, 20)
    recorded = sorted([(t, "/points", t) for t in scans] + [(t + 300, "/cam", t + 7) for t in scans])
    held = []

    def stream() -> Any:
        for number, (_, topic, stamp_ns) in enumerate(recorded):
            held.append(number - 2 * len(bundles))
            yield topic, cdr(stamp_ns)

    bundles: list[Any] = []
    for bundle in gather(stream(), "/points", wanted):
        bundles.append(bundle)
    assert [cdr_stamp_ns(b.scan) for b in bundles] == scans
    assert all(b.parts["/cam"][0] == t + 7 for b, t in zip(bundles, scans, strict=True))
    assert max(held) < 20


def test_a_bag_far_from_the_order_of_time_costs_views_not_scans_nor_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag_matching, "MAX_HELD_BYTES", 5_000)
    scans = list(range(0, 5000, 50))
    wanted = match(scans, {"/cam": scans}, {}, 0)
    clouds, images = [("/points", cdr(t)) for t in scans], [("/cam", cdr(t, 988)) for t in scans]
    for messages in (clouds + images, images + clouds):
        bundles = list(gather(iter(messages), "/points", wanted))
        assert [cdr_stamp_ns(b.scan) for b in bundles] == scans
        assert sum("/cam" in b.parts for b in bundles) <= 41


def test_what_is_held_stays_below_the_limit_when_messages_grow_and_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag_matching, "MAX_HELD_BYTES", 5_000)
    scans = list(range(100))
    images = [("/cam", cdr(t, 8 if t < 50 else 988)) for t in scans]
    clouds = [("/points", cdr(t)) for t in scans]
    bundles = list(gather(iter([*images, *clouds, *images]), "/points", match(scans, {"/cam": scans}, {}, 0)))
    assert [cdr_stamp_ns(b.scan) for b in bundles] == scans
    assert 4_000 <= sum(len(data) for b in bundles for _, data in b.parts.values()) <= 5_000
    shelf = bag_matching._Shelf([[("/cam", 1)]])
    for _ in range(2):
        shelf.put(("/cam", 1), bytes(6_000))  # too large to hold at all
        shelf.done_with([("/cam", 1)])
        shelf.put(("/cam", 1), bytes(100))
        assert not shelf.held
