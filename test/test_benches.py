"""Every bench still starts: benches run seldom, and a change elsewhere must not break them unseen."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHES = sorted((Path(__file__).resolve().parent.parent / "bench").glob("*.py"))
NEEDS = {"sparse": "spconv", "live": "rclpy", "cyclone": "cyclonedds", "world": "embreex"}
HELPERS = ("clouds", "labels_errors", "labels_score", "labels_teachers", "slips_bags", "slips_real", "sync_probes")
HELPERS += ("kill_shards_cost", "kill_shards_frames", "world_clouds")
HELPERS += ("vehicle_processes", "vehicle_report", "vehicle_sensors")
HELPERS += ("faults_drive", "faults_end", "faults_files", "faults_live", "faults_stage")
NEEDS |= {"collect": "rclpy", "sync": "rclpy", "sync_probes": "rclpy", "compare_noise": "embreex"}
NEEDS |= {"vehicle": "rclpy", "vehicle_sensors": "rclpy"}
NEEDS |= dict.fromkeys(("faults", "faults_drive", "faults_end", "faults_live", "faults_files", "faults_stage"), "rclpy")
NEEDS |= {"slips": "embreex", "slips_data": "embreex", "novelty": "embreex"}
NEEDS |= {"noisy_teacher": "embreex", "world_floor": "embreex", "world_realism": "embreex", "world_sheet": "embreex"}
NEEDS |= {"world_clouds": "embreex"}

NO_FIGURES = ("fuzz_clouds", "fuzz_images", "noisy_teacher", "overfit_kitti", "photo_sheet", "slips_data")
"""They make something, or end with an exit code: there is nothing to write as JSON."""


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_a_bench_explains_itself(path, monkeypatch, capsys):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    if path.stem in HELPERS:  # of the others: it only has to import
        monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
        runpy.run_path(str(path), run_name=path.stem)
        return
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    monkeypatch.setattr(sys, "argv", [path.name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code in (0, None)
    assert "--json" in capsys.readouterr().out or path.stem in NO_FIGURES
