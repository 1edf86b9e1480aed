"""The synthetic driving world: scenes, sensors, ground truth."""
