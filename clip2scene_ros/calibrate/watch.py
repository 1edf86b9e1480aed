"""Watches the calibration of every camera while driving: does it fit, has the camera slipped, or is it unknown?

No ROS and no clock: it is fed with scans and views, and time is what their stamps say.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from clip2scene_ros.alignment import EdgePair, depth_edges
from clip2scene_ros.alignment_fit import ANGLES_DEG, FITS, SLIPPED, UNKNOWN, CameraFit, Judgement
from clip2scene_ros.frame import NS_PER_S, Array, Frame, View

EVERY_S = 1.0
"""A camera is looked at no more often: the next image shows the same edges again."""
MOVED_M = 1.0
"""Nor before the vehicle has come this far: at a red light the same chance would count again and again."""
LOOKS = (8, 15, 30, 60)
"""The latest so many views are asked: few find a large slip soon, a minute's worth finds a small one."""
BACK_ERRORS = 3.0
"""By how many standard errors the calibration must beat the turn that was found before a camera is believed again. What
`fits` asks, 2, is met by chance now and then by a camera that is turned by half a degree, and it is asked for hours."""


@dataclass
class _Camera:
    """The views of a camera since it was last thought otherwise of, and what they say."""

    fit: CameraFit = field(default_factory=lambda: CameraFit(max(LOOKS)))
    stamp_ns: int | None = None
    place: Array | None = None
    judgement: Judgement = field(default_factory=Judgement)
    slip: tuple[int, int] | None = None
    """Where in `Judgement.leads` the turn stands by which it slipped; None where it has not."""

    def judge(self) -> None:
        """Judge anew after a look.

        A change of mind is a change of evidence. What was seen before a slip was found says nothing of when it ends:
        views of a camera that was right would end it at once, views of the slip would hide its end for a minute.
        """
        counts = sorted({min(look, len(self.fit)) for look in LOOKS}) if len(self.fit) >= LOOKS[0] else []
        looks = [self.fit.judge(count) for count in counts]
        slip = next((look for look in looks if look.state == SLIPPED), None)
        if self.slip is None:
            self.judgement = slip or (looks[-1] if looks else replace(self.fit.judge(), state=UNKNOWN))
            if slip is not None:
                self.slip = slip.main_axis, int(slip.curve[slip.main_axis].argmax())
                self.fit.keep(0)
            return
        back = next((look for look in looks if look.state == FITS and look.leads[self.slip] <= -BACK_ERRORS), None)
        if back is not None:
            self.judgement, self.slip = back, None
            self.fit.keep(back.views)
        elif slip is not None:  # still, and said with the latest numbers
            self.judgement = slip


class CalibrationWatch:
    """An online alignment score of each camera.

    Example:
        watch = CalibrationWatch()
        for frame in frames:                      # points at the scan's stamp: `teacher.motion.points_at_stamp`
            watch.add(frame)
            if watch.state("cam_front") == "slipped":
                print(watch.judgement("cam_front").in_words())
    """

    def __init__(self) -> None:
        self._cameras: dict[str, _Camera] = {}

    def add(self, frame: Frame) -> list[str]:
        """Look at a frame's views whose turn it is, and return the names of those cameras.

        Args:
            frame: its points in the LiDAR's frame at the scan's stamp, each view's `camera_from_lidar` with the motion
                between the stamps; `world_from_lidar`, where it is known, tells a vehicle that stands.
        """
        place = None if frame.world_from_lidar is None else frame.world_from_lidar[:3, 3]
        due = [view for view in frame.views if self._due(view, place)]
        if due:
            edges = depth_edges(frame.scan)
            for view in due:
                self._look(EdgePair(edges, view), view, place)
        return [view.name for view in due]

    @property
    def cameras(self) -> list[str]:
        """Return the names of the cameras that were met, sorted."""
        return sorted(self._cameras)

    def state(self, camera: str) -> str:
        """Return `unknown`, `fits` or `slipped`; a camera that was never met is unknown."""
        return self.judgement(camera).state

    def judgement(self, camera: str) -> Judgement:
        """Return the state with the angles, and how sure it is."""
        return self._cameras[camera].judgement if camera in self._cameras else Judgement()

    def forget(self, camera: str) -> None:
        """Begin anew with a camera: it was put right, or has another calibration."""
        self._cameras.pop(camera, None)

    def _due(self, view: View, place: Array | None) -> bool:
        last = self._cameras.get(view.name)
        if last is None or last.stamp_ns is None:
            return True
        if abs(view.stamp_ns - last.stamp_ns) < EVERY_S * NS_PER_S:  # either way: a bag may begin anew
            return False
        return place is None or last.place is None or float(np.linalg.norm(place - last.place)) >= MOVED_M

    def _look(self, pair: EdgePair, view: View, place: Array | None) -> None:
        camera = self._cameras.setdefault(view.name, _Camera())
        camera.stamp_ns, camera.place = view.stamp_ns, place
        camera.fit.add(pair.turned_scores(np.radians(ANGLES_DEG)))
        camera.judge()
