"""What stands along a street: buildings, trees, fences, parked vehicles, road works, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets import buildings, cars, furniture, people, plants, trucks
from clip2scene_training.world.classes import Label
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.town import Block, Town, generator


@dataclass(frozen=True, eq=False)
class Placed:
    """A thing that does not move: its mesh, where it stands in the world, its class."""

    label: Label
    mesh: Mesh
    pose: Array


class Frontage:
    """One side of one block while it is being furnished. Offsets are metres outward from the kerb."""

    def __init__(self, town: Town, block: Block, side: int) -> None:
        self.town, self.block, self.side = town, block, side
        self.rng = generator(town.seed, 7, block.index + 1000, side)
        self.sign = 2 * side - 1
        self.kerb = town.half_m(side)
        self.edge = town.edge_m(side) - self.kerb
        self.placed: list[Placed] = []

    def stretches(self, gap_m: float, past_m: float = 0.0) -> list[tuple[float, float]]:
        """Return the s ranges free of the side road; beyond the sidewalk its own sidewalks count too."""
        block = self.block
        if not block.crossing_m:
            return [(block.start_m + gap_m, block.end_m - gap_m)]
        clear = block.crossing_m + gap_m + past_m
        return [(block.start_m + gap_m, block.middle_m - clear), (block.middle_m + clear, block.end_m - gap_m)]

    def spots(self, pitch_m: float, gap_m: float = 1.0, jitter: float = 0.4, past_m: float = 0.0) -> list[float]:
        """Return positions along s about `pitch_m` apart."""
        found: list[float] = []
        for low, high in self.stretches(gap_m, past_m):
            s = np.arange(low + pitch_m / 2, high - 0.2 * pitch_m, pitch_m)
            found += [float(v) for v in s + self.rng.uniform(-jitter, jitter, len(s)) * pitch_m * 0.5]
        return found

    def put(self, label: Label, mesh: Mesh, s: float, out: float, *, turn: float = 0.0, on_road: bool = False) -> None:
        """Place a mesh `out` metres beyond the kerb; with turn 0 its +y looks at the road."""
        facing = np.pi if self.side else 0.0
        z = 0.0 if on_road or out < 0 else self.town.kerb_m
        pose = self.town.road.pose_at(s, self.sign * (self.kerb + out), z, facing + turn)
        self.placed.append(Placed(label, mesh, pose))


def furnish(town: Town, block: Block, side: int) -> list[Placed]:
    """Return everything that stands on one side of a block."""
    f = Frontage(town, block, side)
    ZONE_FURNISHERS[block.zones[side]](f)
    _kerbside(f)
    _verge(f)
    if town.sides[side].parking_m:
        _parked(f)
    if block.crossing_m:
        _corner(f)
    return f.placed


def _kerbside(f: Frontage) -> None:
    """Lamps, signs, bins and bicycles stand close to the kerb."""
    rng = f.rng
    first = f.block.index % 2 == f.side
    for s in f.spots(27.0, jitter=0.1):
        if first:
            f.put(Label.MANMADE, furniture.lamp_post(rng), s, 0.45)
        elif rng.random() < 0.4:
            f.put(Label.MANMADE, furniture.utility_pole(rng), s, 0.5)
    for s in f.spots(16.0, gap_m=3.0, jitter=0.9):
        draw = rng.random()
        if draw < 0.40:
            f.put(Label.MANMADE, furniture.sign(rng), s, 0.5)
        elif draw < 0.60:
            f.put(Label.MANMADE, furniture.bin_or_box(rng), s, 0.7)
        elif draw < 0.72:
            for k in range(int(rng.integers(1, 5))):
                f.put(
                    Label.BICYCLE,
                    people.bicycle(rng, rider=False),
                    s + 0.7 * k,
                    1.0,
                    turn=np.pi / 2 + rng.normal(0, 0.15),
                )
        elif draw < 0.80:
            f.put(Label.MOTORCYCLE, people.motorcycle(rng, rider=False), s, 0.9, turn=rng.normal(0.6, 0.5))
        elif draw < 0.86:
            for k in range(int(rng.integers(1, 4))):
                f.put(Label.TRAFFIC_CONE, furniture.traffic_cone(rng), s + 1.2 * k, rng.uniform(-0.4, 1.2))
    low, high = f.stretches(4.0)[0]
    if rng.random() < 0.25 and high - low > 6:
        f.put(Label.MANMADE, furniture.shelter(rng), rng.uniform(low + 2, high - 2), f.edge - 0.9)


def _verge(f: Frontage) -> None:
    """Trees and bushes grow in the verge, or in pits along the kerb where the sidewalk is paved to it."""
    verge = f.town.sides[f.side].verge_m
    if not verge and f.rng.random() < 0.4:
        return
    out, planted = (verge / 2 if verge else 0.9), f.rng.uniform(0.5, 1.0)
    for s in f.spots(float(f.rng.uniform(5, 11)), gap_m=2.0):
        if f.rng.random() < planted:
            f.put(Label.VEGETATION, plants.street_tree(f.rng), s, out, turn=f.rng.uniform(0, 6))
    if verge > 1.5 and f.rng.random() < 0.5:
        for s in f.spots(float(f.rng.uniform(2, 5)), gap_m=2.0, jitter=0.8):
            f.put(Label.VEGETATION, plants.bush(f.rng), s, out + f.rng.normal(0, 0.15), turn=f.rng.uniform(0, 6))


def _parked(f: Frontage) -> None:
    """Parked vehicles fill part of the parking lane; works may close it."""
    if f.block.zones[f.side] == "works" or f.rng.random() < 0.12:
        _roadworks(f)
        return
    fill, rng = f.rng.uniform(0.3, 0.95), f.rng
    for low, high in f.stretches(2.0, past_m=6.0):
        s = low + rng.uniform(0, 3)
        while s < high - 5:
            mesh, label = _vehicle(rng)
            if 2 * float(mesh.bounds[1, 1]) + 0.2 > f.town.sides[f.side].parking_m:  # it would stand in the lane
                mesh, label = cars.car(rng), Label.CAR
            length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
            if rng.random() < fill and s + length < high:
                turn = np.pi * (f.side == 1) + np.pi * (rng.random() < 0.04)
                facing = np.pi if f.side else 0.0
                out = -0.12 - float(mesh.bounds[1, 1]) - abs(rng.normal(0, 0.08))
                f.put(label, mesh, s + length / 2, out, turn=turn - facing + rng.normal(0, 0.02))
            s += length + rng.uniform(0.6, 2.0)


def _vehicle(rng: np.random.Generator) -> tuple[Mesh, Label]:
    draw = rng.random()
    if draw < 0.83:
        return cars.car(rng), Label.CAR
    if draw < 0.93:
        return trucks.truck(rng), Label.TRUCK
    if draw < 0.97:
        return trucks.trailer(rng), Label.TRAILER
    return people.motorcycle(rng, rider=False), Label.MOTORCYCLE


def _roadworks(f: Frontage) -> None:
    """Cones taper in, barriers close the parking lane, a machine works behind them."""
    rng = f.rng
    low, high = f.stretches(4.0, past_m=5.0)[-1]
    if high - low < 14:
        return
    width = f.town.sides[f.side].parking_m or 2.0
    for k, s in enumerate(np.linspace(low, low + 5, 5)):
        f.put(Label.TRAFFIC_CONE, furniture.traffic_cone(rng), float(s), -width * (k + 1) / 5 + 0.2, on_road=True)
    _row(f, low + 5.5, high - 1, -width + 0.25)
    if rng.random() < 0.6 and width > 2.0:
        f.put(
            Label.CONSTRUCTION_VEHICLE,
            trucks.roller(rng),
            (low + high) / 2,
            0.25 - width / 2,
            turn=np.pi * (rng.random() < 0.5),
        )


def _row(f: Frontage, low: float, high: float, out: float) -> None:
    """Place a row of one kind of barrier with cones between."""
    mesh = furniture.barrier(f.rng)
    length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
    s = low
    while s < high - 2.6:
        f.put(Label.BARRIER, mesh, s + length / 2, out + f.rng.normal(0, 0.03), turn=f.rng.normal(0, 0.03))
        s += length + f.rng.uniform(0.05, 0.5)
        if f.rng.random() < 0.2:
            f.put(Label.TRAFFIC_CONE, furniture.traffic_cone(f.rng), s + 0.3, out)
            s += 0.7


def _corner(f: Frontage) -> None:
    for way in (-1, 1):
        s = f.block.middle_m + way * (f.block.crossing_m + 0.9)
        f.put(Label.MANMADE, furniture.traffic_light(f.rng), s, 0.7, turn=0.0)
    lane = f.block.crossing_m / 2
    s = f.block.middle_m - lane if f.side else f.block.middle_m + lane
    out = f.rng.uniform(5.5, 8.0)
    for _ in range(int(f.rng.integers(0, 4))):
        mesh, kind = _vehicle(f.rng)
        if kind == Label.TRAILER:
            continue
        length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
        f.put(kind, mesh, s, out + length / 2, turn=np.pi / 2, on_road=True)
        out += length + f.rng.uniform(1.5, 4)


def _row_of_buildings(
    f: Frontage, build: Callable[[np.random.Generator, float, float], Mesh], widths: tuple[float, float],
    depths: tuple[float, float], setback: tuple[float, float], gaps: tuple[float, float],
) -> None:  # fmt: skip
    rng = f.rng
    back = f.edge + rng.uniform(*setback)
    for low, high in f.stretches(0.3, past_m=f.town.sides[f.side].sidewalk_m + 0.5):
        s = low + rng.uniform(*gaps) / 2
        while s < high - widths[0]:
            width = min(rng.uniform(*widths), high - s)
            depth = rng.uniform(*depths)
            mesh = build(rng, width, depth)
            f.put(Label.MANMADE, mesh, s + width / 2, back + rng.uniform(0, 0.6), turn=0.0)
            s += width + rng.uniform(*gaps)


def _scatter(f: Frontage, count: int, near: float, far: float, bushes: float) -> None:
    """Scatter trees and bushes between two distances behind the sidewalk."""
    for low, high in f.stretches(2.0, past_m=f.town.sides[f.side].sidewalk_m + 2.0):
        if high - low < 2:
            continue
        for _ in range(int(count * (high - low) / (f.block.end_m - f.block.start_m))):
            mesh = plants.bush(f.rng) if f.rng.random() < bushes else plants.tree(f.rng)
            f.put(
                Label.VEGETATION,
                mesh,
                f.rng.uniform(low, high),
                f.edge + f.rng.uniform(near, far),
                turn=f.rng.uniform(0, 6),
            )


def _boundary(f: Frontage, out: float, chance: float) -> None:
    """Add fences, walls or hedges along the back of the sidewalk."""
    for low, high in f.stretches(1.0, past_m=f.town.sides[f.side].sidewalk_m + 0.5):
        s = low
        while s < high - 5:
            length = min(f.rng.uniform(6, 14), high - s)
            if f.rng.random() < chance:
                draw = f.rng.random()
                if draw < 0.5:
                    f.put(Label.VEGETATION, plants.hedge(f.rng, length), s + length / 2, out)
                else:
                    build = furniture.fence if draw < 0.78 else furniture.wall
                    f.put(Label.MANMADE, build(f.rng, length), s + length / 2, out)
            s += length + f.rng.uniform(0.5, 4)


def _urban(f: Frontage) -> None:
    _row_of_buildings(f, buildings.flats, (9, 22), (9, 16), (0.3, 4.0), (0.0, 2.5))
    _scatter(f, 5, 30, 60, 0.2)


def _suburb(f: Frontage) -> None:
    _boundary(f, f.edge + 0.5, 0.85)
    _row_of_buildings(f, buildings.house, (8, 13), (8, 12), (4.0, 9.0), (4.0, 9.0))
    _scatter(f, 9, 1.5, 4.0, 0.6)
    _scatter(f, 14, 20, 60, 0.25)


def _park(f: Frontage) -> None:
    _boundary(f, f.edge + 0.4, 0.35)
    _scatter(f, 34, 1.2, 26, 0.4)
    _scatter(f, 16, 26, 62, 0.1)
    for s in f.spots(18):
        f.put(Label.MANMADE, furniture.bench(f.rng), s, f.edge + 7.5)


def _industrial(f: Frontage) -> None:
    _boundary(f, f.edge + 0.8, 0.45)
    _row_of_buildings(f, buildings.hall, (20, 40), (15, 28), (19.0, 24.0), (4.0, 12.0))
    for s in f.spots(9.0, gap_m=6.0, past_m=5.0):
        draw = f.rng.random()
        mesh, label = (trucks.trailer(f.rng), Label.TRAILER) if draw < 0.3 else (trucks.truck(f.rng), Label.TRUCK)
        if draw > 0.6:
            mesh, label = cars.car(f.rng), Label.CAR
        if f.rng.random() < 0.7:
            f.put(label, mesh, s, f.edge + f.rng.uniform(10.5, 11.5), turn=np.pi / 2 * f.rng.choice([-1, 1]))


def _car_park(f: Frontage) -> None:
    _boundary(f, f.edge + 0.7, 0.4)
    for row in (5.0, 15.5):
        for s in f.spots(2.8, gap_m=3.0, jitter=0.05, past_m=5.0):
            if f.rng.random() < 0.55:
                f.put(Label.CAR, cars.car(f.rng), s, f.edge + row, turn=np.pi / 2 * f.rng.choice([-1, 1]))
    _row_of_buildings(f, buildings.hall, (18, 35), (15, 25), (24.0, 30.0), (6.0, 15.0))
    _scatter(f, 4, 21, 24, 0.2)


def _works(f: Frontage) -> None:
    _row_of_fences(f)
    for low, high in f.stretches(5.0, past_m=6.0):
        if high - low < 6:
            continue
        for k in range(int(f.rng.integers(1, 4))):
            place = f.rng.uniform(low, high), f.edge + 6.0 + 7.0 * k
            f.put(Label.CONSTRUCTION_VEHICLE, trucks.construction_vehicle(f.rng), *place, turn=f.rng.uniform(0, 6))
        if f.rng.random() < 0.6:
            f.put(Label.TRUCK, trucks.truck(f.rng), f.rng.uniform(low, high), f.edge + 28.0, turn=f.rng.uniform(0, 6))
    _row_of_buildings(f, buildings.flats, (14, 25), (10, 16), (33.0, 36.0), (5.0, 20.0))
    _scatter(f, 4, 30, 60, 0.3)


def _row_of_fences(f: Frontage) -> None:
    for low, high in f.stretches(1.0, past_m=f.town.sides[f.side].sidewalk_m + 0.5):
        _row(f, low, high, f.edge + 0.6)


ZONE_FURNISHERS: dict[str, Callable[[Frontage], None]] = {
    "urban": _urban,
    "suburb": _suburb,
    "park": _park,
    "industrial": _industrial,
    "parking": _car_park,
    "works": _works,
}
"""One furnisher a zone; a new zone needs an entry here and one in `ground._yard`."""
