from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clip2scene_ros.config import ImageLimits
from clip2scene_ros.errors import BadImage
from clip2scene_ros.io.image import decode_compressed, decode_raw
from clip2scene_ros.io.image_raw import known_encodings

LIMITS = ImageLimits(max_pixels=1_000_000, max_bytes=100_000)
SIZES = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))


@pytest.mark.filterwarnings("ignore")
def test_two_thousand_broken_images_raise_only_bad_image(project: Path) -> None:
    spec = importlib.util.spec_from_file_location("fuzz_images", project / "bench" / "fuzz_images.py")
    bench = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_images"] = bench
    spec.loader.exec_module(bench)
    bench.fuzz(100, seed=2)
    before = bench.peak_mb()
    report = bench.fuzz(2000, seed=1)
    assert report.unexpected == []
    assert report.bad_after == 0
    assert sum(report.reasons.values()) == 2000
    assert len(report.reasons) >= 14  # it does reach most of the checks ...
    assert 300 < report.reasons["decoded"] < 1500  # ... and the decoding behind them
    assert np.percentile(report.times_ms, 99) < 100
    assert bench.peak_mb() - before < 100


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(encoding=st.sampled_from(known_encodings()), width=SIZES, height=SIZES, step=SIZES, data=st.binary(max_size=600))
def test_any_raw_image_is_read_or_refused(encoding: str, width: int, height: int, step: int, data: bytes) -> None:
    message = SimpleNamespace(encoding=encoding, width=width, height=height, step=step, is_bigendian=0, data=data)
    reason = ""
    try:
        assert decode_raw(message, LIMITS).shape == (height, width, 3)
    except BadImage as error:
        reason = error.reason
    assert reason in ("", "empty", "too_many_pixels", "size", "step", "data_short", "data_long")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    start=st.sampled_from((b"\xff\xd8\xff", b"\xff\xd8\xff\xc0", b"\x89PNG\r\n\x1a\n")), rest=st.binary(max_size=400)
)
def test_any_bytes_behind_a_signature_are_refused(start: bytes, rest: bytes) -> None:
    with pytest.raises(BadImage):
        decode_compressed(start + rest, LIMITS)
