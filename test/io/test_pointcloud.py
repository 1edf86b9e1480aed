from __future__ import annotations

import array
import copy
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cloud_messages import message, of_layout, of_table, table

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadCloud
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.io.pointcloud import (
    PointFieldSpec,
    clipped,
    pack,
    pack_ground_truth,
    pack_points,
    pack_rgb,
    parse,
    unpack_ground_truth,
    unpack_labels,
)

ODD = np.array([np.nan, np.inf, -np.inf, 1e30, -0.0, 1e-45, 1e6, 3.4e38], np.float32)


def a_scan(n: int = 1000, seed: int = 0, **extra: np.ndarray) -> Scan:
    rng = np.random.default_rng(seed)
    points = rng.normal(scale=30, size=(n, 3)).astype(np.float32)
    points[: min(n, 8), 0] = ODD[:n]
    return Scan(points, rng.random(n, dtype=np.float32), 3_000_000_007, "lidar_top", **extra)


def a_segmentation(n: int = 1000, seed: int = 1) -> Segmentation:
    rng = np.random.default_rng(seed)
    return Segmentation(
        rng.choice([0, 3, 14, 255], n).astype(np.uint8), rng.random(n, np.float32), rng.random(n, np.float32)
    )


def bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)


def test_label_cloud_has_autowares_layout() -> None:
    layout = pack(a_scan(), a_segmentation())
    assert [(f.name, f.offset, f.datatype, f.count) for f in layout.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
        ("class_id", 12, 2, 1),
        ("probability", 13, 7, 1),
        ("entropy", 17, 7, 1),
    ]
    assert (layout.point_step, layout.row_step, layout.width, len(layout.data)) == (21, 21_000, 1000, 21_000)


def test_labels_come_back_bit_for_bit() -> None:
    scan, seg = a_scan(), a_segmentation()
    points, back = unpack_labels(of_layout(pack(scan, seg)))
    assert (bits(points) == bits(scan.points)).all()
    for name in ("class_id", "probability", "entropy"):
        assert np.array_equal(getattr(back, name), getattr(seg, name))
        assert getattr(back, name).flags.c_contiguous
        assert getattr(back, name).flags.aligned


def test_packed_bytes_are_little_endian_at_the_stated_offsets() -> None:
    scan = Scan(np.array([[1.0, -2.0, 0.5]], np.float32), np.zeros(1, np.float32))
    seg = Segmentation(np.array([7], np.uint8), np.array([0.25], np.float32), np.array([1.0], np.float32))
    expected = bytes.fromhex("0000803f 000000c0 0000003f 07 0000803e 0000803f")
    assert bytes(pack(scan, seg).data) == expected


def test_packed_bytes_cannot_change_after_packing() -> None:
    scan, seg = a_scan(), a_segmentation()
    layout = pack(scan, seg)
    before = bytes(layout.data)
    scan.points[:] = 0
    assert layout.data.readonly
    assert bytes(layout.data) == before
    a = array.array("B")
    a.frombytes(layout.data)  # the portable fast way into a ROS message
    assert a.tobytes() == before


def test_a_segmentation_of_another_scan_is_refused() -> None:
    with pytest.raises(ValueError, match=r"class_id.*\(10,\).*\(9,\)"):
        pack(a_scan(10), a_segmentation(9))


def test_rgb_cloud_holds_the_palette_as_pcl_packs_it() -> None:
    palette = np.random.default_rng(2).integers(0, 256, (256, 3), dtype=np.uint8)
    scan, seg = a_scan(), a_segmentation()
    layout = pack_rgb(scan, seg, palette)
    assert [(f.name, f.offset, f.datatype) for f in layout.fields[3:]] == [("rgb", 12, 7)]
    rows = np.frombuffer(layout.data, np.uint8).reshape(-1, 16)
    assert np.array_equal(rows[:, 14:11:-1], palette[seg.class_id])  # blue lies first in memory
    assert (rows[:, 15] == 0).all()


def test_points_come_back_with_ring_and_time() -> None:
    rng = np.random.default_rng(3)
    ring, time = rng.integers(0, 32, 1000).astype(np.uint16), rng.integers(0, 50_000_000, 1000)
    scan = a_scan(ring=ring, time_ns=time)
    layout = pack_points(scan)
    assert [(f.name, f.offset, f.datatype) for f in layout.fields[3:]] == [
        ("intensity", 12, 7),
        ("ring", 16, 4),
        ("time", 18, 6),
    ]
    back = parse(of_layout(layout))
    assert (bits(back.points) == bits(scan.points)).all()
    assert np.array_equal(back.intensity, scan.intensity)
    assert np.array_equal(back.ring, ring)
    assert back.ring.dtype == np.uint16
    assert np.array_equal(back.time_ns, time)
    assert back.time_ns.dtype == np.int64
    assert (back.stamp_ns, back.frame_id) == (3_000_000_007, "lidar_top")


def test_times_before_the_stamp_come_back() -> None:
    scan = a_scan(3, time_ns=np.array([-50_000_000, -1, 2_000_000_000]))
    assert np.array_equal(parse(of_layout(pack_points(scan))).time_ns, scan.time_ns)


def test_times_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="within 2 s"):
        pack_points(a_scan(2, time_ns=np.array([-1, 2**31])))


def test_dark_scans_of_ours_keep_their_intensity() -> None:
    scan = Scan(np.ones((100, 3), np.float32), np.full(100, 0.001, np.float32))
    assert np.array_equal(parse(of_layout(pack_points(scan))).intensity, scan.intensity)


def test_ground_truth_comes_back() -> None:
    rng = np.random.default_rng(4)
    scan = a_scan()
    labels, instances = rng.integers(0, 256, 1000).astype(np.uint8), rng.integers(0, 65536, 1000).astype(np.uint16)
    points, labels_back, instances_back = unpack_ground_truth(of_layout(pack_ground_truth(scan, labels, instances)))
    assert (bits(points) == bits(scan.points)).all()
    assert np.array_equal(labels_back, labels)
    assert np.array_equal(instances_back, instances)


def test_a_cloud_without_labels_is_no_label_cloud() -> None:
    with pytest.raises(BadCloud) as error:
        unpack_labels(of_layout(pack_points(a_scan())))
    assert error.value.reason == "missing_field"


@pytest.mark.parametrize("n", [0, 1, 1_000_000])
def test_every_point_comes_out(n: int) -> None:
    scan = parse(of_layout(pack_points(a_scan(n))))
    assert scan.points.shape == (n, 3)
    assert scan.intensity.shape == (n,)


def test_an_empty_cloud_may_lack_everything() -> None:
    assert len(parse(message([], b"", width=0, height=0, point_step=0))) == 0
    assert len(parse(message([], b"", width=0, height=1, point_step=16))) == 0


def test_points_over_the_limit_are_clipped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    scan = a_scan(1000, ring=np.arange(1000, dtype=np.uint16))
    cloud, limits = of_layout(pack_points(scan)), CloudLimits(max_points=300)
    with caplog.at_level(logging.WARNING):
        back = parse(cloud, limits)
    assert np.array_equal(back.ring, np.arange(300))
    assert (bits(back.points) == bits(scan.points[:300])).all()
    assert clipped(cloud, limits) == 700
    assert clipped(cloud) == 0
    assert "1000" in caplog.text
    assert "300" in caplog.text


def test_clipping_an_organised_padded_cloud_keeps_row_order() -> None:
    rows = np.arange(7 * 5, dtype="f4").reshape(7, 5)
    data = b"".join(b"".join(np.array([v, 0, 0], "<f4").tobytes() for v in row) + b"\xff" * 9 for row in rows)
    fields = [PointFieldSpec(name, 4 * i, 7) for i, name in enumerate("xyz")]
    cloud = message(fields, data, width=5, height=7, point_step=12, row_step=69)
    assert parse(cloud, CloudLimits(max_points=13)).points[:, 0].tolist() == list(range(13))
    assert parse(cloud).points[:, 0].tolist() == list(range(35))


def test_pcl_padding_fields_may_repeat() -> None:
    fields = [PointFieldSpec(name, 4 * i, 7) for i, name in enumerate("xyz")]
    fields += [PointFieldSpec("_", 12, 2, 4), PointFieldSpec("intensity", 16, 7), PointFieldSpec("_", 20, 2, 12)]
    assert len(parse(message(fields, bytes(64), width=2, point_step=32))) == 2


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview, lambda b: array.array("B", b), np.array])
def test_any_container_of_bytes_is_read(container: Callable[[bytes], object]) -> None:
    cloud = of_layout(pack_points(a_scan()))
    raw = bytes(cloud.data)
    cloud.data = np.frombuffer(raw, np.uint8) if container is np.array else container(raw)
    assert (bits(parse(cloud).points) == bits(a_scan().points)).all()


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("double", ["f4", "f8"])
def test_the_message_is_never_changed(big_endian: bool, double: str) -> None:
    order = ">" if big_endian else "<"
    values = np.linspace(0, 250, 50)
    rows = table(**{n: values.astype(order + double) for n in ("x", "y", "z", "intensity", "t", "timestamp")})
    cloud = of_table(rows, is_bigendian=big_endian)
    cloud.data = bytearray(cloud.data)
    before, header = hashlib.sha256(cloud.data).digest(), copy.deepcopy({**vars(cloud), "data": None})
    first = parse(cloud)
    for values in (first.points, first.intensity, first.time_ns):
        if values.flags.writeable:
            values[:] = 99
    assert hashlib.sha256(cloud.data).digest() == before
    assert {**vars(cloud), "data": None} == header
    assert parse(cloud).points[1, 0] == np.float32(250 / 49)


def test_results_are_contiguous_and_native() -> None:
    rows = table(
        x=np.ones(9, ">f4"), y=np.ones(9, ">f4"), z=np.ones(9, ">f4"), i=np.ones(9, ">f8"), t=np.ones(9, ">u4")
    )
    scan = parse(of_table(rows, is_bigendian=True))
    for values, dtype in ((scan.points, "f4"), (scan.intensity, "f4"), (scan.time_ns, "i8")):
        assert values.dtype == np.dtype(dtype)
        assert values.dtype.isnative
        assert values.flags.c_contiguous


def test_doubles_that_float32_cannot_hold_become_infinite_without_warning() -> None:
    rows = table(x=np.array([1e300, -1e300, 1.0]), y=np.ones(3), z=np.ones(3))
    assert parse(of_table(rows)).points[:, 0].tolist() == [np.inf, -np.inf, 1.0]


def test_rosbags_and_rclpy_messages_are_read_alike() -> None:
    rosbags = pytest.importorskip("rosbags.typesys")
    store = rosbags.get_typestore(rosbags.Stores.ROS2_HUMBLE)
    layout = pack_points(a_scan())
    kinds = {
        name: store.types[f"{package}/msg/{name}"]
        for package, name in (
            ("builtin_interfaces", "Time"),
            ("std_msgs", "Header"),
            ("sensor_msgs", "PointField"),
            ("sensor_msgs", "PointCloud2"),
        )
    }
    sent = kinds["PointCloud2"](
        header=kinds["Header"](stamp=kinds["Time"](sec=3, nanosec=7), frame_id="lidar_top"),
        height=1,
        width=layout.width,
        fields=[
            kinds["PointField"](name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in layout.fields
        ],
        is_bigendian=False,
        point_step=layout.point_step,
        row_step=layout.row_step,
        data=np.frombuffer(layout.data, np.uint8),
        is_dense=True,
    )
    wire = store.serialize_cdr(sent, "sensor_msgs/msg/PointCloud2")
    received = store.deserialize_cdr(wire, "sensor_msgs/msg/PointCloud2")
    scans = [parse(received)]
    try:
        from rclpy.serialization import deserialize_message
        from sensor_msgs.msg import PointCloud2
    except ImportError:
        pass
    else:
        scans.append(parse(deserialize_message(bytes(wire), PointCloud2)))
    for scan in scans:
        assert (bits(scan.points) == bits(a_scan().points)).all()
        assert np.array_equal(scan.intensity, a_scan().intensity)
        assert (scan.stamp_ns, scan.frame_id) == (3_000_000_007, "lidar_top")


def test_real_depth_camera_clouds_are_read(shared_data: Callable[[str], Path]) -> None:
    rosbag2 = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    with rosbag2.Reader(shared_data("data/rosbag2/trimmed_10msg")) as bag:
        wanted = [c for c in bag.connections if c.msgtype == "sensor_msgs/msg/PointCloud2"]
        clouds = [store.deserialize_cdr(raw, c.msgtype) for c, _, raw in bag.messages(connections=wanted)]
    assert len(clouds) == 10
    for cloud in clouds:
        scan = parse(cloud)
        assert len(scan) == cloud.width * cloud.height
        assert scan.stamp_ns == cloud.header.stamp.sec * 10**9 + cloud.header.stamp.nanosec
        middle = len(scan) // 2
        raw = bytes(cloud.data)[middle * cloud.point_step :][:12]
        assert scan.points[middle].tobytes() == raw


def test_field_objects_may_be_of_any_kind() -> None:
    fields = [
        SimpleNamespace(name=n, offset=np.uint32(4 * i), datatype=np.uint8(7), count=1) for i, n in enumerate("xyz")
    ]
    cloud = message(fields, bytes(12), width=np.int64(1), point_step=np.uint32(12))
    assert parse(cloud).points.tolist() == [[0, 0, 0]]
