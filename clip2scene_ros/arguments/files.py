"""The sub-commands that show what files hold, check them, or write them in another form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clip2scene_ros.arguments.shared import add_overwrite, command
from clip2scene_ros.calibrate.arguments import add_calibrate_options


def add_file_commands(commands: Any) -> None:  # noqa: ANN401 - argparse does not publish the type of sub-parsers
    """Add `inspect`, `calibrate` and `export`."""
    _add_inspect(commands)
    _add_calibrate(commands)
    _add_export(commands)


def _add_inspect(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "inspect",
        "print what a bag, collected shards, a checkpoint, a CLIP or a class set holds",
        "Print what a file holds: a bag's topics, duration and cloud fields; the card of a checkpoint or a CLIP;\n"
        "a class set; of shards (a folder, or one .tar) counts, bytes, classes and coverage, with every checksum\n"
        "verified.",
        (
            "inspect my_bag",
            "inspect my_shards --out sheet.jpg",
            "inspect student.safetensors",
            "inspect config/classes/nuscenes.yaml",
        ),
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--out", type=Path, metavar="SHEET.jpg", help="of shards: frames with their labels, as a picture"
    )
    add_overwrite(parser)


def _add_calibrate(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "calibrate",
        "do a bag's cameras and LiDAR fit; or convert a calibration file",
        "`--check BAG` lays the scans' edges of depth on the images' edges of brightness, camera by camera, and says\n"
        "what is likely wrong where they do not meet: a camera turned or shifted, a transform the wrong way round,\n"
        "two cameras mixed up, another image size, distortion or focal length, stamps that are apart.\n"
        "Exit code 0: all fit, 3: something is wrong, 4: it cannot be told.\n"
        "`--from-nuscenes` and `--from-kitti` write a calibration file (docs/calibration.md).",
        (
            "calibrate --check my_bag --out check",
            "calibrate --check my_bag --calibration vehicle.yaml",
            "calibrate --from-nuscenes v1.0-mini --scene scene-0061 --out vehicle.yaml",
            "calibrate --from-kitti sequences/00/calib.txt --image-size 1241x376 --out vehicle.yaml",
        ),
    )
    add_calibrate_options(parser)
    add_overwrite(parser)


def _add_export(commands: Any) -> None:  # noqa: ANN401
    parser = command(
        commands,
        "export",
        "write a checkpoint in the layout of the paper's code, or read such weights",
        "`--layout torchsparse` writes a checkpoint's tensors under the names and in the shapes of CLIP2Scene's\n"
        "SPVCNN (TorchSparse 1.4), as safetensors. `--layout clip2scene` reads such a file and writes a checkpoint;\n"
        "one that we did not write must be told its classes, voxel size and intensities. What became of every\n"
        "tensor is printed.",
        (
            "export student.safetensors --layout torchsparse --out official.safetensors",
            "export official.safetensors --layout clip2scene --out student.safetensors --class-set nuscenes "
            "--voxel-size-m 0.1 --intensity-max 255",
        ),
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--layout", required=True, choices=("torchsparse", "clip2scene"), help="of what is written")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.safetensors")
    parser.add_argument("--class-set", default="", metavar="TEXT", help="what the weights' text embeddings are of")
    parser.add_argument("--voxel-size-m", type=float, metavar="X", help="edge of a voxel [m]")
    parser.add_argument(
        "--intensity-max", type=float, metavar="X", help="brightest intensity that the weights were shown"
    )
    add_overwrite(parser)
