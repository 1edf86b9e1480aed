"""Collected shards as a data set, and their labels as the teacher's in pretraining."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from pretrain_scene import CLASSES as WORDS
from pretrain_scene import drives, make_labeler
from shard_frames import PROVENANCE, ROOMY, bits, frame_of, write_frames

from clip2scene_ros.classes import parse_words
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import PseudoLabels
from clip2scene_ros.io.shards import Provenance, ShardWriter
from clip2scene_training.config import ImageAugmentConfig, PairsConfig, PretrainDataConfig
from clip2scene_training.datasets.shards import ShardDataset, ShardLabels
from clip2scene_training.pretrain_loader import PretrainSamples, pretrain_batches
from clip2scene_training.pseudo_labels import PseudoLabelled, make_pseudo_labels

CONFIG = PretrainDataConfig(images=ImageAugmentConfig(width=60, height=40), pairs=PairsConfig(labels="point"))


def test_frames_come_as_they_were_collected_in_any_order(tmp_path: Path) -> None:
    write_frames(tmp_path, 5, replace(ROOMY, max_shard_frames=2))
    data = ShardDataset(tmp_path, with_images=True)
    assert len(data) == 5
    for i in (4, 0, 2):
        assert bits(data[i]) == bits(frame_of(i)[0])
    plain = ShardDataset(tmp_path)
    assert [bits(frame) for frame in plain] == [bits(replace(frame_of(i)[0], views=())) for i in range(5)]


def test_scenes_are_drives_and_end_where_time_jumps_back(tmp_path: Path) -> None:
    write_frames(tmp_path, 3)
    write_frames(tmp_path, 2, first=8)
    with ShardWriter(tmp_path, PROVENANCE, ROOMY) as writer:
        for i in (20, 21, 3, 4):
            writer.append(frame_of(i)[0])
    scenes = ShardDataset(tmp_path).scenes
    assert [scenes.index(scene) for scene in scenes] == [0, 0, 0, 3, 3, 5, 5, 7, 7]


def test_the_digest_is_of_what_records_hold_not_of_where_they_lie(tmp_path: Path) -> None:
    write_frames(tmp_path / "a", 3)
    write_frames(tmp_path / "b", 3, first=1)
    digest = ShardDataset(tmp_path / "a").digest
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    assert ShardDataset(tmp_path / "c").digest == digest == ShardDataset(tmp_path / "a").digest
    others = {ShardDataset(tmp_path / "b").digest, ShardDataset(tmp_path / "a", with_images=True).digest}
    assert len({digest, *others}) == 3


def collected(folder: Path) -> tuple[ShardLabels, PseudoLabelled]:
    """Two drives along a wall, labelled, and collected; and the labels as they were made."""
    data = drives()
    labels = make_pseudo_labels(data, make_labeler, "t", folder / "cache", pixels=False)
    source = Provenance("car", labels.class_set, "0" * 64, labels.notice)
    for scene in dict.fromkeys(data.scenes):
        with ShardWriter(folder / "shards", source, ROOMY) as writer:
            for i in (i for i in range(len(data)) if data.scenes[i] == scene):
                writer.append(data[i], labels.labelled(i).labels)
    return ShardLabels(ShardDataset(folder / "shards", with_images=True)), labels


def test_collected_labels_are_those_that_were_made(tmp_path: Path) -> None:
    found, labels = collected(tmp_path)
    assert len(found) == len(labels) == 8
    for i in range(8):
        assert bits(found.labelled(i).labels) == bits(labels.labelled(i).labels)
        assert bits(found.labelled(i).frame) == bits(labels.labelled(i).frame)
        assert bits(found[i]) == bits(labels[i])
    assert (found.class_set.names, found.notice) == (labels.class_set.names, labels.notice)


def test_pretraining_takes_collected_labels_as_those_that_it_made_itself(tmp_path: Path) -> None:
    a, b = (PretrainSamples(each, CONFIG, seed=3) for each in collected(tmp_path))
    for mine, theirs in islice(zip(pretrain_batches(a, 2), pretrain_batches(b, 2), strict=False), 4):
        for f in fields(mine):
            assert same(getattr(mine, f.name), getattr(theirs, f.name)), f.name
        assert len(mine.pair_point)
    elsewhere = pickle.loads(pickle.dumps(a))  # as a loader's workers get them
    assert same(elsewhere[0, 3].points, a[0, 3].points)


def same(a: object, b: object) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_labels_must_be_there_and_mean_one_thing(tmp_path: Path) -> None:
    frame, labels, _ = frame_of(0)

    def write(folder: str, provenance: Provenance, given: PseudoLabels | None) -> ShardDataset:
        with ShardWriter(tmp_path / folder, provenance, ROOMY) as writer:
            writer.append(frame, given)
        return ShardDataset(tmp_path / folder)

    with pytest.raises(BadDataset, match="one class set in all frames, but got: none"):
        ShardLabels(write("a", replace(PROVENANCE, class_set=None), None))
    write("b", PROVENANCE, labels)
    with pytest.raises(BadDataset, match="but got: words, words"):
        ShardLabels(write("b", replace(PROVENANCE, class_set=parse_words("road; bus")), labels))
    with pytest.raises(BadDataset, match="has no pseudo-labels"):
        ShardLabels(write("c", PROVENANCE, None)).labelled(0)
    wrong = PseudoLabels(np.full_like(labels.class_id, len(WORDS)), labels.confidence)
    with pytest.raises(BadDataset, match="below 3"):
        ShardLabels(write("d", PROVENANCE, wrong)).labelled(0)
