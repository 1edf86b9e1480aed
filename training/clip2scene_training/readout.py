"""Classes for features that were learned without any (PPKT, SLidR): a linear probe on pseudo-labels, in closed form.

Without it a student of contrast has no class to name. Least squares needs no rate, no length of training and no seed,
sees each scan once, and is a vector a class, as a checkpoint holds it. Mean embeddings would be simpler still, but
compare all directions alike, whether or not they tell classes apart, and rare classes as often as frequent ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import Array, Scan
from clip2scene_ros.student.checkpoint import CheckpointCard, load_weights
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.points import voxel_features, within_range
from clip2scene_ros.student.sparse.tensor import collate
from clip2scene_ros.student.voxelization import voxelize
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pseudo_labels import PseudoLabelled
from clip2scene_training.survey import class_weights
from clip2scene_training.validation import spread

BALANCE = 0.5
"""Classes weigh frequency ** -0.5, as in the supervised training: neither points nor classes count equally."""
FRAMES = 200
"""Scans that a probe is made of, at most, evenly spread: more hardly move it."""
PROBED = "none: features without classes, read out by a linear probe on pseudo-labels"
RIDGE = 1e-3
"""Share of the mean variance that is added to all directions: some may hold nothing."""


class LinearProbe:
    """Sums over labelled points of which a probe is made; embeddings count by their direction.

    Args:
        class_set: the C classes of the pseudo-labels.
        dim: D, length of the embeddings.
    """

    def __init__(self, class_set: ClassSet, dim: int) -> None:
        self.class_set = class_set
        self.counts = torch.zeros(len(class_set), dtype=torch.int64)
        self.sums = torch.zeros(len(class_set), dim, dtype=torch.float64)
        self.squares = torch.zeros(len(class_set), dim, dim, dtype=torch.float64)

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor) -> None:
        """Count the labelled points of some scans.

        Args:
            features: (N, D) float of the global head, in evaluation mode.
            labels: (N,) integer pseudo-labels; 255 counts for nothing.
        """
        for label in range(len(self.counts)):
            own = functional.normalize(features[labels == label].double(), dim=1).cpu()
            self.counts[label] += len(own)
            self.sums[label] += own.sum(0)
            self.squares[label] += own.T @ own

    def vectors(self) -> Tensor:
        """Return (C, D) float32 class vectors; the highest scalar product with an embedding is its class.

        They are those w that make sum over points of weight * (w_c . f - [the point is of class c])^2 least, f being
        of length 1. Their lengths count: score without `normalize`. Scores then order classes; they are no logits.

        Raises:
            BadTeacher: `classes`: no point has the pseudo-label of some class, so nothing can be said of it.
        """
        missing = [name for name, count in zip(self.class_set.names, self.counts.tolist(), strict=True) if not count]
        if missing:
            raise BadTeacher(
                "classes",
                f"No point of {int(self.counts.sum())} has a pseudo-label of {', '.join(missing)}: features without "
                "classes cannot be read out for these. Give more frames, or a class set without them.",
            )
        weights = class_weights(self.counts[None].numpy(), BALANCE).double()
        square = (weights[:, None, None] * self.squares).sum(0)
        ridge = RIDGE * square.trace() / len(square) * torch.eye(len(square), dtype=torch.float64)
        solved: Tensor = torch.linalg.solve(square + ridge, (weights[:, None] * self.sums).T)
        return solved.T.float().contiguous()


@torch.no_grad()
def read_out(
    weights: Mapping[str, Tensor],
    card: CheckpointCard,
    frames: PseudoLabelled,
    keys: Sequence[int],
    config: PretrainConfig,
) -> CheckpointCard:
    """Return the card of a student that learned no classes, with those that a probe finds on its pseudo-labels.

    Words mean nothing to such a student: the card carries none.

    Args:
        weights: of the network.
        card: as it would be with words.
        frames: what was learned from.
        keys: numbers of the frames that have labels.
        config: network and range are read.

    Raises:
        BadTeacher: as `LinearProbe.vectors`.
    """
    network = build_network(config.network)
    load_weights(network, weights)
    network.eval()
    probe = LinearProbe(frames.class_set, config.network.embedding_dim)
    for number in spread(len(keys), FRAMES):
        each = frames.labelled(keys[number])
        features, kept = embedded(network, each.frame.scan, config.network, (config.min_range_m, config.max_range_m))
        probe.add(features, torch.from_numpy(each.labels.class_id[kept]))
    return replace(
        card, class_vectors=probe.vectors(), text_model=PROBED, text_sha256="", words=(), word_rows=None,
        normalize=False, temperature=1.0,
    )  # fmt: skip


@torch.no_grad()
def embedded(
    network: nn.Module, scan: Scan, config: NetworkConfig, ranges: tuple[float, float]
) -> tuple[Tensor, Array]:
    """Return the (K, D) embeddings of the K points in range, as the segmenter has them, and (K,) their numbers.

    Args:
        network: in evaluation mode, on the CPU.
        scan: N points.
        config: of the network.
        ranges: least and most distance [m].
    """
    kept = within_range(scan.points, *ranges)
    voxels = voxelize(scan.points[kept], config.voxel_size_m)
    if not len(voxels):
        return torch.zeros(0, config.embedding_dim), kept
    feats = voxel_features(scan.intensity[kept], voxels, config.in_channels)
    found: Tensor = network(collate([voxels.coords], [feats]))[voxels.inverse]
    return found, kept
