"""The options of `clip2scene calibrate`. It imports next to nothing."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_calibrate_options(parser: argparse.ArgumentParser) -> None:
    """Add what the check and the converters need."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", type=Path, metavar="BAG", help="rosbag2 folder, .mcap or .db3 with clouds and images")
    what.add_argument("--from-nuscenes", type=Path, metavar="TABLES", help="folder with calibrated_sensor.json")
    what.add_argument("--from-kitti", type=Path, metavar="FILE", help="calib.txt, or the folder of a raw drive's date")
    parser.add_argument("--topic", default="", help="the bag's PointCloud2 topic; not needed where there is only one")
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="instead of the bag's camera_info and transforms"
    )
    parser.add_argument("--scene", default="", metavar="NAME", help="whose calibration, where nuScenes' scenes differ")
    parser.add_argument("--image-size", type=_image_size, metavar="WxH", help="of KITTI's images [px]")
    parser.add_argument("--out", type=Path, metavar="OUT", help="folder of the check's report, or the YAML file")


def _image_size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected width and height such as 1242x375, but got {text}")
    return int(width), int(height)
