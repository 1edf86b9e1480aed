"""Shards, files of collected frames: written so that a crash costs one frame at most, read with every byte checked."""

from __future__ import annotations

from clip2scene_ros.io.shard_files import Mended
from clip2scene_ros.io.shard_index import is_shards
from clip2scene_ros.io.shard_reader import ShardReader
from clip2scene_ros.io.shard_record import Provenance, Record
from clip2scene_ros.io.shard_writer import ShardWriter

__all__ = ["Mended", "Provenance", "Record", "ShardReader", "ShardWriter", "is_shards"]
