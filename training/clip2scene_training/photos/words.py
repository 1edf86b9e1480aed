"""What people call the things in a photo, and to which class of the world each kind belongs."""

from __future__ import annotations

from dataclasses import dataclass

from clip2scene_training.world.classes import Label


@dataclass(frozen=True)
class Kind:
    """One kind of thing.

    Attributes:
        label: the class of the world that it would be; None for the sky. Photos never use it: it says what the
            corpus covers.
        words: what it is called, the most usual first.
        salience: how much rather than its area says it is mentioned; ground and sky are seldom what one talks about.
    """

    label: Label | None
    words: tuple[str, ...]
    salience: float = 1.0


MACHINE = ("construction vehicle", "construction machine")
RIDDEN = ("bicycle", "bike")
KINDS: dict[str, Kind] = {
    "car": Kind(Label.CAR, ("car", "sedan", "automobile", "vehicle"), 1.5),
    "van": Kind(Label.CAR, ("van", "car", "minivan", "delivery van"), 1.5),
    "pickup": Kind(Label.TRUCK, ("pickup truck", "truck", "pickup"), 1.5),
    "truck": Kind(Label.TRUCK, ("truck", "lorry", "heavy truck", "delivery truck"), 1.5),
    "trailer": Kind(Label.TRAILER, ("trailer", "parked trailer", "cargo trailer"), 1.5),
    "bus": Kind(Label.BUS, ("bus", "coach", "city bus"), 1.5),
    "excavator": Kind(Label.CONSTRUCTION_VEHICLE, ("excavator", *MACHINE, "digger"), 2.0),
    "bulldozer": Kind(Label.CONSTRUCTION_VEHICLE, ("bulldozer", *MACHINE), 2.0),
    "loader": Kind(Label.CONSTRUCTION_VEHICLE, (MACHINE[0], "wheel loader", MACHINE[1], "digger"), 2.0),
    "roller": Kind(Label.CONSTRUCTION_VEHICLE, ("road roller", *MACHINE), 2.0),
    "forklift": Kind(Label.CONSTRUCTION_VEHICLE, ("forklift", *MACHINE), 2.0),
    "crane": Kind(Label.CONSTRUCTION_VEHICLE, ("crane", *MACHINE), 2.0),
    "bicycle": Kind(Label.BICYCLE, RIDDEN, 3.0),
    "cyclist": Kind(Label.BICYCLE, ("cyclist", *RIDDEN), 3.0),
    "motorcycle": Kind(Label.MOTORCYCLE, ("motorcycle", "motorbike"), 3.0),
    "scooter": Kind(Label.MOTORCYCLE, ("scooter", "motorcycle", "moped"), 3.0),
    "biker": Kind(Label.MOTORCYCLE, ("motorcycle", "motorcyclist", "motorbike"), 3.0),
    "person": Kind(Label.PEDESTRIAN, ("person", "pedestrian", "man", "woman"), 3.0),
    "people": Kind(Label.PEDESTRIAN, ("people", "pedestrians", "group of people"), 3.0),
    "cone": Kind(Label.TRAFFIC_CONE, ("traffic cone", "cone", "traffic cones"), 3.0),
    "barrier": Kind(Label.BARRIER, ("barrier", "barricade", "jersey barrier", "road barrier"), 2.0),
    "road": Kind(Label.DRIVEABLE_SURFACE, ("road", "street", "asphalt", "driveable surface"), 0.5),
    "sidewalk": Kind(Label.SIDEWALK, ("sidewalk", "pavement", "footpath", "walkway"), 0.5),
    "grass": Kind(Label.TERRAIN, ("grass", "lawn", "meadow", "terrain"), 0.5),
    "dirt": Kind(Label.TERRAIN, ("dirt", "bare ground", "soil", "terrain"), 0.5),
    "building": Kind(Label.MANMADE, ("building", "facade", "apartment building"), 0.7),
    "house": Kind(Label.MANMADE, ("house", "building", "home"), 0.8),
    "warehouse": Kind(Label.MANMADE, ("warehouse", "building", "factory"), 0.8),
    "wall": Kind(Label.MANMADE, ("wall", "garden wall"), 0.8),
    "fence": Kind(Label.MANMADE, ("fence", "wooden fence"), 1.0),
    "pole": Kind(Label.MANMADE, ("pole", "lamp post", "street light", "utility pole"), 2.0),
    "traffic light": Kind(Label.MANMADE, ("traffic light", "traffic signal"), 2.0),
    "sign": Kind(Label.MANMADE, ("traffic sign", "sign", "street sign"), 2.0),
    "bench": Kind(Label.MANMADE, ("bench", "park bench"), 1.5),
    "bin": Kind(Label.MANMADE, ("trash can", "box", "bin"), 1.5),
    "bollard": Kind(Label.MANMADE, ("bollard", "post"), 2.0),
    "shelter": Kind(Label.MANMADE, ("bus stop", "shelter"), 1.0),
    "tree": Kind(Label.VEGETATION, ("tree", "trees", "vegetation"), 0.9),
    "bush": Kind(Label.VEGETATION, ("bush", "shrub", "plants", "vegetation"), 1.0),
    "hedge": Kind(Label.VEGETATION, ("hedge", "bushes", "vegetation"), 0.9),
    "sky": Kind(None, ("sky", "clouds"), 0.3),
}
"""Every kind of thing that a photo may show."""

NAMES = tuple(KINDS)
"""By number, as pixels are told apart."""

SUBJECTS: dict[str, tuple[float, tuple[str, ...]]] = {
    "car": (2.0, ("car", "car", "van")),
    "truck": (2.0, ("truck", "truck", "pickup")),
    "bus": (1.5, ("bus",)),
    "trailer": (1.5, ("trailer",)),
    "machine": (1.3, ("excavator", "excavator", "bulldozer", "loader", "loader", "roller", "forklift", "crane")),
    "bicycle": (1.3, ("bicycle", "cyclist")),
    "motorcycle": (1.3, ("motorcycle", "scooter", "biker")),
    "person": (1.4, ("person", "person", "people")),
    "cone": (1.0, ("cone",)),
    "barrier": (1.2, ("barrier",)),
    "road": (1.2, ("road",)),
    "sidewalk": (1.2, ("sidewalk",)),
    "terrain": (1.2, ("grass", "dirt")),
    "building": (1.2, ("building", "house", "warehouse")),
    "enclosure": (0.7, ("wall", "fence")),
    "pole": (0.8, ("pole", "traffic light", "sign")),
    "furniture": (0.8, ("bench", "bin", "bollard", "bollard", "shelter")),
    "plant": (1.6, ("tree", "tree", "bush", "hedge")),
    "sky": (0.6, ("sky",)),
}
"""What a photographer may set out to take: how often, and which kinds count as it."""
