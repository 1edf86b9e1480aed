"""Things that a street has few of, shared out so evenly that no split of scenes lacks any: two-wheelers, barriers, ...

Their numbers come from `Frontage.quota`, not from chance alone. Two-wheelers stand away from the road: one bicycle
close to the sensor would have more points than nuScenes has in ten sweeps.
"""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.frontage import Frontage
from clip2scene_training.world.kerbside import barrier_row

BICYCLES, MOTORCYCLES = 0.60, 0.50
"""How many a block's side has on average where they stand `AWAY_M` from the sensors' lane; fewer where it is nearer."""
BARRIERS, CONES, MACHINES = 0.06, 0.22, 0.16
"""How many rows of barriers, groups of cones and machines a block's side has on average."""
AWAY_M = 10.0


def rarities(f: Frontage) -> None:
    """Place this side's share of them."""
    rng, gap = f.rng, f.walk + 2.0
    away = f.kerb + f.edge + f.sign * f.town.lane_middle_m(0)
    cycles = f.town.plan.cycles * min((away / AWAY_M) ** 2, 2.0)  # at half the distance one has four times the points
    for s in f.spread(f.quota(cycles * BICYCLES, 1), gap):
        turn = np.pi / 2 + rng.normal(0, 0.3)
        f.put(Label.BICYCLE, f.assets.bicycle(rng, rider=False), s, f.edge - 0.5, turn=turn)
    for s in f.spread(f.quota(cycles * MOTORCYCLES, 2), gap):
        out = f.edge - rng.uniform(0.5, 1.0)
        f.put(Label.MOTORCYCLE, f.assets.motorcycle(rng, rider=False), s, out, turn=rng.normal(0.6, 0.5))
    for s in f.spread(f.quota(CONES, 3), gap + 3.0):
        for k in range(int(rng.integers(1, 4))):
            f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(rng), s + 1.3 * k, rng.uniform(0.2, f.edge - 0.2))
    for _ in range(f.quota(BARRIERS, 4)):
        low, high = max(f.stretches(2.0, past_m=f.walk), key=lambda span: span[1] - span[0])
        barrier_row(f, low, high, 0.35)
    for s in f.spread(f.quota(MACHINES, 5), gap + 3.0):
        machine, out = f.assets.construction_vehicle(rng), f.edge + rng.uniform(7, 15)
        f.put(Label.CONSTRUCTION_VEHICLE, machine, s, out, turn=rng.uniform(0, 6))
