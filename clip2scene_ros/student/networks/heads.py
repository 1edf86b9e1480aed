"""The second head that pretraining needs: one embedding for text, one for pixels."""

from __future__ import annotations

from torch import Tensor, nn

from clip2scene_ros.student.networks.unet import UNet
from clip2scene_ros.student.sparse.tensor import SparseTensor


class TwoHeads(nn.Module):
    """A network with a local head beside its own, the global one; both read the same features.

    Only `network` goes into a checkpoint: the segmenter scores the global head, and the local one, which is
    compared with pixels, has done its work when pretraining ends.

    Args:
        network: what `build_network` returned.
    """

    def __init__(self, network: UNet) -> None:
        super().__init__()
        self.network = network
        self.local = nn.Linear(network.feature_dim, network.head.out_features)

    def forward(self, x: SparseTensor) -> tuple[Tensor, Tensor]:
        """Return the (V, D) local and the (V, D) global embedding of each voxel, in the paper's code's order."""
        features = self.network.features(x)
        return self.local(features), self.network.head(features)
