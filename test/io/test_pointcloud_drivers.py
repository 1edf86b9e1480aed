"""Field names, intensity scales and time units of the common drivers (docs/clouds.md)."""

from __future__ import annotations

import numpy as np
import pytest
from cloud_messages import of_table, table
from hypothesis import given
from hypothesis import strategies as st

from clip2scene_ros.config import CloudLimits
from clip2scene_ros.frame import Scan
from clip2scene_ros.io.pointcloud import parse

N = 4000
STAMP_NS = 1_700_000_000_123_456_789
SWEEP_NS = np.linspace(0, 99_900_000, N).astype(np.int64)
RING = (np.arange(N) % 32).astype(np.uint16)
BYTE = (np.arange(N) % 256).astype(np.uint8)
UNIT = BYTE.astype(np.float32) / 255.0


def read(**columns: np.ndarray) -> Scan:
    return parse(of_table(table(**columns), STAMP_NS))


def near(time_ns: np.ndarray | None, expected: np.ndarray, within_ns: float) -> None:
    assert time_ns is not None
    assert np.abs(time_ns - expected).max() <= within_ns


def test_velodyne() -> None:
    scan = read(intensity=BYTE.astype("f4"), ring=RING, time=(SWEEP_NS * 1e-9).astype("f4"))
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    assert np.array_equal(scan.ring, RING)
    near(scan.time_ns, SWEEP_NS, 10)  # float32 seconds


def test_velodyne_in_the_dark_keeps_the_scale_its_layout_tells() -> None:
    scan = read(intensity=np.full(N, 1.0, "f4"), ring=RING, time=np.zeros(N, "f4"))
    np.testing.assert_allclose(scan.intensity, 1 / 255, rtol=1e-6)


def test_velodyne_stamped_at_the_end_has_negative_times() -> None:
    near(read(time=((SWEEP_NS - 100_000_000) * 1e-9).astype("f4")).time_ns, SWEEP_NS - 100_000_000, 10)


@pytest.mark.parametrize("reflectivity", [BYTE, BYTE.astype(np.uint16)])
def test_ouster_takes_calibrated_reflectivity_before_raw_photons(reflectivity: np.ndarray) -> None:
    scan = read(
        intensity=np.linspace(0, 3000, N, dtype="f4"),
        t=SWEEP_NS.astype("u4"),
        reflectivity=reflectivity,
        ring=RING,
        ambient=np.zeros(N, "u2"),
        range=np.zeros(N, "u4"),
    )
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    assert np.array_equal(scan.time_ns, SWEEP_NS)
    assert np.array_equal(scan.ring, RING)


def test_ouster_of_old_firmware_has_16_bit_reflectivity() -> None:
    raw = np.linspace(0, 65535, N).astype(np.uint16)
    np.testing.assert_allclose(read(reflectivity=raw).intensity, raw / 65535, atol=1e-6)


def test_hesai_and_robosense() -> None:
    seconds = STAMP_NS * 1e-9 + SWEEP_NS * 1e-9
    scan = read(intensity=BYTE.astype("f4"), ring=RING, timestamp=seconds)
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    near(scan.time_ns, SWEEP_NS, 300)  # float64 seconds since 1970


def test_livox_driver_2() -> None:
    absolute = (STAMP_NS + SWEEP_NS).astype("f8")
    scan = read(intensity=BYTE.astype("f4"), tag=BYTE, line=(RING % 4).astype("u1"), timestamp=absolute)
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    assert np.array_equal(scan.ring, RING % 4)
    near(scan.time_ns, SWEEP_NS, 300)  # float64 nanoseconds since 1970


def test_livox_custom_converters() -> None:
    scan = read(reflectivity=BYTE, line=(RING % 4).astype("u1"), offset_time=SWEEP_NS.astype("u4"))
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    assert np.array_equal(scan.time_ns, SWEEP_NS)


def test_autoware() -> None:
    scan = read(intensity=BYTE, return_type=BYTE, channel=RING, time_stamp=SWEEP_NS.astype("u4"))
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    assert np.array_equal(scan.ring, RING)
    assert np.array_equal(scan.time_ns, SWEEP_NS)


def test_nuscenes_converters() -> None:
    scan = read(intensity=BYTE.astype("f4"), ring=RING.astype("f4"))
    np.testing.assert_allclose(scan.intensity, UNIT, atol=1e-6)
    assert np.array_equal(scan.ring, RING)
    assert scan.time_ns is None


@pytest.mark.parametrize("name", ["i", "intensity"])
def test_kitti_converters(name: str) -> None:
    scan = read(**{name: UNIT})
    assert np.array_equal(scan.intensity, UNIT)
    assert scan.ring is None
    assert scan.time_ns is None


def test_float_intensity_without_a_known_layout_is_judged_by_its_values() -> None:
    np.testing.assert_allclose(read(intensity=BYTE.astype("f4")).intensity, UNIT, atol=1e-6)
    np.testing.assert_allclose(read(intensity=BYTE.astype("f8")).intensity, UNIT, atol=1e-6)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1e30, -5.0])
def test_a_few_broken_points_do_not_change_the_others(broken: float) -> None:
    raw = UNIT.copy()
    raw[[5, 77, 1000]] = broken
    intensity = read(intensity=raw).intensity
    others = np.delete(np.arange(N), [5, 77, 1000])
    assert np.array_equal(intensity[others], UNIT[others])
    assert ((intensity >= 0) & (intensity <= 1)).all()
    assert intensity[5] == (1.0 if broken > 1 else 0.0)


def test_the_scale_can_be_set() -> None:
    scan = parse(of_table(table(intensity=np.array([0, 50, 100, 200], "f4"))), CloudLimits(intensity_scale=100.0))
    np.testing.assert_allclose(scan.intensity, [0, 0.5, 1, 1])


def test_no_intensity_is_zero() -> None:
    assert not read(label=BYTE).intensity.any()


@given(st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]), st.integers(0, 2**32 - 1))
def test_any_intensity_comes_out_within_0_and_1_and_in_order(kind: str, seed: int) -> None:
    raw = np.random.default_rng(seed).integers(0, 256, 8 * 50, dtype=np.uint8).view(kind)
    intensity = parse(of_table(table(intensity=raw))).intensity
    assert ((intensity >= 0) & (intensity <= 1)).all()
    whole = np.isfinite(raw)
    assert (np.diff(intensity[whole][np.argsort(raw[whole])]) >= 0).all()


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "u1", "i2"])
def test_rings_of_any_type(kind: str) -> None:
    raw = np.array([0, 1, 31, 127], kind)
    assert parse(of_table(table(ring=raw))).ring.tolist() == [0, 1, 31, 127]


def test_rings_that_do_not_fit_are_clipped() -> None:
    assert parse(of_table(table(ring=np.array([-3, 70_000], "i4")))).ring.tolist() == [0, 65535]
    assert parse(of_table(table(ring=np.array([np.nan, -1, 1e9], "f4")))).ring.tolist() == [0, 0, 65535]


@pytest.mark.parametrize(("unit_ns", "kind"), [(1e9, "f4"), (1e9, "f8"), (1e6, "f4"), (1e3, "f8"), (1.0, "f8")])
def test_float_offsets_in_any_unit(unit_ns: float, kind: str) -> None:
    near(read(time=(SWEEP_NS / unit_ns).astype(kind)).time_ns, SWEEP_NS, 10)


@pytest.mark.parametrize("unit_ns", [1e9, 1e3, 1.0])
def test_a_sensor_clock_counting_from_boot_puts_the_first_point_at_the_stamp(unit_ns: float) -> None:
    boot = 12_345_678_000_000
    near(read(timestamp=(boot + SWEEP_NS) / unit_ns).time_ns, SWEEP_NS, 10)


def test_broken_times_are_zero_and_change_no_other() -> None:
    seconds = (STAMP_NS + SWEEP_NS) * 1e-9
    seconds[[3, 500]] = np.nan, 0.0
    time_ns = read(timestamp=seconds).time_ns
    others = np.delete(np.arange(N), [3, 500])
    near(time_ns[others], SWEEP_NS[others], 500)
    assert time_ns[3] == 0
    assert abs(time_ns[500]) <= 10_000_000_000


def test_times_of_an_unknown_type_are_left_out() -> None:
    assert read(t=BYTE).time_ns is None


@given(st.sampled_from(["f4", "f8"]), st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1))
def test_any_bits_make_bounded_times(kind: str, seed: int, sec: int) -> None:
    raw = np.random.default_rng(seed).integers(0, 256, 8 * 20, dtype=np.uint8).view(kind)
    time_ns = parse(of_table(table(timestamp=raw), sec * 10**9)).time_ns
    assert np.abs(time_ns).max() <= 10_000_000_000
