"""Settings of the world: what stands in the street, what the sensors are, how they are mounted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from clip2scene_ros.frame import NS_PER_S
from clip2scene_ros.settings import setting


@dataclass(frozen=True)
class LidarConfig:
    """A spinning LiDAR, by default like the HDL-32E of nuScenes.

    It turns clockwise seen from above and starts a sweep at azimuth 180 degrees (rear). The scan's stamp is the
    sweep's START; `time_ns` of a point is its offset from there.
    """

    blocks: tuple[tuple[int, float, float], ...] = setting(
        ((32, -30.67, 10.67),), "lasers from the lowest up: how many, first and last elevation [deg]"
    )
    columns: int = setting(1084, "azimuth steps a turn, as in nuScenes", low=16, high=8192)
    rate_hz: float = setting(20.0, "turns per second [Hz]", low=1.0, high=100.0)
    min_range_m: float = setting(1.0, "nearer returns are not reported [m]", low=0.0, high=10.0)
    max_range_m: float = setting(100.0, "farther returns are not reported [m]", low=1.0, high=500.0)
    range_noise_m: float = setting(0.02, "standard deviation of a range [m]", low=0.0, high=1.0)
    sensitivity: float = setting(1.0, "scales the weakest signal that is still detected", low=0.01, high=100.0)
    intensity_gain: float = setting(
        1.0, "scales the reported intensity; makers calibrate it differently", low=0.01, high=10.0
    )
    intensity_gamma: float = setting(1.0, "exponent of the intensity before that; some compress it", low=0.1, high=2.0)
    roof_m: tuple[float, float, float] = setting(
        (0.62, 0.48, 0.30), "the vehicle's roof hides what is under it: half length and width, how far below [m]"
    )
    motion_compensated: bool = setting(False, "true reports all points in the sensor frame at the stamp")

    @property
    def beams(self) -> int:
        """Return the number of rings."""
        return sum(count for count, _, _ in self.blocks)


@dataclass(frozen=True)
class CameraMount:
    """One camera: where it sits on the vehicle (x forward, y left, z up from the ground) and how it looks.

    Attributes:
        name: as in the topic.
        position_m: of the lens in base_link [m].
        yaw_deg: direction of view, 0 forward, positive to the left [deg].
        focal_px: focal length for a 1600 px wide image, as nuScenes gives it [px].
        pitch_deg: positive looks down [deg].
        roll_deg: about the direction of view, positive leans to the right [deg].
    """

    name: str
    position_m: tuple[float, float, float]
    yaw_deg: float
    focal_px: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0


NUSCENES_CAMERAS = (
    CameraMount("cam_front", (1.70, 0.02, 1.51), 0.0, 1266.0),
    CameraMount("cam_front_left", (1.52, 0.49, 1.51), 55.0, 1266.0),
    CameraMount("cam_front_right", (1.55, -0.49, 1.50), -55.0, 1266.0),
    CameraMount("cam_back", (0.03, 0.00, 1.57), 180.0, 809.0),
    CameraMount("cam_back_left", (1.04, 0.48, 1.56), 110.0, 1266.0),
    CameraMount("cam_back_right", (1.01, -0.48, 1.56), -110.0, 1266.0),
)


WEATHER = ("any", "clear", "hazy", "overcast", "dusk", "night", "fog", "night_or_fog")
"""`fog` is dense by day; `night_or_fog` draws one of the two, each half of the time."""


@dataclass(frozen=True)
class WorldConfig:
    """Everything that is not drawn from the seed."""

    duration_s: float = setting(20.0, "length of the drive; the street is made long enough for it [s]", low=0.05)
    layout: str = setting(
        "any", "`any` draws from the others by seed", choices=("any", "straight", "crossing", "curve")
    )
    assets: str = setting(
        "seen", "family of shapes and textures; the other is never trained on", choices=("seen", "unseen")
    )
    towns: str = setting("seen", "family of street plans; the other is never trained on", choices=("seen", "unseen"))
    weather: str = setting(
        "any", "`any` draws light and air by seed: mostly day, some night and light fog", choices=WEATHER
    )
    traffic: float = setting(1.0, "multiplies the number of moving vehicles and people", low=0.0, high=4.0)
    image_width: int = setting(320, "pixels; nuScenes' 1600 scaled", low=16, high=1600)
    image_height: int = setting(180, "pixels", low=9, high=900)
    image_hz: float = setting(12.0, "exposures per second and camera [Hz]", low=0.1, high=100.0)
    distortion: str = setting(
        "none", "of every camera's lens; nuScenes' images are undistorted", choices=("none", "plumb_bob", "equidistant")
    )
    exposure_error: float = setting(
        0.2, "standard deviation of what automatic exposure misses by, image by image [stops]", low=0.0, high=2.0
    )
    jpeg_quality: int = setting(90, "of every image, in a bag or not; 0 keeps the raw image", low=0, high=95)
    odometry_drift: float = setting(0.005, "typical error of the distance the odometry reports", low=0.0, high=0.5)
    odometry_drift_deg_per_m: float = setting(0.003, "typical error of its heading [deg/m]", low=0.0, high=1.0)
    calibration_error_deg: float = setting(
        0.0, "the reported direction of each camera is wrong by this [deg]; the images are not", low=0.0, high=10.0
    )
    calibration_error_m: float = setting(
        0.0, "the reported place of each camera is wrong by this [m]", low=0.0, high=1.0
    )
    odometry_hz: float = setting(100.0, "poses per second in a bag [Hz]", low=20.0, high=1000.0)
    lidar: LidarConfig = field(default_factory=LidarConfig)
    lidar_position_m: tuple[float, float, float] = (0.94, 0.0, 1.84)
    lidar_pitch_deg: float = setting(0.0, "positive looks down [deg]", low=-30.0, high=30.0)
    cameras: tuple[CameraMount, ...] = NUSCENES_CAMERAS
    start_ns: int = 1_700_000_000 * NS_PER_S

    @property
    def sweep_ns(self) -> int:
        """Return the time of one turn [ns]."""
        return round(NS_PER_S / self.lidar.rate_hz)

    @property
    def sweeps(self) -> int:
        """Return the number of whole sweeps in the drive."""
        return math.floor(self.duration_s * self.lidar.rate_hz + 1e-6)
