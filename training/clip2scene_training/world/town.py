"""The plan of a street: its cross-section, its blocks and crossings, and what the ground is where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_training.world.assets.catalogue import CATALOGUES, Catalogue
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.road import STEP_M, Road

ZONES = ("urban", "suburb", "park", "industrial", "parking", "works")
AHEAD_M = 150.0
"""The street goes on this far beyond what the vehicle will reach, and begins this far behind it."""
FAR_M = 75.0
"""The plan ends this far to either side of the centreline."""
TOP_SPEED = 12.0


def generator(seed: int, *tags: int) -> np.random.Generator:
    """Return an independent generator for one part of the world, so that parts do not disturb each other."""
    return np.random.default_rng([seed, *tags])


@dataclass(frozen=True)
class Side:
    """What lies beyond the lanes on one side, from the lanes outward [m]."""

    parking_m: float
    verge_m: float
    sidewalk_m: float


@dataclass(frozen=True)
class Block:
    """A piece of the street between two s, with a zone on its right and left.

    Attributes:
        start_m, end_m: extent along the road.
        zones: right, left.
        crossing_m: half the width of a side road in the middle of this block, or 0 where it has none.
        curvature: of the centreline [1/m].
    """

    index: int
    start_m: float
    end_m: float
    zones: tuple[str, str]
    crossing_m: float = 0.0
    curvature: float = 0.0

    @property
    def middle_m(self) -> float:
        """Return the s half-way, the centre of its crossing."""
        return (self.start_m + self.end_m) / 2


@dataclass(frozen=True, eq=False)
class Town:
    """The whole plan.

    Attributes:
        lanes: in each direction.
        lane_m: width of a lane.
        kerb_m: height of the sidewalk above the road.
        sides: right, left.
        blocks: in order of s.
        road: the centreline through them.
        assets: what everything in it is made of.
    """

    seed: int
    lanes: int
    lane_m: float
    kerb_m: float
    sides: tuple[Side, Side]
    blocks: tuple[Block, ...]
    road: Road
    assets: Catalogue

    @property
    def lanes_m(self) -> float:
        """Return the distance from the centreline to the outer edge of the lanes."""
        return self.lanes * self.lane_m

    def half_m(self, side: int) -> float:
        """Return the distance from the centreline to the kerb; side 0 right, 1 left."""
        return self.lanes_m + self.sides[side].parking_m

    def edge_m(self, side: int) -> float:
        """Return the distance from the centreline to the back of the sidewalk."""
        return self.half_m(side) + self.sides[side].verge_m + self.sides[side].sidewalk_m

    def crossing_at(self, s: float, margin_m: float = 0.0) -> Block | None:
        """Return the block whose side road covers s, or None."""
        for block in self.blocks:
            if block.crossing_m and abs(s - block.middle_m) < block.crossing_m + margin_m:
                return block
        return None


def plan(seed: int, config: WorldConfig) -> Town:
    """Return the plan of the town of `seed`; a longer drive only lengthens the street."""
    rng = generator(seed, 1)
    layout = (
        config.layout
        if config.layout != "any"
        else str(rng.choice(["straight", "crossing", "curve"], p=[0.3, 0.45, 0.25]))
    )
    character = rng.dirichlet((1.8, 1.8, 1.1, 0.8, 0.6, 0.8))
    lanes, lane_m = 1 + int(rng.random() < 0.22), float(rng.uniform(2.9, 3.5))
    kerb_m = float(rng.uniform(0.09, 0.18))
    sides = (_side(rng), _side(rng))
    blocks = _blocks(seed, config, layout, character)
    curvature = np.zeros(round((blocks[-1].end_m - blocks[0].start_m) / STEP_M) + 1)
    for block in blocks:
        if block.curvature:
            i, j = (round((s - blocks[0].start_m) / STEP_M) for s in (block.start_m, block.end_m))
            curvature[i:j] = block.curvature * np.sin(np.linspace(0, np.pi, j - i)) ** 0.5
    road = Road.from_curvature(blocks[0].start_m, curvature)
    return Town(seed, lanes, lane_m, kerb_m, sides, blocks, road, CATALOGUES[config.assets])


def _side(rng: np.random.Generator) -> Side:
    parking = float(rng.uniform(2.2, 2.8)) if rng.random() < 0.38 else 0.0
    verge = float(rng.uniform(1.2, 3.5)) if rng.random() < 0.62 else 0.0
    return Side(parking, verge, float(rng.uniform(1.8, 4.0)))


def _blocks(
    seed: int, config: WorldConfig, layout: str, character: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[Block, ...]:
    end = TOP_SPEED * config.duration_s + AHEAD_M
    ahead, behind = [], []
    s, index = 0.0, 0
    while s < end:
        block = _block(seed, layout, character, index, s)
        ahead.append(block)
        s, index = block.end_m, index + 1
    s, index = 0.0, -1
    while s > -AHEAD_M:
        block = _block(seed, layout, character, index, 0.0)
        length = block.end_m
        behind.append(Block(index, s - length, s, block.zones, block.crossing_m, block.curvature))
        s, index = s - length, index - 1
    return (*reversed(behind), *ahead)


def _block(
    seed: int, layout: str, character: np.ndarray[tuple[int], np.dtype[np.float64]], index: int, start: float
) -> Block:
    rng = generator(seed, 2, index + 1000)
    length = float(np.round(rng.uniform(45, 75)))
    right, left = (str(z) for z in rng.choice(ZONES, 2, p=character))
    even = index % 2 == 0
    crossing = float(rng.uniform(3.3, 5.5)) if layout == "crossing" and not even else 0.0
    curvature = 0.0
    if layout == "curve" and even:
        curvature = float(rng.choice([-1, 1]) / rng.uniform(95, 220))
    return Block(index, start, start + length, (right, left), crossing, curvature)
