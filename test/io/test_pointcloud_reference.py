"""Legal but unusual layouts, against a slow decoder that shares no code with ours (anchors E1.3)."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
from cloud_messages import message
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.io.pointcloud import PointFieldSpec, parse

CODES = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}


def slow_values(cloud: SimpleNamespace, name: str) -> list[Any]:
    """Return the field's values point by point, as the message definition says."""
    (field,) = (f for f in cloud.fields if f.name == name)
    order = ">" if cloud.is_bigendian else "<"
    return [
        struct.unpack_from(
            order + CODES[field.datatype], cloud.data, v * cloud.row_step + u * cloud.point_step + field.offset
        )[0]
        for v in range(cloud.height)
        for u in range(cloud.width)
    ]


def slow_words(cloud: SimpleNamespace, name: str) -> list[int]:
    """Return the bits of a FLOAT32 field; a decoder through Python floats would lose NaN payloads."""
    words = SimpleNamespace(**{**vars(cloud), "fields": [PointFieldSpec(f.name, f.offset, 6) for f in cloud.fields]})
    return slow_values(words, name)


@st.composite
def layouts(draw: st.DrawFn) -> SimpleNamespace:
    """Any cloud that PointCloud2 allows: shuffled, unaligned, padded, organised, either byte order, random bits."""
    single = draw(st.booleans())
    types = {name: 7 if single else draw(st.sampled_from([7, 8])) for name in "xyz"}
    types |= {
        name: draw(st.sampled_from([7, 8, 2, 4, 6, 3]))
        for name in draw(st.sets(st.sampled_from(["intensity", "skip"])))
    }
    types |= {name: draw(st.sampled_from([2, 4])) for name in draw(st.sets(st.just("ring")))}
    types |= {name: draw(st.sampled_from([5, 6])) for name in draw(st.sets(st.just("t")))}
    fields, offset = [], 0
    for name in draw(st.permutations(sorted(types))):
        offset += draw(st.integers(0, 3))
        count = draw(st.integers(1, 16)) if name == "skip" else 1
        fields.append(PointFieldSpec(name, offset, types[name], count))
        offset += struct.calcsize("<" + CODES[types[name]]) * count
    height, width = draw(st.integers(1, 4)), draw(st.integers(0, 6))
    point_step = offset + draw(st.integers(0, 5))
    row_step = width * point_step + (draw(st.integers(0, 50)) if height > 1 else draw(st.integers(0, point_step - 1)))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    data = noise.integers(0, 256, row_step * height, dtype=np.uint8).tobytes()
    fields = draw(st.permutations(fields))
    return message(
        fields,
        data,
        width=width,
        height=height,
        point_step=point_step,
        row_step=row_step,
        big_endian=draw(st.booleans()),
    )


@settings(max_examples=400)
@given(layouts())
def test_points_equal_the_slow_decoders_bit_for_bit(cloud: SimpleNamespace) -> None:
    scan = parse(cloud)
    assert len(scan) == cloud.width * cloud.height
    for column, name in enumerate("xyz"):
        if next(f.datatype for f in cloud.fields if f.name == name) == 7:
            assert scan.points[:, column].copy().view(np.uint32).tolist() == slow_words(cloud, name)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                expected = np.array(slow_values(cloud, name), np.float64).astype(np.float32)
            np.testing.assert_array_equal(scan.points[:, column], expected)


@settings(max_examples=200)
@given(layouts())
def test_rings_and_times_equal_the_slow_decoders(cloud: SimpleNamespace) -> None:
    scan, names = parse(cloud), [f.name for f in cloud.fields]
    assert ("ring" in names) == (scan.ring is not None)
    assert ("t" in names) == (scan.time_ns is not None)
    if scan.ring is not None:
        assert scan.ring.tolist() == slow_values(cloud, "ring")
    if scan.time_ns is not None:
        assert scan.time_ns.tolist() == slow_values(cloud, "t")


@settings(max_examples=200)
@given(layouts(), st.floats(1e-3, 65535.0))
def test_intensity_is_the_slow_value_over_the_scale_within_0_and_1(cloud: SimpleNamespace, scale: float) -> None:
    intensity = parse(cloud, CloudLimits(intensity_scale=scale)).intensity
    if not any(f.name == "intensity" for f in cloud.fields):
        assert not intensity.any()
        return
    expected = [0.0 if v != v else min(1.0, max(0.0, v / scale)) for v in slow_values(cloud, "intensity")]
    np.testing.assert_allclose(intensity, expected, rtol=1e-5, atol=1e-30)


@settings(max_examples=100)
@given(layouts(), st.integers(1, 30))
def test_clipping_takes_the_first_points_of_the_message(cloud: SimpleNamespace, most: int) -> None:
    np.testing.assert_array_equal(parse(cloud, CloudLimits(max_points=most)).points, parse(cloud).points[:most])
