"""Bags written here are read back by `rosbags` and by the independent `mcap` library."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader

from clip2scene_ros.errors import BadBag
from clip2scene_ros.frame import CameraModel
from clip2scene_ros.io.bag_messages import (
    camera_info_message,
    cloud_message,
    compressed_image_message,
    odometry_message,
    string_message,
    tf_static_message,
)
from clip2scene_ros.io.bag_writer import BagWriter
from clip2scene_ros.io.stamps import stamp_of

STAMP = 1_700_000_000_123_456_789


@dataclass
class Field:
    name: str
    offset: int
    datatype: int
    count: int = 1


@dataclass
class Layout:
    """The part of a CloudLayout that a message is made of."""

    fields: tuple[Field, ...]
    point_step: int
    data: bytes
    width: int


def layout(points: np.ndarray) -> Layout:
    fields = tuple(Field(n, 4 * i, 7) for i, n in enumerate("xyz"))
    return Layout(fields, 12, points.astype("<f4").tobytes(), len(points))


def pose(x: float, yaw: float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0, x], [s, c, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1.0]])


def write_everything(path: Path, sweeps: int = 3, **settings: Any) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    camera = CameraModel(640, 480, np.array([[500, 0, 320], [0, 501, 240], [0, 0, 1.0]]))
    with BagWriter(path, **settings) as bag:
        bag.write(
            "/tf_static", tf_static_message([("base_link", "lidar_top", pose(1, 0.5))], STAMP), STAMP, latched=True
        )
        bag.write("/class_set", string_message("{}"), STAMP, latched=True)
        for i in range(sweeps):
            t = STAMP + i * 50_000_000
            bag.write("/points", cloud_message(layout(points + i), t, "lidar_top"), t)
            bag.write("/cam/image/compressed", compressed_image_message(b"\xff\xd8jpeg", t, "cam"), t)
            bag.write("/cam/camera_info", camera_info_message(camera, t, "cam"), t)
            bag.write("/odom", odometry_message(pose(i, 0.1 * i), t), t)
    return points


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_lone_mcap_is_indexed_decodes_and_offers_qos_for_the_mcap_library(tmp_path: Path, compression: str) -> None:
    points = write_everything(tmp_path / "drive.mcap", compression=compression)
    with (tmp_path / "drive.mcap").open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == 14
        assert summary.chunk_indexes
        assert {c.compression for c in summary.chunk_indexes} == {"" if compression == "none" else "zstd"}
        assert {s.encoding for s in summary.schemas.values()} == {"ros2msg"}
        qos = {c.topic: yaml.safe_load(c.metadata["offered_qos_profiles"])[0] for c in summary.channels.values()}
        assert {t for t, q in qos.items() if q["durability"] == 1} == {"/tf_static", "/class_set"}
        assert {q["reliability"] for q in qos.values()} == {1}
        decoded = [(c.topic, m.log_time, d) for _, c, m, d in reader.iter_decoded_messages()]
    clouds = [d for topic, _, d in decoded if topic == "/points"]
    assert [stamp_of_ros(d) for d in clouds] == [STAMP + i * 50_000_000 for i in range(3)]
    for i, cloud in enumerate(clouds):
        assert [(f.name, f.offset, f.datatype) for f in cloud.fields] == [("x", 0, 7), ("y", 4, 7), ("z", 8, 7)]
        np.testing.assert_array_equal(np.frombuffer(cloud.data, "<f4").reshape(-1, 3), points + i)
    odometry = [d for topic, _, d in decoded if topic == "/odom"][2]
    assert (odometry.child_frame_id, odometry.pose.pose.position.x) == ("base_link", 2.0)
    assert np.isclose(odometry.pose.pose.orientation.z, np.sin(0.1))
    transform = next(d for topic, _, d in decoded if topic == "/tf_static").transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("base_link", "lidar_top")
    assert np.isclose(transform.transform.rotation.w, np.cos(0.25))


def stamp_of_ros(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_folder_has_metadata_that_humble_reads(tmp_path: Path, storage: str, compression: str) -> None:
    write_everything(tmp_path / "bag", storage=storage, compression=compression)
    info = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert info["version"] == 8
    assert info["storage_identifier"] == storage
    assert all(isinstance(t["topic_metadata"]["offered_qos_profiles"], str) for t in info["topics_with_message_count"])
    assert [p.name for p in tmp_path.iterdir()] == ["bag"]
    with Reader(tmp_path / "bag") as reader:
        assert sum(1 for _ in reader.messages()) == 14


def test_lone_db3_is_a_database_of_that_name(tmp_path: Path) -> None:
    write_everything(tmp_path / "drive.db3")
    with sqlite3.connect(tmp_path / "drive.db3") as database:
        assert database.execute("select count(*) from messages").fetchone() == (14,)


def test_stamps_before_and_after_2038_survive() -> None:
    for stamp in (0, 999_999_999, STAMP, 2_147_483_647_000_000_001):
        assert stamp_of(cloud_message(layout(np.zeros((1, 3))), stamp, "lidar")) == stamp


def test_existing_bag_is_kept_unless_asked_and_a_plain_folder_always(tmp_path: Path) -> None:
    write_everything(tmp_path / "a.mcap")
    write_everything(tmp_path / "bag")
    before = (tmp_path / "a.mcap").read_bytes()
    for path in ("a.mcap", "bag"):
        with pytest.raises(BadBag, match="exists"):
            BagWriter(tmp_path / path)
        write_everything(tmp_path / path, sweeps=1, overwrite=True)
        with Reader(tmp_path / path) as reader:
            assert reader.message_count == 6
    assert (tmp_path / "a.mcap").read_bytes() != before
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(BadBag, match="no bag"):
        BagWriter(tmp_path / "home", overwrite=True)


def test_failed_overwrite_leaves_the_older_bag(tmp_path: Path) -> None:
    write_everything(tmp_path / "a.mcap")
    before = (tmp_path / "a.mcap").read_bytes()
    with pytest.raises(RuntimeError, match="no sweep"), BagWriter(tmp_path / "a.mcap", overwrite=True):
        raise RuntimeError("no sweep")
    assert (tmp_path / "a.mcap").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.mcap"]


@pytest.mark.parametrize("name", ["drive.mcap", "bag"])
def test_exception_leaves_a_readable_bag_of_what_was_written(tmp_path: Path, name: str) -> None:
    def write() -> None:
        with BagWriter(tmp_path / name) as bag:
            for i in range(5):
                bag.write("/class_set", string_message(str(i)), STAMP + i)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    with Reader(tmp_path / name) as reader:
        assert [t for _, t, _ in reader.messages()] == [STAMP + i for i in range(5)]
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_something_that_took_the_name_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    def write() -> None:
        with BagWriter(tmp_path / "a.mcap") as bag:
            bag.write("/class_set", string_message("mine"), STAMP)
            (tmp_path / "a.mcap").write_bytes(b"another program's")

    with pytest.raises(BadBag, match="finished bag lies in") as caught:
        write()
    assert (tmp_path / "a.mcap").read_bytes() == b"another program's"
    finished = next(tmp_path.glob("a.mcap.*.partial/a/a.mcap"))
    assert str(finished) in str(caught.value)
    with Reader(finished) as reader:
        assert reader.message_count == 1


CTRL_C = """
import sys
from clip2scene_ros.io.bag_messages import string_message
from clip2scene_ros.io.bag_writer import BagWriter
from clip2scene_ros.io.stamps import stamp_of
text = string_message("x" * 100_000)
with BagWriter(sys.argv[1]) as bag:
    for i in range(10**9):
        bag.write("/text", text, i)
        if i % 10 == 0:
            print(i, flush=True)
"""


@pytest.mark.parametrize("after", [10, 20, 30, 40])
def test_ctrl_c_at_any_moment_leaves_a_readable_bag_without_gaps(tmp_path: Path, after: int) -> None:
    path = tmp_path / "drive.mcap"
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    assert process.stdout is not None
    seen = 0
    while seen < after:
        seen = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate()
    watchdog.cancel()
    assert "KeyboardInterrupt" in stderr
    with Reader(path) as reader:
        stamps = [t for _, t, _ in reader.messages()]
    assert stamps == list(range(len(stamps)))
    assert len(stamps) > after


def test_writing_what_does_not_fit_says_so(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap") as bag:
        bag.write("/a", string_message("a"), STAMP)
        with pytest.raises(BadBag, match=r"/a .* is std_msgs/msg/String, but got nav_msgs/msg/Odometry"):
            bag.write("/a", odometry_message(np.eye(4), STAMP), STAMP)
        with pytest.raises(BadBag, match="does not fit"):
            bag.write("/b", string_message(7), STAMP)  # type: ignore[arg-type]
        with pytest.raises(BadBag, match="not known"):
            bag.write_raw("/c", "acme_msgs/msg/Secret", b"\0\1\0\0", STAMP)
    with Reader(tmp_path / "a.mcap") as reader:
        assert reader.message_count == 1


def test_settings_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadBag, match="none` or `zstd"):
        BagWriter(tmp_path / "a", compression="lz77")
    with pytest.raises(BadBag, match="mcap` or `sqlite3"):
        BagWriter(tmp_path / "a", storage="hdf5")
    with pytest.raises(BadBag, match="not open"):
        BagWriter(tmp_path / "a").write("/a", string_message("a"), STAMP)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadBag, match="Cannot write"), BagWriter(tmp_path / "file" / "a.mcap"):
        pass


def test_a_bag_without_messages_can_be_opened(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap"):
        pass
    with Reader(tmp_path / "a.mcap") as reader:
        assert reader.message_count == 0
