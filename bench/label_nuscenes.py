"""How long does `clip2scene label` take on a real frame, and how much memory: six images of 1600 x 900, one scan?

A nuScenes key frame (`info.json` with its images and scan) is written as a bag and labelled, by default with a ViT-B/16
of random weights: times, shapes and pictures are real, labels are not.

    python bench/label_nuscenes.py ../shared/data/nuscenes --out runs/label_nuscenes
    python bench/label_nuscenes.py ../shared/data/nuscenes --out runs/tiny --clip.checkpoint tiny

What it does not know are options of `clip2scene label`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_ros import cli
from clip2scene_ros.frame import Array, CameraModel, Scan
from clip2scene_ros.geometry import check_rigid, compose, invert
from clip2scene_ros.io import bags
from clip2scene_ros.io.image import decode_compressed
from clip2scene_ros.io.pointcloud import pack_points
from clip2scene_training.datasets.nuscenes import read_lidar

NS = 1_000_000_000
BASE, LIDAR = "base_link", "lidar_top"
RANDOM = ["--clip.random-weights", "yes"]


def main() -> int:
    """Write the bag, label it, and print what the report says of time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with info.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for bag, labels and page")
    parser.add_argument("--json", type=Path, help="also write what is printed")
    args, options = parser.parse_known_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write_key_frame(args.data, args.out / "frame.mcap")
    words = ["label", str(args.out / "frame.mcap"), "--out", str(args.out), "--overwrite", *(options or RANDOM)]
    code = cli.main(words)
    if not code:
        report = json.loads((args.out / "report.json").read_text(encoding="utf-8"))
        kept = ("teacher", "images", "seconds_per_image", "peak_memory_mb", "points", "hardware")
        text = json.dumps({key: report[key] for key in kept}, indent=2)
        print(text)
        if args.json:
            args.json.write_text(f"{text}\n", encoding="utf-8")
    return code


def write_key_frame(data: Path, path: Path) -> None:
    """Write the first key frame of `info.json` as a bag, its cameras placed by the odometry that the file implies."""
    frame = json.loads((data / "info.json").read_text(encoding="utf-8"))["data_list"][0]
    lidar, stamp_ns = frame["lidar_points"], round(frame["timestamp"] * NS)
    base_from_lidar, world_from_base = _rigid(lidar["lidar2ego"]), _rigid(frame["ego2global"])
    points, intensity, ring = read_lidar(data / lidar["lidar_path"])
    mounts, poses = [(BASE, LIDAR, base_from_lidar)], {stamp_ns: world_from_base}
    for name, image in frame["images"].items():
        base_from_camera, camera_from_lidar = _rigid(image["cam2ego"]), _rigid(image["lidar2cam"])
        mounts.append((BASE, name.lower(), base_from_camera))
        then = compose(world_from_base, base_from_lidar, invert(camera_from_lidar), invert(base_from_camera))
        poses[round(image["timestamp"] * NS)] = then
    with bags.BagWriter(path, overwrite=True) as bag:
        bag.write("/tf_static", bags.tf_static_message(mounts, min(poses)), min(poses), latched=True)
        for at_ns in sorted(poses):
            bag.write("/odom", bags.odometry_message(poses[at_ns], at_ns, "odom", BASE), at_ns)
        for name, image in frame["images"].items():
            _write_image(bag, name.lower(), image, (data / image["img_path"]).read_bytes())
        scan = Scan(points, intensity, stamp_ns, LIDAR, ring=ring)
        bag.write("/points", bags.cloud_message(pack_points(scan), stamp_ns, LIDAR), stamp_ns)


def _write_image(bag: bags.BagWriter, name: str, image: dict[str, Any], jpeg: bytes) -> None:
    height, width = decode_compressed(jpeg).shape[:2]
    stamp_ns = round(image["timestamp"] * NS)
    camera = CameraModel(width, height, np.array(image["cam2img"], dtype=np.float64)[:3, :3])
    bag.write(f"/{name}/camera_info", bags.camera_info_message(camera, stamp_ns, name), stamp_ns)
    bag.write(f"/{name}/image/compressed", bags.compressed_image_message(jpeg, stamp_ns, name), stamp_ns)


def _rigid(rows: list[list[float]]) -> Array:
    """Return a (4, 4) motion whose rotation is exact: the file's float32 ones are off in the seventh digit."""
    matrix = check_rigid(np.array(rows), "info.json")
    u, _, v = np.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = u @ v
    return matrix


if __name__ == "__main__":
    raise SystemExit(main())
