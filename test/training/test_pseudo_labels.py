"""Pseudo-labels are made once, are those of their frame, and never the ground truth."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
from pretrain_scene import Bands, Drives, bands, drives, make_labeler, without_truth_but_wrong

from clip2scene_ros.classes import parse_words
from clip2scene_ros.config import LabelerConfig
from clip2scene_ros.errors import BadDataset
from clip2scene_ros.frame import UNKNOWN
from clip2scene_ros.teacher.labeler import Labeler
from clip2scene_training.pseudo_labels import label_key, make_pseudo_labels


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_labels_are_the_labelers_scene_by_scene(tmp_path):
    data = drives((3, 2))
    made = make_pseudo_labels(data, partial(make_labeler, sweeps=2), "bands", tmp_path)
    expected = [*make_labeler(2).label(data.frames[:3]), *make_labeler(2).label(data.frames[3:])]
    assert len(made) == 5
    for i, each in enumerate(expected):
        found = made.labelled(i)
        assert np.array_equal(found.labels.class_id, each.labels.class_id)
        assert np.array_equal(found.labels.confidence, each.labels.confidence)
        assert 0.1 < (found.labels.class_id != UNKNOWN).mean() < 0.9
        for seen, view in zip(found.seen, data.frames[i].views, strict=True):
            assert np.array_equal(seen.labels()[0], bands(view))
            assert seen.labels()[1] == pytest.approx(0.75)


def test_labels_stand_where_ground_truth_stood(tmp_path):
    data = drives((2,))
    made = make_pseudo_labels(data, make_labeler, "bands", tmp_path)
    bare, frame = made.labelled(1), made[1]
    assert (bare.frame.labels, bare.frame.instances) == (None, None)
    assert all(view.labels is None for view in bare.frame.views)
    assert np.array_equal(frame.labels, bare.labels.class_id)
    assert frame.instances is None
    assert all(np.array_equal(v.labels, bands(v)) for v in frame.views)
    assert np.array_equal(frame.scan.points, data.frames[1].scan.points)


def test_ground_truth_changes_nothing(tmp_path):
    data = drives((3,))
    one = make_pseudo_labels(data, make_labeler, "bands", tmp_path / "one")
    two = make_pseudo_labels(without_truth_but_wrong(data), make_labeler, "bands", tmp_path / "two")
    assert contents(one.folder) == contents(two.folder)


def test_pixels_may_be_left_out(tmp_path):
    data = drives((2,))
    made = make_pseudo_labels(data, make_labeler, "bands", tmp_path, pixels=False)
    assert made.labelled(0).seen == ()
    assert all(view.labels is None for view in made[0].views)


def test_what_is_there_is_not_made_again_and_what_is_missing_is(tmp_path):
    data, teachers = drives((3, 2)), []

    def counted():
        labeler = make_labeler()
        teachers.append(labeler.teacher)
        return labeler

    said = []
    made = make_pseudo_labels(data, counted, "bands", tmp_path, progress=lambda done, total: said.append((done, total)))
    whole = contents(made.folder)
    assert (len(whole), len(teachers[0].asked), said) == (5, 5, [(0, 2), (1, 2), (2, 2)])
    make_pseudo_labels(data, counted, "bands", tmp_path)
    assert len(teachers[1].asked) == 0
    (made.folder / sorted(whole)[4]).unlink()
    make_pseudo_labels(data, counted, "bands", tmp_path)
    assert len(teachers[2].asked) == 2  # its scene
    assert contents(made.folder) == whole


def test_processes_make_the_same_files(tmp_path):
    data = drives((2, 2, 1))
    one = make_pseudo_labels(data, make_labeler, "bands", tmp_path / "one")
    two = make_pseudo_labels(data, make_labeler, "bands", tmp_path / "two", workers=2)
    assert contents(one.folder) == contents(two.folder)


def test_an_interruption_leaves_whole_files_only(tmp_path):
    class Stopped(Bands):
        def see(self, frame):
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().see(frame)

    data = drives((4,))
    with pytest.raises(KeyboardInterrupt):
        make_pseudo_labels(data, lambda: Labeler(Stopped()), "bands", tmp_path)
    made = make_pseudo_labels(data, make_labeler, "bands", tmp_path)
    assert len(contents(made.folder)) == 4
    assert [made.labelled(i).frame.scan.stamp_ns for i in range(4)] == [f.scan.stamp_ns for f in data.frames]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "missing"])
def test_damaged_labels_are_found_out(tmp_path, damage):
    data = drives((2,))
    made = make_pseudo_labels(data, make_labeler, "bands", tmp_path)
    path = sorted(made.folder.iterdir())[1]
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": content[:-30], "empty": b""}.get(damage, bytes(content)))
    if damage == "missing":
        path.unlink()
    made.labelled(0)
    with pytest.raises(BadDataset, match=path.name) as caught:
        made.labelled(1)
    assert caught.value.reason == "labels"


def test_labels_of_another_scan_or_image_are_found_out(tmp_path):
    data = drives((2,))
    made = make_pseudo_labels(data, make_labeler, "bands", tmp_path)
    frame, view = data.frames[0], data.frames[0].views[1]
    data.frames[0] = replace(frame, scan=replace(frame.scan, points=frame.scan.points + np.float32(0.01)))
    with pytest.raises(BadDataset, match="another scan"):
        made.labelled(0)
    data.frames[0] = replace(frame, views=(frame.views[0], replace(view, image=255 - view.image)))
    with pytest.raises(BadDataset, match="other images"):
        made.labelled(0)
    data.frames[0] = replace(frame, views=())
    assert made.labelled(0).seen == ()  # a data set may be read without its images
    made.class_set = parse_words("road")
    with pytest.raises(BadDataset, match="below 1"):
        made.labelled(1)


def test_the_key_tells_teachers_settings_classes_and_data_apart():
    base = Labeler(Bands())
    others = [
        (Labeler(Bands(name="other")), "a", "b", True),
        (Labeler(Bands(notice="other")), "a", "b", True),
        (Labeler(Bands(class_set=parse_words("road; wall; van"))), "a", "b", True),
        (Labeler(Bands(), LabelerConfig(sweeps=1)), "a", "b", True),
        (base, "c", "b", True),
        (base, "a", "c", True),
        (base, "a", "b", False),
    ]
    keys = [label_key(*each) for each in [(base, "a", "b", True), *others]]
    assert len(set(keys)) == len(keys)
    assert label_key(Labeler(Bands()), "a", "b", True) == keys[0]
    for setting in fields(LabelerConfig):  # each of them makes other labels
        value = getattr(base.config, setting.name)
        changed = not value if isinstance(value, bool) else {"vote": "first", "absorbers": "compete"}.get(setting.name)
        config = replace(base.config, **{setting.name: value + value if changed is None else changed})
        if config != base.config:
            assert label_key(Labeler(Bands(), config), "a", "b", True) != keys[0]


def test_scenes_of_one_name_have_files_of_their_own(tmp_path):
    data = drives((2, 1))
    again = Drives([*data.frames, data.frames[0]], ["a/b", "a/b", "c", "a/b"])
    made = make_pseudo_labels(again, make_labeler, "bands", tmp_path)
    assert len(contents(made.folder)) == 4
    assert made.labelled(3).frame.scan.stamp_ns == data.frames[0].scan.stamp_ns
