"""The student at work: a scan in, a class for each of its points out.

Classes are data. The network gives every voxel a vector of D numbers, and a class is a vector too, so
that another class set is another matrix and not another network (CLIP2Scene, section 3.1: annotation-free
segmentation by the nearest text embedding).
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.classes import ClassSet, load_class_set
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.errors import BadClassSet, BadConfig
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.latency import Stopwatch
from clip2scene_ros.student.checkpoint import CheckpointCard, file_sha256, load_checkpoint, load_weights
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.points import voxel_features, within_range
from clip2scene_ros.student.scoring import decide, vectors_of
from clip2scene_ros.student.sparse.layers import fuse
from clip2scene_ros.student.sparse.tensor import collate
from clip2scene_ros.student.voxelization import Voxels, voxelize

DEMO_CHECKPOINT = Path(__file__).resolve().parent.parent / "weights" / "demo.safetensors"
log = logging.getLogger(__name__)


class Segmenter:
    """Labels scans with a trained student.

    Attributes:
        class_set: the C classes that `class_id` counts.
        card: what the checkpoint says of itself.
        config: settings; replacing it takes effect with the next scan (checkpoint, device, precision and
            threads excepted, which are read once).
    """

    def __init__(
        self,
        network: nn.Module,
        card: CheckpointCard,
        class_set: ClassSet,
        class_vectors: Tensor,
        config: SegmenterConfig,
        source: str = "untrained",
    ) -> None:
        """Make a segmenter of parts; `Segmenter.load` makes it of a checkpoint.

        Args:
            network: maps a SparseTensor to (V, D) features.
            card: voxel size, input channels, temperature and normalisation are read from it.
            class_set: C classes.
            class_vectors: (C, D) float32, one row a class.
            config: settings.
            source: what `describe` calls the weights.

        Raises:
            BadClassSet: not one vector a class.
            BadConfig: a device that is not there, or a range in which nothing can be.
        """
        if not config.min_range_m < config.max_range_m:
            raise BadConfig(
                "range",
                f"Expected `min_range_m` < `max_range_m`, but got {config.min_range_m} and {config.max_range_m}.",
            )
        if len(class_vectors) != len(class_set):
            raise BadClassSet("vectors", f"Expected {len(class_set)} class vectors, but got {len(class_vectors)}.")
        if config.threads:
            torch.set_num_threads(config.threads)  # torch knows one number for the whole process
        self.class_set, self.card, self.config, self._source = class_set, card, config, source
        self._device = choose_device(config.device)
        self._dtype = torch.float16 if config.precision == "fp16" and self._device.type == "cuda" else torch.float32
        self._network = fuse(network).to(self._device, self._dtype)
        vectors = functional.normalize(class_vectors.float(), dim=1) if card.normalize else class_vectors.float()
        self._scorer = (vectors.T / card.temperature).contiguous().to(self._device)

    @staticmethod
    def load(config: SegmenterConfig) -> Segmenter:
        """Load the checkpoint and the class set that `config` names.

        Raises:
            BadCheckpoint: missing, damaged, or not fitting its own network.
            BadClassSet: unknown, or with classes that the checkpoint has no vectors for.
            BadConfig: a device that is not there, or a range in which nothing can be.
        """
        path = Path(config.checkpoint) if config.checkpoint else DEMO_CHECKPOINT
        state, card = load_checkpoint(path)
        network = build_network(card.network)
        load_weights(network, state)
        class_set = load_class_set(config.class_set) if config.class_set else card.class_set
        vectors = vectors_of(class_set, card)
        return Segmenter(network, card, class_set, vectors, config, f"{path.name} (sha256 {file_sha256(path)[:8]}…)")

    def segment(self, scan: Scan) -> Segmentation:
        """Label every point of a scan, in its order.

        Points that are not finite or out of range come out as class 255, probability 0, entropy 1, and
        so do points less probable than `min_probability`. Equal scans give equal bits on one machine.
        Where the GPU's memory does not suffice, the nearer half of the range is tried, once.

        Returns:
            N labels; `processing_ms` has `preprocess`, `inference`, `postprocess` and `total`.

        Raises:
            torch.cuda.OutOfMemoryError: the nearer half is too large as well.
        """
        try:
            return self._segment(scan, self.config.max_range_m)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            nearer_m = self.config.max_range_m / 2
            log.warning("GPU out of memory at %d points; labelling those within %g m only.", len(scan), nearer_m)
            return self._segment(scan, nearer_m)

    @torch.inference_mode()
    def _segment(self, scan: Scan, max_range_m: float) -> Segmentation:
        watch = Stopwatch()
        result = Segmentation.unknown(len(scan))
        # 1. Only finite points within range can be labelled.
        kept = within_range(scan.points, self.config.min_range_m, max_range_m)
        # 2. Points become voxels; the first point of a voxel lends it its features.
        voxels = voxelize(scan.points[kept], self.card.network.voxel_size_m)
        feats = voxel_features(scan.intensity[kept], voxels, self.card.network.in_channels)
        watch.lap("preprocess")
        # 3. The network gives every voxel a vector, and its nearness to the class vectors is its score.
        scores = self._score(voxels, feats)
        watch.lap("inference")
        # 4. Scores become a class, its probability and how undecided the choice is.
        class_id, probability, entropy = decide(scores, self.config.min_probability)
        # 5. Every point takes what its voxel got.
        voxel = voxels.inverse.numpy()
        result.class_id[kept] = class_id[voxel]
        result.probability[kept] = probability[voxel]
        result.entropy[kept] = entropy[voxel]
        watch.lap("postprocess")
        result.processing_ms.update(watch.total())
        return result

    def describe(self) -> str:
        """Return one line: file and hash, network, classes, and the notice that must be shown with every result."""
        network = self.card.network
        return (
            f"{self._source}, {network.architecture} {network.preset}, {len(self.class_set)} classes of "
            f"{self.class_set.name}; {self.card.notice}"
        )

    def _score(self, voxels: Voxels, feats: Tensor) -> Tensor:
        """Return (V, C) float32 scores on the CPU."""
        if not len(voxels):
            return torch.zeros(0, len(self.class_set))
        tensor = collate([voxels.coords], [feats.to(self._dtype)]).to(self._device)
        features: Tensor = self._network(tensor).float()
        if self.card.normalize:
            features = functional.normalize(features, dim=1)
        return (features @ self._scorer).cpu()


def choose_device(name: str) -> torch.device:
    """Return the device that a setting names; `auto` is CUDA where there is one, else the CPU.

    Raises:
        BadConfig: not a device's name, or one that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise BadConfig("device", f"Setting `device` expects auto, cpu, cuda or cuda:N, but got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BadConfig(
            "device", f"Setting `device` asks for {name!r}, but torch sees {torch.cuda.device_count()} GPUs; use auto."
        )
    return device
