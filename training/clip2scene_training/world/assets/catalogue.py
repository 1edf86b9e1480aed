"""Families of assets: who makes each kind of thing. Two families share no shape, texture or colour scheme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from clip2scene_training.world.assets import (
    buildings,
    cars,
    furniture,
    machines,
    people,
    plants,
    posts,
    trucks,
    unseen_buildings,
    unseen_cars,
    unseen_cycles,
    unseen_machines,
    unseen_people,
    unseen_plants,
    unseen_posts,
    unseen_street,
    unseen_trucks,
    unseen_works,
    works,
)  # fmt: skip
from clip2scene_training.world.assets.people import Figure
from clip2scene_training.world.mesh import Mesh

Make = Callable[[np.random.Generator], Mesh]
MakeBuilding = Callable[[np.random.Generator, float, float], Mesh]
"""Makes a building of a width along the road and a depth [m]."""
MakeRow = Callable[[np.random.Generator, float], Mesh]
"""Makes something of a length along the road [m]."""


class MakeCycle(Protocol):
    """Makes a bicycle or a motorcycle."""

    def __call__(self, rng: np.random.Generator, *, rider: bool) -> Mesh:
        """Return it, with somebody on it where asked."""


@dataclass(frozen=True)
class Catalogue:
    """One family: a maker for each kind of thing, x forward, the ground at z = 0."""

    car: Make
    truck: Make
    bus: Make
    trailer: Make
    construction_vehicle: Make
    roller: Make
    bicycle: MakeCycle
    motorcycle: MakeCycle
    pedestrian: Callable[[np.random.Generator], Figure]
    tree: Make
    street_tree: Make
    bush: Make
    hedge: MakeRow
    flats: MakeBuilding
    house: MakeBuilding
    hall: MakeBuilding
    lamp_post: Make
    utility_pole: Make
    traffic_light: Make
    sign: Make
    bench: Make
    bin_or_box: Make
    post: Make
    pillar: Make
    trough: Make
    shelter: Make
    fence: MakeRow
    wall: MakeRow
    traffic_cone: Make
    barrier: Make


SEEN = Catalogue(
    cars.car, trucks.truck, trucks.bus, trucks.trailer, machines.construction_vehicle, machines.roller,
    people.bicycle, people.motorcycle, people.pedestrian, plants.tree, plants.street_tree, plants.bush, plants.hedge,
    buildings.flats, buildings.house, buildings.hall, furniture.lamp_post, furniture.utility_pole,
    furniture.traffic_light, furniture.sign, furniture.bench, furniture.bin_or_box, posts.post,
    posts.pillar, posts.trough, furniture.shelter,
    furniture.fence, furniture.wall, works.traffic_cone, works.barrier,
)  # fmt: skip
"""What streets of training, validation and test are made of."""
UNSEEN = Catalogue(
    unseen_cars.car, unseen_trucks.truck, unseen_trucks.bus, unseen_trucks.trailer,
    unseen_machines.construction_vehicle, unseen_machines.roller, unseen_cycles.bicycle, unseen_cycles.motorcycle,
    unseen_people.pedestrian, unseen_plants.tree, unseen_plants.street_tree, unseen_plants.bush, unseen_plants.hedge,
    unseen_buildings.flats, unseen_buildings.house, unseen_buildings.hall, unseen_street.lamp_post,
    unseen_street.utility_pole, unseen_street.traffic_light, unseen_street.sign, unseen_street.bench,
    unseen_street.bin_or_box, unseen_posts.post, unseen_posts.pillar, unseen_posts.trough, unseen_street.shelter,
    unseen_street.fence, unseen_street.wall,
    unseen_works.traffic_cone, unseen_works.barrier,
)  # fmt: skip
"""What streets out of the distribution are made of, and no others."""
CATALOGUES = {"seen": SEEN, "unseen": UNSEEN}
