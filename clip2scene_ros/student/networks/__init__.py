"""Network families; `build_network` makes one from its settings."""

from __future__ import annotations

from torch import nn

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.student.networks.minkunet import LAYOUTS, MinkUNet

__all__ = ["build_network"]


def build_network(config: NetworkConfig) -> nn.Module:
    """Return the network, freshly initialised: SparseTensor of (V, in_channels) -> (V, embedding_dim).

    Raises:
        BadConfig: an architecture or preset that does not exist.
    """
    if config.architecture != "minkunet":
        raise BadConfig("choice", f"Setting `architecture` expects `minkunet`, but got {config.architecture!r}.")
    if config.preset not in LAYOUTS:
        raise BadConfig("choice", f"Setting `preset` expects one of {', '.join(LAYOUTS)}, but got {config.preset!r}.")
    return MinkUNet(LAYOUTS[config.preset].scaled(config.width), config.in_channels, config.embedding_dim)
