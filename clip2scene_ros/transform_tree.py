"""Named transforms joined into chains: what TF says of where sensors sit, checked; never the identity in silence."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from clip2scene_ros.errors import BadCalibration
from clip2scene_ros.frame import Array
from clip2scene_ros.geometry import check_rigid, invert, pose_from_quaternion
from clip2scene_ros.pose_buffer import KEEP_S, PoseBuffer

SHOWN = 40
"""Frames named in an error; a larger tree is not told whole."""


class TransformTree:
    """Transforms by the names of their frames, in any order, some late, some again.

    Those of /tf_static count for ever, those of /tf at their time. Names lose a leading slash, which ROS 1 put before
    them.

    Args:
        keep_s: how far back moving transforms are held; None holds all of a bag.
    """

    def __init__(self, keep_s: float | None = KEEP_S) -> None:
        self._keep_s = keep_s
        self._links: dict[tuple[str, str], Array | PoseBuffer] = {}
        self._joined: dict[str, dict[str, None]] = {}

    def add(self, parent: str, child: str, parent_from_child: Array) -> None:
        """Take in a (4, 4) transform; one of the same two frames takes the place of the earlier one.

        Raises:
            BadCalibration: frame (no name, or a frame in itself); what `check_rigid` finds. The tree is as it was.
        """
        parent, child = _names(parent, child)
        self._join(parent, child, check_rigid(parent_from_child, f"transform {parent} -> {child}"))

    def add_at(self, stamp_ns: int, parent: str, child: str, parent_from_child: Array) -> None:
        """Take in a (4, 4) transform that counts at its stamp, and is interpolated between two.

        Raises:
            BadCalibration: as `add`.
        """
        parent, child = _names(parent, child)
        checked = check_rigid(parent_from_child, f"transform {parent} -> {child}")
        link = self._links.get((parent, child))
        if not isinstance(link, PoseBuffer):
            link = PoseBuffer(self._keep_s)
            self._join(parent, child, link)
        link.add(stamp_ns, checked)

    def add_quaternion(self, parent: str, child: str, xyz: Sequence[float], xyzw: Sequence[float]) -> None:
        """Take in a transform as geometry_msgs/Transform has it.

        Raises:
            BadCalibration: frame, or what `pose_from_quaternion` finds (NaN, no unit quaternion).
        """
        where = f"transform {frame_name(parent)} -> {frame_name(child)}"
        self.add(parent, child, pose_from_quaternion(xyz, xyzw, where))

    def add_stamped(self, stamped: Any, stamp_ns: int | None) -> None:  # noqa: ANN401 - rclpy's or rosbags' message
        """Take in a geometry_msgs/TransformStamped: of /tf at its stamp, of /tf_static (None) for ever.

        Raises:
            BadCalibration: as `add_quaternion`.
        """
        parent, child = stamped.header.frame_id, stamped.child_frame_id
        move, turn = stamped.transform.translation, stamped.transform.rotation
        xyz, xyzw = (move.x, move.y, move.z), (turn.x, turn.y, turn.z, turn.w)
        if stamp_ns is None:
            self.add_quaternion(parent, child, xyz, xyzw)
        else:
            self.add_at(stamp_ns, parent, child, pose_from_quaternion(xyz, xyzw, f"transform {parent} -> {child}"))

    @property
    def frames(self) -> list[str]:
        """Return the names of all frames, sorted."""
        return sorted(self._joined)

    def joins(self, target: str, source: str) -> bool:
        """Return whether a chain of transforms leads from one frame to the other."""
        return bool(self._chain(frame_name(target), frame_name(source)))

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Array:
        """Return target_from_source (4, 4), composed along the chain between the two.

        Args:
            target: name of a frame.
            source: name of a frame.
            stamp_ns: when, where a link of the chain moves [ns].

        Raises:
            BadCalibration: no_transform; the text names the frames that each of the two is joined with. It may come
                yet: ask again when more transforms were added. Of a moving link: moving (no time was given), and what
                `PoseBuffer.at` finds.
        """
        target, source = frame_name(target), frame_name(source)
        chain = self._chain(target, source)
        if not chain:
            raise BadCalibration(
                "no_transform",
                f"No chain of transforms joins {target} and {source}: {self._side(target)}; {self._side(source)}. "
                "Publish the missing one on /tf_static, or give a calibration file.",
            )
        target_from_source = np.eye(4)
        for frame, following in pairwise(chain):
            target_from_source = self._step(following, frame, stamp_ns) @ target_from_source
        return target_from_source

    def _join(self, parent: str, child: str, link: Array | PoseBuffer) -> None:
        self._links.pop((child, parent), None)
        self._links[parent, child] = link
        self._joined.setdefault(parent, {})[child] = None
        self._joined.setdefault(child, {})[parent] = None

    def _step(self, target: str, source: str, stamp_ns: int | None) -> Array:
        """Return target_from_source of two frames that are joined by one link."""
        forward = self._links.get((target, source))
        link = self._links[source, target] if forward is None else forward
        if isinstance(link, PoseBuffer):
            if stamp_ns is None:
                raise BadCalibration("moving", f"{target} and {source} move against each other: say when.")
            link = link.at(stamp_ns)
        return invert(link) if forward is None else link

    def _chain(self, target: str, source: str) -> list[str]:
        """Return the frames from the source to the target, by the fewest links; none where nothing joins them."""
        came_from = self._reach(source)
        if target not in came_from:
            return []
        chain = [target]
        while chain[-1] != source:
            chain.append(came_from[chain[-1]])
        return chain[::-1]

    def _reach(self, source: str) -> dict[str, str]:
        """Return each frame that is joined with one -> the next frame on the way back to that one."""
        came_from = {source: source}
        queue = deque(came_from)
        while queue:
            frame = queue.popleft()
            for neighbour in self._joined.get(frame, ()):
                if neighbour not in came_from:
                    came_from[neighbour] = frame
                    queue.append(neighbour)
        return came_from

    def _side(self, frame: str) -> str:
        if frame not in self._joined:
            known = ", ".join(self.frames[:SHOWN]) or "none at all"
            return f"{frame} is in no transform (frames known: {known})"
        others = sorted(set(self._reach(frame)) - {frame})
        return f"{frame} is joined with {', '.join(others[:SHOWN])}"


def frame_name(name: str) -> str:
    """Return a frame's name as TF2 has it; ROS 1 put a slash before it, and converted bags still do."""
    return name.lstrip("/")


def _names(parent: str, child: str) -> tuple[str, str]:
    """Return the names of two frames.

    Raises:
        BadCalibration: frame.
    """
    parent, child = frame_name(parent), frame_name(child)
    if not parent or not child or parent == child:
        raise BadCalibration("frame", f"Transform {parent!r} -> {child!r}: expected the names of two frames.")
    return parent, child
