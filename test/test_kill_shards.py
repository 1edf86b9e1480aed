"""A writer of shards that is killed at any moment loses the frame in hand at most; the bench does it 200 times."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_ten_killed_writers_lose_a_frame_each_at_most(project: Path, tmp_path: Path) -> None:
    bench, out = project / "bench" / "kill_shards.py", tmp_path / "kills.json"
    flags = ("--kills", "10", "--full-kills", "0", "--flips", "0", "--appends", "0", "--seed", "1", "--json", str(out))
    run = subprocess.run([sys.executable, bench, *flags], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(out.read_text())["kills"]
    assert (found["kills"], found["menders_killed"], found["mended"]) == (10, 2, 10)
    assert found["wrong"] == []
    assert found["most_lost_by_a_kill"] <= 1
    assert found["begun"] >= found["kept"] >= found["appended"] > 10
    assert found["mending_ms"]["max"] < 1000
