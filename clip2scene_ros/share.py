"""Finds the files that are installed beside the code: configurations, class sets, launch files."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

PACKAGE = "clip2scene_ros"


def share_file(relative: str) -> Path:
    """Return the path of a share file such as `config/segment.yaml`.

    Looked for in the source tree (editable install, colcon --symlink-install), in the environment's
    `share/clip2scene_ros` (wheel), and in every prefix of AMENT_PREFIX_PATH (colcon). The source
    tree's path is returned when none exists, so that the caller's error names a real place.
    """
    source = Path(__file__).resolve().parent.parent
    roots = [source] if (source / "package.xml").is_file() else []
    roots.append(Path(sysconfig.get_path("data")) / "share" / PACKAGE)
    roots += [
        Path(prefix) / "share" / PACKAGE
        for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        if prefix
    ]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    return roots[0] / relative
