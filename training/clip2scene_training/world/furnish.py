"""What stands along a street: buildings, trees, fences, parked vehicles, road works, block by block."""

from __future__ import annotations

from clip2scene_training.world import kerbside
from clip2scene_training.world.frontage import Frontage, Placed
from clip2scene_training.world.town import Block, Town
from clip2scene_training.world.zones import ZONE_FURNISHERS


def furnish(town: Town, block: Block, side: int) -> list[Placed]:
    """Return everything that stands on one side of a block."""
    f = Frontage(town, block, side)
    ZONE_FURNISHERS[block.zones[side]](f)
    kerbside.furniture_and_cycles(f)
    kerbside.verge(f)
    if town.sides[side].parking_m:
        kerbside.parking_lane(f)
    if block.crossing_m:
        kerbside.corner(f)
    return f.placed
