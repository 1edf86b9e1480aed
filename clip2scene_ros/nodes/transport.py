"""Gives our own processes a shared-memory transport that large clouds fit through.

Fast DDS shares 0.5 MB between two processes by default; a cloud of 34 000 points has that size, and
what does not fit is lost when the topic is best effort. `config/fastdds.xml` raises it to 64 MB. It
acts on what a process *sends*, so the LiDAR driver or bag player needs it as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import MutableMapping
from importlib import metadata
from pathlib import Path

from clip2scene_ros.share import share_file

PROFILE = "config/fastdds.xml"
VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Kilted reads the first and complains of the second; Jazzy and Humble read the second."""

FIRST_RCLPY_WITH_NEW_NAME = 8
"""Major version of rclpy: 9 is Kilted, 7 Jazzy, 3 Humble."""


CHOSEN_BY_USER = (*VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS", "ROS_DISCOVERY_SERVER")
SHARED_MEMORY_NEEDED_BYTES = 192 * 1024 * 1024
"""Three processes (driver, node, viewer) with a segment of 64 MB each."""


def use_profile(environment: MutableMapping[str, str] = os.environ) -> Path | None:
    """Point Fast DDS at our profile, for this process and its children; return it, or None where it is not used.

    Must come before `rclpy.init`. Nothing is touched where the user has chosen a profile, transports or another
    middleware, or where the profile is not installed.
    """
    if any(environment.get(name) for name in CHOSEN_BY_USER):
        return None
    if not environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps"):
        return None
    profile = share_file(PROFILE)
    if not profile.is_file():
        return None
    for name in VARIABLES[:1] if _rclpy_major() >= FIRST_RCLPY_WITH_NEW_NAME else VARIABLES:
        environment[name] = str(profile)
    return profile


def _rclpy_major() -> int:
    for distribution in ("ros-rclpy", "rclpy"):  # the wheel's name and the name in a sourced ROS installation
        with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
            return int(metadata.version(distribution).split(".")[0])
    return FIRST_RCLPY_WITH_NEW_NAME


def shared_memory_warning(folder: str = "/dev/shm") -> str:  # noqa: S108 - the place where DDS keeps its segments
    """Return what to change where there is too little shared memory for the profile, or an empty string."""
    try:
        total = shutil.disk_usage(folder).total
    except OSError:
        return ""
    if total >= SHARED_MEMORY_NEEDED_BYTES:
        return ""
    return (
        f"{folder} has {total / 2**20:.0f} MB, but {PROFILE} asks for 64 MB a process: clouds will go over UDP and may "
        "be lost. In a container: `docker run --shm-size=512m --ipc=host`."
    )
