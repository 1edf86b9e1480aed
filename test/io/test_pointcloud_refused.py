"""Every way a header can contradict itself: the right reason, in under 1 ms, under 1 MB (anchors E1)."""

from __future__ import annotations

import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cloud_messages import message

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.errors import BadCloud
from clip2scene_ros.io.pointcloud import PointFieldSpec, parse

XYZI = [PointFieldSpec(name, 4 * i, 7) for i, name in enumerate(("x", "y", "z", "intensity"))]
BIG = (2**31 - 1, 2**31, 2**32 - 1)


def cloud(**changes: Any) -> SimpleNamespace:
    """Return a good cloud of 10 points with these attributes changed; None removes one."""
    good = message(list(XYZI), np.ones(40, "<f4").tobytes(), width=10, point_step=16)
    for name, value in changes.items():
        if value is REMOVED:
            delattr(good, name)
        else:
            setattr(good, name, value)
    return good


REMOVED = object()


def fields(*extra: PointFieldSpec, **first: Any) -> list[PointFieldSpec]:
    """Return x, y, z, intensity with x changed, and further fields."""
    x = PointFieldSpec(**{"name": "x", "offset": 0, "datatype": 7, "count": 1, **first})
    return [x, *XYZI[1:], *extra]


def stamp(sec: Any, nanosec: Any) -> SimpleNamespace:
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id="lidar")


MALFORMED = [
    ("point_step", {"point_step": 0}),
    ("width", {"point_step": 1}),
    ("field_offset", {"point_step": 1, "row_step": 10, "data": bytes(10)}),
    *(("row_step", {"point_step": big}) for big in BIG),
    ("row_step", {"row_step": 0}),
    ("row_step", {"row_step": 1}),
    *(("data_short", {"row_step": big}) for big in BIG),
    ("data_long", {"width": 0, "row_step": 0}),
    ("width", {"width": 0}),
    ("width", {"width": 1}),
    ("width", {"width": 5}),
    *(("row_step", {"width": big}) for big in BIG),
    ("data_long", {"height": 0}),
    *(("data_short", {"height": big}) for big in (2, *BIG)),
    ("data_short", {"data": b""}),
    ("data_short", {"data": bytes(159)}),
    ("data_long", {"data": bytes(176)}),
    ("data_type", {"data": "x" * 160}),
    ("data_type", {"data": None}),
    ("data_type", {"data": [0] * 160}),
    ("data_type", {"data": np.ones(160)}),
    ("data_type", {"data": np.ones(320, np.uint8)[::2]}),
    ("data_type", {"data": np.ones((16, 10), np.uint8)}),
    ("too_many_fields", {"fields": [PointFieldSpec(f"f{i}", 0, 2) for i in range(65)]}),
    ("too_many_fields", {"fields": [XYZI[0]] * 1_000_000}),
    ("field_count", {"fields": fields(count=0)}),
    ("field_count", {"fields": fields(count=17)}),
    ("field_count", {"fields": fields(count=2**17)}),
    ("field_count", {"fields": fields(count=2**32 - 1)}),
    ("duplicate_field", {"fields": fields(name="y")}),
    ("duplicate_field", {"fields": [*XYZI[:3], XYZI[0]]}),
    ("field_name", {"fields": fields(name="")}),
    ("field_name", {"fields": fields(name=None)}),
    ("field_name", {"fields": fields(name=b"x")}),
    ("field_name", {"fields": fields(name="x" * 10_000_000)}),
    ("overlap", {"fields": fields(offset=1)}),
    ("overlap", {"fields": fields(offset=0, datatype=8)}),
    ("overlap", {"fields": fields(count=2)}),
    ("overlap", {"fields": [*XYZI[:3], PointFieldSpec("intensity", 11, 2)]}),
    ("datatype", {"fields": fields(datatype=0)}),
    ("datatype", {"fields": fields(datatype=9)}),
    ("datatype", {"fields": fields(datatype=99)}),
    ("out_of_range", {"fields": fields(datatype=256)}),
    ("field_offset", {"fields": fields(PointFieldSpec("ring", 16, 4))}),
    ("field_offset", {"fields": fields(PointFieldSpec("ring", 15, 4))}),
    ("field_offset", {"fields": fields(offset=4_000_000_000)}),
    ("missing_field", {"fields": XYZI[:2]}),
    ("missing_field", {"fields": []}),
    ("xyz_type", {"fields": fields(datatype=5)}),
    ("xyz_type", {"fields": [PointFieldSpec("x", 0, 7, 2), PointFieldSpec("y", 8, 7), PointFieldSpec("z", 12, 7)]}),
    ("stamp", {"header": stamp(-1, 0)}),
    ("stamp", {"header": stamp(2**31, 0)}),
    ("stamp", {"header": stamp(0, 10**9)}),
    ("stamp", {"header": stamp(0, -1)}),
    ("stamp", {"header": stamp(0.5, 0)}),
    ("stamp", {"header": stamp(None, 0)}),
    ("attribute", {"header": None}),
    ("frame_id", {"header": SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id=3)}),
    ("frame_id", {"header": SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="x" * 10_000_000)}),
    ("endianness", {"is_bigendian": None}),
    ("endianness", {"is_bigendian": 2}),
    ("endianness", {"is_bigendian": np.ones(2)}),
    ("attribute", {"fields": None}),
    ("attribute", {"fields": 7}),
    ("attribute", {"fields": [None]}),
    *(("attribute", {name: REMOVED}) for name in ("width", "data", "fields", "header", "is_bigendian")),
    *(("out_of_range", {name: -1}) for name in ("width", "height", "point_step", "row_step")),
    *(("out_of_range", {name: 10**40}) for name in ("width", "height", "point_step", "row_step")),
    *(("not_integer", {"width": value}) for value in (None, "10", 10.0, [10], float("nan"), "9" * 10_000_000)),
]


@pytest.mark.parametrize(("reason", "changes"), MALFORMED, ids=lambda v: v if isinstance(v, str) else str(v)[:50])
def test_malformed_headers_are_refused_with_their_reason(reason: str, changes: dict[str, Any]) -> None:
    bad = cloud(**changes)
    with pytest.raises(BadCloud) as error:
        parse(bad)
    assert error.value.reason == reason
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("changes", [c for _, c in MALFORMED], ids=lambda v: str(v)[:50])
def test_refusing_takes_under_a_millisecond_and_a_megabyte(changes: dict[str, Any]) -> None:
    bad, seconds = cloud(**changes), []
    for _ in range(7):  # the best of seven: other programs run on this machine
        start = time.perf_counter()
        with pytest.raises(BadCloud):
            parse(bad)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1e-3
    tracemalloc.start()
    with pytest.raises(BadCloud):
        parse(bad)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_good_cloud_of_these_tests_is_good() -> None:
    assert len(parse(cloud())) == 10


@pytest.mark.parametrize("thing", [None, 3, "cloud", b"", [], object(), SimpleNamespace()])
def test_what_is_no_message_at_all_is_refused(thing: object) -> None:
    with pytest.raises(BadCloud) as error:
        parse(thing)
    assert error.value.reason == "attribute"


def test_properties_that_raise_are_refused() -> None:
    class Trap:
        @property
        def height(self) -> int:
            raise RuntimeError("boom")

    with pytest.raises(BadCloud) as error:
        parse(Trap())
    assert error.value.reason == "attribute"


def test_the_text_says_what_was_expected_and_what_came() -> None:
    with pytest.raises(BadCloud, match=r"Expected 160 bytes \(row_step 160 x 1\), but got 80"):
        parse(cloud(data=bytes(80)))


def test_a_field_limit_can_be_raised() -> None:
    many = [*XYZI, *(PointFieldSpec(f"f{i}", 16 + i, 2) for i in range(70))]
    wide = message(many, bytes(86), width=1, point_step=86)
    with pytest.raises(BadCloud):
        parse(wide)
    assert len(parse(wide, CloudLimits(max_fields=80))) == 1


def test_memory_for_a_million_points_is_bounded() -> None:
    n = 1_000_000
    big = message(list(XYZI), np.ones(4 * n, "<f4").tobytes(), width=n, point_step=16)
    tracemalloc.start()
    scan = parse(big, CloudLimits(max_points=500_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(scan) == 500_000
    assert peak < 500_000 * 40
