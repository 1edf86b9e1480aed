"""The world's version: any change that moves a point or a pixel of any seed gets a new one."""

WORLD_VERSION = "world-1"
