"""Does an independent DDS implementation understand the node? Cyclone DDS sends clouds and reads the labels.

    python bench/cyclone.py --clouds 20 --points 34720

The peer is PyPI's `cyclonedds`: no ROS and no Fast DDS in its process. Prints how many clouds came back labelled,
under the same stamps, in order, point for point. Exit code 1 when one is missing.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

from clip2scene_ros.frame import Scan
from clip2scene_ros.io.pointcloud import pack_points, unpack_labels
from clip2scene_ros.nodes.process import start_node

LOOPBACK = """<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo"/></Interfaces>
<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto</ParticipantIndex>
<MaxAutoParticipantIndex>60</MaxAutoParticipantIndex><Peers><Peer Address="127.0.0.1"/></Peers></Discovery>
</Domain></CycloneDDS>"""
"""Without multicast, which the loopback device of a container has not."""

NAMESPACE = "cyclone"


@dataclass
class Time_(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    """builtin_interfaces/Time."""

    sec: int32
    nanosec: uint32


@dataclass
class Header_(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    """std_msgs/Header."""

    stamp: Time_
    frame_id: str


@dataclass
class PointField_(IdlStruct, typename="sensor_msgs::msg::dds_::PointField_"):
    """sensor_msgs/PointField."""

    name: str
    offset: uint32
    datatype: uint8
    count: uint32


@dataclass
class PointCloud2_(IdlStruct, typename="sensor_msgs::msg::dds_::PointCloud2_"):
    """sensor_msgs/PointCloud2."""

    header: Header_
    height: uint32
    width: uint32
    fields: sequence[PointField_]
    is_bigendian: bool
    point_step: uint32
    row_step: uint32
    data: sequence[uint8]
    is_dense: bool


def make_scan(number: int, points: int) -> Scan:
    """Return a scan of random points; its stamp tells its number."""
    rng = np.random.default_rng(number)
    xyz = rng.uniform((-40, -40, -2), (40, 40, 2), (points, 3)).astype(np.float32)
    intensity = rng.uniform(0, 1, points).astype(np.float32)
    return Scan(points=xyz, intensity=intensity, stamp_ns=(100 + number) * 10**9 + number, frame_id="cyclone_lidar")


def to_dds(scan: Scan) -> PointCloud2_:
    """Return the scan as a Cyclone sample."""
    layout = pack_points(scan)
    return PointCloud2_(
        header=Header_(Time_(*divmod(scan.stamp_ns, 10**9)), scan.frame_id),
        height=1,
        width=layout.width,
        fields=[PointField_(f.name, f.offset, f.datatype, f.count) for f in layout.fields],
        is_bigendian=False,
        point_step=layout.point_step,
        row_step=layout.point_step * layout.width,
        data=list(bytes(layout.data)),
        is_dense=True,
    )


class CyclonePeer:
    """Writes `points` and reads `labels` in one ROS domain."""

    def __init__(self, domain: int) -> None:
        """Join the domain."""
        plain = Policy.DataRepresentation(use_cdrv0_representation=True, use_xcdrv2_representation=False)
        qos = Qos(Policy.Reliability.Reliable(duration(seconds=10)), Policy.History.KeepLast(20), plain)
        self._participant = DomainParticipant(domain)
        points = Topic(self._participant, f"rt/{NAMESPACE}/points", PointCloud2_, qos=qos)
        labels = Topic(self._participant, f"rt/{NAMESPACE}/clip2scene_segment/labels", PointCloud2_, qos=qos)
        self._writer = DataWriter(self._participant, points, qos=qos)
        self._reader = DataReader(self._participant, labels, qos=qos)

    def ask(self, scan: Scan, timeout_s: float) -> PointCloud2_ | None:
        """Send a scan; return the labels of its stamp, or None when they do not come in time."""
        self._writer.write(to_dds(scan))
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            for sample in self._reader.take(10):
                stamp = getattr(getattr(sample, "header", None), "stamp", None)
                if stamp and stamp.sec * 10**9 + stamp.nanosec == scan.stamp_ns:
                    return sample
            time.sleep(0.002)
        return None


def is_right(scan: Scan, labels: PointCloud2_ | None) -> bool:
    """Return whether the labels are those of the scan: frame, and every point in its place."""
    if labels is None or labels.header.frame_id != scan.frame_id:
        return False
    points, segmentation = unpack_labels(SimpleNamespace(**{**vars(labels), "data": bytes(labels.data)}))
    known = segmentation.class_id != 255
    return bool(np.array_equal(points, scan.points) and known.mean() > 0.5)


def measure(clouds: int, points: int, checkpoint: str) -> dict[str, object]:
    """Run node and peer; return the counts."""
    os.environ.setdefault("CYCLONEDDS_URI", LOOPBACK)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    parameters: dict[str, object] = {"points.reliability": "reliable"}
    if checkpoint:
        parameters["segmenter.checkpoint"] = checkpoint
    with start_node(parameters, namespace=NAMESPACE) as node:
        peer = CyclonePeer(int(os.environ.get("ROS_DOMAIN_ID", "0")))
        deadline_s = time.monotonic() + 60.0
        greeting = 0
        # Until both have discovered each other. Greetings have full size: after small ones, Fast DDS and Cyclone lose
        # the first cloud that has to be cut into fragments.
        while peer.ask(make_scan(greeting, points), 1.0) is None:
            node.check()
            greeting += 1
            if time.monotonic() > deadline_s:
                break
        scans = [make_scan(1000 + k, points) for k in range(clouds)]
        right = [is_right(scan, peer.ask(scan, 10.0)) for scan in scans]
    return {"sent": clouds, "points": points, "labelled": sum(right)}


def main() -> int:
    """Print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clouds", type=int, default=20)
    parser.add_argument("--points", type=int, default=34720)
    parser.add_argument("--checkpoint", default="", help="student weights; the shipped ones by default")
    parser.add_argument("--json", type=Path, help="also write the counts to this file")
    args = parser.parse_args()
    result = measure(args.clouds, args.points, args.checkpoint)
    print(f"cyclonedds -> node -> cyclonedds: {result['labelled']}/{result['sent']} clouds of {args.points} points")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0 if result["labelled"] == result["sent"] else 1


if __name__ == "__main__":
    sys.exit(main())
