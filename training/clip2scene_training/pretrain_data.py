"""What is made before the first step: pseudo-labels of the drives, words, features, and what the labels are worth."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadClassSet
from clip2scene_ros.frame import Array
from clip2scene_ros.student.checkpoint import CheckpointCard, current_versions
from clip2scene_ros.teacher.clip import Clip
from clip2scene_ros.teacher.teachers import TINY
from clip2scene_training.datasets.cache import user_cache
from clip2scene_training.datasets.shards import ShardLabels
from clip2scene_training.datasets.without_views import WithoutViews
from clip2scene_training.label_quality import LabelQuality
from clip2scene_training.parallel import Progress
from clip2scene_training.pixel_features import KeptMaps, PairFeatures, make_maps
from clip2scene_training.pretrain_allowed import check_images, fitting, lacks_features, of_points, of_shards, possible
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pseudo_labels import PseudoLabelled, SceneFrames, make_pseudo_labels
from clip2scene_training.survey import Survey, survey
from clip2scene_training.teachers import TeacherSettings, Words, listed, notice_of, shipped_or_other

CODE_LICENCE = "Apache-2.0"


@dataclass(frozen=True, eq=False)
class Lessons:
    """Drives that a teacher has labelled, and the words that the labels mean.

    Attributes:
        config: settings, as far as the teacher allows for them.
        frames: the drives with pseudo-labels.
        keys: numbers of the frames with images.
        counts: (F, C) int64 pseudo-labels of each class in each frame.
        key: digest of all that a run can go on with: points, pseudo-labels, teacher, text tower.
        words: of the class set.
        card: what the checkpoint will say of itself.
        features: of pixels; None where no loss reads any.
        maps: what CLIP saw in whole images, where that is kept.
        val_sha256: hash of the validation data, empty if there are none.
        quality: of the teacher's labels of the validation data; None where these have no images.
    """

    config: PretrainConfig
    frames: PseudoLabelled
    keys: tuple[int, ...]
    counts: Array
    key: str
    words: Words
    card: CheckpointCard
    features: PairFeatures | None
    maps: KeptMaps | None
    val_sha256: str
    quality: LabelQuality | None


def prepare(
    dataset: SceneFrames,
    val_dataset: SceneFrames | None,
    config: PretrainConfig,
    dense: dict[str, Any] | None = None,
    bags: Sequence[Path] = (),
    cache: Path | None = None,
) -> Lessons:
    """Have the drives labelled; arguments and errors as those of `pretrain`."""
    settings, home = TeacherSettings.of(config, dense, bags), cache or user_cache("labels")
    if settings.is_student:
        scans = dataset.frames if isinstance(dataset, ShardLabels) else dataset
        dataset, config = WithoutViews(scans), of_points(config, settings.source)
    elif isinstance(dataset, ShardLabels):
        config = of_shards(config, dataset)
    config = possible(config, lacks_features(dataset, settings))
    if not (settings.is_student or isinstance(dataset, ShardLabels)):
        check_images(dataset)
    clip, name = shipped_or_other(replace(config.clip, device="cpu")), settings.name()
    frames = _labelled(dataset, settings, name, home, config)
    found = survey(frames, len(frames.class_set), "training data")
    # where no image was kept, whatever has labels is learned from
    keys = tuple(int(i) for i in np.flatnonzero(found.views if found.views.any() else found.counts.any(axis=1)))
    words = Words.of(frames.class_set, clip, config.text)
    config = fitting(config, words, clip)
    reads, maps = config.losses.reads_pixels, None
    if reads and config.images.give != "crops":
        folder = home / f"maps_{hashlib.sha256(f'{name} {_digest(frames.frames)}'.encode()).hexdigest()[:16]}"
        seen, workers = frames.frames, max(1, config.workers)
        maps = make_maps(seen, config.clip, settings.dense, folder, workers=workers, progress=_bar("features"))
    asked = None if isinstance(frames, ShardLabels) else settings  # whoever labelled shards is not here
    val_sha256, quality = _judges(val_dataset, frames.class_set, asked, name, home, config)
    return Lessons(
        config,
        frames,
        keys,
        found.counts,
        hashlib.sha256(f"{found.sha256} {frames.key} {clip.text_sha256}".encode()).hexdigest(),
        words,
        _card(config, frames, found, words, clip, settings),
        PairFeatures(config.clip, settings.dense) if reads else None,
        maps,
        val_sha256,
        quality,
    )


def _labelled(
    dataset: SceneFrames, settings: TeacherSettings, name: str, home: Path, config: PretrainConfig
) -> PseudoLabelled:
    """Return the frames with labels: those of shards have theirs, of others a teacher makes them."""
    if isinstance(dataset, ShardLabels):
        return dataset
    make, pixels = partial(settings.labeler, config.labeler), config.pairs.labels == "pixel"
    return make_pseudo_labels(
        dataset, make, name, home, pixels=pixels, workers=max(1, config.workers), progress=_bar("labels")
    )


def _judges(
    val_dataset: SceneFrames | None,
    class_set: ClassSet,
    settings: TeacherSettings | None,
    name: str,
    home: Path,
    config: PretrainConfig,
) -> tuple[str, LabelQuality | None]:
    """Return the hash of the validation data, and what the teacher's labels of them are worth, if it sees them.

    They are labelled by the labeler's defaults, whatever training does: the same points are compared in all runs.

    Raises:
        BadClassSet: their ground truth is in terms of other classes than those that are learned.
    """
    if not val_dataset or not len(val_dataset):
        return "", None
    theirs = getattr(val_dataset, "class_set", None)
    if theirs is not None and theirs.names != class_set.names:
        raise BadClassSet(
            "validation", f"The validation data have the classes of {listed(theirs)}, but what is learned has those of "
            f"{listed(class_set)}: expected the same, in one order."
        )  # fmt: skip
    found = survey(val_dataset, len(class_set), "validation data")
    if settings is None or not found.views.any():
        return found.sha256, None
    make = partial(settings.labeler, LabelerConfig())
    labels = make_pseudo_labels(
        val_dataset, make, name, home, pixels=False, workers=max(1, config.workers), progress=_bar("validation labels")
    )
    return found.sha256, LabelQuality(labels, val_dataset)


def _card(
    config: PretrainConfig, frames: PseudoLabelled, found: Survey, words: Words, clip: Clip, teacher: TeacherSettings
) -> CheckpointCard:
    return CheckpointCard(
        network=config.network,
        class_set=frames.class_set,
        class_vectors=words.vectors,
        text_model=clip.card.name,
        temperature=config.semantic.temperature,
        normalize=config.semantic.normalize,
        notice=notice_of(frames) if isinstance(frames, ShardLabels) else teacher.notice(frames.notice, clip),
        licences={"data": config.data_licence, "code": CODE_LICENCE, "text_model": _text_licence(config)},
        data_sha256=found.sha256,
        versions=current_versions(),
        text_sha256=clip.text_sha256,
        words=words.words,
        word_rows=words.rows,
    )


def _digest(dataset: SceneFrames) -> str:
    return str(getattr(dataset, "digest", ""))


def _text_licence(config: PretrainConfig) -> str:
    """Return the licence of the words' CLIP: that of the shipped one is known."""
    own = config.text_licence != PretrainConfig().text_licence or config.clip.checkpoint != TINY
    return config.text_licence if own else CODE_LICENCE


def _bar(title: str) -> Progress:
    bars: list[Any] = []

    def show(done: int, total: int) -> None:
        if not bars:  # what fails before it begins needs none
            bars.append(tqdm(desc=title, unit="scene", total=total))
        bars[0].update(done - bars[0].n)
        if done == total:
            bars[0].close()

    return show
