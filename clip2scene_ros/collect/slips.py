"""Which cameras have slipped from their calibration, by LiDAR, and which sets are worth a look at that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clip2scene_ros.alignment_fit import SLIPPED, UNKNOWN
from clip2scene_ros.calibrate.watch import MOVED_M
from clip2scene_ros.collect.sets import Fit, Placed, RawSet
from clip2scene_ros.frame import NS_PER_S, Array

EVERY_NS = round(1.1 * NS_PER_S)
"""A little more than `calibration_watch.EVERY_S`: scans are this far apart, and their images not quite."""


class Slips:
    """Remembers what the watch said. A camera that has slipped is not believed again before it fits."""

    def __init__(self) -> None:
        self._fits: dict[tuple[str, str], Fit] = {}
        self._seen: dict[str, tuple[int, Array]] = {}

    def due(self, raw: RawSet, pose: Array | None) -> bool:
        """Return whether the watch should look at a set; then it is the one that the next is compared with.

        Without a pose never: images of a moving vehicle are off their points then, as those of a slipped camera are.

        Args:
            raw: the set.
            pose: (4, 4) world_from_lidar, or None.
        """
        if pose is None:
            return False
        stamp_ns, place = self._seen.get(raw.source, (None, pose))
        if stamp_ns is not None:
            near = float(np.linalg.norm(pose[:3, 3] - place[:3, 3])) < MOVED_M
            if near or abs(raw.stamp_ns - stamp_ns) < EVERY_NS:  # either way: a bag may begin anew
                return False
        self._seen[raw.source] = (raw.stamp_ns, pose)
        return True

    def learn(self, raw: RawSet, fits: Mapping[str, Fit]) -> None:
        """Note what the watch says after a look at a set."""
        for camera, fit in fits.items():
            before = self._fits.get((raw.source, camera))
            if before is not None and before.slipped and fit.state == UNKNOWN:
                fit = replace(fit, state=SLIPPED, text=before.text)
            since_ns = before.since_ns if before is not None and before.state == fit.state else raw.stamp_ns
            self._fits[raw.source, camera] = replace(fit, since_ns=since_ns)

    def without(self, source: str, placed: Placed) -> Placed:
        """Return where the sensors of a set were, cameras that have slipped being left out."""
        slipped = {
            camera for camera in placed.cameras if (source, camera) in self._fits and self._fits[source, camera].slipped
        }
        if not slipped:
            return placed
        cameras = {camera: where for camera, where in placed.cameras.items() if camera not in slipped}
        return replace(placed, cameras=cameras, left_out=placed.left_out | dict.fromkeys(slipped, SLIPPED))

    @property
    def fits(self) -> dict[str, Fit]:
        """Return camera, or `LiDAR camera` where there are several LiDARs -> what is known of it."""
        several = len({source for source, _ in self._fits}) > 1
        return {f"{source} {camera}" if several else camera: fit for (source, camera), fit in self._fits.items()}
