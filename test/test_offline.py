"""Bags labelled and scored without ROS, with a student whose answers are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from small_street import START_NS, STEP_NS, scan_and_labels, write_street

from clip2scene_ros.classes import ClassSet, load_class_set, parse_words
from clip2scene_ros.errors import BadBag
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.io.bags import BagReader, BagWriter, stamp_of, string_message
from clip2scene_ros.io.pointcloud import unpack_labels
from clip2scene_ros.offline import CLASS_SET, LABELS, LABELS_RGB, Labelling, evaluate_bag, recorded_labels, segment_bag
from clip2scene_ros.truth import truth_frames

WORLD = load_class_set("world")
KITCHEN = ClassSet.from_json('{"name": "kitchen", "classes": [{"name": "fridge"}, {"name": "oven"}]}')
CAR, WALL, ROAD = WORLD.index("car"), WORLD.index("manmade"), WORLD.index("driveable surface")


class KnownStudent:
    """Calls everything high a wall, everything else road; says it took as many ms as the scan's number."""

    def __init__(self, class_set: ClassSet = WORLD) -> None:
        self.class_set = class_set
        self._wall, self._road = class_set.index("manmade"), class_set.index("driveable surface")

    def segment(self, scan: Scan) -> Segmentation:
        class_id = np.where(scan.points[:, 2] > -1.8, self._wall, self._road).astype(np.uint8)
        number = (scan.stamp_ns - START_NS) // STEP_NS
        probability = np.linspace(0, 1, len(scan), dtype=np.float32)
        return Segmentation(class_id, probability, 1 - probability, {"total": float(number)})


def label(source: Path, target: Path, **settings: object) -> Labelling:
    with BagReader(source) as bag, BagWriter(target) as out:
        return segment_bag(bag, out, KnownStudent(), **settings)  # type: ignore[arg-type]


def test_every_cloud_gets_labels_with_its_stamp_frame_points_and_order(tmp_path: Path) -> None:
    done = label(write_street(tmp_path / "a.mcap"), tmp_path / "b.mcap")
    assert done.labelled == 6
    with BagReader(tmp_path / "b.mcap") as bag:
        messages = list(bag.messages(LABELS))
    assert [recorded for recorded, _ in messages] == [START_NS + i * STEP_NS for i in range(6)]
    for i, (_, message) in enumerate(messages):
        scan, _ = scan_and_labels(i)
        assert stamp_of(message) == scan.stamp_ns
        assert message.header.frame_id == "lidar_top"
        points, labels = unpack_labels(message)
        expected = KnownStudent().segment(scan)
        np.testing.assert_array_equal(points, scan.points)
        np.testing.assert_array_equal(labels.class_id, expected.class_id)
        np.testing.assert_array_equal(labels.probability, expected.probability)
        np.testing.assert_array_equal(labels.entropy, expected.entropy)


def test_the_other_messages_are_copied_byte_for_byte_and_stay_latched(tmp_path: Path) -> None:
    source, target = write_street(tmp_path / "a.mcap"), tmp_path / "b.mcap"
    label(source, target)
    with BagReader(source) as before, BagReader(target) as after:
        assert list(after.raw(set(before.topics))) == list(before.raw())
        assert after.latched == before.latched | {CLASS_SET}
        assert set(after.topics) == set(before.topics) | {LABELS, CLASS_SET}


def test_labels_only_leaves_them_out_and_rgb_adds_colours(tmp_path: Path) -> None:
    label(write_street(tmp_path / "a.mcap"), tmp_path / "b.mcap", keep_messages=False, rgb=True)
    with BagReader(tmp_path / "b.mcap") as bag:
        assert {name: count for name, (_, count) in bag.topics.items()} == {LABELS: 6, LABELS_RGB: 6, CLASS_SET: 1}
        _, message = next(bag.messages(LABELS_RGB))
        packed = np.frombuffer(message.data, np.uint32).reshape(-1, 4)[:, 3]
    scan, _ = scan_and_labels(0)
    r, g, b = WORLD.palette[KnownStudent().segment(scan).class_id].astype(np.uint32).T
    np.testing.assert_array_equal(packed, r << 16 | g << 8 | b)


def test_labelling_a_labelled_bag_replaces_its_labels(tmp_path: Path) -> None:
    label(write_street(tmp_path / "a.mcap"), tmp_path / "b.mcap", rgb=True)
    label(tmp_path / "b.mcap", tmp_path / "c.mcap")
    with BagReader(tmp_path / "c.mcap") as bag:
        assert bag.topics[LABELS][1] == 6
        assert bag.topics[CLASS_SET][1] == 1
        assert LABELS_RGB not in bag.topics


def test_a_broken_cloud_is_counted_and_the_next_one_labelled(tmp_path: Path) -> None:
    done = label(write_street(tmp_path / "a.mcap", broken=2), tmp_path / "b.mcap")
    assert done.labelled == 5
    assert sum(done.refused.values()) == 1
    assert "5 clouds labelled" in str(done)
    assert next(iter(done.refused)) in str(done)
    with BagReader(tmp_path / "b.mcap") as bag:
        stamps = [stamp_of(message) for _, message in bag.messages(LABELS)]
    assert stamps == [START_NS + i * STEP_NS for i in (0, 1, 3, 4, 5)]


def test_a_bag_of_broken_clouds_only_is_refused(tmp_path: Path) -> None:
    source = write_street(tmp_path / "a.mcap", clouds=1, broken=0)
    with pytest.raises(BadBag, match="no cloud on /points could be labelled"):
        label(source, tmp_path / "b.mcap")


def test_what_was_labelled_before_an_interruption_is_readable(tmp_path: Path) -> None:
    def stop_after_two(items: Iterable[object], title: str, total: int | None = None) -> Iterator[object]:
        for i, item in enumerate(items):
            yield item
            if i == 1:
                raise KeyboardInterrupt

    done = Labelling()
    with pytest.raises(KeyboardInterrupt):
        label(write_street(tmp_path / "a.mcap"), tmp_path / "b.mcap", progress=stop_after_two, done=done)
    assert done.labelled == 2
    with BagReader(tmp_path / "b.mcap") as bag:
        assert bag.topics[LABELS][1] == 2


def slow_iou(class_id: int, scans: int) -> float:
    """Intersection over union of one class, point by point, over all scans."""
    both = either = 0
    for i in range(scans):
        scan, truth = scan_and_labels(i)
        for mine, true in zip(KnownStudent().segment(scan).class_id, truth, strict=True):
            both += int(mine == class_id and true == class_id)
            either += int(mine == class_id or true == class_id)
    return both / either


def test_evaluation_equals_a_count_point_by_point(tmp_path: Path) -> None:
    from clip2scene_ros.metrics import iou, mean_iou

    with BagReader(write_street(tmp_path / "a.mcap")) as bag:
        result = evaluate_bag(bag, KnownStudent())
    expected = {i: slow_iou(i, 6) for i in (ROAD, WALL, CAR)}
    values = iou(result.matrix)
    assert {i: values[i] for i in expected} == pytest.approx(expected)
    assert expected[CAR] == 0.0  # the student never says car
    assert np.isnan(np.delete(values, list(expected))).all()
    assert mean_iou(result.matrix) == pytest.approx(sum(expected.values()) / 3)
    assert result.frames == 6
    assert result.matrix.sum() == 6 * 600
    assert list(result.scenes) == ["a.mcap"]
    assert result.latency_ms == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_example_has_views_and_most_classes(tmp_path: Path) -> None:
    with BagReader(write_street(tmp_path / "a.mcap", clouds=7)) as bag:
        result = evaluate_bag(bag, KnownStudent())
    assert result.example is not None
    frame, segmentation = result.example
    assert len(np.unique(frame.labels)) == 3
    assert len(frame.views) == 1
    np.testing.assert_array_equal(segmentation.class_id, KnownStudent().segment(frame.scan).class_id)


def test_ground_truth_of_another_class_set_is_matched_by_name(tmp_path: Path) -> None:
    from clip2scene_ros.metrics import iou

    nuscenes = load_class_set("nuscenes")
    with BagReader(write_street(tmp_path / "a.mcap")) as bag:
        result = evaluate_bag(bag, KnownStudent(nuscenes))
    assert nuscenes.index("manmade") != WALL
    assert iou(result.matrix)[nuscenes.index("manmade")] == pytest.approx(slow_iou(WALL, 6))


def test_ground_truth_meets_classes_in_ones_own_words(tmp_path: Path) -> None:
    from clip2scene_ros.metrics import iou

    student = KnownStudent()
    student.class_set, student._road, student._wall = parse_words("Road, street; building, fence; car"), 0, 1
    with BagReader(write_street(tmp_path / "a.mcap")) as bag:
        result = evaluate_bag(bag, student)
    assert iou(result.matrix)[1] == pytest.approx(slow_iou(WALL, 6))
    assert iou(result.matrix)[1] > 0.1
    student.class_set = parse_words("road; building; fence")  # two that mean one: neither can be told to be right
    with BagReader(tmp_path / "a.mcap") as bag:
        matrix = evaluate_bag(bag, student).matrix
    assert matrix[0].sum() > 0
    assert matrix[1:].sum() == 0


def test_evaluation_refuses_a_bag_without_ground_truth_and_one_of_foreign_classes(tmp_path: Path) -> None:
    with (
        BagReader(write_street(tmp_path / "a.mcap", truth=False)) as bag,
        pytest.raises(BadBag, match="expected ground truth on /ground_truth/points"),
    ):
        evaluate_bag(bag, KnownStudent())
    with (
        BagReader(write_street(tmp_path / "b.mcap")) as bag,
        pytest.raises(BadBag, match="none of the classes of the ground truth is known"),
    ):
        truth_frames(bag, KITCHEN)


def test_recorded_labels_meet_the_frames_of_their_stamp(tmp_path: Path) -> None:
    source, target = write_street(tmp_path / "a.mcap", broken=2), tmp_path / "b.mcap"
    label(source, target, keep_messages=False)
    intact = write_street(tmp_path / "c.mcap")
    with BagReader(intact) as bag, BagReader(target) as labels:
        pairs = list(recorded_labels(labels, truth_frames(bag, WORLD)))
    assert [frame.scan.stamp_ns for frame, _ in pairs] == [START_NS + i * STEP_NS for i in (0, 1, 3, 4, 5)]
    for frame, segmentation in pairs:
        np.testing.assert_array_equal(segmentation.class_id, KnownStudent().segment(frame.scan).class_id)


def test_labels_of_other_points_are_refused(tmp_path: Path) -> None:
    label(write_street(tmp_path / "a.mcap", points=500), tmp_path / "b.mcap", keep_messages=False)
    with (
        BagReader(write_street(tmp_path / "c.mcap")) as bag,
        BagReader(tmp_path / "b.mcap") as labels,
        pytest.raises(BadBag, match="not of the scan's points"),
    ):
        list(recorded_labels(labels, truth_frames(bag, WORLD)))


def test_a_bag_without_labels_has_none_to_record(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap") as bag:
        bag.write("/chatter", string_message("hello"), START_NS)
    with BagReader(tmp_path / "a.mcap") as labels, pytest.raises(BadBag, match=LABELS):
        list(recorded_labels(labels, []))
