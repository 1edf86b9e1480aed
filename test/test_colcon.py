"""The same tree built by colcon, where colcon is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WHERE = """
import clip2scene_ros.share as share, clip2scene_training
print(share.__file__)
print(clip2scene_training.__file__)
print(share.share_file("config/segment.yaml").resolve(strict=True))
"""

pytestmark = pytest.mark.skipif(shutil.which("colcon") is None, reason="colcon is not installed")


@pytest.fixture(params=[(), ("--symlink-install",)], ids=["copied", "linked"])
def workspace(request: pytest.FixtureRequest, source_copy: Path, tmp_path: Path) -> Path:
    """Return a workspace with our package built in it."""
    (tmp_path / "src").mkdir()
    shutil.copytree(source_copy, tmp_path / "src" / "clip2scene_ros")
    run = subprocess.run(
        ["colcon", "build", *request.param], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return tmp_path


def sourced(workspace: Path) -> dict[str, str]:
    """Return the environment after `source install/setup.bash`."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "AMENT_PREFIX_PATH")}
    script = f"source {workspace / 'install' / 'setup.bash'} && env -0"
    run = subprocess.run(["bash", "-c", script], env=clean, capture_output=True, text=True, timeout=60, check=True)
    return dict(line.split("=", 1) for line in run.stdout.split("\0") if "=" in line)


def test_a_sourced_workspace_has_code_share_files_and_executables(workspace: Path) -> None:
    environment = sourced(workspace)
    install = workspace / "install" / "clip2scene_ros"
    assert environment["AMENT_PREFIX_PATH"].split(":")[0] == str(install)
    run = subprocess.run(
        [sys.executable, "-c", WHERE], cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert all(Path(line).is_relative_to(workspace) for line in run.stdout.splitlines())
    for name in ("segment_node", "evaluate_node", "collect_node", "clip2scene"):
        assert os.access(install / "lib" / "clip2scene_ros" / name, os.X_OK)
    for relative in ("package.xml", "launch/segment.launch.py", "config/classes/world.yaml", "config/fastdds.xml"):
        assert (install / "share" / "clip2scene_ros" / relative).exists()
    assert (install / "share/ament_index/resource_index/packages/clip2scene_ros").exists()


def test_an_installed_executable_starts(workspace: Path) -> None:
    executable = workspace / "install" / "clip2scene_ros" / "lib" / "clip2scene_ros" / "clip2scene"
    run = subprocess.run(
        [executable, "--help"], cwd="/", env=sourced(workspace), capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "evaluate" in run.stdout
