"""Who may join the traffic: whoever comes too close to nobody who is there already, at any time of the drive."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.motion import Actor, Ego

STEP_S = 0.25
EGO_HALF_M = (2.6, 1.1)
EGO_MIDDLE_M = 1.4
"""The ego vehicle's middle lies this far before its rear axle."""


class Clearance:
    """The times and places that are taken, as rectangles in street coordinates.

    Args:
        ego: the vehicle with the sensors; nobody comes near it.
        duration_s: length of the drive [s].
    """

    def __init__(self, ego: Ego, duration_s: float) -> None:
        self.ego = ego
        self.times = np.arange(0.0, duration_s + STEP_S, STEP_S)
        s, d = ego.along(self.times) + EGO_MIDDLE_M, ego.across(self.times)
        half = np.broadcast_to(np.array(EGO_HALF_M), (len(self.times), 2))
        self._taken: list[Array] = [np.concatenate([np.stack([s, d], axis=1), half], axis=1)]

    def admit(self, *group: Actor, margin_m: float = 0.3) -> bool:
        """Let a group join if each of it keeps `margin_m` from everybody else; return whether it did."""
        areas = [self._area(actor) for actor in group]
        taken = np.stack(self._taken)
        for area in areas:
            away, room = np.abs(taken[..., :2] - area[:, :2]), taken[..., 2:] + area[:, 2:] + margin_m
            if bool((away < room).all(axis=-1).any()):
                return False
        self._taken += areas
        return True

    def _area(self, actor: Actor) -> Array:
        """Return (T, 4) s, d and the half extents along both [m]."""
        s, d, turn = actor.street(self.ego, self.times)
        low, high = actor.body.bounds.astype(float)
        half, middle = (high - low)[:2] / 2, (high + low)[:2] / 2
        c, sn = np.cos(turn), np.sin(turn)
        if actor.label == Label.PEDESTRIAN:
            half = np.maximum(half, 0.3)
        along = np.abs(c) * half[0] + np.abs(sn) * half[1]
        across = np.abs(sn) * half[0] + np.abs(c) * half[1]
        return np.stack([s + c * middle[0] - sn * middle[1], d + sn * middle[0] + c * middle[1], along, across], axis=1)
