"""The vehicle of `make bench-vehicle`: what its sensors send arrives, and its figures mean what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import until
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, PointCloud2

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from vehicle_processes import Watched, children, cpu_s, memory_mb, slope_mb_h
from vehicle_report import account, phases, said_of_camera
from vehicle_sensors import EPOCH_NS, RELIABLE, age_ms, write_messages

from clip2scene_ros.frame import Scan
from clip2scene_ros.io.image import encode_jpeg
from clip2scene_ros.io.stamps import stamp_of
from clip2scene_ros.nodes.collect_diagnostics import Condition
from clip2scene_ros.nodes.collect_diagnostics import rows as collect_rows
from clip2scene_ros.sync_sets import SyncAccount

CAMERAS = ("cam_a", "cam_b")


def small_messages(folder: Path) -> None:
    points = np.zeros((50, 3), np.float32)
    scans = [Scan(points + i, np.zeros(50, np.float32)) for i in range(3)]
    write_messages(folder, scans, {name: encode_jpeg(np.zeros((9, 16, 3), np.uint8)) for name in CAMERAS})


def test_all_that_the_sensors_send_arrives_and_the_dead_camera_is_silent_meanwhile(
    tmp_path: Path, context: Context, spin: Callable[[Node], None]
) -> None:
    small_messages(tmp_path)
    namespace, node = f"v{os.getpid()}", Node("hears", context=context)
    stamps: dict[str, list[int]] = {name: [] for name in ("points", *CAMERAS)}

    def hear(name: str) -> Callable[[PointCloud2 | CompressedImage], None]:
        return lambda message: stamps[name].append(stamp_of(message))

    node.create_subscription(PointCloud2, f"/{namespace}/points", hear("points"), RELIABLE)
    for name in CAMERAS:
        topic = f"/{namespace}/{name}/image/compressed"
        node.create_subscription(CompressedImage, topic, hear(name), RELIABLE)
    spin(node)
    script = Path(__file__).resolve().parents[2] / "bench" / "vehicle_sensors.py"
    flags = ("--namespace", namespace, "--reliable", "--seconds", "2", "--camera-dies", "0.5", "--returns", "1.5")
    run = subprocess.run(
        [sys.executable, script, tmp_path, *flags], capture_output=True, text=True, timeout=60, check=True
    )
    sent = json.loads(run.stdout.splitlines()[-1])["sent"]
    assert sent == {"points": 20, "cam_a/image/compressed": 24, "cam_b/image/compressed": 12}
    until(lambda: [len(s) for s in stamps.values()] == [20, 24, 12], f"all of {sent}")
    gaps_s = np.diff(stamps["cam_b"]) / 1e9
    assert gaps_s.max() > 0.9
    assert np.diff(stamps["cam_a"]).max() < gaps_s.max() * 1e9
    assert 0.0 < age_ms(stamps["points"][-1]) < 60_000.0
    assert stamps["points"][0] < EPOCH_NS + time.monotonic_ns()


def test_a_slope_is_found_and_a_flat_memory_may_be_flat() -> None:
    rng, seconds = np.random.default_rng(0), np.arange(0, 3600, 10.0)
    slope, low, high = slope_mb_h(seconds, 100 + 12 * seconds / 3600 + rng.normal(0, 0.5, len(seconds)))
    assert low < 12 < high
    assert high - low < 1.5
    assert slope == pytest.approx(12, abs=0.5)
    _, low, high = slope_mb_h(seconds, 100 + rng.normal(0, 0.5, len(seconds)))
    assert low < 0 < high
    walk = np.cumsum(rng.normal(0, 0.5, len(seconds)))
    independent = np.polynomial.polynomial.polyfit(seconds / 3600, walk, 1)[1]
    slope, low, high = slope_mb_h(seconds, walk)
    assert slope == pytest.approx(independent)
    assert high - low > 1.5, "samples that hang together say less"
    assert np.isnan(slope_mb_h([0.0, 10.0], [1.0, 2.0])).all()


def test_memory_and_cpu_time_are_those_of_the_process_and_of_its_children() -> None:
    busy = "import sys\nheld = bytearray(64 << 20)\nsum(range(3_000_000))\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        watched = Watched(os.getpid())
        watched.look(0.0)
        assert child.stdout.readline() == "ready\n"
        watched.look(10.0)
        assert child.pid in children(os.getpid())
        own = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{child.pid}/status").read_text())
        assert own is not None
        assert memory_mb(child.pid)["rss"] == pytest.approx(int(own[1]) / 1024, abs=1.0)
        assert memory_mb(child.pid)["rss"] > 64
        assert cpu_s(child.pid) > 0.0
        child.stdin.close()
    assert memory_mb(child.pid) == {}
    grown = watched.grown(0.0, children=True)
    assert grown["end_mb"] >= 64
    assert 0 <= watched.cpu_share(children=False) < 1


ROW = {
    "scans": "99",
    "sets_full": "80",
    "sets_partial": "18",
    "scans_waiting": "0",
    "scans_dropped.too_few_views": "1",
    "received": "98",
    "kept": "9",
    "dropped": "80",
    "dropped.too_soon": "79",
    "dropped.queue_full": "1",
    "waiting": "1",
    "remembered": "7",
    "at_worker": "1",
    "cam_b.received": "10",
    "cam_b.missing.silent": "18",
}
SENT = {"points": 100, "cam_b/image/compressed": 12}


def test_every_scan_is_accounted_for_or_it_is_said_that_one_is_not() -> None:
    found = account("collect", SENT, ROW)
    assert found["accounted_for"]
    assert found["lost_before_arrival"] == 1
    assert found["sets"]["too_soon"] == 79
    assert (found["missing"], found["images_lost"]) == ({"cam_b": {"silent": 18}}, {"cam_b": 2})
    for key in ("scans", "sets_full", "kept", "received"):
        assert not account("collect", SENT, ROW | {key: str(int(ROW[key]) - 1)})["accounted_for"], key
    assert not account("collect", SENT, {})["accounted_for"]
    assert not account("collect", {"points": 98}, ROW)["accounted_for"], "more came than was sent"
    labelled = {"received": "100", "labelled": "97", "dropped": "3", "dropped.superseded": "3", "pending": "0"}
    assert account("segment", SENT, labelled)["accounted_for"]
    assert not account("segment", SENT, labelled | {"labelled": "96"})["accounted_for"]


def test_the_phases_and_the_time_until_a_death_is_said_come_from_the_rows() -> None:
    rows = [
        (
            float(at),
            {"scans": str(10 * at), "sets_full": str(10 * min(at, 30)), "cam_b.silent": str(31 <= at < 37).lower()},
        )
        for at in range(1, 61)
    ]
    first, dead, back = phases("collect", rows, (0.0, 30.0, 36.0, 60.0))
    assert [p["scans"] for p in (first, dead, back)] == [300, 60, 240]
    assert [p["sets_full"] for p in (first, dead, back)] == [300, 0, 0]
    assert said_of_camera(rows, "cam_b", (30.0, 36.0)) == {"name": "cam_b", "said_dead_s": 1.0, "said_back_s": 1.0}
    assert [p["name"] for p in phases("collect", rows[:33], (0.0, 30.0, 36.0, 60.0))] == ["all cameras", "one dead"]
    waited = {"p50": 75.04, "max": 160.0}
    sync = SyncAccount(received=1, full=1, partial=0, waiting=0, dropped={}, time_jumps=0, max_waited_ns=0, cameras={})
    said = collect_rows(Condition("active", sync=sync, waited_ms=waited))
    (only, *_) = phases("collect", [(1.0, said)], (0.0, 30.0, 36.0, 60.0))
    assert (only["scans"], only["waited_p50_ms"], only["waited_max_ms"]) == (1, 75.0, 160.0)
    never = said_of_camera(rows[:20], "cam_b", (30.0, 36.0))
    assert (never["said_dead_s"], never["said_back_s"]) == (None, None)
