"""Who walks: along the sidewalks alone and in groups, across the street at zebra crossings; some stand."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.clearance import Clearance
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.motion import Actor, Route
from clip2scene_training.world.town import TOP_SPEED, Town, generator

APART_M = 18.0
"""Mean distance between groups on one sidewalk."""


def on_foot(town: Town, clear: Clearance, config: WorldConfig) -> list[Actor]:
    """Return people who cross and people on the sidewalks, none through another."""
    found = []
    for k, s in enumerate(town.zebras()):
        found += _crossing(town, clear, config, k, s)
    for side in (0, 1):
        found += _along(town, clear, config, side)
    return found


def _crossing(town: Town, clear: Clearance, config: WorldConfig, index: int, s: float) -> list[Actor]:
    """People cross where the traffic leaves them time to; the others are not there."""
    rng = generator(town.seed, 16, index)
    found = []
    for _ in range(int(rng.poisson(1.3 * config.traffic * town.plan.people))):
        way, figure = int(rng.choice([-1, 1])), town.assets.pedestrian(rng)
        place, speed = s + rng.uniform(-1.2, 1.2), rng.uniform(1.1, 1.8)
        ends = town.half_m(0) + rng.uniform(0.8, 1.6), town.half_m(1) + rng.uniform(0.8, 1.6)
        corners = np.array([[place, -ends[0]], [place, ends[1]]])[::way]
        for begin in rng.uniform(-8.0, config.duration_s, 12):
            route = Route(corners, float(speed), float(begin))
            actor = Actor(Label.PEDESTRIAN, figure.body, (float(place), float(corners[0, 1])), route=route, walks=True,
                          limbs=figure.limbs, hip_m=figure.hip_m)  # fmt: skip
            if clear.admit(actor, margin_m=0.5):
                found.append(actor)
                break
    return found


def _along(town: Town, clear: Clearance, config: WorldConfig, side: int) -> list[Actor]:
    """People walk along a sidewalk in both directions, or stand."""
    rng, cut, sign = generator(town.seed, 12, side), town.sides[side], 2 * side - 1
    inner, outer = town.edge_m(side) - cut.sidewalk_m + 0.5, town.edge_m(side) - 0.35
    if not cut.verge_m:
        inner = min(inner + 0.8, outer - 0.3)
    found, s = [], -100.0
    while s < TOP_SPEED * config.duration_s + 120:
        speed = float(rng.uniform(0.8, 1.7) * rng.choice([-1, 1])) if rng.random() < 0.8 else 0.0
        for _ in range(int(rng.choice([1, 2, 3], p=[0.65, 0.25, 0.1]))):
            figure = town.assets.pedestrian(rng)
            heading = (0.0 if speed > 0 else np.pi) if speed else rng.uniform(0, 6.28)
            actor = Actor(
                Label.PEDESTRIAN, figure.body if speed else figure.standing(),
                (s + rng.normal(0, 0.7), sign * rng.uniform(inner, outer)), speed, turn=heading, walks=True,
                limbs=figure.limbs if speed else (), hip_m=figure.hip_m,
            )  # fmt: skip
            if clear.admit(actor, margin_m=0.05):
                found.append(actor)
        s += rng.exponential(APART_M) / max(config.traffic * town.plan.people, 0.05) + 0.8
    return found
