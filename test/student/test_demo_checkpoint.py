"""The shipped checkpoint: small, honest about itself, and able to label streets it never saw."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.demo.command import STUDENT
from clip2scene_ros.frame import Scan
from clip2scene_ros.io.bags import BagReader, stamp_of
from clip2scene_ros.io.pointcloud import parse, unpack_labels
from clip2scene_ros.metrics import confusion, mean_iou
from clip2scene_ros.offline import LABELS
from clip2scene_ros.student.points import within_range
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter

MAX_BYTES = 4_000_000
MIN_MIOU = 0.70
"""Over the classes of two unseen streets with at least 100 points; see clip2scene_ros/weights/README.md."""
MIN_MIOU_UNTOLD = 0.36
"""The same of the student that learned without labels, which has 0.41 there."""
MAX_MIRRORED = 0.05
"""Share of labels that a mirror may change; 2.7 % on ten streets of val. A quarter turn changes 21 %: x is forward."""


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.load(SegmenterConfig(device="cpu"))


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    pytest.importorskip("embreex")
    from clip2scene_training.datasets.world import WorldDataset

    world = WorldDataset(range(200_100, 200_102), 2, tmp_path_factory.mktemp("world"), workers=1)
    return [world[i] for i in range(len(world))]


def test_it_is_small_and_says_what_it_is(segmenter):
    assert DEMO_CHECKPOINT.stat().st_size <= MAX_BYTES
    card = segmenter.card
    assert card.notice == "synthetic world, learned with labels, not for the road"
    assert card.text_model == "none: learned with labels"
    assert card.class_set.names == load_class_set("world").names
    assert card.created_by.startswith("python bench/ceiling.py train --student tiny ")
    assert len(card.data_sha256) == 64
    assert segmenter.describe().startswith("demo.safetensors (sha256 ")
    assert segmenter.describe().endswith(card.notice)


def test_it_labels_streets_it_never_saw(segmenter, streets):
    matrix = sum(confusion(f.labels, segmenter.segment(f.scan).class_id, 15) for f in streets)
    assert mean_iou(matrix, min_points=100) >= MIN_MIOU


def test_the_student_that_nobody_told_labels_them_and_says_whose_labels_it_learned(streets):
    student = Segmenter.load(SegmenterConfig(device="cpu", checkpoint=str(STUDENT)))
    assert STUDENT.stat().st_size <= MAX_BYTES
    assert student.card.text_model == "tiny_clip"
    assert "no point and no pixel was labelled by a person" in student.card.notice
    assert student.card.created_by.startswith("clip2scene pretrain --preset best ")
    matrix = sum(confusion(f.labels, student.segment(f.scan).class_id, 15) for f in streets)
    assert mean_iou(matrix, min_points=100) >= MIN_MIOU_UNTOLD


@pytest.mark.parametrize("signs", [(1, -1, 1), (-1, 1, 1), (-1, -1, 1)])
def test_a_mirrored_street_keeps_most_labels(segmenter, streets, signs):
    scan = streets[0].scan
    mirrored = Scan(scan.points * np.float32(signs), scan.intensity)
    changed = segmenter.segment(scan).class_id != segmenter.segment(mirrored).class_id
    assert changed.mean() <= MAX_MIRRORED


def test_it_is_less_sure_of_noise_than_of_a_street(segmenter, streets):
    rng = np.random.default_rng(0)
    noise = Scan(rng.uniform(-20, 20, (20_000, 3)).astype(np.float32), rng.uniform(0, 1, 20_000).astype(np.float32))
    street_entropy = np.mean([segmenter.segment(f.scan).entropy.mean() for f in streets])
    assert segmenter.segment(noise).entropy.mean() > street_entropy


def mean_entropy(points, segmentation):
    """Of the points that are in range: what is out of range comes out as 1 and says nothing about the student."""
    config = SegmenterConfig()
    return segmentation.entropy[within_range(points, config.min_range_m, config.max_range_m)].mean()


def test_a_real_bag_of_a_depth_camera_is_labelled_ten_of_ten_and_with_doubt(segmenter, streets, shared_data, tmp_path):
    source, target = shared_data("data/rosbag2/trimmed_10msg"), tmp_path / "out.mcap"
    command = [sys.executable, "-m", "clip2scene_ros.cli", "segment", str(source), "--out", str(target)]
    run = subprocess.run(
        [*command, "--labels-only", "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{target}: 10 clouds labelled\n"
    with BagReader(source) as before, BagReader(target) as after:
        clouds = [message for _, message in before.messages("/point_cloud")]
        labels = [message for _, message in after.messages(LABELS)]
    assert [stamp_of(m) for m in labels] == [stamp_of(m) for m in clouds]
    assert [m.header.frame_id for m in labels] == [m.header.frame_id for m in clouds]
    doubts = []
    for cloud, labelled in zip(clouds, labels, strict=True):
        points, segmentation = unpack_labels(labelled)
        np.testing.assert_array_equal(points, parse(cloud).points)
        doubts.append(mean_entropy(points, segmentation))
    of_streets = [mean_entropy(f.scan.points, segmenter.segment(f.scan)) for f in streets]
    assert min(doubts) > 2 * max(of_streets)
