"""Triangles with a material and a colour each, and the primitives that assets are put together from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from clip2scene_ros.frame import Array
from clip2scene_ros.terminal import uninterrupted
from clip2scene_training.world.materials import Material

with uninterrupted():  # trimesh takes whatever stops one of its imports for a package that is not installed
    import trimesh

Color = Sequence[float] | Array
Vector = Sequence[float] | Array


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle soup in its own frame: x forward, y left, z up, origin on the ground [m].

    Attributes:
        vertices: (V, 3) float32.
        texcoord: (V, 3) float32, where on the thing a vertex is [m]; stays when the mesh is moved.
        faces: (F, 3) int32.
        material: (F,) uint8.
        color: (F, 3) float32 in [0, 1].
    """

    vertices: Array
    texcoord: Array
    faces: Array
    material: Array
    color: Array

    def moved(self, pose: Array) -> Mesh:
        """Return a copy moved by a (4, 4) pose; texture coordinates stay on the thing."""
        vertices = self.vertices @ pose[:3, :3].T.astype(np.float32) + pose[:3, 3].astype(np.float32)
        return Mesh(vertices.astype(np.float32), self.texcoord, self.faces, self.material, self.color)

    @property
    def bounds(self) -> Array:
        """Return (2, 3) float32: lowest and highest coordinates."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])


def merge(meshes: Iterable[Mesh]) -> Mesh:
    """Return all meshes as one."""
    parts = [m for m in meshes if len(m.faces)]
    if not parts:
        none = np.zeros((0, 3), np.float32)
        return Mesh(none, none, np.zeros((0, 3), np.int32), np.zeros(0, np.uint8), none)
    offsets = np.cumsum([0] + [len(m.vertices) for m in parts[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in parts]),
        np.concatenate([m.texcoord for m in parts]),
        np.concatenate([m.faces + np.int32(o) for m, o in zip(parts, offsets, strict=True)]).astype(np.int32),
        np.concatenate([m.material for m in parts]),
        np.concatenate([m.color for m in parts]),
    )


def pose_at(x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Array:
    """Return a (4, 4) float64 pose standing upright at a point, turned by `yaw` [rad]."""
    pose = np.eye(4)
    c, s = np.cos(yaw), np.sin(yaw)
    pose[:2, :2] = [[c, -s], [s, c]]
    pose[:3, 3] = (x, y, z)
    return pose


@lru_cache(maxsize=64)
def _unit(kind: str, detail: int) -> tuple[Array, Array]:
    """Return vertices and faces of a unit primitive, taken from trimesh once."""
    if kind == "box":
        shape = trimesh.creation.box(extents=(1, 1, 1))
    elif kind == "cylinder":
        shape = trimesh.creation.cylinder(radius=1.0, height=1.0, sections=detail)
    else:
        shape = trimesh.creation.icosphere(subdivisions=detail, radius=1.0)
    return np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32)


def _align_z(x: float, y: float, z: float) -> Array:
    """Return (3, 3) float32 turning +z to the unit direction (x, y, z); plain floats, for it is called very often."""
    hx, hy = (1.0, 0.0) if abs(x) < 0.9 else (0.0, 1.0)
    ux, uy, uz = hy * z, -hx * z, hx * y - hy * x
    length = math.sqrt(ux * ux + uy * uy + uz * uz)
    ux, uy, uz = ux / length, uy / length, uz / length
    vx, vy, vz = y * uz - z * uy, z * ux - x * uz, x * uy - y * ux
    return np.array([[ux, vx, x], [uy, vy, y], [uz, vz, z]], np.float32)


class Builder:
    """Collects primitives into one mesh. All lengths in metres, colours RGB in [0, 1]."""

    def __init__(self) -> None:
        self._parts: list[Mesh] = []

    def add(self, vertices: Array, faces: Array, material: Material, color: Color | Array) -> None:
        """Add triangles of one material; `color` is one RGB or one per face."""
        count = len(faces)
        vertices = np.ascontiguousarray(vertices, np.float32)
        colors = np.broadcast_to(np.asarray(color, np.float32), (count, 3))
        self._parts.append(
            Mesh(vertices, vertices, np.asarray(faces, np.int32), np.full(count, material, np.uint8), colors)
        )

    def include(self, mesh: Mesh, pose: Array | None = None) -> None:
        """Add a finished mesh, moved by `pose`."""
        self._parts.append(mesh if pose is None else mesh.moved(pose))

    def box(self, size: Vector, center: Vector, material: Material, color: Color) -> None:
        """Add an axis-aligned box."""
        vertices, faces = _unit("box", 0)
        self.add(vertices * np.asarray(size, np.float32) + np.asarray(center, np.float32), faces, material, color)

    def tube(
        self, start: Vector, end: Vector, radius: float, material: Material, color: Color,
        *, sides: int = 6, end_radius: float | None = None,
    ) -> None:  # fmt: skip
        """Add a cylinder (or, with `end_radius`, a frustum) between two points."""
        vertices, faces = _unit("cylinder", sides)
        (ax, ay, az), (bx, by, bz) = start, end
        dx, dy, dz = float(bx - ax), float(by - ay), float(bz - az)
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        along = vertices[:, 2:] + 0.5
        radii = radius + (radius if end_radius is None else end_radius) * along - radius * along
        local = vertices.copy()
        local[:, :2] *= radii
        local[:, 2] *= length
        middle = np.array([(ax + bx) / 2, (ay + by) / 2, (az + bz) / 2], np.float32)
        self.add(local @ _align_z(dx / length, dy / length, dz / length).T + middle, faces, material, color)

    def ball(
        self, radii: Vector, center: Vector, material: Material, color: Color | Array,
        *, detail: int = 1, roughness: float = 0.0, rng: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        """Add an ellipsoid, dented by `roughness` times its radius where a generator is given."""
        vertices, faces = _unit("ball", detail)
        if rng is not None:
            vertices = vertices * (1.0 + roughness * rng.uniform(-1, 1, (len(vertices), 1))).astype(np.float32)
        self.add(vertices * np.asarray(radii, np.float32) + np.asarray(center, np.float32), faces, material, color)

    def prism(
        self, outline: Sequence[tuple[float, float]], half_width: float | Sequence[float],
        material: Material, color: Color, *, y: float = 0.0,
    ) -> None:  # fmt: skip
        """Add a side view (x, z), star-shaped about its centre, extruded to +-half_width (one for each corner)."""
        corners = np.asarray(outline, np.float32)
        n = len(corners)
        widths = np.broadcast_to(np.asarray(half_width, np.float32), (n,))
        rims = [np.stack([corners[:, 0], y + side * widths, corners[:, 1]], axis=1) for side in (-1, 1)]
        hubs = np.stack([rim.mean(axis=0) for rim in rims])
        here = np.arange(n)
        after = (here + 1) % n
        walls = np.concatenate([np.stack([here, after, after + n], 1), np.stack([here, after + n, here + n], 1)])
        caps = [np.stack([here + side * n, after + side * n, np.full(n, 2 * n + side)], 1) for side in (0, 1)]
        self.add(np.concatenate([*rims, hubs]), np.concatenate([walls, *caps]), material, color)

    def quads(self, corners: Array, material: Material, color: Color | Array) -> None:
        """Add (Q, 4, 3) quadrilaterals; `color` is one RGB or (Q, 3)."""
        count = len(corners)
        base = 4 * np.arange(count)[:, None]
        faces = np.concatenate([base + [[0, 1, 2]], base + [[0, 2, 3]]])
        colors = np.asarray(color, np.float32)
        self.add(corners.reshape(-1, 3), faces, material, np.tile(colors, (2, 1)) if colors.ndim == 2 else colors)

    def wheels(self, xs: Sequence[float], track: float, radius: float, width: float = 0.22) -> None:
        """Add a pair of wheels at each x: tyre and rim."""
        for x in xs:
            for side in (-1, 1):
                y = side * track / 2
                self.tube((x, y - width / 2, radius), (x, y + width / 2, radius), radius, Material.RUBBER,
                          (0.05, 0.05, 0.05), sides=12)  # fmt: skip
                self.tube((x, y - width / 2 - 0.01, radius), (x, y + width / 2 + 0.01, radius), 0.6 * radius,
                          Material.METAL, (0.45, 0.45, 0.47), sides=8)  # fmt: skip

    def mesh(self) -> Mesh:
        """Return everything added so far."""
        return merge(self._parts)
