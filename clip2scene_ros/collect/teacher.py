"""Who labels what is collected, and what it is known by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.collect.config import CollectConfig
from clip2scene_ros.config import DenseConfig
from clip2scene_ros.errors import BadConfig
from clip2scene_ros.settings import settings_of, with_settings
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.teacher.label_folder import folder_teacher
from clip2scene_ros.teacher.teachers import TINY, TINY_CLIP, ClipTeacher, Teacher


def load_teacher(config: CollectConfig) -> Teacher:
    """Return who looks at the images.

    Raises:
        BadTeacher, BadCheckpoint, BadClassSet, BadConfig: it cannot be had; the text says what to do.
    """
    if config.teacher:
        return folder_teacher(Path(config.teacher), config.text)
    return ClipTeacher.load(load_class_set(config.classes), config.clip, dense_of(config.dense), config.text)


def dense_of(text: str) -> dict[str, Any]:
    """Return the settings of DenseConfig by name that a text such as `short_side_px: 224` gives.

    Raises:
        BadConfig: it is no list of settings, or one is unknown, of the wrong type or out of its range.
    """
    try:
        values = yaml.safe_load("{" + text + "}")
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise BadConfig(
            "dense", f"Setting `dense` expects `short_side_px: 224, overlap: 0.25`, but got {text[:200]!r}."
        )
    with_settings(DenseConfig(), values)
    return values


def teacher_sha256(teacher: Teacher, config: CollectConfig) -> str:
    """Return the SHA-256 of what makes the labels: the model, its weights where they are a file, all settings."""
    names = ("classes", "clip.", "text.", "labeler.", "dense", "teacher")
    settings = {
        name: value for name, value, _ in settings_of(config) if name.startswith(names) and name != "text.cache"
    }
    weights = str(TINY_CLIP) if config.clip.checkpoint == TINY else config.clip.checkpoint
    what: dict[str, Any] = {"teacher": teacher.describe(), "settings": settings}
    if weights and not config.teacher:
        what["weights"] = file_sha256(weights)
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
