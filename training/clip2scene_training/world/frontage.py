"""One side of one block while it is being furnished: where things can stand, and how they face the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.town import Block, Town, generator


@dataclass(frozen=True, eq=False)
class Placed:
    """A thing that does not move: its mesh, where it stands in the world, its class."""

    label: Label
    mesh: Mesh
    pose: Array


class Frontage:
    """One side of one block while it is being furnished. Offsets are metres outward from the kerb."""

    def __init__(self, town: Town, block: Block, side: int) -> None:
        self.town, self.block, self.side = town, block, side
        self.assets = town.assets
        self.rng = generator(town.seed, 7, block.index + 1000, side)
        self.sign = 2 * side - 1
        self.kerb = town.half_m(side)
        self.edge = town.edge_m(side) - self.kerb
        self.placed: list[Placed] = []

    def stretches(self, gap_m: float, past_m: float = 0.0) -> list[tuple[float, float]]:
        """Return the s ranges free of the side road; beyond the sidewalk its own sidewalks count too."""
        block = self.block
        if not block.crossing_m:
            return [(block.start_m + gap_m, block.end_m - gap_m)]
        clear = block.crossing_m + gap_m + past_m
        return [(block.start_m + gap_m, block.middle_m - clear), (block.middle_m + clear, block.end_m - gap_m)]

    def spots(self, pitch_m: float, gap_m: float = 1.0, jitter: float = 0.4, past_m: float = 0.0) -> list[float]:
        """Return positions along s about `pitch_m` apart."""
        found: list[float] = []
        for low, high in self.stretches(gap_m, past_m):
            s = np.arange(low + pitch_m / 2, high - 0.2 * pitch_m, pitch_m)
            found += [float(v) for v in s + self.rng.uniform(-jitter, jitter, len(s)) * pitch_m * 0.5]
        return found

    def put(self, label: Label, mesh: Mesh, s: float, out: float, *, turn: float = 0.0, on_road: bool = False) -> None:
        """Place a mesh `out` metres beyond the kerb; with turn 0 its +y looks at the road."""
        facing = np.pi if self.side else 0.0
        z = 0.0 if on_road or out < 0 else self.town.kerb_m
        pose = self.town.road.pose_at(s, self.sign * (self.kerb + out), z, facing + turn)
        self.placed.append(Placed(label, mesh, pose))
