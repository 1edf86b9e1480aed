"""Buildings and what encloses ground: facades of storeys, houses, sheds, walls, fences. Front is +y."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.photos.assets.colors import hue, masonry, neutral, paint, shade
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh


def _walls(rng: np.random.Generator) -> tuple[Material, Color]:
    draw = rng.random()
    if draw < 0.3:
        return Material.BRICK, hue(rng, (0.0, 0.1), (0.25, 0.65), (0.25, 0.65))
    if draw < 0.8:
        return Material.PLASTER, masonry(rng)
    return (Material.CONCRETE, neutral(rng, 0.3, 0.7)) if draw < 0.9 else (Material.WOOD, masonry(rng))


def _openings(
    b: Builder, rng: np.random.Generator, width: float, low: float, high: float, storey: float, y: float
) -> None:  # fmt: skip
    """Add rows of windows with frames, shutters or balconies to a front at y."""
    wide, tall = rng.uniform(0.7, 2.4), rng.uniform(0.45, 0.72) * storey
    pitch = wide + rng.uniform(0.5, 2.0)
    count, rows = int((width - 0.4) / pitch), int((high - low) / storey)
    frame, trim = masonry(rng), rng.random()
    balcony = paint(rng) if rng.random() < 0.25 else None
    for row in range(rows):
        z = low + (row + 0.52) * storey
        for k in range(count):
            x = (k - (count - 1) / 2) * width / max(count, 1)
            if trim < 0.7:
                b.box((wide + 0.2, 0.06, tall + 0.2), (x, y, z), Material.PLASTER, frame)
            pane = neutral(rng, 0.04, 0.28)
            b.quads(_upright(x, y + 0.045, z, wide, tall), Material.WINDOW, pane)
            b.box((0.05, 0.03, tall), (x, y + 0.05, z), Material.PLASTER, frame)
            if trim > 0.85:
                for side in (-1, 1):
                    b.box((wide * 0.4, 0.06, tall), (x + side * wide * 0.72, y + 0.03, z), Material.WOOD, frame)
            if balcony and k % 2 == 0:
                b.box((pitch * 1.1, 1.0, 0.12), (x, y + 0.5, z - tall / 2 - 0.1), Material.CONCRETE, (0.6, 0.6, 0.58))
                b.box((pitch * 1.1, 0.05, 0.85), (x, y + 1.0, z - tall / 2 + 0.3), Material.METAL, balcony)


def _upright(x: float, y: float, z: float, wide: float, tall: float) -> Array:
    """Return the (1, 4, 3) corners of an upright rectangle that faces +y."""
    w, h = wide / 2, tall / 2
    return np.array([[(x + w, y, z - h), (x - w, y, z - h), (x - w, y, z + h), (x + w, y, z + h)]])


def block(rng: np.random.Generator, width: float = 12.0) -> Mesh:
    """Return a town house, offices or flats of two to seven storeys, often with shops below."""
    b, storey, depth = Builder(), rng.uniform(2.7, 3.8), rng.uniform(7, 12)
    skin, color = _walls(rng)
    ground = rng.uniform(2.8, 4.5)
    height = ground + storey * int(rng.integers(1, 7))
    b.box((width, depth, height), (0, -depth / 2, height / 2), skin, color)
    if rng.random() < 0.5:
        b.box((width + 0.02, depth + 0.04, ground * rng.uniform(0.3, 1.0)), (0, -depth / 2, ground / 3), skin,
              shade(color, rng.uniform(0.55, 1.2)))  # fmt: skip
    if rng.random() < 0.35:
        b.prism([(-depth - 0.3, height), (0.4, height), (-depth / 2, height + rng.uniform(1.5, 4))], width / 2,
                Material.ROOF, hue(rng, (0, 0.1), (0.1, 0.6), (0.15, 0.5)))  # fmt: skip
        roof = b.mesh()
        b = Builder()
        b.include(_turned_roof(roof))
    else:
        b.box((width + 0.4, depth + 0.4, 0.4), (0, -depth / 2, height + 0.1), Material.CONCRETE, neutral(rng, 0.3, 0.7))
    _openings(b, rng, width, ground, height, storey, 0.0)
    if rng.random() < 0.5:
        _shops(b, rng, width, ground)
    else:
        b.box((1.3, 0.12, 2.3), (rng.uniform(-0.3, 0.3) * width, 0.02, 1.15), Material.WOOD, paint(rng))
        _openings(b, rng, width * 0.9, 0.6, ground, ground - 0.6, 0.0)
    return b.mesh()


def _turned_roof(mesh: Mesh) -> Mesh:
    """Return a mesh whose roof faces, built along y as x, lie the right way: ridge along the front."""
    roof = np.unique(mesh.faces[mesh.material == Material.ROOF])
    vertices = mesh.vertices.copy()
    vertices[roof] = vertices[roof][:, [1, 0, 2]]
    return Mesh(vertices, vertices, mesh.faces, mesh.material, mesh.color)


def _shops(b: Builder, rng: np.random.Generator, width: float, ground: float) -> None:
    count = max(1, int(width / rng.uniform(3.5, 6)))
    for k in range(count):
        pitch = width / count
        x, color = (k - (count - 1) / 2) * pitch, paint(rng)
        b.box((pitch * 0.85, 0.1, ground * 0.6), (x, 0.03, ground * 0.35), Material.WINDOW, neutral(rng, 0.05, 0.3))
        b.box((pitch * 0.92, 0.2, 0.6), (x, 0.08, ground * 0.85), Material.PLASTIC, color)
        b.box((0.9, 0.14, 2.1), (x + pitch * 0.2, 0.04, 1.05), Material.GLASS, (0.12, 0.12, 0.12))
        if rng.random() < 0.35:
            z = ground * 0.76
            w = pitch * 0.42
            awning = np.array([[(x - w, 0.1, z), (x + w, 0.1, z), (x + w, 1.4, z - 0.5), (x - w, 1.4, z - 0.5)]])
            b.quads(awning, Material.CLOTH, color)


def house(rng: np.random.Generator, width: float = 10.0) -> Mesh:
    """Return a house with a pitched or hipped roof, a door, windows, a chimney, a porch or garage now and then."""
    b, depth, storeys = Builder(), rng.uniform(7, 10), int(rng.integers(1, 3))
    skin, color = _walls(rng)
    eaves = 2.8 * storeys + rng.uniform(-0.2, 0.4)
    ridge, over = eaves + rng.uniform(1.2, 3.6), 0.5
    tiles = hue(rng, (0.0, 0.12), (0.05, 0.65), (0.12, 0.55))
    b.box((width, depth, eaves), (0, -depth / 2, eaves / 2), skin, color)
    hip = rng.uniform(0.15, 0.35) * width if rng.random() < 0.4 else -0.0
    e, r, m = width / 2 + over, width / 2 + over - hip, -depth / 2
    slopes = [[(e, over, eaves), (-e, over, eaves), (-r, m, ridge), (r, m, ridge)],
              [(-e, -depth - over, eaves), (e, -depth - over, eaves), (r, m, ridge), (-r, m, ridge)]]  # fmt: skip
    b.quads(np.array(slopes), Material.ROOF, tiles)
    ends = [
        [(s * e, over, eaves), (s * e, -depth - over, eaves), (s * r, m, ridge), (s * r, m, ridge)] for s in (-1, 1)
    ]
    b.quads(np.array(ends), Material.ROOF if hip else skin, tiles if hip else color)
    b.box((2 * e, 0.08, 0.2), (0, over, eaves), Material.WOOD, neutral(rng, 0.2, 0.85))
    _openings(b, rng, width, 0.4, eaves, 2.7, 0.0)
    door = rng.uniform(-0.3, 0.3) * width
    b.box((1.1, 0.16, 2.1), (door, 0.03, 1.05), Material.WOOD, paint(rng))
    b.box((0.6, 0.6, 1.4), (width * 0.25, m, ridge + 0.2), Material.BRICK, (0.45, 0.25, 0.2))
    if rng.random() < 0.4:
        x = (width / 2 + 1.5) * rng.choice([-1, 1])
        b.box((3.0, 5.0, 2.5), (x, -2.5, 1.25), skin, color)
        b.box((2.5, 0.1, 2.0), (x, 0.02, 1.0), Material.METAL, neutral(rng, 0.2, 0.85))
    return b.mesh()


def shed(rng: np.random.Generator, width: float = 18.0) -> Mesh:
    """Return a warehouse, a factory or a supermarket of ribbed sheets with gates."""
    b, height, depth = Builder(), rng.uniform(3.5, 8.5), rng.uniform(9, 14)
    color = paint(rng) if rng.random() < 0.4 else neutral(rng, 0.3, 0.85)
    b.box((width, depth, height), (0, -depth / 2, height / 2), Material.METAL, color)
    for x in np.arange(-width / 2 + 0.3, width / 2, rng.uniform(0.5, 1.2)):
        b.quads(_upright(x, 0.03, height / 2, 0.18, height), Material.METAL, shade(color, 0.85))
    if rng.random() < 0.5:
        b.box((width, 0.15, 1.0), (0, 0.06, height - 0.5), Material.PLASTIC, paint(rng))
    for x in np.arange(-width / 2 + 2.5, width / 2 - 1.5, rng.uniform(4, 8)):
        b.box((rng.uniform(2.5, 3.8), 0.16, min(3.6, height - 0.8)), (x, 0.03, 1.7), Material.METAL, paint(rng))
    if rng.random() < 0.5:
        b.box((width * 0.85, 0.1, 0.8), (0, 0.04, height - 1.6), Material.WINDOW, neutral(rng, 0.08, 0.25))
    return b.mesh()


def wall(rng: np.random.Generator, length: float) -> Mesh:
    """Return a garden wall or a retaining wall along x, with or without a coping."""
    b, tall, thick = Builder(), rng.uniform(0.6, 2.8), rng.uniform(0.18, 0.5)
    skin, color = _walls(rng)
    b.box((length, thick, tall), (0, 0, tall / 2), skin, color)
    if rng.random() < 0.6:
        b.box((length, thick + 0.12, 0.1), (0, 0, tall + 0.04), Material.CONCRETE, neutral(rng, 0.35, 0.75))
    if rng.random() < 0.3:
        for x in np.arange(-length / 2, length / 2 + 0.1, 2.5):
            b.box((0.45, thick + 0.15, tall + 0.2), (x, 0, tall / 2 + 0.1), skin, shade(color, 0.9))
    return b.mesh()


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return a fence along x: boards, pickets, bars or rails."""
    b, tall, kind = Builder(), rng.uniform(0.7, 2.1), int(rng.integers(4))
    wood = hue(rng, (0.05, 0.1), (0.15, 0.55), (0.2, 0.6)) if rng.random() < 0.6 else neutral(rng, 0.1, 0.9)
    skin = Material.WOOD if kind < 2 else Material.METAL
    for x in np.arange(-length / 2, length / 2 + 0.01, 2.0):
        b.box((0.1, 0.1, tall + 0.1), (x, 0, tall / 2), skin, wood)
    if kind == 0:
        b.box((length, 0.05, tall * 0.95), (0, 0, tall / 2), skin, wood)
        for x in np.arange(-length / 2, length / 2, 0.16):
            b.quads(_upright(x, 0.03, tall / 2, 0.03, tall * 0.95), skin, shade(wood, 0.65))
    elif kind == 3:
        for z in np.linspace(0.3, 0.95, int(rng.integers(2, 5))):
            b.box((length, 0.06, 0.1), (0, 0, z * tall), skin, wood)
    else:
        pitch, wide = ((0.2, 0.1), (0.13, 0.025))[kind - 1]
        for x in np.arange(-length / 2, length / 2, pitch):
            b.box((wide, 0.03, tall), (x, 0, tall / 2), skin, wood)
        for z in (0.2, 0.85):
            b.box((length, 0.05, 0.07), (0, 0.02, z * tall), skin, wood)
    return b.mesh()
