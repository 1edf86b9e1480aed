"""Ray casting with Embree: meshes that rays may meet one after the other, the nearest hit being kept.

A thing that moves keeps its own ray-casting structure in its own frame; the rays are moved into that frame, each with
the thing's pose at the ray's own time. So nothing is rebuilt from sweep to sweep, and a rolling sensor sees each
thing where it is at that instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh  # type: ignore[import-untyped]
from embreex.rtcore_scene import EmbreeScene  # type: ignore[import-untyped]

from clip2scene_ros.frame import Array
from clip2scene_training.world.mesh import Mesh, merge

MISS_M = np.float32(1e9)


class Layer:
    """Meshes in one frame, ready to be met by rays; a class and an instance for each.

    Args:
        meshes: what there is, in the layer's own frame.
        labels: a class each.
        instances: an instance each, 0 none.
    """

    def __init__(self, meshes: Sequence[Mesh], labels: Sequence[int], instances: Sequence[int]) -> None:
        faces = [len(m.faces) for m in meshes]
        self.mesh = merge(meshes)
        self.label = np.repeat(np.asarray(labels, np.uint8), faces)
        self.instance = np.repeat(np.asarray(instances, np.uint16), faces)
        low, high = self.mesh.bounds.astype(float)
        self.center, self.radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
        self._scene = EmbreeScene()
        TriangleMesh(self._scene, np.ascontiguousarray(self.mesh.vertices, np.float32), self.mesh.faces)

    def intersect(self, origins: Array, directions: Array, reach: Array) -> dict[str, Array]:
        """Return Embree's raw answer for (R, 3) float32 rays of at most `reach` (R,)."""
        answer: dict[str, Array] = self._scene.run(
            np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32),
            dists=reach.astype(np.float32), query="INTERSECT", output=True,
        )  # fmt: skip
        return answer

    def occludes(self, origins: Array, directions: Array) -> Array:
        """Return (R,) bool: something lies in the ray's way."""
        run = self._scene.run(
            np.ascontiguousarray(origins, np.float32), np.ascontiguousarray(directions, np.float32), query="OCCLUDED"
        )
        return np.asarray(run >= 0)


@dataclass(eq=False)
class Rays:
    """A bundle of rays and the nearest thing each has met so far.

    Attributes:
        origins, directions: (R, 3), directions of unit length, in the world.
        surface: whether texture coordinates are wanted.
        distance: (R,) float32 [m], MISS_M where nothing was met; the attributes below are then meaningless.
        label, instance, material: (R,) uint8, uint16, uint8.
        color, normal: (R, 3) float32; normals are turned towards the ray's origin by `finish`.
        texcoord: (R, 3) float32, where on the thing [m].
    """

    origins: Array
    directions: Array
    surface: bool = False

    def __post_init__(self) -> None:
        """Start with nothing met."""
        n = len(self.origins)
        self.distance = np.full(n, MISS_M, np.float32)
        self.label, self.material = np.full(n, 255, np.uint8), np.zeros(n, np.uint8)
        self.instance = np.zeros(n, np.uint16)
        self.color, self.normal = np.zeros((n, 3), np.float32), np.zeros((n, 3), np.float32)
        self.texcoord = np.zeros((n if self.surface else 0, 3), np.float32)

    @property
    def hit(self) -> Array:
        """Return (R,) bool: something was met."""
        return np.asarray(self.distance < MISS_M)

    def meet(self, layer: Layer, which: Array | None = None, poses: Array | None = None) -> Array:
        """Let some rays (indices, all by default) meet a layer that stands at `poses`: (4, 4), or one for each ray.

        Returns:
            The indices of the rays that met it.
        """
        chosen = np.arange(len(self.origins)) if which is None else which
        origins, directions = self.origins[chosen], self.directions[chosen]
        if poses is not None:
            origins, directions = to_local(poses, origins, directions)
        answer = layer.intersect(origins, directions, self.distance[chosen])
        near = np.flatnonzero(answer["primID"] >= 0)
        face, mesh, target = answer["primID"][near], layer.mesh, np.asarray(chosen[near])
        if not len(near):
            return target
        self.distance[target] = answer["tfar"][near]
        self.label[target], self.instance[target] = layer.label[face], layer.instance[face]
        self.material[target], self.color[target] = mesh.material[face], mesh.color[face]
        normal = answer["Ng"][near]
        if poses is not None:
            rotation = poses[..., :3, :3] if poses.ndim == 2 else poses[near, :3, :3]
            normal = np.einsum("...ij,...j->...i", rotation, normal)
        self.normal[target] = normal
        if self.surface:
            u, v = answer["u"][near][:, None], answer["v"][near][:, None]
            a, b, c = (mesh.texcoord[mesh.faces[face, k]] for k in range(3))
            self.texcoord[target] = a + u * (b - a) + v * (c - a)
        return target

    def finish(self) -> None:
        """Give normals unit length and turn them towards the rays' origins."""
        self.normal /= np.maximum(np.linalg.norm(self.normal, axis=1, keepdims=True), 1e-12)
        self.normal[np.einsum("ij,ij->i", self.normal, self.directions) > 0] *= -1


def to_local(poses: Array, origins: Array, directions: Array) -> tuple[Array, Array]:
    """Return rays in the frame of a thing at `poses`: (4, 4), or (R, 4, 4)."""
    if poses.ndim == 2:
        rotation = poses[:3, :3]
        return (origins - poses[:3, 3]) @ rotation, directions @ rotation
    back = np.swapaxes(poses[:, :3, :3], 1, 2)
    return (
        np.einsum("nij,nj->ni", back, origins - poses[:, :3, 3]),
        np.einsum("nij,nj->ni", back, directions),
    )
