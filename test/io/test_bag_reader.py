"""Bags of every storage and compression are read; what is no bag is refused with a text that helps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap_ros2.writer import Writer as McapRos2Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from clip2scene_ros.errors import BadBag
from clip2scene_ros.io.bag_messages import string_message
from clip2scene_ros.io.bags import BagReader, BagWriter

STAMP = 1_700_000_000_000_000_000
TEXTS = [f"message {i} " + "x" * i for i in range(50)]


def write_with_rosbags(path: Path, storage: StoragePlugin, mode: CompressionMode, distribution: Stores) -> None:
    store = get_typestore(distribution)
    writer = Writer(path, version=9, storage_plugin=storage)
    if mode is not CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/text", "std_msgs/msg/String", typestore=store)
        for i, text in enumerate(TEXTS):
            message = store.types["std_msgs/msg/String"](data=text)
            writer.write(connection, STAMP + i, store.serialize_cdr(message, "std_msgs/msg/String"))


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        *((StoragePlugin.MCAP, mode) for mode in CompressionMode),
        *((StoragePlugin.SQLITE3, mode) for mode in CompressionMode if mode is not CompressionMode.STORAGE),
    ],
)
@pytest.mark.parametrize("distribution", [Stores.ROS2_HUMBLE, Stores.ROS2_KILTED])
def test_every_storage_compression_and_distribution_is_read(
    tmp_path: Path, storage: StoragePlugin, mode: CompressionMode, distribution: Stores
) -> None:
    write_with_rosbags(tmp_path / "bag", storage, mode, distribution)
    with BagReader(tmp_path / "bag") as bag:
        assert bag.topics == {"/text": ("std_msgs/msg/String", 50)}
        assert [(stamp, m.data) for stamp, m in bag.messages("/text")] == [
            (STAMP + i, text) for i, text in enumerate(TEXTS)
        ]


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD])
def test_lone_mcap_of_another_writer_with_a_type_of_its_own_is_read(
    tmp_path: Path, compression: CompressionType
) -> None:
    path = tmp_path / "drive.mcap"
    with path.open("wb") as stream:
        writer = McapRos2Writer(stream, compression=compression, chunk_size=1000)
        schema = writer.register_msgdef("acme_msgs/msg/Secret", "float32[] values\nstring name\n")
        for i in range(30):
            writer.write_message("/secret", schema, {"values": [i, 0.5], "name": f"n{i}"}, log_time=STAMP + i)
        writer.finish()
    with BagReader(path) as bag:
        assert bag.topics == {"/secret": ("acme_msgs/msg/Secret", 30)}
        messages = [m for _, m in bag.messages("/secret")]
    assert [m.name for m in messages] == [f"n{i}" for i in range(30)]
    assert [float(m.values[0]) for m in messages] == list(range(30))


def test_raw_messages_copied_to_another_bag_are_the_same_bytes(tmp_path: Path) -> None:
    write_with_rosbags(tmp_path / "bag", StoragePlugin.SQLITE3, CompressionMode.NONE, Stores.ROS2_JAZZY)
    with BagReader(tmp_path / "bag") as source, BagWriter(tmp_path / "copy.mcap") as target:
        for topic, msgtype, stamp_ns, data in source.raw():
            target.write_raw(topic, msgtype, data, stamp_ns, types=source.types)
    with BagReader(tmp_path / "bag") as source, BagReader(tmp_path / "copy.mcap") as copy:
        assert list(copy.raw()) == list(source.raw())


def test_real_rosbag2_has_ten_clouds(shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("data/rosbag2/trimmed_10msg")
    for path in (folder, folder / "trimmed_10msg.mcap"):
        with BagReader(path) as bag:
            assert bag.topics == {"/point_cloud": ("sensor_msgs/msg/PointCloud2", 10)}
            clouds = [m for _, m in bag.messages("/point_cloud")]
            assert 0.3 < bag.duration_s < 0.4
        assert [c.width for c in clouds[:2]] == [41098, 41117]
        assert all(len(c.data) == c.row_step * c.height for c in clouds)


def bag_of_text(path: Path) -> Path:
    with BagWriter(path) as bag:
        for i in range(200):
            bag.write("/text", string_message("y" * 50_000), STAMP + i)
    return path


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_mcap_is_refused(tmp_path: Path, share: float) -> None:
    whole = bag_of_text(tmp_path / "a.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadBag, match=r"cut\.mcap: (this mcap file is truncated|expected)"):
        BagReader(tmp_path / "cut.mcap").__enter__()


def test_flipped_bytes_give_bad_bag_or_other_text_but_nothing_else(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap", compression="zstd") as writer:
        for i in range(20):
            writer.write("/text", string_message(f"{i} " * 200), STAMP + i)
    whole = bytearray((tmp_path / "a.mcap").read_bytes())
    random = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        damaged = whole.copy()
        damaged[random.integers(len(damaged))] ^= 1 << int(random.integers(8))
        (tmp_path / "b.mcap").write_bytes(damaged)
        try:
            with BagReader(tmp_path / "b.mcap") as bag:
                for topic in bag.topics:
                    list(bag.messages(topic))
        except BadBag:
            refused += 1
    assert refused > 30


def test_what_is_no_bag_is_named_with_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_text("this is no mcap, but long enough to hold a header and a footer of one")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "folder").mkdir()
    cases = {
        "a.mcap": "expected an mcap file",
        "a.txt": "expected a ROS 2 bag",
        "folder": "no metadata.yaml",
        "absent": "No bag at",
    }
    for name, text in cases.items():
        with pytest.raises(BadBag, match=text) as caught:
            BagReader(tmp_path / name).__enter__()
        assert str(tmp_path / name) in str(caught.value)


def test_folder_whose_file_is_gone_or_whose_compression_is_unknown_is_refused(tmp_path: Path) -> None:
    write_with_rosbags(tmp_path / "bag", StoragePlugin.MCAP, CompressionMode.FILE, Stores.ROS2_KILTED)
    shutil.copytree(tmp_path / "bag", tmp_path / "brotli")
    metadata = tmp_path / "brotli" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("zstd\n", "brotli\n"))
    with pytest.raises(BadBag, match="brotli"):
        BagReader(tmp_path / "brotli").__enter__()
    next((tmp_path / "bag").glob("*.zstd")).unlink()
    with pytest.raises(BadBag, match="missing"):
        BagReader(tmp_path / "bag").__enter__()


def test_missing_topic_and_wrong_type_name_what_there_is(tmp_path: Path) -> None:
    with BagReader(bag_of_text(tmp_path / "a.mcap")) as bag:
        with pytest.raises(BadBag, match=r"expected topic /points, but found /text \(std_msgs/msg/String\)"):
            next(bag.messages("/points"))
        with pytest.raises(BadBag, match="expected /text to be sensor_msgs/msg/PointCloud2"):
            bag.require("/text", "sensor_msgs/msg/PointCloud2")
        with pytest.raises(BadBag, match="does not fit"):
            bag.decode("/text", "std_msgs/msg/String", b"\0\1\0\0\7")
    with pytest.raises(BadBag, match="not open"):
        _ = bag.topics


@pytest.mark.parametrize(
    ("text", "world"),
    [
        ('{"version": "world-0", "seed": 7, "seconds": 2.0}', {"version": "world-0", "seed": 7, "seconds": 2.0}),
        ('{"seed": 7}', None),
        ("hello world", None),
        ("[" * 100_000, None),
    ],
)
def test_a_bag_says_which_drive_it_is_and_a_foreign_topic_of_that_name_says_nothing(
    tmp_path: Path, text: str, world: dict[str, object] | None
) -> None:
    with BagWriter(tmp_path / "a.mcap") as bag:
        bag.write("/world", string_message(text), STAMP, latched=True)
    with BagReader(tmp_path / "a.mcap") as read:
        assert read.world() == world
