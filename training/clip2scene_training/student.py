"""Students as they are trained: with class vectors that learn, or with the two heads that learn without labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.student.networks import TwoHeads, build_network
from clip2scene_ros.student.sparse.kernel_map import KernelMap
from clip2scene_ros.student.sparse.layers import SparseConv3d
from clip2scene_ros.student.sparse.ops import convolve
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


def mix_precision(module: nn.Module) -> None:
    """Have all sparse convolutions inside `module` compute in bfloat16, in place: autocast does not know them."""
    for child in module.modules():
        if isinstance(child, SparseConv3d):
            child.engine = _convolve_in_half


def _convolve_in_half(feats: Tensor, kernel: Tensor, kernel_map: KernelMap, bias: Tensor | None = None) -> Tensor:
    half = None if bias is None else bias.bfloat16()
    return convolve(feats.bfloat16(), kernel.bfloat16(), kernel_map, half)


class TwoHeadedStudent(nn.Module):
    """Voxels to two embeddings, and image features beside them: what learns in pretraining.

    All of it is called in one forward pass, since several processes share the gradients of what is called there.

    Args:
        network: settings of the network.
        projection: of image features to the student's space; None where none are read.
        semantic: whether the global head learns: else the local one alone does, and is kept.
        local: whether the local head is compared with cells of space.
    """

    def __init__(
        self, network: NetworkConfig, projection: nn.Module | None = None, semantic: bool = True, local: bool = True
    ) -> None:
        super().__init__()
        self.heads, self.projection, self._semantic = TwoHeads(build_network(network)), projection, semantic
        # What no loss reads bears no gradient; with several processes torch would wait for it.
        self.heads.network.head.requires_grad_(semantic)
        self.heads.local.requires_grad_(local)

    def forward(
        self, coords: Tensor, feats: Tensor, pixels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the (V, D) local and global embeddings of (V, 4) int32 voxels, and (P, D) of (P, d) image features."""
        local, world = self.heads(SparseTensor(feats, coords))
        shown = None if pixels is None or self.projection is None else self.projection(pixels)
        return local, world, shown

    def kept(self) -> dict[str, Tensor]:
        """Return the weights that a checkpoint keeps: the network with the head that was compared with text."""
        weights = dict(self.heads.network.state_dict())
        if not self._semantic:
            weights |= {f"head.{name}": value for name, value in self.heads.local.state_dict().items()}
        return weights
