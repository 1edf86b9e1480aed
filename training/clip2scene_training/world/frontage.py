"""One side of one block while it is being furnished: where things can stand, how high, and how they face the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import THINGS, Label
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.town import Block, Town, generator, quota, rise_at

BROAD_M = 3.0
"""Built things wider than this are set as deep as the lowest ground under them."""


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
        self.assets, self.zone, self.road = town.assets, block.zones[side], block.roads[side]
        self.rng = generator(town.seed, 7, block.index + 1000, side)
        self.sign = 2 * side - 1
        self.kerb = town.half_m(side)
        self.edge = town.edge_m(side) - self.kerb
        self.walk = town.sides[side].sidewalk_m
        self.placed: list[Placed] = []

    def stretches(self, gap_m: float, past_m: float = 0.0) -> list[tuple[float, float]]:
        """Return the s ranges free of the side road; beyond the sidewalk its own sidewalks count too."""
        block = self.block
        if self.road is None:
            return [(block.start_m + gap_m, block.end_m - gap_m)]
        clear = self.road.half_m + gap_m + past_m
        return [(block.start_m + gap_m, self.road.s_m - clear), (self.road.s_m + clear, block.end_m - gap_m)]

    def spots(self, pitch_m: float, gap_m: float = 1.0, jitter: float = 0.4, past_m: float = 0.0) -> list[float]:
        """Return positions along s about `pitch_m` apart."""
        found: list[float] = []
        for low, high in self.stretches(gap_m, past_m):
            s = np.arange(low + pitch_m / 2, high - 0.2 * pitch_m, pitch_m)
            moved = s + self.rng.uniform(-jitter, jitter, len(s)) * pitch_m * 0.5
            found += [float(v) for v in np.clip(moved, low, max(low, high))]
        return found

    def spread(self, count: int, gap_m: float) -> list[float]:
        """Return `count` positions along s, one in each of as many equal parts of what is free of the side road."""
        spans = [(low, high) for low, high in self.stretches(gap_m) if high > low]
        lengths = np.cumsum([0.0] + [high - low for low, high in spans])
        found = []
        for k in range(count if spans else 0):
            way = (k + self.rng.random()) / count * lengths[-1]
            i = int(np.searchsorted(lengths[1:-1], way))
            found.append(float(spans[i][0] + way - lengths[i]))
        return found

    def quota(self, rate: float, tag: int) -> int:
        """Return how many of something this side has: `rate` on average, spread evenly over the scenes."""
        return quota(self.town.seed, self.block, self.side, rate, tag)

    def level(self, out: float) -> float:
        """Return how high above the road the ground is `out` metres beyond the kerb."""
        if out < 0:
            return 0.0
        return self.town.kerb_m + float(rise_at(self.block, self.side, np.float64(out - self.edge)))

    def put(
        self, label: Label, mesh: Mesh, s: float, out: float,
        *, turn: float = 0.0, on_road: bool = False, lean: bool = False,
    ) -> None:  # fmt: skip
        """Place a mesh `out` metres beyond the kerb; with turn 0 its +y looks at the road.

        Things stand on the road's slope; what grows or is built stands upright unless it is to `lean`.
        """
        facing = np.pi if self.side else 0.0
        upright = label not in THINGS and not lean
        z = 0.0 if on_road else self.level(out)
        if upright and label == Label.MANMADE and float(np.ptp(mesh.bounds[:, 0])) > BROAD_M:
            z = self._lowest(mesh, s, out) - float(self.town.road.height_at(np.float64(s)))
        pose = self.town.road.pose_at(s, self.sign * (self.kerb + out), z, facing + turn, upright=upright)
        self.placed.append(Placed(label, mesh, pose))

    def _lowest(self, mesh: Mesh, s: float, out: float) -> float:
        """Return the height of the lowest ground under a mesh whose front looks at the road [m]."""
        half, depth = float(np.ptp(mesh.bounds[:, 0])) / 2, -float(mesh.bounds[0, 1])
        heights = self.town.road.height_at(s + np.linspace(-half, half, 5))
        return float(heights.min()) + min(self.level(out), self.level(out + depth))
