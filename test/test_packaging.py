"""One tree for pip and colcon: what the wheel and the sdist hold, and that every list of dependencies is honest."""

from __future__ import annotations

import ast
import configparser
import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import clip2scene_ros

SHARE = "data/share/clip2scene_ros"
DISTRIBUTION = {"PIL": "pillow", "yaml": "pyyaml"}
"""Module -> the distribution that brings it, where the names differ."""

PROVIDED_BY_ROS_ONLY = {"launch", "launch_ros", "message_filters", "sensor_msgs_py", "tf2_ros", "ament_index_python"}
"""Without wheels: only what is started by ROS itself, or optional, may import them."""


def files_of(archive: Path) -> dict[str, int]:
    """Return the files in a wheel with their modes, the data prefix shortened to `data/`."""
    with zipfile.ZipFile(archive) as z:
        return {re.sub(r"^clip2scene_ros-[^/]*\.data/", "", n.filename): n.external_attr >> 16 for n in z.infolist()}


def tree(root: Path, *folders: str) -> set[str]:
    paths = (path for folder in folders for path in (root / folder).rglob("*"))
    return {p.relative_to(root).as_posix() for p in paths if p.is_file() and "__pycache__" not in p.parts}


def requirements(project: Path) -> dict[str, list[Requirement]]:
    """Return the requirements of setup.cfg: extra -> requirements, the empty extra for what is always installed."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(project / "setup.cfg")
    extras = dict(config["options.extras_require"])
    extras[""] = config["options"]["install_requires"]
    return {extra: [Requirement(line) for line in text.split("\n") if line] for extra, text in extras.items()}


def third_party_imports(*roots: Path) -> set[str]:
    names = set()
    for root in roots:
        for path in root.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"clip2scene_ros", "clip2scene_training"}


def test_the_wheel_holds_every_module_share_file_and_weight(source_copy: Path, wheel: Path) -> None:
    names = set(files_of(wheel))
    share = {f"data/share/clip2scene_ros/{name}" for name in tree(source_copy, "config", "launch")}
    modules = {n for n in tree(source_copy, "clip2scene_ros") if n.endswith((".py", ".typed"))}
    weights = tree(source_copy, "clip2scene_ros/weights")
    training = {n for n in tree(source_copy / "training", "clip2scene_training") if n.endswith((".py", ".typed"))}
    assert share | modules | weights | training <= names
    assert {"data/share/ament_index/resource_index/packages/clip2scene_ros", f"{SHARE}/package.xml"} <= names
    assert {n.split("/")[0] for n in names if not n.startswith(("clip2scene_ros-", "data/"))} == {
        "clip2scene_ros",
        "clip2scene_training",
    }


def test_executables_lie_where_ros2_run_looks_and_may_be_executed(wheel: Path) -> None:
    files = files_of(wheel)
    for name in ("segment_node", "evaluate_node", "collect_node", "clip2scene"):
        assert files[f"data/lib/clip2scene_ros/{name}"] & 0o111 == 0o111


def test_an_sdist_builds_the_same_wheel(source_copy: Path, wheel: Path, tmp_path: Path) -> None:
    backend = "import sys; from setuptools import build_meta as b; print(b.build_{}(sys.argv[1]))"
    run = [sys.executable, "-c", backend.format("sdist"), str(tmp_path)]
    subprocess.run(run, cwd=source_copy, check=True, capture_output=True, timeout=120)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    run = [sys.executable, "-c", backend.format("wheel"), str(tmp_path)]
    subprocess.run(run, cwd=tmp_path / sdist.name.removesuffix(".tar.gz"), check=True, capture_output=True, timeout=120)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert files_of(rebuilt) == files_of(wheel)


def test_one_version_everywhere(project: Path, wheel: Path) -> None:
    declared = ET.parse(project / "package.xml").findtext("version")
    assert declared == clip2scene_ros.__version__
    assert wheel.name.split("-")[1] == clip2scene_ros.__version__


def test_everything_says_apache(project: Path, wheel: Path) -> None:
    assert ET.parse(project / "package.xml").findtext("license") == "Apache-2.0"
    assert "Apache License" in (project / "LICENSE").read_text()
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(n).decode() for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        assert any(name.endswith("LICENSE") for name in archive.namelist())
    assert re.search(r"^License(-Expression)?: Apache-2\.0$", metadata, re.MULTILINE)
    assert "Requires-Python: >=3.10" in metadata


def test_package_xml_names_every_ros_package_that_is_used(project: Path) -> None:
    depends = {element.text for element in ET.parse(project / "package.xml").iter("exec_depend")}
    used = third_party_imports(project / "clip2scene_ros" / "nodes", project / "launch")
    ros = {
        n for n in used if n in PROVIDED_BY_ROS_ONLY or n == "rclpy" or n.endswith(("_msgs", "_srvs", "_interfaces"))
    }
    assert {"rclpy", "sensor_msgs", "launch_ros"} <= ros
    assert ros <= depends
    assert {"sensor_msgs_py", "message_filters"} <= depends


def test_pip_installs_whatever_the_code_imports(project: Path) -> None:
    wanted = requirements(project)
    installed = {canonicalize_name(r.name) for extra, group in wanted.items() if extra != "dev" for r in group}
    used = third_party_imports(project / "clip2scene_ros", project / "training") - PROVIDED_BY_ROS_ONLY
    # rclpy brings the messages that it uses itself.
    from_rclpy = {"rcl-interfaces", "rosgraph-msgs", "builtin-interfaces"}
    missing = set()
    for module in used:
        name = canonicalize_name(DISTRIBUTION.get(module, module))
        if name not in installed | from_rclpy and f"ros-{name}" not in installed:
            missing.add(module)
    assert missing == set()


def test_the_core_imports_only_what_is_always_installed(project: Path) -> None:
    always = {canonicalize_name(r.name) for r in requirements(project)[""]}
    used: set[str] = set()
    for part in sorted((project / "clip2scene_ros").iterdir()):
        if part.is_dir() and part.name != "nodes":
            used |= third_party_imports(part)
    assert "torch" in used
    assert {canonicalize_name(DISTRIBUTION.get(module, module)) for module in used} <= always


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_constraints_pin_every_requirement_within_its_range(project: Path, python: str) -> None:
    lines = (project / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(len(p.specifier) == 1 and str(p.specifier).startswith("==") and not p.url for p in pins)
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    mine = [p for p in pins if p.marker is None or p.marker.evaluate(environment)]
    versions = {canonicalize_name(p.name): str(p.specifier).removeprefix("==") for p in mine}
    assert len(versions) == len(mine), "a package is pinned twice"
    for extra, group in requirements(project).items():
        for requirement in group if extra != "ros-jazzy" else []:
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_make_says_what_to_do_where_no_python_is_usable(project: Path, tmp_path: Path) -> None:
    command = ["make", "setup", f"VENV={tmp_path / 'venv'}", "PYTHON=/bin/false"]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode != 0
    assert "no usable Python 3.10 to 3.13 (tried /bin/false)" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_make_help_names_every_command(project: Path) -> None:
    run = subprocess.run(["make"], cwd=project, capture_output=True, text=True, timeout=60, check=True)
    for command in ("demo", "test", "check", "setup", "bench-NAME", "clean"):
        assert f"make {command} " in run.stdout


def test_ci_is_an_executable_script_that_stops_at_the_first_failure(project: Path, tmp_path: Path) -> None:
    script = project / ".ci" / "run"
    assert os.access(script, os.X_OK)
    fake = tmp_path / "make"
    fake.write_text('#!/bin/sh\necho "$@" >> "$MADE"\n[ "$2" != check ]\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "MADE": str(tmp_path / "made")}
    run = subprocess.run([str(script)], env=environment, capture_output=True, timeout=60, check=False)
    assert run.returncode != 0
    assert (tmp_path / "made").read_text().splitlines() == ["--no-print-directory setup", "--no-print-directory check"]
