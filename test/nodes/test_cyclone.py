"""An independent DDS implementation sends clouds and reads the labels; its process holds no ROS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cyclonedds", reason="cyclonedds absent: install the `dev` extra")

BENCH = Path(__file__).resolve().parents[2] / "bench" / "cyclone.py"


def test_cyclone_sends_clouds_and_reads_the_labels(tiny_checkpoint: Path, tmp_path: Path):
    out = tmp_path / "result.json"
    command = [sys.executable, str(BENCH), "--clouds", "5", "--points", "4000", "--json", str(out)]
    done = subprocess.run(
        [*command, "--checkpoint", str(tiny_checkpoint)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(out.read_text()) == {"sent": 5, "points": 4000, "labelled": 5}
