"""Does a node keep pace with a whole vehicle, for long, and with a camera that dies in the middle?

One LiDAR of 34k points at 10 Hz and six JPEG cameras of 1600x900 at 12 Hz are sent by a process of their own over the
real transport, into `collect_node` with the small CLIP, or with `--node segment` into `segment_node`. The pictures are
rendered once by the synthetic world. The node's own account comes from /diagnostics, memory and CPU time from /proc.

    make bench-vehicle                                                       # 10 minutes
    python bench/vehicle.py --minutes 120 --camera-dies 0.5 --returns 0.6 --json vehicle.json
    python bench/vehicle.py --minutes 10 --node segment

Prints sets per scan, drops by reason, how long scans waited or labels took, how soon the camera's death was said, share
of a core, and memory at the end less that at minute 3 with its slope. Ctrl-C ends it early, with the report of what
was measured so far. Exit code 1 when a scan is not accounted for or the node died.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from live import make_scans
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from vehicle_processes import Watched
from vehicle_report import account, cpu, memory, phases, said_of_camera, show
from vehicle_sensors import age_ms, photograph, write_messages

from clip2scene_ros.errors import NodeFailed
from clip2scene_ros.io.stamps import cdr_stamp_ns
from clip2scene_ros.latency import percentiles
from clip2scene_ros.nodes.process import RunningNode, ros_arguments
from clip2scene_ros.nodes.transport import use_profile

NAMESPACE = f"bench_{os.getpid()}"
READY_S = 300.0
LOOK_S = 10.0
REPORT_S = 1.0


def start(args: argparse.Namespace, folder: Path, cameras: list[str]) -> RunningNode:
    """Start the node. It is in a session of its own, so that Ctrl-C here does not end it before it was asked."""
    parameters: dict[str, object] = {"diagnostics.period_s": REPORT_S}
    if args.node == "segment":
        parameters["segmenter.threads"] = 1
    else:
        parameters |= {
            "folder": str(folder / "shards"),
            "cameras": ",".join(cameras),
            "calibration.file": str(folder / "rig.yaml"),
            "classes": "world",
            "clip.checkpoint": "tiny",
            "choice.min_interval_s": args.interval,
            "worker.nice": args.nice,
        }
    command = [sys.executable, "-m", f"clip2scene_ros.nodes.{args.node}", *ros_arguments(parameters, {}, NAMESPACE)]
    log = folder / "node.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    return RunningNode(process, log)


class Observer:
    """Hears what the node says of itself, and its labels.

    Attributes:
        rows: `(monotonic time, row of /diagnostics)` of each report.
        label_ages_ms: how old each label cloud was when it came, from the sending of its scan.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[float, dict[str, str]]] = []
        self.label_ages_ms: list[float] = []
        use_profile()
        rclpy.init(args=[], signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self._node = Node("observer", namespace=NAMESPACE)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._hear, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        threading.Thread(target=self._executor.spin, daemon=True).start()

    def listen(self) -> None:
        """Subscribe to the labels: without a subscriber the network does not run."""
        topic, qos = "clip2scene_segment/labels", QoSProfile(depth=10)
        self._node.create_subscription(
            PointCloud2, topic, lambda data: self.label_ages_ms.append(age_ms(cdr_stamp_ns(data))), qos, raw=True
        )

    def row(self) -> dict[str, str]:
        """Return the newest row, empty before the first."""
        return self.rows[-1][1] if self.rows else {}

    def close(self) -> None:
        """Leave the network."""
        self._executor.shutdown(timeout_sec=2.0)
        rclpy.shutdown()

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(f"{NAMESPACE}/"):
                self.rows.append(
                    (time.monotonic(), {"message": status.message} | {v.key: v.value for v in status.values})
                )


def wait_until_active(observer: Observer, node: RunningNode) -> None:
    """Wait until the node says that it is active, or raise NodeFailed."""
    end_s = time.monotonic() + READY_S
    while observer.row().get("state") != "active":
        node.check()
        if time.monotonic() > end_s:
            raise NodeFailed("not_ready", f"The node is not active within {READY_S:.0f} s:\n{node.log_tail()}")
        time.sleep(0.05)


class Run:
    """The node, the sensors and who watches them: a context manager that ends both processes.

    Attributes:
        observer: hears the node.
        node: the node under test.
        looks: name -> process that is looked at.
        began_s: when the sensors began [s, monotonic], None before.
        ended: why the drive ended early, or empty.
        said: what the sensors said at their end.
    """

    def __init__(self, args: argparse.Namespace, folder: Path, cameras: list[str]) -> None:
        self._args, self._folder = args, folder
        self.observer, self.node = Observer(), start(args, folder, cameras)
        self.looks = {"node": Watched(self.node.process.pid)}
        self.began_s: float | None = None
        self.ended = ""
        self.said: dict[str, Any] = {"sent": {}, "late_ms": {}}
        self._sensors: subprocess.Popen[str] | None = None

    def __enter__(self) -> Run:
        """Return it."""
        return self

    def __exit__(self, *raised: object) -> None:
        """End the processes."""
        if self._sensors is not None and self._sensors.poll() is None:
            self._sensors.kill()
        self.node.stop(signal.SIGINT)
        self.observer.close()

    def drive(self) -> None:
        """Have the sensors send until they have done, the node has died, or Ctrl-C."""
        try:
            wait_until_active(self.observer, self.node)
            if self._args.node == "segment":
                self.observer.listen()
            self._watch(self._start_sensors(), min(LOOK_S, 6 * self._args.minutes))
        except KeyboardInterrupt:
            self.ended = "interrupted"
        except NodeFailed as error:
            self.ended = str(error)
        if self._sensors is not None and self.began_s is not None:
            self._look()
            self._sensors.send_signal(signal.SIGINT)
            told = self._sensors.communicate(timeout=10.0)[0]
            self.said = json.loads(told) if told else self.said
            time.sleep(2.5 * REPORT_S)  # the last scans, and the report on them

    def _start_sensors(self) -> subprocess.Popen[str]:
        seconds = 60 * self._args.minutes
        command = [sys.executable, str(Path(__file__).with_name("vehicle_sensors.py")), str(self._folder / "messages")]
        command += ["--namespace", NAMESPACE, "--seconds", str(seconds)]
        command += ["--camera-dies", str(self._args.camera_dies * seconds)]
        command += ["--returns", str(self._args.returns * seconds)]
        command += ["--heard", "points"] if self._args.node == "segment" else []
        self._sensors = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        return self._sensors

    def _watch(self, sensors: subprocess.Popen[str], every_s: float) -> None:
        if sensors.stdout is None or sensors.stdout.readline() != "began\n":
            raise NodeFailed("no_sensors", f"The sensors did not begin. The node's log ends:\n{self.node.log_tail()}")
        self.began_s = time.monotonic()
        self.looks["sensors"] = Watched(sensors.pid)
        number = 0
        while sensors.poll() is None:
            self.node.check()
            if time.monotonic() - self.began_s >= number * every_s:
                number += 1
                self._look()
            time.sleep(min(0.1, every_s))

    def _look(self) -> None:
        for each in self.looks.values():
            each.look(time.monotonic() - (self.began_s or 0.0))


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything and return all figures, those of the time until Ctrl-C where it came."""
    (folder / "messages").mkdir()
    scans, source = make_scans(args.points)
    jpegs = photograph(folder, args.cameras)
    sizes = write_messages(folder / "messages", scans, jpegs)
    with Run(args, folder, list(jpegs)) as run:
        run.drive()
    if run.began_s is None:
        raise NodeFailed("not_begun", run.ended)
    rows = [(at_s - run.began_s, row) for at_s, row in run.observer.rows]
    seconds = 60 * args.minutes
    death_s = (args.camera_dies * seconds, args.returns * seconds) if jpegs else (0.0, 0.0)
    return {
        "node": args.node,
        "seconds": seconds,
        "ended": run.ended,
        "source": source,
        "points": args.points,
        "bytes": sizes,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "sender_late_ms": run.said["late_ms"],
        **account(args.node, run.said["sent"], rows[-1][1] if rows else {}),
        "delay_ms": percentiles(run.observer.label_ages_ms) if args.node == "segment" else None,
        "phases": phases(args.node, rows, (0.0, *death_s, seconds)),
        "camera": said_of_camera(rows, max(jpegs, default=""), death_s),
        "cpu_share": {name: cpu(look) for name, look in run.looks.items()},
        "memory": memory(run.looks["node"], min(180.0, 0.3 * seconds)),
        "log": run.node.log_file.read_text(errors="replace").splitlines()[-5:],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--node", choices=("collect", "segment"), default="collect")
    parser.add_argument("--points", type=int, default=34720)
    parser.add_argument("--cameras", type=int, default=6, help="1 to 6")
    parser.add_argument("--camera-dies", type=float, default=0.5, help="share of the time after which one falls silent")
    parser.add_argument("--returns", type=float, default=0.6, help="share of the time after which it is back")
    parser.add_argument("--interval", type=float, default=5.0, help="choice.min_interval_s of the collector [s]")
    parser.add_argument("--nice", type=int, default=19, help="of the teacher's process")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    args = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    for sign in (signal.SIGINT, signal.SIGTERM):  # a shell starts what runs in the background deaf to the first
        signal.signal(sign, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="clip2scene-vehicle-") as name:
        result = measure(args, Path(name))
    show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if result["accounted_for"] and result["ended"] in ("", "interrupted") else 1


if __name__ == "__main__":
    sys.exit(main())
