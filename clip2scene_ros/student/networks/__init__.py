"""Network families; `build_network` makes one from its settings."""

from __future__ import annotations

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.student.networks.heads import TwoHeads
from clip2scene_ros.student.networks.minkunet import MinkUNet
from clip2scene_ros.student.networks.spvcnn import SPVCNN
from clip2scene_ros.student.networks.unet import LAYOUTS, UNet, UNetLayout

__all__ = ["TwoHeads", "UNet", "build_network"]

PAPER = {
    "minkunet": LAYOUTS["14a"],
    "spvcnn": UNetLayout(32, (32, 64, 128, 256, 256, 128, 96, 96), (2,) * 8, stem_convolutions=2),
}
"""What preset `paper` is: the ScanNet student, and the student of nuScenes and SemanticKITTI."""


def build_network(config: NetworkConfig) -> UNet:
    """Return the network, freshly initialised: SparseTensor of (V, in_channels) -> (V, embedding_dim).

    `TwoHeads` adds the local head that pretraining needs.

    Raises:
        BadConfig: an architecture or preset that does not exist.
    """
    networks = {"minkunet": MinkUNet, "spvcnn": SPVCNN}
    if config.architecture not in networks:
        raise BadConfig(
            "choice", f"Setting `architecture` expects one of {', '.join(networks)}, but got {config.architecture!r}."
        )
    layouts = {**LAYOUTS, "paper": PAPER[config.architecture]}
    if config.preset not in layouts:
        raise BadConfig("choice", f"Setting `preset` expects one of {', '.join(layouts)}, but got {config.preset!r}.")
    layout = layouts[config.preset].scaled(config.width)
    return networks[config.architecture](layout, config.in_channels, config.embedding_dim)
