"""What could be checked on real data: three figures of any checkpoint of class set `world`, without training on any.

One SemanticKITTI scan in eight merged classes by distance, recall inside the boxes of one nuScenes key frame, and the
agreement of two successive KITTI scans registered by their poses. See docs/ceiling.md for what they do not say.

    python bench/reality.py clip2scene_ros/weights/demo.safetensors --json bench/out/reality.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clip2scene_ros.config import SegmenterConfig
from clip2scene_ros.student.checkpoint import file_sha256
from clip2scene_ros.student.segmenter import DEMO_CHECKPOINT, Segmenter
from clip2scene_training.reality import reality, table

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main() -> None:
    """Print the three figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path, default=DEMO_CHECKPOINT, help="default: the shipped one")
    parser.add_argument("--data", type=Path, default=DATA, help="semantickitti, nuscenes, kitti_odometry (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    config = SegmenterConfig(checkpoint=str(arguments.checkpoint), device="cpu", threads=arguments.threads)
    segmenter = Segmenter.load(config)
    result = reality(segmenter, arguments.data)
    print(f"{segmenter.describe()}\n\n{table(result)}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        result = {"weights_sha256": file_sha256(arguments.checkpoint), **result}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
