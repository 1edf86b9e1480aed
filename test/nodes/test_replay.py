"""Replay: every cloud of a bag through the live node in another process, and its labels in a bag."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import cloud

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.errors import BadBag, BadCloud, NodeFailed
from clip2scene_ros.frame import Scan
from clip2scene_ros.io.bag_messages import cloud_message, string_message, tf_static_message
from clip2scene_ros.io.bag_reader import BagReader
from clip2scene_ros.io.bags import BagWriter, stamp_of
from clip2scene_ros.io.pointcloud import pack_points, parse, unpack_labels
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.nodes.replay import play_and_record, start_node
from clip2scene_ros.nodes.segment import NODE_NAME
from clip2scene_ros.offline import CLASS_SET, LABELS

SECOND = 10**9
SCANS = 10


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag of ten clouds, recorded 5 ms after their stamps, with a latched topic and labels of another node."""
    path = tmp_path_factory.mktemp("bags") / "in.mcap"
    rng = np.random.default_rng(0)
    with BagWriter(path) as out:
        out.write("/tf_static", tf_static_message([("base", "top", np.eye(4))], SECOND), SECOND, latched=True)
        out.write(CLASS_SET, string_message("of another node"), SECOND, latched=True)
        out.write(LABELS, string_message("of another node"), SECOND)
        for k in range(SCANS):
            points = rng.uniform(-20, 20, (500 + k, 3)).astype(np.float32)
            scan = Scan(points=points, intensity=np.zeros(len(points), np.float32), stamp_ns=(100 + k) * SECOND)
            out.write("/lidar", cloud_message(pack_points(scan), scan.stamp_ns, f"top{k}"), scan.stamp_ns + 5_000_000)
            out.write("/weather", string_message("dry"), scan.stamp_ns + 6_000_000)
    return path


@pytest.fixture(scope="module")
def running(tiny_checkpoint: Path):
    with start_node(
        {"segmenter.checkpoint": str(tiny_checkpoint), "segmenter.threads": 1}, namespace="replayed"
    ) as node:
        yield node


def test_lock_step_labels_every_cloud_and_copies_the_rest_of_the_bag(bag: Path, running, tmp_path: Path):
    calls: list[tuple[int, int]] = []
    out = tmp_path / "out.mcap"
    replay = play_and_record(
        bag, out, namespace="replayed", check=running.check, progress=lambda done, total: calls.append((done, total))
    )
    assert (replay.sent, replay.labelled, replay.missing) == (SCANS, SCANS, [])
    assert (replay.duplicates, replay.out_of_order) == (0, 0)
    assert len(replay.latency_ms) == SCANS
    assert min(replay.latency_ms) > 0
    assert (f"/{NODE_NAME}/labels", f"/{NODE_NAME}/class_set") == (LABELS, CLASS_SET)
    assert calls == [(k, SCANS) for k in range(1, SCANS + 1)]
    assert ClassSet.from_json(replay.class_set).names == load_class_set("world").names
    with BagReader(bag) as before, BagReader(out) as after:
        assert after.latched == {"/tf_static", CLASS_SET}
        assert after.topics == {
            "/tf_static": ("tf2_msgs/msg/TFMessage", 1),
            "/lidar": ("sensor_msgs/msg/PointCloud2", SCANS),
            "/weather": ("std_msgs/msg/String", SCANS),
            CLASS_SET: ("std_msgs/msg/String", 1),
            LABELS: ("sensor_msgs/msg/PointCloud2", SCANS),
        }
        clouds, labels = list(before.messages("/lidar")), list(after.messages(LABELS))
        for (recorded_in, sent), (recorded_out, got) in zip(clouds, labels, strict=True):
            assert recorded_out == recorded_in
            assert stamp_of(got) == stamp_of(sent)
            assert got.header.frame_id == sent.header.frame_id
            np.testing.assert_array_equal(unpack_labels(got)[0], parse(sent).points)


def test_at_a_rate_what_is_sent_is_labelled_or_missing(bag: Path, running, tmp_path: Path):
    out = tmp_path / "out.mcap"
    replay = play_and_record(
        bag, out, namespace="replayed", rate=200.0, keep_messages=False, check=running.check, timeout_s=5.0
    )
    assert replay.sent == SCANS == replay.labelled + len(replay.missing)
    assert (replay.duplicates, replay.out_of_order) == (0, 0)
    with BagReader(out) as bag_out:
        assert set(bag_out.topics) == {CLASS_SET, LABELS}
        assert bag_out.topics[LABELS][1] == replay.labelled >= 1


def test_a_bag_that_is_played_twice_is_labelled_twice(bag: Path, running):
    first, second = (play_and_record(bag, None, namespace="replayed", check=running.check) for _ in range(2))
    assert first.labelled == second.labelled == SCANS


def test_a_node_that_dies_is_told_with_the_end_of_its_log(bag: Path, tmp_path: Path):
    with (
        start_node({"segmenter.checkpoint": "/nowhere.safetensors"}, log_file=tmp_path / "node.log") as node,
        pytest.raises(NodeFailed, match=r"exit code 1(?s:.*)/nowhere\.safetensors"),
    ):
        play_and_record(bag, tmp_path / "out.mcap", check=node.check)
    assert "/nowhere.safetensors" in (tmp_path / "node.log").read_text()


def test_without_a_node_it_says_so(bag: Path):
    with pytest.raises(NodeFailed, match="/desert/points"):
        play_and_record(bag, None, namespace="desert", discovery_s=0.5)


def test_a_bag_without_clouds_is_refused_before_anything_is_sent(tmp_path: Path):
    with BagWriter(tmp_path / "in.mcap") as out:
        out.write("/weather", string_message("dry"), 1)
    with pytest.raises(BadBag):
        play_and_record(tmp_path / "in.mcap", None)


def test_the_stamp_is_read_from_serialised_messages():
    from rclpy.serialization import serialize_message

    data = serialize_message(cloud(12 * SECOND + 345))
    assert cdr_stamp_ns(data) == 12 * SECOND + 345
    big_endian = b"\0\0\0\0" + (7).to_bytes(4, "big") + (8).to_bytes(4, "big")
    assert cdr_stamp_ns(big_endian) == 7 * SECOND + 8
    with pytest.raises(BadCloud):
        cdr_stamp_ns(data[:11])


def test_a_real_bag_is_labelled_ten_of_ten_with_equal_stamps(running, shared_data, tmp_path: Path):
    recorded, out = shared_data("data/rosbag2/trimmed_10msg"), tmp_path / "out.mcap"
    replay = play_and_record(
        recorded, out, namespace="replayed", keep_messages=False, check=running.check, timeout_s=60.0
    )
    assert (replay.sent, replay.labelled, replay.duplicates, replay.out_of_order) == (10, 10, 0, 0)
    with BagReader(recorded) as before, BagReader(out) as after:
        topic = next(name for name, (kind, _) in before.topics.items() if kind == "sensor_msgs/msg/PointCloud2")
        sent, got = (list(bag.messages(name)) for bag, name in ((before, topic), (after, LABELS)))
        assert [stamp_of(m) for _, m in got] == [stamp_of(m) for _, m in sent]
        for (_, cloud_in), (_, labels) in zip(sent, got, strict=True):
            np.testing.assert_array_equal(unpack_labels(labels)[0], parse(cloud_in).points)
