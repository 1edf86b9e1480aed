"""What stands between the lanes and the sidewalk: lamps, signs, trees, parked vehicles, road works, waiting cars."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.frontage import Frontage
from clip2scene_training.world.mesh import Mesh


def furniture_and_cycles(f: Frontage) -> None:
    """Lamps, signs, bins, cones and bicycles stand close to the kerb."""
    rng = f.rng
    with_lamps = f.block.index % 2 == f.side
    for s in f.spots(27.0, jitter=0.1):
        if with_lamps:
            f.put(Label.MANMADE, f.assets.lamp_post(rng), s, 0.45)
        elif rng.random() < 0.4:
            f.put(Label.MANMADE, f.assets.utility_pole(rng), s, 0.5)
    for s in f.spots(16.0, gap_m=3.0, jitter=0.9):
        _something_small(f, s)
    low, high = f.stretches(4.0)[0]
    if rng.random() < 0.25 and high - low > 6:
        f.put(Label.MANMADE, f.assets.shelter(rng), rng.uniform(low + 2, high - 2), f.edge - 0.9)


def _something_small(f: Frontage, s: float) -> None:
    """Place a sign, a bin, bicycles, a motorcycle, cones or nothing."""
    rng = f.rng
    draw = rng.random()
    if draw < 0.40:
        f.put(Label.MANMADE, f.assets.sign(rng), s, 0.5)
    elif draw < 0.60:
        f.put(Label.MANMADE, f.assets.bin_or_box(rng), s, 0.7)
    elif draw < 0.72:
        for k in range(int(rng.integers(1, 5))):
            mesh = f.assets.bicycle(rng, rider=False)
            f.put(Label.BICYCLE, mesh, s + 0.7 * k, 1.0, turn=np.pi / 2 + rng.normal(0, 0.15))
    elif draw < 0.80:
        f.put(Label.MOTORCYCLE, f.assets.motorcycle(rng, rider=False), s, 0.9, turn=rng.normal(0.6, 0.5))
    elif draw < 0.86:
        for k in range(int(rng.integers(1, 4))):
            f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(rng), s + 1.2 * k, rng.uniform(-0.4, 1.2))


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
    """Parked vehicles fill part of the parking lane; works may close it."""
    if f.block.zones[f.side] == "works" or f.rng.random() < 0.12:
        _roadworks(f)
        return
    fill, rng = f.rng.uniform(0.3, 0.95), f.rng
    for low, high in f.stretches(2.0, past_m=6.0):
        s = low + rng.uniform(0, 3)
        while s < high - 5:
            mesh, label = _vehicle(f, rng)
            if 2 * float(mesh.bounds[1, 1]) + 0.2 > f.town.sides[f.side].parking_m:  # it would stand in the lane
                mesh, label = f.assets.car(rng), Label.CAR
            length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
            if rng.random() < fill and s + length < high:
                turn = np.pi * (f.side == 1) + np.pi * (rng.random() < 0.04)
                facing = np.pi if f.side else 0.0
                out = -0.12 - float(mesh.bounds[1, 1]) - abs(rng.normal(0, 0.08))
                f.put(label, mesh, s + length / 2, out, turn=turn - facing + rng.normal(0, 0.02))
            s += length + rng.uniform(0.6, 2.0)


def _vehicle(f: Frontage, rng: np.random.Generator) -> tuple[Mesh, Label]:
    draw = rng.random()
    if draw < 0.83:
        return f.assets.car(rng), Label.CAR
    if draw < 0.93:
        return f.assets.truck(rng), Label.TRUCK
    if draw < 0.97:
        return f.assets.trailer(rng), Label.TRAILER
    return f.assets.motorcycle(rng, rider=False), Label.MOTORCYCLE


def _roadworks(f: Frontage) -> None:
    """Cones taper in, barriers close the parking lane, a machine works behind them."""
    rng = f.rng
    low, high = f.stretches(4.0, past_m=5.0)[-1]
    if high - low < 14:
        return
    width = f.town.sides[f.side].parking_m or 2.0
    for k, s in enumerate(np.linspace(low, low + 5, 5)):
        f.put(Label.TRAFFIC_CONE, f.assets.traffic_cone(rng), float(s), -width * (k + 1) / 5 + 0.2, on_road=True)
    barrier_row(f, low + 5.5, high - 1, -width + 0.25)
    if rng.random() < 0.6 and width > 2.0:
        f.put(
            Label.CONSTRUCTION_VEHICLE,
            f.assets.roller(rng),
            (low + high) / 2,
            0.25 - width / 2,
            turn=np.pi * (rng.random() < 0.5),
        )


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
    """Traffic lights stand at a side road, and vehicles wait in it."""
    for way in (-1, 1):
        s = f.block.middle_m + way * (f.block.crossing_m + 0.9)
        f.put(Label.MANMADE, f.assets.traffic_light(f.rng), s, 0.7, turn=0.0)
    lane = f.block.crossing_m / 2
    s = f.block.middle_m - lane if f.side else f.block.middle_m + lane
    out = f.rng.uniform(5.5, 8.0)
    for _ in range(int(f.rng.integers(0, 4))):
        mesh, kind = _vehicle(f, f.rng)
        if kind == Label.TRAILER:
            continue
        length = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
        f.put(kind, mesh, s, out + length / 2, turn=np.pi / 2, on_road=True)
        out += length + f.rng.uniform(1.5, 4)
