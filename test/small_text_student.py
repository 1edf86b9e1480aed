"""A small student that a small CLIP's words taught, so to speak: random weights, real words, nothing is fetched."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from clip2scene_ros.classes import parse_class_set
from clip2scene_ros.config import NetworkConfig, TextConfig
from clip2scene_ros.frame import Scan
from clip2scene_ros.student.checkpoint import CheckpointCard, save_checkpoint
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.points import voxel_features
from clip2scene_ros.student.sparse.tensor import collate
from clip2scene_ros.student.voxelization import voxelize
from clip2scene_ros.teacher.clip import Clip, ClipCard, build_clip
from clip2scene_ros.teacher.tokenizer import WordTokenizer
from clip2scene_ros.vocabulary import carry

VOCABULARY = ("a", "photo", "of", "the", "car", "van", "road", "street", "sky", "person", "tree", "in", "scene")
UNCACHED = TextConfig(cache="")
CARRIED = ("road", "street", "Car", "van", "sky")
SIZE = 16


def small_clip(name: str, vocabulary: tuple[str, ...] = VOCABULARY) -> Clip:
    architecture = {
        "embed_dim": SIZE,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 16, "layers": 1, "head_width": 8},
        "text_cfg": {"context_length": 12, "vocab_size": len(vocabulary) + 4, "width": 16, "heads": 2, "layers": 1},
    }
    card = ClipCard(name, architecture, vocabulary=vocabulary)
    return Clip(build_clip(architecture).eval(), WordTokenizer(vocabulary, 12), card)


def text_student(clip: Clip, scan: Scan) -> tuple[dict[str, Tensor], CheckpointCard]:
    """Return the weights and the card of a student that carries the vectors of a few words.

    Args:
        clip: gives the vectors.
        scan: on which the student's features are centred, or an untrained head would give all of it the same class.
    """
    network_config = NetworkConfig(width=0.25, embedding_dim=SIZE)
    torch.manual_seed(0)
    network = build_network(network_config)
    voxels = voxelize(scan.points, network_config.voxel_size_m)
    with torch.no_grad():
        features = network.eval()(collate([voxels.coords], [voxel_features(scan.intensity, voxels, 1)]))
        network.head.bias -= features.mean(0)
    own = parse_class_set({"name": "own", "classes": [{"name": "car"}, {"name": "tree"}, {"name": "road"}]}, "")
    card = CheckpointCard(
        network_config,
        own,
        carry(own.names, clip, UNCACHED),
        text_model="small",
        text_sha256=clip.text_sha256,
        temperature=0.01,
        words=CARRIED,
        word_rows=carry(CARRIED, clip, UNCACHED),
        notice="a test",
    )
    return network.state_dict(), card


def write_text_student(path: Path, clip: Clip, scan: Scan) -> Path:
    """Write it as a checkpoint."""
    save_checkpoint(path, *text_student(clip, scan))
    return path
