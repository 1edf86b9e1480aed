"""Is every scan labelled or counted, in order, in time, when another process sends them?

The node runs in one process, publisher and subscriber in another, over DDS. Clouds are sweeps of the synthetic world;
where one sweep has too few points, sweeps from several places are laid over each other.

    python bench/live.py --points 34720 --rate 5 --scans 600
    python bench/live.py --points 120000 --rate 10 --scans 600 --json live.json

Prints where each scan went (sent = labelled + dropped, by reason), what came twice or out of order, percentiles of the
time from sending to receiving, of processing and of the ROS overhead (callback entry to publish returned, less the
segmenter). Exit code 1 when a scan is not accounted for, or came twice or out of order.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from clouds import lidar_scan
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import serialize_message
from std_msgs.msg import Float64, Header

from clip2scene_ros.frame import Scan
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_ros.io.stamps import HEAD_BYTES
from clip2scene_ros.latency import percentiles
from clip2scene_ros.nodes.conversions import cloud_message
from clip2scene_ros.nodes.peer import Peer
from clip2scene_ros.nodes.process import start_node
from clip2scene_ros.student.voxelization import voxelize

NAMESPACE = f"bench_{os.getpid()}"
DIFFERENT_CLOUDS = 8
WARM_UP = 10
SETTLE_S = 30.0
TIMES = ("pipeline_latency_ms", "processing_time/total_ms", "processing_time/overhead_ms")


def make_scans(points: int, frames: int | None = None) -> tuple[list[Scan], str]:
    """Return different scans of `points` points, of the drive's first `frames` or of all of it, and their source."""
    try:
        from clip2scene_training.world.drive import Drive
    except ImportError:
        return [
            Scan(*lidar_scan(points, 128 if points > 60_000 else 32, seed)) for seed in range(DIFFERENT_CLOUDS)
        ], "a procedural street (the training extra is not installed)"
    drive, rng = Drive(0), np.random.default_rng(0)
    places = itertools.cycle(np.linspace(0, (frames or len(drive)) - 1, 3 * DIFFERENT_CLOUDS).astype(int))
    scans = []
    for _ in range(DIFFERENT_CLOUDS):
        sweeps = [drive.frame(int(next(places))).scan]
        while sum(map(len, sweeps)) < points:
            sweeps.append(drive.frame(int(next(places))).scan)
        xyz, intensity = np.concatenate([s.points for s in sweeps]), np.concatenate([s.intensity for s in sweeps])
        kept = np.sort(rng.permutation(len(xyz))[:points])
        scans.append(Scan(xyz[kept], intensity[kept]))
    return scans, f"the synthetic world, {len(sweeps)} sweeps a cloud"


def serialise(scan: Scan) -> bytearray:
    """Return a cloud message as bytes, its stamp still to be filled in."""
    return bytearray(serialize_message(cloud_message(pack_points(scan), Header(frame_id="lidar"))))


class Watch:
    """Hears the node's own account and times."""

    def __init__(self, peer: Peer) -> None:
        self.report: dict[str, str] = {}
        self.reports = 0
        self.times: dict[str, list[float]] = {name: [] for name in TIMES}
        peer.node.create_subscription(DiagnosticArray, "/diagnostics", self._keep, 10)
        for name, values in self.times.items():
            topic = f"clip2scene_segment/debug/{name}"
            peer.node.create_subscription(Float64, topic, lambda m, values=values: values.append(m.data), 1000)

    def _keep(self, message: DiagnosticArray) -> None:
        self.report = {v.key: v.value for v in message.status[0].values}
        self.reports += 1

    def quiet(self, check: Callable[[], None]) -> Counter[str]:
        """Wait until the node has nothing to do, by two reports in a row; return its counts."""
        before, seen = Counter({"none": 1}), self.reports
        while True:
            check()
            if self.reports > seen:
                now, seen = self.counts(), self.reports
                if now == before and self.report.get("pending") == "0":
                    return now
                before = now
            time.sleep(0.02)

    def counts(self) -> Counter[str]:
        """Return received, labelled, lost and dropped by reason."""
        kept = ("received", "labelled", "lost_before_arrival")
        return Counter({k: int(v) for k, v in self.report.items() if k in kept or k.startswith("dropped.")})


def run(peer: Peer, clouds: list[bytearray], first: int, scans: int, rate_hz: float) -> None:
    """Send `scans` clouds at `rate_hz`; scan i is stamped (1000 + i) seconds."""
    start_s = time.monotonic()
    for i in range(scans):
        data = clouds[i % len(clouds)]
        data[4:HEAD_BYTES] = (1000 + first + i).to_bytes(4, "little") + bytes(4)
        time.sleep(max(0.0, start_s + i / rate_hz - time.monotonic()))
        peer.send(bytes(data))


def settle(peer: Peer, watch: Watch, before: Counter[str], sent: int) -> bool:
    """Wait until the node has dealt with all that was sent, and its labels have come; return whether they did."""
    end_s = time.monotonic() + SETTLE_S
    while time.monotonic() < end_s:
        now = watch.counts() - before
        arrived = now["received"] + now["lost_before_arrival"] == sent and watch.report.get("pending") == "0"
        if arrived and len(peer.labels) == now["labelled"]:
            return True
        time.sleep(0.02)
    return False


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run node and peer; return all figures."""
    scans, source = make_scans(args.points)
    clouds = [serialise(scan) for scan in scans]
    parameters: dict[str, object] = {
        "diagnostics.period_s": 0.2,
        "points.reliability": args.reliability,
        "segmenter.threads": args.threads,
    }
    if args.checkpoint:
        parameters["segmenter.checkpoint"] = args.checkpoint
    with (
        start_node(parameters, namespace=NAMESPACE, log_file=args.log) as node,
        Peer(NAMESPACE, check=node.check) as peer,
    ):
        watch = Watch(peer)
        peer.greet(60.0)
        run(peer, clouds, -WARM_UP, WARM_UP, args.rate)  # torch and its allocator are slower at first
        before = watch.quiet(node.check)
        peer.labels.clear()
        for values in watch.times.values():
            values.clear()
        run(peer, clouds, 0, args.scans, args.rate)
        settled = settle(peer, watch, before, args.scans)
        return {
            "points": args.points,
            "bytes": len(clouds[0]),
            "rate_hz": args.rate,
            "source": source,
            "voxels_at_0.2m": int(np.median([len(voxelize(s.points, 0.2)) for s in scans])),
            "loaded": watch.report.get("loaded", ""),
            **account(peer, watch.counts() - before, args.scans, settled),
            "send_to_receive_ms": percentiles(peer.latencies_ms()),
            **{name.split("/")[-1]: percentiles(values) for name, values in watch.times.items()},
        }


def account(peer: Peer, counts: Counter[str], sent: int, settled: bool) -> dict[str, Any]:
    """Return where the scans went, and whether all of them are known to have gone somewhere."""
    stamps = [stamp for stamp, _ in peer.labels]
    dropped = {k.removeprefix("dropped."): n for k, n in counts.items() if k.startswith("dropped.")}
    duplicates = len(stamps) - len(set(stamps))
    out_of_order = sum(later < earlier for earlier, later in itertools.pairwise(stamps))
    lost = counts["lost_before_arrival"]
    return {
        "sent": sent,
        "labelled": len(stamps),
        "dropped": dropped,
        "lost_before_arrival": lost,
        "duplicates": duplicates,
        "out_of_order": out_of_order,
        "accounted_for": settled and sent == len(stamps) + sum(dropped.values()) + lost,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures as a table."""
    dropped = ", ".join(f"{reason} {n}" for reason, n in result["dropped"].items()) or "none"
    print(f"{result['points']} points ({result['bytes'] / 1e6:.2f} MB, {result['voxels_at_0.2m']} voxels of 0.2 m)")
    print(f"from {result['source']}, at {result['rate_hz']:g} Hz; {os.cpu_count()} cores; {result['loaded']}")
    print(
        f"sent {result['sent']} = labelled {result['labelled']} + dropped ({dropped}) + lost before arrival "
        f"{result['lost_before_arrival']}: {'yes' if result['accounted_for'] else 'NO'}; "
        f"twice {result['duplicates']}, out of order {result['out_of_order']}"
    )
    rows = {
        "send to receive": "send_to_receive_ms",
        "callback to published": "pipeline_latency_ms",
        "processing": "total_ms",
        "ROS overhead": "overhead_ms",
    }
    print(f"{'[ms]':<24}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}")
    for title, key in rows.items():
        print(f"{title:<24}" + "".join(f"{result[key][name]:>8.1f}" for name in ("p50", "p95", "p99", "max")))
    p99, processing = result["send_to_receive_ms"]["p99"], result["total_ms"]
    print(
        f"p99 of send to receive is {p99 / processing['p99']:.2f} times the p99 of processing, "
        f"{p99 / processing['p50']:.2f} times its median"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=34720)
    parser.add_argument("--rate", type=float, default=5.0, help="clouds a second")
    parser.add_argument("--scans", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the network")
    parser.add_argument("--reliability", choices=("best_effort", "reliable"), default="best_effort", help="of `points`")
    parser.add_argument("--checkpoint", default="", help="student weights; the shipped ones by default")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--log", type=Path, help="keep the node's log here")
    args = parser.parse_args()
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    result = measure(args)
    show(result)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if result["accounted_for"] and not result["duplicates"] and not result["out_of_order"] else 1


if __name__ == "__main__":
    sys.exit(main())
