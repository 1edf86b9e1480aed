"""Finds the files that are installed beside the code: configurations, class sets, launch files."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "clip2scene_ros"


def share_roots(module: Path = Path(__file__)) -> Iterator[Path]:
    """Yield the folders that may hold the share files, nearest to the code first.

    1. The source tree: an editable install and `colcon build --symlink-install` run the code from there.
    2. `share/clip2scene_ros` under a parent of the code: where a wheel (`pip install`, also with --target or --user)
       and `colcon build` put it. The code's own place is asked before the interpreter's, since a colcon workspace and
       a `pip --target` folder are not the interpreter's prefix.
    3. The interpreter's prefix, and every prefix of AMENT_PREFIX_PATH.
    """
    source = module.resolve().parent.parent
    if (source / "package.xml").is_file():
        yield source
    for parent in (source, *source.parents[:4]):  # the longest way up is PREFIX/local/lib/python3.10/dist-packages
        yield parent / "share" / PACKAGE
    yield Path(sysconfig.get_path("data")) / "share" / PACKAGE
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            yield Path(prefix) / "share" / PACKAGE


def share_file(relative: str) -> Path:
    """Return the path of a share file such as `config/segment.yaml`.

    Where it exists nowhere, the path in the most likely place is returned, so that the caller's error names a real
    place.
    """
    roots = [root for root in share_roots() if root.is_dir()]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    return (roots or list(share_roots()))[0] / relative
