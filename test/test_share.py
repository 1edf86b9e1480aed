"""Share files are found from every kind of installation, started outside the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from clip2scene_ros.share import share_file

WHERE = """
import clip2scene_ros.share as share, clip2scene_ros.classes as classes
print(share.__file__)
print(share.share_file("config/segment.yaml").resolve(strict=True))
print(share.share_file("launch/segment.launch.py").resolve(strict=True))
print(",".join(classes.load_class_set("world").names))
"""
PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OURS_ALONE = ["install", "--no-deps", "--no-index"]
SITE = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"


def where(python: str | Path, **environment: str) -> tuple[Path, Path, str]:
    """Run the installed package from / and return its code's path, its configuration's path and the world's classes."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "AMENT_PREFIX_PATH")}
    run = subprocess.run(
        [str(python), "-c", WHERE], cwd="/", env={**clean, **environment}, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    code, config, launch, names = run.stdout.splitlines()
    assert Path(launch).parents[1] == Path(config).parents[1]
    return Path(code), Path(config), names


@pytest.fixture
def empty_venv(tmp_path: Path) -> Path:
    """Return the Python of a fresh venv that sees the packages of this one, but not our own editable install."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    (venv / SITE / "packages_of_the_test_run.pth").write_text(sysconfig.get_path("purelib"))
    return venv / "bin" / "python"


@pytest.fixture(scope="module")
def world_names(project: Path) -> str:
    from clip2scene_ros.classes import load_class_set

    return ",".join(load_class_set(str(project / "config" / "classes" / "world.yaml")).names)


def test_from_a_wheel(wheel: Path, empty_venv: Path, world_names: str) -> None:
    subprocess.run([*PIP, "--python", str(empty_venv), *OURS_ALONE, str(wheel)], check=True, timeout=120)
    code, config, names = where(empty_venv)
    prefix = empty_venv.parents[1].resolve()
    assert code == prefix / SITE / "clip2scene_ros" / "share.py"
    assert config == prefix / "share" / "clip2scene_ros" / "config" / "segment.yaml"
    assert names == world_names
    for script in (prefix / "bin" / "clip2scene", prefix / "lib" / "clip2scene_ros" / "clip2scene"):
        path = {**os.environ, "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}"}
        run = subprocess.run([script, "--help"], cwd="/", env=path, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        assert "evaluate" in run.stdout


@pytest.mark.parametrize("option", ["--target", "--prefix"])
def test_from_a_folder_that_is_not_the_interpreters(wheel: Path, tmp_path: Path, world_names: str, option: str) -> None:
    """`--prefix` has the layout of a colcon workspace's install/clip2scene_ros."""
    place = tmp_path / "install"
    subprocess.run([*PIP, *OURS_ALONE, option, str(place), "--ignore-installed", str(wheel)], check=True, timeout=120)
    site = place if option == "--target" else place / SITE
    code, config, names = where(sys.executable, PYTHONPATH=str(site))
    assert code == site / "clip2scene_ros" / "share.py"
    assert config == place / "share" / "clip2scene_ros" / "config" / "segment.yaml"
    assert names == world_names


def test_from_an_editable_install(source_copy: Path, empty_venv: Path, world_names: str) -> None:
    """pip drops share files from editable installs: the source tree has them."""
    editable = [*OURS_ALONE, "--no-build-isolation", "--editable", str(source_copy)]
    subprocess.run([*PIP, "--python", str(empty_venv), *editable], check=True, timeout=120)
    code, config, names = where(empty_venv)
    assert code == source_copy / "clip2scene_ros" / "share.py"
    assert config == source_copy / "config" / "segment.yaml"
    assert names == world_names
    run = "import clip2scene_training.world; print(clip2scene_training.world.__file__)"
    out = subprocess.run([empty_venv, "-c", run], cwd="/", check=True, capture_output=True, text=True, timeout=60)
    assert Path(out.stdout.strip()).is_relative_to(source_copy)


def test_from_an_ament_prefix_where_the_code_has_none(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = tmp_path / "ws" / "share" / "clip2scene_ros" / "config" / "only_here.yaml"
    extra.parent.mkdir(parents=True)
    extra.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'nothing'}{os.pathsep}{tmp_path / 'ws'}")
    assert share_file("config/only_here.yaml") == extra


def test_a_file_that_is_nowhere_gets_a_path_for_the_error(project: Path) -> None:
    assert share_file("config/no_such.yaml") == project / "config" / "no_such.yaml"
