"""Other classes while the node runs: between two scans, said before it is done, or refused with a reason."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import Listener, cloud, tiny, until
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from small_text_student import small_clip, write_text_student

from clip2scene_ros.classes import load_class_set, parse_words
from clip2scene_ros.config import SegmentNodeConfig
from clip2scene_ros.errors import BadTeacher
from clip2scene_ros.frame import Segmentation
from clip2scene_ros.io.pointcloud import parse, unpack_labels
from clip2scene_ros.nodes.background import at_work, meanwhile
from clip2scene_ros.nodes.ledger import Ledger
from clip2scene_ros.nodes.pipeline import Pipeline
from clip2scene_ros.nodes.process import start_node
from clip2scene_ros.nodes.segment import SegmentNode
from clip2scene_ros.student.segmenter import Segmenter, SegmenterConfig
from clip2scene_ros.vocabulary import load_segmenter

SECOND = 10**9
WAIT_S = 20.0
WORDS = "road, street; car, VAN, truck; person"
PREFIX = "/clip2scene_segment"


# ---- the order of things, where the test holds the worker


class Order:
    """A student and its outputs in one, which note what happens; the student waits until it may go on."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.name = "old"
        self.at_work, self.go_on = threading.Event(), threading.Event()

    def segment(self, scan) -> Segmentation:
        name = self.name
        self.at_work.set()
        assert self.go_on.wait(WAIT_S)
        return replace(Segmentation.unknown(len(scan)), processing_ms={"total": 0.0, "of": name})

    def wanted(self) -> bool:
        return True

    def publish(self, scan, segmentation, header) -> None:
        self.events.append(f"labels of {segmentation.processing_ms.pop('of')}")

    def publish_times(self, times, cyclic_ms) -> None:
        pass

    def change(self) -> None:
        self.name = "new"
        self.events.append("class set new")


@pytest.fixture
def order() -> Order:
    return Order()


@pytest.fixture
def pipeline(order: Order):
    pipeline = Pipeline(order, order, SegmentNodeConfig(), Ledger(), "/points", get_logger("test"), lambda: True)
    yield pipeline
    order.go_on.set()
    pipeline.stop(WAIT_S)


def test_a_change_waits_for_the_scan_at_hand_and_comes_before_the_next(order: Order, pipeline: Pipeline):
    pipeline.receive(cloud(SECOND), {})
    assert order.at_work.wait(WAIT_S)
    pipeline.between_scans(order.change)
    pipeline.receive(cloud(2 * SECOND), {})
    assert (order.events, order.name) == ([], "old")
    order.go_on.set()
    until(lambda: len(order.events) == 3, "both scans are labelled")
    assert order.events == ["labels of old", "class set new", "labels of new"]


def test_a_change_needs_no_scan(order: Order, pipeline: Pipeline):
    pipeline.between_scans(order.change)
    until(lambda: order.events == ["class set new"], "the change is made")


def test_a_change_that_was_asked_for_is_made_even_when_the_node_is_deactivated(order: Order, pipeline: Pipeline):
    pipeline.receive(cloud(SECOND), {})
    assert order.at_work.wait(WAIT_S)
    pipeline.between_scans(order.change)
    order.go_on.set()
    assert pipeline.stop(WAIT_S)
    assert order.events == ["labels of old", "class set new"]


def test_a_change_that_fails_does_not_end_the_worker(order: Order, pipeline: Pipeline):
    order.go_on.set()
    pipeline.between_scans(lambda: 1 // 0)
    pipeline.receive(cloud(SECOND), {})
    until(lambda: order.events == ["labels of old"], "the next scan is labelled")


# ---- the node before it is active


def test_an_inactive_node_changes_at_once_and_one_that_is_not_configured_when_it_is(
    context: Context, listen: Callable[..., Listener], spin, tiny_checkpoint: Path
):
    arguments = ["--ros-args", "-p", "autostart:=false", "-p", f"segmenter.checkpoint:={tiny_checkpoint}"]
    node, listener = SegmentNode(context=context, cli_args=arguments), listen()
    names = lambda: [[c["name"] for c in json.loads(text)["classes"]] for text in listener.class_sets]  # noqa: E731

    def put(words: str) -> tuple[bool, str]:
        (result,) = node.set_parameters([Parameter("segmenter.class_set", value=words)])
        return result.successful, result.reason

    assert put("car; whale") == (True, "")
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "whale" in node._reporter.failure
    assert put("car; road") == (True, "")
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    until(lambda: names() == [["car", "road"]], "the class set")
    assert put("tree; bus") == (True, "")
    until(lambda: names() == [["car", "road"], ["tree", "bus"]], "the new class set")
    successful, reason = put("tree; whale")
    assert not successful
    assert "whale" in reason
    assert node.settings.segmenter.class_set == node.get_parameter("segmenter.class_set").value == "tree; bus"
    node.close()
    node.destroy_node()


def test_a_file_is_read_again_when_it_is_set_again(context: Context, tiny_checkpoint: Path, tmp_path: Path):
    file = tmp_path / "mine.yaml"
    arguments = ["--ros-args", "-p", "autostart:=false", "-p", f"segmenter.checkpoint:={tiny_checkpoint}"]
    node = SegmentNode(context=context, cli_args=arguments)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    for names in (["car"], ["bus", "tree"]):
        file.write_text(f"classes: [{', '.join(f'{{name: {name}}}' for name in names)}]\n")
        assert node.set_parameters([Parameter("segmenter.class_set", value=str(file))])[0].successful
        assert list(node._student.class_set.names) == names
    node.set_parameters([Parameter("segmenter.min_probability", value=0.5)])
    file.unlink()
    assert list(node._student.class_set.names) == ["bus", "tree"]
    node.close()
    node.destroy_node()


# ---- classes that take their time, and the end of the node meanwhile


class SlowStudent(Segmenter):
    """Makes classes ready when it is told to."""

    def __init__(self, checkpoint: Path) -> None:
        config = SegmenterConfig(checkpoint=str(checkpoint), threads=1)
        self.__dict__.update(Segmenter.load(config).__dict__)
        self.asked, self.ready = threading.Event(), threading.Event()

    def classes(self, wanted: str):
        self.asked.set()
        assert self.ready.wait(WAIT_S)
        return super().classes(wanted)


def test_scans_are_labelled_while_classes_are_made_ready(
    context: Context, listen: Callable[..., Listener], spin, tiny_checkpoint: Path
):
    student = SlowStudent(tiny_checkpoint)
    node, listener = SegmentNode(lambda config: student, context=context), listen()
    spin(node)
    listener.meet()
    setter = listener.node.create_client(SetParameters, f"{PREFIX}/set_parameters")
    assert setter.wait_for_service(WAIT_S)
    parameter = Parameter("segmenter.class_set", value=WORDS).to_parameter_msg()
    future = setter.call_async(SetParameters.Request(parameters=[parameter]))
    assert student.asked.wait(WAIT_S)
    for k in range(1, 6):
        listener.send(cloud((100 + k) * SECOND, points=2000))
        until(lambda k=k: len(listener.labels) == k, f"labels of scan {k}, though the classes are not ready")
    assert not future.done()
    assert node._ledger.account(0).dropped == {}
    student.ready.set()
    until(future.done, "the answer")
    assert future.result().results[0].successful
    until(lambda: len(listener.class_sets) == 2, "the class set")
    node.close()


def test_the_end_of_the_node_does_not_wait_for_classes():
    go_on, alive = threading.Event(), iter([True, True, False])
    with pytest.raises(InterruptedError):
        meanwhile(lambda: go_on.wait(WAIT_S), lambda: None, lambda: next(alive))
    assert at_work()  # so that the process must end without taking Python apart
    go_on.set()
    until(lambda: not at_work(), "the work's end")


def test_what_goes_wrong_in_the_background_is_raised_in_the_foreground():
    with pytest.raises(ZeroDivisionError):
        meanwhile(lambda: 1 // 0, lambda: None, lambda: True)


# ---- the node in a process of its own, over DDS


class Operator:
    """Sends a cloud, waits for its labels, sends the next; and sets parameters meanwhile."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.sent: list[PointCloud2] = []
        self.coloured: dict[int, PointCloud2] = {}
        node = listener.node
        node.create_subscription(PointCloud2, f"{PREFIX}/labels_rgb", self._colour, 10)
        self._setter = node.create_client(SetParameters, f"{PREFIX}/set_parameters")
        self._getter = node.create_client(GetParameters, f"{PREFIX}/get_parameters")
        assert self._setter.wait_for_service(WAIT_S)
        assert self._getter.wait_for_service(WAIT_S)
        until(lambda: listener.class_sets, "the first class set")  # the next one takes its place

    def _colour(self, message: PointCloud2) -> None:
        self.coloured[message.header.stamp.sec] = message

    def label_one(self) -> None:
        """Have one more cloud labelled: none may be missing."""
        k = len(self.sent) + 1
        self.sent.append(cloud((100 + k) * SECOND, points=2000, seed=k))
        self.listener.send(self.sent[-1])
        until(lambda: len(self.listener.labels) == k, f"labels of scan {k}")

    def put(self, words: str) -> tuple[bool, str]:
        """Set the list while clouds flow; a list that is taken has been heard."""
        heard = len(self.listener.class_sets)
        parameter = Parameter("segmenter.class_set", value=words).to_parameter_msg()
        future = self._setter.call_async(SetParameters.Request(parameters=[parameter]))
        while not future.done():
            self.label_one()
        (result,) = future.result().results
        if result.successful:
            until(lambda: len(self.listener.class_sets) > heard, "the class set")
        return result.successful, result.reason

    def value(self) -> str:
        future = self._getter.call_async(GetParameters.Request(names=["segmenter.class_set"]))
        until(future.done, "the value")
        return future.result().values[0].string_value


def labels_of(message: PointCloud2) -> np.ndarray:
    return unpack_labels(message)[1].class_id


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Compare labels made in two processes, whose sums may differ in the last bit."""
    return bool((a == b).mean() > 0.99)


def colours_of(message: PointCloud2) -> np.ndarray:
    rgb = next(f for f in message.fields if f.name == "rgb")
    raw = np.frombuffer(message.data, np.uint8).reshape(-1, message.point_step)
    return raw[:, rgb.offset : rgb.offset + 3][:, ::-1]


def test_the_list_changes_while_clouds_flow_and_no_scan_is_lost_or_of_two_lists(
    listen: Callable[..., Listener], tiny_checkpoint: Path
):
    with start_node({**tiny(tiny_checkpoint), "diagnostics.period_s": 0.1}) as running:
        listener = listen()
        listener.meet()
        operator = Operator(listener)
        until(lambda: operator.label_one() or operator.coloured, "coloured clouds come, too")
        assert operator.put(WORDS) == (True, "")
        for _ in range(3):
            operator.label_one()
        changed_at = len(operator.sent)
        for wanted, said in (("road; whale", "whale"), ("fence; building", "manmade"), (" ; ", "non-empty")):
            successful, reason = operator.put(wanted)
            assert not successful
            assert said in reason
        operator.label_one()
        assert operator.value() == WORDS

        until(lambda: listener.report.get("class_set") == "words" and listener.report["classes"] == "3", "diagnostics")
        until(lambda: int(listener.report["labelled"]) >= len(operator.sent), "the last report")
        assert "3 classes of words" in listener.report["loaded"]
        assert (listener.report["dropped"], listener.report["lost_before_arrival"]) == ("0", "0")
        running.check()

    world, words = load_class_set("world"), parse_words(WORDS)
    assert listener.class_sets == [world.to_json(), words.to_json()]
    segmenter = Segmenter.load(SegmenterConfig(checkpoint=str(tiny_checkpoint), threads=1))
    old = [segmenter.segment(parse(m)).class_id for m in operator.sent]
    segmenter.set_classes(segmenter.classes(WORDS))
    new = [segmenter.segment(parse(m)).class_id for m in operator.sent]
    assert not any(alike(a, b) for a, b in zip(old, new, strict=True))
    is_new = [alike(labels_of(m), b) for m, b in zip(listener.labels, new, strict=True)]
    is_old = [alike(labels_of(m), a) for m, a in zip(listener.labels, old, strict=True)]
    assert is_old == [not later for later in is_new]
    assert is_new == sorted(is_new)
    assert not is_new[0]
    assert all(is_new[changed_at - 3 :])
    both = [
        (m, later) for m, later in zip(listener.labels, is_new, strict=True) if m.header.stamp.sec in operator.coloured
    ]
    for message, later in both:
        palette = (words if later else world).palette
        np.testing.assert_array_equal(
            colours_of(operator.coloured[message.header.stamp.sec]), palette[labels_of(message)]
        )
    assert {later for _, later in both} == {False, True}


def test_a_student_of_text_gets_new_words_by_its_text_tower(
    listen: Callable[..., Listener], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from clip2scene_ros.teacher.clip import save_clip
    from clip2scene_ros.teacher.openclip import open_clip

    try:
        open_clip()
    except BadTeacher as error:
        pytest.skip(f"open_clip cannot be imported (extra `clip`): {error.__cause__}")
    monkeypatch.setenv("HOME", str(tmp_path))  # where vectors are cached
    clip, sent = small_clip("small"), cloud(SECOND, points=2000)
    checkpoint = write_text_student(tmp_path / "student.safetensors", clip, parse(sent))
    save_clip(tmp_path / "clip.safetensors", clip.model, clip.card)
    text = {"segmenter.text": str(tmp_path / "clip.safetensors"), "diagnostics.period_s": 0.1}
    with start_node({**tiny(checkpoint), **text, "segmenter.class_set": "road; car, VAN"}) as running:
        listener = listen()
        listener.meet()
        operator = Operator(listener)
        assert operator.put("street, road; car") == (True, "")
        assert operator.put("tree; person, car") == (True, "")
        assert not operator.put("Tree; tree")[0]
        operator.label_one()
        until(lambda: int(listener.report["labelled"]) >= len(operator.sent), "the last report")
        assert (listener.report["dropped"], listener.report["lost_before_arrival"]) == ("0", "0")
        running.check()
    names = [[c["name"] for c in json.loads(text)["classes"]] for text in listener.class_sets]
    assert names == [["road", "car"], ["street", "car"], ["tree", "person"]]
    config = SegmenterConfig(checkpoint=str(checkpoint), text=text["segmenter.text"], class_set="tree; person, car")
    expected = load_segmenter(config).segment(parse(operator.sent[-1])).class_id
    assert alike(labels_of(listener.labels[-1]), expected)
    assert len(set(expected.tolist())) > 1
