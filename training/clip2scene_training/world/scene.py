"""A town with everything in it: one layer that stands still, and things that move, each with its pose at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world import ground, motion, traffic
from clip2scene_training.world.classes import THINGS, Label
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.furnish import furnish
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.town import plan
from clip2scene_training.world.tracer import Layer

MAX_INSTANCE = np.iinfo(np.uint16).max
NEAR_M = 110.0
"""Moving things farther than this along the street are left out: the LiDAR does not reach them."""


@dataclass(frozen=True, eq=False)
class Box:
    """A thing's bounding box.

    Attributes:
        instance, label: who it is.
        pose: (4, 4) float64 world_from_box, origin at the box's centre.
        size: (3,) float64 along the box's own axes [m].
        moving: whether it can move.
    """

    instance: int
    label: Label
    pose: Array
    size: Array
    moving: bool


class Mover:
    """One moving thing: its actor, and a layer for its body and each limb."""

    def __init__(self, actor: motion.Actor, instance: int) -> None:
        self.actor, self.instance = actor, instance
        meshes = (actor.body, *actor.limbs)
        self.corners = _corners(*meshes)
        self.center = self.corners.mean(axis=0)
        self.radius = float(np.linalg.norm(self.corners[1] - self.corners[0])) / 2 + (0.2 if actor.limbs else 0.0)
        self._layers: tuple[Layer, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return body and limbs, made ready for rays when first wanted."""
        if not self._layers:
            label = int(self.actor.label)
            self._layers = tuple(Layer([m], [label], [self.instance]) for m in (self.actor.body, *self.actor.limbs))
        return self._layers


class Scene:
    """The world of one seed.

    Attributes:
        town: the plan.
        ego: the motion of the vehicle with the sensors.
        fixed: everything that stands still, ready for rays.
        movers: everything that moves.
    """

    def __init__(self, seed: int, config: WorldConfig) -> None:
        self.town = plan(seed, config)
        self.ego = motion.ego(self.town)
        self._still: list[Box] = []
        self.fixed = self._fixed_layer()
        actors = traffic.actors(self.town, self.ego, config)
        if len(self._still) + len(actors) > MAX_INSTANCE:
            raise ValueError(
                f"A drive of {config.duration_s:g} s meets more things than instance ids: make it shorter."
            )
        self.movers = [Mover(actor, len(self._still) + 1 + i) for i, actor in enumerate(actors)]

    def _fixed_layer(self) -> Layer:
        meshes, labels, instances = [], [], []
        for label, mesh in ground.ground(self.town):
            meshes.append(mesh)
            labels.append(int(label))
            instances.append(0)
        for placed in furnish(self.town):
            instance = 0
            if placed.label in THINGS:
                instance = len(self._still) + 1
                self._still.append(_box(instance, placed.label, _corners(placed.mesh), placed.pose, moving=False))
            meshes.append(placed.mesh.moved(placed.pose))
            labels.append(int(placed.label))
            instances.append(instance)
        return Layer(meshes, labels, instances)

    def poses(self, mover: Mover, t: Array) -> Array:
        """Return (T, 4, 4) world poses of a mover at times (T,) [s]."""
        return mover.actor.poses(self.town, self.ego, np.atleast_1d(np.asarray(t, float)))

    def present(self, t: float) -> list[Mover]:
        """Return the movers that are on the street and near the vehicle at time t [s]."""
        here, road = float(self.ego.along(np.float64(t))), self.town.road
        found = []
        for mover in self.movers:
            s = float(mover.actor.along(self.ego, np.float64(t)))
            if abs(s - here) < NEAR_M and road.start_m + 5 < s < road.end_m - 5:
                found.append(mover)
        return found

    def boxes(self, t: float) -> list[Box]:
        """Return the bounding boxes of all things that stand, and of those that move nearby, at time t [s].

        A walker's box is that of straight legs; a swung foot may leave it by a hand's breadth.
        """
        found = list(self._still)
        for mover in self.present(t):
            pose = self.poses(mover, np.array([t]))[0]
            found.append(_box(mover.instance, mover.actor.label, mover.corners, pose, moving=True))
        return found


def _corners(*meshes: Mesh) -> Array:
    low = np.min([m.bounds[0] for m in meshes], axis=0)
    return np.stack([low, np.max([m.bounds[1] for m in meshes], axis=0)]).astype(float)


def _box(instance: int, label: Label, corners: Array, pose: Array, *, moving: bool) -> Box:
    center = np.eye(4)
    center[:3, 3] = corners.mean(axis=0)
    return Box(instance, label, pose @ center, corners[1] - corners[0], moving)
