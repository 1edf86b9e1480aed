"""The teacher's process ends when its parent does, also while it loads, and keeps no memory that it does not need."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.collect.process import RecorderProcess, Settings


def test_a_parent_that_is_gone_is_not_loaded_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "never")
    (tmp_path / "torch.py").write_text(f"open({str(tmp_path / 'never')!r}).read()\n")  # a load without end
    monkeypatch.syspath_prepend(str(tmp_path))
    process = RecorderProcess(Settings(CollectConfig(), tmp_path / "shards", ("points",)))
    with (tmp_path / "never").open("w"):  # opens when the process is about to read
        process._pipe.close()  # no signal, no word: as when the parent was killed
        process._process.join(30.0)
        code = process._process.exitcode
        process._process.kill()
    assert code == 1


GROWS = """
import sys
import numpy as np
from clip2scene_ros.collect.modesty import give_memory_back

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

if sys.argv[1] == "back":
    give_memory_back()
for megabytes in (2, 4, 8, 16):
    np.ones(megabytes << 17)  # made and freed: glibc learns to keep such
before, rng, large, small = resident_mb(), np.random.default_rng(0), [], []
for _ in range(60):
    large.append(np.ones(int(rng.integers(2 << 17, 4 << 17))))
    small.append(np.ones(1 << 12))
del large
print(resident_mb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps large blocks")
def test_large_blocks_that_are_freed_are_given_back() -> None:
    kept, back = (
        float(subprocess.run([sys.executable, "-c", GROWS, how], capture_output=True, check=True).stdout)
        for how in ("kept", "back")
    )
    assert kept > 100  # what it is about
    assert back < 10


POLICY = """
import os, sys
from clip2scene_ros.collect.modesty import take_what_is_left
take_what_is_left(int(sys.argv[1]))
print(os.sched_getscheduler(0))
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux has a policy for what nothing waits for")
def test_at_the_lowest_priority_nothing_waits_for_the_teacher() -> None:
    for nice, policy in ((10, os.SCHED_OTHER), (19, os.SCHED_IDLE)):
        run = subprocess.run([sys.executable, "-c", POLICY, str(nice)], capture_output=True, text=True, check=True)
        assert int(run.stdout) == policy
