"""Settings of pretraining as far as the data, the teacher and each other allow for them, else why they do not."""

from __future__ import annotations

import logging
from dataclasses import replace

from clip2scene_ros.config import NetworkConfig
from clip2scene_ros.errors import BadConfig, BadDataset
from clip2scene_ros.student.points import check_range
from clip2scene_ros.teacher.clip import Clip
from clip2scene_training.datasets.shards import ShardLabels
from clip2scene_training.pretrain_config import PretrainConfig
from clip2scene_training.pseudo_labels import SceneFrames
from clip2scene_training.semantic import SETWISE
from clip2scene_training.teachers import TeacherSettings, Words, check_classes, wished

log = logging.getLogger(__name__)


def check_images(dataset: SceneFrames) -> None:
    """Raise BadDataset where there is no image to look at: before all of it is labelled for nothing."""
    if len(dataset) and not any(dataset[i].views for i in range(len(dataset))):
        raise BadDataset(
            "no_images", f"None of the {len(dataset)} frames to learn from has an image: expected drives with images, "
            "of which a bag tells camera (camera_info) and place (/tf_static): `clip2scene label BAG` says what lacks."
        )  # fmt: skip


def of_shards(config: PretrainConfig, shards: ShardLabels) -> PretrainConfig:
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
    return of_points(config, shards.where)


def of_points(config: PretrainConfig, whose: str) -> PretrainConfig:
    """Return the settings with which labels of points, not of pixels, can be learned."""
    if config.pairs.labels == "pixel":
        log.warning("The labels of %s are of points, not of pixels: pairs.labels is `point`.", whose)
    return replace(config, pairs=replace(config.pairs, labels="point"))


def lacks_features(dataset: SceneFrames, teacher: TeacherSettings) -> str:
    """Return why there are no features of pixels to be read; empty where there are."""
    if not teacher.is_clip:
        return f"teacher {teacher.source!r} gives labels alone: expected CLIP as the teacher"
    if isinstance(dataset, ShardLabels) and not dataset.pictured:
        return f"{dataset.where} holds no images: expected shards that keep them (`shards.images`)"
    return ""


def possible(config: PretrainConfig, lacks: str) -> PretrainConfig:
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
    check_range(config.min_range_m, config.max_range_m)
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


def fitting(config: PretrainConfig, words: Words, clip: Clip) -> PretrainConfig:
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
