"""Streets of `cast_street`, labelled and collected as shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cast_street import CLASSES, streets
from shard_frames import ROOMY

from clip2scene_ros.classes import parse_words
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.io.shards import Provenance, ShardWriter
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_training.noisy_truth import NoisyTruth

WORDS = parse_words(CLASSES)


def write_shards(
    folder: Path, seed: int = 0, *, images: str = "keep", clip: str = "small", vehicle: str = "car-7"
) -> Path:
    """A street of a few frames, labelled by a teacher that is wrong in a tenth of the pieces, as shards."""
    source = Provenance(vehicle, WORDS, "ab" * 32, "Only for tests.", clip=clip)
    drive = Labeler(NoisyTruth(WORDS, 0.1), LabelerConfig()).label(streets(1, frames=3, seed=seed).frames)
    with ShardWriter(folder, source, replace(ROOMY, images=images)) as writer:
        for each in drive:
            writer.append(each.frame, each.labels)
    return folder
