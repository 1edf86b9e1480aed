"""One tree for pip and colcon. Settings are in setup.cfg; here is what must be computed: packages and share files."""

import sys
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "clip2scene_ros"
SHARE = f"share/{PACKAGE}"

# colcon asks for the settings by a dry run and cannot read the object that this one becomes.
REQUIRES_PYTHON = {} if "--dry-run" in sys.argv else {"python_requires": ">=3.10"}


def share_files(folder: str) -> "list[tuple[str, list[str]]]":
    """Return one data_files entry for each folder below `folder`, keeping the tree's shape under share/."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    parents = sorted({path.parent for path in files})
    return [(f"{SHARE}/{parent.as_posix()}", [str(f) for f in files if f.parent == parent]) for parent in parents]


setup(
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"])
    + find_packages("training", include=["clip2scene_training", "clip2scene_training.*"]),
    package_dir={"clip2scene_training": "training/clip2scene_training"},
    package_data={PACKAGE: ["py.typed", "weights/*"], "clip2scene_training": ["py.typed"]},
    data_files=[
        # How ROS 2 finds a package, and where `ros2 run` and `ros2 launch` look for its executables.
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (SHARE, ["package.xml"]),
        (f"lib/{PACKAGE}", [str(path) for path in sorted(Path("scripts").iterdir()) if path.is_file()]),
        *share_files("config"),
        *share_files("launch"),
    ],
    **REQUIRES_PYTHON,
)
