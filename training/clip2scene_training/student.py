"""The student as it is trained: network and class vectors together, scored as the segmenter scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.sparse.tensor import SparseTensor


class Student(nn.Module):
    """Voxels to class scores; the class vectors are learned with the network, for want of text embeddings.

    Args:
        network: settings of the network.
        num_classes: C.
        normalize: compare directions only (cosine) rather than lengths as well.
        temperature: divides the scores.
    """

    def __init__(self, network: NetworkConfig, num_classes: int, normalize: bool, temperature: float) -> None:
        super().__init__()
        self.network = build_network(network)
        vectors = functional.normalize(torch.randn(num_classes, network.embedding_dim), dim=1)
        self.class_vectors = nn.Parameter(vectors)
        self.normalize, self.temperature = normalize, temperature

    def forward(self, coords: Tensor, feats: Tensor) -> Tensor:
        """Score (V, 4) int32 voxels with (V, in_channels) features: (V, C) logits."""
        features: Tensor = self.network(SparseTensor(feats, coords))
        vectors: Tensor = self.class_vectors
        if self.normalize:
            features, vectors = functional.normalize(features, dim=1), functional.normalize(vectors, dim=1)
        return features @ vectors.T / self.temperature
