"""evaluate_node against a real live node in another process: what holds, what does not, and what is told of it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import clip2scene
from conftest import Listener, cloud, tiny, until
from rclpy.node import Node
from small_street import START_NS, STEP_NS, write_street

from clip2scene_ros.classes import load_class_set
from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.frame import Scan, Segmentation
from clip2scene_ros.io.bags import BagReader, BagWriter, string_message
from clip2scene_ros.io.pointcloud import parse, unpack_labels
from clip2scene_ros.nodes import evaluate
from clip2scene_ros.nodes.conversions import read_labels
from clip2scene_ros.nodes.process import RunningNode, ros_arguments, start_node
from clip2scene_ros.nodes.segment import SegmentNode
from clip2scene_ros.offline import LABELS
from clip2scene_ros.student.segmenter import Segmenter

NAMESPACE = "judged"
SAME_AS_OFFLINE = ("miou", "iou", "accuracy", "confusion", "groups", "scenes", "frames", "points", "world", "absent")
SAME_AS_OFFLINE += ("data_sha256", "weights_sha256", "versions", "hardware")


@pytest.fixture(scope="module")
def live(tiny_checkpoint: Path) -> Iterator[RunningNode]:
    with start_node({**tiny(tiny_checkpoint), "diagnostics.period_s": 0.1}, namespace=NAMESPACE) as running:
        yield running
        running.check()


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Return a function that runs evaluate_node in this process; its report goes to `tmp_path / "report"`."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(bag: Path | str, namespace: str = NAMESPACE, **parameters: object) -> int:
        given = {"bagfile": str(bag), "out": str(tmp_path / "report"), "rate": 0.0} | parameters
        return evaluate.main(["evaluate_node", *ros_arguments(given, {}, namespace)])

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def report_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report" / "report.json").read_text())


def verdicts(report: dict[str, Any]) -> list[str]:
    return [held for _, _, held in report["tables"]["What must hold"]["rows"]]


def dropped(report: dict[str, Any]) -> list[int]:
    return [int(stamp) for (stamp,) in report["tables"]["Dropped scans"]["rows"]]


def counted(report: dict[str, Any]) -> dict[str, int]:
    return dict(report["tables"]["Scans"]["rows"])


def delivered(folder: Path) -> dict[int, Any]:
    with BagReader(folder / "report" / "labels.mcap") as bag:
        return {stamp: unpack_labels(message) for stamp, message in bag.messages(LABELS)}


def test_in_lock_step_the_live_node_is_the_offline_core(live, judge, tiny_checkpoint: Path, tmp_path: Path, capsys):
    bag = write_street(tmp_path / "street.mcap")
    assert judge(bag) == 0
    ours = report_in(tmp_path)
    assert verdicts(ours) == ["yes"] * 5
    assert (dropped(ours), counted(ours)) == ([], {**dict.fromkeys(counted(ours), 6), "never arrived": 0})
    assert ours["latency_ms"]["p50"] > 0
    assert "6 of 6 scans" in capsys.readouterr().out

    core = Segmenter.load(SegmenterConfig(checkpoint=str(tiny_checkpoint)))  # in another process than the node
    labels = delivered(tmp_path)
    with BagReader(bag) as recorded:
        for stamp, message in recorded.messages("/points"):
            points, got = labels.pop(stamp)
            expected = core.segment(parse(message))
            np.testing.assert_array_equal(points, parse(message).points)
            for name in ("class_id", "probability", "entropy"):
                assert getattr(got, name).tobytes() == getattr(expected, name).tobytes()
    assert not labels

    offline = [tmp_path / name for name in ("first", "second")]
    for folder in offline:
        done = clip2scene("evaluate", bag, "--checkpoint", tiny_checkpoint, "--out", folder, "--quiet")
        assert done.returncode == 0, done.stderr
    first, second = (json.loads((folder / "report.json").read_text()) for folder in offline)
    assert {key: ours[key] for key in SAME_AS_OFFLINE} == {key: first[key] for key in SAME_AS_OFFLINE}
    changing = ("latency_ms", "command")
    assert {k: v for k, v in first.items() if k not in changing} == {
        k: v for k, v in second.items() if k not in changing
    }


def test_when_there_is_too_much_every_dropped_stamp_is_listed_and_counted(live, judge, tmp_path: Path):
    bag = write_street(tmp_path / "street.mcap", clouds=40, points=2000)
    assert judge(bag, rate=1000.0) == 0
    report = report_in(tmp_path)
    sent = [START_NS + i * STEP_NS for i in range(40)]
    assert dropped(report)
    assert sorted([*dropped(report), *delivered(tmp_path)]) == sent
    numbers = counted(report)
    causes = [count for what, count in numbers.items() if what.startswith("dropped: ") or what == "never arrived"]
    assert sum(causes) == len(dropped(report))
    assert numbers["labelled"] == report["frames"] == len(delivered(tmp_path))
    assert verdicts(report) == ["yes"] * 5


def test_a_bad_cloud_is_on_the_list_with_its_reason(live, judge, tmp_path: Path):
    assert judge(write_street(tmp_path / "street.mcap", broken=2)) == 0
    report = report_in(tmp_path)
    assert dropped(report) == [START_NS + 2 * STEP_NS]
    assert [what for what in counted(report) if what.startswith("dropped: bad_cloud.")]


def test_without_ground_truth_agreement_and_latency_are_told_plainly(live, judge, tmp_path: Path, capsys):
    assert judge(write_street(tmp_path / "street.mcap", truth=False)) == 0
    report = report_in(tmp_path)
    assert (report["miou"], report["frames"], report["points"]) == (None, 0, 0)
    assert report["latency_ms"]["p50"] > 0
    assert verdicts(report) == ["yes"] * 5
    assert evaluate.NO_TRUTH in report["notes"]
    assert evaluate.NO_TRUTH in capsys.readouterr().out
    assert not (tmp_path / "report" / "evaluation.png").exists()


class Impostor:
    """Claims to be the student of its checkpoint, and is not."""

    def __init__(self, config: SegmenterConfig) -> None:
        self.class_set, self.config = load_class_set("world"), config

    def segment(self, scan: Scan) -> Segmentation:
        return Segmentation.unknown(len(scan))

    def describe(self) -> str:
        return "an impostor"


def test_a_node_that_is_not_the_core_fails_the_gate(context, spin, judge, tiny_checkpoint, tmp_path: Path, capsys):
    given = {**tiny(tiny_checkpoint), "diagnostics.period_s": 0.1}
    node = SegmentNode(Impostor, context=context, cli_args=ros_arguments(given, {}, "impostor"))
    spin(node)
    assert judge(write_street(tmp_path / "street.mcap"), namespace="impostor") == 1
    node.close()
    assert verdicts(report_in(tmp_path)) == ["yes", "yes", "yes", "yes", "NO"]
    assert "FAILED labels are bit-equal to the offline run's: 0 of 6 scans" in capsys.readouterr().out


def test_ctrl_c_in_the_middle_writes_the_report_of_what_there_was(live, judge, listen, tmp_path: Path, capsys):
    prefix = f"/{NAMESPACE}/clip2scene_segment"
    listener: Listener = listen(prefix, "/nobody/points")

    def interrupt() -> None:
        until(lambda: sum(stamp >= START_NS for stamp in listener.stamps()) >= 3, "three scans are labelled")
        for _ in range(2):  # the terminal and `ros2 launch` send one each
            os.kill(os.getpid(), signal.SIGINT)

    pressed = threading.Thread(target=interrupt)
    pressed.start()
    code = judge(write_street(tmp_path / "street.mcap", clouds=400), rate=1.0)
    pressed.join()
    assert code == 130
    report = report_in(tmp_path)
    played = counted(report)["sent"]
    assert 3 <= report["frames"] <= played < 400
    assert (
        f"PARTIAL: interrupted; of 400 scans {played} were played and {report['frames']} compared." in report["notes"]
    )
    assert verdicts(report) == ["NO", "yes", "yes", "yes", "yes"]
    assert "PARTIAL" in capsys.readouterr().out


def test_a_node_that_ends_in_the_middle_leaves_a_partial_report(judge, listen, tiny_checkpoint, tmp_path: Path):
    listener: Listener = listen("/mortal/clip2scene_segment", "/nobody/points")
    with start_node({**tiny(tiny_checkpoint), "diagnostics.period_s": 0.1}, namespace="mortal") as node:

        def end() -> None:
            until(lambda: sum(stamp >= START_NS for stamp in listener.stamps()) >= 3, "three scans are labelled")
            node.stop()

        ending = threading.Thread(target=end)
        ending.start()
        assert judge(write_street(tmp_path / "street.mcap", clouds=400), namespace="mortal", rate=1.0) == 1
        ending.join()
    report = report_in(tmp_path)
    assert 3 <= report["frames"] <= counted(report)["sent"] < 400
    assert [note for note in report["notes"] if note.startswith("PARTIAL: the live node has ended")]
    assert verdicts(report)[0] == "NO"


def test_a_signal_before_the_first_cloud_leaves_nothing(judge, tmp_path: Path, monkeypatch, capsys):
    """Nobody is there to play to; the wait ends at once and nothing is written."""
    start = evaluate.live_settings

    def interrupted(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(*given)

    monkeypatch.setattr(evaluate, "live_settings", interrupted)
    assert judge(write_street(tmp_path / "street.mcap"), namespace="desert") == 143
    assert not (tmp_path / "report").exists()
    assert "interrupted" in capsys.readouterr().err


def test_without_a_live_node_it_says_so(judge, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "START_S", 0.3)
    assert judge(write_street(tmp_path / "street.mcap"), namespace="desert") == 1
    assert "/desert/clip2scene_segment" in capsys.readouterr().err


def garbage(path: Path) -> Path:
    path.write_bytes(b"\x89MCAP0\r\n" + bytes(range(256)))
    return path


def kitchen(path: Path) -> Path:
    """Return a bag whose ground truth is of classes that no student of ours knows."""
    write_street(path.with_suffix(".street.mcap"))
    with BagReader(path.with_suffix(".street.mcap")) as bag, BagWriter(path) as out:
        for topic, kind, stamp, data in bag.raw():
            if topic != "/ground_truth/class_set":
                out.write_raw(topic, kind, data, stamp, latched=topic in bag.latched, types=bag.types)
        text = '{"name": "kitchen", "classes": [{"name": "fridge"}, {"name": "oven"}]}'
        out.write("/ground_truth/class_set", string_message(text), START_NS, latched=True)
    return path


@pytest.mark.parametrize(
    ("make", "parameters", "words"),
    [
        (lambda path: "", {}, ["bagfile"]),
        (lambda path: path / "nowhere.mcap", {}, ["nowhere.mcap"]),
        (lambda path: garbage(path / "broken.mcap"), {}, ["broken.mcap"]),
        (lambda path: write_street(path / "a.mcap"), {"topic": "/lidar"}, ["/lidar", "/points"]),
        (lambda path: write_street(path / "a.mcap"), {"topic": "/chatter"}, ["/chatter", "PointCloud2"]),
        (lambda path: write_street(path / "a.mcap"), {"rate": -1.0}, ["rate", "1000"]),
        (lambda path: write_street(path / "a.mcap", clouds=0), {}, ["PointCloud2"]),
    ],
)
def test_what_cannot_be_played_is_one_clear_line(judge, tmp_path: Path, capsys, make, parameters, words):
    assert judge(make(tmp_path), **parameters) == 1
    (last,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "error: " in last
    assert all(word in last for word in words)
    assert not (tmp_path / "report").exists()


def test_ground_truth_of_unknown_classes_is_refused_before_anything_is_played(live, judge, tmp_path: Path, capsys):
    assert judge(kitchen(tmp_path / "kitchen.mcap")) == 1
    assert "fridge" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()


def test_an_earlier_report_is_kept_unless_told_otherwise(judge, tmp_path: Path, capsys):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("mine")
    assert judge(write_street(tmp_path / "street.mcap")) == 1
    assert "overwrite" in capsys.readouterr().err
    assert (tmp_path / "report" / "report.json").read_text() == "mine"


def test_sensor_msgs_py_reads_our_labels_as_we_do(tmp_path: Path):
    pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py not installed: it comes with ROS, not from PyPI"
    )
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Header

    from clip2scene_ros.io.pointcloud import pack
    from clip2scene_ros.nodes.conversions import cloud_message

    rng = np.random.default_rng(0)
    scan = Scan(rng.normal(size=(50, 3)).astype(np.float32), np.zeros(50, np.float32))
    given = Segmentation(rng.integers(0, 9, 50, np.uint8), rng.random(50, np.float32), rng.random(50, np.float32))
    points, read = read_labels(bytes(serialize_message(cloud_message(pack(scan, given), Header()))))
    assert points.tobytes() == scan.points.tobytes()
    for name in ("class_id", "probability", "entropy"):
        assert getattr(read, name).dtype == getattr(given, name).dtype
        assert getattr(read, name).tobytes() == getattr(given, name).tobytes()


def test_evaluate_node_tells_how_it_is_used(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["evaluate_node", "--help"])
    assert "bagfile:=" in capsys.readouterr().out


def test_nodes_of_two_namespaces_do_not_mix(live, judge, listen, context, spin, tiny_checkpoint: Path, tmp_path: Path):
    """The second vehicle hears a remapped topic and sees 10 m far; it labels all the time while the first is judged."""
    parameters = {**tiny(tiny_checkpoint), "diagnostics.period_s": 0.1, "segmenter.max_range_m": 10.0}
    with start_node(parameters, {"points": "/roof/lidar"}, namespace="second") as second:
        other: Listener = listen("/second/clip2scene_segment", "/roof/lidar")
        other.meet()
        bag = write_street(tmp_path / "street.mcap", clouds=10)
        rows, judged = statuses(context, spin), threading.Event()

        def drive() -> None:
            stamps = iter(range(10**12, 2 * 10**12, 10**8))
            while not judged.is_set():
                sent, before = next(stamps), len(other.labels)
                other.send(cloud(sent, points=300))
                until(lambda n=before: len(other.labels) > n, "the second vehicle's labels")

        driving = threading.Thread(target=drive)
        driving.start()
        try:
            assert judge(bag) == 0
        finally:
            judged.set()
            driving.join()
        second.check()
        assert verdicts(report_in(tmp_path)) == ["yes"] * 5
        assert counted(report_in(tmp_path))["received by the node"] == 10
        stamps = other.stamps()
        assert min(stamps) >= 10**12
        assert max(stamps) < START_NS
        points, labels = unpack_labels(other.labels[-1])
        too_far = np.linalg.norm(points, axis=1) > 10.0
        assert too_far.any()
        assert (labels.class_id[too_far] == 255).all()
        names = {f"{vehicle}/clip2scene_segment: segmentation" for vehicle in (NAMESPACE, "second")}
        until(lambda: names <= set(rows), "a row of each vehicle")
        assert rows["second/clip2scene_segment: segmentation"]["received"] != "10"


def statuses(context: Any, spin: Callable[[Node], None]) -> dict[str, dict[str, str]]:
    """Return the newest row of every node on /diagnostics, by its name; it fills as they come."""
    from diagnostic_msgs.msg import DiagnosticArray

    node, rows = Node("watcher", context=context), {}

    def keep(message: DiagnosticArray) -> None:
        rows.update({status.name: {v.key: v.value for v in status.values} for status in message.status})

    node.create_subscription(DiagnosticArray, "/diagnostics", keep, 50)
    spin(node)
    return rows
