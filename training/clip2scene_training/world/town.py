"""The plan of a street: its cross-section, its blocks and side roads, and how high the ground is where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.catalogue import CATALOGUES, Catalogue
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.plans import BANKS, FAMILIES, THEMES, Plan
from clip2scene_training.world.road import STEP_M, Road

AHEAD_M = 150.0
"""The street goes on this far beyond what the vehicle will reach, and begins this far behind it."""
FAR_M = 75.0
"""The plan ends this far to either side of the centreline."""
TOP_SPEED = 12.0
ZEBRA_M = 3.2
"""From the edge of a side road to the middle of the zebra crossing beside it."""


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
class SideRoad:
    """A road that meets the street from one side: the s of its middle, and half its width [m]."""

    s_m: float
    half_m: float


@dataclass(frozen=True)
class Block:
    """A piece of the street between two s, with a zone on its right and left.

    Attributes:
        start_m, end_m: extent along the road.
        zones: right, left.
        rises: how much higher than the sidewalk the land behind it is, right and left [m].
        roads: the side roads, right and left, or None.
        curvature: of the centreline [1/m].
        works: road works close the outermost lane on side 0 or 1; None where there are none.
    """

    index: int
    start_m: float
    end_m: float
    zones: tuple[str, str]
    rises: tuple[float, float] = (0.0, 0.0)
    roads: tuple[SideRoad | None, SideRoad | None] = (None, None)
    curvature: float = 0.0
    works: int | None = None

    def moved(self, start_m: float) -> Block:
        """Return the same block at another place."""
        way = start_m - self.start_m
        roads = tuple(SideRoad(r.s_m + way, r.half_m) if r else None for r in self.roads)
        return Block(self.index, start_m, self.end_m + way, self.zones, self.rises, (roads[0], roads[1]),
                     self.curvature, self.works)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Town:
    """The whole plan.

    Attributes:
        lanes: in each direction.
        lane_m: width of a lane.
        kerb_m: height of the sidewalk above the road.
        median_m: width of the raised strip between the directions, or 0.
        plan: what its measures were drawn from.
        sides: right, left.
        blocks: in order of s.
        road: the centreline through them.
        assets: what everything in it is made of.
        closed: the side whose outermost lane is closed by works somewhere, so that nobody drives in it, or None.
    """

    seed: int
    lanes: int
    lane_m: float
    kerb_m: float
    median_m: float
    plan: Plan
    sides: tuple[Side, Side]
    blocks: tuple[Block, ...]
    road: Road
    assets: Catalogue
    closed: int | None = None

    @property
    def lanes_m(self) -> float:
        """Return the distance from the centreline to the outer edge of the lanes."""
        return self.median_m / 2 + self.lanes * self.lane_m

    def lane_middle_m(self, lane: int) -> float:
        """Return the distance from the centreline to the middle of a lane; 0 is the innermost."""
        return self.median_m / 2 + (lane + 0.5) * self.lane_m

    def half_m(self, side: int) -> float:
        """Return the distance from the centreline to the kerb; side 0 right, 1 left."""
        return self.lanes_m + self.sides[side].parking_m

    def edge_m(self, side: int) -> float:
        """Return the distance from the centreline to the back of the sidewalk."""
        return self.half_m(side) + self.sides[side].verge_m + self.sides[side].sidewalk_m

    def open_lanes(self, side: int) -> range:
        """Return the lanes of a side that traffic uses."""
        return range(self.lanes - (self.closed == side))

    def zebras(self) -> list[float]:
        """Return the s of every zebra crossing: on both sides of where side roads meet the street."""
        found = []
        for block in self.blocks:
            roads = [r for r in block.roads if r is not None]
            if roads:
                found.append(min(r.s_m - r.half_m for r in roads) - ZEBRA_M)
                found.append(max(r.s_m + r.half_m for r in roads) + ZEBRA_M)
        return found

    def median_stretches(self) -> list[tuple[float, float]]:
        """Return the s ranges of the strip between the directions: open where side roads and zebra crossings are."""
        ends = [self.road.start_m - 2.0, *self.zebras(), self.road.end_m + 2.0]
        spans = [(low + 2.0, high - 2.0) for low, high in zip(ends[::2], ends[1::2], strict=True)]
        return [(low, high) for low, high in spans if high - low > 4]

    def side_roads(self) -> list[tuple[Block, int, SideRoad]]:
        """Return every side road with its block and its side."""
        return [(b, side, road) for b in self.blocks for side, road in enumerate(b.roads) if road is not None]

    def meets_side_road(self, s: float, side: int | None = None, margin_m: float = 0.0) -> bool:
        """Return whether a side road, of one side or any, covers s."""
        return any(
            side in (None, its) and abs(s - road.s_m) < road.half_m + margin_m for _, its, road in self.side_roads()
        )

    def walk_level(self, s: Array, d: Array) -> Array:
        """Return how far above the road somebody on foot stands at s and d: on sidewalks, at the kerb's."""
        s, d = np.asarray(s, float), np.asarray(d, float)
        level = np.zeros(s.shape)
        for side, beyond in ((0, -d > self.half_m(0)), (1, d > self.half_m(1))):
            level[beyond] = self.kerb_m
            for _, its, road in self.side_roads():
                if its == side:
                    level[beyond & (np.abs(s - road.s_m) < road.half_m)] = 0.0
        return level


def rise_at(block: Block, side: int, beyond: Array) -> Array:
    """Return how much higher than the sidewalk the ground is `beyond` metres behind it."""
    low, high, _, _ = BANKS[block.zones[side]]
    return np.asarray(block.rises[side] * np.clip((np.asarray(beyond, float) - low) / (high - low), 0.0, 1.0))


def quota(town_seed: int, block: Block, side: int, rate: float, tag: int) -> int:
    """Return how many of something a block's side has: `rate` on average, spread evenly over sides and seeds."""
    turn, shift = 4 * town_seed + 2 * block.index + side, (tag * 0.61803398875) % 1.0
    return math.floor((turn + 1) * rate + shift) - math.floor(turn * rate + shift)


def plan(seed: int, config: WorldConfig) -> Town:
    """Return the plan of the town of `seed`; a longer drive only lengthens the street."""
    rng = generator(seed, 1)
    family = FAMILIES[config.towns]
    weights = np.array([p.weight for p in family])
    kind = family[int(rng.choice(len(family), p=weights / weights.sum()))]
    crossings, curves = bool(rng.random() < 0.6), bool(rng.random() < 0.4)
    if config.layout != "any":
        crossings, curves = config.layout == "crossing", config.layout == "curve"
    lanes = 1 + int(rng.random() < kind.two_lanes)
    theme = dict(THEMES[seed % len(THEMES)])
    closed = None
    if "works" in theme and seed // len(THEMES) % 3:
        closed = 0 if lanes == 2 and rng.random() < 0.5 else 1
    weights = np.array([w + 2.0 * theme.get(z, 0.0) for z, w in kind.zones.items()])
    character = rng.dirichlet(1.2 * weights)
    sides = (_side(kind, rng), _side(kind, rng))
    lane_m, kerb_m, median_m = (float(rng.uniform(*v)) for v in (kind.lane_m, kind.kerb_m, kind.median_m))
    layout = _Layout(seed, kind, tuple(kind.zones), character, crossings, curves, closed)
    blocks = _blocks(layout, config.duration_s)
    return Town(seed, lanes, lane_m, kerb_m, median_m, kind, sides, blocks, _road(blocks, kind, rng),
                CATALOGUES[config.assets], closed)  # fmt: skip


def _side(kind: Plan, rng: np.random.Generator) -> Side:
    parking = float(rng.uniform(*kind.parking_m)) if rng.random() < kind.parking else 0.0
    verge = float(rng.uniform(*kind.verge_m)) if rng.random() < kind.verge else 0.0
    return Side(parking, verge, float(rng.uniform(*kind.sidewalk_m)))


def _road(blocks: tuple[Block, ...], kind: Plan, rng: np.random.Generator) -> Road:
    start = blocks[0].start_m
    curvature = np.zeros(round((blocks[-1].end_m - start) / STEP_M) + 1)
    for block in blocks:
        if block.curvature:
            i, j = (round((s - start) / STEP_M) for s in (block.start_m, block.end_m))
            curvature[i:j] = block.curvature * np.sin(np.linspace(0, np.pi, j - i)) ** 0.5
    s = start + STEP_M * np.arange(len(curvature))
    length, phase = rng.uniform(110, 260), rng.uniform(0, 2 * np.pi)
    steepest = kind.grade * rng.uniform(0.1, 1.0)
    return Road.from_curvature(
        start, curvature, steepest * length / (2 * np.pi) * np.sin(2 * np.pi * s / length + phase)
    )


@dataclass(frozen=True, eq=False)
class _Layout:
    """What the blocks of one street have in common."""

    seed: int
    kind: Plan
    zones: tuple[str, ...]
    character: Array
    crossings: bool
    curves: bool
    closed: int | None


def _blocks(layout: _Layout, duration_s: float) -> tuple[Block, ...]:
    end = TOP_SPEED * duration_s + AHEAD_M
    ahead, behind = [], []
    s, index = 0.0, 0
    while s < end:
        ahead.append(_block(layout, index).moved(s))
        s, index = ahead[-1].end_m, index + 1
    s, index = 0.0, -1
    while s > -AHEAD_M:
        block = _block(layout, index)
        s, index = s - block.end_m, index - 1
        behind.append(block.moved(s))
    return (*reversed(behind), *ahead)


def _block(layout: _Layout, index: int) -> Block:
    """Return a block that starts at 0."""
    rng, kind = generator(layout.seed, 2, index + 1000), layout.kind
    length = float(np.round(rng.uniform(*kind.block_m)))
    right, left = (str(z) for z in rng.choice(layout.zones, 2, p=layout.character))
    rises = tuple(float(rng.uniform(*BANKS[zone][2:])) for zone in (right, left))
    odd = index % 2 == 1
    roads = _side_roads(kind, rng, length) if layout.crossings and odd else (None, None)
    curvature = float(rng.choice([-1, 1]) / rng.uniform(*kind.radius_m))
    works = layout.closed if layout.closed is not None and index % 4 in (0, 1) else None
    return Block(index, 0.0, length, (right, left), (rises[0], rises[1]), roads,
                 curvature if layout.curves and not odd else 0.0, works)  # fmt: skip


def _side_roads(kind: Plan, rng: np.random.Generator, length: float) -> tuple[SideRoad | None, SideRoad | None]:
    half, apart = (
        float(rng.uniform(*kind.side_road_m)),
        float(rng.uniform(*kind.stagger_m)) * float(rng.choice([-1, 1])),
    )
    right, left = SideRoad((length - apart) / 2, half), SideRoad((length + apart) / 2, half)
    draw = rng.random()
    return (None if draw < kind.tee / 2 else right), (None if draw > 1 - kind.tee / 2 else left)
