"""Sets of sensors on a vehicle: the one that nuScenes drove with, and one that no training scene was seen from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from clip2scene_training.world.config import NUSCENES_CAMERAS, CameraMount, LidarConfig, WorldConfig


@dataclass(frozen=True)
class Rig:
    """Sensors and where they are; the attributes are those of `WorldConfig`."""

    lidar: LidarConfig
    lidar_position_m: tuple[float, float, float]
    lidar_pitch_deg: float
    cameras: tuple[CameraMount, ...]


HDL_64 = LidarConfig(
    blocks=((32, -24.9, -8.87), (32, -8.33, 2.0)),
    columns=1042,
    max_range_m=120.0,
    sensitivity=2.0,
    intensity_gain=0.62,
    intensity_gamma=0.25,
    roof_m=(1.0, 0.6, 0.5),
)
"""64 lasers in two blocks, the lower one wider spaced, as an HDL-64E at 20 Hz. Its intensity is calibrated to between
0.2 and 0.4 for most surfaces, as KITTI's scans have it; nuScenes' are spread between 0.01 and 0.25."""

HIGH_CAMERAS = (
    CameraMount("cam_front", (1.95, 0.00, 2.05), 0.0, 1000.0, pitch_deg=6.0),
    CameraMount("cam_left", (1.10, 0.80, 1.95), 90.0, 800.0, pitch_deg=10.0, roll_deg=1.5),
    CameraMount("cam_right", (1.10, -0.80, 1.95), -90.0, 800.0, pitch_deg=10.0, roll_deg=-1.5),
    CameraMount("cam_back", (-0.60, 0.00, 1.20), 180.0, 900.0, pitch_deg=2.0),
)

RIGS = {
    "nuscenes": Rig(LidarConfig(), WorldConfig.lidar_position_m, 0.0, NUSCENES_CAMERAS),
    "unseen": Rig(HDL_64, (1.20, 0.0, 2.25), 3.0, HIGH_CAMERAS),
}
"""`nuscenes` is what `WorldConfig` has by itself."""


def with_rig(config: WorldConfig, name: str) -> WorldConfig:
    """Return the settings with the sensors of a rig; `name` is a key of `RIGS`."""
    rig = RIGS[name]
    return replace(
        config, lidar=rig.lidar, lidar_position_m=rig.lidar_position_m, lidar_pitch_deg=rig.lidar_pitch_deg,
        cameras=rig.cameras,
    )  # fmt: skip
