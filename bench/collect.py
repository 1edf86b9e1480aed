"""Is segmentation disturbed when frames are collected beside it?

`segment_node` labels clouds at half its maximal rate, which is measured first. `collect_node` runs beside it with six
JPEG cameras at 12 Hz, which a process of their own sends all the time, and odometry at 20 Hz, the watch on the
calibration being on, in blocks that alternate between active and inactive, so that what else the machine does falls on
both. In every third block it is inactive, and a process of its teacher's niceness multiplies matrices instead: what any
work on the other core costs, through caches and clocks. A second part does the same at 5 Hz and counts missed
deadlines: labels later than the next scan. Pictures and clouds are of one place in the synthetic world, again and
again: the vehicle stands.

    python bench/collect.py --blocks 6 --block-s 30
    python bench/collect.py --blocks 2 --block-s 5 --points 5000 --cameras 2 --json collect.json

Prints p50 and p95 of the time from sending a cloud to its labels with collecting off, on, and off beside that process,
their ratios to off (goal: at most 1.2), the bootstrap intervals of these over blocks, deadlines missed, frames kept and
bytes a frame.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from live import make_scans, serialise
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from vehicle_sensors import EPOCH_NS, IMAGE_HZ, photograph, stamp_now, write_messages

from clip2scene_ros.latency import percentiles
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.process import RunningNode, ros_arguments, start_node

NAMESPACE = f"bench_{os.getpid()}"
ODOMETRY_HZ = 20.0
PLACE = 2
"""Frames that clouds are of: near the pictures, or the watch would take every camera for slipped."""
READY_S = 180.0
GOAL = 1.2
OFF, ON, BUSY = "off", "on", "busy"
BUSY_WORK = "import torch; torch.set_num_threads(1); a = torch.rand(768, 768)\nwhile True: a @ a"


class Rig:
    """Sends clouds and odometry by the cameras' clock, in the peer's process; hears the collector.

    Args:
        peer: sends clouds and times labels.
        clouds: serialised.
    """

    def __init__(self, peer: Peer, clouds: list[bytearray]) -> None:
        self._peer, self._clouds = peer, clouds
        self.report: dict[str, str] = {}
        peer.node.create_subscription(DiagnosticArray, "/diagnostics", self._hear, 10)
        self._way = peer.node.create_publisher(Odometry, "odom", QoSProfile(depth=50))
        self._change = peer.node.create_client(ChangeState, "clip2scene_collect/change_state")

    def _hear(self, message: DiagnosticArray) -> None:
        (status,) = message.status
        if status.name.endswith(": collecting"):
            self.report = {v.key: v.value for v in status.values}

    def collect(self, wanted: bool) -> None:
        """Activate or deactivate the collector, and wait until it is."""
        state = "active" if wanted else "inactive"
        if self.report.get("state") != state:
            transition = Transition.TRANSITION_ACTIVATE if wanted else Transition.TRANSITION_DEACTIVATE
            asked = self._change.call_async(ChangeState.Request(transition=Transition(id=transition)))
            wait(asked.done, f"{state} collector")
        wait(lambda: self.report.get("state") == state, f"{state} collector")

    def drive(self, seconds: float, rate_hz: float) -> tuple[list[float], int, int]:
        """Send for a while; return times from sending to labels [ms], labels later than the next scan, scans sent."""
        self._peer.labels.clear()
        self._peer.sent_ns.clear()
        scans, poses = int(seconds * rate_hz), int(seconds * ODOMETRY_HZ)
        events = sorted([(i / rate_hz, i) for i in range(scans)] + [(i / ODOMETRY_HZ, -1) for i in range(poses)])
        began_s = time.monotonic()
        for at_s, number in events:
            time.sleep(max(0.0, began_s + at_s - time.monotonic()))
            if number < 0:
                self._way.publish(pose_now())
            else:
                cloud = self._clouds[number % len(self._clouds)]
                stamp_now(cloud)
                self._peer.send(bytes(cloud))
        wait_quietly(lambda: len(self._peer.labels) >= scans, 2.0)
        took_ms = self._peer.latencies_ms()
        return took_ms, scans - sum(ms <= 1000 / rate_hz for ms in took_ms), scans

    def calibration(self) -> dict[str, str]:
        """Return what the watch says of each camera: one that it leaves out costs nothing."""
        end = ".calibration"
        return {key.removesuffix(end): value for key, value in self.report.items() if key.endswith(end)}

    def frames_kept(self) -> tuple[int, float]:
        """Return frames kept in this activation and the megabytes of their messages."""
        return int(self.report.get("kept", 0)), float(self.report.get("kept_mb", 0))


def pose_now() -> Odometry:
    """Return where a vehicle is that stands still."""
    seconds, nanoseconds = divmod(EPOCH_NS + time.monotonic_ns(), 10**9)
    header = Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id="odom")
    return Odometry(header=header, child_frame_id="base_link")


def wait_quietly(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition; return whether it came true."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True


def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, or raise TimeoutError."""
    if not wait_quietly(condition, READY_S):
        raise TimeoutError(f"no {what} within {READY_S:.0f} s")


def start_collector(args: argparse.Namespace, folder: Path, cameras: list[str]) -> RunningNode:
    """Start collect_node, which stays inactive after its first activation."""
    rig = yaml.safe_load((folder / "rig.yaml").read_text(encoding="utf-8"))
    rig["lidar"]["base_from_lidar"] = np.eye(4).tolist()
    (folder / "rig.yaml").write_text(yaml.safe_dump(rig), encoding="utf-8")
    parameters: dict[str, object] = {
        "folder": str(folder / "shards"),
        "cameras": ",".join(cameras),
        "calibration.file": str(folder / "rig.yaml"),
        "classes": args.classes,
        "clip.checkpoint": args.clip,
        "dense": args.dense,
        "choice.min_interval_s": 0.0,
        "choice.min_motion_m": 0.0,
        "buffer.before_s": 0.0,
        "worker.nice": args.nice,
        "diagnostics.period_s": 0.2,
    }
    command = [sys.executable, "-m", "clip2scene_ros.nodes.collect", *ros_arguments(parameters, {}, NAMESPACE)]
    log = folder / "collect.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
    return RunningNode(process, log)


def maximal_rate(rig: Rig, seconds: float) -> float:
    """Return how many clouds a second the segmentation labels when there are always more."""
    took_ms, _, _ = rig.drive(seconds, 50.0)
    return max(0.5, len(took_ms) / seconds)


def alternate(rig: Rig, blocks: int, block_s: float, rate_hz: float, nice: int) -> dict[str, Any]:
    """Return the figures of blocks with collecting off, on, and off beside a busy process, in turn."""
    found: dict[str, list[tuple[list[float], int, int]]] = {OFF: [], ON: [], BUSY: []}
    kept, kept_mb, calibration = 0, 0.0, {}
    for state in list(found) * blocks:
        rig.collect(state == ON)
        with busy(nice) if state == BUSY else contextlib.nullcontext():
            found[state].append(rig.drive(block_s, rate_hz))
        if state == ON:
            wait_quietly(lambda: False, 0.5)  # the next report
            frames, megabytes = rig.frames_kept()
            kept, kept_mb, calibration = kept + frames, kept_mb + megabytes, rig.calibration()
    rig.collect(False)
    return {
        "rate_hz": rate_hz,
        "ms": {state: percentiles([ms for took, _, _ in each for ms in took]) for state, each in found.items()},
        "p95_ratio": {state: against(found[OFF], found[state]) for state in (ON, BUSY)},
        "scans": {state: sum(sent for _, _, sent in each) for state, each in found.items()},
        "missed": {state: sum(missed for _, missed, _ in each) for state, each in found.items()},
        "kept": kept,
        "kept_mb_of_messages": kept_mb,
        "calibration": calibration,
    }


@contextlib.contextmanager
def sending(folder: Path, jpegs: dict[str, bytes]) -> Iterator[None]:
    """Have the cameras' process send them again and again."""
    (folder / "messages").mkdir()
    write_messages(folder / "messages", [], jpegs)
    script = Path(__file__).with_name("vehicle_sensors.py")
    flags = ["--namespace", NAMESPACE, "--seconds", "1e9", "--heard", "points"]  # no topic here: it does not wait
    process = subprocess.Popen([sys.executable, script, folder / "messages", *flags], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextlib.contextmanager
def busy(nice: int) -> Iterator[None]:
    """Run a process that does nothing but compute."""
    process = subprocess.Popen(["nice", "-n", str(nice), sys.executable, "-c", BUSY_WORK])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def against(off: list[tuple[list[float], int, int]], other: list[tuple[list[float], int, int]]) -> list[float]:
    """Return the ratio of p95 over all scans, and the bootstrap interval of its mean over blocks."""
    ms = [[ms for took, _, _ in each for ms in took] for each in (off, other)]
    pairs = [(a[0], b[0]) for a, b in zip(off, other, strict=True) if a[0] and b[0]]
    ratios = [float(np.percentile(b, 95) / np.percentile(a, 95)) for a, b in pairs]
    if not ratios:
        return []
    means = np.random.default_rng(0).choice(ratios, (2000, len(ratios))).mean(axis=1)
    return [float(np.percentile(ms[1], 95) / np.percentile(ms[0], 95)), *map(float, np.percentile(means, (2.5, 97.5)))]


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run both nodes and return all figures."""
    scans, source = make_scans(args.points, PLACE)
    with tempfile.TemporaryDirectory(prefix="clip2scene-collect-") as name:
        folder = Path(name)
        jpegs = photograph(folder, args.cameras)
        collector = start_collector(args, folder, list(jpegs))
        try:
            with (
                sending(folder, jpegs),
                start_node({"segmenter.threads": args.threads}, namespace=NAMESPACE) as node,
                Peer(NAMESPACE, check=node.check) as peer,
            ):
                rig = Rig(peer, [serialise(scan) for scan in scans])
                peer.greet(READY_S)
                wait(lambda: rig.report.get("state") == "active" or collector.check() is not None, "collector")
                rig.collect(False)
                rig.drive(min(5.0, args.block_s), 2.0)  # torch and its allocator are slower at first
                rate_hz = maximal_rate(rig, min(10.0, args.block_s))
                half = alternate(rig, args.blocks, args.block_s, rate_hz / 2, args.nice)
                five = alternate(rig, args.blocks, args.block_s, 5.0, args.nice)
        finally:
            collector.stop(signal.SIGINT)
        shard_bytes = sum(shard.stat().st_size for shard in (folder / "shards").glob("*.tar"))
        log = collector.log_tail()
    return {
        "points": args.points,
        "source": source,
        "cameras": args.cameras,
        "image_bytes": sorted(len(jpeg) for jpeg in jpegs.values()),
        "teacher": args.clip,
        "nice": args.nice,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "maximal_rate_hz": rate_hz,
        "half_rate": half,
        "five_hz": five,
        "shard_bytes": shard_bytes,
        "collector_log": log,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as a table."""
    print(f"{result['points']} points from {result['source']}; {result['cameras']} cameras at {IMAGE_HZ:g} Hz, ")
    sizes = result["image_bytes"]
    print(f"JPEGs of {sizes[0]} to {sizes[-1]} bytes; teacher {result['teacher']}, nice {result['nice']}")
    print(f"{result['cores']} cores, load {result['load_average'][0]:.1f}; max {result['maximal_rate_hz']:.1f} scans/s")
    print(f"{'':<12}{'':<6}{'p50':>8}{'p95':>8}{'ratio':>8}  interval of blocks, deadlines missed")
    for title, part in (("half rate", result["half_rate"]), ("5 Hz", result["five_hz"])):
        for state, ms in part["ms"].items():
            ratio = part["p95_ratio"].get(state)
            share = f"{ratio[0]:>8.2f}  {ratio[1]:.2f} .. {ratio[2]:.2f}" if ratio else f"{'':>8}  {'':<12}"
            missed = f"{part['missed'][state]} of {part['scans'][state]}"
            print(f"{title:<12}{state:<6}{ms['p50']:>8.1f}{ms['p95']:>8.1f}{share}, {missed}")
        said = Counter(part["calibration"].values())
        print(f"{title:<12}{part['kept']} frames kept ({part['kept_mb_of_messages']:.1f} MB); cameras: {dict(said)}")
    frames = result["half_rate"]["kept"] + result["five_hz"]["kept"]
    print(f"{result['shard_bytes']} bytes of shards for {frames} frames and those before the first block")
    print(f"goal: ratio at half rate of at most {GOAL}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=34720)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--blocks", type=int, default=6, help="of each kind")
    parser.add_argument("--block-s", type=float, default=30.0, help="length of a block [s]")
    parser.add_argument("--clip", default="tiny", help="CLIP weights; the shipped ones; empty for ViT-B/16 of OpenAI")
    parser.add_argument("--classes", default="world", help="the teacher's class set")
    parser.add_argument("--dense", default="", help="settings of dense features")
    parser.add_argument("--nice", type=int, default=19, help="of the teacher's process")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the segmentation")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    result = measure(args)
    show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
