"""What grows and stands on the strip between the two directions of a street."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.frontage import Placed
from clip2scene_training.world.town import Town, generator


def plant_median(town: Town) -> list[Placed]:
    """Return trees, bushes, lamps and signs of the median; nothing where there is none."""
    rng, found = generator(town.seed, 14), []
    wooded = rng.random() < 0.7
    for low, high in town.median_stretches() if town.median_m else []:
        for s in np.arange(low + 2.0, high - 1.5, float(rng.uniform(4.0, 8.0))):
            draw = rng.random()
            if draw < 0.15:
                label, mesh = Label.MANMADE, (town.assets.lamp_post if draw < 0.08 else town.assets.sign)(rng)
            elif wooded and draw < 0.6 and town.median_m > 2.5:
                label, mesh = Label.VEGETATION, town.assets.street_tree(rng)
            elif draw < 0.85:
                label, mesh = Label.VEGETATION, town.assets.bush(rng)
            else:
                continue
            pose = town.road.pose_at(float(s), 0.0, town.kerb_m, rng.uniform(0, 6), upright=True)
            found.append(Placed(label, mesh, pose))
    return found
