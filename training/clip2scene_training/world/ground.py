"""The ground as rectangles in street coordinates: lanes, kerbs, sidewalks, verges, lawns, car parks, paint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.classes import Label
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh, merge
from clip2scene_training.world.road import Road
from clip2scene_training.world.town import FAR_M, Block, Town, generator

PAINT_LIFT_M = 0.006
SKIRT_M = 0.3
"""The sides of raised ground reach down to this far below the road."""
WHITE = (0.80, 0.80, 0.77)
YARD_M = 26.0
"""Yards, car parks and lawns are level this far behind the sidewalk; beyond, the terrain rolls."""


@dataclass(frozen=True)
class Patch:
    """One rectangle of ground: s and d ranges, height, what it is; `skirt` closes its sides downwards."""

    s: tuple[float, float]
    d: tuple[float, float]
    z: float
    label: Label
    material: Material
    color: Color
    skirt: bool = False
    rolling: float = 0.0


def ground(town: Town) -> list[tuple[Label, Mesh]]:
    """Return the meshes of the whole ground, by class."""
    patches: list[Patch] = []
    for block in town.blocks:
        for side in (0, 1):
            patches += _side_patches(town, block, side)
        if block.crossing_m:
            patches += _zebra(town, block)
    patches += _lanes(town)
    meshes = [(p.label, _mesh(town.road, p, generator(town.seed, 3, i))) for i, p in enumerate(patches)]
    return [*meshes, (Label.TERRAIN, _plain(town))]


def _colors(town: Town) -> dict[str, Color]:
    rng = generator(town.seed, 4)
    grey = rng.uniform(0.16, 0.30)
    slab = rng.uniform(0.36, 0.58)
    warm = rng.uniform(-0.04, 0.06)
    grass = np.array((0.22, 0.31, 0.10)) + rng.uniform(-0.04, 0.10) * np.array((1.0, 0.5, 0.2))
    return {
        "road": (grey, grey, grey + 0.01),
        "sidewalk": (slab + warm, slab, slab - warm),
        "kerb": (0.58, 0.57, 0.55),
        "grass": tuple(grass),
        "dirt": tuple(np.array((0.40, 0.31, 0.22)) * rng.uniform(0.8, 1.2)),
        "yard": (grey * 1.15, grey * 1.15, grey * 1.13),
    }


def _lanes(town: Town) -> list[Patch]:
    """Return the carriageway of the main road, its paint, wear and manhole covers."""
    colors, road = _colors(town), town.road
    start, end = road.start_m, road.end_m
    surface = Patch((start, end), (-town.half_m(0), town.half_m(1)), 0.0, Label.DRIVEABLE_SURFACE, Material.ASPHALT,
                    colors["road"])  # fmt: skip
    patches = [surface]
    rng = generator(town.seed, 5)

    def paint(s0: float, s1: float, d: float, width: float) -> None:
        patches.append(Patch((s0, s1), (d - width / 2, d + width / 2), PAINT_LIFT_M, Label.DRIVEABLE_SURFACE,
                             Material.MARKING, WHITE))  # fmt: skip

    solid = rng.random() < 0.4
    crossings = [b for b in town.blocks if b.crossing_m]
    for d in [k * town.lane_m for k in range(-town.lanes + 1, town.lanes)]:
        dash, gap = (3.0, 6.0) if d else ((10.0, 0.2) if solid else (3.0, 3.0))
        for s in np.arange(start, end - dash, dash + gap):
            if not any(abs(s + dash / 2 - b.middle_m) < b.crossing_m + 7.0 + dash / 2 for b in crossings):
                paint(float(s), float(s) + dash, d, 0.14)
    for side, sign in ((0, -1), (1, 1)):
        for s in np.arange(start, end - 6, 6.0):
            if town.crossing_at(float(s) + 3, 5.0) is None and (town.sides[side].parking_m or town.lanes == 2):
                paint(float(s), float(s) + 6.0, sign * (town.lanes_m - 0.12), 0.12)
    for _ in range(int((end - start) / 14)):
        s, d = rng.uniform(start, end - 6), rng.uniform(-town.half_m(0), town.half_m(1) - 2.5)
        shade = tuple(np.array(colors["road"]) * rng.uniform(0.65, 1.2))
        patches.append(Patch((s, s + rng.uniform(0.7, 6)), (d, d + rng.uniform(0.7, 2.4)), 0.003,
                             Label.DRIVEABLE_SURFACE, Material.ASPHALT, shade))  # fmt: skip
    return patches


def _zebra(town: Town, block: Block) -> list[Patch]:
    """Return zebra stripes and stop lines on both sides of a crossing."""
    patches = []
    for sign in (-1, 1):
        s = block.middle_m + sign * (block.crossing_m + 3.2)
        for d in np.arange(-town.half_m(0) + 0.4, town.half_m(1) - 0.6, 1.0):
            patches.append(Patch((s - 1.5, s + 1.5), (d, d + 0.5), PAINT_LIFT_M, Label.DRIVEABLE_SURFACE,
                                 Material.MARKING, WHITE))  # fmt: skip
        line = s + sign * 2.6
        lanes = (-town.lanes_m, 0.0) if sign < 0 else (0.0, town.lanes_m)
        patches.append(Patch((line - 0.2, line + 0.2), lanes, PAINT_LIFT_M, Label.DRIVEABLE_SURFACE,
                             Material.MARKING, WHITE))  # fmt: skip
    return patches


def _side_patches(town: Town, block: Block, side: int) -> list[Patch]:
    """Return everything from the kerb outwards on one side of a block, around its side road."""
    colors = _colors(town)
    if not block.crossing_m:
        return _frontage(town, block, side, (block.start_m, block.end_m), colors)
    low, high = block.middle_m - block.crossing_m, block.middle_m + block.crossing_m
    walk = town.sides[side].sidewalk_m
    patches = [
        *_frontage(town, block, side, (block.start_m, low), colors, corner_m=walk),
        *_frontage(town, block, side, (high, block.end_m), colors, corner_m=-walk),
    ]
    sign = 2 * side - 1
    near = town.half_m(side)
    patches.append(Patch((low, high), _between(sign, near, FAR_M), 0.0, Label.DRIVEABLE_SURFACE, Material.ASPHALT,
                         colors["road"]))  # fmt: skip
    edge = town.edge_m(side)
    for s in ((low - walk, low), (high, high + walk)):
        patches.append(Patch(s, _between(sign, edge, FAR_M), town.kerb_m, Label.SIDEWALK, Material.PAVING,
                             colors["sidewalk"], skirt=True))  # fmt: skip
    for d in np.arange(near + 6.0, FAR_M - 4, 6.0):
        patches.append(Patch((block.middle_m - 0.06, block.middle_m + 0.06), _between(sign, d, d + 3.0), PAINT_LIFT_M,
                             Label.DRIVEABLE_SURFACE, Material.MARKING, WHITE))  # fmt: skip
    return patches


def _between(sign: int, near: float, far: float) -> tuple[float, float]:
    return (near, far) if sign > 0 else (-far, -near)


def _frontage(
    town: Town, block: Block, side: int, s: tuple[float, float], colors: dict[str, Color], corner_m: float = 0.0
) -> list[Patch]:  # fmt: skip
    """Return kerb, verge, sidewalk and yard of a stretch; a corner leaves `corner_m` at one end to the side road."""
    sign, cut = 2 * side - 1, town.sides[side]
    half, edge, z = town.half_m(side), town.edge_m(side), town.kerb_m
    patches = [Patch(s, _between(sign, half, half + 0.16), z, Label.SIDEWALK, Material.CONCRETE, colors["kerb"], True)]
    inner = half + 0.16
    if cut.verge_m:
        patches.append(Patch(s, _between(sign, inner, half + cut.verge_m), z - 0.01, Label.TERRAIN, Material.GRASS,
                             colors["grass"], True))  # fmt: skip
        inner = half + cut.verge_m
    patches.append(Patch(s, _between(sign, inner, edge), z, Label.SIDEWALK, Material.PAVING, colors["sidewalk"], True))
    back = (s[0], s[1] - corner_m) if corner_m >= 0 else (s[0] - corner_m, s[1])
    return [*patches, *_yard(town, block.zones[side], sign, back, edge, colors)]


def _yard(
    town: Town, zone: str, sign: int, s: tuple[float, float], edge: float, colors: dict[str, Color]
) -> list[Patch]:  # fmt: skip
    """Return the ground behind the sidewalk, by zone."""
    grass = (Label.TERRAIN, Material.GRASS, colors["grass"])
    paved = (Label.SIDEWALK, Material.PAVING, colors["sidewalk"])
    asphalt = (Label.DRIVEABLE_SURFACE, Material.ASPHALT, colors["yard"])
    dirt = (Label.TERRAIN, Material.DIRT, colors["dirt"])
    bands = {
        "urban": [(4.0, paved), (YARD_M, dirt)],
        "suburb": [(YARD_M, grass)],
        "park": [(8.0, grass), (10.5, dirt), (YARD_M, grass)],
        "industrial": [(2.5, grass), (18.0, asphalt), (YARD_M, dirt)],
        "parking": [(1.5, grass), (19.5, asphalt), (YARD_M, grass)],
        "works": [(YARD_M, dirt)],
    }[zone]
    patches, near, z = [], 0.0, town.kerb_m
    for far, (label, material, color) in bands:
        level = z - (0.02 if label == Label.TERRAIN else 0.005)
        bumps = 0.05 if label == Label.TERRAIN else 0.0
        patches.append(Patch(s, _between(sign, edge + near, edge + far), level, label, material, color, True, bumps))
        near = far
    last = bands[-1][1]
    wild = last if last[0] == Label.TERRAIN else grass
    patches.append(Patch(s, _between(sign, edge + near, FAR_M), z - 0.03, *wild, skirt=True, rolling=1.0))
    return patches


def _mesh(road: Road, patch: Patch, rng: np.random.Generator) -> Mesh:
    """Return a patch as a grid bent along the road."""
    long, wide = patch.s[1] - patch.s[0], patch.d[1] - patch.d[0]
    step = 2.5 if patch.rolling else 5.0
    rows, columns = max(1, int(np.ceil(long / step))), (max(1, int(np.ceil(wide / 2.5))) if patch.rolling else 1)
    s, d = np.meshgrid(np.linspace(*patch.s, rows + 1), np.linspace(*patch.d, columns + 1), indexing="ij")
    z = _heights(patch, rows, columns, rng)
    top = np.concatenate([road.point_at(s, d), z[..., None]], axis=-1).reshape(-1, 3)
    texture = np.stack([s, d, z], axis=-1).reshape(-1, 3)
    index = np.arange((rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    a, b, c, e = (index[:-1, :-1].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel(), index[:-1, 1:].ravel())
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, e], 1)])
    if patch.skirt:
        rim = np.concatenate([index[:, 0], index[-1, 1:], index[::-1, -1][1:], index[0, ::-1][1:]])
        this, below = np.arange(len(rim) - 1), len(top) + np.arange(len(rim) - 1)
        walls = [np.stack([rim[this], rim[this + 1], below + 1], 1), np.stack([rim[this], below + 1, below], 1)]
        faces = np.concatenate([faces, *walls])
        top = np.concatenate([top, top[rim] * [1, 1, 0] + [0, 0, -SKIRT_M]])
        texture = np.concatenate([texture, texture[rim] + [0, 0, -SKIRT_M]])
    material = np.full(len(faces), patch.material, np.uint8)
    color = np.broadcast_to(np.asarray(patch.color, np.float32), (len(faces), 3))
    return Mesh(top.astype(np.float32), texture.astype(np.float32), faces.astype(np.int32), material, color)


def _heights(patch: Patch, rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Return (rows + 1, columns + 1) heights [m]: level, or rolling inside a level rim so that patches join."""
    z = np.full((rows + 1, columns + 1), patch.z)
    if not patch.rolling:
        return z
    wild = patch.rolling >= 1.0
    rise = rng.uniform(-0.5, 1.0, z.shape) if wild else rng.uniform(-1.0, 0.8, z.shape)
    inside = np.zeros(z.shape)
    inside[1:-1, 1:-1] = 1.0
    return np.asarray(z + rise * (0.25 if wild else 1.0) * patch.rolling * inside)


def _plain(town: Town) -> Mesh:
    """Return the land around the plan: a plain below everything, and hills on the horizon."""
    rng = generator(town.seed, 6)
    b = Builder()
    low, high = town.road.xy.min(axis=0) - 500, town.road.xy.max(axis=0) + 500
    color = _colors(town)["grass"]
    b.quads(
        np.array([[(*low, -0.6), (high[0], low[1], -0.6), (*high, -0.6), (low[0], high[1], -0.6)]]),
        Material.GRASS,
        color,
    )
    middle = (low + high) / 2
    angle = np.linspace(0, 2 * np.pi, 49)
    ring = middle + 0.46 * np.stack([np.cos(angle), np.sin(angle)], axis=1) * (high - low)
    tall = np.abs(rng.normal(8, 7, 49))
    tall[-1] = tall[0]
    quads = np.stack([np.c_[ring[:-1], np.full(48, -1.0)], np.c_[ring[1:], np.full(48, -1.0)],
                      np.c_[ring[1:], tall[1:]], np.c_[ring[:-1], tall[:-1]]], axis=1)  # fmt: skip
    b.quads(quads, Material.GRASS, np.asarray(color) * 0.8)
    return merge([b.mesh()])
