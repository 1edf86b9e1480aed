"""The synthetic driving world: scenes, sensors, ground truth."""

from clip2scene_training.world.classes import Label
from clip2scene_training.world.config import CameraMount, LidarConfig, WorldConfig
from clip2scene_training.world.drive import Drive

__all__ = ["CameraMount", "Drive", "Label", "LidarConfig", "WorldConfig"]
