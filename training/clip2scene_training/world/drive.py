"""A drive through the world of one seed: any sweep, at any time, with its ground truth."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from clip2scene_ros.frame import NS_PER_S, Array, Frame, Scan, View
from clip2scene_training.world.appearance import appearance
from clip2scene_training.world.cameras import ImageTruth, Shot, expose, image, truth
from clip2scene_training.world.config import WorldConfig
from clip2scene_training.world.finish import finish, wear
from clip2scene_training.world.lidar import Medium, column_times_ns, sweep
from clip2scene_training.world.odometry import Odometry
from clip2scene_training.world.optics import (
    base_from_camera,
    base_from_lidar,
    camera_model,
    pixel_rays,
    reported_camera,
)  # fmt: skip
from clip2scene_training.world.picture import through_jpeg
from clip2scene_training.world.scene import Box, Scene
from clip2scene_training.world.shading import Lighting, street_lamps
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
        self.air = appearance(seed, self.config.weather)
        self._surfaces, self._lamps = finish(seed), street_lamps(self.scene.fixed.mesh)
        self._medium = Medium(self._surfaces, wear(seed, self.config.lidar), self.air.fog_m)
        self._odometry = Odometry(seed, self.config, self.scene.ego.poses)

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
        """Return (T, 4, 4) float64 true poses of the vehicle (rear axle, on the ground) at (T,) int64 stamps."""
        return self.scene.ego.poses((np.asarray(stamps_ns, np.int64) - self.config.start_ns) / NS_PER_S)

    def odometry(self, stamps_ns: Array) -> Array:
        """Return (T, 4, 4) float64 poses of the vehicle as it reports them itself, drift included, at (T,) stamps.

        Frames and bags carry these: no method has more on a vehicle.
        """
        return self._odometry.poses((np.asarray(stamps_ns, np.int64) - self.config.start_ns) / NS_PER_S)

    @property
    def base_from_lidar(self) -> Array:
        """Return (4, 4) float64: where the LiDAR is mounted."""
        return base_from_lidar(self.config)

    def reported_camera(self, camera: int) -> Array:
        """Return (4, 4) float64 base_from_camera as the calibration has it, its error included."""
        return reported_camera(self.seed, self.config, camera)

    def world_from_lidar(self, stamp_ns: int) -> Array:
        """Return (4, 4) float64 true pose of the LiDAR at a stamp; a frame has that of the odometry."""
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
        """Return sweep `index` with labels and instances, and with the nearest image of each camera if asked.

        Its pose and its views' are what odometry and calibration say; see `world_from_lidar` for the truth.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"Expected a sweep in 0..{len(self) - 1}, but got {index}.")
        stamp = self.stamp_ns(index)
        poses = self.world_from_base(stamp + column_times_ns(self.config.lidar)) @ self.base_from_lidar
        rng = generator(self.seed, 20, index)
        swept = sweep(self.config.lidar, stamp, self.seconds(stamp), poses, self.scene, self._medium, rng)
        views: tuple[View, ...] = self.views(stamp) if with_images else ()
        pose = self.odometry(np.array([stamp]))[0] @ self.base_from_lidar
        return Frame(swept.scan, views, pose, swept.labels, swept.instances)

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
        shot, model = self._shot(camera, image_stamp_ns), camera_model(mount, config)
        picture = through_jpeg(self._picture(shot, camera, image_stamp_ns), config.jpeg_quality)
        there, here = self.odometry(np.array([image_stamp_ns, scan_stamp_ns]))
        camera_from_lidar = np.linalg.inv(there @ self.reported_camera(camera)) @ here @ self.base_from_lidar
        labels = shot.labels.reshape(config.image_height, config.image_width)
        return View(mount.name, picture, model, camera_from_lidar, image_stamp_ns, labels)

    def raw_image(self, camera: int, stamp_ns: int) -> Array:
        """Return the (H, W, 3) uint8 image that a camera takes at a stamp, before it is compressed."""
        return self._picture(self._shot(camera, stamp_ns), camera, stamp_ns)

    def truth(self, camera: int, stamp_ns: int) -> ImageTruth:
        """Return classes, instances, depth and flow of each pixel of the image that a camera takes at a stamp.

        The flow leads to the image that it takes 1 / `image_hz` later.
        """
        later = stamp_ns + round(NS_PER_S / self.config.image_hz)
        model = camera_model(self.config.cameras[camera], self.config)
        then = self._world_from_camera(camera, later)
        return truth(self._shot(camera, stamp_ns), model, self.scene, self.seconds(later), then)

    def _world_from_camera(self, camera: int, stamp_ns: int) -> Array:
        base = self.world_from_base(np.array([stamp_ns]))[0]
        return np.asarray(base @ base_from_camera(self.config.cameras[camera]))

    def _shot(self, camera: int, stamp_ns: int) -> Shot:
        rays = pixel_rays(self.config.cameras[camera], self.config)
        return expose(rays, self._world_from_camera(camera, stamp_ns), self.scene, self.seconds(stamp_ns))

    def _picture(self, shot: Shot, camera: int, stamp_ns: int) -> Array:
        rng = generator(self.seed, 21, camera, stamp_ns - self.config.start_ns)
        base = self.world_from_base(np.array([stamp_ns]))[0]
        lighting = Lighting(self.air, self._surfaces, self._lamps, base)
        exposure = 2.0 ** rng.normal(0.0, self.config.exposure_error)
        return image(shot, camera_model(self.config.cameras[camera], self.config), lighting, exposure, rng)

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
