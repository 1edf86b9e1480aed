"""Named transforms joined into chains: what TF says of where sensors sit, checked; never the identity in silence."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import Array
from clip2scene_ros.geometry import check_rigid, invert, pose_from_quaternion

SHOWN = 40
"""Frames named in an error; a larger tree is not told whole."""


class TransformTree:
    """Static transforms by the names of their frames, as /tf_static sends them: in any order, some late, some again.

    Names lose a leading slash, which ROS 1 put before them.
    """

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, Array]] = {}

    def add(self, parent: str, child: str, parent_from_child: Array) -> None:
        """Take in a (4, 4) transform; one of the same two frames takes the place of the earlier one.

        Raises:
            BadCalibration: frame (no name, or a frame in itself); what `check_rigid` finds. The tree is as it was.
        """
        parent, child = frame_name(parent), frame_name(child)
        if not parent or not child or parent == child:
            raise BadCalibration("frame", f"Transform {parent!r} -> {child!r}: expected the names of two frames.")
        checked = check_rigid(parent_from_child, f"transform {parent} -> {child}")
        self._edges.setdefault(parent, {})[child] = checked
        self._edges.setdefault(child, {})[parent] = invert(checked)

    def add_quaternion(self, parent: str, child: str, xyz: Sequence[float], xyzw: Sequence[float]) -> None:
        """Take in a transform as geometry_msgs/Transform has it.

        Raises:
            BadCalibration: frame, or what `pose_from_quaternion` finds (NaN, no unit quaternion).
        """
        where = f"transform {frame_name(parent)} -> {frame_name(child)}"
        self.add(parent, child, pose_from_quaternion(xyz, xyzw, where))

    @property
    def frames(self) -> list[str]:
        """Return the names of all frames, sorted."""
        return sorted(self._edges)

    def joins(self, target: str, source: str) -> bool:
        """Return whether a chain of transforms leads from one frame to the other."""
        return self._found(target, source) is not None

    def lookup(self, target: str, source: str) -> Array:
        """Return target_from_source (4, 4), composed along the chain between the two.

        Raises:
            BadCalibration: no_transform; the text names the frames that each of the two is joined with. It may come
                yet: ask again when more transforms were added.
        """
        found = self._found(target, source)
        if found is None:
            target, source = frame_name(target), frame_name(source)
            raise BadCalibration(
                "no_transform",
                f"No chain of transforms joins {target} and {source}: {self._side(target)}; {self._side(source)}. "
                "Publish the missing one on /tf_static, or give a calibration file.",
            )
        return found

    def _found(self, target: str, source: str) -> Array | None:
        target, source = frame_name(target), frame_name(source)
        if target == source:
            return np.eye(4)
        return self._reach(source).get(target)

    def _reach(self, source: str) -> dict[str, Array]:
        """Return frame -> frame_from_source for all frames that are joined with one, by the fewest links."""
        reached: dict[str, Array] = {source: np.eye(4)}
        queue = deque(reached)
        while queue:
            frame = queue.popleft()
            for neighbour, frame_from_neighbour in self._edges.get(frame, {}).items():
                if neighbour not in reached:
                    reached[neighbour] = invert(frame_from_neighbour) @ reached[frame]
                    queue.append(neighbour)
        return reached

    def _side(self, frame: str) -> str:
        if frame not in self._edges:
            known = ", ".join(self.frames[:SHOWN]) or "none at all"
            return f"{frame} is in no transform (frames known: {known})"
        others = sorted(set(self._reach(frame)) - {frame})
        return f"{frame} is joined with {', '.join(others[:SHOWN])}"


def frame_name(name: str) -> str:
    """Return a frame's name as TF2 has it; ROS 1 put a slash before it, and converted bags still do."""
    return name.lstrip("/")
