"""How long does the shipped student take from a cloud's bytes to its labels, and where does the time go?

Different sweeps of the synthetic world, each as the bytes of a PointCloud2; `parse`, `segment` and `pack` are timed,
medians are printed. MinkUNet14A, untrained (its time does not depend on its weights), runs on the same bytes in turn
with it, so that the ratio holds on a busy machine as well.

    python bench/tiny.py --scans 50 --threads 2 --json bench/out/tiny.json
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from clip2scene_ros.config import NetworkConfig, SegmenterConfig
from clip2scene_ros.frame import Scan
from clip2scene_ros.io.bags import cloud_message
from clip2scene_ros.io.pointcloud import pack, pack_points, parse
from clip2scene_ros.latency import percentiles
from clip2scene_ros.student.networks import build_network
from clip2scene_ros.student.segmenter import Segmenter
from clip2scene_training.datasets.world import WorldDataset
from clip2scene_training.world.config import LidarConfig, WorldConfig

LIMIT_MS = 150.0
COLUMNS = 1500
"""Azimuth steps of the LiDAR: enough for over 34,000 returns in nearly every street."""
SWEEPS_PER_SCENE = 5


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=50)
    parser.add_argument("--points", type=int, default=34_000, help="each sweep is cut to these")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", default="", help="default: the shipped one")
    parser.add_argument("--cache", type=Path, default=Path("runs/world"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    config = SegmenterConfig(checkpoint=arguments.checkpoint, device="cpu", threads=arguments.threads)
    student = Segmenter.load(config)
    rivals = {"shipped": student, "14a": untrained_like(student, "14a")}
    messages = clouds(arguments.scans, arguments.points, arguments.cache)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in rivals}
    for segmenter in rivals.values():
        measure(segmenter, messages[0])  # the first call warms up allocator and threads
    for message in messages:
        for name, segmenter in rivals.items():
            rows[name].append(measure(segmenter, message))
    show(student.describe(), rows, messages, arguments.json)


def untrained_like(student: Segmenter, preset: str) -> Segmenter:
    """Return a segmenter of another size at the same voxel size and classes."""
    network: NetworkConfig = replace(student.card.network, preset=preset, width=1.0)
    vectors = torch.randn(len(student.class_set), network.embedding_dim)
    card = replace(student.card, network=network, class_vectors=vectors)
    return Segmenter(build_network(network), card, student.class_set, vectors, student.config)


def clouds(scans: int, points: int, cache: Path) -> list[Any]:
    """Return PointCloud2 messages of different streets."""
    scenes = range(200_000, 200_000 + -(-scans // SWEEPS_PER_SCENE))
    world = WorldDataset(scenes, SWEEPS_PER_SCENE, cache, config=WorldConfig(lidar=LidarConfig(columns=COLUMNS)))
    messages = []
    for number in range(scans):
        scan = world[number].scan
        cut = Scan(
            scan.points[:points],
            scan.intensity[:points],
            scan.stamp_ns,
            scan.frame_id,
            ring=None if scan.ring is None else scan.ring[:points],
            time_ns=None if scan.time_ns is None else scan.time_ns[:points],
        )
        messages.append(cloud_message(pack_points(cut), cut.stamp_ns, "lidar_top"))
    return messages


def measure(segmenter: Segmenter, message: Any) -> dict[str, float]:  # noqa: ANN401 - a rosbags message
    """Return milliseconds by stage of one cloud."""
    started = time.monotonic_ns()
    scan = parse(message)
    parsed = time.monotonic_ns()
    segmentation = segmenter.segment(scan)
    segmented = time.monotonic_ns()
    pack(scan, segmentation)
    packed = time.monotonic_ns()
    stages = {name: ms for name, ms in segmentation.processing_ms.items() if name != "total"}
    return {
        "parse": (parsed - started) / 1e6,
        **stages,
        "bytes to labels": (segmented - started) / 1e6,
        "pack": (packed - segmented) / 1e6,
    }


def show(title: str, rows: dict[str, list[dict[str, float]]], messages: list[Any], out: Path | None) -> None:
    """Print medians, the ratio and the verdict."""
    sizes = sorted(message.width * message.height for message in messages)
    print(title)
    print(f"{len(messages)} sweeps of {sizes[0]} to {sizes[-1]} points, {torch.get_num_threads()} threads, median ms")
    stages = list(rows["shipped"][0])
    medians = {name: {s: percentiles(row[s] for row in of)["p50"] for s in stages} for name, of in rows.items()}
    print(f"{'':16}" + "".join(f"{name:>10}" for name in rows))
    for stage in stages:
        print(f"{stage:16}" + "".join(f"{medians[name][stage]:10.1f}" for name in rows))
    total = medians["shipped"]["bytes to labels"]
    ratio = percentiles(a["inference"] / b["inference"] for a, b in zip(rows["shipped"], rows["14a"], strict=True))[
        "p50"
    ]
    p95 = percentiles(row["bytes to labels"] for row in rows["shipped"])["p95"]
    print(f"bytes to labels: p50 {total:.1f} ms, p95 {p95:.1f} ms; limit for the median {LIMIT_MS:g} ms")
    print(f"inference, shipped / 14a: {ratio:.2f}")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        result = {"median_ms": medians, "p95_ms": p95, "ratio": ratio, "points": sizes, "checkpoint": title}
        out.write_text(json.dumps(result, indent=2) + "\n")
    if total > LIMIT_MS:
        raise SystemExit(f"{total:.1f} ms is over the limit of {LIMIT_MS:g} ms")


if __name__ == "__main__":
    main()
