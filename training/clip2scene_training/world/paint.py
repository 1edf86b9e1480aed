"""What is painted on the roads: lane lines, stop lines, zebra crossings."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.materials import Material
from clip2scene_training.world.patches import Patch, between
from clip2scene_training.world.town import FAR_M, Town, generator

LIFT_M = 0.006
WHITE = (0.80, 0.80, 0.77)


def markings(town: Town) -> list[Patch]:
    """Return everything painted in a town; streets paved with stone have zebra crossings only."""
    found = _zebras(town)
    if not town.plan.cobbled:
        found += [*_lane_lines(town), *_side_road_lines(town)]
    return found


def _paint(s: tuple[float, float], d: tuple[float, float]) -> Patch:
    return Patch(s, d, LIFT_M, Label.DRIVEABLE_SURFACE, Material.MARKING, WHITE)


def _line(s: float, length: float, d: float, width: float) -> Patch:
    return _paint((s, s + length), (d - width / 2, d + width / 2))


def _lane_lines(town: Town) -> list[Patch]:
    """Return lines between lanes, and along parking lanes, free of crossings."""
    start, end, found = town.road.start_m, town.road.end_m, []
    solid = generator(town.seed, 5, 1).random() < 0.4
    taken = [(b - 4.5, a + 4.5) for b, a in zip(town.zebras()[::2], town.zebras()[1::2], strict=True)]
    between_lanes = [sign * (town.median_m / 2 + k * town.lane_m) for k in range(1, town.lanes) for sign in (-1, 1)]
    for d in ([] if town.median_m else [0.0]) + between_lanes:
        dash, gap = (3.0, 6.0) if d else ((10.0, 0.2) if solid else (3.0, 3.0))
        for s in np.arange(start, end - dash, dash + gap):
            if not any(low < s + dash and s < high for low, high in taken):
                found.append(_line(float(s), dash, d, 0.14))
    for side, sign in ((0, -1), (1, 1)):
        for s in np.arange(start, end - 6, 6.0):
            clear = not town.meets_side_road(float(s) + 3, side, 5.0)
            if clear and (town.sides[side].parking_m or town.lanes == 2):
                found.append(_line(float(s), 6.0, sign * (town.lanes_m - 0.12), 0.12))
    return found


def _zebras(town: Town) -> list[Patch]:
    """Return the stripes of zebra crossings, and a stop line before each."""
    found = []
    for k, s in enumerate(town.zebras()):
        sign = -1 if k % 2 == 0 else 1
        for d in np.arange(-town.half_m(0) + 0.4, town.half_m(1) - 0.6, 1.0):
            if abs(d + 0.25) > town.median_m / 2 or not town.median_m:
                found.append(_paint((s - 1.5, s + 1.5), (d, d + 0.5)))
        line, inner = s + sign * 2.6, town.median_m / 2
        found.append(_paint((line - 0.2, line + 0.2), between(sign, inner, town.lanes_m)))
    return found


def _side_road_lines(town: Town) -> list[Patch]:
    found = []
    for _, side, road in town.side_roads():
        for d in np.arange(town.half_m(side) + 6.0, FAR_M - 4, 6.0):
            found.append(_paint((road.s_m - 0.06, road.s_m + 0.06), between(2 * side - 1, float(d), float(d) + 3.0)))
    return found
