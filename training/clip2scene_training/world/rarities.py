"""Things that a street has few of, shared out so evenly that no split of scenes lacks any: two-wheelers, barriers, ...

Their numbers come from `Frontage.quota`, not from chance alone. Two-wheelers stand away from the road: one bicycle
close to the sensor would have more points than nuScenes has in ten sweeps.
"""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.frontage import Frontage
from clip2scene_training.world.kerbside import barrier_row

BICYCLES, MOTORCYCLES, BARRIERS, CONES, MACHINES = 0.42, 0.28, 0.07, 0.3, 0.18
"""How many of each (barriers: rows; cones: groups) one side of a block has on average."""


def rarities(f: Frontage) -> None:
    """Place this side's share of them."""
    rng = f.rng
    for _ in range(f.quota(BICYCLES, 1)):
        turn = np.pi / 2 + rng.normal(0, 0.3)
        f.put(Label.BICYCLE, f.assets.bicycle(rng, rider=False), _s(f), f.edge - 0.5, turn=turn)
    for _ in range(f.quota(MOTORCYCLES, 2)):
        out = f.edge - rng.uniform(0.5, 1.0)
        f.put(Label.MOTORCYCLE, f.assets.motorcycle(rng, rider=False), _s(f), out, turn=rng.normal(0.6, 0.5))
    for _ in range(f.quota(CONES, 3)):
        s = _s(f)
        for k in range(int(rng.integers(1, 4))):
            f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(rng), s + 1.3 * k, rng.uniform(0.2, f.edge - 0.2))
    for _ in range(f.quota(BARRIERS, 4)):
        low, high = max(f.stretches(2.0, past_m=f.walk), key=lambda span: span[1] - span[0])
        barrier_row(f, low, high, 0.35)
    for _ in range(f.quota(MACHINES, 5)):
        make = f.assets.construction_vehicle
        f.put(Label.CONSTRUCTION_VEHICLE, make(rng), _s(f, 5.0), f.edge + rng.uniform(7, 15), turn=rng.uniform(0, 6))


def _s(f: Frontage, gap_m: float = 2.0) -> float:
    return f.some_s(gap_m, past_m=f.walk)
