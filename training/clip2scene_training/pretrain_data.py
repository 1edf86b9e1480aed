"""What is made before the first step: pseudo-labels of the drives, words, features, and what the labels are worth."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from clip2scene_ros.classes import ClassSet
from clip2scene_ros.config import LabelerConfig, NetworkConfig
from clip2scene_ros.errors import BadClassSet, BadConfig
from clip2scene_ros.frame import Array
from clip2scene_ros.student.checkpoint import CheckpointCard, current_versions
from clip2scene_ros.teacher.clip import Clip
from clip2scene_training.datasets.cache import user_cache
from clip2scene_training.datasets.shards import ShardLabels
from clip2scene_training.datasets.without_views import WithoutViews
from clip2scene_training.label_quality import LabelQuality
from clip2scene_training.parallel import Progress
from clip2scene_training.pixel_features import KeptMaps, PairFeatures, make_maps
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pseudo_labels import PseudoLabelled, SceneFrames, make_pseudo_labels
from clip2scene_training.semantic import SETWISE
from clip2scene_training.survey import Survey, survey
from clip2scene_training.teachers import (
    TeacherSettings,
    Words,
    check_classes,
    listed,
    notice_of,
    shipped_or_other,
    wished,
)

CODE_LICENCE = "Apache-2.0"
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Lessons:
    """Drives that a teacher has labelled, and the words that the labels mean.

    Attributes:
        config: settings, as far as the teacher allows for them.
        frames: the drives with pseudo-labels.
        keys: numbers of the frames with images.
        counts: (F, C) int64 pseudo-labels of each class in each frame.
        key: digest of all that a run can go on with: points, pseudo-labels, teacher, vectors of words.
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
        dataset, config = WithoutViews(scans), _of_points(config, settings.source)
    elif isinstance(dataset, ShardLabels):
        config = _of_shards(config, dataset)
    config = _possible(config, _lacks_features(dataset, settings))
    clip, name = shipped_or_other(replace(config.clip, device="cpu")), settings.name()
    frames = _labelled(dataset, settings, name, home, config)
    found = survey(frames, len(frames.class_set), "training data")
    # where no image was kept, whatever has labels is learned from
    keys = tuple(int(i) for i in np.flatnonzero(found.views if found.views.any() else found.counts.any(axis=1)))
    words = Words.of(frames.class_set, clip, config.text)
    config = _fitting(config, words, clip)
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
        hashlib.sha256(f"{found.sha256} {frames.key} {words.digest}".encode()).hexdigest(),
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


def _of_shards(config: PretrainConfig, shards: ShardLabels) -> PretrainConfig:
    """Return the settings with which labels of shards can be learned: they are of points.

    Raises:
        BadConfig: another teacher, or words of other classes, are asked for.
    """
    if config.teacher:
        raise BadConfig(
            "teacher", f"Setting `teacher` is {config.teacher!r}, but the labels of {shards.where} lie in it: leave it "
            "empty, name a student's checkpoint (.safetensors), or give bags."
        )  # fmt: skip
    check_classes(wished(config.classes), shards.class_set, shards.where)
    return _of_points(config, shards.where)


def _of_points(config: PretrainConfig, whose: str) -> PretrainConfig:
    """Return the settings with which labels of points, not of pixels, can be learned."""
    if config.pairs.labels == "pixel":
        log.warning("The labels of %s are of points, not of pixels: pairs.labels is `point`.", whose)
    return replace(config, pairs=replace(config.pairs, labels="point"))


def _lacks_features(dataset: SceneFrames, teacher: TeacherSettings) -> str:
    """Return why there are no features of pixels to be read; empty where there are."""
    if not teacher.is_clip:
        return f"teacher {teacher.source!r} gives labels alone: expected CLIP as the teacher"
    if isinstance(dataset, ShardLabels) and not dataset.pictured:
        return f"{dataset.where} holds no images: expected shards that keep them (`shards.images`)"
    return ""


def _possible(config: PretrainConfig, lacks: str) -> PretrainConfig:
    """Return the settings that are possible, where `lacks` says why there are no features of pixels.

    Raises:
        BadConfig: settings that do not go together.
    """
    if config.semantic.balance and config.semantic.form in SETWISE:
        raise BadConfig(
            "balance",
            f"Setting `semantic.form` {config.semantic.form!r} compares sets of points, which have no class weights: "
            "expected `semantic.balance` 0, or another form.",
        )
    if not (config.losses.world_learns or config.space_time.weight):
        raise BadConfig("weight", "Expected `semantic.weight` or another term's above 0: else nothing is learned.")
    if config.augment.paste:
        raise BadConfig(
            "augmentation", f"Setting `augment.paste` is {config.augment.paste:g}: things of other scans are pasted by "
            "`finetune` alone, since here they would have no pixels. Expected 0."
        )  # fmt: skip
    if config.contrast.weight and config.contrast.form == "superpixels" and config.images.give == "none":
        raise BadConfig(
            "images", "Setting `contrast.form` `superpixels` divides images, but `images.give` is 'none': expected "
            "'crops' or 'whole'."
        )  # fmt: skip
    if not lacks:
        return config
    rivals = [name for name in ("contrast", "distill", "feature") if getattr(config, name).weight]
    if rivals:
        raise BadConfig(
            "teacher", f"Setting `{rivals[0]}.weight` is above 0, which reads features of pixels, but {lacks}, or 0."
        )  # fmt: skip
    if not config.space_time.weight:
        return config
    if config.space_time.form == "cosine":
        raise BadConfig(
            "teacher", f"Setting `space_time.form` `cosine` reads features of pixels, but {lacks}, or form `cells`."
        )  # fmt: skip
    if config.space_time.pixels:
        log.warning(
            "There are no features of pixels, for %s. The centres of cells are of points alone (space_time.pixels "
            "false).",
            lacks,
        )
    return replace(config, space_time=replace(config.space_time, pixels=False))


def _fitting(config: PretrainConfig, words: Words, clip: Clip) -> PretrainConfig:
    """Return the settings with a network whose vectors are as long as those of words.

    Raises:
        BadConfig: they were asked to be of another length.
    """
    network, size = config.network, words.vectors.shape[1]
    if network.embedding_dim not in (NetworkConfig().embedding_dim, size):  # the default is nobody's wish
        raise BadConfig(
            "embedding_size",
            f"Setting `network.embedding_dim` is {network.embedding_dim}, but the words of {clip.card.name} are "
            f"vectors of {size} numbers: expected {size}, or nothing said of it.",
        )
    return replace(config, network=replace(network, embedding_dim=size))


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
        licences={"data": config.data_licence, "code": CODE_LICENCE, "text_model": config.text_licence},
        data_sha256=found.sha256,
        versions=current_versions(),
        text_sha256=clip.text_sha256,
        words=words.words,
        word_rows=words.rows,
    )


def _digest(dataset: SceneFrames) -> str:
    return str(getattr(dataset, "digest", ""))


def _bar(title: str) -> Progress:
    bar = tqdm(desc=title, unit="scene")

    def show(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show
