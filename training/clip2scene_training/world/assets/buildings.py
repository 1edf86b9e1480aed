"""Buildings: blocks of flats, shops, houses with pitched roofs, halls. Front is +y, the street side."""

from __future__ import annotations

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_training.world.assets.palette import COMMON, pick
from clip2scene_training.world.materials import Material
from clip2scene_training.world.mesh import Builder, Color, Mesh

PLASTERS = np.array(
    [(0.78, 0.72, 0.60), (0.70, 0.70, 0.68), (0.76, 0.62, 0.48), (0.62, 0.66, 0.70), (0.72, 0.52, 0.42),
     (0.84, 0.82, 0.76), (0.55, 0.52, 0.46), (0.66, 0.72, 0.62), (0.30, 0.34, 0.26), (0.22, 0.23, 0.25),
     (0.36, 0.34, 0.32), (0.44, 0.47, 0.38), (0.52, 0.30, 0.24), (0.74, 0.58, 0.24), (0.32, 0.40, 0.50)]
)  # fmt: skip
BRICKS = np.array([(0.46, 0.22, 0.16), (0.52, 0.32, 0.22), (0.38, 0.20, 0.17), (0.55, 0.42, 0.30)])
ROOFS = np.array([(0.40, 0.18, 0.12), (0.25, 0.23, 0.23), (0.32, 0.22, 0.18), (0.20, 0.22, 0.25)])
PANE = np.array((0.10, 0.13, 0.17))


def _skin(rng: np.random.Generator) -> tuple[Material, Color]:
    """Return what a building's walls are made of."""
    if rng.random() < 0.35:
        return Material.BRICK, pick(rng, BRICKS, 0.15)
    material = (Material.PLASTER, Material.CONCRETE, Material.WOOD, Material.METAL)
    return material[rng.choice(4, p=[0.7, 0.14, 0.08, 0.08])], pick(rng, PLASTERS, 0.2)


def _grid(
    b: Builder, rng: np.random.Generator, origin: Array, along: Array, span: float, low: float, high: float,
    *, floor: float, bay: float, size: tuple[float, float],
) -> None:  # fmt: skip
    """Add windows with sills to a facade that starts at `origin` and runs `span` metres in direction `along`."""
    columns, rows = int((span - 0.6) / bay), int((high - low) / floor)
    if columns < 1 or rows < 1:
        return
    out = np.array([along[1], -along[0], 0.0])
    u = (np.arange(columns) + 0.5) * span / columns
    v = low + (np.arange(rows) + 0.5) * floor
    grid_u, grid_v = (g.ravel() for g in np.meshgrid(u, v))
    center = origin + grid_u[:, None] * along + grid_v[:, None] * np.array([0, 0, 1.0]) + 0.03 * out
    wide, tall = min(size[0], bay * 0.8) / 2 * along, np.array([0, 0, min(size[1], floor * 0.8) / 2])
    frame = np.stack([center - 1.12 * wide - 1.08 * tall, center + 1.12 * wide - 1.08 * tall,
                      center + 1.12 * wide + 1.08 * tall, center - 1.12 * wide + 1.08 * tall], axis=1)  # fmt: skip
    b.quads(frame - 0.015 * out, Material.PLASTER, (0.80, 0.79, 0.76) if rng.random() < 0.6 else pick(rng, COMMON))
    panes = np.stack([center - wide - tall, center + wide - tall, center + wide + tall, center - wide + tall], axis=1)
    b.quads(panes, Material.WINDOW, np.clip(PANE * rng.uniform(0.5, 2.6, (len(panes), 1)), 0, 1))


def _storeys(
    b: Builder, rng: np.random.Generator, width: float, depth: float, low: float, height: float,
    *, floor: float, bay: float, size: tuple[float, float],
) -> None:  # fmt: skip
    """Add windows on all four sides of a box that stands centred in x with its front at y = 0."""
    sides = (
        ((width / 2, 0.0), (-1.0, 0.0), width), ((-width / 2, 0.0), (0.0, -1.0), depth),
        ((-width / 2, -depth), (1.0, 0.0), width), ((width / 2, -depth), (0.0, 1.0), depth),
    )  # fmt: skip
    for start, along, span in sides:
        _grid(b, rng, np.array([*start, 0.0]), np.array([*along, 0.0]), span, low, height, floor=floor, bay=bay,
              size=size)  # fmt: skip


def flats(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a block of flats or offices, with shops in the ground floor where lucky."""
    floor, floors = rng.uniform(2.9, 3.5), int(rng.integers(2, 8))
    ground = rng.uniform(3.4, 4.4)
    height = ground + floor * floors
    material, color = _skin(rng)
    b = Builder()
    b.box((width, depth, height), (0, -depth / 2, height / 2), material, color)
    b.box((width + 0.3, depth + 0.3, 0.35), (0, -depth / 2, height + 0.1), Material.CONCRETE, (0.5, 0.49, 0.47))
    size = (rng.uniform(0.9, 2.2), rng.uniform(1.2, 1.9))
    bay = size[0] + rng.uniform(0.8, 1.8)
    _storeys(b, rng, width, depth, ground, height, floor=floor, bay=bay, size=size)
    if rng.random() < 0.55:
        _shops(b, rng, width, ground)
    else:
        b.box((1.2, 0.08, 2.2), (rng.uniform(-0.3, 0.3) * width, 0.02, 1.1), Material.WOOD, (0.25, 0.18, 0.12))
        _grid(b, rng, np.array([width / 2, 0, 0]), np.array([-1.0, 0, 0]), width, 0.6, ground, floor=ground - 0.6,
              bay=bay, size=size)  # fmt: skip
    if rng.random() < 0.35:
        for k in range(floors):
            for x in np.arange(-width / 2 + 1.5, width / 2 - 1.0, bay * 2):
                b.box((bay * 0.9, 1.0, 0.12), (x, 0.5, ground + k * floor + 0.1), Material.CONCRETE, (0.6, 0.6, 0.58))
                b.box((bay * 0.9, 0.05, 0.9), (x, 1.0, ground + k * floor + 0.55), Material.METAL, (0.3, 0.3, 0.32))
    if rng.random() < 0.5:
        b.box((2.5, 2.5, 2.0), (rng.uniform(-0.3, 0.3) * width, -depth / 2, height + 1.0), Material.METAL, (0.5,) * 3)
    return b.mesh()


def _shops(b: Builder, rng: np.random.Generator, width: float, ground: float) -> None:
    count = max(1, int(width / 5))
    pitch = width / count
    for i in range(count):
        x = -width / 2 + (i + 0.5) * pitch
        hue = pick(rng, COMMON)
        b.box(
            (pitch * 0.82, 0.08, ground * 0.62), (x, 0.02, ground * 0.36), Material.WINDOW, PANE * rng.uniform(0.8, 2.5)
        )
        b.box((pitch * 0.9, 0.15, 0.55), (x, 0.06, ground * 0.84), Material.PLASTIC, hue)
        if rng.random() < 0.4:
            awning = [[(x - pitch * 0.4, 0.1, ground * 0.78), (x + pitch * 0.4, 0.1, ground * 0.78),
                       (x + pitch * 0.4, 1.3, ground * 0.64), (x - pitch * 0.4, 1.3, ground * 0.64)]]  # fmt: skip
            b.quads(np.array(awning), Material.CLOTH, hue)


def house(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a house of one or two storeys with a gabled roof."""
    eaves = rng.uniform(2.7, 3.1) * rng.integers(1, 3)
    ridge = eaves + rng.uniform(1.6, 3.2)
    material, color = _skin(rng)
    tiles = pick(rng, ROOFS, 0.2)
    b = Builder()
    b.box((width, depth, eaves), (0, -depth / 2, eaves / 2), material, color)
    b.prism([(-width / 2, eaves), (width / 2, eaves), (0.0, ridge)], depth / 2, material, color, y=-depth / 2)
    over = 0.4
    fall = (ridge - eaves) / (width / 2)
    for side in (-1, 1):
        low = (side * (width / 2 + over), eaves - over * fall)
        quad = [[(low[0], over, low[1] + 0.1), (0, over, ridge + 0.1), (0, -depth - over, ridge + 0.1),
                 (low[0], -depth - over, low[1] + 0.1)]]  # fmt: skip
        b.quads(np.array(quad), Material.ROOF, tiles)
    size = (rng.uniform(0.9, 1.6), rng.uniform(1.0, 1.5))
    _storeys(b, rng, width, depth, 0.5, eaves, floor=2.7, bay=size[0] + rng.uniform(1.2, 2.2), size=size)
    b.box((1.1, 0.1, 2.1), (rng.uniform(-0.25, 0.25) * width, 0.02, 1.05), Material.WOOD, pick(rng, COMMON))
    b.box((0.6, 0.6, 1.6), (width * 0.2, -depth * 0.6, ridge), Material.BRICK, (0.42, 0.22, 0.17))
    if rng.random() < 0.6:
        _garage(b, rng, width, depth)
    return b.mesh()


def _garage(b: Builder, rng: np.random.Generator, width: float, depth: float) -> None:
    """Add a garage beside a house, of a car's or a van's size, with its door to the street."""
    material, color = _skin(rng)
    tall = rng.uniform(2.2, 2.9)
    b.box((2.8, 5.0, tall), (width / 2 + 1.4, -depth / 2, tall / 2), material, color)
    b.box((2.4, 0.06, 2.0), (width / 2 + 1.4, -depth / 2 + 2.51, 1.0), Material.METAL, pick(rng, COMMON))


def hall(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a warehouse or a supermarket: ribbed metal, doors, a band of windows."""
    height = rng.uniform(4.5, 9.0)
    color = np.asarray(pick(rng, COMMON))
    b = Builder()
    b.box((width, depth, height), (0, -depth / 2, height / 2), Material.PLASTER, tuple(color))
    xs = np.arange(-width / 2, width / 2, 0.9)
    low = np.stack([xs, np.full_like(xs, 0.03), np.zeros_like(xs)], axis=1)
    side, up = np.array([0.45, 0, 0]), np.array([0, 0, height])
    b.quads(np.stack([low, low + side, low + side + up, low + up], axis=1), Material.METAL, color * 0.9)
    for x in np.arange(-width / 2 + 3, width / 2 - 2, rng.uniform(5, 9)):
        b.box((3.2, 0.12, 3.4), (x, 0.04, 1.7), Material.METAL, pick(rng, COMMON))
    b.box((width * 0.9, 0.1, 0.7), (0, 0.02, height - 1.2), Material.WINDOW, PANE * 1.5)
    if rng.random() < 0.6:
        b.box((rng.uniform(3, 8), 0.2, 1.2), (0, 0.15, height - 0.2), Material.PLASTIC, pick(rng, COMMON))
    _yard(b, rng, width)
    return b.mesh()


def _yard(b: Builder, rng: np.random.Generator, width: float) -> None:
    """Add containers, crates and skips along a hall's front: flat sides of a lorry's height that are no lorry."""
    for x in rng.uniform(-0.42, 0.42, int(rng.integers(0, 5))) * width:
        kind, color = rng.integers(3), pick(rng, COMMON)
        if kind == 0:
            b.box((6.0, 2.44, 2.59), (x, 1.6, 1.3), Material.METAL, color)
            for side in (-1, 1):
                b.box((0.06, 2.3, 2.4), (x + side * 3.0, 1.6, 1.3), Material.PAINT, color)
        elif kind == 1:
            tall = rng.uniform(0.8, 2.2)
            b.box((rng.uniform(1.2, 3.5), 1.6, tall), (x, 1.3, tall / 2), Material.WOOD, color)
        else:
            b.prism([(x - 1.4, 0), (x + 1.4, 0), (x + 1.8, 1.5), (x - 1.8, 1.5)], 0.85, Material.METAL, color, y=1.4)
