"""How fast are bags written and read, and what does our layer cost beside `rosbags` alone?

One bag a storage, each holding `--scans` clouds of 34,720 points at 10 Hz. The ratio compares reading them as
Frames (checks, intensity, per-point time) with `rosbags` handing out the raw bytes of the same bag in the same run.

    python bench/bags.py --scans 100 --json bags.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from clouds import lidar_scan

from clip2scene_ros.frame import Scan
from clip2scene_ros.io.bags import BagReader, BagWriter, cloud_message
from clip2scene_ros.io.pointcloud import pack_points

POINTS = 34_720
PERIOD_NS = 100_000_000
KINDS = (("mcap", "none", "drive.mcap"), ("mcap", "zstd", "drive_zstd.mcap"), ("sqlite3", "none", "drive.db3"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    xyz, intensity = lidar_scan(POINTS)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for storage, compression, name in KINDS:
            rows.append(measure(Path(folder) / name, storage, compression, arguments.scans, Scan(xyz, intensity)))
    print(f"{'storage':18} {'MB':>7} {'write/s':>8} {'raw/s':>8} {'frames/s':>9} {'frames/raw':>10}")
    for row in rows:
        print(
            f"{row['storage']:18} {row['mb']:7.1f} {row['write_hz']:8.0f} {row['raw_hz']:8.0f} "
            f"{row['frames_hz']:9.0f} {row['raw_hz'] / row['frames_hz']:9.1f}x"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(path: Path, storage: str, compression: str, scans: int, scan: Scan) -> dict[str, float | str]:
    """Write one bag and read it twice; rates are clouds a second."""
    started = time.perf_counter()
    with BagWriter(path, storage=storage, compression=compression) as bag:
        for i in range(scans):
            stamp_ns = (i + 1) * PERIOD_NS
            bag.write("/points", cloud_message(pack_points(scan), stamp_ns, "lidar_top"), stamp_ns)
    written = time.perf_counter()
    with BagReader(path) as bag:
        count = sum(1 for _ in bag.raw({"/points"}))
        read = time.perf_counter()
        frames = sum(1 for _ in bag.frames())
        done = time.perf_counter()
    if not count == frames == scans:
        raise SystemExit(f"wrote {scans} clouds, read {count} raw and {frames} frames")
    return {
        "storage": f"{storage} {compression}",
        "mb": path.stat().st_size / 1e6,
        "write_hz": scans / (written - started),
        "raw_hz": scans / (read - written),
        "frames_hz": scans / (done - read),
    }


if __name__ == "__main__":
    main()
