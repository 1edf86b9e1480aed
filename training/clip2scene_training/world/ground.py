"""The ground as rectangles in street coordinates: lanes, kerbs, sidewalks, verges, medians, yards."""

from __future__ import annotations

import numpy as np

from clip2scene_training.world.classes import Label
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh
from clip2scene_training.world.paint import markings
from clip2scene_training.world.patches import Patch, between, patch_mesh
from clip2scene_training.world.plans import BANKS
from clip2scene_training.world.town import FAR_M, Block, SideRoad, Town, generator

LOW_M = -9.0
"""Height of the plain around the plan: the street goes up and down above it [m]."""
YARD_M = 26.0
"""Yards, car parks and lawns are level this far behind the sidewalk; beyond, the terrain rolls."""


def ground(town: Town) -> list[tuple[Label, Mesh]]:
    """Return the meshes of the whole ground, by class."""
    colors = _colors(town)
    patches = [*_lanes(town, colors), *markings(town)]
    for block in town.blocks:
        for side in (0, 1):
            patches += _side_patches(town, block, side, colors)
    meshes = [(p.label, patch_mesh(town.road, p, generator(town.seed, 3, i))) for i, p in enumerate(patches)]
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


def _lanes(town: Town, colors: dict[str, Color]) -> list[Patch]:
    """Return the carriageway, its worn patches and manhole covers, and the strip between the directions."""
    start, end = town.road.start_m, town.road.end_m
    stone = Material.PAVING if town.plan.cobbled else Material.ASPHALT
    road = (Label.DRIVEABLE_SURFACE, stone)
    patches = [Patch((start, end), (-town.half_m(0), town.half_m(1)), 0.0, *road, colors["road"])]
    rng = generator(town.seed, 5)
    for _ in range(int((end - start) / 14)):
        s, d = rng.uniform(start, end - 6), rng.uniform(-town.half_m(0), town.half_m(1) - 2.5)
        shade = tuple(np.array(colors["road"]) * rng.uniform(0.65, 1.2))
        size = rng.uniform(0.7, 6), rng.uniform(0.7, 2.4)
        patches.append(Patch((s, s + size[0]), (d, d + size[1]), 0.003, *road, shade))
    return patches + (_median(town, colors) if town.median_m else [])


def _median(town: Town, colors: dict[str, Color]) -> list[Patch]:
    """Return the raised strip between the directions, open where side roads and zebra crossings are."""
    half, z, patches = town.median_m / 2, town.kerb_m, []
    for s in town.median_stretches():
        kerb = (Label.SIDEWALK, Material.CONCRETE, colors["kerb"], True)
        patches.append(Patch(s, (-half, half), z - 0.01, Label.TERRAIN, Material.GRASS, colors["grass"], True))
        patches.append(Patch(s, (-half, 0.16 - half), z, *kerb))
        patches.append(Patch(s, (half - 0.16, half), z, *kerb))
    return patches


def _side_patches(town: Town, block: Block, side: int, colors: dict[str, Color]) -> list[Patch]:
    """Return everything from the kerb outwards on one side of a block, around its side road."""
    road = block.roads[side]
    if road is None:
        return _frontage(town, block, side, (block.start_m, block.end_m), colors)
    low, high = road.s_m - road.half_m, road.s_m + road.half_m
    walk = town.sides[side].sidewalk_m
    return [
        *_frontage(town, block, side, (block.start_m, low), colors, corner_m=walk),
        *_frontage(town, block, side, (high, block.end_m), colors, corner_m=-walk),
        *_side_road(town, side, road, colors),
    ]


def _side_road(town: Town, side: int, road: SideRoad, colors: dict[str, Color]) -> list[Patch]:
    low, high = road.s_m - road.half_m, road.s_m + road.half_m
    sign, walk = 2 * side - 1, town.sides[side].sidewalk_m
    stone = Material.PAVING if town.plan.cobbled else Material.ASPHALT
    patches = [
        Patch((low, high), between(sign, town.half_m(side), FAR_M), 0.0, Label.DRIVEABLE_SURFACE, stone, colors["road"])
    ]
    for s in ((low - walk, low), (high, high + walk)):
        patches.append(Patch(s, between(sign, town.edge_m(side), FAR_M), town.kerb_m, Label.SIDEWALK, Material.PAVING,
                             colors["sidewalk"], skirt=True))  # fmt: skip
    return patches


def _frontage(
    town: Town, block: Block, side: int, s: tuple[float, float], colors: dict[str, Color], corner_m: float = 0.0
) -> list[Patch]:  # fmt: skip
    """Return kerb, verge, sidewalk and yard of a stretch; a corner leaves `corner_m` at one end to the side road."""
    sign, cut = 2 * side - 1, town.sides[side]
    half, edge, z = town.half_m(side), town.edge_m(side), town.kerb_m
    patches = [Patch(s, between(sign, half, half + 0.16), z, Label.SIDEWALK, Material.CONCRETE, colors["kerb"], True)]
    inner = half + 0.16
    if cut.verge_m:
        patches.append(Patch(s, between(sign, inner, half + cut.verge_m), z - 0.01, Label.TERRAIN, Material.GRASS,
                             colors["grass"], True))  # fmt: skip
        inner = half + cut.verge_m
    patches.append(Patch(s, between(sign, inner, edge), z, Label.SIDEWALK, Material.PAVING, colors["sidewalk"], True))
    back = (s[0], s[1] - corner_m) if corner_m >= 0 else (s[0] - corner_m, s[1])
    return [*patches, *_yard(town, block, side, back, colors)]


def _yard(
    town: Town, block: Block, side: int, s: tuple[float, float], colors: dict[str, Color]
) -> list[Patch]:  # fmt: skip
    """Return the ground behind the sidewalk, by zone."""
    grass = (Label.TERRAIN, Material.GRASS, colors["grass"])
    paved = (Label.SIDEWALK, Material.PAVING, colors["sidewalk"])
    asphalt = (Label.DRIVEABLE_SURFACE, Material.ASPHALT, colors["yard"])
    dirt = (Label.TERRAIN, Material.DIRT, colors["dirt"])
    zone, sign, edge = block.zones[side], 2 * side - 1, town.edge_m(side)
    bands = {
        "urban": [(4.0, paved), (YARD_M, dirt)],
        "suburb": [(YARD_M, grass)],
        "park": [(8.0, grass), (10.5, dirt), (YARD_M, grass)],
        "industrial": [(2.5, grass), (18.0, asphalt), (YARD_M, dirt)],
        "parking": [(1.5, grass), (19.5, asphalt), (YARD_M, grass)],
        "works": [(YARD_M, dirt)],
        "square": [(22.0, paved), (YARD_M, dirt)],
        "terrace": [(1.8, grass), (4.0, paved), (YARD_M, dirt)],
        "hillside": [(YARD_M, grass)],
    }[zone]
    low, high = BANKS[zone][:2]
    bank = (edge + low, edge + high, block.rises[side])
    patches, near, z = [], 0.0, town.kerb_m
    for far, (label, material, color) in bands:
        level = z - (0.02 if label == Label.TERRAIN else 0.005)
        bumps = 0.05 if label == Label.TERRAIN else 0.0
        patches.append(
            Patch(s, between(sign, edge + near, edge + far), level, label, material, color, True, bumps, bank)
        )
        near = far
    last = bands[-1][1]
    wild = last if last[0] == Label.TERRAIN else grass
    patches.append(Patch(s, between(sign, edge + near, FAR_M), z - 0.03, *wild, skirt=True, rolling=1.0, bank=bank))
    return patches


def _plain(town: Town) -> Mesh:
    """Return the land around the plan: a plain below everything, and hills on the horizon."""
    rng = generator(town.seed, 6)
    b = Builder()
    low, high = town.road.xy.min(axis=0) - 500, town.road.xy.max(axis=0) + 500
    color = _colors(town)["grass"]
    b.quads(
        np.array([[(*low, LOW_M), (high[0], low[1], LOW_M), (*high, LOW_M), (low[0], high[1], LOW_M)]]),
        Material.GRASS,
        color,
    )
    middle = (low + high) / 2
    angle = np.linspace(0, 2 * np.pi, 49)
    ring = middle + 0.46 * np.stack([np.cos(angle), np.sin(angle)], axis=1) * (high - low)
    tall = np.abs(rng.normal(8, 7, 49))
    tall[-1] = tall[0]
    quads = np.stack([np.c_[ring[:-1], np.full(48, LOW_M)], np.c_[ring[1:], np.full(48, LOW_M)],
                      np.c_[ring[1:], tall[1:]], np.c_[ring[:-1], tall[:-1]]], axis=1)  # fmt: skip
    b.quads(quads, Material.GRASS, np.asarray(color) * 0.8)
    return b.mesh()
