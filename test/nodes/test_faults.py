"""A tenth of `bench/faults.py`: the faults really happen, the diagnostics name them, and all is well again.

How soon is the bench's affair: a test must not fail since a machine is busy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 300.0
QUICK = ("--hold", "0.1", "--cycles", "5", "--sigints", "5", "--overload", "40")


def faults(project: Path, folder: Path, only: str) -> dict[str, dict[str, Any]]:
    """Run the bench; return what became of each fault."""
    out = folder / "faults.json"
    command = [sys.executable, str(project / "bench" / "faults.py"), *QUICK, "--only", only, "--json", str(out)]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(100 + os.getpid() % 100)}  # the machine may have other vehicles
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, cwd=folder, check=False
    )
    assert out.exists(), run.stdout + run.stderr
    rows: list[dict[str, Any]] = json.loads(out.read_text())["rows"]
    assert all(row["held"] for row in rows), run.stdout + run.stderr
    return {row["fault"]: row for row in rows}


def test_the_segmenter_tells_of_stamps_checkpoints_and_overload(project: Path, tmp_path: Path) -> None:
    seen = faults(project, tmp_path, "segment-stamps,segment-overload,segment-cycles,checkpoints")
    assert len(seen) == 5 + 1 + 1 + 4
    for fault in ("bag loop", "stamps back 20 s", "stamps ahead 1 h"):
        assert (seen[fault]["level"], "time_jumps" in seen[fault]["said"]) == ("WARN", True)
        assert seen[fault]["lost"] == "nothing"
    assert "dropped.duplicate_stamp" in seen["duplicate stamps"]["lost"]
    assert "superseded" in seen["overload three times"]["lost"]
    assert seen["checkpoint is a pickle"]["level"] == "ERROR"


def test_the_collector_tells_of_cameras_images_disks_and_calibration(project: Path, tmp_path: Path) -> None:
    seen = faults(project, tmp_path, "collect-camera,collect-images,collect-disks,calibration")
    assert (seen["camera dies and returns"]["level"], "cam_left" in seen["camera dies and returns"]["said"]) == (
        "WARN",
        True,
    )
    assert "images_bad.cam_left: truncated" in seen["truncated JPEG"]["said"]
    assert "images_bad.cam_left: size" in seen["changed image size"]["said"]
    failing = seen["disk fails (EIO)"]
    assert (failing["level"], "paused" in failing["said"]) == ("ERROR", True)
    if os.geteuid() == 0 and "disk full" in seen:  # a small disk can be mounted here
        assert "the disk is full" in seen["disk full"]["said"]
    assert "no rotation" in seen["calibration is no rotation"]["said"]
    assert "NaN" in seen["calibration is NaN"]["said"]


@pytest.mark.parametrize("node", ["segment", "collect"])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(node: str, project: Path, tmp_path: Path) -> None:
    (seen,) = faults(project, tmp_path, f"{node}-sigints").values()
    assert seen["lost"].startswith("exit codes [0]")
