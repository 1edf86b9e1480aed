"""Buildings of the unseen family: glass towers, terraces with arches, half-timbered houses, villas, barrel roofs.

Front is +y, the street side, at y = 0.
"""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.palette import inset, pick
from clip2scene_training.world.assets.unseen_cars import TOWN
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

WALLS = np.array(
    [
        (0.80, 0.76, 0.70), (0.36, 0.40, 0.34), (0.26, 0.27, 0.29), (0.70, 0.44, 0.30), (0.52, 0.56, 0.44),
        (0.56, 0.30, 0.24), (0.86, 0.82, 0.72), (0.44, 0.48, 0.54), (0.62, 0.54, 0.42), (0.30, 0.20, 0.16),
    ]
)  # fmt: skip
THATCH = np.array([(0.34, 0.28, 0.20), (0.24, 0.26, 0.24), (0.46, 0.26, 0.18), (0.20, 0.16, 0.16)])
GLAZE = np.array((0.12, 0.18, 0.20))
TIMBER = (0.20, 0.14, 0.10)


def _faces(width: float, depth: float, low: float, high: float) -> Array:
    """Return (4, 4, 3): front, left, back and right wall of a box, each counter-clockwise as seen from outside."""
    w = width / 2
    feet = np.array([(w, 0.0), (-w, 0.0), (-w, -depth), (w, -depth)])
    after = np.roll(feet, -1, axis=0)
    walls = [[(*a, low), (*c, low), (*c, high), (*a, high)] for a, c in zip(feet, after, strict=True)]
    return np.array(walls)


def _openings(wall: Array, columns: int, rows: int, fill: tuple[float, float], lift: float = 0.03) -> Array:
    """Return (columns * rows, 4, 3) openings in an upright wall, each filling the given shares of its cell."""
    across, up = (wall[1] - wall[0]) / columns, (wall[3] - wall[0]) / rows
    first = inset(wall, ((1 - fill[0]) / 2 / columns, (1 + fill[0]) / 2 / columns),
                  ((1 - fill[1]) / 2 / rows, (1 + fill[1]) / 2 / rows), lift)  # fmt: skip
    i, k = (g.reshape(-1, 1) for g in np.meshgrid(np.arange(columns), np.arange(rows)))
    return np.asarray(first + (i * across + k * up)[:, None])


def _glaze(b: Builder, rng: np.random.Generator, openings: Array) -> None:
    b.quads(openings, Material.WINDOW, np.clip(GLAZE * rng.uniform(0.5, 2.4, (len(openings), 1)), 0, 1))


def _tower(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a tower of glass between mullions, on an open ground floor with columns."""
    floors, color = int(rng.integers(5, 11)), pick(rng, WALLS, 0.3, TOWN)
    base, floor = rng.uniform(4.0, 5.5), 3.4
    top = base + floors * floor
    b = Builder()
    b.box((width - 3, depth - 3, base), (0, -depth / 2, base / 2), Material.CONCRETE, pick(rng, TOWN))
    b.box((width, depth, top - base), (0, -depth / 2, (top + base) / 2), Material.METAL, color)
    for wall, span in zip(_faces(width, depth, base, top), (width, depth) * 2, strict=True):
        _glaze(b, rng, _openings(wall, max(2, int(span / 2.6)), floors, (0.92, 0.78)))
    for x in np.linspace(-width / 2 + 0.4, width / 2 - 0.4, max(2, int(width / 4))):
        b.tube((x, -0.5, 0), (x, -0.5, base), 0.3, Material.CONCRETE, (0.6, 0.6, 0.58), sides=8)
    b.box((width * 0.5, depth * 0.4, 2.5), (0, -depth / 2, top + 1.25), Material.METAL, color)
    return b.mesh()


def _arcade(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a terrace whose ground floor has arches, each house in a colour of its own, under a mansard roof."""
    b = Builder()
    houses = max(2, int(width / 5.5))
    pitch = width / houses
    for i in range(houses):
        x, floors, color = -width / 2 + (i + 0.5) * pitch, int(rng.integers(2, 5)), pick(rng, WALLS, 0.25, TOWN)
        top = 4.0 + 3.1 * floors
        material = Material.BRICK if rng.random() < 0.35 else Material.PLASTER
        part = Builder()
        part.box((pitch, depth, top), (0, -depth / 2, top / 2), material, color)
        _glaze(part, rng, _openings(_faces(pitch, depth, 4.0, top)[0], 2, floors, (0.42, 0.62)))
        part.box((pitch, 0.25, 0.2), (0, 0.08, 4.0), Material.CONCRETE, (0.66, 0.64, 0.6))
        arch = [(0.38 * pitch * np.cos(a), 2.2 + 1.3 * np.sin(a)) for a in np.linspace(0, np.pi, 8)]
        outline = [(-0.38 * pitch, 0.0), (0.38 * pitch, 0.0), *arch]
        part.prism(outline, 0.05, Material.WINDOW, tuple(GLAZE * rng.uniform(0.5, 2.0)), y=0.0)
        part.prism([(-pitch / 2, top), (pitch / 2, top), (0.4 * pitch, top + 2.2), (-0.4 * pitch, top + 2.2)],
                   depth / 2, Material.ROOF, pick(rng, THATCH), y=-depth / 2)  # fmt: skip
        part.box((1.0, 0.5, 1.3), (0, -0.1, top + 0.8), material, color)
        b.include(part.mesh().moved(np.array([[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])))
    return b.mesh()


def _galleries(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a block of flats of stacked slabs, with open galleries along the front."""
    floors, color, slab = int(rng.integers(3, 8)), pick(rng, WALLS, 0.3, TOWN), pick(rng, TOWN)
    floor = 3.0
    b = Builder()
    b.box((width, depth, floors * floor), (0, -depth / 2, floors * floor / 2), Material.CONCRETE, color)
    for wall, columns in zip(_faces(width, depth, 0.4, floors * floor), (int(width / 3), 2) * 2, strict=True):
        _glaze(b, rng, _openings(wall, max(columns, 1), floors, (0.6, 0.5)))
    for k in range(1, floors + 1):
        b.box((width + 0.2, 1.3, 0.18), (0, 0.6, k * floor), Material.CONCRETE, slab)
        if k < floors:
            b.box((width + 0.2, 0.06, 0.95), (0, 1.22, k * floor + 0.5), Material.METAL, slab)
    for x in (-width / 2, width / 2):
        b.box((0.2, 1.3, floors * floor), (x, 0.6, floors * floor / 2), Material.CONCRETE, color)
    return b.mesh()


def flats(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a glass tower, a terrace with arches or flats with galleries."""
    return (_tower, _arcade, _galleries)[rng.choice(3, p=[0.3, 0.4, 0.3])](rng, width, depth)


def _gable(b: Builder, width: float, depth: float, eaves: float, ridge: float, wall: tuple[Material, Color],
           tiles: Color) -> None:  # fmt: skip
    """Add a roof whose ridge runs along the road, with its two gables."""
    part = Builder()
    part.prism([(-depth, eaves), (0, eaves), (-depth / 2, ridge)], width / 2, *wall)
    turn = np.eye(4)
    turn[:2, :2] = [[0, 1], [1, 0]]
    b.include(part.mesh(), turn)
    over = 0.5
    drop = over * (ridge - eaves) / (depth / 2)
    w = width / 2 + over
    b.quads(np.array([
        [(-w, over, eaves - drop), (w, over, eaves - drop), (w, -depth / 2, ridge), (-w, -depth / 2, ridge)],
        [(w, -depth - over, eaves - drop), (-w, -depth - over, eaves - drop), (-w, -depth / 2, ridge),
         (w, -depth / 2, ridge)],
    ]) + [0, 0, 0.08], Material.ROOF, tiles)  # fmt: skip


def _half_timbered(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    floors = int(rng.integers(1, 4))
    eaves = 2.6 * floors
    plaster, tiles = (
        pick(rng, np.array([(0.84, 0.80, 0.70), (0.78, 0.62, 0.42), (0.80, 0.78, 0.74)])),
        pick(rng, THATCH),
    )
    b = Builder()
    b.box((width, depth, eaves), (0, -depth / 2, eaves / 2), Material.PLASTER, plaster)
    _gable(b, width, depth, eaves, eaves + rng.uniform(0.35, 0.55) * depth, (Material.PLASTER, plaster), tiles)
    for z in np.arange(0.2, eaves + 0.1, 2.5):
        b.box((width + 0.08, depth + 0.08, 0.2), (0, -depth / 2, float(z)), Material.WOOD, TIMBER)
    posts = np.linspace(-width / 2, width / 2, int(width / 1.5))
    for i, x in enumerate(posts):
        for y in (0.0, -depth):
            b.box((0.18, 0.1, eaves), (float(x), y, eaves / 2), Material.WOOD, TIMBER)
        if i + 1 < len(posts) and rng.random() < 0.5:
            b.tube((x, 0.03, 0.3), (posts[i + 1], 0.03, 2.5), 0.08, Material.WOOD, TIMBER, sides=4)
    for wall, span in zip(_faces(width, depth, 0.3, eaves), (width, depth) * 2, strict=True):
        _glaze(b, rng, _openings(wall, max(1, int(span / 2.2)), floors, (0.38, 0.42), 0.06))
    b.box((1.0, 0.16, 2.0), (rng.uniform(-0.3, 0.3) * width, 0.03, 1.0), Material.WOOD, pick(rng, TOWN))
    b.box((0.7, 0.7, 2.2), (0.3 * width, -depth / 2, eaves + 0.5 * depth), Material.BRICK, (0.40, 0.30, 0.26))
    return b.mesh()


def _villa(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a villa of two or three offset boxes with flat roofs, large panes, a carport."""
    b = Builder()
    z, shift = 0.0, 0.0
    for _ in range(int(rng.integers(1, 4))):
        size = np.array([width * rng.uniform(0.6, 0.95), depth * rng.uniform(0.7, 0.95), 2.9])
        shift = float(rng.uniform(-1, 1) * (width - size[0]) / 2)
        material = (Material.PLASTER, Material.CONCRETE, Material.WOOD)[rng.integers(3)]
        part = Builder()
        part.box(size, (0, -size[1] / 2, 1.45), material, pick(rng, WALLS, 0.2, TOWN))
        part.box((size[0] + 0.5, size[1] + 0.5, 0.25), (0, -size[1] / 2, 2.9), Material.CONCRETE, (0.78, 0.77, 0.74))
        for wall in _faces(size[0], size[1], 0.2, 2.8):
            _glaze(part, rng, _openings(wall, int(rng.integers(1, 4)), 1, (0.75, 0.75)))
        place = np.eye(4)
        place[:3, 3] = shift, -rng.uniform(0.0, 0.15) * depth, z
        b.include(part.mesh(), place)
        z += 2.9
    b.box((3.2, 5.2, 0.2), (width / 2 - 1.0, -2.4, 2.5), Material.CONCRETE, (0.7, 0.69, 0.66))
    for y in (-0.1, -4.8):
        b.box((0.15, 0.15, 2.4), (width / 2 + 0.4, y, 1.2), Material.METAL, (0.3,) * 3)
    return b.mesh()


def house(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a half-timbered house whose eaves face the road, or a villa with flat roofs."""
    return (_half_timbered if rng.random() < 0.55 else _villa)(rng, width, depth)


def hall(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a warehouse under a barrel roof, or a factory under saw-teeth, with tanks and stacked containers."""
    height, color = rng.uniform(4.0, 6.5), pick(rng, WALLS, 0.4, TOWN)
    b = Builder()
    material = (Material.BRICK, Material.CONCRETE, Material.METAL)[rng.integers(3)]
    b.box((width, depth, height), (0, -depth / 2, height / 2), material, color)
    roof, tone = Builder(), pick(rng, THATCH, 0.5, TOWN)
    if rng.random() < 0.5:
        arc = [(-width / 2 * np.cos(a), height + 0.22 * width * np.sin(a)) for a in np.linspace(0, np.pi, 9)]
        roof.prism(arc, depth / 2, Material.METAL, tone, y=-depth / 2)
    else:
        teeth = max(2, int(width / 6))
        for i in range(teeth):
            x = -width / 2 + i * width / teeth
            tooth = [(x, height), (x + width / teeth, height), (x + 0.2, height + 2.2)]
            roof.prism(tooth, depth / 2, Material.ROOF, tone, y=-depth / 2)
    b.include(roof.mesh())
    front = _faces(width, depth, 0.0, height)[0]
    _glaze(b, rng, _openings(front, max(2, int(width / 5)), 1, (0.5, 0.3)) + [0, 0, 0.25 * height])
    b.quads(_openings(front, max(2, int(width / 9)), 1, (0.4, 0.9)) - [0, 0, 0.05 * height], Material.METAL,
            pick(rng, TOWN))  # fmt: skip
    for x in rng.uniform(-0.4, 0.4, int(rng.integers(0, 4))) * width:
        if rng.random() < 0.4:
            b.tube((x, 1.6, 0), (x, 1.6, rng.uniform(2.0, 4.5)), 1.2, Material.METAL, pick(rng, TOWN), sides=12)
        else:
            b.box((6.0, 2.4, 2.6), (x, 1.8, 1.3), Material.METAL, pick(rng, TOWN))
    return b.mesh()
