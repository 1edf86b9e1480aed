from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np


def test_ten_thousand_malformed_clouds_raise_only_bad_cloud(project: Path) -> None:
    spec = importlib.util.spec_from_file_location("fuzz_clouds", project / "bench" / "fuzz_clouds.py")
    bench = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_clouds"] = bench
    spec.loader.exec_module(bench)
    bench.fuzz(200, seed=2)
    before = bench.peak_mb()
    report = bench.fuzz(10_000, seed=1)
    assert report.unexpected == []
    assert report.bad_after == 0
    assert sum(report.reasons.values()) == 10_000
    assert len(report.reasons) >= 20  # it does reach most of the checks ...
    assert 1000 < report.reasons["accepted"] < 5000  # ... and the decoding behind them
    assert np.percentile(report.times_ms, 99) < 1.0
    assert bench.peak_mb() - before < 50
