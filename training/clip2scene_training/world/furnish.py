"""What stands along a street: buildings, trees, fences, parked vehicles, road works, block by block."""

from __future__ import annotations

from clip2scene_training.world import kerbside
from clip2scene_training.world.frontage import Frontage, Placed
from clip2scene_training.world.median import plant_median
from clip2scene_training.world.rarities import rarities
from clip2scene_training.world.town import Block, Town
from clip2scene_training.world.zones import ZONE_FURNISHERS


def furnish(town: Town) -> list[Placed]:
    """Return everything in a town that stands still, in order of its blocks."""
    found = plant_median(town)
    for block in town.blocks:
        for side in (0, 1):
            found += _side(town, block, side)
    return found


def _side(town: Town, block: Block, side: int) -> list[Placed]:
    f = Frontage(town, block, side)
    ZONE_FURNISHERS[f.zone](f)
    kerbside.furniture(f)
    kerbside.posts(f)
    kerbside.verge(f)
    kerbside.on_the_sidewalk(f)
    if town.sides[side].parking_m:
        kerbside.parking_lane(f)
    kerbside.roadworks(f)
    kerbside.corner(f)
    rarities(f)
    return f.placed
