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
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.latency import Stopwatch
from clip2scene_ros.student.checkpoint import CheckpointCard, file_sha256, load_checkpoint, load_weights
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.points import check_range, voxel_features, within_range
from clip2scene_ros.student.scoring import ClassRows, Encode, Scorer, decide, rows_of, scorer
from clip2scene_ros.student.sparse.layers import fuse
from clip2scene_ros.student.sparse.tensor import collate
from clip2scene_ros.student.voxelization import Voxels, voxelize

DEMO_CHECKPOINT = Path(__file__).resolve().parent.parent / "weights" / "demo.safetensors"
log = logging.getLogger(__name__)


class Segmenter:
    """Labels scans with a trained student.

    Attributes:
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
        encode: Encode | None = None,
    ) -> None:
        """Make a segmenter of parts; `Segmenter.load` makes it of a checkpoint.

        Args:
            network: maps a SparseTensor to (V, D) features.
            card: voxel size, input channels, temperature and normalisation are read from it.
            class_set: C classes.
            class_vectors: (C, D) float32, one row a class.
            config: settings.
            source: what `describe` calls the weights.
            encode: asked for the vectors of words that the checkpoint does not carry.

        Raises:
            BadClassSet: not one vector a class.
            BadConfig: a device that is not there, or a range in which nothing can be.
        """
        check_range(config.min_range_m, config.max_range_m)
        if config.threads:
            torch.set_num_threads(config.threads)  # torch knows one number for the whole process
        self.card, self.config, self._source, self._encode = card, config, source, encode
        self._device = choose_device(config.device)
        self._dtype = torch.float16 if config.precision == "fp16" and self._device.type == "cuda" else torch.float32
        self._network = fuse(network).to(self._device, self._dtype)
        self._scorer = scorer(ClassRows(class_set, class_vectors, (1,) * len(class_set)), card, self._device)

    @staticmethod
    def load(config: SegmenterConfig, encode: Encode | None = None) -> Segmenter:
        """Load the checkpoint and the class set that `config` names.

        Args:
            config: settings; `text` is for whoever makes `encode`.
            encode: asked for the vectors of words that the checkpoint does not carry.

        Raises:
            BadCheckpoint: missing, damaged, or not fitting its own network.
            BadClassSet: unknown, or with classes that the checkpoint has no vectors for.
            BadConfig: a device that is not there, or a range in which nothing can be.
        """
        path = Path(config.checkpoint) if config.checkpoint else DEMO_CHECKPOINT
        state, card = load_checkpoint(path)
        network = build_network(card.network)
        load_weights(network, state)
        source = f"{path.name} (sha256 {file_sha256(path)[:8]}…)"
        segmenter = Segmenter(network, card, card.class_set, card.class_vectors, config, source, encode)
        segmenter.set_classes(segmenter.classes(config.class_set))
        return segmenter

    @property
    def class_set(self) -> ClassSet:
        """Return the C classes that `class_id` counts."""
        return self._scorer.class_set

    def classes(self, wanted: str) -> Scorer:
        """Return what `set_classes` needs to tell other classes apart; this may take time, and changes nothing.

        Args:
            wanted: as the setting `class_set`: a name, a path or words; empty means the checkpoint's own.

        Raises:
            BadClassSet: unknown, malformed, or with classes that the checkpoint has no vectors for.
            Clip2SceneError: the text tower cannot be had, or is not the checkpoint's.
        """
        rows = (
            rows_of(load_class_set(wanted), self.card, self._encode)
            if wanted
            else ClassRows(self.card.class_set, self.card.class_vectors, (1,) * len(self.card.class_set))
        )
        return scorer(rows, self.card, self._device)

    def set_classes(self, classes: Scorer) -> None:
        """Tell these classes apart from the next scan on; one that another thread is labelling keeps the old ones."""
        self._scorer = classes

    def segment(self, scan: Scan) -> Segmentation:
        """Label every point of a scan, in its order.

        Points that are not finite or out of range come out as class 255, probability 0, entropy 1, and
        so do points less probable than `min_probability` and those that fit an absorber best. Equal scans give
        equal bits on one machine. Where the GPU's memory does not suffice, the nearer half of the range is tried, once.

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
        watch, classes = Stopwatch(), self._scorer  # read once: another thread may exchange it
        result = Segmentation.unknown(len(scan))
        # 1. Only finite points within range can be labelled.
        kept = within_range(scan.points, self.config.min_range_m, max_range_m)
        # 2. Points become voxels; the first point of a voxel lends it its features.
        voxels = voxelize(scan.points[kept], self.card.network.voxel_size_m)
        feats = voxel_features(scan.intensity[kept], voxels, self.card.network.in_channels)
        watch.lap("preprocess")
        # 3. The network gives every voxel a vector, and its nearness to the class vectors is its score.
        scores = self._score(voxels, feats, classes)
        watch.lap("inference")
        # 4. Scores become a class, its probability and how undecided the choice is.
        class_id, probability, entropy = decide(scores, self.config.min_probability, len(classes.class_set))
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

    def _score(self, voxels: Voxels, feats: Tensor, classes: Scorer) -> Tensor:
        """Return (V, K) float32 scores on the CPU, of the classes and of what absorbs."""
        if not len(voxels):
            return torch.zeros(0, len(classes.sizes))
        tensor = collate([voxels.coords], [feats.to(self._dtype)]).to(self._device)
        features: Tensor = self._network(tensor).float()
        if self.card.normalize:
            features = functional.normalize(features, dim=1)
        return classes.scores(features).cpu()


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
