"""A drive through the world of one seed: any sweep, at any time, with its ground truth."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clip2scene_ros.frame import NS_PER_S, Array, Frame, Scan, View
from clip2scene_training.world.appearance import appearance
from clip2scene_training.world.cameras import base_from_camera, camera_model, render
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.lidar import column_times_ns, sweep
from clip2scene_training.world.scene import Box, Scene
from clip2scene_training.world.town import generator


class Drive:
    """The sensors' way through one scene. Every frame depends on the seed and its index only.

    Args:
        seed: which world; any non-negative integer.
        config: sensors and length of the drive.
    """

    def __init__(self, seed: int, config: WorldConfig | None = None) -> None:
        if seed < 0:
            raise ValueError(f"Expected `seed` >= 0, but got {seed}.")
        self.seed = seed
        self.config = config or WorldConfig()
        self.scene = Scene(seed, self.config)
        self._light = appearance(seed)

    def __len__(self) -> int:
        """Return the number of sweeps in the drive."""
        return self.config.sweeps

    def stamp_ns(self, index: int) -> int:
        """Return the stamp of sweep `index`, the start of its turn [ns]."""
        return self.config.start_ns + index * self.config.sweep_ns

    def seconds(self, stamp_ns: int) -> float:
        """Return the time since the start of the drive [s]."""
        return (stamp_ns - self.config.start_ns) / NS_PER_S

    def world_from_base(self, stamps_ns: Array) -> Array:
        """Return (T, 4, 4) float64 poses of the vehicle (rear axle, on the ground) at (T,) int64 stamps."""
        return self.scene.ego.poses((np.asarray(stamps_ns, np.int64) - self.config.start_ns) / NS_PER_S)

    @property
    def base_from_lidar(self) -> Array:
        """Return (4, 4) float64: where the LiDAR is mounted, its axes parallel to the vehicle's."""
        pose = np.eye(4)
        pose[:3, 3] = self.config.lidar_position_m
        return pose

    def world_from_lidar(self, stamp_ns: int) -> Array:
        """Return (4, 4) float64 pose of the LiDAR at a stamp."""
        return np.asarray(self.world_from_base(np.array([stamp_ns]))[0] @ self.base_from_lidar)

    def boxes(self, stamp_ns: int) -> list[Box]:
        """Return the bounding boxes of all things at a stamp, in world coordinates."""
        return self.scene.boxes(self.seconds(stamp_ns))

    def points_at_stamp(self, scan: Scan) -> Array:
        """Return (N, 3) float64 points of a scan as seen from where the LiDAR was at its stamp.

        A raw spinning LiDAR reports each point from where it was at that instant; this undoes the vehicle's motion.
        """
        if self.config.lidar.motion_compensated or scan.time_ns is None:
            return scan.points.astype(np.float64)
        times, which = np.unique(scan.time_ns, return_inverse=True)
        moved = np.linalg.inv(self.world_from_lidar(scan.stamp_ns)) @ (
            self.world_from_base(scan.stamp_ns + times) @ self.base_from_lidar
        )
        poses = moved[which]
        return np.asarray(np.einsum("nij,nj->ni", poses[:, :3, :3], scan.points) + poses[:, :3, 3])

    def frame(self, index: int, *, with_images: bool = False) -> Frame:
        """Return sweep `index` with labels, instances and pose, and with the nearest image of each camera if asked."""
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a sweep in 0..{len(self) - 1}, but got {index}.")
        stamp = self.stamp_ns(index)
        poses = self.world_from_base(stamp + column_times_ns(self.config.lidar)) @ self.base_from_lidar
        rng = generator(self.seed, 20, index)
        swept = sweep(self.config.lidar, stamp, self.seconds(stamp), poses, self.scene, rng)
        views: tuple[View, ...] = self.views(stamp) if with_images else ()
        return Frame(swept.scan, views, self.world_from_lidar(stamp), swept.labels, swept.instances)

    def image_stamps_ns(self, camera: int) -> Array:
        """Return the (K,) int64 exposure times of a camera during the drive [ns].

        Exposures come `image_hz` times a second. As in nuScenes, the first is when the LiDAR's beam, in the first
        sweep, passes the direction the camera looks in; so the six are staggered over a turn.
        """
        share = ((180.0 - self.config.cameras[camera].yaw_deg) % 360.0) / 360.0
        first = self.config.start_ns + round(share * self.config.sweep_ns)
        end = self.config.start_ns + round(self.config.duration_s * NS_PER_S)
        count = math.ceil((end - first) * self.config.image_hz / NS_PER_S)
        return first + np.array([round(k * NS_PER_S / self.config.image_hz) for k in range(count)], np.int64)

    def view(self, camera: int, image_stamp_ns: int, scan_stamp_ns: int) -> View:
        """Return the image that a camera takes at a stamp, placed against the scan at another."""
        mount, config = self.config.cameras[camera], self.config
        model = camera_model(mount, config)
        world_from_camera = self.world_from_base(np.array([image_stamp_ns]))[0] @ base_from_camera(mount)
        rng = generator(self.seed, 21, camera, image_stamp_ns - config.start_ns)
        image, labels = render(model, world_from_camera, self.scene, self.seconds(image_stamp_ns), self._light, rng)
        camera_from_lidar = np.linalg.inv(world_from_camera) @ self.world_from_lidar(scan_stamp_ns)
        return View(mount.name, image, model, camera_from_lidar, image_stamp_ns, labels)

    def views(self, stamp_ns: int) -> tuple[View, ...]:
        """Return the image nearest to a scan's stamp from each camera."""
        found = []
        for camera in range(len(self.config.cameras)):
            stamps = self.image_stamps_ns(camera)
            found.append(self.view(camera, int(stamps[np.argmin(np.abs(stamps - stamp_ns))]), stamp_ns))
        return tuple(found)

    def sweeps(
        self, count: int | None = None, *, start: int = 0, every: int = 1, images_every: int = 0
    ) -> Iterator[Frame]:
        """Yield `count` frames (all by default) from sweep `start` on, taking one in `every`.

        Images come with the first frame and every `images_every` frames after it; 0 makes none.
        """
        indices = range(start, len(self), every)
        for i, index in enumerate(indices if count is None else indices[:count]):
            yield self.frame(index, with_images=bool(images_every) and i % images_every == 0)
