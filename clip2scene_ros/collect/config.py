"""Settings of collecting: what `clip2scene collect` and the live `collect_node` share, and what only the node has."""

from __future__ import annotations

from dataclasses import dataclass, field

from clip2scene_ros.config import ClipConfig, CloudLimits, LabelConfig, ShardsConfig, SyncConfig, TopicQos
from clip2scene_ros.settings import setting


@dataclass(frozen=True)
class ChoiceConfig:
    """Which frames are worth the teacher's time and the disk's room."""

    min_motion_m: float = setting(
        2.0, "nearer to the frame chosen last, and not turned either, nothing new is seen [m]", low=0.0, high=10_000.0
    )
    min_turn_deg: float = setting(15.0, "a vehicle that turned by this sees something new [deg]", low=0.0, high=180.0)
    min_interval_s: float = setting(
        0.5, "never more often; the only rule of these where no pose is known [s]", low=0.0, high=3600.0
    )
    max_per_hour: int = setting(
        0, "frames of each LiDAR in any hour of stamps; 0: as many as there are", low=0, high=1_000_000
    )
    min_novelty: float = setting(
        0.0,
        "distance from kept frames by image features, by class shares without these; 0 asks for none",
        low=0.0,
        high=1.0,
    )
    min_disagreement: float = setting(
        0.0, "or share of points on which student and teacher differ; 0 asks no student", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class BufferConfig:
    """What is held in memory."""

    queue_size: int = setting(8, "chosen frames that wait for the teacher; one more drops the oldest", low=1, high=1000)
    memory_mb: float = setting(256.0, "all that waits or may still be triggered, at most [MB]", low=1.0, high=65_536.0)
    before_s: float = setting(5.0, "a trigger keeps the frames of so long before it [s]; 0: none", low=0.0, high=600.0)
    after_s: float = setting(5.0, "and of so long after it [s]", low=0.0, high=600.0)


@dataclass(frozen=True)
class WatchConfig:
    """Whether calibrations are watched while frames are collected."""

    watch: bool = setting(True, "images of a camera that has slipped are left out until it fits again; needs poses")


@dataclass(frozen=True)
class CollectConfig(LabelConfig):
    """Collecting from a bag or live: the teacher as in `clip2scene label`, what is kept, and where."""

    teacher: str = setting("", "folder with label images of another segmenter, instead of CLIP's own labels")
    dense: str = setting("", "settings of dense features that replace the model's own: `short_side_px: 224`")
    vehicle: str = setting("vehicle", "whose drive it is, in letters, digits, `-` and `_`; in every record")
    choice: ChoiceConfig = field(default_factory=ChoiceConfig)
    buffer: BufferConfig = field(default_factory=BufferConfig)
    calibration: WatchConfig = field(default_factory=WatchConfig)
    sync: SyncConfig = field(default_factory=lambda: SyncConfig(min_views=1))
    cloud: CloudLimits = field(default_factory=CloudLimits)
    shards: ShardsConfig = field(default_factory=ShardsConfig)


@dataclass(frozen=True)
class CalibrationConfig(WatchConfig):
    """Where the cameras sit."""

    source: str = setting(
        "file",
        "`tf` takes CAMERA/camera_info, /tf_static and /tf instead; needs ROS's tf2_msgs",
        choices=("file", "tf"),
    )
    file: str = setting("", "calibration file; of several LiDARs one each: `top/points: a.yaml, rear/points: b.yaml`")
    fixed_frame: str = setting(
        "odom", "frame of /tf that stands still, for the vehicle's way where there is no odometry"
    )


@dataclass(frozen=True)
class WorkerConfig:
    """The process in which the teacher runs."""

    nice: int = setting(
        19, "priority below that of everything else on board; at 19 it runs when nothing else wants to", low=0, high=19
    )
    threads: int = setting(1, "CPU threads of the teacher; 0 leaves it to torch", low=0, high=256)


@dataclass(frozen=True)
class CollectDiagnosticsConfig:
    """When /diagnostics turns to WARN."""

    period_s: float = setting(1.0, "time between two reports [s]", low=0.1, high=60.0)
    silence_s: float = setting(2.0, "WARN after this long without a scan [s]", low=0.1, high=3600.0)


@dataclass(frozen=True)
class CollectNodeConfig(CollectConfig):
    """The live collecting node: config/collect.yaml."""

    clip: ClipConfig = field(default_factory=lambda: ClipConfig(device="cpu"))  # the GPU is segmentation's
    autostart: bool = setting(True, "configure and activate by itself; false leaves it to `ros2 lifecycle`")
    folder: str = setting("shards", "where shards go; a folder in it for each LiDAR where there are several")
    lidars: str = setting("points", "PointCloud2 topics: `top/points, rear/points`")
    cameras: str = setting("", "names of cameras whose `CAMERA/image/compressed` is taken: `cam_front, cam_left`")
    raw_cameras: str = setting("", "names of cameras whose uncompressed `CAMERA/image` is taken; they need more memory")
    points: TopicQos = field(default_factory=lambda: TopicQos(depth=5))
    images: TopicQos = field(default_factory=lambda: TopicQos(depth=5))
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)
    diagnostics: CollectDiagnosticsConfig = field(default_factory=CollectDiagnosticsConfig)
