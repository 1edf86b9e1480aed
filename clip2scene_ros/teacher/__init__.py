"""The teacher: CLIP looks at the images, and points get their words."""
