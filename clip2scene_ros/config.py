"""Settings, one frozen dataclass a stage: the one source of defaults.

ROS parameters, `config/*.yaml`, the README table and the command line are all derived from these
dataclasses, and a test keeps them equal. Nested dataclasses become dotted parameter names
(`points.reliability`). A setting is read-only at run time unless it says `runtime=True`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clip2scene_ros.settings import setting

AFFINITIES = ("identity", "qq", "kk", "sclip", "naclip", "clip_mid", "external", "qk")


@dataclass(frozen=True)
class CloudLimits:
    """What a PointCloud2 may claim before it is refused."""

    max_points: int = setting(
        2_000_000, "points over this are clipped and counted, memory stays bounded", low=1, high=50_000_000
    )
    max_fields: int = setting(64, "more fields than any driver sends is an attack or a bug", low=3, high=1024)
    intensity_scale: float = setting(
        0.0,
        "raw intensity that means 1.0 (255 for most sensors); 0 chooses by field type and sensor",
        low=0.0,
        high=65535.0,
    )


@dataclass(frozen=True)
class ImageLimits:
    """What an image may claim before it is refused, undecoded."""

    max_pixels: int = setting(
        64_000_000, "a small file may declare a picture that fills the memory", low=1, high=178_000_000
    )
    max_bytes: int = setting(32_000_000, "longest compressed image read [bytes]", low=1, high=1_000_000_000)


@dataclass(frozen=True)
class SegmenterConfig:
    """How a scan is turned into labels."""

    checkpoint: str = setting("", "student weights (.safetensors); empty takes the shipped demo checkpoint")
    class_set: str = setting(
        "",
        "name in config/classes, a path, or words: `road, street; car, van`; empty takes the checkpoint's own",
        runtime=True,
    )
    text: str = setting(
        "", "text tower for words that the checkpoint does not carry: a .safetensors file or `ViT-B-16 openai`"
    )
    device: str = setting("auto", "`auto` takes CUDA where there is one, else the CPU; or `cpu`, `cuda`, `cuda:1`")
    precision: str = setting(
        "fp32", "`fp16` is faster on CUDA; the CPU always computes in fp32", choices=("fp32", "fp16")
    )
    threads: int = setting(
        1,
        "CPU threads for the network; more wait for each other on a busy machine; 0 leaves it to torch",
        low=0,
        high=256,
    )
    min_range_m: float = setting(0.5, "nearer returns are the vehicle itself [m]", low=0.0, high=100.0)
    max_range_m: float = setting(80.0, "farther points come out unknown: training saw none [m]", low=1.0, high=1000.0)
    min_probability: float = setting(
        0.0, "points below this probability come out unknown", low=0.0, high=1.0, runtime=True
    )


@dataclass(frozen=True)
class TopicQos:
    """Quality of service of one subscription or publisher."""

    reliability: str = setting(
        "best_effort", "must not ask for more than the publisher offers", choices=("best_effort", "reliable")
    )
    depth: int = setting(2, "messages kept while the node is busy; the newest wins", low=1, high=1000)


@dataclass(frozen=True)
class LabelsQos:
    """Quality of service of the label clouds."""

    reliability: str = setting(
        "reliable", "large best-effort clouds are lost on default DDS settings", choices=("best_effort", "reliable")
    )
    depth: int = setting(2, "a slow subscriber sees the newest labels", low=1, high=1000)


@dataclass(frozen=True)
class DiagnosticsConfig:
    """When /diagnostics turns to WARN and ERROR."""

    period_s: float = setting(1.0, "time between two reports [s]", low=0.1, high=60.0)
    expected_rate_hz: float = setting(0.0, "LiDAR rate; 0 learns it from the stamps [Hz]", low=0.0, high=1000.0)
    max_latency_ms: float = setting(
        0.0, "WARN above this scan-to-labels time; 0 means one period of the LiDAR [ms]", low=0.0, high=1e6
    )
    silence_s: float = setting(2.0, "WARN after this long without a scan [s]", low=0.1, high=3600.0)


@dataclass(frozen=True)
class SegmentNodeConfig:
    """The live segmentation node: config/segment.yaml."""

    autostart: bool = setting(True, "configure and activate by itself; false leaves it to `ros2 lifecycle`")
    segmenter: SegmenterConfig = field(default_factory=SegmenterConfig)
    cloud: CloudLimits = field(default_factory=CloudLimits)
    points: TopicQos = field(default_factory=TopicQos)
    labels: LabelsQos = field(default_factory=LabelsQos)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)


@dataclass(frozen=True)
class EvaluateNodeConfig:
    """The evaluation node: what it plays into the live node, how fast, and where the report goes."""

    bagfile: str = setting("", "bag to play: a rosbag2 folder, .mcap or .db3")
    topic: str = setting("", "its PointCloud2 topic; not needed where there is only one")
    rate: float = setting(
        1.0, "times the recorded pace; 0 sends a cloud when the last one's labels have come", low=0.0, high=1000.0
    )
    out: str = setting("evaluation", "folder of report.json, report.html, evaluation.png and labels.mcap")
    overwrite: bool = setting(False, "replace the report of an earlier run")


@dataclass(frozen=True)
class SyncConfig:
    """How views are matched to scans; `queue_size` and `slop` mean what they mean to message_filters."""

    policy: str = setting(
        "scan_keyed",
        "a lost view costs itself, not the whole set; the other two are message_filters' own",
        choices=("scan_keyed", "approximate_time", "exact_time"),
    )
    slop_ms: float = setting(
        50.0, "a view farther than this from its scan's stamp and offset is not taken [ms]", low=0.0, high=60_000.0
    )
    slops_ms: str = setting("", "other slops, by camera: `front: 20, left: 30` [ms]")
    offsets_ms: str = setting("", "exposure after the scan's stamp, by camera: `front: 61.7, left: -20` [ms]")
    queue_size: int = setting(10, "scans that wait for views; one more sends the oldest as it is", low=1, high=1000)
    view_queue_size: int = setting(30, "views held of each camera: its share of the memory", low=1, high=10_000)
    wait_ms: float = setting(
        150.0, "a scan waits this long for views, a camera's period or longer [ms]", low=0.0, high=60_000.0
    )
    silent_periods: float = setting(
        5.0, "a camera silent for so many of its periods is not waited for until it returns", low=1.0, high=1000.0
    )
    min_views: int = setting(0, "scans with fewer views are dropped; 0 keeps those without any", low=0, high=100)


@dataclass(frozen=True)
class NetworkConfig:
    """The student network; stored in every checkpoint."""

    architecture: str = setting(
        "minkunet", "a sparse U-Net, or one with a point branch (SPVCNN)", choices=("minkunet", "spvcnn")
    )
    preset: str = setting(
        "tiny",
        "the U-Net's layers and channels; `paper` is what the paper has of that architecture",
        choices=("tiny", "14a", "18", "34", "paper"),
    )
    width: float = setting(1.0, "multiplies all channels", low=0.1, high=4.0)
    in_channels: int = setting(1, "1 intensity, 3 colour", low=1, high=16)
    embedding_dim: int = setting(32, "D of the head and of the class vectors", low=2, high=4096)
    voxel_size_m: float = setting(0.2, "edge of a voxel [m]", low=0.01, high=2.0)


@dataclass(frozen=True)
class ClipConfig:
    """Which CLIP is the teacher."""

    model: str = setting("ViT-B-16", "any name that open_clip knows, with a ViT as its image tower")
    pretrained: str = setting(
        "openai", "open_clip's tag of the weights; it also says which activation they learned with"
    )
    checkpoint: str = setting("", "local weights (.safetensors); nothing is fetched then")
    random_weights: bool = setting(False, "no weights at all: for tests and timing, the labels mean nothing")
    device: str = setting("auto", "`auto` takes CUDA where there is one, else the CPU; or `cpu`, `cuda`, `cuda:1`")
    precision: str = setting(
        "fp16", "of the image tower on CUDA; the CPU always computes in fp32", choices=("fp32", "fp16")
    )


@dataclass(frozen=True)
class DenseConfig:
    """How CLIP gives a feature for every patch; the defaults are for the OpenAI and LAION ViT-B/16.

    A model with other needs carries its own in its card (`teacher/clip.py`).
    """

    read_out: str = setting(
        "reduced", "the last block's attention alone; `full` adds residual and MLP", choices=("full", "reduced")
    )
    affinity: str = setting(
        "naclip", "which patches speak for a patch; best published one-pass number on Cityscapes", choices=AFFINITIES
    )
    sigma: float = setting(5.0, "of NACLIP's neighbourhood, as published [patches]", low=0.01, high=1e6)
    gamma: float = setting(3.0, "sharpness of `clip_mid` and `external`, as published", low=0.0, high=100.0)
    beta: float = setting(
        1.2, "patches less alike than this many means are left out of them, as published", low=0.0, high=10.0
    )
    mode: str = setting(
        "windows", "CLIP learned at one size; `whole` stretches its position embeddings", choices=("windows", "whole")
    )
    short_side_px: int = setting(
        448, "images are scaled to this; 0 leaves them; 448 is 21 windows of a 16:9 image [px]", low=0, high=8192
    )
    scales: str = setting("1", "`0.5, 1, 2` averages three looks of other sizes, at their costs")
    window_px: int = setting(0, "0 takes the size that the model learned at [px]", low=0, high=8192)
    overlap: float = setting(0.5, "share of a window that the next one sees again, as published", low=0.0, high=0.9)
    blend: str = setting(
        "mean", "as published; `taper` trusts a window's middle more than its edge", choices=("mean", "taper")
    )
    batch: int = setting(16, "windows computed at once; bounds the memory", low=1, high=4096)
    prompt_denoising: float = setting(
        0.0, "classes that are nowhere in an image surer than this are dropped there; MaskCLIP+: 0.5", low=0.0, high=1.0
    )
    key_smoothing: float = setting(
        0.0, "patches less sure than this ask those with like keys; MaskCLIP+: 1.0", low=0.0, high=1.0
    )
    official: bool = setting(
        False, "CLIP2Scene's arithmetic: exact GELU, epsilon 1e-6, pixels not normalised; worse, for parity only"
    )


@dataclass(frozen=True)
class TextConfig:
    """How the words of a class become what image features are compared with."""

    combine: str = setting(
        "max", "the best word of a class speaks for it; `lse` lets all of them", choices=("max", "lse")
    )
    scale: float = setting(
        100.0, "cosines are multiplied by this before a softmax; CLIP's own 1/temperature", low=1.0, high=1000.0
    )
    experts: int = setting(
        0, "templates kept by class for their low entropy (FLOSS: 4); needs unlabelled images; 0 is off", low=0, high=85
    )
    cache: str = setting("~/.cache/clip2scene_ros/text", "folder of text embeddings made before; empty keeps none")


THINGS = (
    "car, van, truck, lorry, bus, trailer, construction vehicle, excavator, other vehicle, tram, train, motorcycle, "
    "scooter, bicycle, bike, pedestrian, person, people, rider, bicyclist, cyclist, motorcyclist, animal"
)
FLAT = (
    "driveable surface, road, street, lane, lane marking, parking, crosswalk, sidewalk, pavement, other flat, "
    "other ground, ground, floor, terrain, grass, lawn, dirt"
)
TALLEST = (
    "traffic cone 1.2, cone 1.2, barrier 1.3, bicycle 2.1, bike 2.1, motorcycle 2.1, scooter 2.1, bicyclist 2.2, "
    "cyclist 2.2, motorcyclist 2.2, rider 2.2, pedestrian 2.2, person 2.2, people 2.2, animal 2.2, car 2.4, van 2.8, "
    "truck 4.5, lorry 4.5, bus 4.5, trailer 4.5, construction vehicle 5.0, excavator 5.0, tram 4.5, train 5.0"
)


@dataclass(frozen=True)
class LabelerConfig:
    """How what a teacher sees in images becomes labels of points."""

    point_time: bool = setting(
        True, "points with a time are moved to the scan's stamp; false where the driver has done that already"
    )
    visibility: bool = setting(True, "points hidden behind nearer ones get no label from an image that shows those")
    absorbers: str = setting(
        "removed",
        "a LiDAR meets no sky: the best class counts; `compete` leaves such points unknown",
        choices=("removed", "compete"),
    )
    vote: str = setting(
        "mean", "of the cameras' probabilities; `first` asks one camera alone, as a control", choices=("mean", "first")
    )
    range_weight: bool = setting(False, "of several votes the nearer counts more")
    incidence_weight: bool = setting(False, "of several votes the one from straight ahead counts more")
    confidence_weight: bool = setting(False, "of several votes the surer counts more")
    sweeps: int = setting(0, "scans before and after that vote for what stands still; all are held", low=0, high=50)
    things: str = setting(THINGS, "classes with one of these words may move: their votes stay in their own scan")
    ground: bool = setting(False, "what lies on the ground is flat, what stands on it is not")
    flat: str = setting(FLAT, "classes with one of these words are flat")
    columns: bool = setting(False, "what reaches higher above the ground than a class can is not of that class")
    tallest: str = setting(TALLEST, "words, and how high what they name reaches above the ground at most [m]")
    clusters: bool = setting(False, "things that hang together above the ground take the class of their majority")
    keep: float = setting(1.0, "the surest share of each class in a scan keeps its label", low=0.0, high=1.0)
    keep_at_least: int = setting(50, "points of each class that keep it whatever that share is", low=0, high=1_000_000)
    min_confidence: float = setting(0.0, "points less sure than this come out unknown", low=0.0, high=1.0)


@dataclass(frozen=True)
class LabelConfig:
    """`clip2scene label`: who looks at the images, in which classes, and how that becomes labels.

    The settings of `DenseConfig` are not among them: those that are given replace the ones of the model's own card.
    """

    classes: str = setting(
        "nuscenes", "a class set by name or file, or one's own words: 'road, street; car, van; person, pedestrian'"
    )
    clip: ClipConfig = field(default_factory=ClipConfig)
    text: TextConfig = field(default_factory=TextConfig)
    labeler: LabelerConfig = field(default_factory=LabelerConfig)


@dataclass(frozen=True)
class ShardsConfig:
    """How collected frames are kept on disk."""

    images: str = setting("keep", "`drop` keeps scans and labels only, for privacy", choices=("keep", "drop"))
    max_shard_mb: float = setting(
        256.0, "a shard of this size is finished and the next begun [MB]", low=0.001, high=8192.0
    )
    max_shard_frames: int = setting(1000, "or of this many frames", low=1, high=1_000_000)
    sync_s: float = setting(
        1.0, "a power cut loses what was appended within this time [s]; 0 syncs each frame", low=0.0, high=3600.0
    )
    quota_gb: float = setting(
        0.0, "shards of the folder together, more is refused [GB]; 0: no limit", low=0.0, high=1e6
    )
    min_free_gb: float = setting(1.0, "free space of the disk that is never used [GB]; 0: none", low=0.0, high=1e6)
