"""What stands between the lanes and the sidewalk: lamps, signs, trees, parked vehicles, road works, waiting cars."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.frontage import Frontage
from clip2scene_training.world.mesh import Mesh
from clip2scene_training.world.town import Block, Town, generator

SHELTER_M = 2.8
"""Shelters stand only where there is this much between kerb and houses."""


def furniture(f: Frontage) -> None:
    """Lamps, signs, bins and cones stand close to the kerb."""
    rng = f.rng
    with_lamps = f.block.index % 2 == f.side
    for s in f.spots(27.0, jitter=0.1):
        if with_lamps:
            f.put(Label.MANMADE, f.assets.lamp_post(rng), s, 0.45)
        elif rng.random() < 0.4:
            f.put(Label.MANMADE, f.assets.utility_pole(rng), s, 0.5)
    for s in f.spots(16.0, gap_m=5.0, jitter=0.9):
        _something_small(f, s)
    low, high = f.stretches(4.0)[0]
    if f.edge > SHELTER_M and rng.random() < 0.25 and high - low > 6:
        f.put(Label.MANMADE, f.assets.shelter(rng), rng.uniform(low + 2, high - 2), f.edge - 0.9)


def _something_small(f: Frontage, s: float) -> None:
    """Place a sign, a bin, cones or nothing."""
    rng = f.rng
    draw = rng.random()
    if draw < 0.40:
        f.put(Label.MANMADE, f.assets.sign(rng), s, 0.5)
    elif draw < 0.60:
        f.put(Label.MANMADE, f.assets.bin_or_box(rng), s, 0.7)
    elif draw < 0.72:
        for k in range(int(rng.integers(1, 5))):
            f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(rng), s + 1.2 * k, rng.uniform(0.2, 1.2))


def posts(f: Frontage) -> None:
    """Rows of posts, lone pillars and troughs stand on the sidewalk: of the size of cones, people and barriers."""
    rng = f.rng
    for s in f.spots(7.0, gap_m=4.0, jitter=0.9):
        draw, out = rng.random(), float(rng.choice([0.35, f.edge - 0.3])) + rng.normal(0, 0.05)
        if draw < 0.30:
            pitch = rng.uniform(1.0, 2.2)
            for k in range(int(rng.integers(1, 5))):
                f.put(Label.MANMADE, f.assets.post(rng), s + pitch * k, out, turn=rng.uniform(0, 6))
        elif draw < 0.52:
            f.put(Label.MANMADE, f.assets.pillar(rng), s, out, turn=rng.uniform(0, 6))
        elif draw < 0.68:
            for k in range(int(rng.integers(1, 4))):
                f.put(Label.MANMADE, f.assets.trough(rng), s + 2.8 * k, out)


def verge(f: Frontage) -> None:
    """Trees and bushes grow in the verge, or in pits along the kerb where the sidewalk is paved to it."""
    verge = f.town.sides[f.side].verge_m
    if not verge and f.rng.random() < 0.4:
        return
    out, planted = (verge / 2 if verge else 0.9), f.rng.uniform(0.5, 1.0)
    for s in f.spots(float(f.rng.uniform(5, 11)), gap_m=2.0):
        if f.rng.random() < planted:
            f.put(Label.VEGETATION, f.assets.street_tree(f.rng), s, out, turn=f.rng.uniform(0, 6))
    if verge > 1.5 and f.rng.random() < 0.5:
        for s in f.spots(float(f.rng.uniform(2, 5)), gap_m=2.0, jitter=0.8):
            f.put(Label.VEGETATION, f.assets.bush(f.rng), s, out + f.rng.normal(0, 0.15), turn=f.rng.uniform(0, 6))


def parking_lane(f: Frontage) -> None:
    """Parked vehicles fill part of the parking lane."""
    if f.block.works == f.side:
        return
    fill, rng = f.rng.uniform(0.2, 0.9), f.rng
    for low, high in f.stretches(2.0, past_m=6.0):
        s = low + rng.uniform(0, 3)
        while s < high - 5:
            mesh, label = _vehicle(f, rng)
            if 2 * float(mesh.bounds[1, 1]) + 0.2 > f.town.sides[f.side].parking_m:  # it would stand in the lane
                mesh, label = f.assets.car(rng), Label.CAR
            length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
            if rng.random() < fill and s + length < high:
                _park(f, label, mesh, s + length / 2, -0.12 - float(mesh.bounds[1, 1]) - abs(rng.normal(0, 0.08)))
            s += length + rng.uniform(0.6, 2.0)


def _park(f: Frontage, label: Label, mesh: Mesh, s: float, out: float) -> None:
    """Stand a vehicle along the road, nearly always in the direction of its side's traffic."""
    against = np.pi * (f.rng.random() < 0.04)
    f.put(label, mesh, s, out, turn=against + f.rng.normal(0, 0.02))


def on_the_sidewalk(f: Frontage) -> None:
    """Where there is no parking lane, some park on the verge or the sidewalk."""
    if f.town.sides[f.side].parking_m or f.edge < 2.6:
        return
    for s in f.spots(14.0, gap_m=4.0, past_m=4.0):
        if f.rng.random() < 0.10:
            mesh = f.assets.car(f.rng)
            _park(f, Label.CAR, mesh, s, float(mesh.bounds[1, 1]) + 0.25)


def _vehicle(f: Frontage, rng: np.random.Generator) -> tuple[Mesh, Label]:
    draw = rng.random()
    if draw < 0.86:
        return f.assets.car(rng), Label.CAR
    if draw < 0.98:
        return f.assets.truck(rng), Label.TRUCK
    return f.assets.trailer(rng), Label.TRAILER


def roadworks(f: Frontage) -> None:
    """Cones taper in, barriers close the outermost lane, machines work behind them."""
    rng = f.rng
    low, high = max(f.stretches(4.0, past_m=5.0), key=lambda span: span[1] - span[0])
    if f.block.works != f.side or high - low < 24:
        return
    width = f.town.sides[f.side].parking_m + f.town.lane_m - 0.2
    for first, last in ((low, low + 6), (high, high - 6)):
        for k, s in enumerate(np.linspace(first, last, 6)):
            f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(rng), float(s), -width * (k + 1) / 6 + 0.2, on_road=True)
    barrier_row(f, low + 6.5, high - 6.5, 0.25 - width)
    if rng.random() < 0.35:
        turn = np.pi * (rng.random() < 0.5) + rng.normal(0, 0.1)
        make = f.assets.roller if rng.random() < 0.5 else f.assets.construction_vehicle
        f.put(Label.CONSTRUCTION_VEHICLE, make(rng), rng.uniform(low + 11, high - 10), 1.6 - width / 2, turn=turn)


def barrier_row(f: Frontage, low: float, high: float, out: float) -> None:
    """Place a row of one kind of barrier with cones between."""
    mesh = f.assets.barrier(f.rng)
    length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
    s = low
    while s < high - 2.6:
        f.put(Label.BARRIER, mesh, s + length / 2, out + f.rng.normal(0, 0.03), turn=f.rng.normal(0, 0.03))
        s += length + f.rng.uniform(0.05, 0.5)
        if f.rng.random() < 0.2:
            f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(f.rng), s + 0.3, out)
            s += 0.7


def corner(f: Frontage) -> None:
    """Traffic lights stand at a side road, and where no traffic comes out of it, vehicles wait in it."""
    if f.road is None:
        return
    for way in (-1, 1):
        s = f.road.s_m + way * (f.road.half_m + 0.9)
        f.put(Label.MANMADE, f.assets.traffic_light(f.rng), s, 0.7, turn=0.0)
    if not is_blocked(f.town, f.block, f.side):
        return
    s, out = f.road.s_m + (-1 if f.side else 1) * f.road.half_m / 2, f.rng.uniform(5.5, 8.0)
    for _ in range(int(f.rng.integers(1, 4))):
        mesh, kind = _vehicle(f, f.rng)
        if kind == Label.TRAILER:
            continue
        length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
        f.put(kind, mesh, s, out + length / 2, turn=np.pi / 2, on_road=True)
        out += length + f.rng.uniform(1.5, 4)


def is_blocked(town: Town, block: Block, side: int) -> bool:
    """Return whether a queue stands in a side road, so that nobody drives out of it."""
    return bool(generator(town.seed, 13, block.index + 1000, side).random() < 0.35)
