"""The places where photos are taken: a short piece of street with everything in it, closely packed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.photos.assets import buildings, cars, heavy, people, plants, street
from clip2scene_training.photos.assets.colors import hue, neutral
from clip2scene_training.photos.assets.machines import MACHINES
from clip2scene_training.photos.words import NAMES, SUBJECTS
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh, merge, pose_at
from clip2scene_training.world.shading import street_lamps
from clip2scene_training.world.tracer import Layer

HALF_M = 34.0
"""Things stand this far along the street to either side of its middle."""
GROUND_M = 400.0
"""The ground ends here, far behind everything."""


def generator(seed: int, *tags: int) -> np.random.Generator:
    """Return a generator for one part of one photo or scene; the leading tag keeps them apart from the world's."""
    return np.random.default_rng([seed, 0x9807, *tags])


def _row(make: Callable[[np.random.Generator], Mesh], low: int, high: int, gap: float) -> Callable[..., Mesh]:
    """Return a maker of several like things in a row along x."""

    def build(rng: np.random.Generator) -> Mesh:
        state, b, x = rng.bit_generator.state, Builder(), 0.0
        for _ in range(int(rng.integers(low, high + 1))):
            twin = np.random.default_rng(state["state"]["state"] % 2**63)
            mesh = make(twin)  # every one of a row is the same
            x -= float(mesh.bounds[0, 0])
            b.include(mesh, pose_at(x, 0.0, yaw=rng.normal(0, 0.05)))
            x += float(mesh.bounds[1, 0]) + rng.uniform(0.05, gap)
        return b.mesh()

    return build


def _lined(make: Callable[..., Mesh], low: float, high: float) -> Callable[[np.random.Generator], Mesh]:
    """Return a maker of something whose length is drawn between two [m]."""
    return lambda rng: make(rng, rng.uniform(low, high))


MAKERS: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "car": cars.car, "van": cars.van, "pickup": cars.pickup, "truck": heavy.truck, "trailer": heavy.trailer,
    "bus": heavy.bus, **MACHINES,
    "bicycle": people.bicycle, "cyclist": lambda rng: people.bicycle(rng, rider=True),
    "motorcycle": people.motorcycle, "scooter": lambda rng: people.scooter(rng, rider=bool(rng.random() < 0.4)),
    "biker": lambda rng: people.motorcycle(rng, rider=True), "person": people.person, "people": people.group,
    "cone": _row(street.cone, 1, 4, 1.5), "barrier": _row(street.barrier, 1, 4, 0.5),
    "building": _lined(buildings.block, 7, 18), "house": _lined(buildings.house, 7, 13),
    "warehouse": _lined(buildings.shed, 14, 24), "wall": _lined(buildings.wall, 3, 9),
    "fence": _lined(buildings.fence, 3, 9), "traffic light": street.light, "sign": street.sign,
    "pole": lambda rng: (street.lamp if rng.random() < 0.6 else street.mast)(rng),
    "bench": street.bench, "bin": street.bin_or_box, "bollard": _row(street.bollard, 1, 4, 2.0),
    "shelter": street.shelter, "tree": plants.tree, "bush": plants.bush, "hedge": _lined(plants.hedge, 2.5, 8),
}  # fmt: skip
"""A maker for each kind that stands on the ground."""

CAST = {"car": 4, "truck": 3, "bus": 2, "trailer": 2, "machine": 2, "bicycle": 2, "motorcycle": 2, "person": 5,
        "cone": 2, "barrier": 2, "pole": 4, "furniture": 4, "enclosure": 2, "plant": 9}  # fmt: skip
"""How many of each subject stand in a scene, beside the buildings behind."""
ON_THE_ROAD = ("car", "truck", "bus", "trailer", "machine", "bicycle", "motorcycle", "cone", "barrier")
LARGE = ("car", "truck", "bus", "trailer", "machine")


@dataclass(frozen=True, eq=False)
class Prop:
    """One thing in a scene: its kind, and the lowest and highest corner of its box in the scene (2, 3) [m]."""

    kind: str
    bounds: Array


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene, ready for rays; a pixel's `label` is the number of its kind, its `instance` that of its prop, from 1.

    Attributes:
        layer: everything.
        props: what can be photographed, by subject, with the number of each.
        lamps: (L, 3) where street lamps hang.
    """

    layer: Layer
    props: dict[str, list[tuple[int, Prop]]]
    lamps: Array


@dataclass(eq=False)
class _Strip:
    """A piece of ground along the street: where it lies, what it is, and how far it is filled with things."""

    kind: str
    low: float
    high: float
    z: float
    filled: float = -HALF_M

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2


@dataclass(eq=False)
class _Set:
    """A scene that is being built."""

    meshes: list[Mesh] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    def put(self, kind: str, mesh: Mesh) -> None:
        self.meshes.append(mesh)
        self.kinds.append(kind)


@lru_cache(maxsize=2)
def stage(seed: int) -> Stage:
    """Return the scene of a seed."""
    rng, found = generator(seed, 1), _Set()
    strips = _ground(rng, found)
    for strip in (s for s in strips if s.kind == "back"):
        _backdrop(rng, strip, found)
    cast = [subject for subject, count in CAST.items() for _ in range(count)]
    for k in rng.permutation(len(cast)):
        _place(rng, cast[k], strips, found)
    groups = {kind: subject for subject, (_, kinds) in SUBJECTS.items() for kind in kinds}
    props: dict[str, list[tuple[int, Prop]]] = {}
    for number, (kind, mesh) in enumerate(zip(found.kinds, found.meshes, strict=True), 1):
        props.setdefault(groups[kind], []).append((number, Prop(kind, mesh.bounds.astype(float))))
    labels = [NAMES.index(kind) for kind in found.kinds]
    layer = Layer(found.meshes, labels, range(1, len(labels) + 1))
    return Stage(layer, props, street_lamps(merge(found.meshes)))


def _ground(rng: np.random.Generator, found: _Set) -> list[_Strip]:
    """Lay road, pavements and yards; return them as strips, the places behind the yards as `back`."""
    half, kerb, looks = rng.uniform(3.0, 8.0), rng.uniform(0.06, 0.18), _looks(rng)
    _slab(found, "road", (-half, half), 0.0, *looks["road"])
    _markings(rng, found, half, looks["road"][1])
    strips = [_Strip("road", -half, 0.0, 0.0), _Strip("road", 0.0, half, 0.0)]
    for side in (-1, 1):
        at, z = half, kerb
        cuts: list[tuple[str, float]] = []
        if rng.random() < 0.3:
            cuts.append(("grass", rng.uniform(0.8, 2.5)))
        cuts.append(("sidewalk", rng.uniform(1.8, 5.5)))
        yard = str(rng.choice(["grass", "dirt", "road", "sidewalk"], p=[0.42, 0.25, 0.18, 0.15]))
        cuts.append((yard, rng.uniform(7, 16)))
        for kind, wide in cuts:
            edge = (at, at + wide) if side > 0 else (-at - wide, -at)
            _slab(found, kind, edge, z, *looks["yard" if kind == "road" else kind])
            strips.append(_Strip(kind if wide < 6.5 else "yard", *edge, z))
            at += wide
        strips.append(_Strip("back", *((at, at + 14) if side > 0 else (-at - 14, -at)), z))
        beyond = (at, GROUND_M) if side > 0 else (-GROUND_M, -at)
        _slab(found, "grass" if rng.random() < 0.7 else "dirt", beyond, z - 0.02, *looks["grass"])
    return strips


def _looks(rng: np.random.Generator) -> dict[str, tuple[Material, Color]]:
    """Return what each kind of ground is made of."""
    road = (Material.ASPHALT, Material.ASPHALT, Material.ASPHALT, Material.CONCRETE, Material.PAVING)[rng.integers(5)]
    walk = (Material.PAVING, Material.PAVING, Material.CONCRETE, Material.ASPHALT)[rng.integers(4)]
    warm = hue(rng, (0.0, 0.12), (0.0, 0.35), (0.3, 0.7))
    grass = hue(rng, (0.15, 0.32), (0.3, 0.75), (0.2, 0.5))
    return {
        "road": (road, neutral(rng, 0.14, 0.42)), "yard": (Material.ASPHALT, neutral(rng, 0.16, 0.42)),
        "sidewalk": (walk, warm), "grass": (Material.GRASS, grass),
        "dirt": (Material.DIRT, hue(rng, (0.04, 0.11), (0.15, 0.6), (0.2, 0.6))),
    }  # fmt: skip


def _slab(found: _Set, kind: str, y: tuple[float, float], z: float, skin: Material, color: Color) -> None:
    """Add a strip of ground with its edges closed downwards."""
    b, (low, high) = Builder(), y
    far = GROUND_M
    tops = [[(-far, low, z), (far, low, z), (far, high, z), (-far, high, z)]]
    edges = [[(-far, v, z), (far, v, z), (far, v, -0.5), (-far, v, -0.5)] for v in y]
    b.quads(np.array(tops), skin, color)
    b.quads(np.array(edges), Material.CONCRETE if kind == "sidewalk" else skin, color)
    found.put(kind, b.mesh())


def _markings(rng: np.random.Generator, found: _Set, half: float, road: Color) -> None:
    """Paint lines, a zebra crossing, and patches of other asphalt on the road."""
    b, white = Builder(), neutral(rng, 0.65, 0.9)

    def rectangle(x: float, y: float, long: float, wide: float, skin: Material, color: Color, z: float) -> None:
        b.quads(np.array([[(x, y, z), (x + long, y, z), (x + long, y + wide, z), (x, y + wide, z)]]), skin, color)

    if rng.random() < 0.75:
        dash, gap = rng.uniform(1.5, 6.0), rng.uniform(0.2, 6.0)
        for x in np.arange(-70, 70, dash + gap):
            rectangle(x, -0.07, dash, 0.14, Material.MARKING, white, 0.006)
    if rng.random() < 0.5:
        for y in (-half + 0.25, half - 0.4):
            rectangle(-120, y, 240, 0.14, Material.MARKING, white, 0.006)
    if rng.random() < 0.5:
        x = rng.uniform(-20, 20)
        for y in np.arange(-half + 0.4, half - 0.5, 1.0):
            rectangle(x, y, 3.0, 0.5, Material.MARKING, white, 0.006)
    for _ in range(int(rng.integers(0, 12))):
        tone = tuple(np.clip(np.asarray(road) * rng.uniform(0.6, 1.4), 0, 1))
        at, size = rng.uniform((-30, -half), (28, half - 1.5)), rng.uniform((0.5, 0.5), (5, 1.4))
        rectangle(float(at[0]), float(at[1]), float(size[0]), float(size[1]), Material.ASPHALT, tone, 0.003)
    if len((paint := b.mesh()).vertices):
        found.put("road", paint)


def _backdrop(rng: np.random.Generator, strip: _Strip, found: _Set) -> None:
    """Fill a side behind its yard: a row of buildings, a park, a fence, or nothing but far trees."""
    kinds = (
        ("building",),
        ("house",),
        ("building", "warehouse"),
        ("house", "tree"),
        ("tree",),
        ("hedge", "fence", "wall"),
    )
    choice, side = kinds[rng.integers(len(kinds))], 1 if strip.middle > 0 else -1
    x, near = -HALF_M - 8, strip.low if side > 0 else strip.high
    while x < HALF_M + 8:
        kind = choice[rng.integers(len(choice))]
        mesh = MAKERS[kind](rng)
        wide = float(mesh.bounds[1, 0] - mesh.bounds[0, 0])
        deep = 0.4 if kind in ("building", "house", "warehouse", "hedge", "fence", "wall") else rng.uniform(1, 11)
        found.put(kind, mesh.moved(pose_at(x + wide / 2, near + side * deep, strip.z, 0.0 if side < 0 else math.pi)))
        x += wide + rng.choice([0.0, rng.uniform(0.2, 5.0)])


def _place(rng: np.random.Generator, subject: str, strips: list[_Strip], found: _Set) -> None:
    """Make one thing and stand it on the emptiest strip that it may stand on, if there is room left."""
    kinds = SUBJECTS[subject][1]
    kind = kinds[rng.integers(len(kinds))]
    mesh = MAKERS[kind](rng)
    where = (
        ["yard"] + (["road"] if subject in ON_THE_ROAD else []) + ([] if subject in LARGE else ["sidewalk", "grass"])
    )
    if kind in ("tree", "hedge"):
        where = ["yard", "grass"]
    open_strips = [s for s in strips if s.kind in where]
    strip = min(open_strips, key=lambda s: s.filled + rng.uniform(0, 12))
    turn = _turn(rng, subject, strip)
    mesh = mesh.moved(pose_at(0, 0, 0, turn))
    low, high = mesh.bounds
    long, wide = float(high[0] - low[0]), float(high[1] - low[1])
    room = strip.high - strip.low - wide
    if strip.filled + long > HALF_M:
        return
    y = strip.middle + (rng.uniform(-0.5, 0.5) * room if room > 0 else 0.0) - float(high[1] + low[1]) / 2
    found.put(kind, mesh.moved(pose_at(strip.filled - float(low[0]), y, strip.z)))
    strip.filled += long + rng.uniform(0.3, 2.5)


def _turn(rng: np.random.Generator, subject: str, strip: _Strip) -> float:
    """Return the heading of a thing: along the road, across it, or any way at all."""
    if subject in ("barrier", "cone", "furniture", "enclosure", "pole") and rng.random() < 0.6:
        return (0.0 if strip.middle < 0 else math.pi) + rng.normal(0, 0.1)
    if strip.kind == "road" or (subject in LARGE and rng.random() < 0.5):
        return math.pi * (strip.middle > 0) + rng.normal(0, 0.05) + (math.pi if rng.random() < 0.1 else 0.0)
    return float(rng.uniform(0, 2 * math.pi))
