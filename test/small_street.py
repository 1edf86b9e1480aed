"""A street of three boxes as a bag, and a student with random weights: enough to run every command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.frame import CameraModel, Scan
from clip2scene_ros.io.bags import (
    BagWriter,
    camera_info_message,
    cloud_message,
    compressed_image_message,
    string_message,
    tf_static_message,
)
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.pointcloud import pack_ground_truth, pack_points
from clip2scene_ros.student.checkpoint import CheckpointCard, save_checkpoint
from clip2scene_ros.student.networks import build_network

WORLD = {"version": "boxes", "seed": 0, "seconds": 0.3}
START_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
CAMERA = CameraModel(160, 90, np.array([[80.0, 0, 80], [0, 80, 45], [0, 0, 1]]))
BASE_FROM_CAMERA = np.array([[0, 0, 1, 1.7], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]])
BASE_FROM_LIDAR = np.array([[1, 0, 0, 0.9], [0, 1, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1.0]])


def scan_and_labels(index: int, points: int = 600) -> tuple[Scan, np.ndarray]:
    """Ground, a wall and a car ahead; later scans see more of the classes."""
    rng = np.random.default_rng(index)
    world = load_class_set("world")
    names = ["driveable surface", "manmade", "car"][: 1 + index % 3]
    ids = np.array([world.index(name) for name in names], dtype=np.uint8)
    which = rng.integers(0, len(ids), points)
    low = np.array([[2.0, -8, -1.9], [5, 8, -1.8], [8, -1, -1.8]])[which]
    high = np.array([[30.0, 8, -1.8], [30, 9, 3], [12, 1, -0.3]])[which]
    xyz = rng.uniform(low, high).astype(np.float32)
    scan = Scan(xyz, rng.random(points, dtype=np.float32), START_NS + index * STEP_NS, "lidar_top")
    return scan, ids[which]


def write_street(path: Path, clouds: int = 6, points: int = 600, truth: bool = True, broken: int = -1) -> Path:
    """Clouds at 20 Hz, one camera, a topic that no one here knows; cloud `broken` claims more bytes than it has."""
    with BagWriter(path) as bag:
        edges = [("base_link", "lidar_top", BASE_FROM_LIDAR), ("base_link", "cam_front", BASE_FROM_CAMERA)]
        bag.write("/tf_static", tf_static_message(edges, START_NS), START_NS, latched=True)
        if truth:
            bag.write("/world", string_message(json.dumps(WORLD)), START_NS, latched=True)
            classes = string_message(load_class_set("world").to_json())
            bag.write("/ground_truth/class_set", classes, START_NS, latched=True)
        for i in range(clouds):
            scan, labels = scan_and_labels(i, points)
            t = scan.stamp_ns
            message = cloud_message(pack_points(scan), t, scan.frame_id)
            if i == broken:
                message.width += 1
            bag.write("/points", message, t)
            if truth:
                layout = pack_ground_truth(scan, labels, labels.astype(np.uint16))
                bag.write("/ground_truth/points", cloud_message(layout, t, scan.frame_id), t)
            if i % 3 == 0:
                image = encode_jpeg(np.full((90, 160, 3), 90 + i % 100, dtype=np.uint8), 90)
                bag.write("/cam_front/camera_info", camera_info_message(CAMERA, t, "cam_front"), t)
                bag.write("/cam_front/image/compressed", compressed_image_message(image, t, "cam_front"), t)
            bag.write("/chatter", string_message(f"cloud {i}"), t)
    return path


def write_clip(path: Path) -> Path:
    """A CLIP of two blocks with random weights, which has learned ten words; needs open_clip."""
    from clip2scene_ros.config import DenseConfig
    from clip2scene_ros.teacher.clip import ClipCard, build_clip, save_clip

    words = ("a", "photo", "of", "the", "car", "van", "road", "street", "sky", "person")
    vision = {"image_size": 48, "patch_size": 16, "width": 32, "layers": 2, "head_width": 8}
    text = {"context_length": 12, "vocab_size": 14, "width": 32, "heads": 4, "layers": 2}
    shape = {"embed_dim": 16, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
    card = ClipCard("small", shape, dense=DenseConfig(short_side_px=0), vocabulary=words, notice="random weights")
    save_clip(path, build_clip(shape), card)
    return path


def write_student(path: Path, class_set: ClassSet | None = None) -> Path:
    """A tiny network with random weights, as a checkpoint."""
    torch.manual_seed(0)
    classes = class_set or load_class_set("world")
    config = NetworkConfig()
    network = build_network(config).eval()
    vectors = torch.randn(len(classes), config.embedding_dim)
    card = CheckpointCard(config, classes, vectors, notice="random weights, for tests only")
    save_checkpoint(path, network.state_dict(), card)
    return path
