"""`clip2scene compare`: which of two checkpoints is better on a drive."""
