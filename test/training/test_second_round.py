"""A student teaches the next one: its predictions, after the labeler's rules, are labels of all points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cast_street import CLASSES, streets
from labelled_shards import write_shards
from small_street import write_clip

from clip2scene_ros.classes import parse_words
from clip2scene_ros.config import ClipConfig, LabelerConfig, NetworkConfig, SegmenterConfig, TextConfig
from clip2scene_ros.errors import BadCheckpoint, BadClassSet, BadConfig, BadTeacher
from clip2scene_ros.frame import UNKNOWN, Scan
from clip2scene_ros.student.checkpoint import load_checkpoint, save_checkpoint
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training.config import FeatureConfig, ImageAugmentConfig, PairsConfig
from clip2scene_training.datasets.shards import ShardDataset, ShardLabels
from clip2scene_training.pretrain import pretrain
from clip2scene_training.pretrain_config import BEST
from clip2scene_training.pretrain_data import prepare
from clip2scene_training.second_round import StudentLabeler, StudentTeacher

BARE = LabelerConfig()


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return tmp_path_factory.mktemp("labels")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    clip = write_clip(tmp_path_factory.mktemp("clip") / "small.safetensors")
    return replace(
        BEST, classes=CLASSES, clip=ClipConfig(checkpoint=str(clip), device="cpu"), text=TextConfig(cache=""),
        network=NetworkConfig(width=0.25, voxel_size_m=0.3), steps=60, save_every=60, learning_rate=0.02,
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(config, labels, tmp_path_factory):
    out = tmp_path_factory.mktemp("first") / "first.safetensors"
    pretrain(streets(2), None, replace(config, teacher="noisy:0.1"), out, cache=labels)
    return out


def test_without_rules_a_point_has_the_label_that_the_segmenter_gives_it(first):
    frame = streets(1, frames=1)[0]
    scan = Scan(np.r_[frame.scan.points, [[500, 0, 0], [np.nan, 0, 0]]].astype(np.float32),
                np.r_[frame.scan.intensity, 0, 0].astype(np.float32))  # fmt: skip
    (found,) = StudentLabeler(StudentTeacher(first), BARE).label([replace(frame, scan=scan, labels=None)])
    said = Segmenter.load(SegmenterConfig(checkpoint=str(first), device="cpu")).segment(scan)
    assert (found.labels.class_id == said.class_id).mean() > 0.999
    assert np.abs(found.labels.confidence - said.probability)[:-2].max() < 1e-3
    assert found.labels.class_id[-2:].tolist() == [UNKNOWN, UNKNOWN]
    assert len(set(found.labels.class_id[:-2])) == 3


def test_the_rules_and_the_selection_are_those_of_the_labeler(first):
    frame = replace(streets(1, frames=1)[0], views=())
    ruled = LabelerConfig(clusters=True, keep=0.5, keep_at_least=0)
    (bare,), (found,) = (list(StudentLabeler(StudentTeacher(first), c).label([frame])) for c in (BARE, ruled))
    known, before = found.labels.class_id != UNKNOWN, bare.labels.class_id != UNKNOWN
    assert 0.4 < known.sum() / before.sum() < 0.6
    assert (found.labels.class_id[known] != bare.labels.class_id[known]).any()


def test_all_points_of_drives_are_learned_from_though_nobody_looks_at_images(config, first, labels):
    drives = streets(2, frames=3)
    config = replace(config, labeler=LabelerConfig(), pairs=PairsConfig(labels="point"))
    lessons = prepare(drives, None, replace(config, teacher=str(first)), cache=labels)
    assert len(lessons.keys) == len(drives)
    for i in lessons.keys:
        each = lessons.frames.labelled(i)
        assert each.frame.views == ()
        assert (each.labels.class_id != UNKNOWN).all()
    seen = prepare(drives, None, replace(config, teacher="noisy:0.0"), cache=labels)
    assert seen.counts.sum() < 0.8 * lessons.counts.sum()


def test_the_second_student_says_whose_labels_it_learned(config, first, labels, tmp_path):
    out = tmp_path / "second.safetensors"
    report = pretrain(streets(2), streets(1, seed=9), replace(config, teacher=str(first), steps=2), out, cache=labels)
    notice = load_checkpoint(out)[1].notice
    assert "the student first.safetensors" in notice
    assert load_checkpoint(first)[1].notice in notice
    assert str(first.parent) not in notice
    (rows,) = [table["rows"] for table in report["tables"].values()]
    assert rows[0][1] > 0.99 * sum(row[1] for row in rows)  # points that the first student labels: those in range


@pytest.mark.parametrize("images", ["keep", "drop"])
def test_collected_scans_get_the_students_labels_in_place_of_their_own(config, first, labels, tmp_path, images):
    shards = ShardLabels(ShardDataset([write_shards(tmp_path / "drive", images=images)]))
    taught = replace(config, classes=BEST.classes, teacher=str(first), labeler=LabelerConfig())
    lessons = prepare(shards, None, taught, cache=labels)
    (found,) = StudentLabeler(StudentTeacher(first), LabelerConfig()).label([shards.labelled(0).frame])
    learned = lessons.frames.labelled(0).labels.class_id
    assert np.array_equal(learned, found.labels.class_id)
    assert not np.array_equal(learned, shards.labelled(0).labels.class_id)
    assert "the student first.safetensors" in lessons.card.notice


def test_other_classes_than_the_students_are_refused_and_both_are_named(config, first, labels, tmp_path):
    taught, out = replace(config, teacher=str(first)), tmp_path / "second.safetensors"
    with pytest.raises(
        BadClassSet, match=r"asks for .*\(person, road\).*first\.safetensors mean .*\(road, car, person"
    ):
        pretrain(streets(1), None, replace(taught, classes="person; road"), out, cache=labels)
    judges = streets(1, seed=9)
    judges.class_set = parse_words("person; car; road")
    with pytest.raises(BadClassSet, match=r"validation data have .*\(person, car, road\).*\(road, car, person"):
        pretrain(streets(1), judges, taught, out, cache=labels)
    assert not out.exists()


def test_a_student_that_cannot_teach_is_refused(config, first, labels, tmp_path):
    weights, card = load_checkpoint(first)
    save_checkpoint(tmp_path / "probe.safetensors", weights, replace(card, words=(), word_rows=None))
    (tmp_path / "torn.safetensors").write_bytes(first.read_bytes()[:500])
    for teacher, error, words in (
        ("missing.safetensors", BadCheckpoint, r"missing\.safetensors"),
        ("torn.safetensors", BadCheckpoint, r"torn\.safetensors"),
        ("probe.safetensors", BadTeacher, "learned no words"),
    ):
        asked = replace(config, teacher=str(tmp_path / teacher))
        with pytest.raises(error, match=words):
            pretrain(streets(1), None, asked, tmp_path / "second.safetensors", cache=labels)
    asked = replace(config, teacher=str(first), feature=FeatureConfig(weight=1.0), images=ImageAugmentConfig())
    with pytest.raises(BadConfig, match=r"first\.safetensors.*labels alone"):
        pretrain(streets(1), None, asked, tmp_path / "second.safetensors", cache=labels)
    assert not (tmp_path / "second.safetensors").exists()
