"""What stands behind the sidewalk, by zone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.frontage import Frontage
from clip2scene_training.world.kerbside import barrier_row
from clip2scene_training.world.mesh import Mesh


def _row_of_buildings(
    f: Frontage, build: Callable[[np.random.Generator, float, float], Mesh], widths: tuple[float, float],
    depths: tuple[float, float], setback: tuple[float, float], gaps: tuple[float, float],
) -> None:  # fmt: skip
    rng = f.rng
    back = f.edge + rng.uniform(*setback)
    for low, high in f.stretches(1.2, past_m=f.walk + 0.5):
        s = low + rng.uniform(*gaps) / 2
        while s < high - widths[0]:
            width = min(rng.uniform(*widths), high - s)
            depth = rng.uniform(*depths)
            mesh = build(rng, width, depth)
            f.put(Label.MANMADE, mesh, s + width / 2, back + rng.uniform(0, 0.6), turn=0.0)
            s += width + rng.uniform(*gaps)


def _scatter(f: Frontage, count: int, near: float, far: float, bushes: float) -> None:
    """Scatter trees and bushes between two distances behind the sidewalk."""
    for low, high in f.stretches(2.0, past_m=f.walk + 2.0):
        if high - low < 2:
            continue
        for _ in range(int(count * (high - low) / (f.block.end_m - f.block.start_m))):
            mesh = f.assets.bush(f.rng) if f.rng.random() < bushes else f.assets.tree(f.rng)
            f.put(
                Label.VEGETATION,
                mesh,
                f.rng.uniform(low, high),
                f.edge + f.rng.uniform(near, far),
                turn=f.rng.uniform(0, 6),
            )


def _boundary(f: Frontage, out: float, chance: float) -> None:
    """Add fences, walls or hedges along the back of the sidewalk."""
    for low, high in f.stretches(1.0, past_m=f.walk + 0.5):
        s = low
        while s < high - 5:
            length = min(f.rng.uniform(6, 14), high - s)
            if f.rng.random() < chance:
                draw = f.rng.random()
                if draw < 0.5:
                    f.put(Label.VEGETATION, f.assets.hedge(f.rng, length), s + length / 2, out, lean=True)
                else:
                    build = f.assets.fence if draw < 0.78 else f.assets.wall
                    f.put(Label.MANMADE, build(f.rng, length), s + length / 2, out, lean=True)
            s += length + f.rng.uniform(0.5, 4)


def _urban(f: Frontage) -> None:
    _row_of_buildings(f, f.assets.flats, (9, 22), (9, 16), (0.3, 4.0), (0.0, 2.5))
    _scatter(f, 5, 30, 60, 0.2)


def _suburb(f: Frontage) -> None:
    _boundary(f, f.edge + 0.5, 0.85)
    _row_of_buildings(f, f.assets.house, (8, 13), (8, 12), (4.0, 9.0), (4.0, 9.0))
    _scatter(f, 9, 1.5, 4.0, 0.6)
    _scatter(f, 14, 20, 60, 0.25)


def _park(f: Frontage) -> None:
    _boundary(f, f.edge + 0.4, 0.35)
    _scatter(f, 34, 1.2, 26, 0.4)
    _scatter(f, 16, 26, 62, 0.1)
    for s in f.spots(18):
        f.put(Label.MANMADE, f.assets.bench(f.rng), s, f.edge + 7.5)


def _industrial(f: Frontage) -> None:
    _boundary(f, f.edge + 0.8, 0.45)
    _row_of_buildings(f, f.assets.hall, (20, 40), (15, 28), (19.0, 24.0), (4.0, 12.0))
    for s in f.spots(9.0, gap_m=6.0, past_m=5.0):
        if f.rng.random() < 0.6:
            label, mesh = heavy(f, (0.46, 0.19, 0.15, 0.20))
            turn = np.pi / 2 * f.rng.choice([-1, 1])
            f.put(label, mesh, s, f.edge + f.rng.uniform(10.5, 11.5), turn=turn)


def heavy(f: Frontage, shares: tuple[float, float, float, float]) -> tuple[Label, Mesh]:
    """Return a truck, a trailer, a bus or a car, with these chances."""
    kinds = (Label.TRUCK, Label.TRAILER, Label.BUS, Label.CAR)
    makers = (f.assets.truck, f.assets.trailer, f.assets.bus, f.assets.car)
    which = int(f.rng.choice(4, p=shares))
    return kinds[which], makers[which](f.rng)


def _car_park(f: Frontage) -> None:
    _boundary(f, f.edge + 0.7, 0.4)
    for row in (5.0, 15.5):
        for s in f.spots(2.8, gap_m=3.0, jitter=0.05, past_m=5.0):
            if f.rng.random() < 0.55:
                f.put(Label.CAR, f.assets.car(f.rng), s, f.edge + row, turn=np.pi / 2 * f.rng.choice([-1, 1]))
    _row_of_buildings(f, f.assets.hall, (18, 35), (15, 25), (24.0, 30.0), (6.0, 15.0))
    _scatter(f, 4, 21, 24, 0.2)


def _works(f: Frontage) -> None:
    if f.rng.random() < 0.6:
        for low, high in f.stretches(1.0, past_m=f.walk + 0.5):
            barrier_row(f, low, high, f.edge + 0.6)
    else:
        _boundary(f, f.edge + 0.6, 0.8)
    for low, high in f.stretches(5.0, past_m=6.0):
        if high - low < 6:
            continue
        for k in range(int(f.rng.integers(1, 3))):
            place = f.rng.uniform(low, high), f.edge + 12.0 + 8.0 * k
            f.put(Label.CONSTRUCTION_VEHICLE, f.assets.construction_vehicle(f.rng), *place, turn=f.rng.uniform(0, 6))
        if f.rng.random() < 0.6:
            f.put(Label.TRUCK, f.assets.truck(f.rng), f.rng.uniform(low, high), f.edge + 28.0, turn=f.rng.uniform(0, 6))
    _row_of_buildings(f, f.assets.flats, (14, 25), (10, 16), (33.0, 36.0), (5.0, 20.0))
    _scatter(f, 4, 30, 60, 0.3)


def _square(f: Frontage) -> None:
    """An open paved place: trees in rows, benches, stalls, houses around it."""
    for out in (5.0, 13.0, 19.0):
        for s in f.spots(8.0, gap_m=3.0, jitter=0.1, past_m=4.0):
            draw = f.rng.random()
            if draw < 0.45:
                f.put(Label.VEGETATION, f.assets.street_tree(f.rng), s, f.edge + out, turn=f.rng.uniform(0, 6))
            elif draw < 0.6:
                f.put(Label.MANMADE, f.assets.bench(f.rng), s, f.edge + out)
            elif draw < 0.7:
                f.put(Label.MANMADE, f.assets.shelter(f.rng), s, f.edge + out, turn=np.pi / 2)
            elif draw < 0.78:
                f.put(Label.MANMADE, f.assets.lamp_post(f.rng), s, f.edge + out)
            elif draw < 0.84:
                f.put(
                    Label.PEDESTRIAN, f.assets.pedestrian(f.rng).standing(), s, f.edge + out, turn=f.rng.uniform(0, 6)
                )
    _row_of_buildings(f, f.assets.flats, (10, 20), (10, 16), (23.0, 25.0), (0.0, 1.5))


def _terrace(f: Frontage) -> None:
    """Houses wall to wall behind raised front gardens."""
    _boundary(f, f.edge + 0.25, 0.6)
    _row_of_buildings(f, f.assets.house, (6, 9), (9, 12), (2.4, 2.8), (0.0, 0.3))
    _scatter(f, 8, 0.6, 1.6, 0.9)
    _scatter(f, 8, 22, 60, 0.25)


def _hillside(f: Frontage) -> None:
    """A steep meadow with bushes, and houses far above or below the road."""
    _boundary(f, f.edge + 0.2, 0.5)
    _scatter(f, 26, 1.0, 10.0, 0.65)
    _row_of_buildings(f, f.assets.house, (9, 14), (8, 12), (11.0, 16.0), (8.0, 18.0))
    _scatter(f, 14, 24, 60, 0.2)


ZONE_FURNISHERS: dict[str, Callable[[Frontage], None]] = {
    "urban": _urban,
    "suburb": _suburb,
    "park": _park,
    "industrial": _industrial,
    "parking": _car_park,
    "works": _works,
    "square": _square,
    "terrace": _terrace,
    "hillside": _hillside,
}
"""One furnisher a zone; a new zone needs an entry here, one in `ground._yard` and one in `plans.BANKS`."""
