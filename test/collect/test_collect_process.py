"""The teacher's process ends when its parent does, also while it loads."""

from __future__ import annotations

import os
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
