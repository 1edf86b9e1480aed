"""Our reader against sensor_msgs_py.read_points, where a ROS installation brings it.

They agree on every layout without row padding. Where they must differ, sensor_msgs_py is wrong, slow or
changes its input; each such input has a test that says so.
"""

from __future__ import annotations

import copy
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cloud_messages import message, table
from cloud_messages import of_table as plain
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.errors import BadCloud
from clip2scene_ros.io.pointcloud import PointFieldSpec, parse

theirs = pytest.importorskip(
    "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py not installed: it comes with ROS, not from PyPI"
)
msg = pytest.importorskip("sensor_msgs.msg", reason="ROS messages not installed")


def ros(cloud: SimpleNamespace) -> Any:
    """Return the same cloud as a real sensor_msgs/PointCloud2."""
    result = msg.PointCloud2(
        height=cloud.height,
        width=cloud.width,
        fields=[msg.PointField(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in cloud.fields],
        is_bigendian=cloud.is_bigendian,
        point_step=cloud.point_step,
        row_step=cloud.row_step,
        is_dense=cloud.is_dense,
    )
    result.data = bytes(cloud.data)
    return result


def read_theirs(cloud: Any, **options: Any) -> np.ndarray:
    points = theirs.read_points(cloud, field_names=["x", "y", "z"], **options)
    return np.stack([points[name].astype(np.float32) for name in "xyz"], axis=-1).reshape(-1, 3)


def xyz(n: int, **extra: np.ndarray) -> SimpleNamespace:
    values = np.random.default_rng(0).normal(size=(3, n)).astype("f4")
    return plain(table(x=values[0], y=values[1], z=values[2], **extra))


@settings(max_examples=200)
@given(
    st.permutations(["x", "y", "z", "intensity", "ring"]),
    st.sampled_from(["<", ">"]),
    st.sampled_from(["f4", "f8"]),
    st.integers(0, 50),
    st.integers(1, 3),
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
)
def test_points_are_the_same_on_every_layout_both_can_read(
    names: list[str], order: str, kind: str, width: int, height: int, gaps: list[int]
) -> None:
    fields, offset = [], 0
    for name, gap in zip(names, gaps, strict=False):
        code = {"intensity": "f4", "ring": "u2"}.get(name, kind)
        fields.append(PointFieldSpec(name, offset + gap, {"f4": 7, "f8": 8, "u2": 4}[code]))
        offset += gap + int(code[1])
    step = offset + gaps[-1]
    data = np.random.default_rng(width).integers(0, 256, width * height * step, dtype=np.uint8).tobytes()
    cloud = message(fields, data, width=width, height=height, point_step=step, big_endian=order == ">")
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(parse(cloud).points, read_theirs(ros(cloud)))


def test_differ_row_padding_is_ignored_by_theirs() -> None:
    points = np.arange(24, dtype="<f4").reshape(2, 4, 3)
    rows = [row.tobytes() + bytes(12) for row in points]
    fields = [PointFieldSpec(name, 4 * i, 7) for i, name in enumerate("xyz")]
    cloud = message(fields, b"".join(rows), width=4, height=2, point_step=12, row_step=60)
    assert np.array_equal(parse(cloud).points, points.reshape(-1, 3))
    assert not np.array_equal(read_theirs(ros(cloud)), points.reshape(-1, 3))


def test_differ_big_endian_messages_are_changed_by_theirs() -> None:
    rows = table(x=np.arange(5, dtype=">f4"), y=np.arange(5, dtype=">f4"), z=np.arange(5, dtype=">f4"))
    cloud = ros(plain(rows, is_bigendian=True))
    whole = copy.deepcopy(cloud)
    first, second = parse(cloud).points, parse(cloud).points
    assert np.array_equal(first, second)
    all_fields = theirs.read_points(cloud)  # swapped in place
    assert all_fields["x"].tolist() == [0, 1, 2, 3, 4]
    assert cloud.data != whole.data
    assert theirs.read_points(cloud)["x"].tolist() != [0, 1, 2, 3, 4]


def test_differ_half_the_points_are_lost_by_theirs_when_width_is_too_small() -> None:
    cloud = xyz(10)
    cloud.width = 5
    assert len(read_theirs(ros(cloud))) == 5
    with pytest.raises(BadCloud):
        parse(cloud)


def test_differ_nan_points_are_dropped_or_kept_by_theirs_as_is_dense_says() -> None:
    cloud = plain(table(x=np.array([1, np.nan, np.inf, 4], "f4"), y=np.ones(4, "f4"), z=np.ones(4, "f4")))
    sizes = []
    for dense in (False, True):
        cloud.is_dense = dense
        sizes.append(len(read_theirs(ros(cloud), skip_nans=True)))
        assert len(parse(cloud)) == 4
    assert sizes == [3, 4]


def test_differ_long_fields_take_theirs_quadratic_time() -> None:
    fields = [PointFieldSpec(name, 4 * i, 7) for i, name in enumerate("xyz")] + [PointFieldSpec("f", 12, 2, 4096)]
    cloud = message(fields, bytes(4108), width=1, point_step=4108)
    start = time.perf_counter()
    with pytest.raises(BadCloud) as error:
        parse(cloud)
    ours = time.perf_counter() - start
    assert error.value.reason == "field_count"
    start = time.perf_counter()
    theirs.read_points(ros(cloud), field_names=["x", "y", "z"])
    assert time.perf_counter() - start > 20 * ours


@pytest.mark.parametrize(
    "changes",
    [
        {"fields": [PointFieldSpec("x", 0, 7)]},
        {"fields": [PointFieldSpec("x", 0, 7, 0), PointFieldSpec("y", 4, 7), PointFieldSpec("z", 8, 7)]},
        {"fields": [PointFieldSpec("x", 0, 99), PointFieldSpec("y", 4, 7), PointFieldSpec("z", 8, 7)]},
        {"point_step": 8, "row_step": 80},
        {"width": 2**31},
        {"width": 2**32 - 1},
    ],
)
def test_differ_what_theirs_raises_is_never_one_kind_of_error(changes: dict[str, Any]) -> None:
    cloud = xyz(10)
    vars(cloud).update(changes)
    with pytest.raises(BadCloud):
        parse(cloud)
    with pytest.raises((AssertionError, KeyError, TypeError, ValueError)) as error:
        read_theirs(ros(cloud))
    assert not isinstance(error.value, BadCloud)


@pytest.mark.parametrize(
    "fields",
    [
        [PointFieldSpec("x", 0, 7), PointFieldSpec("y", 2, 7), PointFieldSpec("z", 8, 7)],
        [*(PointFieldSpec(n, 4 * i, 7) for i, n in enumerate("xyz")), PointFieldSpec("", 12, 7)],
    ],
    ids=["overlap", "nameless"],
)
def test_differ_overlapping_and_nameless_fields_are_read_by_theirs(fields: list[PointFieldSpec]) -> None:
    cloud = message(fields, bytes(160), width=10, point_step=16)
    assert len(read_theirs(ros(cloud))) == 10
    with pytest.raises(BadCloud):
        parse(cloud)
