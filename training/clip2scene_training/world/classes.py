"""Class ids of the world, in the order of `config/classes/world.yaml` (a test keeps them equal)."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    """Position in the class set `world`."""

    BARRIER = 0
    BICYCLE = 1
    BUS = 2
    CAR = 3
    CONSTRUCTION_VEHICLE = 4
    MOTORCYCLE = 5
    PEDESTRIAN = 6
    TRAFFIC_CONE = 7
    TRAILER = 8
    TRUCK = 9
    DRIVEABLE_SURFACE = 10
    SIDEWALK = 11
    TERRAIN = 12
    MANMADE = 13
    VEGETATION = 14


THINGS = frozenset(Label) - {
    Label.DRIVEABLE_SURFACE,
    Label.SIDEWALK,
    Label.TERRAIN,
    Label.MANMADE,
    Label.VEGETATION,
}
"""Classes whose objects carry an instance id."""
